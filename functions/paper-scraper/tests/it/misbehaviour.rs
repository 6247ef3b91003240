//! A site that misbehaves on purpose: nothing is lost, nothing is taken for what it is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{MemoryStore, run, run_until, scraper, serve};
use annapurna_contract::scrape::ScrapeErrorType;
use annapurna_local::paper_site::PaperSite;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use paper_scraper::error::RunError;
use serde_json::json;
use tokio::time::Instant;

const CAPTCHA: &str = "<!DOCTYPE html><html><body><h1>Automated Access Detected</h1>\
    <div class=\"g-recaptcha\"></div>\u{1b}[31m</body></html>";
const CHALLENGE: &str = "<!DOCTYPE html><title>Verifying your browser | OpenReview</title>";

/// The sample site, with `fault` asked first about each request: its path with query, and how often
/// that has been asked for before.
async fn faulty(
    fault: impl Fn(&str, usize) -> Option<Response> + Clone + Send + Sync + 'static,
) -> (String, Counts) {
    let counts = Counts::default();
    let seen = counts.clone();
    let layer = from_fn(move |request: Request, next: Next| {
        let path = request
            .uri()
            .path_and_query()
            .map_or_else(String::new, ToString::to_string);
        let n_before = seen.add(&path);
        let answer = fault(&path, n_before);
        async move {
            match answer {
                Some(response) => response,
                None => next.run(request).await,
            }
        }
    });
    let router = PaperSite::sample().unwrap().router().layer(layer);
    (serve(router).await, counts)
}

#[derive(Clone, Default)]
struct Counts(Arc<std::sync::Mutex<Vec<String>>>);

impl Counts {
    fn add(&self, path: &str) -> usize {
        let mut paths = self.0.lock().unwrap();
        paths.push(path.to_owned());
        paths.iter().filter(|known| *known == path).count() - 1
    }

    fn of(&self, prefix: &str) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|path| path.starts_with(prefix))
            .count()
    }
}

fn rate_exceeded() -> Response {
    (StatusCode::TOO_MANY_REQUESTS, "Rate exceeded.").into_response()
}

fn empty_feed(total: usize) -> Response {
    let feed = format!(
        "<?xml version='1.0' encoding='UTF-8'?><feed xmlns:opensearch=\"http://a9.com/-/spec/opensearch/1.1/\" \
         xmlns=\"http://www.w3.org/2005/Atom\"><opensearch:totalResults>{total}</opensearch:totalResults>\
         <opensearch:startIndex>0</opensearch:startIndex></feed>"
    );
    ([(header::CONTENT_TYPE, "application/atom+xml")], feed).into_response()
}

#[tokio::test]
async fn faults_that_pass_are_waited_out() {
    let (site, _) = faulty(|path, n_before| match n_before {
        0 if path.starts_with("/api") => Some(rate_exceeded()),
        1 if path.starts_with("/api") => Some(empty_feed(6)),
        0 if path.starts_with("/pdf/2511.90001") => {
            Some(StatusCode::SERVICE_UNAVAILABLE.into_response())
        }
        0 if path.starts_with("/pdf/2511.90002") => Some(Html(CAPTCHA).into_response()),
        0 if path.starts_with("/pdf/2511.90003") => Some("%PDF-1.4 cut sho".into_response()),
        _ => None,
    })
    .await;
    let store = MemoryStore::default();
    let summary = run(&scraper(&site, "ARXIV", &store), json!({}))
        .await
        .unwrap();
    assert_eq!((summary.found, summary.stored, summary.queued), (6, 6, 6));
    assert!(summary.failed.is_empty(), "{summary:?}");
    assert_eq!(summary.cursor, None);
}

#[tokio::test]
async fn a_list_that_stays_blocked_fails_the_run_with_the_evidence() {
    let faults: [fn() -> Response; 3] = [
        rate_exceeded,
        || "Rate exceeded.".into_response(),
        || Html(CHALLENGE).into_response(),
    ];
    for fault in faults {
        for conference in ["ARXIV", "ICLR"] {
            let (site, counts) = faulty(move |_, _| Some(fault())).await;
            let store = MemoryStore::default();
            let error = run(&scraper(&site, conference, &store), json!({}))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ScrapeErrorType::SourceBlocked, "{error}");
            assert!(
                error.to_string().contains("status "),
                "{}",
                error.to_string()
            );
            // The rules of a second list's host, here the same, are the second block in a row.
            let expected = if conference == "ARXIV" { 3 } else { 6 };
            assert_eq!(
                counts.of("/"),
                expected,
                "tried as often as the settings say"
            );
            assert!(store.keys().is_empty());
        }
    }
}

