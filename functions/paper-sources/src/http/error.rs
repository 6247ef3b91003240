//! Why a document could not be had, and what was seen instead of it.

use std::fmt;
use std::time::Duration;

use annapurna_contract::scrape::ScrapeErrorType;
use annapurna_contract::text;
use url::Url;

use super::Page;

/// What was seen of an answer, fit for a log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The HTTP status of the last hop.
    pub status: u16,
    /// As the server named it, escaped.
    pub content_type: String,
    /// The first 200 characters of the body, escaped.
    pub excerpt: String,
}

impl Evidence {
    pub(super) fn of(page: &Page) -> Self {
        Self {
            status: page.status,
            content_type: text::excerpt(page.content_type.as_bytes(), 100),
            excerpt: text::excerpt(&page.body, 200),
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            content_type,
            excerpt,
        } = self;
        write!(
            formatter,
            "status {status}, content-type `{content_type}`, body starts `{excerpt}`"
        )
    }
}

/// Why a document could not be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    /// The site holds us off: 429, a captcha, a challenge page, a plain-text refusal.
    #[error("blocked at {url}: {evidence}")]
    Blocked {
        /// The document that was asked for, before any redirect.
        url: String,
        /// The answer after the last retry.
        evidence: Evidence,
    },
    /// The host has held us off before and is left alone. This address was not asked for.
    #[error(
        "not asked: {} holds us off for another {seconds} s: {evidence}",
        host_of(url)
    )]
    Resting {
        /// The document that would have been asked for.
        url: String,
        /// The answer that held us off.
        evidence: Evidence,
        /// For how long the host is still left alone, seconds, rounded up.
        seconds: u64,
    },
    /// The host's robots rules close this address to programs. It was not asked for.
    #[error("the robots rules of {} forbid {url}", host_of(url))]
    Forbidden {
        /// The document, or where a redirect leads to.
        url: String,
    },
    /// 404 or 410: the site says that it does not have this.
    #[error("nothing at {url}: {evidence}")]
    Missing {
        /// The document that was asked for, before any redirect.
        url: String,
        /// What the site says of it, which may name what is missing.
        evidence: Evidence,
    },
    /// Another 4xx: this document is not for us.
    #[error("refused at {url}: {evidence}")]
    Refused {
        /// The document that was asked for, before any redirect.
        url: String,
        /// What the site says of it; a 403 of OpenReview is one closed paper.
        evidence: Evidence,
    },
    /// 5xx or 408, still there after every retry.
    #[error("server fault at {url}: {evidence}")]
    Server {
        /// The document that was asked for, before any redirect.
        url: String,
        /// The answer after the last retry.
        evidence: Evidence,
    },
    /// The answer is not what it should be: truncated, of another kind, or contradicting itself.
    #[error("unusable answer at {url}: {reason}; {evidence}")]
    Unusable {
        /// The document that was asked for, before any redirect.
        url: String,
        /// What was expected and what came, or what its reader says of it.
        reason: String,
        /// The answer after the last retry.
        evidence: Evidence,
    },
    /// The answer is not text in the encoding that it declares, so nothing of it can be taken.
    #[error("unreadable answer at {url}: {reason}")]
    Unreadable {
        /// The document that was asked for, or the hop that sent it.
        url: String,
        /// The encoding that it is not in.
        reason: String,
    },
    /// The body is over the limit.
    #[error("answer at {url} is larger than {limit} bytes")]
    TooLarge {
        /// The document that was asked for, or the hop that sent it.
        url: String,
        /// Bytes that are read of a document of its kind, see [`super::Expect`].
        limit: usize,
    },
    /// A redirect that leaves the site, or one too many.
    #[error("{url} redirects away: {reason}")]
    Redirect {
        /// The hop that leads away, or the first address when there are too many hops.
        url: String,
        /// The address it leads to and what is wrong with that, escaped.
        reason: String,
    },
    /// No answer: resolving, connecting, a reset, a timeout, a body cut short.
    #[error("no complete answer from {url}: {reason}")]
    Network {
        /// The document that was asked for, or the hop that broke off.
        url: String,
        /// Every cause, from what was done to what the system says.
        reason: String,
    },
    /// It could not be made sure that no other run asks this host at the same time.
    #[error("cannot agree with other runs on who asks {host}: {reason}")]
    Lease {
        /// The name that the lease is kept under.
        host: String,
        /// Why the bucket of the leases could not be read or written.
        reason: String,
    },
    /// The client itself could not be made.
    #[error("cannot make the HTTP client: {0}")]
    Client(String),
}

