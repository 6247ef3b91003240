//! A local environment whose paper site alone, or whose model alone, is killed while papers are with it: after a
//! deploy each paper comes to its end.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed step fails the test; where the time goes is said"
)]

mod support;

use std::time::{Duration, Instant};

use support::process::{COMMAND_LIMIT, has_connections, is_connected, output_of, signal};
use support::{Deployment, kill, text, unchanged, until};

/// What the sample site has of ICLR.
const PAPERS: usize = 4;
const SCRAPE: [&str; 4] = [
    "invoke",
    "local",
    "PaperScraper_ICLR",
    r#"{"MAX_PAPERS":4}"#,
];
const DEPLOY: [&str; 4] = ["deploy", "local", "--yes", "--no-sample"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn papers_outlive_their_site_and_the_model() {
    let begin = Instant::now();
    let reached = |what: &str| eprintln!("{:>4} s: {what}", begin.elapsed().as_secs());
    let deployment = Deployment::new();
    deployment.infra(&DEPLOY);
    reached("deployed");

    the_site_dies_under_a_scrape(&deployment).await;
    deployment.infra(&DEPLOY);
    // Nobody answers, so what is scraped now stays with the judge.
    let model = deployment.pid_of("model");
    signal("STOP", model);
    let answer = deployment.json(&SCRAPE);
    assert_eq!(answer["found"], PAPERS, "{answer}");
    assert_eq!(answer["failed"], serde_json::json!([]), "{answer}");
    reached("the paper site was killed, and the scrape took all of its papers after that");

    let port = deployment.service("model")["port"].as_u64().unwrap();
    let is_asked = async || has_connections(port);
    until(
        "the judge asks the model",
        Duration::from_secs(120),
        is_asked,
    )
    .await;
    kill(model);
    let before = deployment.kept().await;
    deployment.infra(&DEPLOY);
    unchanged(&before, &deployment.kept().await);
    reached("the model was killed while the judge asked it");

    every_paper_ends(&deployment).await;
    reached("each paper has a verdict, and each accepted one a result");
}

/// A scrape that waits for the site ends with its name when it is killed.
async fn the_site_dies_under_a_scrape(deployment: &Deployment) {
    let port = |service: &str| deployment.service(service)["port"].as_u64().unwrap();
    let site = deployment.pid_of("paper-site");
    signal("STOP", site);
    let scrape = deployment.start_saying(&SCRAPE);
    let site_port = port("paper-site");
    let is_asked =
        async || is_connected(scrape.id(), port("emulator")) && has_connections(site_port);
    until(
        "the scraper asks the site",
        Duration::from_secs(60),
        is_asked,
    )
    .await;
    kill(site);
    let output = output_of(scrape, COMMAND_LIMIT);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in ["stopped in `local`: the paper site", "infra deploy local"] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}

async fn every_paper_ends(deployment: &Deployment) {
    let count = async |prefix: &str, ending: &str| {
        let kept = deployment.kept().await.into_keys();
        kept.filter(|key| key.starts_with(prefix) && key.ends_with(ending))
            .count()
    };
    let are_judged = async || count("verdicts/", ".json").await == PAPERS;
    let limit = Duration::from_secs(600);
    until("a verdict of each paper", limit, are_judged).await;
    let are_tested = async || {
        deployment.dispatch();
        let papers = deployment.papers();
        !papers.is_empty() && papers.iter().all(|paper| paper["tested"] == true)
    };
    until("a result of each accepted paper", limit, are_tested).await;
    assert_eq!(count("iclr/", ".pdf").await, PAPERS);
    let programs = count("", "/code.py").await;
    assert_eq!(programs, deployment.papers().len());
    assert_eq!(count("", "/outputs/result.json").await, programs);
}
