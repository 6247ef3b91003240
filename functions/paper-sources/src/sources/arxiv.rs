//! arXiv, through its Atom API.
//!
//! In: a query. Out: its papers, newest first, a page at a time. Positions are offsets in that list:
//! papers that arrive meanwhile push the rest to higher offsets, so going on from a position can
//! repeat a paper and never skips one. A link in a feed only ever gives a path on the configured host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use annapurna_contract::scrape::Since;
use annapurna_contract::text::{clean, excerpt};
use annapurna_contract::{PaperHost, Source};
use async_trait::async_trait;
use chrono::{Datelike, NaiveDate, TimeDelta, Utc};
use url::Url;

use super::atom::{self, Answer, AtomEntry, AtomFeed};
use super::hosts::Hosts;
use crate::http::{Expect, Http, HttpError};
use crate::paper::{BrokenEntry, Details, Paper};
use crate::paper_source::{Listing, PaperSource, SourceError};
use crate::sites::join;
use crate::text::is_web_address;

/// Entries of one page; arXiv allows 2000 and recommends less.
const PAGE: usize = 200;

/// A span in which a category has new papers, weekends and holidays included.
const SURE_SPAN: TimeDelta = TimeDelta::days(5);
/// How often arXiv is asked before a list that should have papers is believed to be empty.
const EMPTY_ANSWERS: usize = 3;

/// A search at arXiv.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The text for `search_query`.
    pub text: String,
    /// The query is the settings' own, where one that matches nothing looks like a mistake.
    pub(crate) is_configured: bool,
    /// Many papers are sure to match: no paper is a hiccup of arXiv's until it has said so thrice.
    pub(crate) is_sure: bool,
    /// What was asked for, the same at every hour: a span before now is another text each time.
    pub name: String,
}

impl Query {
    /// The event's words as one phrase, or else the `configured` query; within a year, or since a moment,
    /// when one is given. The words hold a letter or a digit, as those of a checked request do.
    pub fn new(
        configured: &str,
        search_term: Option<&str>,
        year: Option<u16>,
        since: Option<&Since>,
    ) -> Self {
        let mut query = Self::configured(configured);
        if let Some(words) = search_term {
            query.text = phrase(words);
            query.name = query.text.clone();
            query.is_configured = false;
        }
        if let Some(year) = year {
            let span = format!("submittedDate:[{year}01010000 TO {year}12312359]");
            query = query.within(&span, &span);
        }
        if let Some(since) = since {
            // The end lies beyond every paper: arXiv's ranges need both.
            let moment = since.moment().format("%Y%m%d%H%M");
            let span = format!("submittedDate:[{moment} TO 210001010000]");
            query = query.within(&span, since.text());
            query.is_sure = search_term.is_none() && Utc::now() - since.moment() >= SURE_SPAN;
        }
        query
    }

    /// The query of the settings.
    pub fn configured(query: &str) -> Self {
        Self {
            name: query.to_owned(),
            text: query.to_owned(),
            is_configured: true,
            is_sure: false,
        }
    }

    fn within(self, span: &str, name: &str) -> Self {
        Self {
            text: format!("({}) AND {span}", self.text),
            // A year or a day without papers is no mistake.
            is_configured: false,
            is_sure: self.is_sure,
            name: format!("({}) AND {name}", self.name),
        }
    }
}

/// `all:"…"` around words that cannot leave the quotes: arXiv's query language has no escape, so
/// whatever is neither a letter, a digit nor harmless punctuation becomes a blank.
fn phrase(words: &str) -> String {
    let is_harmless =
        |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | ',' | '\'' | '+' | '_');
    let words: String = words
        .chars()
        .map(|c| if is_harmless(c) { c } else { ' ' })
        .collect();
    format!("all:\"{}\"", clean(&words))
}

/// One search at arXiv.
#[derive(Debug)]
pub struct Arxiv {
    http: Arc<Http>,
    api_url: Url,
    pdf_base: Url,
    query: Query,
    /// The largest total that a page has named: a later page with nothing on it contradicts it.
    largest_total: AtomicU64,
}

impl Arxiv {
    /// Sets up a search; nothing is requested yet.
    pub fn new(http: Arc<Http>, hosts: &Hosts, query: Query) -> Self {
        Self {
            http,
            api_url: hosts[PaperHost::ArxivApi].clone(),
            pdf_base: hosts[PaperHost::Arxiv].clone(),
            query,
            largest_total: AtomicU64::new(0),
        }
    }

