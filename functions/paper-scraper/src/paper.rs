//! A paper as a source lists it, and what a source can do.

use annapurna_contract::{PaperId, Source};
use async_trait::async_trait;
use serde_json::Value;
use url::Url;

use crate::http::HttpError;

/// A paper of a list: everything the source said, and where its PDF is.
#[derive(Debug, Clone, PartialEq)]
pub struct Paper {
    /// The source that lists it.
    pub source: Source,
    /// Conference year, or the year of arXiv's first version.
    pub year: u16,
    /// The source's own name of the paper, without a version.
    pub source_id: String,
    /// Where a list goes on after this paper; grows along the list.
    pub position: u64,
    /// Title, white space collapsed. Never empty; `0` is a title.
    pub title: String,
    /// In the source's order; empty when it names none.
    pub authors: Vec<String>,
    /// Abstract, white space collapsed, when there is one.
    pub abstract_text: Option<String>,
    /// `YYYY-MM-DD`, when known.
    pub date: Option<String>,
    /// The source's page of the paper.
    pub url: Option<String>,
    /// Where the PDF should be, on a configured host; `None` when the source names no PDF.
    pub pdf_url: Option<Url>,
    /// Everything the source said, as it said it.
    pub source_record: Value,
}

impl Paper {
    /// The id that the whole pipeline knows the paper by.
    pub fn id(&self) -> PaperId {
        PaperId::of(&self.title, self.abstract_text.as_deref())
    }
}

/// An entry of a list that is not a paper, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenEntry {
    /// What the source calls it, or where it stands in the list.
    pub entry: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A part of a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// Papers in the order of their positions.
    pub papers: Vec<Paper>,
    /// Entries that could not be read.
    pub broken: Vec<BrokenEntry>,
    /// Where to go on; `None` when the list ends here.
    pub next: Option<u64>,
}

/// Why a list could not be had. The run fails with it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The site did not answer as it should.
    #[error("cannot list the papers of {source_name}: {error}")]
    Http {
        /// The source's name.
        source_name: &'static str,
        /// What happened, with its evidence.
        error: HttpError,
    },
    /// arXiv refused the query.
    #[error("arXiv refused the query `{query}`: {message}")]
    QueryRefused {
        /// The query sent.
        query: String,
        /// arXiv's words.
        message: String,
    },
    /// A configured query that matches nothing is a mistake, not an empty day.
    #[error(
        "arXiv has no paper for ARXIV_QUERY `{query}`: check its field prefixes and categories"
    )]
    EmptyQuery {
        /// The query sent.
        query: String,
    },
    /// The conference's site has no list of that year.
    #[error(
        "{conference} has no list of papers for {year} at {url}; years known to have one: {known}"
    )]
    NoSuchYear {
        /// The conference.
        conference: &'static str,
        /// The year asked for.
        year: u16,
        /// Where it should be.
        url: String,
        /// Years known to have one.
        known: String,
    },
    /// No paper has the topic.
    #[error("no topic `{filter}` at {conference} {year}; topics: {existing}")]
    NoSuchTopic {
        /// The filter of the event.
        filter: String,
        /// The conference.
        conference: &'static str,
        /// Its year.
        year: u16,
        /// Topics that exist, or a word that there are none.
        existing: String,
    },
    /// The list keeps its abstracts in a second file, which is not there.
    #[error("the list of {conference} {year} has no abstracts and {url} is not there")]
    NoAbstracts {
        /// The conference.
        conference: &'static str,
        /// Its year.
        year: u16,
        /// Where the abstracts should be.
        url: String,
    },
    /// The pages of a list lead elsewhere or in a circle.
    #[error("the list at {url} goes on at `{next}`, which is not followed: {reason}")]
    BadNextPage {
        /// The page.
        url: String,
        /// Its `next`, escaped.
        next: String,
        /// Why not.
        reason: &'static str,
    },
    /// The pages of a list together hold another number of papers than the list says.
    #[error("the list at {url} says that it has {expected} entries and has {found}")]
    WrongCount {
        /// The first page.
        url: String,
        /// Its count.
        expected: u64,
        /// Entries on all its pages.
        found: u64,
    },
}

/// A place that lists papers and has their PDFs, for one query.
#[async_trait]
pub trait PaperSource: Send + Sync {
    /// Lists at most `limit` papers from a position on; 0 is the beginning.
    async fn list(&self, from: u64, limit: usize) -> Result<Listing, SourceError>;
}
