//! A paper as a source lists it.

use annapurna_contract::{PaperId, Source};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

/// A paper of a list: everything the source said, and where its PDF is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paper {
    /// The source that lists it.
    pub source: Source,
    /// Conference year, or the year of arXiv's first version.
    pub year: u16,
    /// The source's own name of the paper, without a version.
    pub source_id: String,
    /// The OpenReview forum, when known: another name of the paper.
    #[serde(default)]
    pub forum: Option<String>,
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
    /// Where the PDF should be, on configured hosts, the best place first; empty when no list names one.
    pub pdf_urls: Vec<Url>,
    /// The page that has what the lists leave out.
    pub details: Option<DetailsPage>,
    /// Other entries of the list that are this paper, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeated_as: Vec<RepeatedEntry>,
    /// Why a list that might name the PDF could not be had now.
    pub(crate) unread_list: Option<String>,
    /// Why nothing of the paper's own page was taken over, though there is one.
    #[serde(default)]
    pub page_problem: Option<String>,
    /// Everything the source said, as it said it.
    pub source_record: Value,
}

impl Paper {
    /// The id that the whole pipeline knows the paper by.
    pub fn id(&self) -> PaperId {
        PaperId::of(&self.title, self.abstract_text.as_deref())
    }
}

impl Paper {
    /// The paper with what its own page says. The page's addresses come first: a list's can be guesses.
    pub fn with_details(mut self, details: Details) -> Self {
        self.pdf_urls = without_repeats([details.pdf_urls, self.pdf_urls].concat());
        if self.authors.is_empty() {
            self.authors = details.authors;
        }
        self.abstract_text = self.abstract_text.or(details.abstract_text);
        self.date = self.date.or(details.date);
        self.forum = self.forum.or(details.forum);
        self.page_problem = details.problem;
        self.details = None;
        self
    }
}

/// Addresses in their order, each once.
pub(crate) fn without_repeats(urls: Vec<Url>) -> Vec<Url> {
    let mut kept: Vec<Url> = Vec::new();
    for url in urls {
        if !kept.contains(&url) {
            kept.push(url);
        }
    }
    kept
}

/// What a paper's own page says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// The titles on the page, by which it is known to be the paper's; compared, and not kept.
    #[serde(skip)]
    pub titles: Vec<String>,
    /// Why the page is not the paper's. Then there is nothing else here.
    #[serde(skip)]
    pub problem: Option<String>,
    /// In order; empty when the page names none.
    pub authors: Vec<String>,
    /// Cleaned, when the page has it.
    pub abstract_text: Option<String>,
    /// `YYYY-MM-DD`, when the page says.
    pub date: Option<String>,
    /// The OpenReview forum, when the page links to it.
    pub forum: Option<String>,
    /// The PDF's addresses on configured hosts.
    pub pdf_urls: Vec<Url>,
}

/// A paper's own page, and how it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetailsPage {
    /// Whose page it is.
    pub kind: DetailsKind,
    /// Its address, on a configured host.
    pub url: Url,
}

/// The sites whose pages of papers are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DetailsKind {
    /// The proceedings' software of NeurIPS, MLSys and ICLR.
    Proceedings,
    /// PMLR.
    Pmlr,
    /// A conference's virtual site.
    VirtualSite,
}

/// Why there is no PDF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPdf {
    /// In words, with the evidence.
    pub reason: String,
    /// A later run may have it.
    pub is_temporary: bool,
    /// It was not even asked for: its site is left alone for so many seconds more.
    pub rest_seconds: Option<u64>,
}

/// An entry of a list that names a paper which another entry of it names: a talk beside the poster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatedEntry {
    /// What the source calls it.
    pub entry: String,
    /// Its title, cleaned.
    pub title: String,
}

/// An entry of a list that is not a paper, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenEntry {
    /// What the source calls it, or where it stands in the list.
    pub entry: String,
    /// What is wrong with it.
    pub reason: String,
}
