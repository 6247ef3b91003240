//! A hundred papers on their way through a local environment of which some part is killed again and again, at
//! moments that nobody chose: nothing is lost.
//!
//! Takes up to an hour. `ANNAPURNA_SOAK_SEED` has the same parts killed in the same order again.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed step fails the test; what was killed when is said"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Deployment, distinct_papers, kill, serve, text, unchanged, until};

const PAPERS: usize = 100;
/// Kills until the environment is left alone and has to come to an end.
const KILLS: u64 = 24;
/// Longest quiet between a deploy and the first kill, ms; before each later kill it may be so much longer. Papers
/// are soon with the tester, so the kills before that come close together.
const MOST_QUIET_MS: u64 = 2_000;
const PARTS: [&str; 6] = [
    "emulator",
    "opensearch",
    "agent",
    "model",
    "paper-site",
    "all",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes up to an hour"]
async fn a_hundred_papers_survive_kills_of_any_part_at_any_moment() {
    let begin = Instant::now();
    let mut chance = chance();
    let mut deployment = Deployment::new();
    deployment.paper_site = serve(distinct_papers(PAPERS)).await;
    deployment.infra(&["deploy", "local", "--yes", "--no-sample"]);
    let mut killed: BTreeMap<&str, usize> = BTreeMap::new();
    let mut kept = BTreeMap::new();
    for number in 1..=KILLS {
        let scrape = deployment.start(&["invoke", "local", "PaperScraper_ArXiv", &event()]);
        let quiet = Duration::from_millis(chance.u64(0..MOST_QUIET_MS * number));
        work_for(&deployment, quiet).await;
        let part = PARTS[chance.usize(0..PARTS.len())];
        match part {
            "all" => deployment.kill_everything(),
            part => kill(deployment.pid_of(part)),
        }
        *killed.entry(part).or_default() += 1;
        let deploy = deployment.run(&["deploy", "local", "--yes", "--no-sample"]);
        // With its emulator gone it may fail, and the next one takes what it left.
        let _ = scrape.wait_with_output().unwrap();
        let said = text(&deploy.stderr);
        assert!(deploy.status.success(), "kill {number} of {part}\n{said}");
        let again = said.lines().find_map(|it| it.split_once("sent again: "));
        let now = deployment.kept().await;
        unchanged(&kept, &now);
        kept = now;
        eprintln!(
            "{:>5} s: {part} killed after {} ms; sent again: {}; {}",
            begin.elapsed().as_secs(),
            quiet.as_millis(),
            again.map_or("nothing", |(_, what)| what),
            counts(&kept),
        );
    }
    every_paper_ends(&deployment).await;
    unchanged(&kept, &deployment.kept().await);
    eprintln!(
        "{:>5} s: done; killed {killed:?}; {} runs",
        begin.elapsed().as_secs(),
        deployment.runs(),
    );
}

/// The generator of what is killed when, whose seed is said.
fn chance() -> fastrand::Rng {
    let given = std::env::var("ANNAPURNA_SOAK_SEED");
    let seed = given.map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    eprintln!("ANNAPURNA_SOAK_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

fn event() -> String {
    format!(r#"{{"MAX_PAPERS":{PAPERS}}}"#)
}

/// Has the tester take what waits, for so long.
async fn work_for(deployment: &Deployment, time: Duration) {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left < Duration::from_secs(5) {
            return tokio::time::sleep(left).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        deployment.dispatch();
    }
}

/// How many of each kind of object there are.
fn counts(kept: &BTreeMap<String, String>) -> String {
    let count = |part: &str| kept.keys().filter(|key| key.contains(part)).count();
    format!(
        "{} PDFs, {} verdicts, {} programs, {} results",
        count(".pdf"),
        count("verdicts/"),
        count("/code.py"),
        count("/outputs/result.json")
    )
}

/// Every paper has a record, a PDF and a verdict, and every accepted one a program that passed, once.
async fn every_paper_ends(deployment: &Deployment) {
    let answer = deployment.json(&["invoke", "local", "PaperScraper_ArXiv", &event()]);
    assert_eq!(answer["found"], PAPERS, "{answer}");
    assert_eq!(answer["failed"], serde_json::json!([]), "{answer}");
    let have_ended = async || {
        deployment.dispatch();
        let is_idle = deployment.nothing_queued() && deployment.programs_running().await == 0;
        // An attempt whose result was collected before it began is ended by a look two minutes later.
        let is_under_way = |paper: &Value| paper["test_in_progress"] == true;
        is_idle && !indexed(deployment).iter().any(is_under_way)
    };
    let limit = Duration::from_secs(3_600);
    let what = "the queues are empty and no test is under way";
    until(what, limit, have_ended).await;
    let kept = deployment.kept().await;
    let accepted: BTreeSet<String> = accepted(deployment).await;
    eprintln!("{}; {} accepted", counts(&kept), accepted.len());
    let with = |prefix: &str, ending: &str| -> BTreeSet<String> {
        let papers = kept
            .keys()
            .filter_map(|key| key.strip_prefix(prefix)?.strip_suffix(ending));
        papers.map(str::to_owned).collect()
    };
    assert_eq!(with("arxiv/2026/", ".pdf").len(), PAPERS);
    assert_eq!(with("verdicts/", ".json").len(), PAPERS);
    assert_eq!(with("", "/code.py"), accepted);
    assert_eq!(with("", "/outputs/result.json"), accepted);
    let papers = indexed(deployment);
    assert_eq!(papers.len(), accepted.len());
    for paper in papers {
        assert_eq!(paper["test_success"], true, "{paper}");
        assert!(
            accepted.contains(paper["paper_id"].as_str().unwrap()),
            "{paper}"
        );
    }
    // Written on a condition.
    let pdfs = deployment.versions("llm-research-papers", ".pdf").await;
    assert_eq!(pdfs.len(), PAPERS, "each PDF was written once");
    // A kill between a program and its metadata, which come last, has the program written again.
    let programs = deployment.contents("papers-code-artifacts", "/metadata.json");
    assert_eq!(
        programs.await.len(),
        accepted.len(),
        "a program with its metadata is not written again"
    );
    let results = deployment.contents("papers-test-outputs", "/outputs/result.json");
    assert_eq!(
        results.await.len(),
        accepted.len(),
        "no program with a result was run again"
    );
}

/// Every paper of the index.
fn indexed(deployment: &Deployment) -> Vec<Value> {
    let papers = deployment.json(&["papers", "local", "--json", "--limit", "1000"]);
    papers.as_array().unwrap().clone()
}

/// The papers with an accepting verdict.
async fn accepted(deployment: &Deployment) -> BTreeSet<String> {
    let mut accepted = BTreeSet::new();
    for key in deployment.kept().await.into_keys() {
        let Some(paper) = key
            .strip_prefix("verdicts/")
            .and_then(|it| it.strip_suffix(".json"))
        else {
            continue;
        };
        let verdict = deployment.object("llm-research-papers", &key).await;
        let verdict: Value = serde_json::from_slice(&verdict).unwrap();
        if verdict["decision"] == "accept" {
            accepted.insert(paper.to_owned());
        }
    }
    accepted
}
