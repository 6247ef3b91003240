//! A paper site on one port: arXiv's API and PDFs, a conference's virtual site, OpenReview's PDFs.
//!
//! In: papers. Out: an HTTP router that answers as those sites do, in their formats. [`PaperSite::sample`]
//! holds the ten papers of `sample/papers.json`, six on arXiv and four at ICLR 2025, with PDFs made from
//! their text; [`PaperSite::new`] is empty, for tests that serve their own feeds and PDFs. There is no
//! misbehaviour here: tests of the scrapers bring their own.

mod atom;
mod pdf;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use annapurna_contract::Source;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use atom::AtomList;

const SAMPLE: &str = include_str!("../sample/papers.json");
/// The list of the sample's conference, as the virtual site names its file.
const SAMPLE_LIST: &str = "iclr-2025-orals-posters";

/// Serves the sample until the task is dropped.
///
/// # Errors
///
/// When the listener fails, or the sample is damaged.
pub async fn serve(listener: TcpListener) -> io::Result<()> {
    let site = PaperSite::sample().map_err(io::Error::other)?;
    site.serve(listener).await
}

/// The router of the sample, for a server of one's own.
///
/// # Errors
///
/// [`PaperSiteError`] when the sample is damaged.
pub fn router() -> Result<Router, PaperSiteError> {
    Ok(PaperSite::sample()?.router())
}

/// What identifies a paper of the sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleEntry {
    /// Where it is.
    pub source: Source,
    /// Its title.
    pub title: String,
    /// Its abstract.
    pub abstract_text: String,
}

/// The sample's papers, as a person who waits for them knows them.
///
/// # Errors
///
/// [`PaperSiteError::Sample`].
pub fn sample_papers() -> Result<Vec<SampleEntry>, PaperSiteError> {
    let papers: Vec<SamplePaper> = serde_json::from_str(SAMPLE)?;
    let entry = |paper: SamplePaper| SampleEntry {
        source: if paper.arxiv.is_some() {
            Source::Arxiv
        } else {
            Source::Iclr
        },
        title: paper.title,
        abstract_text: paper.abstract_text,
    };
    Ok(papers.into_iter().map(entry).collect())
}

/// Why there is nothing to serve.
#[derive(Debug, thiserror::Error)]
pub enum PaperSiteError {
    /// The sample's file.
    #[error("sample/papers.json is damaged: {0}")]
    Sample(#[from] serde_json::Error),
    /// A feed that was handed in.
    #[error("the arXiv feed has no entries")]
    EmptyFeed,
}

/// A site and everything on it.
#[derive(Debug, Clone, Default)]
pub struct PaperSite {
    arxiv: AtomList,
    arxiv_pdfs: BTreeMap<String, Bytes>,
    lists: BTreeMap<String, Value>,
    openreview_pdfs: BTreeMap<String, Bytes>,
}

/// A paper of the sample.
#[derive(Debug, Deserialize)]
struct SamplePaper {
    arxiv: Option<String>,
    iclr: Option<String>,
    published: Option<String>,
    primary_category: Option<String>,
    date: Option<String>,
    topic: Option<String>,
    decision: Option<String>,
    title: String,
    authors: Vec<String>,
    #[serde(rename = "abstract")]
    abstract_text: String,
    sections: Vec<Section>,
}

#[derive(Debug, Deserialize)]
struct Section {
    heading: String,
    text: String,
}

impl PaperSite {
    /// A site with nothing on it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The ten sample papers.
    ///
    /// # Errors
    ///
    /// [`PaperSiteError::Sample`].
    pub fn sample() -> Result<Self, PaperSiteError> {
        let mut papers: Vec<SamplePaper> = serde_json::from_str(SAMPLE)?;
        // As arXiv answers a search for the newest.
        papers.sort_by(|one, other| other.published.cmp(&one.published));
        let mut site = Self::new();
        let mut records = Vec::new();
        for paper in &papers {
            let bytes = Bytes::from(pdf::build(paper));
            if let Some(id) = &paper.arxiv {
                site.arxiv.push(atom::entry(id, paper));
                site.arxiv_pdfs.insert(id.clone(), bytes);
            } else if let Some(forum) = &paper.iclr {
                records.extend(records_of(forum, paper, 30_000 + records.len()));
                site.openreview_pdfs.insert(forum.clone(), bytes);
            }
        }
        Ok(site.with_list(SAMPLE_LIST, records))
    }

    /// Puts the entries of a recorded Atom feed on the site, as they are and in their order.
    ///
    /// # Errors
    ///
    /// [`PaperSiteError::EmptyFeed`].
    pub fn with_arxiv_feed(mut self, feed: &str) -> Result<Self, PaperSiteError> {
        self.arxiv = AtomList::of_feed(feed).ok_or(PaperSiteError::EmptyFeed)?;
        Ok(self)
    }

    /// Gives each paper of the feed a PDF, `pdfs` in turn.
    pub fn with_arxiv_pdfs(mut self, pdfs: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let pdfs: Vec<Bytes> = pdfs.into_iter().map(Bytes::from).collect();
        let ids = self.arxiv.ids();
        self.arxiv_pdfs
            .extend(ids.into_iter().zip(pdfs.iter().cycle().cloned()));
        self
    }

