//! The base URLs of one conference's sites, and the one way from an address on a page to one of them.

use std::ops::Index;

use annapurna_contract::{ConfigError, PaperHost, PerHost, Source};
use url::Url;

use crate::sites::{Sites, join};

/// Where the lists, pages and PDFs of a conference are. Public names stand for configured hosts: an
/// address on a page never leads anywhere else.
#[derive(Debug, Clone)]
pub struct Hosts {
    source: Source,
    addresses: PerHost<Url>,
}

impl Index<PaperHost> for Hosts {
    type Output = Url;

    fn index(&self, host: PaperHost) -> &Url {
        &self.addresses[host]
    }
}

impl Hosts {
    /// The hosts of a conference.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] when a setting makes no address for this conference.
    pub fn of(source: Source, sites: &Sites) -> Result<Self, ConfigError> {
        let addresses = PerHost::try_new(|host| sites.address(host, source))?;
        Ok(Self { source, addresses })
    }

    /// The PDF of an OpenReview forum.
    pub fn openreview_pdf(&self, forum: &str) -> Url {
        let mut url = join(&self[PaperHost::OpenReview], "pdf");
        url.query_pairs_mut().append_pair("id", forum);
        url
    }

    /// The forum that an address names: `7HVADbW8fh` of `…/forum?id=7HVADbW8fh` at OpenReview or a part
    /// of it. A group's address is no forum.
    pub(crate) fn forum_id(&self, address: &str) -> Option<String> {
        let address = Url::parse(address.trim()).ok()?;
        let host = address.host_str()?;
        let public = PaperHost::OpenReview.public_name();
        let part = host.strip_suffix(public);
        let is_openreview = part.is_some_and(|part| part.is_empty() || part.ends_with('.'));
        let is_forum = matches!(address.path(), "/forum" | "/pdf");
        if !is_forum || !(is_openreview || address.host() == self[PaperHost::OpenReview].host()) {
            return None;
        }
        let (_, id) = address.query_pairs().find(|(name, _)| name == "id")?;
        is_forum_id(&id).then(|| id.into_owned())
    }

    /// Which of some hosts a public name means.
    pub(super) fn called(&self, name: &str, among: &[PaperHost]) -> Option<PaperHost> {
        let mut among = among.iter().copied();
        among.find(|host| host.is_called(name, self.source))
    }

    /// Puts an address found on a page onto the configured base of its public host.
    ///
    /// `href` may be relative to `page`. An address on the page's own host and port stays there; one on a
    /// public name of a host `among` those given gets that host's base; any other leads nowhere. Neither
    /// scheme, user, port nor fragment of the page's text survives, and `..` is resolved before the path
    /// is looked at.
    pub(super) fn on_configured_host(
        &self,
        href: &str,
        page: &Url,
        among: &[PaperHost],
    ) -> Option<Url> {
        let address = page.join(href.trim()).ok()?;
        if !matches!(address.scheme(), "http" | "https") {
            return None;
        }
        let is_same_host = |other: &&Url| {
            address.host() == other.host()
                && address.port_or_known_default() == other.port_or_known_default()
        };
        let bases = among.iter().map(|host| &self[*host]);
        let known = std::iter::once(page).chain(bases).find(is_same_host);
        let mut found = if let Some(known) = known {
            let mut known = known.clone();
            known.set_path(address.path());
            known
        } else {
            let host = self.called(address.host_str()?, among)?;
            join(&self[host], address.path())
        };
        found.set_query(address.query());
        found.set_fragment(None);
        Some(found)
    }
}

/// OpenReview's ids: letters, digits, `-` and `_`.
pub(crate) fn is_forum_id(id: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=64).contains(&id.len()) && id.chars().all(is_fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_on_a_page_leads_to_a_configured_host_or_nowhere() {
        let page = Url::parse("http://127.0.0.1:9/pmlr/v235/").unwrap();
        let sites = PerHost::new(|_| "http://127.0.0.1:9/files".to_owned());
        let hosts = Hosts::of(Source::Icml, &Sites::new(sites).unwrap()).unwrap();
        let among = [PaperHost::PmlrFiles];
        let there = |href| {
            hosts
                .on_configured_host(href, &page, &among)
                .map(String::from)
        };
        assert_eq!(
            there("https://raw.githubusercontent.com/mlresearch/v235/a.pdf").as_deref(),
            Some("http://127.0.0.1:9/files/mlresearch/v235/a.pdf")
        );
        assert_eq!(
            there("abe24a.html").as_deref(),
            Some("http://127.0.0.1:9/pmlr/v235/abe24a.html")
        );
        assert_eq!(
            there("?page=2#top").as_deref(),
            Some("http://127.0.0.1:9/pmlr/v235/?page=2")
        );
        for bad in [
            "https://evil.example/a.pdf",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http://169.254.169.254/latest",
            "http://127.0.0.1:10/",
        ] {
            assert_eq!(there(bad), None, "{bad}");
        }
    }
}