    fn page_url(&self, start: u64, n_results: usize) -> Url {
        let mut url = join(&self.api_url, "api/query");
        url.query_pairs_mut()
            .append_pair("search_query", &self.query.text)
            .append_pair("start", &start.to_string())
            .append_pair("max_results", &n_results.to_string())
            .append_pair("sortBy", "submittedDate")
            .append_pair("sortOrder", "descending");
        url
    }

    async fn page(&self, start: u64, n_results: usize) -> Result<Answer, HttpError> {
        let url = self.page_url(start, n_results);
        let known_total = self.largest_total.load(Ordering::Relaxed);
        let read = |page: crate::http::Page| -> Result<Answer, String> {
            let answer = atom::parse(&page.body).map_err(|error| error.to_string())?;
            match answer {
                Answer::Feed(feed) => plausible(feed, start, known_total).map(Answer::Feed),
                Answer::Error(_) => Ok(answer),
            }
        };
        self.http.get_with(&url, Expect::Atom, read).await
    }
}

impl Arxiv {
    async fn feed(&self, start: u64, limit: usize) -> Result<AtomFeed, SourceError> {
        let source_name = Source::Arxiv.name();
        let answer = self.page(start, limit.clamp(1, PAGE)).await;
        match answer.map_err(|error| SourceError::Http { source_name, error })? {
            Answer::Feed(feed) => Ok(feed),
            Answer::Error(message) => Err(SourceError::QueryRefused {
                query: self.query.text.clone(),
                message: excerpt(message.as_bytes(), 300),
            }),
        }
    }
}

/// Refuses a page without entries where there must be some.
fn plausible(feed: AtomFeed, start: u64, known_total: u64) -> Result<AtomFeed, String> {
    let total = feed.total.max(known_total);
    let is_beyond_the_end = start >= total && (start == 0 || total > 0);
    if feed.entries.is_empty() && !is_beyond_the_end {
        return Err(format!(
            "no entries from position {start} on, although the list has {total} by this page or an earlier one"
        ));
    }
    Ok(feed)
}

#[async_trait]
impl PaperSource for Arxiv {
    fn http(&self) -> &Http {
        &self.http
    }

    /// arXiv's feed says everything.
    async fn details(&self, _paper: &Paper) -> Result<Details, HttpError> {
        Ok(Details::default())
    }

    async fn list(&self, start: u64, limit: usize) -> Result<Listing, SourceError> {
        let mut feed = self.feed(start, limit).await?;
        for _ in 1..EMPTY_ANSWERS {
            if feed.total > 0 || !self.query.is_sure {
                break;
            }
            tracing::warn!(
                query = self.query.text,
                "no paper where there should be many: asking again"
            );
            feed = self.feed(start, limit).await?;
        }
        self.largest_total.fetch_max(feed.total, Ordering::Relaxed);
        let is_doubtful = feed.total == 0 && self.query.is_configured;
        let mut listing = listing_of(feed, start, limit, &self.pdf_base);
        if is_doubtful {
            listing.problems.push(BrokenEntry {
                entry: format!("ARXIV_QUERY `{}`", self.query.text),
                reason: "arXiv has no paper for it: check its field prefixes and categories"
                    .to_owned(),
            });
        }
        Ok(listing)
    }
}

fn listing_of(feed: AtomFeed, start: u64, limit: usize, pdf_base: &Url) -> Listing {
    let mut listing = Listing::default();
    let mut position = start;
    // A server may give more than was asked for.
    for entry in feed.entries.into_iter().take(limit) {
        position += 1;
        match paper_of(entry, position, pdf_base) {
            Ok(paper) => listing.papers.push(paper),
            Err(broken) => listing.broken.push(broken),
        }
    }
    let is_more = position > start && position < feed.total;
    listing.next = is_more.then_some(position);
    listing
}

fn paper_of(entry: AtomEntry, position: u64, pdf_base: &Url) -> Result<Paper, BrokenEntry> {
    let broken = |reason: &str| BrokenEntry {
        entry: match entry.id.as_str() {
            "" => format!("entry before position {position}"),
            id => excerpt(id.as_bytes(), 100),
        },
        reason: reason.to_owned(),
    };
    let source_id = source_id(&entry.id).ok_or_else(|| broken("its id is not one of arXiv"))?;
    if entry.title.is_empty() {
        return Err(broken("it has no title"));
    }
    let date = entry.published.as_deref().and_then(date_of);
    let date = date.ok_or_else(|| broken("it has no date of publication"))?;
    let year = u16::try_from(date.year()).map_err(|_| broken("its date is impossible"))?;
    let source_record = serde_json::to_value(&entry)
        .map_err(|error| broken(&format!("it cannot be kept as JSON: {error}")))?;
    Ok(Paper {
        source: Source::Arxiv,
        year,
        source_id,
        forum: None,
        repeated_as: Vec::new(),
        position,
        title: entry.title.clone(),
        authors: entry
            .authors
            .iter()
            .map(|author| author.name.clone())
            .collect(),
        abstract_text: entry.summary.clone(),
        date: Some(date.to_string()),
        url: entry
            .page_link()
            .filter(|link| is_web_address(link))
            .map(str::to_owned),
        pdf_urls: entry
            .pdf_link()
            .and_then(|link| pdf_url(link, pdf_base))
            .into_iter()
            .collect(),
        details: None,
        unread_list: None,
        page_problem: None,
        source_record,
    })
}

