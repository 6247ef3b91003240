//! A whole conference through the deployed state machine: the real function's processes, killed on the
//! way, against a site that counts.
//!
//! `ANNAPURNA_CONFERENCE_PAPERS` and `ANNAPURNA_CONFERENCE_PDF_KIB` set the size by hand; a run of
//! every day takes a part of it, since each paper is a dozen calls of the emulator.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed step fails the test, and figures are said"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use annapurna_cloud::{MessageQueues, Receive, Sqs};
use annapurna_local::paper_site::PaperSite;
use axum::Json;
use axum::body::Bytes;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use support::{Deployment, function_processes, kill, until};

/// Papers on their way at once, in both windows together.
const IN_FLIGHT: usize = 4;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// How often each PDF was asked for.
#[derive(Clone, Default)]
struct Loads(Arc<Mutex<BTreeMap<String, usize>>>);

impl Loads {
    fn total(&self) -> usize {
        self.0.lock().unwrap().values().sum()
    }

    fn papers(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// A paper as the list has it: nothing in its abstract is said of another one.
fn record(paper: usize) -> Value {
    let sentence = |place: usize| format!("Thing{paper} number{paper} shows{paper} place {place}.");
    let abstract_text: Vec<String> = (0..25).map(sentence).collect();
    json!({"id": 1000 + paper, "name": format!("Paper {paper}"),
        "abstract": abstract_text.join(" "),
        "authors": [{"id": 1, "fullname": "Ines Halvorsen", "institution": ""}],
        "paper_url": format!("https://openreview.net/forum?id=forum{paper}")})
}

/// The list of the site, which a test may edit.
type List = Arc<Mutex<Vec<Value>>>;

/// A conference of `n_papers`, every one with a PDF of its own size class.
async fn conference(n_papers: usize, pdf_kib: usize) -> (String, Loads, List) {
    let mut pdf = b"%PDF-1.4\n".to_vec();
    pdf.resize(pdf_kib * 1024, b'\n');
    pdf.extend_from_slice(b"%%EOF\n");
    let list = List::new(Mutex::new((0..n_papers).map(record).collect()));
    let mut site = PaperSite::new();
    let pdf = Bytes::from(pdf);
    for paper in 0..n_papers {
        site = site.with_openreview_pdf(&format!("forum{paper}"), pdf.clone());
    }
    let loads = Loads::default();
    let (seen, served) = (loads.clone(), Arc::clone(&list));
    let layer = from_fn(move |request: Request, next: Next| {
        let path = request.uri().path_and_query().unwrap().to_string();
        let listed = path.ends_with("/neurips-2025-orals-posters.json").then(|| {
            let records = served.lock().unwrap();
            Json(json!({"count": records.len(), "next": null, "results": *records}))
        });
        if path.starts_with("/pdf?") {
            *seen.0.lock().unwrap().entry(path).or_default() += 1;
        }
        async move {
            match listed {
                Some(list) => list.into_response(),
                None => next.run(request).await,
            }
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = site.router().layer(layer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, loads, list)
}

/// The judge would take its time over every paper; here the queue is to be counted.
async fn stop_the_judge(deployment: &Deployment) {
    let lambda = aws_sdk_lambda::Client::new(&deployment.sdk_config());
    let mappings = lambda
        .list_event_source_mappings()
        .function_name("PapersJudge")
        .send()
        .await
        .unwrap();
    for mapping in mappings.event_source_mappings() {
        lambda
            .update_event_source_mapping()
            .uuid(mapping.uuid().unwrap())
            .enabled(false)
            .send()
            .await
            .unwrap();
    }
}

fn research_messages(deployment: &Deployment) -> u64 {
    let queues = deployment.json(&["queues", "local", "--json"]);
    let research = queues
        .as_array()
        .unwrap()
        .iter()
        .find(|queue| queue["queue"] == "researchQueue.fifo");
    let research = research.unwrap();
    research["waiting"].as_u64().unwrap() + research["in_flight"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_conference_goes_through_the_state_machine_and_survives_kills() {
    let n_papers = setting("ANNAPURNA_CONFERENCE_PAPERS", 450);
    let pdf_kib = setting("ANNAPURNA_CONFERENCE_PDF_KIB", 20);
    let (site, loads, list) = conference(n_papers, pdf_kib).await;
    let mut deployment = Deployment::new();
    deployment.paper_site = site;
    deployment.infra(&["deploy", "local", "--yes", "--no-sample"]);
    stop_the_judge(&deployment).await;

    let start = Instant::now();
    let scrape = ["scrape", "local", "neurips", "--year", "2025"];
    let begun = deployment.infra(&scrape);
    assert!(begun.contains("neurips-2025-"), "{begun}");
    let again = deployment.infra(&scrape);
    assert_eq!(again, begun, "a second one is not begun");
    let n_killed = kills_on_the_way(&deployment, &loads, n_papers).await;
    let report = deployment.json(&[&scrape[..], &["--follow", "--json"]].concat());
    eprintln!(
        "{n_papers} papers in {:.0?}, {n_killed} processes killed: {} PDFs asked for",
        start.elapsed(),
        loads.total()
    );
    assert_eq!(report["status"], "SUCCEEDED", "{report}");
    let summary = &report["summary"];
    assert_eq!(summary["found"], n_papers, "{report}");
    assert_eq!(summary["failed"], json!([]), "{report}");
    assert_eq!(
        summary["stored"].as_u64().unwrap() + summary["already"].as_u64().unwrap(),
        n_papers as u64,
        "{report}"
    );
    all_papers_are_there_once(&deployment, n_papers).await;
    assert_eq!(loads.papers(), n_papers);
    // Only what a process had on its way when it was killed may be loaded again.
    assert!(
        loads.total() <= n_papers + n_killed * IN_FLIGHT,
        "{} PDFs asked for, {n_killed} processes killed",
        loads.total()
    );

    let n_loads = loads.total();
    let second = deployment.json(&[&scrape[..], &["--follow", "--json"]].concat());
    assert_eq!(second["summary"]["already"], n_papers, "{second}");
    assert_eq!(second["summary"]["stored"], 0, "{second}");
    assert_eq!(loads.total(), n_loads, "a second run loads nothing");
    assert_eq!(research_messages(&deployment), n_papers as u64);

    edits_are_told_once(&deployment, &list, n_papers).await;
    assert_eq!(loads.total(), n_loads, "an edit loads no PDF");
}

/// Papers whose titles are edited, by their numbers.
const NEW_TITLES: [usize; 3] = [1, 2, 3];
/// Papers whose abstracts are edited in substance.
const NEW_ABSTRACTS: [usize; 2] = [4, 5];
const N_EDITED: usize = NEW_TITLES.len() + NEW_ABSTRACTS.len();

/// The same list with edited titles and abstracts and in another order, then under other numbers.
async fn edits_are_told_once(deployment: &Deployment, list: &List, n_papers: usize) {
    let scrape = || {
        let scrape = ["scrape", "local", "neurips", "--year", "2025"];
        let report = deployment.json(&[&scrape[..], &["--follow", "--json"]].concat());
        assert_eq!(report["summary"]["already"], n_papers, "{report}");
        assert_eq!(report["summary"]["failed"], json!([]), "{report}");
        let n_told = research_messages(deployment) as usize;
        (
            report["summary"]["queued"].as_u64().unwrap() as usize,
            n_told,
        )
    };
    edit(&mut list.lock().unwrap());
    let n_told = n_papers + N_EDITED;
    assert_eq!(scrape(), (N_EDITED, n_told), "what was edited is told");
    assert_eq!(scrape(), (0, n_told), "and nothing twice");
    for (record, id) in list.lock().unwrap().iter_mut().zip(1000..) {
        record["id"] = json!(id);
    }
    assert_eq!(scrape(), (0, n_told), "nor what has another number");
    told_as_edited(deployment, n_papers).await;
}

/// Edits titles and abstracts, and turns the list round.
fn edit(list: &mut [Value]) {
    for paper in NEW_TITLES {
        list[paper]["name"] = json!(format!("On Paper {paper}"));
    }
    for paper in NEW_ABSTRACTS {
        let text = format!("Paper {paper} says something else now. ").repeat(9);
        list[paper]["abstract"] = json!(text);
    }
    list.reverse();
}

/// The judge's queue has the edited papers twice, as they were and as they are, and all others once.
async fn told_as_edited(deployment: &Deployment, n_papers: usize) {
    let mut told: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for message in taken_messages(deployment).await {
        let id = message["paper_id"].as_str().unwrap().to_owned();
        told.entry(id).or_default().push(message);
    }
    assert_eq!(
        told.len(),
        n_papers,
        "each has the id that it was given first"
    );
    let mut last = BTreeMap::new();
    for messages in told.into_values().filter(|it| it.len() > 1) {
        assert_eq!(messages.len(), 2, "{messages:?}");
        let title = messages[1]["title"].as_str().unwrap().to_owned();
        last.insert(title, messages[1]["revision"].clone());
    }
    let titles = NEW_TITLES.map(|paper| (format!("On Paper {paper}"), Value::Null));
    let abstracts = NEW_ABSTRACTS.map(|paper| (format!("Paper {paper}"), json!(2)));
    assert_eq!(last, titles.into_iter().chain(abstracts).collect());
}

/// Takes every message out of the judge's queue.
async fn taken_messages(deployment: &Deployment) -> Vec<Value> {
    let sqs = Sqs::new(&deployment.sdk_config());
    let outputs = deployment.json(&["outputs", "local", "--json"]);
    let queue = outputs["ResearchQueueUrl"].as_str().unwrap();
    let few = Receive {
        most: 10,
        hide_for: Duration::from_secs(60),
        wait: Duration::from_secs(1),
    };
    let mut taken = Vec::new();
    let limit = Duration::from_secs(300);
    let begun = Instant::now();
    loop {
        let n_taken = taken.len();
        assert!(
            begun.elapsed() < limit,
            "after {limit:?} and {n_taken} messages there are more"
        );
        let some = sqs.receive(queue, few).await.unwrap();
        if some.is_empty() {
            return taken;
        }
        for message in some {
            taken.push(serde_json::from_str(&message.body).unwrap());
            sqs.delete(queue, &message.receipt).await.unwrap();
        }
    }
}

/// Kills the function's processes at a third and at two thirds of the papers.
async fn kills_on_the_way(deployment: &Deployment, loads: &Loads, n_papers: usize) -> usize {
    let endpoint = deployment.endpoint();
    let mut n_killed = 0;
    for part in [n_papers / 3, n_papers * 2 / 3] {
        let limit = Duration::from_secs(600);
        until("a third of the papers", limit, async || {
            loads.papers() >= part
        })
        .await;
        for pid in function_processes("PapersScraper", &endpoint) {
            kill(pid);
            n_killed += 1;
        }
    }
    assert!(n_killed > 0, "no process was there to be killed");
    n_killed
}

async fn all_papers_are_there_once(deployment: &Deployment, n_papers: usize) {
    let pdfs = deployment.versions("llm-research-papers", ".pdf").await;
    let different: BTreeSet<&String> = pdfs.iter().collect();
    assert_eq!((pdfs.len(), different.len()), (n_papers, n_papers));
    assert_eq!(research_messages(deployment), n_papers as u64);
}
