//! A list that cannot be used leaves the year to the next one, and the answer says why.

use std::time::Duration;

use annapurna_contract::scrape::{ScrapeErrorType, ScrapePlan};
use axum::http::StatusCode;
use paper_scraper::call::Call;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Answer, PMLR_PDF, Site, pmlr_volume, record};
use crate::support::{MemoryStore, run, scraper};

const FEED: &str = "/static/virtual/data/mlsys-2022-orals-posters.json";
const PAGES: &str = "/virtual/2022/papers.html";
pub(super) const BOOK: &str = "/paper_files/paper/2022";

pub(super) fn html(body: &str) -> Answer {
    Answer::Page(format!("<!DOCTYPE html><html><body>{body}</body></html>"))
}

pub(super) fn hash(number: usize) -> String {
    format!("a{number:031}")
}

/// Proceedings of MLSys 2022 with their papers' pages and PDFs.
pub(super) fn with_proceedings(mut site: Site, titles: &[&str]) -> Site {
    let mut list = String::new();
    for (number, title) in titles.iter().enumerate() {
        let hash = hash(number);
        let page = format!("{BOOK}/hash/{hash}-Abstract.html");
        list +=
            &format!("<li><a title='paper title' href='{page}'>{title}</a> <i>Ada One</i></li>");
        let paper = format!(
            "<h1 class='paper-title'>{title}</h1><p class='paper-abstract'>The text of {title}.</section>"
        );
        site = site
            .with(&page, html(&paper))
            .with(&format!("{BOOK}/file/{hash}-Paper.pdf"), Answer::Pdf);
    }
    site.with(BOOK, html(&format!("<ul>{list}</ul>")))
}

fn feed(records: &[Value]) -> Answer {
    Answer::Json(json!({"count": records.len(), "next": null, "results": records}))
}

/// Each with what the answer says of it.
fn broken_feeds() -> Vec<(Answer, &'static str)> {
    let one = json!([record(1, "Thimbles", None)]);
    vec![
        (feed(&[]), "it has no paper, and 0 entries"),
        (feed(&[json!({"id": 1})]), "it has no paper, and 1 entries"),
        (
            Answer::Status(StatusCode::INTERNAL_SERVER_ERROR),
            "status 500",
        ),
        (
            Answer::Status(StatusCode::SERVICE_UNAVAILABLE),
            "status 503",
        ),
        (Answer::Status(StatusCode::FORBIDDEN), "status 403"),
        (Answer::Status(StatusCode::TOO_MANY_REQUESTS), "status 429"),
        (Answer::Status(StatusCode::BAD_REQUEST), "status 400"),
        (
            Answer::Text("{\"count\": 1, \"results\": [".to_owned()),
            "the JSON is damaged",
        ),
        (html("There is no such page."), "There is no such page."),
        (Answer::Challenge, "Verifying your browser"),
        (
            Answer::Json(json!({"count": 2, "next": null, "results": one})),
            "has 2 entries and has 1",
        ),
    ]
}

#[tokio::test]
async fn a_broken_first_list_leaves_the_papers_to_the_proceedings() {
    for (answer, reason) in broken_feeds() {
        let site = with_proceedings(Site::default().with(FEED, answer), &["Thimbles"]);
        let store = MemoryStore::default();
        let scraper = scraper(&site.serve().await, "MLSYS", &store);
        let request = json!({"CONFERENCE_YEAR": 2022});
        let list = json!({"step": "list", "request": request});
        let deadline = Instant::now() + Duration::from_secs(60);
        let planned = scraper.answer(Call::read(list, "r"), deadline).await.result;
        let plan: ScrapePlan = serde_json::from_value(planned.unwrap()).unwrap();
        assert_eq!(plan.windows[0].n_papers, 1, "{reason}");
        let of_plan = plan.windows[0].summary_so_far();
        let called = run(&scraper, request).await.unwrap();
        assert_eq!(
            (called.found, called.stored, called.queued),
            (1, 1, 1),
            "{reason}"
        );
        for summary in [of_plan, called] {
            assert_eq!(summary.n_failed(), 1, "{summary:?}");
            assert_eq!(summary.failed[0].paper, "list of virtual site");
            assert!(summary.failed[0].error.contains(reason), "{summary:?}");
        }
        assert_eq!(
            store.messages()[0].abstract_text.as_deref(),
            Some("The text of Thimbles.")
        );
    }
}

