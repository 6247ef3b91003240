//! A year put together from several lists: which counts, what the others add, and what happens where
//! one of them is missing or closed.

mod fallback;
mod next;
mod own_pages;
mod pages;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::support::{MemoryStore, run, scraper, serve};
use annapurna_contract::PaperHost;
use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};

/// A site of fixed answers by path with query, which can be changed, and a record of what was asked.
#[derive(Clone, Default)]
struct Site {
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
enum Answer {
    Json(Value),
    Page(String),
    Text(String),
    /// A content type and a body.
    Bytes(&'static str, Vec<u8>),
    Pdf,
    Challenge,
    NotForGuests,
    Status(StatusCode),
}

impl Site {
    fn with(self, path: &str, answer: Answer) -> Self {
        self.put(path, answer);
        self
    }

    fn put(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    fn with_feed(self, name: &str, records: Vec<Value>) -> Self {
        let list = json!({"count": records.len(), "next": null, "results": records});
        self.with(&format!("/static/virtual/data/{name}"), Answer::Json(list))
    }

    async fn serve(&self) -> String {
        let site = self.clone();
        serve(Router::new().fallback(async move |request: Request| site.answer(&request))).await
    }

    fn answer(&self, request: &Request) -> Response {
        let path = request.uri().path_and_query().unwrap().to_string();
        self.asked.lock().unwrap().push(path.clone());
        let answers = self.answers.lock().unwrap();
        let answer = answers
            .get(&path)
            .or_else(|| answers.get(path.split('?').next().unwrap()));
        match answer.cloned() {
            Some(Answer::Json(value)) => axum::Json(value).into_response(),
            Some(Answer::Page(page)) => Html(page).into_response(),
            Some(Answer::Text(text)) => text.into_response(),
            Some(Answer::Bytes(kind, body)) => {
                ([(header::CONTENT_TYPE, kind)], body).into_response()
            }
            Some(Answer::Pdf) => {
                let headers = [(header::CONTENT_TYPE, "application/pdf")];
                (headers, "%PDF-1.4\n%%EOF\n").into_response()
            }
            Some(Answer::Challenge) => {
                Html("<!DOCTYPE html><title>Verifying your browser | OpenReview</title>")
                    .into_response()
            }
            Some(Answer::NotForGuests) => {
                let error = json!({"name": "ForbiddenError", "status": 403,
                    "message": "Guests may not read this file"});
                (StatusCode::FORBIDDEN, axum::Json(error)).into_response()
            }
            Some(Answer::Status(status)) => status.into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        }
    }

    fn n_asked(&self, prefix: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|path| path.starts_with(prefix)).count()
    }
}

fn record(id: usize, title: &str, forum: Option<&str>) -> Value {
    let url = forum.map(|forum| format!("https://openreview.net/forum?id={forum}"));
    json!({"id": id, "name": title, "abstract": format!("The text of {title}."), "paper_url": url})
}

fn pmlr_volume(papers: &[(&str, &str)]) -> String {
    let paper = |(key, title): &(&str, &str)| {
        format!(
            "<div class=\"paper\"><p class=\"title\">{title}</p><p class=\"details\"><span class=\"authors\">Ada One,&nbsp;Bo Two</span></p>\
             <p class=\"links\">[<a href=\"https://proceedings.mlr.press/v267/{key}.html\">abs</a>]\
             [<a href=\"https://raw.githubusercontent.com/mlresearch/v267/main/assets/{key}/{key}.pdf\">Download PDF</a>]</p></div>"
        )
    };
    let papers: String = papers.iter().map(paper).collect();
    format!("<!DOCTYPE html><html><body><h2>Volume 267</h2>{papers}</body></html>")
}

const PMLR_PDF: &str = "/pmlr-files/mlresearch/v267/main/assets/";

#[tokio::test]
async fn proceedings_give_the_pdfs_that_a_conferences_feed_leaves_out() {
    let site = Site::default()
        .with_feed(
            "icml-2025-orals-posters.json",
            vec![
                record(1, "Thimbles", None),
                record(2, "Needles", Some("NeedlesForum")),
            ],
        )
        .with(
            "/v267/",
            Answer::Page(pmlr_volume(&[
                ("one25a", "THIMBLES"),
                ("two25a", "Not at the Conference"),
            ])),
        )
        .with(&format!("{PMLR_PDF}one25a/one25a.pdf"), Answer::Pdf)
        .with("/pdf?id=NeedlesForum", Answer::Pdf);
    let store = MemoryStore::default();
    let event = json!({"CONFERENCE": "ICML"});
    let summary = run(&scraper(&site.serve().await, "ANY", &store), event)
        .await
        .unwrap();
    assert_eq!(
        (summary.found, summary.stored, summary.n_failed()),
        (2, 2, 0)
    );
    assert_eq!(
        site.n_asked("/notes"),
        0,
        "nobody needs OpenReview's thousands of notes"
    );
    let messages = store.messages();
    let thimbles = messages.iter().find(|it| it.title == "Thimbles").unwrap();
    assert_eq!(thimbles.authors, ["Ada One", "Bo Two"]);
    assert_eq!(
        thimbles.abstract_text.as_deref(),
        Some("The text of Thimbles.")
    );
    let record = store.json(&thimbles.record_s3_key);
    assert!(record["source_record"]["other_lists"]["PMLR"].is_object());
}

#[tokio::test]
async fn another_place_is_asked_where_the_first_has_no_pdf() {
    let site = Site::default()
        .with_feed(
            "icml-2025-orals-posters.json",
            vec![record(1, "Thimbles", Some("ThimblesForum"))],
        )
        .with(
            "/v267/",
            Answer::Page(pmlr_volume(&[("one25a", "Thimbles")])),
        )
        .with("/pdf?id=ThimblesForum", Answer::Pdf);
    let store = MemoryStore::default();
    let summary = run(&scraper(&site.serve().await, "ICML", &store), json!({}))
        .await
        .unwrap();
    assert_eq!((summary.stored, site.n_asked(PMLR_PDF)), (1, 1));
}

#[tokio::test]
async fn a_title_that_two_papers_of_the_proceedings_have_gives_nobody_a_pdf() {
    let feed = vec![record(1, "Thimbles", Some("ThimblesForum"))];
    let volume = pmlr_volume(&[("one25a", "Thimbles"), ("two25a", "Thimbles")]);
    let site = Site::default()
        .with_feed("icml-2025-orals-posters.json", feed)
        .with("/v267/", Answer::Page(volume))
        .with(&format!("{PMLR_PDF}one25a/one25a.pdf"), Answer::Pdf)
        .with("/pdf?id=ThimblesForum", Answer::Pdf);
    let store = MemoryStore::default();
    let summary = run(&scraper(&site.serve().await, "ICML", &store), json!({}))
        .await
        .unwrap();
    assert_eq!((summary.stored, site.n_asked(PMLR_PDF)), (1, 0));
    assert_eq!(site.n_asked("/pdf?id=ThimblesForum"), 1);
}

#[tokio::test]
async fn a_paper_whose_title_changed_is_found_by_its_id_in_the_proceedings() {
    let mut thimbles = record(1, "Thimbles, Then", None);
    thimbles["paper_url"] = json!("http://proceedings.mlr.press/v267/one25a.html");
    let site = Site::default()
        .with_feed("icml-2025-orals-posters.json", vec![thimbles])
        .with(
            "/v267/",
            Answer::Page(pmlr_volume(&[("one25a", "Thimbles, Now")])),
        )
        .with(&format!("{PMLR_PDF}one25a/one25a.pdf"), Answer::Pdf);
    let store = MemoryStore::default();
    let summary = run(&scraper(&site.serve().await, "ICML", &store), json!({}))
        .await
        .unwrap();
    assert_eq!((summary.found, summary.stored), (1, 1));
    assert_eq!(store.messages()[0].title, "Thimbles, Then");
}

fn v1_note(id: &str, number: usize, title: &str, venue: &str) -> Value {
    json!({"id": id, "forum": id, "number": number, "invitation": "ICLR.cc/2023/Conference/-/Blind_Submission",
        "cdate": 1_664_000_000_000_i64, "content": {"title": title, "abstract": "As OpenReview has it.",
        "authors": ["Cy Three"], "venue": venue, "pdf": "/pdf/0123456789012345678901234567890123456789.pdf"}})
}

#[tokio::test]
async fn openreview_names_the_forums_that_a_feed_leaves_out() {
    let notes = vec![
        v1_note("forumOne1", 1, "Thimbles", "ICLR 2023 poster"),
        v1_note(
            "forumTwo2",
            2,
            "Rejected Thimbles",
            "Submitted to ICLR 2023",
        ),
    ];
    let site = Site::default()
        .with_feed(
            "iclr-2023-orals-posters.json",
            vec![record(1, "Thimbles", None)],
        )
        .with("/notes", Answer::Json(json!({"notes": notes, "count": 2})))
        .with("/pdf?id=forumOne1", Answer::Pdf);
    let store = MemoryStore::default();
    let event = json!({"CONFERENCE_YEAR": 2023});
    let summary = run(&scraper(&site.serve().await, "ICLR", &store), event)
        .await
        .unwrap();
    assert_eq!((summary.found, summary.stored), (1, 1));
    assert_eq!(
        store.messages()[0].abstract_text.as_deref(),
        Some("The text of Thimbles."),
        "the first list counts"
    );
}

#[tokio::test]
async fn a_closed_list_that_only_adds_holds_papers_back_and_is_reported() {
    let site = Site::default()
        .with_feed(
            "iclr-2023-orals-posters.json",
            vec![
                record(1, "Thimbles", None),
                record(2, "Needles", Some("NeedlesForum")),
            ],
        )
        .with("/notes", Answer::Challenge)
        .with("/pdf?id=NeedlesForum", Answer::Pdf);
    let address = site.serve().await;
    let store = MemoryStore::default();
    let event = json!({"CONFERENCE_YEAR": 2023});
    let summary = run(&scraper(&address, "ICLR", &store), event.clone())
        .await
        .unwrap();
    assert_eq!(summary.found, 2);
    assert!(summary.metadata_only >= 1, "{summary:?}");
    let report = serde_json::to_string(&summary.failed).unwrap();
    assert!(
        report.contains("list of OpenReview") && report.contains("Verifying your browser"),
        "{report}"
    );
    let waiting = summary
        .failed
        .iter()
        .find(|failed| failed.paper == "1")
        .unwrap();
    assert!(
        waiting
            .error
            .starts_with("the list of OpenReview could not be had"),
        "{}",
        waiting.error
    );
    // Open again: what was held back comes, and what was there is not loaded again.
    let note = v1_note("forumOne1", 1, "Thimbles", "ICLR 2023 poster");
    site.put("/notes", Answer::Json(json!({"notes": [note], "count": 1})));
    site.put("/pdf?id=forumOne1", Answer::Pdf);
    let later = run(&scraper(&address, "ICLR", &store), event)
        .await
        .unwrap();
    assert_eq!((later.found, later.n_failed()), (2, 0));
    let messages = store.messages();
    assert_eq!(messages.len(), 3, "one of them without its PDF first");
    let with_pdf = messages.iter().filter(|it| it.s3_key.is_some());
    assert_eq!(with_pdf.count(), 2);
}

#[tokio::test]
async fn a_year_that_nobody_lists_names_every_place_that_was_asked() {
    let store = MemoryStore::default();
    let event = json!({"CONFERENCE_YEAR": 2024});
    let error = run(
        &scraper(&Site::default().serve().await, "ICLR", &store),
        event,
    )
    .await
    .unwrap_err()
    .to_string();
    for place in [
        "iclr-2024-orals-posters.json",
        "/virtual/2024/papers.html",
        "/paper_files/paper/2024",
        "/notes",
    ] {
        assert!(error.contains(place), "{place} in {error}");
    }
    assert!(
        error.starts_with(
            "the sites that are asked do not have the list of ICLR 2024, which would be at http"
        ),
        "{error}"
    );
    assert!(
        !error.contains("known to have one"),
        "2024 is one of them: {error}"
    );
}

#[tokio::test]
async fn a_year_that_is_not_known_is_told_with_those_that_are() {
    let site = Site::default().serve().await;
    let told = async |conference: &str, year: u16| {
        let store = MemoryStore::default();
        let event = json!({"CONFERENCE_YEAR": year});
        let answer = run(&scraper(&site, conference, &store), event).await;
        answer.unwrap_err().to_string()
    };
    let known = "years known to have one: 2013 to 2014, 2017 to 2026";
    let never_listed = told("ICLR", 2015).await;
    assert_eq!(
        never_listed,
        format!("ICLR has no list of papers for 2015; {known}")
    );
    let too_early = told("ICLR", 2040).await;
    assert!(
        too_early.starts_with("the sites that are asked do not have the list of ICLR 2040"),
        "{too_early}"
    );
    assert!(too_early.ends_with(known), "{too_early}");
}

#[tokio::test]
async fn one_list_that_cannot_be_had_leaves_the_other_of_both() {
    let feed = vec![record(1, "Thimbles", Some("ThimblesForum"))];
    let site = Site::default()
        .with_feed("iclr-2025-orals-posters.json", feed)
        .with(
            "/static/virtual/data/icml-2025-orals-posters.json",
            Answer::Challenge,
        )
        .with("/pdf?id=ThimblesForum", Answer::Pdf);
    let store = MemoryStore::default();
    let event = json!({"CONFERENCE": "BOTH"});
    let summary = run(&scraper(&site.serve().await, "ANY", &store), event)
        .await
        .unwrap();
    assert_eq!(
        (summary.found, summary.stored, summary.n_failed()),
        (1, 1, 1)
    );
    assert_eq!(summary.failed[0].paper, "the list of ICML 2025");
    assert_eq!(summary.cursor.as_deref(), Some("icml-2025:0"));
}

/// What the robots rules of a site forbid is not asked for, and its papers are told without their PDFs.
#[tokio::test]
async fn a_pdf_that_robots_rules_forbid_is_left_alone() {
    let feed = vec![record(1, "Thimbles", Some("ThimblesForum"))];
    let site = Site::default()
        .with_feed("iclr-2025-orals-posters.json", feed)
        .with(
            "/robots.txt",
            Answer::Text("User-agent: *\nDisallow: /pdf\n".to_owned()),
        )
        .with("/pdf?id=ThimblesForum", Answer::Pdf);
    let address = site.serve().await;
    let mut config = crate::support::config(&address, "ICLR");
    config.hosts[PaperHost::OpenReviewApiV1] = format!("{address}/api1");
    config.hosts[PaperHost::OpenReviewApiV2] = format!("{address}/api2");
    let settings = paper_scraper::settings::Settings::from_config(config).unwrap();
    let store = MemoryStore::default();
    let scraper = paper_scraper::scraper::Scraper::with_http(
        settings,
        store.store(),
        crate::support::hasty(),
    )
    .unwrap();
    let summary = run(&scraper, json!({})).await.unwrap();
    assert_eq!(
        (summary.found, summary.metadata_only, summary.queued),
        (1, 1, 1)
    );
    assert_eq!((site.n_asked("/robots.txt"), site.n_asked("/pdf")), (1, 0));
    let message = &store.messages()[0];
    assert_eq!(message.s3_key, None);
    let record = store.json(&message.record_s3_key);
    let problem = record["pdf_problem"].as_str().unwrap();
    assert!(problem.contains("robots rules"), "{problem}");
}

/// As ICML 2026 was for weeks: accepted papers whose PDFs are not for guests yet, and no proceedings.
#[tokio::test]
async fn papers_without_a_pdf_for_weeks_are_told_and_get_it_later() {
    let feed = vec![record(1, "Thimbles", Some("ThimblesForum"))];
    let site = Site::default()
        .with_feed("icml-2026-orals-posters.json", feed)
        .with("/pdf?id=ThimblesForum", Answer::NotForGuests);
    let address = site.serve().await;
    let store = MemoryStore::default();
    let event = json!({"CONFERENCE_YEAR": 2026});
    let first = run(&scraper(&address, "ICML", &store), event.clone())
        .await
        .unwrap();
    assert_eq!(
        (first.metadata_only, first.queued, first.n_failed()),
        (1, 1, 0)
    );
    let record = store.json(&store.messages()[0].record_s3_key);
    let problem = record["pdf_problem"].as_str().unwrap();
    assert!(problem.contains("ForbiddenError"), "{problem}");
    let again = run(&scraper(&address, "ICML", &store), event.clone())
        .await
        .unwrap();
    assert_eq!(
        (again.metadata_only, again.queued),
        (1, 0),
        "not told twice"
    );
    site.put("/pdf?id=ThimblesForum", Answer::Pdf);
    let later = run(&scraper(&address, "ICML", &store), event)
        .await
        .unwrap();
    assert_eq!((later.stored, later.queued), (1, 1));
    let messages = store.messages();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0].paper_id, messages[1].paper_id);
    assert!(messages[0].s3_key.is_none() && messages[1].s3_key.is_some());
}
