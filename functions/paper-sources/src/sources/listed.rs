//! What every kind of list yields: papers as one list has them, before lists are merged.

use std::collections::BTreeSet;
use std::fmt;

use annapurna_contract::scrape::ScrapeErrorType;
use annapurna_contract::text::clean;
use annapurna_contract::{Source, normalize_title};
use serde_json::Value;
use url::Url;

use crate::http::HttpError;
use crate::paper::{BrokenEntry, DetailsKind, RepeatedEntry};

/// The conference and year that a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edition {
    /// Whose scraper reads it; never arXiv.
    pub source: Source,
    /// Year of the proceedings, four digits.
    pub year: u16,
}

/// A kind of list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// The JSON of the virtual site.
    VirtualFeed,
    /// The virtual site's page of all papers; only where there is no JSON.
    VirtualPages,
    /// The proceedings' software of NeurIPS, MLSys and ICLR.
    Proceedings,
    /// The volume of ICML at PMLR.
    Pmlr,
    /// The accepted notes of OpenReview.
    OpenReview,
}

impl ListKind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::VirtualFeed => "virtual site",
            Self::VirtualPages => "virtual site's pages",
            Self::Proceedings => "proceedings",
            Self::Pmlr => "PMLR",
            Self::OpenReview => "OpenReview",
        }
    }

    /// How a paper's own page in this list is read.
    pub(super) const fn details(self) -> Option<DetailsKind> {
        match self {
            Self::VirtualFeed | Self::VirtualPages => Some(DetailsKind::VirtualSite),
            Self::Proceedings => Some(DetailsKind::Proceedings),
            Self::Pmlr => Some(DetailsKind::Pmlr),
            Self::OpenReview => None,
        }
    }
}

/// A paper as one list has it. What a list leaves out is as in the default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListedPaper {
    /// The list's own name of the paper: the virtual site's id, OpenReview's forum, the hash or id of proceedings.
    pub source_id: String,
    /// Its place in the list; grows along it. A number of the source's own where there is one, so
    /// that it stays when the list changes.
    pub place: u64,
    /// Cleaned; never empty.
    pub title: String,
    /// In order; empty when the list names none.
    pub authors: Vec<String>,
    /// Cleaned, when the list has it.
    pub abstract_text: Option<String>,
    /// `YYYY-MM-DD`, when known.
    pub date: Option<String>,
    /// The paper's page, for people.
    pub url: Option<String>,
    /// Other entries of the list that are this paper, too.
    pub repeated_as: Vec<RepeatedEntry>,
    /// The OpenReview forum, when known.
    pub forum: Option<String>,
    /// Its id in the proceedings, when known: 32 hexadecimal digits, or PMLR's `v235/abe24a`.
    pub(crate) proceedings_id: Option<String>,
    /// Where its PDF should be, on configured hosts, the best place first.
    pub pdf_urls: Vec<Url>,
    /// Topics, as the site writes them: `Deep Learning->Robustness`.
    pub topics: BTreeSet<String>,
    /// The authors' keywords, cleaned; empty where the list has none.
    pub keywords: Vec<String>,
    /// The page that has what this list leaves out (abstract, authors, the PDF's address), on a
    /// configured host; `None` when the list says everything.
    pub details_url: Option<Url>,
    /// Everything the list said, as it said it.
    pub record: Value,
}

impl ListedPaper {
    /// A topic is the filter, or below it: `Deep Learning` takes `Deep Learning->Robustness`.
    pub fn has_topic(&self, filter: &str) -> bool {
        let filter = topic_parts(filter);
        self.topics
            .iter()
            .any(|topic| topic_parts(topic).starts_with(&filter))
    }

    /// Every word is in the title, the abstract or the keywords.
    pub fn has_words(&self, words: &str) -> bool {
        let abstract_text = self.abstract_text.as_deref().unwrap_or_default();
        let text = format!("{} {abstract_text} {}", self.title, self.keywords.join(" "));
        let text = format!(" {} ", normalize_title(&text));
        normalize_title(words)
            .split(' ')
            .all(|word| text.contains(&format!(" {word} ")))
    }
}

