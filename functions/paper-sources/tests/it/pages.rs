//! The readers of the sites' pages: on small fixtures of our own always, on the recorded pages where
//! they are, and end to end from a local server.

mod damage;
mod pmlr;
mod proceedings;
mod recorded;
mod virtual_pages;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::support::{hasty, hosts, serve};
use annapurna_contract::Source;
use annapurna_paper_sources::http::Http;
use annapurna_paper_sources::sources;
use annapurna_paper_sources::sources::listed::{Edition, ListError, Listed, ListedPaper};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use url::Url;

const CREATIVE: &str = include_str!("../fixtures/proceedings_2025.html");
const MAIN: &str = include_str!("../fixtures/proceedings_2025_main.html");
const DATASETS: &str = include_str!("../fixtures/proceedings_2021_datasets.html");
const YEAR_2021: &str = include_str!("../fixtures/proceedings_2021.html");
const PAPER: &str = include_str!("../fixtures/proceedings_paper.html");
const PAPER_1990: &str = include_str!("../fixtures/proceedings_paper_1990.html");
const VOLUME: &str = include_str!("../fixtures/pmlr_volume.html");
const BIBLIOGRAPHY: &str = include_str!("../fixtures/pmlr_bibliography.bib");
const PMLR_PAPER: &str = include_str!("../fixtures/pmlr_paper.html");
const PAPERS: &str = include_str!("../fixtures/virtual_papers.html");
const EVENT: &str = include_str!("../fixtures/virtual_event.html");
const EVENT_2023: &str = include_str!("../fixtures/virtual_event_2023.html");

const SITE: &str = "http://127.0.0.1:9";

fn edition(source: Source, year: u16) -> Edition {
    Edition { source, year }
}

fn at(path: &str) -> Url {
    Url::parse(SITE).unwrap().join(path).unwrap()
}

fn urls(urls: &[Url]) -> Vec<&str> {
    urls.iter().map(Url::as_str).collect()
}

fn titles(papers: &[ListedPaper]) -> Vec<&str> {
    papers.iter().map(|paper| paper.title.as_str()).collect()
}

fn ids(papers: &[ListedPaper]) -> Vec<&str> {
    papers
        .iter()
        .map(|paper| paper.source_id.as_str())
        .collect()
}

/// A site of fixed pages that remembers what it was asked for.
#[derive(Clone, Default)]
struct Site {
    pages: BTreeMap<&'static str, (String, &'static str)>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    fn of(pages: &[(&'static str, &str)]) -> Self {
        let html = |(path, body): &(&'static str, &str)| (*path, ((*body).to_owned(), "text/html"));
        Self {
            pages: pages.iter().map(html).collect(),
            asked: Arc::default(),
        }
    }

    fn with_text(mut self, path: &'static str, body: &str) -> Self {
        self.pages.insert(path, (body.to_owned(), "text/plain"));
        self
    }

    async fn start(&self) -> String {
        serve(Router::new().fallback(answer).with_state(self.clone())).await
    }

    /// Every request but those for the robots rules, which the client asks for by itself.
    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.retain(|path| path != "/robots.txt");
        asked
    }
}

async fn answer(State(site): State<Site>, uri: Uri) -> Response {
    site.asked.lock().unwrap().push(uri.to_string());
    match site.pages.get(uri.path()) {
        Some((body, "text/html")) => Html(body.clone()).into_response(),
        Some((body, _)) => body.clone().into_response(),
        None => (StatusCode::NOT_FOUND, Html("<html>nothing</html>")).into_response(),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Proceedings,
    Pmlr,
    Virtual,
}

async fn list(site: &Site, kind: Kind, edition: Edition) -> Result<Listed, ListError> {
    let hosts = hosts(&site.start().await, edition.source);
    let http = Http::new(hasty()).unwrap();
    match kind {
        Kind::Proceedings => sources::proceedings::list(&http, &hosts, edition).await,
        Kind::Pmlr => sources::pmlr::list(&http, &hosts, edition).await,
        Kind::Virtual => sources::virtual_pages::list(&http, &hosts, edition).await,
    }
}

fn problem(result: Result<Listed, ListError>) -> String {
    match result {
        Err(ListError::Wrong { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}