/// The host of an address; the address itself where it has none.
pub(super) fn host_of(url: &str) -> String {
    let host = Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_else(|| url.to_owned())
}

impl HttpError {
    /// True when trying again, now or in a later run, can succeed.
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Blocked { .. }
            | Self::Resting { .. }
            | Self::Server { .. }
            | Self::Unusable { .. }
            | Self::Unreadable { .. }
            | Self::Network { .. }
            | Self::Lease { .. }
            // Walls against programs send them to another site; a paper that has moved is not gone either.
            | Self::Redirect { .. }
            | Self::Client(_) => true,
            Self::Forbidden { .. }
            | Self::Missing { .. }
            | Self::Refused { .. }
            | Self::TooLarge { .. } => false,
        }
    }

    /// What a scrape that fails with it says of itself.
    pub(crate) const fn scrape_error_type(&self) -> ScrapeErrorType {
        match self {
            Self::Blocked { .. } | Self::Resting { .. } => ScrapeErrorType::SourceBlocked,
            error if error.is_temporary() => ScrapeErrorType::SourceUnavailable,
            _ => ScrapeErrorType::SourceRefused,
        }
    }

    /// For how long the host is still left alone, seconds, when this address was not asked for because
    /// of that.
    pub const fn rest_seconds(&self) -> Option<u64> {
        match self {
            Self::Resting { seconds, .. } => Some(*seconds),
            _ => None,
        }
    }

    /// What a host left alone for `left` more answers for an address.
    pub(super) fn resting(url: &Url, evidence: Evidence, left: Duration) -> Self {
        let seconds = left.as_secs();
        Self::Resting {
            url: url.to_string(),
            evidence,
            seconds: seconds.saturating_add(u64::from(left.subsec_nanos() > 0)),
        }
    }
}

/// A failed try: what to report, and whether and when another makes sense.
pub(super) struct Failure {
    pub(super) error: Box<HttpError>,
    pub(super) retry: bool,
    pub(super) asked_pause: Option<Duration>,
}

impl Failure {
    pub(super) fn last(error: HttpError) -> Self {
        Self {
            error: Box::new(error),
            retry: false,
            asked_pause: None,
        }
    }

    pub(super) fn again(error: HttpError) -> Self {
        Self {
            error: Box::new(error),
            retry: true,
            asked_pause: None,
        }
    }

    /// No complete answer came.
    pub(super) fn network(url: &Url, error: &reqwest::Error) -> Self {
        Self::again(HttpError::Network {
            url: url.to_string(),
            reason: text::chain(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_robots_rules_close_is_named_with_its_host_and_stays_closed() {
        let error = HttpError::Forbidden {
            url: "https://a.example/pdf/1".to_owned(),
        };
        assert_eq!(
            error.to_string(),
            "the robots rules of a.example forbid https://a.example/pdf/1"
        );
        assert!(!error.is_temporary());
        assert_eq!(error.rest_seconds(), None);
    }

    #[test]
    fn an_address_that_was_not_asked_for_says_for_how_long_not_and_can_pass() {
        let evidence = Evidence {
            status: 429,
            content_type: "text/plain".to_owned(),
            excerpt: "later".to_owned(),
        };
        let url = Url::parse("https://a.example/pdf/1").unwrap();
        let error = HttpError::resting(&url, evidence, Duration::from_millis(7001));
        assert_eq!(
            error.to_string(),
            "not asked: a.example holds us off for another 8 s: status 429, content-type \
             `text/plain`, body starts `later`"
        );
        assert!(error.is_temporary());
        assert_eq!(error.rest_seconds(), Some(8));
    }
}
