//! OpenReview's lists, asked of a local stand-in that answers as the site does.
mod blocks;
mod damage;
mod newer_api;
mod older_api;
mod paging;
mod recorded;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use annapurna_contract::{PaperHost, Source};
use annapurna_paper_sources::http::Http;
use annapurna_paper_sources::sites::Sites;
use annapurna_paper_sources::sources::hosts::Hosts;
use annapurna_paper_sources::sources::listed::{Edition, ListError, Listed, ListedPaper};
use annapurna_paper_sources::sources::openreview;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{Response, StatusCode};
use axum::routing::get;
use serde_json::{Value, json};

use crate::support::{addresses, hasty, serve};

const V2_NOTES: &str = include_str!("../fixtures/openreview_v2_notes.json");
const V1_NOTES: &str = include_str!("../fixtures/openreview_v1_notes.json");
const V1_REPLIES: &str = include_str!("../fixtures/openreview_v1_replies.json");

const ICLR_2025: Edition = edition(Source::Iclr, 2025);
const ICLR_2023: Edition = edition(Source::Iclr, 2023);

const fn edition(source: Source, year: u16) -> Edition {
    Edition { source, year }
}

/// An answer of the stand-in, before it goes out.
#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn json(status: u16, body: &Value) -> Self {
        let content_type = "application/json; charset=utf-8".to_owned();
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type)],
            body: body.to_string(),
        }
    }

    fn html(status: u16, body: &str) -> Self {
        let content_type = "text/html; charset=utf-8".to_owned();
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type)],
            body: body.to_owned(),
        }
    }

    /// The answer in a recorded file.
    fn recorded(bytes: &[u8]) -> Self {
        let file: Value = serde_json::from_slice(bytes).unwrap();
        let response = &file["response"];
        let headers = response["headers"].as_object().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            status: u16::try_from(response["status"].as_u64().unwrap()).unwrap(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            body: match &response["text"] {
                Value::String(text) => text.clone(),
                _ => response["json"].to_string(),
            },
        }
    }

    /// The same page with something else in it.
    fn edited(&self, edit: impl FnOnce(&mut Value)) -> Self {
        let mut page = serde_json::from_str(&self.body).unwrap();
        edit(&mut page);
        Self::json(self.status, &page)
    }
}

/// One request: which API, and its query.
#[derive(Debug, Clone)]
struct Asked {
    api: String,
    query: BTreeMap<String, String>,
}

impl Asked {
    fn number(&self, name: &str) -> Option<u64> {
        self.query.get(name)?.parse().ok()
    }
}

/// What the stand-in does to its `n`th answer, counted from 1.
type Twist = Arc<dyn Fn(usize, Answer) -> Answer + Send + Sync>;

#[derive(Clone)]
struct Site {
    /// Notes by API and list.
    lists: Arc<HashMap<(String, String), Vec<Value>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    twist: Twist,
}

impl Site {
    fn new<'a>(lists: impl IntoIterator<Item = (&'a str, &'a str, Vec<Value>)>) -> Self {
        let lists = lists
            .into_iter()
            .map(|(api, list, notes)| ((api.to_owned(), list.to_owned()), notes));
        Self {
            lists: Arc::new(lists.collect()),
            asked: Arc::default(),
            twist: Arc::new(|_, answer| answer),
        }
    }

    fn of_iclr_2025(notes: Vec<Value>) -> Self {
        Self::new([("v2", "ICLR.cc/2025/Conference", notes)])
    }

    /// A stand-in that answers with a recorded file, whatever is asked.
    fn replaying(bytes: &[u8]) -> Self {
        let recorded = Answer::recorded(bytes);
        Self::new([]).twisted(move |_, _| recorded.clone())
    }

    fn twisted(mut self, twist: impl Fn(usize, Answer) -> Answer + Send + Sync + 'static) -> Self {
        self.twist = Arc::new(twist);
        self
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    async fn list(&self, edition: Edition) -> Result<Listed, ListError> {
        let router = Router::new()
            .route("/{api}/notes", get(answer))
            .with_state(self.clone());
        let hosts = hosts(&serve(router).await, edition);
        let http = Http::new(hasty()).unwrap();
        openreview::list(&http, &hosts, edition).await
    }

    async fn papers(&self, edition: Edition) -> Vec<ListedPaper> {
        self.list(edition).await.unwrap().papers
    }

    async fn error(&self, edition: Edition) -> ListError {
        self.list(edition).await.unwrap_err()
    }
}

