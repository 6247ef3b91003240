//! A paper site on one port: arXiv's API and PDFs, a conference's virtual site, OpenReview's PDFs.
//!
//! In: papers. Out: an HTTP router that answers as those sites do, in their formats. [`PaperSite::sample`]
//! holds the papers of `sample/`, at every source, with PDFs made from their text; [`PaperSite::new`] is
//! empty, for tests that serve their own feeds and PDFs. There is no misbehaviour here: tests of the
//! scrapers bring their own.

mod atom;
mod pdf;
pub(crate) mod sample;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use atom::AtomList;
use sample::Venue;
pub use sample::{SampleEntry, sample_papers};

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

/// Why there is nothing to serve.
#[derive(Debug, thiserror::Error)]
pub enum PaperSiteError {
    /// A file of the sample is no list of papers.
    #[error("sample/{file} is damaged")]
    Sample {
        /// Its name in `sample/`.
        file: &'static str,
        /// What serde says, with line and column.
        #[source]
        source: serde_json::Error,
    },
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

impl PaperSite {
    /// A site with nothing on it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The sample: six papers on arXiv, and four or so at each conference of 2025.
    ///
    /// # Errors
    ///
    /// [`PaperSiteError::Sample`].
    pub fn sample() -> Result<Self, PaperSiteError> {
        let mut site = Self::new();
        let mut lists: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for paper in sample::all()? {
            let bytes = Bytes::from(pdf::build(&paper));
            match &paper.venue {
                Venue::Arxiv(place) => {
                    site.arxiv.push(atom::entry(place, &paper));
                    site.arxiv_pdfs.insert(place.id.clone(), bytes);
                }
                Venue::Conference(place) => {
                    let records = lists.entry(place.list_name()).or_default();
                    records.extend(place.records(&paper, 30_000 + records.len()));
                    site.openreview_pdfs.insert(place.forum.clone(), bytes);
                }
            }
        }
        let with_list = |site: Self, (name, records): (String, _)| site.with_list(&name, records);
        Ok(lists.into_iter().fold(site, with_list))
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

    /// Serves the site below `/`, and `GET /health`.
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
