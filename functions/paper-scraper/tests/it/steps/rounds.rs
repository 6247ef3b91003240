//! Windows and rounds: what dies, what is held back, and what is given up.

use std::sync::Arc;
use std::time::Duration;

use annapurna_contract::scrape::{ScrapePlan, ScrapeStep, ScrapeWindow, StepError};
use annapurna_paper_sources::http::HttpSettings;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use paper_scraper::scraper::Scraper;
use paper_scraper::settings::Settings;
use serde_json::json;
use tokio::time::timeout;

use super::{LONG, PDF, conference, counts, plan, round, step, taken};
use crate::support::{self, MemoryStore, scraper};

/// The faults a site can have, one for every 50th paper, each at the first request only.
fn passing_fault(paper: usize, n_before: usize) -> Option<Response> {
    if n_before > 0 || !paper.is_multiple_of(50) {
        return None;
    }
    Some(match paper / 50 % 5 {
        0 => (StatusCode::TOO_MANY_REQUESTS, "Rate exceeded.").into_response(),
        1 => Html("<!DOCTYPE html><title>Verifying your browser | OpenReview</title>")
            .into_response(),
        2 => ([(header::CONTENT_TYPE, "application/pdf")], &PDF[..9]).into_response(),
        3 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        _ => Body::empty().into_response(),
    })
}

/// The size of NeurIPS 2025: 6,000 papers, a third of them twice in a list of 15 MB, from a site that
/// misbehaves. Windows end at their deadlines, and every third one is killed in the middle and begun
/// again from its last answer.
#[tokio::test]
async fn a_whole_conference_is_taken_in_windows_that_end_and_die() {
    const N: usize = 6000;
    let (site, seen) = conference(N, passing_fault).await;
    let store = MemoryStore::default();
    let interval = Duration::from_millis(2);
    let http = HttpSettings {
        interval,
        ..support::hasty()
    };
    let settings = Settings::from_config(support::config(&site, "ANY")).unwrap();
    let scraper = Scraper::with_http(settings, store.store(), http).unwrap();
    let mut plan = plan(
        &scraper,
        json!({"CONFERENCE": "NEURIPS", "CONFERENCE_YEAR": "2025"}),
    )
    .await
    .unwrap();
    assert_eq!(plan.windows.len(), 30);
    let n_planned: u32 = plan.windows.iter().map(|window| window.n_papers).sum();
    assert_eq!(n_planned as usize, N);
    let mut n_killed = 0;
    for (number, window) in plan.windows.iter_mut().enumerate() {
        if number % 3 == 0 {
            let take = ScrapeStep::Window {
                window: window.clone(),
            };
            let kill = timeout(
                Duration::from_millis(60),
                step::<ScrapeWindow>(&scraper, &take, LONG),
            );
            n_killed += usize::from(kill.await.is_err());
        }
        *window = taken(&scraper, window.clone(), Duration::from_secs(1)).await;
    }
    assert!(n_killed > 0, "no window was killed");
    let plan: ScrapePlan = step(&scraper, &ScrapeStep::Summarize { plan }, LONG)
        .await
        .unwrap();
    let summary = plan.summary.unwrap();
    assert!(!plan.again, "{summary:?}");
    assert_eq!((summary.found, summary.n_failed()), (N, 0));
    assert_eq!(
        summary.stored + summary.already,
        N,
        "a window that was killed finds its papers done"
    );
    assert_eq!((store.messages().len(), store.papers().len()), (N, N));
    let n_loaded = seen.of("/pdf?id=forum");
    let n_faults = N / 50;
    // What was on its way when a window was killed is the only thing asked for again.
    let most = N + n_faults + 2 * n_killed;
    assert!(
        (N + n_faults..=most).contains(&n_loaded),
        "{n_loaded} requests of PDFs, {n_killed} windows killed"
    );
    // Measured at the server: a window of two keeps half the pace, so that both together keep it.
    let (first, last) = seen.1.lock().unwrap().unwrap();
    let least = 2 * interval * u32::try_from(n_loaded - 1).unwrap();
    let jitter = Duration::from_secs(1);
    assert!(
        last - first + jitter >= least,
        "{:?} < {least:?}",
        last - first
    );
    let lists = seen.of("/static/virtual/data/neurips-2025-orals-posters.json");
    assert_eq!(lists, 1, "the list is read once");

    let n_writes = store.n_writes();
    let second = self::plan(
        &scraper,
        json!({"CONFERENCE": "NEURIPS", "CONFERENCE_YEAR": 2025}),
    )
    .await
    .unwrap();
    let second = round(&scraper, second).await.summary.unwrap();
    assert_eq!(counts(&second), [N, 0, 0, N, 0, 0]);
    assert_eq!(
        (store.n_writes(), seen.of("/pdf?id=forum")),
        (n_writes, n_loaded),
        "a second run changes and loads nothing"
    );
}