#[tokio::test]
async fn a_page_without_entries_that_should_have_some_is_never_zero_papers() {
    let (site, _) = faulty(|path, _| path.starts_with("/api").then(|| empty_feed(214_881))).await;
    let error = run(&scraper(&site, "ARXIV", &MemoryStore::default()), json!({}))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("no entries from position 0 on"),
        "{}",
        error.to_string()
    );
    let (site, _) = faulty(|path, _| path.starts_with("/api").then(|| empty_feed(0))).await;
    let scraper = scraper(&site, "ARXIV", &MemoryStore::default());
    // A query of the settings that matches nothing is no failure, and is pointed out.
    let summary = run(&scraper, json!({})).await.unwrap();
    assert_eq!(
        (summary.found, summary.cursor, summary.failed.len()),
        (0, None, 1)
    );
    assert_eq!(summary.failed[0].paper, "ARXIV_QUERY `cat:cs.LG`");
    // A person's search may find nothing.
    let summary = run(&scraper, json!({"search_term": "unheard of"}))
        .await
        .unwrap();
    assert_eq!(
        (summary.found, summary.cursor, summary.failed.len()),
        (0, None, 0)
    );
}

#[tokio::test]
async fn an_error_feed_is_reported_in_arxivs_words() {
    let error_feed = include_str!("../../../paper-sources/tests/fixtures/arxiv_error.xml");
    let (site, counts) =
        faulty(move |_, _| Some((StatusCode::BAD_REQUEST, error_feed).into_response())).await;
    let error = run(&scraper(&site, "ARXIV", &MemoryStore::default()), json!({}))
        .await
        .unwrap_err();
    assert!(
        error.to_string().ends_with("start must be an integer"),
        "{}",
        error.to_string()
    );
    assert_eq!(counts.of("/api"), 1, "asking again would not help");
}

#[tokio::test]
async fn a_captcha_instead_of_pdfs_keeps_the_papers_and_leaves_the_site_alone() {
    let (site, counts) = faulty(|path, _| {
        path.starts_with("/pdf")
            .then(|| Html(CAPTCHA).into_response())
    })
    .await;
    let store = MemoryStore::default();
    let summary = run(&scraper(&site, "ARXIV", &store), json!({}))
        .await
        .unwrap();
    assert_eq!(
        (
            summary.found,
            summary.stored,
            summary.metadata_only,
            summary.queued
        ),
        (6, 0, 6, 6),
        "a PDF keeps nothing from the judge"
    );
    assert_eq!(summary.failed.len(), 6);
    // Which of those under way was blocked first, and so keeps the others from asking, is chance.
    let errors = || summary.failed.iter().map(|paper| paper.error.as_str());
    let is_blocked = |error: &str| error.starts_with("blocked at http");
    assert!(errors().any(is_blocked), "{summary:?}");
    for error in errors() {
        assert!(
            error.contains("status 200, content-type `text/html"),
            "{error}"
        );
        assert!(
            !error.contains('\u{1b}'),
            "a page must not act on a terminal"
        );
    }
    // Six papers at three tries each would be 18: those not under way when the site was given up did
    // not ask.
    assert!(counts.of("/pdf") < 18, "{}", counts.of("/pdf"));
    assert_eq!(store.papers().len(), 6);
    assert!(!store.keys().iter().any(|key| key.ends_with(".pdf")));
    let record = store.json(&store.papers()[0]);
    assert_eq!(record["state"], "queued-without-pdf");
    assert_eq!(record["text_expected"], true);
    // A later run, with the site open again, takes them all up.
    let (site, _) = faulty(|_, _| None).await;
    let summary = run(&scraper(&site, "ARXIV", &store), json!({}))
        .await
        .unwrap();
    assert_eq!(
        (summary.stored, summary.queued, summary.metadata_only),
        (6, 6, 0)
    );
}