    /// Gives one paper a PDF. `id`: `2104.12255` or `astro-ph/0601001`, without a version.
    pub fn with_arxiv_pdf(mut self, id: &str, pdf: Vec<u8>) -> Self {
        self.arxiv_pdfs.insert(id.to_owned(), Bytes::from(pdf));
        self
    }

    /// Puts a conference's list on the site. `name`: `iclr-2025-orals-posters`.
    pub fn with_list(self, name: &str, records: Vec<Value>) -> Self {
        let count = records.len();
        let list = json!({"count": count, "next": null, "previous": null, "results": records});
        self.with_file(name, list)
    }

    /// Puts any JSON file beside the lists. `name`: `iclr-2026-abstracts`.
    pub fn with_file(mut self, name: &str, content: Value) -> Self {
        self.lists.insert(format!("{name}.json"), content);
        self
    }

    /// Gives a forum of OpenReview a PDF.
    pub fn with_openreview_pdf(mut self, forum: &str, pdf: Vec<u8>) -> Self {
        self.openreview_pdfs
            .insert(forum.to_owned(), Bytes::from(pdf));
        self
    }

    /// Gives many forums of OpenReview the same PDF.
    pub fn with_openreview_pdfs(mut self, forums: &[String], pdf: Vec<u8>) -> Self {
        let pdf = Bytes::from(pdf);
        let each = forums.iter().map(|forum| (forum.clone(), pdf.clone()));
        self.openreview_pdfs.extend(each);
        self
    }

    /// The router.
    pub fn router(self) -> Router {
        Router::new()
            .route("/health", get(async || "ok"))
            .route("/api/query", get(api_query))
            .route("/pdf/{*id}", get(arxiv_pdf))
            .route("/pdf", get(openreview_pdf))
            .route("/static/virtual/data/{file}", get(list_file))
            .with_state(Arc::new(self))
    }

    /// Serves until the task is dropped.
    ///
    /// # Errors
    ///
    /// When the listener fails.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        axum::serve(listener, self.router()).await
    }
}

/// A paper's records in the list: its poster, and its talk if it has one.
fn records_of(forum: &str, paper: &SamplePaper, id: usize) -> Vec<Value> {
    let authors: Vec<Value> = paper
        .authors
        .iter()
        .enumerate()
        .map(|(place, name)| json!({"id": id * 10 + place, "fullname": name, "url": null, "institution": ""}))
        .collect();
    let date = paper.date.as_deref().unwrap_or_default();
    let is_talk = paper
        .decision
        .as_deref()
        .is_some_and(|decision| decision.contains("oral"));
    let record = |id: usize, kind: &str| {
        json!({
            "id": id,
            "uid": format!("{id:032x}"),
            "name": paper.title,
            "authors": authors,
            "abstract": paper.abstract_text,
            "topic": paper.topic,
            "keywords": [],
            "decision": paper.decision,
            "eventtype": kind,
            "event_type": kind,
            "sourceurl": "https://openreview.net/group?id=ICLR.cc/2025/Conference",
            "virtualsite_url": format!("/virtual/2025/{}/{id}", kind.to_lowercase()),
            "url": null,
            "paper_url": format!("https://openreview.net/forum?id={forum}"),
            "paper_pdf_url": null,
            "starttime": format!("{date}T10:00:00+08:00"),
            "endtime": format!("{date}T12:30:00+08:00"),
        })
    };
    let mut records = vec![record(id, "Poster")];
    if is_talk {
        records.push(record(id + 1, "Oral"));
    }
    records
}

async fn api_query(
    State(site): State<Arc<PaperSite>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let (status, feed) = match site.arxiv.answer(&query) {
        Ok(feed) => (StatusCode::OK, feed),
        Err(error) => (StatusCode::BAD_REQUEST, error),
    };
    (
        status,
        [(header::CONTENT_TYPE, "application/atom+xml; charset=utf-8")],
        feed,
    )
        .into_response()
}

async fn arxiv_pdf(State(site): State<Arc<PaperSite>>, Path(id): Path<String>) -> Response {
    let id = id.strip_suffix(".pdf").unwrap_or(&id);
    let found = site
        .arxiv_pdfs
        .get(id)
        .or_else(|| site.arxiv_pdfs.get(atom::without_version(id)));
    pdf_response(found)
}

async fn openreview_pdf(
    State(site): State<Arc<PaperSite>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    pdf_response(
        query
            .get("id")
            .and_then(|forum| site.openreview_pdfs.get(forum)),
    )
}

async fn list_file(State(site): State<Arc<PaperSite>>, Path(file): Path<String>) -> Response {
    site.lists
        .get(&file)
        .map_or_else(not_found, |list| axum::Json(list).into_response())
}

fn pdf_response(pdf: Option<&Bytes>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/pdf")];
    pdf.map_or_else(not_found, |pdf| (headers, pdf.clone()).into_response())
}

fn not_found() -> Response {
    let page = "<!DOCTYPE html><html><head><title>404 Not Found</title></head><body></body></html>";
    (StatusCode::NOT_FOUND, axum::response::Html(page)).into_response()
}