fn topic_parts(topic: &str) -> Vec<String> {
    topic
        .split("->")
        .map(|part| clean(part).to_lowercase())
        .filter(|part| !part.is_empty())
        .collect()
}

/// Places of a list lie below this: a position names a list by what lies above.
pub const PLACES: u64 = 1 << 40;

/// A whole list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listed {
    /// Its papers, each once, ordered by place.
    pub papers: Vec<ListedPaper>,
    /// Entries that could not be read.
    pub broken: Vec<BrokenEntry>,
    /// Files beside the list that could not be had; the papers' own pages say the same.
    pub problems: Vec<BrokenEntry>,
    /// The file of the list's abstracts, when it is there and could not be had.
    pub unread_abstracts: Option<UnreadFile>,
}

/// A file beside a list that could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadFile {
    /// What happened, with its evidence.
    pub(super) reason: String,
    /// Whether asking again can help.
    pub(super) kind: ScrapeErrorType,
}

impl UnreadFile {
    pub(super) fn of(error: &HttpError) -> Self {
        Self {
            reason: error.to_string(),
            kind: error.scrape_error_type(),
        }
    }
}

impl Listed {
    /// A list without a paper is none: a site that is being made, or a page that only looks like its list.
    pub(super) fn not_empty(self) -> Result<Self, ListError> {
        match (self.papers.is_empty(), self.broken.len()) {
            (false, _) => Ok(self),
            (true, n_broken) => Err(ListError::Empty { n_broken }),
        }
    }
}

/// Why a list could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The site has no such list: another kind of list may have the papers.
    #[error("there is no list at {url}")]
    Absent {
        /// Where it should be.
        url: String,
    },
    /// The site did not answer as it should.
    #[error(transparent)]
    Http(HttpError),
    /// The list contradicts itself, or cannot be followed to its end.
    #[error("the list at {url} {problem}")]
    Wrong {
        /// Its first page.
        url: String,
        /// What is wrong, with the numbers or the escaped text.
        problem: String,
    },
    /// A list without a paper.
    #[error("it has no paper, and {n_broken} entries that cannot be read")]
    Empty {
        /// Entries that could not be read.
        n_broken: usize,
    },
    /// Nothing says what the papers are about, which is part of what they are known by.
    #[error("it has no abstracts, and neither has {url}")]
    NoAbstracts {
        /// Where the abstracts should be.
        url: String,
    },
    /// The same, and the abstracts' file is there and cannot be had.
    #[error("it has no abstracts, and their file could not be had: {}", .0.reason)]
    UnreadAbstracts(UnreadFile),
    /// Papers of a topic are wanted, and this list, which stands in for another, has no topics.
    #[error("it has no topics")]
    NoTopics,
}

impl ListError {
    /// Whether asking again can help.
    pub(crate) fn kind(&self) -> ScrapeErrorType {
        match self {
            Self::Http(error) => error.scrape_error_type(),
            Self::UnreadAbstracts(file) => file.kind,
            // A list that contradicts itself, or is empty, may be being written.
            Self::Wrong { .. } | Self::Empty { .. } => ScrapeErrorType::SourceUnavailable,
            Self::Absent { .. } | Self::NoAbstracts { .. } | Self::NoTopics => {
                ScrapeErrorType::SourceRefused
            }
        }
    }
}

impl From<HttpError> for ListError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Missing { url, .. } => Self::Absent { url },
            error => Self::Http(error),
        }
    }
}

/// A list that was tried in vain.
#[derive(Debug)]
pub struct UnusedList {
    /// Whose list it is.
    pub(super) kind: ListKind,
    /// Why it is not used.
    pub(super) error: ListError,
}

impl UnusedList {
    /// Whether there is a list, and something is wrong with it.
    pub(super) const fn is_there(&self) -> bool {
        !matches!(self.error, ListError::Absent { .. })
    }

    /// Whether asking again can help.
    pub(crate) fn error_type(&self) -> ScrapeErrorType {
        self.error.kind()
    }

    /// What the answer says of it.
    pub(super) fn problem(&self) -> BrokenEntry {
        BrokenEntry {
            entry: format!("list of {}", self.kind.name()),
            reason: self.error.to_string(),
        }
    }
}

impl fmt::Display for UnusedList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.kind.name(), self.error)
    }
}
