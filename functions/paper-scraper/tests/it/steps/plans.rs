//! What is planned, what is refused, and what each call says of itself.

use std::time::Duration;

use annapurna_contract::scrape::{ScrapeErrorType, ScrapePlan, ScrapeStep, ScrapeWindow};
use annapurna_local::paper_site::PaperSite;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use paper_scraper::call::Call;
use serde_json::json;
use tokio::time::Instant;

use super::{LONG, conference, counts, plan, record, round, step};
use crate::support::{self, MemoryStore, scraper, serve};

#[tokio::test]
async fn a_plan_takes_both_conferences_topics_and_a_number_of_papers() {
    let site = serve(
        PaperSite::sample()
            .unwrap()
            .with_list(
                "icml-2025-orals-posters",
                (1..=5).map(|id| record(id, id)).collect(),
            )
            .router(),
    )
    .await;
    let store = MemoryStore::default();
    let scraper = scraper(&site, "ANY", &store);
    let n_of = |plan: &ScrapePlan| -> Vec<(String, u32)> {
        let name = |window: &ScrapeWindow| window.source.name().to_owned();
        plan.windows
            .iter()
            .map(|window| (name(window), window.n_papers))
            .collect()
    };
    let both = plan(&scraper, json!({"CONFERENCE": "BOTH"})).await.unwrap();
    assert_eq!(
        n_of(&both),
        [("ICLR".to_owned(), 4), ("ICML".to_owned(), 5)]
    );
    let event = json!({"CONFERENCE": "ICLR", "topic_filter": "Deep Learning", "MAX_PAPERS": "2"});
    assert_eq!(
        n_of(&plan(&scraper, event).await.unwrap()),
        [("ICLR".to_owned(), 2)]
    );
    let arxiv = plan(
        &scraper,
        json!({"CONFERENCE": "ARXIV", "since": "2000-01-01"}),
    )
    .await
    .unwrap();
    assert_eq!(n_of(&arxiv), [("ARXIV".to_owned(), 6)]);
    let done = round(&scraper, arxiv).await;
    assert_eq!(counts(&done.summary.unwrap()), [6, 6, 6, 0, 0, 0]);
    let nothing = plan(&scraper, json!({"CONFERENCE": "ARXIV", "since": "1h"}))
        .await
        .unwrap();
    assert!(nothing.windows.is_empty(), "an hour without papers");
    let endless = plan(&scraper, json!({"CONFERENCE": "ARXIV"}))
        .await
        .unwrap_err();
    assert_eq!(endless.kind(), ScrapeErrorType::InvalidRequest);
    // A list that is cut says where it goes on.
    let empty = support::scraper(&site, "ANY", &MemoryStore::default());
    let cut = plan(&empty, json!({"CONFERENCE": "ARXIV", "MAX_PAPERS": 4}))
        .await
        .unwrap();
    let cut = round(&empty, cut).await.summary.unwrap();
    assert!(cut.cursor.as_deref().unwrap().ends_with(":4"), "{cut:?}");
    // A conference that has no list does not keep the other from being taken.
    let half = json!({"CONFERENCE": "BOTH", "CONFERENCE_YEAR": 2025});
    let of_iclr = (1..=4).map(|id| record(id, id)).collect();
    let without_icml = PaperSite::new().with_list("iclr-2025-orals-posters", of_iclr);
    let without_icml = serve(without_icml.router()).await;
    let half = plan(&support::scraper(&without_icml, "ANY", &store), half)
        .await
        .unwrap();
    assert_eq!(n_of(&half), [("ICLR".to_owned(), 4)]);
    let report = half.windows[0].summary_so_far();
    assert!(
        report.failed[0]
            .error
            .contains("do not have the list of ICML 2025"),
        "{report:?}"
    );
    let nothing = round(&scraper, nothing).await;
    assert_eq!(
        (nothing.again, counts(&nothing.summary.unwrap())),
        (false, [0; 6])
    );
}

#[tokio::test]
async fn a_bounded_scrape_takes_the_next_new_papers_and_what_is_unfinished() {
    // The first paper's PDF cannot be had for now.
    let (site, seen) = conference(7, |paper, _| {
        (paper == 0).then(|| StatusCode::BAD_GATEWAY.into_response())
    })
    .await;
    let store = MemoryStore::default();
    let scraper = scraper(&site, "NEURIPS", &store);
    let event = json!({"CONFERENCE_YEAR": 2025, "MAX_PAPERS": "3"});
    let bounded = async || plan(&scraper, event.clone()).await.unwrap();
    let first = bounded().await;
    assert_eq!(first, bounded().await, "a retry of the step takes the same");
    let first = round(&scraper, first).await.summary.unwrap();
    assert_eq!((first.found, first.known), (3, 0), "{first:?}");
    assert!(first.cursor.is_some());
    // Of the known ones, the one without its PDF is taken again.
    for (n_new, n_passed_over) in [(3, 2), (1, 5), (0, 6)] {
        let before = store.messages().len();
        let next = bounded().await;
        let n_papers: u32 = next.windows.iter().map(|window| window.n_papers).sum();
        let sum = round(&scraper, next).await.summary.unwrap();
        assert_eq!(n_papers, n_new + 1, "{sum:?}");
        assert_eq!(
            (sum.known, store.messages().len() - before),
            (n_passed_over, n_new as usize),
            "{sum:?}"
        );
    }
    assert!(seen.of("/pdf?id=forum0") > 4);
    assert_eq!(store.messages().len(), 7);
    let all = plan(&scraper, json!({"CONFERENCE_YEAR": 2025}))
        .await
        .unwrap();
    assert_eq!(all.windows[0].n_papers, 7, "without a number, every paper");
    // Nothing is left but what is settled: the answer says how much was passed over.
    let done = json!({"CONFERENCE_YEAR": 2025, "MAX_PAPERS": 3, "search_term": "Paper 5"});
    let done = plan(&scraper, done).await.unwrap();
    let done = round(&scraper, done).await.summary.unwrap();
    assert_eq!((done.found, done.known, done.cursor), (0, 1, None));
}