fn hosts(site: &str, edition: Edition) -> Hosts {
    let mut addresses = addresses(site);
    addresses[PaperHost::OpenReviewApiV1] = format!("{site}/v1");
    addresses[PaperHost::OpenReviewApiV2] = format!("{site}/v2");
    Hosts::of(edition.source, &Sites::new(addresses).unwrap()).unwrap()
}

async fn answer(
    State(site): State<Site>,
    Path(api): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response<Body> {
    let asked = Asked { api, query };
    let n_asked = {
        let mut all = site.asked.lock().unwrap();
        all.push(asked.clone());
        all.len()
    };
    let answer = (site.twist)(n_asked, notes_of(&site, &asked));
    let mut response = Response::builder().status(StatusCode::from_u16(answer.status).unwrap());
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).unwrap()
}

/// What the site does with a query: refuses more than 1000, knows only its own API's lists, counts
/// only when an offset is given (v2), sorts and brings replies only when asked.
fn notes_of(site: &Site, asked: &Asked) -> Answer {
    let limit = asked.number("limit").unwrap_or(1000);
    if limit > 1000 {
        return Answer::json(
            400,
            &json!({"name": "ValidationError", "message": "limit must be <= 1000", "status": 400}),
        );
    }
    let name = if asked.api == "v1" {
        "invitation"
    } else {
        "content.venueid"
    };
    let key = (asked.api.clone(), asked.query[name].clone());
    let mut notes = site.lists.get(&key).cloned().unwrap_or_default();
    if asked
        .query
        .get("sort")
        .is_some_and(|sort| sort == "number:asc")
    {
        notes.sort_by_key(|note| note["number"].as_u64().unwrap_or(u64::MAX));
    }
    let has_replies = asked
        .query
        .get("details")
        .is_some_and(|details| details == "directReplies");
    for note in notes.iter_mut().filter(|_| !has_replies) {
        note.as_object_mut().unwrap().remove("details");
    }
    let count = notes.len();
    let offset = asked.number("offset");
    let page: Vec<Value> = notes
        .into_iter()
        .skip(offset.unwrap_or(0) as usize)
        .take(limit as usize)
        .collect();
    let mut body = json!({"notes": page});
    if asked.api == "v1" || offset.is_some() {
        body["count"] = json!(count);
    }
    Answer::json(200, &body)
}

fn fixture(text: &str) -> Vec<Value> {
    let page: Value = serde_json::from_str(text).unwrap();
    page["notes"].as_array().unwrap().clone()
}

/// An accepted paper of ICLR 2025.
fn note(number: usize) -> Value {
    json!({
        "id": format!("note{number:06}"), "forum": format!("note{number:06}"), "number": number,
        "content": {
            "title": {"value": format!("Synthetic Paper {number}")},
            "pdf": {"value": format!("/pdf/{number:040x}.pdf")},
            "venueid": {"value": "ICLR.cc/2025/Conference"},
        },
    })
}

fn notes(n_notes: usize) -> Vec<Value> {
    (1..=n_notes).map(note).collect()
}

fn ids(papers: &[ListedPaper]) -> Vec<&str> {
    papers
        .iter()
        .map(|paper| paper.source_id.as_str())
        .collect()
}

fn pdfs(paper: &ListedPaper) -> Vec<String> {
    let path = |url: &url::Url| match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    paper.pdf_urls.iter().map(path).collect()
}
