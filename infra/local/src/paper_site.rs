//! A paper site on one port: arXiv's API and PDFs, a conference's virtual site, OpenReview's PDFs.
//!
//! In: papers. Out: an HTTP router that answers as those sites do, in their formats. [`PaperSite::sample`]
//! holds the papers of `sample/`, at every source, with PDFs made from their text, and is put together from the
//! same pieces as a site of other papers, which begins with [`PaperSite::new`]. There is no misbehaviour here: tests of the
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
            let pdf = pdf::build(&paper);
            site = match &paper.venue {
                Venue::Arxiv(place) => {
                    site.with_arxiv_paper(&place.id, atom::entry(place, &paper), pdf)
                }
                Venue::Conference(place) => {
                    let records = lists.entry(place.list_name()).or_default();
                    records.extend(place.records(&paper, 30_000 + records.len()));
                    site.with_openreview_pdf(&place.forum, pdf)
                }
            };
        }
        let with_list = |site: Self, (name, records): (String, _)| site.with_list(&name, records);
        Ok(lists.into_iter().fold(site, with_list))
    }

    /// Puts a paper on arXiv, behind those that are there: its `entry` of the Atom feed, and its PDF below `id`,
    /// `2511.90001`.
    pub fn with_arxiv_paper(mut self, id: &str, entry: String, pdf: impl Into<Bytes>) -> Self {
        self.arxiv.push(entry);
        self.arxiv_pdfs.insert(id.to_owned(), pdf.into());
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
    pub fn with_openreview_pdf(mut self, forum: &str, pdf: impl Into<Bytes>) -> Self {
        self.openreview_pdfs.insert(forum.to_owned(), pdf.into());
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
