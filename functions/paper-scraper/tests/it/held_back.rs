//! PDFs that cannot be had now: they delay nothing but themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use annapurna_contract::scrape::{ScrapePlan, ScrapeStep, ScrapeWindow};
use annapurna_contract::{RecordState, SourceRecord};
use annapurna_local::paper_site::PaperSite;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Response};
use paper_scraper::call::Call;
use paper_scraper::scraper::Scraper;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{MemoryStore, run, run_until, scraper, serve};

const CHALLENGE: &str = "<!DOCTYPE html><title>Verifying your browser | OpenReview</title>";
const PDF: &[u8] = b"%PDF-1.4\n%%EOF\n";

fn challenge() -> Response {
    Html(CHALLENGE).into_response()
}

/// How a site answers for PDFs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
enum Pdfs {
    Open,
    Challenge,
    Missing,
    Slow,
}

/// ICLR 2025 with `n` papers, whose PDFs are answered as `pdfs` says at the moment.
struct Site {
    address: String,
    pdfs: Arc<AtomicUsize>,
}

impl Site {
    async fn new(n: usize) -> Self {
        let paper = |id: usize| {
            json!({"id": id, "name": format!("Paper {id}"), "abstract": format!("The text of paper {id}."),
                "authors": [{"fullname": "Ada One"}],
                "paper_url": format!("https://openreview.net/forum?id=forum{id}")})
        };
        Self::of((0..n).map(paper).collect()).await
    }

    async fn of(records: Vec<Value>) -> Self {
        let forums = (0..records.len()).map(|id| format!("forum{id}"));
        let site = PaperSite::new().with_list("iclr-2025-orals-posters", records);
        let site = forums.fold(site, |site, forum| site.with_openreview_pdf(&forum, PDF));
        let pdfs = Arc::new(AtomicUsize::new(Pdfs::Open as usize));
        let now = Arc::clone(&pdfs);
        let layer = from_fn(move |request: Request, next: Next| {
            let is_pdf = request.uri().path() == "/pdf";
            let now = now.load(Ordering::SeqCst);
            async move {
                match now {
                    now if is_pdf && now == Pdfs::Challenge as usize => challenge(),
                    now if is_pdf && now == Pdfs::Missing as usize => {
                        StatusCode::NOT_FOUND.into_response()
                    }
                    now if is_pdf && now == Pdfs::Slow as usize => {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                        next.run(request).await
                    }
                    _ => next.run(request).await,
                }
            }
        });
        let address = serve(site.router().layer(layer)).await;
        Self { address, pdfs }
    }

    fn set(&self, pdfs: Pdfs) {
        self.pdfs.store(pdfs as usize, Ordering::SeqCst);
    }

    /// A function of a process of its own, which knows of no block.
    fn scraper(&self, store: &MemoryStore) -> Scraper {
        scraper(&self.address, "ICLR", store)
    }

    /// Takes a window to its end.
    async fn taken(&self, store: &MemoryStore, mut window: ScrapeWindow) -> ScrapeWindow {
        const MOST_CALLS: usize = 100;
        for _ in 0..MOST_CALLS {
            if window.done {
                return window;
            }
            window = step(&self.scraper(store), ScrapeStep::Window { window }).await;
        }
        panic!("{MOST_CALLS} calls did not end the window: {window:?}");
    }
}

async fn step<T: serde::de::DeserializeOwned>(scraper: &Scraper, step: ScrapeStep) -> T {
    let deadline = Instant::now() + Duration::from_secs(300);
    let answer = scraper.answer(Call::read(json!(step), "r"), deadline).await;
    serde_json::from_value(answer.result.unwrap()).unwrap()
}

fn records(store: &MemoryStore) -> Vec<SourceRecord> {
    let read = |key: String| serde_json::from_value(store.json(&key)).unwrap();
    store.papers().into_iter().map(read).collect()
}