#[tokio::test]
async fn papers_held_back_are_taken_again_in_the_next_round() {
    let open = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_open = Arc::clone(&open);
    let (site, seen) = conference(30, move |paper, _| {
        let is_closed = paper >= 20 && !is_open.load(std::sync::atomic::Ordering::SeqCst);
        is_closed.then(|| {
            Html("<!DOCTYPE html><html><body><h1>Automated Access Detected</h1></body></html>")
                .into_response()
        })
    })
    .await;
    let store = MemoryStore::default();
    let scraper = scraper(&site, "NEURIPS", &store);
    let first = round(
        &scraper,
        plan(&scraper, json!({"CONFERENCE_YEAR": 2025}))
            .await
            .unwrap(),
    )
    .await;
    assert_eq!((first.round, first.again), (1, true));
    assert_eq!(first.wait_seconds, 60);
    let summary = first.summary.as_ref().unwrap();
    assert_eq!(counts(summary), [30, 20, 30, 0, 10, 10]);
    let error = &summary.failed[0].error;
    assert!(error.contains("Automated Access Detected"), "{error}");
    assert_eq!(store.messages().len(), 30, "the judge waits for no PDF");
    assert_eq!(store.papers().len(), 30, "their metadata is kept");

    open.store(true, std::sync::atomic::Ordering::SeqCst);
    // The client leaves a host alone for a while that has blocked it; another process does not know.
    let scraper = support::scraper(&site, "NEURIPS", &store);
    let n_before = seen.of("/pdf?id=forum1");
    let second = round(&scraper, first).await;
    assert!(!second.again);
    let summary = second.summary.unwrap();
    assert_eq!(counts(&summary), [30, 30, 40, 0, 0, 0]);
    assert_eq!(
        store.messages().len(),
        40,
        "and is told of those that come later"
    );
    assert_eq!(
        seen.of("/pdf?id=forum1"),
        n_before,
        "papers that are there are not asked for again"
    );
}