#[tokio::test]
async fn one_papers_failure_does_not_stop_the_others() {
    let (site, _) = faulty(|path, _| match path {
        path if path.starts_with("/pdf/2511.90004") => Some(StatusCode::NOT_FOUND.into_response()),
        path if path.starts_with("/pdf/2511.90005") => Some("%PDF-1.4 and no end".into_response()),
        _ => None,
    })
    .await;
    let store = MemoryStore::default();
    let scraper = scraper(&site, "ARXIV", &store);
    let summary = run(&scraper, json!({})).await.unwrap();
    assert_eq!(
        (
            summary.found,
            summary.stored,
            summary.metadata_only,
            summary.queued
        ),
        (6, 4, 2, 6)
    );
    assert_eq!(summary.failed.len(), 1);
    assert_eq!(summary.failed[0].paper, "2511.90005");
    assert!(
        summary.failed[0].error.contains("ends before its %%EOF"),
        "{summary:?}"
    );
    let mut told_without = store.messages();
    told_without.retain(|message| message.s3_key.is_none());
    let mut expected: Vec<bool> = told_without.iter().map(|it| it.text_expected).collect();
    expected.sort_unstable();
    assert_eq!(expected, [false, true], "one has none, and one may come");
    // Again: the one without a PDF is not told twice.
    let again = run(&scraper, json!({})).await.unwrap();
    assert_eq!(
        (again.already, again.metadata_only, again.queued),
        (4, 2, 0)
    );
}

#[tokio::test]
async fn a_body_cut_short_of_its_length_is_asked_for_again() {
    let (site, counts) = faulty(|path, n_before| {
        (path.starts_with("/pdf/2511.90001") && n_before == 0).then(|| {
            let pieces = futures::stream::iter([
                Ok(axum::body::Bytes::from_static(b"%PDF-1.4 ")),
                Err(std::io::Error::other("the line went dead")),
            ]);
            Response::builder()
                .header(header::CONTENT_LENGTH, 5000)
                .body(Body::from_stream(pieces))
                .unwrap()
        })
    })
    .await;
    let store = MemoryStore::default();
    let summary = run(&scraper(&site, "ARXIV", &store), json!({}))
        .await
        .unwrap();
    assert_eq!((summary.stored, summary.failed.len()), (6, 0));
    assert_eq!(counts.of("/pdf/2511.90001"), 2);
}