/// The scrape that told the judge of nothing, while OpenReview showed a challenge page for each PDF.
#[tokio::test]
async fn sixty_papers_with_every_pdf_blocked_are_all_told_to_the_judge() {
    let site = Site::new(60).await;
    site.set(Pdfs::Challenge);
    let store = MemoryStore::default();
    let request = serde_json::from_value(json!({"CONFERENCE_YEAR": 2025})).unwrap();
    let list = ScrapeStep::List { request };
    let mut plan: ScrapePlan = step(&site.scraper(&store), list).await;
    let mut window = plan.windows.remove(0);
    assert_eq!(window.n_papers, 60);
    // Nobody waits for the site before each paper has been told, 50 in a call.
    for is_told in [false, true] {
        window = step(&site.scraper(&store), ScrapeStep::Window { window }).await;
        assert_eq!(window.blocked, is_told, "{window:?}");
    }
    let messages = store.messages();
    assert_eq!(messages.len(), 60);
    assert!(
        messages
            .iter()
            .all(|it| it.s3_key.is_none() && it.text_expected)
    );
    assert!(records(&store).iter().all(|record| {
        let problem = record.pdf_problem.as_deref().unwrap();
        record.state == RecordState::QueuedWithoutPdf && problem.contains("Verifying your browser")
    }));
    let remaining = window.remaining().len() + window.held_back.len();
    assert_eq!(
        (remaining, window.done),
        (60, false),
        "their PDFs are still wanted"
    );
    // The window goes on as the state machine has it, and nobody is told anything again.
    window = site.taken(&store, window).await;
    plan.windows.push(window);
    let plan: ScrapePlan = step(&site.scraper(&store), ScrapeStep::Summarize { plan }).await;
    let summary = plan.summary.as_ref().unwrap();
    let counts = (
        summary.found,
        summary.queued,
        summary.metadata_only,
        summary.n_failed(),
    );
    assert_eq!((counts, plan.again), ((60, 60, 60, 60), true));
    assert_eq!(store.messages().len(), 60);

    site.set(Pdfs::Open);
    let window = plan.windows.into_iter().next().unwrap();
    let window = site.taken(&store, window).await;
    let summary = window.summary_so_far();
    assert_eq!(
        (summary.stored, summary.queued, summary.n_failed()),
        (60, 120, 0)
    );
    let messages = store.messages();
    for record in records(&store) {
        assert_eq!(
            (record.state, record.text_expected),
            (RecordState::Queued, false)
        );
        let mut told = messages.clone();
        told.retain(|message| message.paper_id == record.paper_id);
        assert_eq!(told.len(), 2);
        assert_eq!(told[1], record.message("llm-research-papers"));
        assert_eq!(
            told[0].revision, told[1].revision,
            "nothing to be judged again"
        );
        assert!(told[1].s3_key.is_some() && !told[1].text_expected);
    }
}

#[tokio::test]
async fn a_paper_with_its_pdf_is_told_once() {
    let site = Site::new(3).await;
    let store = MemoryStore::default();
    for n_queued in [3, 0] {
        let summary = run(&site.scraper(&store), json!({})).await.unwrap();
        assert_eq!((summary.found, summary.queued), (3, n_queued));
    }
    assert!(
        store
            .messages()
            .iter()
            .all(|message| message.s3_key.is_some())
    );
}

#[tokio::test]
async fn a_paper_is_told_again_when_its_text_is_not_to_be_expected_any_more() {
    let site = Site::new(1).await;
    let store = MemoryStore::default();
    let fates = [
        (Pdfs::Challenge, 1, true),
        (Pdfs::Challenge, 1, true),
        (Pdfs::Missing, 2, false),
        (Pdfs::Missing, 2, false),
        // What has been said to be missing is not promised again.
        (Pdfs::Challenge, 2, false),
        (Pdfs::Open, 3, false),
        (Pdfs::Missing, 3, false),
    ];
    for (pdfs, n_messages, is_expected) in fates {
        site.set(pdfs);
        run(&site.scraper(&store), json!({})).await.unwrap();
        let messages = store.messages();
        assert_eq!(messages.len(), n_messages, "{pdfs:?}");
        assert_eq!(
            messages.last().unwrap().text_expected,
            is_expected,
            "{pdfs:?}"
        );
    }
    assert!(store.messages()[2].s3_key.is_some());
}

