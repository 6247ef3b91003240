//! The steps of `ScrapeConference`, driven as the state machine drives them.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annapurna_contract::scrape::{
    ScrapeErrorType, ScrapePlan, ScrapeStep, ScrapeSummary, ScrapeWindow, StepError,
};
use annapurna_local::paper_site::PaperSite;
use annapurna_paper_sources::http::HttpSettings;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Response};
use paper_scraper::call::Call;
use paper_scraper::error::RunError;
use paper_scraper::scraper::Scraper;
use paper_scraper::settings::Settings;
use serde_json::{Value, json};
use support::{MemoryStore, scraper, serve};
use tokio::time::{Instant, timeout};

const PDF: &[u8] = b"%PDF-1.4\n%%EOF\n";

async fn step<T: serde::de::DeserializeOwned>(
    scraper: &Scraper,
    step: &ScrapeStep,
    time: Duration,
) -> Result<T, RunError> {
    let answer = scraper
        .answer(Call::read(json!(step)), Instant::now() + time)
        .await;
    Ok(serde_json::from_value(answer.result?).unwrap())
}

const LONG: Duration = Duration::from_secs(300);

async fn plan(scraper: &Scraper, request: Value) -> Result<ScrapePlan, RunError> {
    let request = serde_json::from_value(request).unwrap();
    step(scraper, &ScrapeStep::List { request }, LONG).await
}

/// Takes a window to its end.
async fn taken(scraper: &Scraper, mut window: ScrapeWindow, time: Duration) -> ScrapeWindow {
    loop {
        window = step(scraper, &ScrapeStep::Window { window }, time)
            .await
            .unwrap();
        if window.done {
            return window;
        }
    }
}

/// One round: every window, then the sum.
async fn round(scraper: &Scraper, mut plan: ScrapePlan) -> ScrapePlan {
    for window in &mut plan.windows {
        *window = taken(scraper, window.clone(), LONG).await;
    }
    step(scraper, &ScrapeStep::Summarize { plan }, LONG)
        .await
        .unwrap()
}

fn counts(summary: &ScrapeSummary) -> [usize; 6] {
    [
        summary.found,
        summary.stored,
        summary.queued,
        summary.already,
        summary.metadata_only,
        summary.n_failed(),
    ]
}

fn record(id: usize, paper: usize) -> Value {
    let abstract_text = "A sentence of an abstract that is as long as they are. ".repeat(25);
    json!({"id": id, "name": format!("Paper {paper}"), "abstract": format!("{paper}: {abstract_text}"),
        "authors": [{"id": 1, "fullname": "Ines Halvorsen", "institution": ""}],
        "paper_url": format!("https://openreview.net/forum?id=forum{paper}")})
}

/// What a server saw of each path with its query.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<String, usize>>>, Arrivals);

/// When the first and the last PDF was asked for.
type Arrivals = Arc<Mutex<Option<(Instant, Instant)>>>;

impl Seen {
    /// How often the path was asked for before.
    fn add(&self, path: &str) -> usize {
        if path.starts_with("/pdf?") {
            let now = Instant::now();
            let mut arrivals = self.1.lock().unwrap();
            let first = arrivals.map_or(now, |(first, _)| first);
            *arrivals = Some((first, now));
        }
        let mut seen = self.0.lock().unwrap();
        let count = seen.entry(path.to_owned()).or_default();
        *count += 1;
        *count - 1
    }

    fn of(&self, prefix: &str) -> usize {
        let seen = self.0.lock().unwrap();
        seen.iter()
            .filter(|(path, _)| path.starts_with(prefix))
            .map(|(_, count)| count)
            .sum()
    }
}

/// A conference whose PDFs are answered by `fault` first: the paper's number, and how often it was
/// asked for before.
async fn conference(
    n_papers: usize,
    fault: impl Fn(usize, usize) -> Option<Response> + Clone + Send + Sync + 'static,
) -> (String, Seen) {
    let mut records: Vec<Value> = (0..n_papers).map(|paper| record(paper, paper)).collect();
    // A third also gives a talk.
    let talks = (0..n_papers).step_by(3);
    records.extend(talks.map(|paper| record(100_000 + paper, paper)));
    let mut site = PaperSite::new().with_list("neurips-2025-orals-posters", records);
    for paper in 0..n_papers {
        site = site.with_openreview_pdf(&format!("forum{paper}"), PDF.to_vec());
    }
    let seen = Seen::default();
    let server_seen = seen.clone();
    let layer = from_fn(move |request: Request, next: Next| {
        let path = request.uri().path_and_query().unwrap().to_string();
        let n_before = server_seen.add(&path);
        let paper = path.strip_prefix("/pdf?id=forum");
        let answer = paper.and_then(|number| fault(number.parse().ok()?, n_before));
        async move {
            match answer {
                Some(response) => response,
                None => next.run(request).await,
            }
        }
    });
    (serve(site.router().layer(layer)).await, seen)
}

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
    assert_eq!(counts(summary), [30, 20, 20, 0, 10, 10]);
    let error = &summary.failed[0].error;
    assert!(error.contains("Automated Access Detected"), "{error}");
    assert_eq!(
        store.messages().len(),
        20,
        "the judge waits for what is held back"
    );
    assert_eq!(store.papers().len(), 30, "their metadata is kept");

    open.store(true, std::sync::atomic::Ordering::SeqCst);
    // The client leaves a host alone for a while that has blocked it; another process does not know.
    let scraper = support::scraper(&site, "NEURIPS", &store);
    let n_before = seen.of("/pdf?id=forum1");
    let second = round(&scraper, first).await;
    assert!(!second.again);
    let summary = second.summary.unwrap();
    assert_eq!(counts(&summary), [30, 30, 30, 0, 0, 0]);
    assert_eq!(store.messages().len(), 30);
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
        [30, 30, 30, 0, 0, 0]
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
        if !plan.again {
            break;
        }
    }
    assert_eq!(waits, [60, 120, 240, 480], "longer each time, and an end");
    let summary = plan.summary.unwrap();
    assert_eq!(counts(&summary), [5, 0, 0, 0, 5, 5]);
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
    let cut = plan(&scraper, json!({"CONFERENCE": "ARXIV", "MAX_PAPERS": 4}))
        .await
        .unwrap();
    let cut = round(&scraper, cut).await.summary.unwrap();
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
        report.failed[0].error.contains("ICML has no list"),
        "{report:?}"
    );
    let nothing = round(&scraper, nothing).await;
    assert_eq!(
        (nothing.again, counts(&nothing.summary.unwrap())),
        (false, [0; 6])
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
        .answer(Call::read(json!({"step": "dance"})), Instant::now() + LONG)
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
        .answer(Call::read(list), Instant::now() + LONG)
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
        .answer(Call::read(take), Instant::now() + LONG)
        .await;
    let metrics = taken.metrics.unwrap();
    assert_eq!(
        (&metrics["Source"], &metrics["Found"], &metrics["Stored"]),
        (&json!("NEURIPS"), &json!(4), &json!(4))
    );
    let failed = scraper
        .answer(
            Call::read(json!({"CONFERENCE_YEAR": 2024})),
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
