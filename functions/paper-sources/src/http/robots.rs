//! The robots rules of a host (RFC 9309): read before its first page, and kept for a day.
//!
//! A host without rules (4xx) is open; one whose rules cannot be read is not asked; one that answers
//! with a block page blocks. Matching is `robotxt`'s.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use robotxt::Robots;
use tokio::time::Instant;
use url::Url;

use super::error::HttpError;
use super::hosts::later;
use super::{Http, Page};

/// Our name in robots rules.
const PRODUCT_TOKEN: &str = "Annapurna";
/// RFC 9309, 2.4: rules should not be kept for longer.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest `Crawl-delay` that is followed; a longer one would stop a run altogether.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// The rules of every scheme, host and port asked so far.
#[derive(Debug, Default)]
pub(super) struct RobotsRules(Mutex<HashMap<String, Arc<Known>>>);

/// What is known of one host. Locked while its rules are read, so that they are read once.
type Known = tokio::sync::Mutex<Option<Answer>>;

#[derive(Debug)]
struct Answer {
    rules: Result<Robots, HttpError>,
    until: Instant,
}

impl RobotsRules {
    fn of(&self, url: &Url) -> Arc<Known> {
        let origin = url.origin().ascii_serialization();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(origin).or_default())
    }
}

impl Http {
    /// Refuses an address that its host's rules close, or whose rules cannot be read now.
    pub(super) async fn check_robots(&self, url: &Url) -> Result<(), HttpError> {
        if self.settings().is_unruled(url) {
            return Ok(());
        }
        let known = self.robots().of(url);
        let mut known = known.lock().await;
        let left = |answer: &Answer| answer.until.saturating_duration_since(Instant::now());
        let kept = known.take().filter(|answer| !left(answer).is_zero());
        let is_kept = kept.is_some();
        let answer = match kept {
            Some(answer) => answer,
            None => self.read_robots(url).await,
        };
        let answer = known.insert(answer);
        match &answer.rules {
            Ok(rules) if !rules.is_url_allowed(url) => Err(HttpError::Forbidden {
                url: url.to_string(),
            }),
            Ok(_) => Ok(()),
            Err(error) if is_kept => Err(remembered(error, url, left(answer))),
            Err(error) => Err(error.clone()),
        }
    }

    async fn read_robots(&self, url: &Url) -> Answer {
        let rules = match robotxt::robots_url(url) {
            // Boxed because reading a document asks for the rules of its host.
            Ok(address) => Box::pin(self.unruled_text(&address)).await.map(rules_of),
            Err(error) => Err(HttpError::Client(error.to_string())),
        };
        let rules = rules.or_else(without_rules);
        if let Some(delay) = rules.as_ref().ok().and_then(Robots::crawl_delay) {
            self.host(url).slow_down(delay.min(LONGEST_DELAY));
        }
        let kept = match &rules {
            Ok(_) => KEPT,
            // They were not asked for, and whether they can be is known at the host.
            Err(HttpError::Resting { .. }) => Duration::ZERO,
            Err(_) => self.settings().rest,
        };
        Answer {
            rules,
            until: later(kept),
        }
    }
}

/// What is answered for an address that was not asked for, nor were its host's rules once more.
fn remembered(error: &HttpError, url: &Url, left: Duration) -> HttpError {
    match error {
        HttpError::Blocked { evidence, .. } | HttpError::Server { evidence, .. } => {
            HttpError::resting(url, evidence.clone(), left)
        }
        _ => error.clone(),
    }
}

fn rules_of(page: Page) -> Robots {
    Robots::parse(&page.body, PRODUCT_TOKEN)
}

/// A host that has no rules is open. Rules that lie on another site are of that site: it would be
/// asked for them before its own pages are.
fn without_rules(error: HttpError) -> Result<Robots, HttpError> {
    match error {
        HttpError::Missing { .. }
        | HttpError::Refused { .. }
        | HttpError::Redirect { .. }
        | HttpError::TooLarge { .. }
        | HttpError::Forbidden { .. } => Ok(Robots::allow_all()),
        HttpError::Blocked { .. }
        | HttpError::Resting { .. }
        | HttpError::Server { .. }
        | HttpError::Unusable { .. }
        | HttpError::Unreadable { .. }
        | HttpError::Network { .. }
        | HttpError::Lease { .. }
        | HttpError::Client(_) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(rules: &str, path: &str) -> bool {
        let url = Url::parse("https://a.example").unwrap().join(path).unwrap();
        Robots::parse(rules.as_bytes(), PRODUCT_TOKEN).is_url_allowed(&url)
    }

    #[test]
    fn our_own_group_counts_and_without_one_that_of_everybody() {
        let rules = "User-agent: *\nDisallow: /\n\nUser-agent: annapurna\nDisallow: /private/\nAllow: /private/a$\nCrawl-delay: 2\n";
        assert!(allows(rules, "/pdf/1") && !allows(rules, "/private/b"));
        assert!(allows(rules, "/private/a") && !allows(rules, "/private/ab"));
        assert!(!allows("User-agent: *\nDisallow: /pdf", "/pdf?id=1"));
        assert!(allows("User-agent: other\nDisallow: /", "/pdf"));
        let delay = Robots::parse(rules.as_bytes(), PRODUCT_TOKEN).crawl_delay();
        assert_eq!(delay, Some(Duration::from_secs(2)));
    }

    #[test]
    fn what_is_no_rule_rules_nothing() {
        for junk in ["", "\0\u{1}Disallow /", "<html><body>Disallow: /</body>"] {
            assert!(allows(junk, "/x"), "{junk:?}");
        }
    }
}