#[tokio::test]
async fn only_a_paper_without_abstract_and_pdf_waits() {
    let site = |abstract_text: Value| {
        Site::of(vec![
            json!({"id": 0, "name": "Thimbles", "abstract": abstract_text,
                "paper_url": "https://openreview.net/forum?id=forum0"}),
            json!({"id": 1, "name": "Needles", "abstract": "On needles.",
                "paper_url": "https://openreview.net/forum?id=forum1"}),
        ])
    };
    let bare = site(Value::Null).await;
    bare.set(Pdfs::Challenge);
    let store = MemoryStore::default();
    for n_queued in [1, 0] {
        let summary = run(&bare.scraper(&store), json!({})).await.unwrap();
        assert_eq!((summary.found, summary.queued), (2, n_queued));
        let thimbles = records(&store)
            .into_iter()
            .find(|it| it.description.title == "Thimbles")
            .unwrap();
        assert_eq!(thimbles.state, RecordState::Waiting);
        assert!(thimbles.pdf_problem.is_some());
    }
    let n_writes = store.n_writes();
    run(&bare.scraper(&store), json!({})).await.unwrap();
    assert_eq!(store.n_writes(), n_writes, "it waits without a word");
    // An abstract is enough.
    let told = site(json!("On thimbles.")).await;
    told.set(Pdfs::Challenge);
    let summary = run(&told.scraper(&store), json!({})).await.unwrap();
    assert_eq!(summary.queued, 1);
    // And so is a PDF.
    let other = MemoryStore::default();
    bare.set(Pdfs::Challenge);
    run(&bare.scraper(&other), json!({})).await.unwrap();
    bare.set(Pdfs::Open);
    run(&bare.scraper(&other), json!({})).await.unwrap();
    assert!(
        records(&other)
            .iter()
            .all(|record| record.state == RecordState::Queued)
    );
    assert_eq!(other.messages().len(), 3);
}

#[tokio::test]
async fn a_pdf_that_is_too_slow_leaves_the_record_and_the_judge_is_told() {
    let site = Site::new(2).await;
    site.set(Pdfs::Slow);
    let store = MemoryStore::default();
    // A paper gets half of the time, and two seconds at least.
    let deadline = Instant::now() + Duration::from_secs(3);
    let slow = site.scraper(&store);
    let call = run_until(&slow, json!({}), deadline);
    let look = async {
        // The record is there while the PDF is waited for.
        tokio::time::sleep(Duration::from_millis(700)).await;
        let records = records(&store);
        assert_eq!(records.len(), 2);
        assert!(
            records
                .iter()
                .all(|record| record.state == RecordState::Waiting)
        );
        assert!(store.messages().is_empty());
    };
    let (summary, ()) = tokio::join!(call, look);
    let summary = summary.unwrap();
    assert_eq!(
        (summary.found, summary.queued, summary.n_failed()),
        (2, 2, 2)
    );
    let error = &summary.failed[0].error;
    assert_eq!(error, "no PDF: it took longer than 2 s");
    assert!(
        records(&store)
            .iter()
            .all(|record| record.state == RecordState::QueuedWithoutPdf)
    );
    site.set(Pdfs::Open);
    let summary = run(&site.scraper(&store), json!({})).await.unwrap();
    assert_eq!((summary.stored, summary.queued), (2, 2));
}

/// A call that is killed while it waits for the PDFs.
#[tokio::test]
async fn a_run_that_is_killed_at_a_pdf_leaves_the_record_to_the_next_one() {
    let site = Site::new(2).await;
    site.set(Pdfs::Slow);
    let store = MemoryStore::default();
    let killed = site.scraper(&store);
    let call = run(&killed, json!({}));
    assert!(
        tokio::time::timeout(Duration::from_millis(700), call)
            .await
            .is_err()
    );
    assert_eq!((records(&store).len(), store.messages().len()), (2, 0));
    site.set(Pdfs::Challenge);
    let summary = run(&site.scraper(&store), json!({})).await.unwrap();
    assert_eq!((summary.queued, records(&store).len()), (2, 2));
}
