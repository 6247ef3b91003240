//! What a source can do: list papers, read their pages, fetch their PDFs.

use annapurna_contract::scrape::ScrapeErrorType;
use async_trait::async_trait;
use url::Url;

use crate::http::{Expect, Http, HttpError, Page};
use crate::paper::{BrokenEntry, Details, NoPdf, Paper};
use crate::sources::listed::UnusedList;

/// A part of a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// Papers in the order of their positions.
    pub papers: Vec<Paper>,
    /// Entries that could not be read.
    pub broken: Vec<BrokenEntry>,
    /// Other lists of the same papers that could not be had, and what else a person should know of it.
    pub problems: Vec<BrokenEntry>,
    /// Where to go on; `None` when the list ends here.
    pub next: Option<u64>,
}

/// Why a list could not be had. The run fails with it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The site did not answer as it should.
    #[error("cannot list the papers of {source_name}: {error}")]
    Http {
        /// As people write it, such as `arXiv`.
        source_name: &'static str,
        /// What happened, with its evidence.
        error: HttpError,
    },
    /// arXiv refused the query.
    #[error("arXiv refused the query `{query}`: {message}")]
    QueryRefused {
        /// As it was sent, in the syntax of arXiv's API.
        query: String,
        /// The summary of its feed of one error.
        message: String,
    },
    /// The conference has no list of that year anywhere.
    #[error("{conference} has no list of papers for {year}; years known to have one: {known}")]
    NoSuchYear {
        /// As people write it, such as `NeurIPS`.
        conference: &'static str,
        /// The year asked for.
        year: u16,
        /// Years known to have one.
        known: String,
    },
    /// The sites that are asked have no list of that year.
    #[error(
        "the sites that are asked do not have the list of {conference} {year}, which would be at {urls}{}",
        also_known(known.as_deref())
    )]
    ListAbsent {
        /// The conference.
        conference: &'static str,
        /// The year asked for.
        year: u16,
        /// Each address that says that there is none.
        urls: String,
        /// Years known to have one, where this is a later one.
        known: Option<String>,
    },
    /// No paper has the topic.
    #[error("no topic `{filter}` at {conference} {year}; topics: {existing}")]
    NoSuchTopic {
        /// The filter of the event.
        filter: String,
        /// As people write it, such as `NeurIPS`.
        conference: &'static str,
        /// Year of the proceedings asked for.
        year: u16,
        /// Topics that exist, or a word that there are none.
        existing: String,
    },
    /// No list of the year can be used.
    #[error("cannot list the papers of {conference} {year}: {}", in_words(lists))]
    NoList {
        /// As people write it, such as `NeurIPS`.
        conference: &'static str,
        /// Year of the proceedings asked for.
        year: u16,
        /// Every list of the year, and what is wrong with it.
        lists: Vec<UnusedList>,
    },
}

impl SourceError {
    /// Whether asking again can help.
    pub fn kind(&self) -> ScrapeErrorType {
        match self {
            Self::Http { error, .. } => error.scrape_error_type(),
            Self::NoList { lists, .. } => {
                let has = |wanted| lists.iter().any(|list| list.error_type() == wanted);
                // One list that can be had later is enough.
                let hopeful = [
                    ScrapeErrorType::SourceBlocked,
                    ScrapeErrorType::SourceUnavailable,
                ];
                let found = hopeful.into_iter().find(|wanted| has(*wanted));
                found.unwrap_or(ScrapeErrorType::SourceRefused)
            }
            Self::QueryRefused { .. } => ScrapeErrorType::SourceRefused,
            Self::NoSuchYear { .. } | Self::ListAbsent { .. } | Self::NoSuchTopic { .. } => {
                ScrapeErrorType::InvalidRequest
            }
        }
    }
}

fn also_known(years: Option<&str>) -> String {
    years.map_or_else(String::new, |years| {
        format!("; years known to have one: {years}")
    })
}

fn in_words(lists: &[UnusedList]) -> String {
    let lists: Vec<String> = lists.iter().map(ToString::to_string).collect();
    lists.join("; ")
}

/// A place that lists papers and has their pages and PDFs, for one query.
#[async_trait]
pub trait PaperSource: Send + Sync {
    /// The way to its sites.
    fn http(&self) -> &Http;

    /// Lists at most `limit` papers from a position on; 0 is the beginning.
    async fn list(&self, from: u64, limit: usize) -> Result<Listing, SourceError>;

    /// Reads the paper's own page. Only asked for a paper that has one in `details`.
    async fn details(&self, paper: &Paper) -> Result<Details, HttpError>;

    /// Fetches the PDF from the first place that has it.
    async fn pdf(&self, paper: &Paper) -> Result<(Url, Page), NoPdf> {
        let mut none = NoPdf {
            reason: String::new(),
            is_temporary: paper.unread_list.is_some(),
            rest_seconds: None,
        };
        let mut reasons: Vec<String> = paper.unread_list.iter().cloned().collect();
        let mut was_held_back = none.is_temporary;
        for url in &paper.pdf_urls {
            match self.http().get(url, Expect::Pdf).await {
                Ok(page) => return Ok((url.clone(), page)),
                Err(error) => {
                    none.is_temporary |= error.is_temporary();
                    match error.rest_seconds() {
                        Some(seconds) => {
                            none.rest_seconds = none.rest_seconds.max(Some(seconds));
                        }
                        None => was_held_back |= error.is_temporary(),
                    }
                    reasons.push(error.to_string());
                }
            }
        }
        if reasons.is_empty() {
            reasons.push("the source names no PDF".to_owned());
        }
        // One place that was asked in vain is enough to go on to the next paper.
        none.rest_seconds = none.rest_seconds.filter(|_| !was_held_back);
        none.reason = reasons.join("; ");
        Err(none)
    }
}
