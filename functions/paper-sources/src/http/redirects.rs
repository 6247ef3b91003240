//! Where a redirect may lead: nowhere but within the site.
//!
//! The client follows redirects itself rather than leave them to the library, so that every hop waits
//! for its host's turn and obeys its host's rules.

use annapurna_contract::text;
use reqwest::header::{HeaderMap, LOCATION};
use url::{Host, Url};

use super::error::{Failure, HttpError};

/// Redirects a page may take.
pub(super) const REDIRECTS: usize = 5;

/// The next hop; `None` when the answer is no redirect.
pub(super) fn next_hop(
    from: &Url,
    status: u16,
    headers: &HeaderMap,
) -> Result<Option<Url>, Failure> {
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = headers.get(LOCATION) else {
        return Ok(None);
    };
    let written = text::excerpt(location.as_bytes(), 200);
    let to = location.to_str().ok().and_then(|to| from.join(to).ok());
    let Some(mut to) = to else {
        return Err(away(from, format!("to `{written}`, which is no address")));
    };
    to.set_fragment(None);
    if same_site(from, &to) {
        Ok(Some(to))
    } else {
        Err(away(from, format!("to `{written}`, which is another site")))
    }
}

/// The failure of a page that redirects too often.
pub(super) fn too_many(url: &Url) -> Failure {
    away(
        url,
        format!("more than the {REDIRECTS} redirects that are followed"),
    )
}

fn away(url: &Url, reason: String) -> Failure {
    Failure::last(HttpError::Redirect {
        url: url.to_string(),
        reason,
    })
}

/// The same host, or a host and its subdomain, and never from https to http. An address that is a
/// number leads only to itself, port included.
fn same_site(from: &Url, to: &Url) -> bool {
    if !matches!(to.scheme(), "http" | "https")
        || (from.scheme() == "https" && to.scheme() == "http")
    {
        return false;
    }
    match (from.host(), to.host()) {
        (Some(Host::Domain(a)), Some(Host::Domain(b))) => {
            a == b
                || a.ends_with(&format!(".{b}")) && b.contains('.')
                || b.ends_with(&format!(".{a}"))
        }
        (a, b) => {
            a.is_some() && a == b && from.port_or_known_default() == to.port_or_known_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn redirects_stay_within_the_site() {
        let within = [
            ("https://export.arxiv.org/a", "https://arxiv.org/a"),
            ("http://iclr.cc/a", "https://www.iclr.cc/a"),
            ("http://127.0.0.1:8000/a", "http://127.0.0.1:8000/b"),
        ];
        for (from, to) in within {
            assert!(same_site(&url(from), &url(to)), "{from} {to}");
        }
        let away = [
            ("https://arxiv.org/a", "http://arxiv.org/a"),
            ("https://arxiv.org/a", "https://arxiv.org.example/a"),
            ("https://arxiv.org/a", "https://evilarxiv.org/a"),
            ("https://iclr.cc/a", "https://cc/a"),
            ("http://iclr.cc/a", "http://169.254.169.254/latest"),
            ("http://127.0.0.1:8000/a", "http://127.0.0.1:8001/a"),
            ("https://iclr.cc/a", "file:///etc/passwd"),
        ];
        for (from, to) in away {
            assert!(!same_site(&url(from), &url(to)), "{from} {to}");
        }
    }

    #[test]
    fn a_hop_may_be_relative_and_only_a_redirect_has_one() {
        let hop = |status, location: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(location) = location {
                headers.insert(LOCATION, location.parse().unwrap());
            }
            next_hop(&url("https://a.example/x/y?z"), status, &headers)
        };
        let next = hop(302, Some("../b#c")).ok().unwrap().unwrap();
        assert_eq!(next.as_str(), "https://a.example/b");
        assert_eq!(hop(200, Some("/b")).ok().unwrap(), None);
        assert_eq!(hop(302, None).ok().unwrap(), None);
        let failure = hop(301, Some("https://b.example/")).err().unwrap();
        assert!(!failure.retry && failure.error.is_temporary());
        assert!(failure.error.to_string().ends_with("which is another site"));
    }
}