#[tokio::test]
async fn when_no_list_can_be_used_the_error_names_each_with_its_reason() {
    let all_empty = Site::default()
        .with(FEED, feed(&[]))
        .with(PAGES, html("Soon."))
        .with(BOOK, html("Soon."));
    let all_broken = Site::default()
        .with(FEED, Answer::Status(StatusCode::BAD_REQUEST))
        .with(PAGES, html("Soon."));
    let cases = [
        (
            all_empty,
            [
                "it has no paper",
                "it names no paper of 2022",
                "it lists no paper",
            ],
        ),
        (
            all_broken,
            [
                "status 400",
                "it names no paper of 2022",
                "there is no list at",
            ],
        ),
    ];
    for (site, reasons) in cases {
        let store = MemoryStore::default();
        let scraper = scraper(&site.serve().await, "MLSYS", &store);
        let event = json!({"CONFERENCE_YEAR": 2022});
        let error = run(&scraper, event).await.unwrap_err();
        assert_eq!(error.kind(), ScrapeErrorType::SourceUnavailable, "{error}");
        let error = error.to_string();
        let names = ["virtual site: ", "virtual site's pages: ", "proceedings: "];
        for part in names.into_iter().chain(reasons) {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert!(store.keys().is_empty());
    }
}

#[tokio::test]
async fn a_topic_is_not_looked_for_where_the_list_that_has_topics_is_broken() {
    let broken = Site::default().with(FEED, Answer::Status(StatusCode::BAD_GATEWAY));
    let site = with_proceedings(broken, &["Thimbles"]);
    let scraper = scraper(&site.serve().await, "MLSYS", &MemoryStore::default());
    let event = json!({"CONFERENCE_YEAR": 2022, "topic_filter": "Sewing"});
    let error = run(&scraper, event).await.unwrap_err().to_string();
    assert!(
        error.contains("status 502") && error.contains("proceedings: it has no topics"),
        "{error}"
    );
}

/// A cursor is a place of one list; at the same place of another is another paper.
#[tokio::test]
async fn a_cursor_goes_on_in_its_own_list_or_at_the_start_of_another() {
    let titles = ["Thimbles", "Needles", "Pins"];
    let broken = Site::default().with(FEED, Answer::Status(StatusCode::BAD_GATEWAY));
    let site = with_proceedings(broken, &titles);
    let address = site.serve().await;
    let store = MemoryStore::default();
    let scraper = scraper(&address, "MLSYS", &store);
    let event =
        |cursor: Option<&str>| json!({"CONFERENCE_YEAR": 2022, "MAX_PAPERS": 1, "cursor": cursor});
    let first = run(&scraper, event(None)).await.unwrap();
    assert_eq!(store.messages()[0].title, "Thimbles");
    let records: Vec<Value> = (1..)
        .zip(titles)
        .map(|(id, title)| record(id, title, None))
        .collect();
    site.put(FEED, feed(&records));
    let second = run(&scraper, event(first.cursor.as_deref())).await.unwrap();
    assert_eq!(
        second.n_failed(),
        0,
        "its own list was asked alone: {second:?}"
    );
    assert_eq!(store.messages()[1].title, "Needles");
    site.put(BOOK, Answer::Status(StatusCode::BAD_GATEWAY));
    let all = json!({"CONFERENCE_YEAR": 2022, "cursor": second.cursor});
    let third = run(&scraper, all).await.unwrap();
    assert_eq!(
        (third.found, third.cursor),
        (3, None),
        "nothing is passed over"
    );
    assert_eq!(third.failed[0].paper, "list of proceedings");
}

#[tokio::test]
async fn a_blocked_bibliography_leaves_the_abstracts_to_the_papers_pages() {
    let volume = pmlr_volume(&[("one25a", "Thimbles")]).replace(
        "<h2>",
        "[<a href=\"./assets/bib/bibliography.bib\">bib</a>]<h2>",
    );
    let paper = "<html><head><meta name='citation_title' content='Thimbles'></head>\
        <body><div id='abstract'>On thimbles.</div></body></html>";
    for answer in [Answer::Challenge, Answer::Status(StatusCode::FORBIDDEN)] {
        let site = Site::default()
            .with("/v267/", Answer::Page(volume.clone()))
            .with("/v267/assets/bib/bibliography.bib", answer)
            .with("/v267/one25a.html", Answer::Page(paper.to_owned()))
            .with(&format!("{PMLR_PDF}one25a/one25a.pdf"), Answer::Pdf);
        let store = MemoryStore::default();
        let scraper = scraper(&site.serve().await, "ICML", &store);
        let summary = run(&scraper, json!({"CONFERENCE_YEAR": 2025}))
            .await
            .unwrap();
        assert_eq!(
            (summary.found, summary.stored, summary.n_failed()),
            (1, 1, 1)
        );
        assert_eq!(summary.failed[0].paper, "bibliography of PMLR");
        assert_eq!(
            store.messages()[0].abstract_text.as_deref(),
            Some("On thimbles.")
        );
    }
}

#[tokio::test]
async fn what_the_list_that_serves_says_twice_is_in_the_answer() {
    let twice = [
        ("one25a", "Thimbles"),
        ("one25b", "THIMBLES"),
        ("two25a", "Needles"),
    ];
    let mut site = Site::default().with("/v267/", Answer::Page(pmlr_volume(&twice)));
    for (key, title) in twice {
        let page = format!(
            "<html><head><meta name='citation_title' content='{title}'></head>\
             <body><div id='abstract'>On {title}.</div></body></html>"
        );
        site = site
            .with(&format!("/v267/{key}.html"), Answer::Page(page))
            .with(&format!("{PMLR_PDF}{key}/{key}.pdf"), Answer::Pdf);
    }
    let store = MemoryStore::default();
    let event = json!({"CONFERENCE_YEAR": 2025});
    let scraper = scraper(&site.serve().await, "ICML", &store);
    let summary = run(&scraper, event).await.unwrap();
    assert_eq!(
        (summary.found, summary.queued, summary.repeated),
        (2, 2, 1),
        "{summary:?}"
    );
    let repeat = &summary.repeats[0];
    assert_eq!(
        (repeat.paper.as_str(), repeat.title.as_str()),
        ("one25b", "THIMBLES")
    );
    assert_eq!(repeat.repeats, "ICML 2025 one25a: Thimbles");
}

/// MLSys 2026, whose abstracts are in a file of their own, with one paper and its page.
fn with_abstracts_apart(abstracts: Answer, page: bool) -> Site {
    let mut record = record(1, "Thimbles", Some("ThimblesForum"));
    record["abstract"] = Value::Null;
    if page {
        record["virtualsite_url"] = json!("/virtual/2026/poster/1");
    }
    Site::default()
        .with_feed("mlsys-2026-orals-posters.json", vec![record])
        .with("/static/virtual/data/mlsys-2026-abstracts.json", abstracts)
        .with("/pdf?id=ThimblesForum", Answer::Pdf)
        .with(
            "/virtual/2026/poster/1",
            html(
                "<h1 class='event-title'>Thimbles</h1>\
                 <div class='abstract-text-inner'>On thimbles.</div>",
            ),
        )
}

/// Each with what the answer says of it, and what the call is when nothing else has the abstracts.
fn unread_abstracts() -> Vec<(Answer, &'static str, ScrapeErrorType)> {
    let unavailable = ScrapeErrorType::SourceUnavailable;
    let blocked = ScrapeErrorType::SourceBlocked;
    let status = Answer::Status;
    vec![
        (Answer::Challenge, "Verifying your browser", blocked),
        (status(StatusCode::TOO_MANY_REQUESTS), "status 429", blocked),
        (status(StatusCode::BAD_GATEWAY), "status 502", unavailable),
        (
            Answer::Text("{\"1\": \"On".to_owned()),
            "damaged",
            unavailable,
        ),
        (
            Answer::Json(json!(["On thimbles."])),
            "no object",
            unavailable,
        ),
    ]
}

#[tokio::test]
async fn an_abstracts_file_that_cannot_be_had_leaves_them_to_the_papers_pages() {
    let event = json!({"CONFERENCE_YEAR": 2026});
    for (answer, reason, _) in unread_abstracts() {
        let store = MemoryStore::default();
        let site = with_abstracts_apart(answer, true);
        let scraper = scraper(&site.serve().await, "MLSYS", &store);
        let summary = run(&scraper, event.clone()).await.unwrap();
        assert_eq!(
            (summary.found, summary.queued, summary.n_failed()),
            (1, 1, 1),
            "{summary:?}"
        );
        assert_eq!(summary.failed[0].paper, "abstracts of virtual site");
        assert!(summary.failed[0].error.contains(reason), "{summary:?}");
        let abstract_text = store.messages()[0].abstract_text.clone();
        assert_eq!(abstract_text.as_deref(), Some("On thimbles."));
        // The file says the same when it comes: nothing is told twice.
        site.put(
            "/static/virtual/data/mlsys-2026-abstracts.json",
            Answer::Json(json!({"1": "On thimbles."})),
        );
        // The site is left alone no longer.
        let scraper = crate::support::scraper(&site.serve().await, "MLSYS", &store);
        let again = run(&scraper, event.clone()).await.unwrap();
        assert_eq!((again.already, again.queued, again.n_failed()), (1, 0, 0));
    }
}

#[tokio::test]
async fn a_list_without_its_abstracts_is_asked_for_again_where_that_can_help() {
    let event = json!({"CONFERENCE_YEAR": 2026});
    for (answer, reason, kind) in unread_abstracts() {
        let store = MemoryStore::default();
        let site = with_abstracts_apart(answer, false);
        let scraper = scraper(&site.serve().await, "MLSYS", &store);
        let error = run(&scraper, event.clone()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let error = error.to_string();
        assert!(
            error.contains("their file could not be had") && error.contains(reason),
            "{error}"
        );
        assert!(store.keys().is_empty());
    }
    let missing = with_abstracts_apart(Answer::Status(StatusCode::NOT_FOUND), false);
    let store = MemoryStore::default();
    let scraper = scraper(&missing.serve().await, "MLSYS", &store);
    let error = run(&scraper, event).await.unwrap_err();
    assert_eq!(error.kind(), ScrapeErrorType::SourceRefused, "{error}");
}
