//! The addresses of the sites: [`ScraperConfig`] as set in the environment, checked.

use annapurna_contract::config::{ConfigError, ScraperConfig};
use url::Url;

/// Every site's base address. [`Sites::from_config`] is the only way to get them.
#[derive(Debug, Clone)]
pub struct Sites {
    /// arXiv's API host.
    pub arxiv_api_url: Url,
    /// arXiv's host of PDFs.
    pub arxiv_url: Url,
    /// OpenReview's host of pages and PDFs.
    pub openreview_url: Url,
    /// OpenReview's API of the older conferences.
    pub openreview_api_v1_url: Url,
    /// OpenReview's API of the newer conferences.
    pub openreview_api_v2_url: Url,
    /// The virtual sites' base URL with `{conference}` in it, or one base URL for all.
    pub virtual_site_url: String,
    /// The proceedings' base URL, likewise.
    pub proceedings_url: String,
    /// The base URL of the proceedings of data sets' papers, likewise.
    pub datasets_proceedings_url: String,
    /// PMLR's host of pages.
    pub pmlr_url: Url,
    /// PMLR's host of newer PDFs.
    pub pmlr_files_url: Url,
}

impl Sites {
    /// Checks every address.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] names the first variable that is none.
    pub fn from_config(config: &ScraperConfig<String>) -> Result<Self, ConfigError> {
        let templates = [
            ("VIRTUAL_SITE_URL", &config.virtual_site_url),
            ("PROCEEDINGS_URL", &config.proceedings_url),
            ("DATASETS_PROCEEDINGS_URL", &config.datasets_proceedings_url),
        ];
        for (name, template) in templates {
            base_url(name, &template.replace("{conference}", "iclr"))?;
        }
        Ok(Self {
            arxiv_api_url: base_url("ARXIV_API_URL", &config.arxiv_api_url)?,
            arxiv_url: base_url("ARXIV_URL", &config.arxiv_url)?,
            openreview_url: base_url("OPENREVIEW_URL", &config.openreview_url)?,
            openreview_api_v1_url: base_url(
                "OPENREVIEW_API_V1_URL",
                &config.openreview_api_v1_url,
            )?,
            openreview_api_v2_url: base_url(
                "OPENREVIEW_API_V2_URL",
                &config.openreview_api_v2_url,
            )?,
            pmlr_url: base_url("PMLR_URL", &config.pmlr_url)?,
            pmlr_files_url: base_url("PMLR_FILES_URL", &config.pmlr_files_url)?,
            virtual_site_url: config.virtual_site_url.clone(),
            proceedings_url: config.proceedings_url.clone(),
            datasets_proceedings_url: config.datasets_proceedings_url.clone(),
        })
    }

    /// The documented APIs among the hosts, which their terms of use govern and not robots rules.
    pub fn apis(&self) -> Vec<Url> {
        vec![
            join(&self.arxiv_api_url, "api/"),
            self.openreview_api_v1_url.clone(),
            self.openreview_api_v2_url.clone(),
        ]
    }
}

/// Reads a base URL: http or https, with a host, without a query.
pub(crate) fn base_url(name: &'static str, value: &str) -> Result<Url, ConfigError> {
    Url::parse(value.trim())
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .filter(|url| url.has_host() && url.query().is_none())
        .ok_or_else(|| ConfigError::Invalid {
            name,
            expected: "an http:// or https:// address without a query",
            value: value.to_owned(),
        })
}

/// `base` with `path` appended; a path in the base stays.
pub(crate) fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let joined = format!(
        "{}/{}",
        base.path().trim_end_matches('/'),
        path.trim_start_matches('/')
    );
    url.set_path(&joined);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_appended_to_a_base_with_or_without_one() {
        let there = |base, path| join(&Url::parse(base).unwrap(), path).to_string();
        assert_eq!(
            there("https://export.arxiv.org", "/api/query"),
            "https://export.arxiv.org/api/query"
        );
        assert_eq!(there("http://a.example/b/", "c"), "http://a.example/b/c");
    }
}