/// Talks beside posters: more of them than a window lists.
#[tokio::test]
async fn what_a_list_says_twice_is_in_the_answer_of_a_whole_scrape() {
    let (site, _) = conference(7, |_, _| None).await;
    let store = MemoryStore::default();
    let scraper = scraper(&site, "NEURIPS", &store);
    let plan = plan(&scraper, json!({"CONFERENCE_YEAR": 2025})).await;
    let sum = round(&scraper, plan.unwrap()).await.summary.unwrap();
    assert_eq!((sum.found, sum.queued, sum.repeated), (7, 7, 3), "{sum:?}");
    let repeat = &sum.repeats[0];
    assert_eq!(
        (repeat.paper.as_str(), repeat.repeats.as_str()),
        ("100000", "NEURIPS 2025 0: Paper 0")
    );
}

#[tokio::test]
async fn a_step_that_fits_no_list_is_refused() {
    let (site, _) = conference(3, |_, _| None).await;
    let store = MemoryStore::default();
    let scraper = scraper(&site, "NEURIPS", &store);
    let plan = plan(&scraper, json!({"CONFERENCE_YEAR": 2025}))
        .await
        .unwrap();
    let good = plan.windows[0].clone();
    let refused = async |window: ScrapeWindow| {
        let take = ScrapeStep::Window { window };
        let error = step::<ScrapeWindow>(&scraper, &take, LONG)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ScrapeErrorType::InvalidStep);
        error.to_string()
    };
    let elsewhere = ScrapeWindow {
        list_key: "verdicts/x.json".to_owned(),
        ..good.clone()
    };
    assert!(
        refused(elsewhere)
            .await
            .contains("must begin with `_lists/neurips/2025/`")
    );
    let longer = ScrapeWindow {
        n_papers: 4,
        ..good.clone()
    };
    assert!(
        refused(longer)
            .await
            .contains("has 3 papers and the window 4")
    );
    for only in [vec![3], vec![1, 1]] {
        let foreign = ScrapeWindow {
            only: only.clone(),
            ..good.clone()
        };
        let told = refused(foreign).await;
        assert!(told.contains(&format!("no paper {} in", only[0])), "{told}");
    }
    let gone = ScrapeWindow {
        list_key: format!("{}x", good.list_key),
        ..good
    };
    assert!(refused(gone).await.contains("there is no list at"));
    let error = scraper
        .answer(
            Call::read(json!({"step": "dance"}), "r"),
            Instant::now() + LONG,
        )
        .await
        .result
        .unwrap_err();
    assert!(error.to_string().contains("dance"), "{}", error.to_string());
}

#[tokio::test]
async fn a_window_without_time_says_so_and_a_list_too() {
    let (site, _) = conference(3, |_, _| None).await;
    let store = MemoryStore::default();
    let scraper = scraper(&site, "NEURIPS", &store);
    let request = serde_json::from_value(json!({"CONFERENCE_YEAR": 2025})).unwrap();
    let list = ScrapeStep::List { request };
    let error = step::<ScrapePlan>(&scraper, &list, Duration::ZERO)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ScrapeErrorType::OutOfTime);
    let plan: ScrapePlan = step(&scraper, &list, LONG).await.unwrap();
    let take = ScrapeStep::Window {
        window: plan.windows[0].clone(),
    };
    let error = step::<ScrapeWindow>(&scraper, &take, Duration::ZERO)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ScrapeErrorType::OutOfTime);
}

/// A window is taken in several calls, and each counts what it did itself.
#[tokio::test]
async fn every_call_has_metrics_of_its_own() {
    let (site, _) = conference(6, |_, _| None).await;
    let store = MemoryStore::default();
    let scraper = scraper(&site, "NEURIPS", &store);
    let list = json!({"step": "list", "request": {"CONFERENCE_YEAR": 2025}});
    let listed = scraper
        .answer(Call::read(list, "r"), Instant::now() + LONG)
        .await;
    assert_eq!(listed.metrics, None, "a list takes no paper");
    let plan: ScrapePlan = serde_json::from_value(listed.result.unwrap()).unwrap();
    let mut window = plan.windows[0].clone();
    // As a call before left it.
    window.next = 2;
    window.settled.found = 2;
    window.settled.stored = 2;
    let take = json!(ScrapeStep::Window { window });
    let taken = scraper
        .answer(Call::read(take, "r"), Instant::now() + LONG)
        .await;
    let metrics = taken.metrics.unwrap();
    assert_eq!(
        (&metrics["Source"], &metrics["Found"], &metrics["Stored"]),
        (&json!("NEURIPS"), &json!(4), &json!(4))
    );
    let failed = scraper
        .answer(
            Call::read(json!({"CONFERENCE_YEAR": 2024}), "r"),
            Instant::now() + LONG,
        )
        .await;
    let metrics = failed.metrics.unwrap();
    assert!(failed.result.is_err());
    assert_eq!(
        (&metrics["Source"], &metrics["RunFailed"]),
        (&json!("NEURIPS"), &json!(1))
    );
}
