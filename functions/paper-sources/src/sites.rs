//! The addresses of the paper sites, as they are set and checked.

use annapurna_contract::{ConfigError, PaperHost, PerHost, Source};
use url::Url;

/// Every host's base address. [`Sites::new`] is the only way to get them.
#[derive(Debug, Clone)]
pub struct Sites {
    addresses: PerHost<String>,
    apis: Vec<Url>,
}

impl Sites {
    /// Checks every address.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] names the first variable that is none.
    pub fn new(addresses: PerHost<String>) -> Result<Self, ConfigError> {
        let checked = PerHost::try_new(|host| address(host, &addresses[host], Source::Iclr))?;
        let apis = vec![
            join(&checked[PaperHost::ArxivApi], "api/"),
            checked[PaperHost::OpenReviewApiV1].clone(),
            checked[PaperHost::OpenReviewApiV2].clone(),
        ];
        Ok(Self { addresses, apis })
    }

    /// The documented APIs among the hosts, which their terms of use govern and not robots rules.
    pub fn apis(&self) -> Vec<Url> {
        self.apis.clone()
    }

    /// A host's address for a conference.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] when it makes none for this conference.
    pub(crate) fn address(&self, host: PaperHost, source: Source) -> Result<Url, ConfigError> {
        address(host, &self.addresses[host], source)
    }
}

/// An address with its `{conference}` filled in.
fn address(host: PaperHost, template: &str, source: Source) -> Result<Url, ConfigError> {
    base_url(host.variable(), &host.address_of(template, source))
}

/// Reads a base URL: http or https, with a host, without a query.
fn base_url(name: &'static str, value: &str) -> Result<Url, ConfigError> {
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
    fn each_conference_has_its_own_host() {
        let public = PerHost::new(|host| host.public_address().to_owned());
        let sites = Sites::new(public).unwrap();
        let url = |host, source| sites.address(host, source).unwrap().to_string();
        assert_eq!(
            Source::ALL.map(|source| url(PaperHost::VirtualSite, source))[..4],
            [
                "https://iclr.cc/",
                "https://icml.cc/",
                "https://neurips.cc/",
                "https://mlsys.org/"
            ]
        );
        assert_eq!(
            url(PaperHost::Proceedings, Source::Mlsys),
            "https://proceedings.mlsys.org/"
        );
        let local = Sites::new(PerHost::new(|_| "http://127.0.0.1:8000/".to_owned())).unwrap();
        let local = local.address(PaperHost::VirtualSite, Source::Iclr).unwrap();
        assert_eq!(local.as_str(), "http://127.0.0.1:8000/");
    }

    #[test]
    fn an_address_that_is_none_is_named() {
        for bad in ["arxiv.org", "file:///etc/passwd", "https://a.example/?x=1"] {
            let mut addresses = PerHost::new(|host| host.public_address().to_owned());
            bad.clone_into(&mut addresses[PaperHost::Arxiv]);
            let error = Sites::new(addresses).unwrap_err().to_string();
            assert!(error.starts_with("ARXIV_URL must be"), "{error}");
        }
    }

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
