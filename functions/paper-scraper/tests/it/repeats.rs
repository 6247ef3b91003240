//! The same list again, whole, in parts and by the same request, against the local paper site.

use std::time::Duration;

use annapurna_contract::scrape::ScrapeSummary;
use annapurna_local::paper_site::PaperSite;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{MemoryStore, run, run_request, sample, scraper, serve};

#[tokio::test]
async fn a_second_run_changes_nothing_and_downloads_nothing() {
    let requests = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&requests);
    let layer = axum::middleware::from_fn(
        move |request: axum::extract::Request, next: axum::middleware::Next| {
            log.lock().unwrap().push(request.uri().path().to_owned());
            next.run(request)
        },
    );
    let site = serve(PaperSite::sample().unwrap().router().layer(layer)).await;
    let store = MemoryStore::default();
    for conference in ["ARXIV", "ICLR"] {
        let scraper = scraper(&site, conference, &store);
        let all = json!({"MAX_PAPERS": 20});
        let first = run(&scraper, all.clone()).await.unwrap();
        let n_writes = store.n_writes();
        requests.lock().unwrap().clear();
        let second = run(&scraper, all).await.unwrap();
        assert_eq!((second.found, second.already), (first.found, first.stored));
        assert_eq!((first.known, second.known), (0, first.found));
        assert_eq!(
            (second.stored, second.queued, second.failed.len()),
            (0, 0, 0)
        );
        assert_eq!(store.n_writes(), n_writes);
        assert!(
            !requests
                .lock()
                .unwrap()
                .iter()
                .any(|path| path.starts_with("/pdf"))
        );
    }
}

#[tokio::test]
async fn a_cursor_walks_through_a_list_without_a_gap_or_a_repeat() {
    let site = sample().await;
    for (conference, n_papers) in [("ARXIV", 6), ("ICLR", 4)] {
        let store = MemoryStore::default();
        let scraper = scraper(&site, conference, &store);
        let mut cursor = Value::Null;
        let mut n_runs = 0;
        loop {
            let summary = run(&scraper, json!({"MAX_PAPERS": 1, "cursor": cursor}))
                .await
                .unwrap();
            assert_eq!((summary.found, summary.stored), (1, 1));
            n_runs += 1;
            assert!(
                n_runs <= n_papers,
                "a cursor never ends: {:?}",
                summary.cursor
            );
            match summary.cursor {
                Some(next) => cursor = json!(next),
                None => break,
            }
        }
        assert_eq!((n_runs, store.messages().len()), (n_papers, n_papers));
    }
}

#[tokio::test]
async fn the_same_event_takes_the_next_papers_and_a_retry_the_same_ones() {
    let store = MemoryStore::default();
    let scraper = scraper(&sample().await, "ARXIV", &store);
    let two = |request: &'static str| {
        let deadline = Instant::now() + Duration::from_secs(60);
        run_request(&scraper, json!({"MAX_PAPERS": "2"}), request, deadline)
    };
    let counts = |it: &ScrapeSummary| (it.found, it.stored, it.already, it.known);
    assert_eq!(counts(&two("one").await.unwrap()), (2, 2, 0, 0));
    assert_eq!(counts(&two("two").await.unwrap()), (4, 2, 2, 2));
    // A retry, also one that comes after another request.
    assert_eq!(counts(&two("two").await.unwrap()), (4, 0, 4, 2));
    assert_eq!(counts(&two("one").await.unwrap()), (2, 0, 2, 0));
    assert_eq!(store.messages().len(), 4);
    assert_eq!(counts(&two("three").await.unwrap()), (6, 2, 4, 4));
    // The list has no more.
    let none = two("four").await.unwrap();
    assert_eq!((counts(&none), none.cursor), ((6, 0, 6, 6), None));
    assert_eq!(store.papers().len(), 6);
}

#[tokio::test]
async fn a_request_that_ended_early_and_comes_again_takes_no_more_than_it_asked_for() {
    let store = MemoryStore::default();
    let scraper = scraper(&sample().await, "ARXIV", &store);
    let ask = |number: u32| {
        let deadline = Instant::now() + Duration::from_secs(60);
        run_request(&scraper, json!({"MAX_PAPERS": number}), "one", deadline)
    };
    // As far as a first try came.
    ask(2).await.unwrap();
    let retried = ask(5).await.unwrap();
    assert_eq!((retried.found, retried.stored, retried.known), (5, 3, 0));
}