/// A site that lets so many requests through and then none: the window ends there, comes back when the
/// site has rested, and gives up for this round only after many such calls.
#[tokio::test]
async fn a_window_leaves_a_site_alone_that_holds_it_off() {
    let open = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_open = Arc::clone(&open);
    let (site, seen) = conference(30, move |paper, _| {
        let is_closed = paper >= 10 && !is_open.load(std::sync::atomic::Ordering::SeqCst);
        is_closed.then(|| (StatusCode::TOO_MANY_REQUESTS, "Rate exceeded.").into_response())
    })
    .await;
    let store = MemoryStore::default();
    let plan = plan(
        &scraper(&site, "NEURIPS", &store),
        json!({"CONFERENCE_YEAR": 2025}),
    )
    .await
    .unwrap();
    let take = async |window: &ScrapeWindow| -> ScrapeWindow {
        // Each call in a process of its own, which does not know that the site held another one off.
        let window = window.clone();
        let scraper = scraper(&site, "NEURIPS", &store);
        step(&scraper, &ScrapeStep::Window { window }, LONG)
            .await
            .unwrap()
    };
    let first = take(&plan.windows[0]).await;
    assert!(first.blocked && !first.done);
    assert_eq!((first.settled.found, first.n_blocked), (10, 1));
    assert_eq!(first.rest_seconds, 120);
    assert_eq!(
        first.remaining().len() + first.held_back.len(),
        20,
        "no paper is forgotten"
    );
    let n_asked = seen.of("/pdf?id=forum");
    let second = take(&first).await;
    let third = take(&second).await;
    assert_eq!((second.n_blocked, third.n_blocked), (2, 3));
    assert_eq!(third.rest_seconds, 480, "longer each time");
    // A few papers are tried each time, three times each; how many depends on which are on their way.
    // Without a rest, two calls would try all twenty.
    let n_asked = seen.of("/pdf?id=forum") - n_asked;
    assert!(n_asked < 20 * 3, "{n_asked} requests in two calls");
    open.store(true, std::sync::atomic::Ordering::SeqCst);
    let fourth = take(&third).await;
    assert!(fourth.done && !fourth.blocked);
    let plan = ScrapePlan {
        windows: vec![fourth],
        ..plan
    };
    let second_round = round(&scraper(&site, "NEURIPS", &store), {
        let summed: ScrapePlan = step(
            &scraper(&site, "NEURIPS", &store),
            &ScrapeStep::Summarize { plan },
            LONG,
        )
        .await
        .unwrap();
        assert!(summed.again, "what was tried in vain is taken again");
        summed
    })
    .await;
    assert_eq!(
        counts(&second_round.summary.unwrap()),
        [30, 30, 50, 0, 0, 0],
        "twenty were told of twice: at once, and with their PDFs"
    );
}

#[tokio::test]
async fn papers_held_back_to_the_end_are_accounted_for() {
    let (site, _) = conference(5, |_, _| {
        Some((StatusCode::TOO_MANY_REQUESTS, "Rate exceeded.").into_response())
    })
    .await;
    let store = MemoryStore::default();
    let mut plan = plan(
        &scraper(&site, "NEURIPS", &store),
        json!({"CONFERENCE_YEAR": 2025}),
    )
    .await
    .unwrap();
    let mut waits = Vec::new();
    loop {
        plan = round(&scraper(&site, "NEURIPS", &store), plan).await;
        waits.push(plan.wait_seconds);
        assert!(
            waits.len() <= 4,
            "it is taken again without an end: {waits:?}"
        );
        if !plan.again {
            break;
        }
    }
    assert_eq!(waits, [60, 120, 240, 480], "longer each time, and an end");
    let summary = plan.summary.unwrap();
    assert_eq!(counts(&summary), [5, 0, 5, 0, 5, 5]);
    assert_eq!((summary.failed.len(), summary.failed_not_listed), (1, 4));
}

#[tokio::test]
async fn a_window_the_machine_gave_up_is_taken_in_the_next_round() {
    let (site, _) = conference(10, |_, _| None).await;
    let store = MemoryStore::default();
    let scraper = scraper(&site, "NEURIPS", &store);
    let mut plan = plan(&scraper, json!({"CONFERENCE_YEAR": 2025}))
        .await
        .unwrap();
    plan.windows[0].error = Some(StepError {
        error: "Lambda.Unknown".to_owned(),
        cause: "{\"errorMessage\":\"signal: killed\"}".to_owned(),
    });
    let first: ScrapePlan = step(&scraper, &ScrapeStep::Summarize { plan }, LONG)
        .await
        .unwrap();
    let summary = first.summary.as_ref().unwrap();
    assert_eq!(counts(summary), [10, 0, 0, 0, 0, 10]);
    assert!(summary.failed[0].error.contains("signal: killed"));
    let second = round(&scraper, first).await;
    assert_eq!(
        (second.again, counts(&second.summary.unwrap())),
        (false, [10, 10, 10, 0, 0, 0])
    );
}
