//! What every kind of list yields: papers as one list has them, before lists are merged.

use std::collections::BTreeSet;

use annapurna_contract::text::clean;
use annapurna_contract::{Source, normalize_title};
use serde_json::Value;
use url::Url;

use crate::http::HttpError;
use crate::paper::BrokenEntry;

/// The conference and year that a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edition {
    /// The conference.
    pub source: Source,
    /// Its year.
    pub year: u16,
}

/// A paper as one list has it.
#[derive(Debug, Clone, PartialEq)]
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
    /// The OpenReview forum, when known.
    pub forum: Option<String>,
    /// Its id in the proceedings, when known: 32 hexadecimal digits, or PMLR's `v235/abe24a`.
    pub proceedings_id: Option<String>,
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

/// A whole list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listed {
    /// Its papers, each once, ordered by place.
    pub papers: Vec<ListedPaper>,
    /// Entries that could not be read.
    pub broken: Vec<BrokenEntry>,
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
}

impl From<HttpError> for ListError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Missing { url, .. } => Self::Absent { url },
            error => Self::Http(error),
        }
    }
}