fn date_of(time: &str) -> Option<NaiveDate> {
    time.get(..10)?.parse().ok()
}

/// `2104.12255` or `astro-ph/0601001` of an entry's id, without the version.
fn source_id(id: &str) -> Option<String> {
    let (_, id) = id.split_once("/abs/")?;
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '/');
    let has_digit = id.contains(|c: char| c.is_ascii_digit());
    if !has_digit || id.contains("..") || id.len() > 40 || !id.chars().all(is_fine) {
        return None;
    }
    match id.rsplit_once('v') {
        Some((bare, version)) if !bare.is_empty() && version.parse::<u32>().is_ok() => {
            Some(bare.to_owned())
        }
        _ => Some(id.to_owned()),
    }
}

/// The link's path on the configured host; `None` for a link that is not to a PDF.
fn pdf_url(link: &str, base: &Url) -> Option<Url> {
    let link = Url::parse(link).ok()?;
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '/' | '_');
    let path = link.path();
    // Parsing has resolved dot segments, and an escaped one holds a `%`, which is not fine.
    (path.starts_with("/pdf/") && path.len() > 5 && path.chars().all(is_fine))
        .then(|| join(base, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Url {
        Url::parse("http://127.0.0.1:9/mirror").unwrap()
    }

    #[test]
    fn words_cannot_break_out_of_the_phrase() {
        assert_eq!(phrase("sparse attention"), "all:\"sparse attention\"");
        let hostile = phrase("x\" OR cat:cs.CR AND (all:\"y\\");
        assert_eq!(hostile, "all:\"x OR cat cs.CR AND all y\"");
        assert_eq!(phrase("注意 机制"), "all:\"注意 机制\"");
    }

    #[test]
    fn ids_of_both_styles_lose_their_version() {
        assert_eq!(
            source_id("http://arxiv.org/abs/2104.12255v1").unwrap(),
            "2104.12255"
        );
        assert_eq!(
            source_id("http://arxiv.org/abs/astro-ph/0601001v12").unwrap(),
            "astro-ph/0601001"
        );
        assert_eq!(
            source_id("https://arxiv.org/abs/solv-int/9901001").unwrap(),
            "solv-int/9901001"
        );
        for bad in [
            "http://arxiv.org/abs/",
            "http://arxiv.org/abs/../1",
            "urn:1",
            "http://arxiv.org/abs/1?x",
        ] {
            assert_eq!(source_id(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_link_in_a_feed_only_gives_a_path_on_the_configured_host() {
        let found = pdf_url("https://arxiv.org/pdf/astro-ph/0601001v1", &base()).unwrap();
        assert_eq!(
            found.as_str(),
            "http://127.0.0.1:9/mirror/pdf/astro-ph/0601001v1"
        );
        let elsewhere = pdf_url("https://evil.example/pdf/1", &base()).unwrap();
        assert_eq!(elsewhere.host_str(), Some("127.0.0.1"));
        for bad in [
            "https://arxiv.org/pdf/../admin",
            "https://arxiv.org/abs/1",
            "/pdf/1",
            "https://a/pdf/%2e%2e%2f",
        ] {
            assert_eq!(pdf_url(bad, &base()), None, "{bad}");
        }
    }

    #[test]
    fn a_page_without_entries_is_believed_only_at_the_end() {
        let empty = |total| AtomFeed {
            total,
            start: 0,
            entries: Vec::new(),
        };
        assert!(plausible(empty(0), 0, 0).is_ok());
        assert!(plausible(empty(20), 20, 0).is_ok());
        assert!(plausible(empty(214_881), 0, 0).is_err());
        assert!(plausible(empty(0), 10, 214_881).is_err());
        assert!(
            plausible(empty(0), 10, 0).is_err(),
            "a cursor came from a longer list"
        );
    }
}