#[tokio::test]
async fn a_pause_the_site_asks_for_is_kept() {
    let (site, _) = faulty(|path, n_before| {
        (path.starts_with("/api") && n_before == 0).then(|| {
            (
                StatusCode::TOO_MANY_REQUESTS,
                [(header::RETRY_AFTER, "1")],
                "slow down",
            )
                .into_response()
        })
    })
    .await;
    let start = Instant::now();
    run(
        &scraper(&site, "ARXIV", &MemoryStore::default()),
        json!({"MAX_PAPERS": 1}),
    )
    .await
    .unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_redirect_to_another_site_is_not_followed() {
    let lure = Arc::new(AtomicUsize::new(0));
    let n_lured = Arc::clone(&lure);
    let other = serve(Router::new().fallback(get(move || async move {
        lure.fetch_add(1, Ordering::Relaxed);
        "secret"
    })))
    .await;
    let (site, _) = faulty(move |path, _| {
        path.starts_with("/pdf")
            .then(|| Redirect::temporary(&format!("{other}/latest/meta-data")).into_response())
    })
    .await;
    let store = MemoryStore::default();
    let summary = run(&scraper(&site, "ARXIV", &store), json!({"MAX_PAPERS": 1}))
        .await
        .unwrap();
    assert_eq!((summary.stored, summary.metadata_only), (0, 1));
    assert_eq!((summary.queued, summary.n_failed()), (1, 1));
    assert!(
        store.messages()[0].text_expected,
        "a wall that sends programs away is no paper without a PDF"
    );
    assert!(
        summary.failed[0].error.contains("which is another site"),
        "{summary:?}"
    );
    assert_eq!(n_lured.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_run_that_was_cut_before_its_message_sends_it_later() {
    let (site, counts) = faulty(|_, _| None).await;
    let store = MemoryStore::default();
    store.set_queue_is_down(true);
    let scraper = scraper(&site, "ARXIV", &store);
    let summary = run(&scraper, json!({})).await.unwrap();
    assert_eq!((summary.queued, summary.failed.len()), (0, 6));
    let error = &summary.failed[0].error;
    assert!(error.starts_with("SendMessage of `"), "{error}");
    assert!(error.ends_with("failed: ServiceUnavailable"), "{error}");
    store.set_queue_is_down(false);
    let summary = run(&scraper, json!({})).await.unwrap();
    assert_eq!(
        (summary.queued, summary.already, summary.failed.len()),
        (6, 6, 0)
    );
    assert_eq!(counts.of("/pdf"), 6, "no PDF was loaded twice");
}

#[tokio::test]
async fn a_run_stops_at_its_deadline_and_another_goes_on() {
    let slow = from_fn(|request: Request, next: Next| async move {
        if request.uri().path().starts_with("/pdf") {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        next.run(request).await
    });
    let site = serve(PaperSite::sample().unwrap().router().layer(slow)).await;
    let store = MemoryStore::default();
    let scraper = scraper(&site, "ARXIV", &store);
    let first = run_until(
        &scraper,
        json!({}),
        Instant::now() + Duration::from_millis(700),
    )
    .await
    .unwrap();
    assert_eq!(
        first.found, 4,
        "four at a time, which end after the time is over, and no more are begun"
    );
    let cursor = first.cursor.clone().unwrap();
    assert!(cursor.ends_with(":4"), "{cursor}");
    let second = run(&scraper, json!({"cursor": cursor})).await.unwrap();
    assert_eq!((second.found, second.cursor), (2, None));
    assert_eq!(store.messages().len(), 6);
    let error = run_until(&scraper, json!({}), Instant::now()).await;
    assert!(
        matches!(error, Ok(summary) if summary.cursor.is_some()),
        "no time at all hands everything over"
    );
}

#[tokio::test]
async fn a_list_that_takes_too_long_is_an_error() {
    let (site, _) = faulty(|_, _| Some(StatusCode::SERVICE_UNAVAILABLE.into_response())).await;
    let mut http = crate::support::hasty();
    http.retry_base = Duration::from_secs(2);
    let settings =
        paper_scraper::settings::Settings::from_config(crate::support::config(&site, "ICLR"))
            .unwrap();
    let store = MemoryStore::default().store();
    let scraper = paper_scraper::scraper::Scraper::with_http(settings, store, http).unwrap();
    let soon = Instant::now() + Duration::from_millis(100);
    let error = run_until(&scraper, json!({}), soon).await.unwrap_err();
    assert!(matches!(error, RunError::OutOfTime { .. }));
    assert!(
        error.to_string().contains("the list of ICLR 2025"),
        "{}",
        error.to_string()
    );
}

/// While a list is read, new papers push the rest over the boundary of its pages.
#[tokio::test]
async fn papers_that_come_meanwhile_repeat_none_and_lose_none() {
    let entry = |n: usize| {
        format!(
            "<entry><id>http://arxiv.org/abs/2601.{n:05}v1</id><title>Paper {n}</title><summary>Text {n}.</summary>\
             <published>2026-01-01T00:00:00Z</published>\
             <link title=\"pdf\" href=\"https://arxiv.org/pdf/2601.{n:05}v1\"/></entry>"
        )
    };
    let n_requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&n_requests);
    let list = get(async move |uri: axum::http::Uri| {
        let n_new = counted.fetch_add(1, Ordering::SeqCst);
        let start = uri
            .query()
            .unwrap_or_default()
            .split("start=")
            .nth(1)
            .unwrap();
        let start: usize = start.split('&').next().unwrap().parse().unwrap();
        // Newest first, three on a page, and one more paper with every request.
        let total = 7 + n_new;
        let entries: String = (1..=total).rev().skip(start).take(3).map(entry).collect();
        format!(
            "<?xml version='1.0'?><feed xmlns:opensearch=\"http://a9.com/-/spec/opensearch/1.1/\" xmlns=\"http://www.w3.org/2005/Atom\">\
             <opensearch:totalResults>{total}</opensearch:totalResults><opensearch:startIndex>{start}</opensearch:startIndex>{entries}</feed>"
        )
    });
    let pdf = get(async || {
        (
            [(header::CONTENT_TYPE, "application/pdf")],
            "%PDF-1.4\n%%EOF\n",
        )
    });
    let router = Router::new()
        .route("/api/query", list)
        .route("/pdf/{*id}", pdf);
    let store = MemoryStore::default();
    let summary = run(&scraper(&serve(router).await, "ARXIV", &store), json!({}))
        .await
        .unwrap();
    assert_eq!(
        (summary.found, summary.stored, summary.cursor),
        (7, 7, None)
    );
    let titles: std::collections::BTreeSet<String> =
        store.messages().into_iter().map(|it| it.title).collect();
    let wanted = (1..=7).map(|n| format!("Paper {n}")).collect();
    assert_eq!(titles, wanted);
    assert_eq!(n_requests.load(Ordering::SeqCst), 3);
}
