//! Papers whose PDFs are all held back, through the deployed pipeline: each is judged, the accepted ones wait
//! for their text and are then tested from their abstracts, and PDFs that come after that are only taken.
//!
//! `ANNAPURNA_HELD_BACK_PAPERS` sets their number by hand, 60 at most.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed step fails the test, and figures are said"
)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use annapurna_local::paper_site::PaperSite;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse};
use serde_json::{Value, json};
use support::{Deployment, until};

const SUBJECTS: [&str; 12] = [
    "ocean currents",
    "protein folding",
    "railway timetables",
    "violin acoustics",
    "soil moisture",
    "court rulings",
    "galaxy clusters",
    "bird migration",
    "steel welding",
    "bread fermentation",
    "traffic lights",
    "glacier melting",
];
const PLACES: [&str; 5] = [
    "Norway, with fjords and short summers",
    "Bolivia, above the clouds and far from any coast",
    "Samoa, where storms arrive without warning",
    "Mali, along one river through dry country",
    "Japan, among volcanoes and crowded plains",
];

/// One of the papers, none near another.
fn paper(number: usize) -> Value {
    let subject = SUBJECTS[number % SUBJECTS.len()];
    let place = PLACES[number / SUBJECTS.len()];
    json!({
        "id": 1000 + number,
        "name": format!("A transformer language model for {subject}: {place}"),
        "abstract": format!(
            "We train a neural network on {subject} with gradient descent. Records of {subject} from \
             {number} stations in {place}, are its only data; {subject} are predicted one week ahead."
        ),
        "authors": [{"fullname": format!("Author {number}")}],
        "paper_url": format!("https://openreview.net/forum?id=forum{number}"),
    })
}

/// ICLR 2025 with so many papers, whose PDFs are behind a challenge page while `blocked`.
async fn site(n_papers: usize, blocked: Arc<AtomicBool>) -> String {
    let papers = (0..n_papers).map(paper).collect();
    let site = PaperSite::new().with_list("iclr-2025-orals-posters", papers);
    let site = (0..n_papers).fold(site, |site, id| {
        site.with_openreview_pdf(&format!("forum{id}"), &b"%PDF-1.4\n%%EOF\n"[..])
    });
    let challenge = from_fn(move |request: Request, next: Next| {
        let is_blocked = request.uri().path() == "/pdf" && blocked.load(Ordering::SeqCst);
        async move {
            if is_blocked {
                Html("<!DOCTYPE html><title>Verifying your browser | OpenReview</title>")
                    .into_response()
            } else {
                next.run(request).await
            }
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = site.router().layer(challenge);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn scrape(deployment: &Deployment, n_papers: usize) -> Value {
    let event = format!(r#"{{"MAX_PAPERS":{n_papers}}}"#);
    deployment.json(&["invoke", "local", "PaperScraper_ICLR", &event])
}

async fn n_verdicts(deployment: &Deployment) -> usize {
    let kept = deployment.kept().await;
    kept.keys()
        .filter(|key| key.starts_with("verdicts/"))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn papers_whose_pdfs_are_held_back_end_tested_from_their_abstracts() {
    let n_papers = std::env::var("ANNAPURNA_HELD_BACK_PAPERS");
    let n_papers: usize = n_papers.map_or(8, |text| text.parse().unwrap());
    let begin = Instant::now();
    let reached = |what: &str| eprintln!("{:>4} s: {what}", begin.elapsed().as_secs());
    let limit = Duration::from_secs(180 + 15 * n_papers as u64);
    let blocked = Arc::new(AtomicBool::new(true));
    let mut deployment = Deployment::new();
    deployment.paper_site = site(n_papers, Arc::clone(&blocked)).await;
    let deploy = ["deploy", "local", "--yes", "--no-sample"];
    deployment.infra(&deploy);
    reached("deployed");

    let answer = scrape(&deployment, n_papers);
    assert_eq!(answer["queued"], n_papers, "{answer}");
    let judged = async || n_verdicts(&deployment).await == n_papers;
    until("a verdict on each paper", limit, judged).await;
    assert!(!deployment.papers().is_empty());
    reached("all are judged");
    // They wait in no queue and no process.
    deployment.kill_everything();
    deployment.infra(&deploy);
    reached("everything was killed and is back");

    let n_accepted = all_are_tested(&deployment, limit).await;
    reached(&format!("{n_accepted} of {n_papers} accepted and tested"));
    blocked.store(false, Ordering::SeqCst);
    late_pdfs_are_only_taken(&deployment, n_papers, limit).await;
    reached("the PDFs came late and are in the documents");
}

/// Each accepted paper is tested, from its abstract; how many there are.
async fn all_are_tested(deployment: &Deployment, limit: Duration) -> usize {
    let tested = async || {
        deployment.dispatch();
        deployment.tested() == deployment.papers().len()
    };
    until("a result of each accepted paper", limit, tested).await;
    let accepted = deployment.papers();
    for paper in &accepted {
        assert_eq!(paper.get("s3_key"), None, "{paper}");
        assert_eq!(paper["test_success"], true, "{paper}");
    }
    written_from_the_abstract(deployment, &accepted).await;
    let queues = deployment.json(&["queues", "local", "--json"]);
    for queue in queues.as_array().unwrap() {
        assert_eq!(queue["dead"], 0, "{queue}");
    }
    accepted.len()
}

/// A later scrape takes the PDFs. Nothing that is kept is written again.
async fn late_pdfs_are_only_taken(deployment: &Deployment, n_papers: usize, limit: Duration) {
    let before = deployment.kept().await;
    let paid = deployment.model_requests();
    let answer = scrape(deployment, n_papers);
    assert_eq!(answer["failed"], json!([]), "{answer}");
    let has_pdf = async || {
        let papers = deployment.papers();
        papers.iter().all(|paper| paper["s3_key"].is_string())
    };
    until("the PDF in each document", limit, has_pdf).await;
    support::unchanged(&before, &deployment.kept().await);
    assert_eq!(deployment.model_requests(), paid, "no model is asked again");
}

/// The programs say that no text was there.
async fn written_from_the_abstract(deployment: &Deployment, papers: &[Value]) {
    let s3 = deployment.s3();
    let mut said = BTreeMap::new();
    for paper in papers {
        let id = paper["paper_id"].as_str().unwrap();
        let key = format!("{id}/metadata.json");
        let object = s3.get_object().bucket("papers-code-artifacts").key(&key);
        let body = object.send().await.unwrap().body.collect().await.unwrap();
        let metadata: Value = serde_json::from_slice(&body.into_bytes()).unwrap();
        said.insert(id.to_owned(), metadata["from_full_text"].clone());
    }
    assert!(said.values().all(|it| *it == false), "{said:?}");
}
