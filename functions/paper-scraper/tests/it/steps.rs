//! The steps of `ScrapeConference`, driven as the state machine drives them.

mod plans;
mod rounds;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::serve;
use annapurna_contract::scrape::{ScrapePlan, ScrapeStep, ScrapeSummary, ScrapeWindow};
use annapurna_local::paper_site::PaperSite;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use paper_scraper::call::Call;
use paper_scraper::error::RunError;
use paper_scraper::scraper::Scraper;
use serde_json::{Value, json};
use tokio::time::Instant;

const PDF: &[u8] = b"%PDF-1.4\n%%EOF\n";

async fn step<T: serde::de::DeserializeOwned>(
    scraper: &Scraper,
    step: &ScrapeStep,
    time: Duration,
) -> Result<T, RunError> {
    let answer = scraper
        .answer(Call::read(json!(step), "r"), Instant::now() + time)
        .await;
    Ok(serde_json::from_value(answer.result?).unwrap())
}

const LONG: Duration = Duration::from_secs(300);

async fn plan(scraper: &Scraper, request: Value) -> Result<ScrapePlan, RunError> {
    let request = serde_json::from_value(request).unwrap();
    step(scraper, &ScrapeStep::List { request }, LONG).await
}

/// Calls that a window of any test ends within.
const MOST_CALLS: usize = 1_000;

/// Takes a window to its end.
async fn taken(scraper: &Scraper, mut window: ScrapeWindow, time: Duration) -> ScrapeWindow {
    for _ in 0..MOST_CALLS {
        window = step(scraper, &ScrapeStep::Window { window }, time)
            .await
            .unwrap();
        if window.done {
            return window;
        }
    }
    panic!("{MOST_CALLS} calls did not end the window: {window:?}");
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
        site = site.with_openreview_pdf(&format!("forum{paper}"), PDF);
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
