//! How the client behaves.

use std::time::Duration;

use annapurna_contract::PaperHost;
use annapurna_contract::text::clean;
use url::Url;

use crate::text::ascii_header;

/// How the client behaves. [`HttpSettings::polite`] is what runs in production.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// The User-Agent header.
    pub user_agent: String,
    /// Least time between two requests to one host.
    pub interval: Duration,
    /// Tries of one document, the first included.
    pub attempts: u32,
    /// Pause after the first failure; doubled each time, with jitter.
    pub retry_base: Duration,
    /// Longest pause before a document is tried again. A host that asks for more is left alone for as
    /// long as it asks, six hours at most.
    pub longest_pause: Duration,
    /// How long a host is left alone that blocked two documents in a row, or whose robots rules
    /// could not be read.
    pub rest: Duration,
    /// Documented APIs: their terms of use govern them, not the robots rules of their host. Each
    /// stands for every address whose path it begins, on its own scheme, host and port.
    pub unruled: Vec<Url>,
    /// Hosts, beside arXiv, that only one run at a time may ask.
    pub exclusive_hosts: Vec<ExclusiveHost>,
}

/// A host that all runs together ask over one connection, and no faster than one request per interval.
///
/// Which run may ask is agreed on by a lease; see [`super::Leases`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExclusiveHost {
    /// Its name, with the port: `127.0.0.1:8000`. arXiv is `arxiv.org`, whichever host of it is asked.
    pub host: String,
    /// Least time between an answer and the next request.
    pub interval: Duration,
    /// For how long a run takes the host at a time.
    pub lease: Duration,
    /// A request, body included, is given up after this; shorter than the lease.
    pub longest_request: Duration,
}

impl ExclusiveHost {
    /// arXiv's terms of use: one request every three seconds and one connection at a time, over all
    /// the machines of one user. Source: arXiv API, "Terms of Use", rate limits.
    pub(super) fn arxiv() -> Self {
        Self {
            host: PaperHost::Arxiv.public_name().to_owned(),
            interval: Duration::from_secs(3),
            lease: Duration::from_secs(90),
            longest_request: Duration::from_secs(60),
        }
    }
}

impl HttpSettings {
    /// Says who we are, and waits as the sites ask.
    pub fn polite(contact: &str, interval: Duration) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let contact = ascii_header(&clean(contact), 200);
        Self {
            user_agent: format!(
                "Annapurna/{version} (research-paper pipeline; contact: {contact})"
            ),
            interval,
            attempts: 5,
            retry_base: Duration::from_secs(2),
            // A site that asks for more is left alone at once: nobody waits in a running function.
            longest_pause: Duration::from_secs(30),
            rest: Duration::from_secs(120),
            unruled: Vec::new(),
            exclusive_hosts: Vec::new(),
        }
    }

    /// True for an address of a documented API.
    pub(super) fn is_unruled(&self, url: &Url) -> bool {
        self.unruled.iter().any(|api| {
            let path = api.path().trim_end_matches('/');
            let rest = url.path().strip_prefix(path);
            api.origin() == url.origin()
                && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_agent_says_who_we_are() {
        let settings = HttpSettings::polite("ops@example.org\r\nX: 1", Duration::ZERO);
        assert!(
            settings.user_agent.starts_with("Annapurna/"),
            "{}",
            settings.user_agent
        );
        assert!(
            settings
                .user_agent
                .ends_with("contact: ops@example.org X: 1)")
        );
    }

    #[test]
    fn an_api_is_a_path_on_one_host() {
        let url = |text| Url::parse(text).unwrap();
        let mut settings = HttpSettings::polite("c", Duration::ZERO);
        settings.unruled = vec![
            url("https://export.arxiv.org/api/"),
            url("https://api.openreview.net"),
        ];
        for api in [
            "https://export.arxiv.org/api/query?start=0",
            "https://export.arxiv.org/api",
            "https://api.openreview.net/notes?limit=1",
        ] {
            assert!(settings.is_unruled(&url(api)), "{api}");
        }
        for page in [
            "https://export.arxiv.org/apiary",
            "https://export.arxiv.org/pdf/1",
            "http://export.arxiv.org/api/query",
            "https://api.openreview.net:8443/notes",
            "https://openreview.net/pdf?id=1",
        ] {
            assert!(!settings.is_unruled(&url(page)), "{page}");
        }
    }
}
