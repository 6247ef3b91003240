//! The function's settings: [`ScraperConfig`] as set in the environment, checked.

use std::time::Duration;

use annapurna_contract::config::{ConfigError, ScraperConfig, number};
use annapurna_paper_sources::sites::Sites;

/// The checked settings. [`Settings::from_config`] is the only way to get them.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `CONFERENCE`: a source's name, `BOTH`, or `ANY` when the event must name one.
    pub conference: String,
    /// Conference year when the event names none.
    pub conference_year: u32,
    /// Papers of one run when the event names no number.
    pub max_papers: u32,
    /// Bucket of the raw papers.
    pub bucket_name: String,
    /// URL of `researchQueue.fifo`.
    pub queue_url: String,
    /// Who runs this, for the User-Agent.
    pub contact: String,
    /// The sites that are asked.
    pub sites: Sites,
    /// arXiv's search query when the event has no `search_term`.
    pub arxiv_query: String,
    /// Least time between two requests to one host.
    pub request_interval: Duration,
    /// How long until a scrape takes papers again that were held back.
    pub retake_after: Duration,
}

impl Settings {
    /// Checks every variable.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] names the first variable that is not of its kind.
    pub fn from_config(config: ScraperConfig<String>) -> Result<Self, ConfigError> {
        Ok(Self {
            conference_year: number("CONFERENCE_YEAR", &config.conference_year)?,
            max_papers: number("MAX_PAPERS", &config.max_papers)?,
            sites: Sites::new(config.hosts)?,
            request_interval: Duration::from_millis(number(
                "REQUEST_INTERVAL_MS",
                &config.request_interval_ms,
            )?),
            retake_after: Duration::from_secs(number(
                "RETAKE_AFTER_SECONDS",
                &config.retake_after,
            )?),
            conference: config.conference,
            bucket_name: config.bucket_name,
            queue_url: config.queue_url,
            contact: config.contact,
            arxiv_query: config.arxiv_query,
        })
    }
}

/// Every variable, with the public sites.
#[cfg(test)]
pub(crate) fn config() -> ScraperConfig<String> {
    use annapurna_contract::PerHost;

    ScraperConfig {
        conference: "ARXIV".to_owned(),
        conference_year: "2025".to_owned(),
        max_papers: "3".to_owned(),
        bucket_name: "b".to_owned(),
        queue_url: "q".to_owned(),
        contact: "c@example.org".to_owned(),
        arxiv_query: "cat:cs.LG".to_owned(),
        request_interval_ms: "500".to_owned(),
        retake_after: "60".to_owned(),
        hosts: PerHost::new(|host| host.public_address().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_sites_are_accepted() {
        let settings = Settings::from_config(config()).unwrap();
        assert_eq!(settings.request_interval, Duration::from_millis(500));
    }
}
