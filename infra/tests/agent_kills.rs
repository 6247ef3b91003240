//! Two hundred programs under an agent that is killed outright again and again, at moments that nobody chose: none is
//! lost, none is run once it has its result, none is taken for one that ends the agent, and nothing of them stays.
//!
//! Takes up to half an hour. `ANNAPURNA_SOAK_SEED` has the kills at the same moments again.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed step fails the test; what was killed when is said"
)]

mod support;

use std::time::{Duration, Instant};

use annapurna_cloud::{Message, MessageQueues, Sqs};
use annapurna_contract::{CodeTestingMessage, PaperId, ProgramToTest, Queue, TestStatus, keys};
use annapurna_stack::outputs::Output;
use serde_json::{Value, json};
use support::{Deployment, kill, text, until};

const PROGRAMS: usize = 200;
/// Programs of a batch.
const BATCH: usize = 10;
/// Kills until the agent is left alone.
const KILLS: usize = 12;
/// Longest time from a deploy to the next kill, ms.
const MOST_QUIET_MS: u64 = 25_000;
/// Programs that run at a time.
const SLOTS: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes up to half an hour"]
async fn two_hundred_programs_survive_kills_of_the_agent_at_any_moment() {
    let begin = Instant::now();
    let mut chance = chance();
    let deployment = Deployment::new();
    deployment.infra(&["deploy", "local", "--yes", "--no-sample"]);
    let name = format!("agent-kills-{}-", std::process::id());
    let papers = hand_over(&deployment, &name, &mut chance).await;
    for number in 1..=KILLS {
        let quiet = Duration::from_millis(chance.u64(0..MOST_QUIET_MS));
        tokio::time::sleep(quiet).await;
        let running = running(&name);
        kill(deployment.pid_of("agent"));
        let deploy = deployment.run(&["deploy", "local", "--yes", "--no-sample"]);
        assert!(deploy.status.success(), "{}", text(&deploy.stderr));
        eprintln!(
            "{:>5} s: kill {number} after {} ms, while {running} ran; {} results",
            begin.elapsed().as_secs(),
            quiet.as_millis(),
            deployment.results().await,
        );
    }
    let limit = Duration::from_secs(1800);
    let is_done = async || settled(&deployment);
    until("every batch is done", limit, is_done).await;
    eprintln!(
        "{:>5} s: done, {} runs",
        begin.elapsed().as_secs(),
        deployment.runs()
    );
    every_program_ended_once(&deployment, &papers).await;
    assert_eq!(running(&name), 0);
    assert_eq!(deployment.programs_running().await, 0);
    for folder in ["runs", "suspects"] {
        let folder = deployment.home().join("data/agent").join(folder);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "{folder:?}");
    }
}

/// The generator of when the agent is killed, whose seed is said.
fn chance() -> fastrand::Rng {
    let given = std::env::var("ANNAPURNA_SOAK_SEED");
    let seed = given.map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    eprintln!("ANNAPURNA_SOAK_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Puts the programs into their bucket, their papers into the index, and the batches into the agent's queue.
async fn hand_over(
    deployment: &Deployment,
    name: &str,
    chance: &mut fastrand::Rng,
) -> Vec<PaperId> {
    let papers: Vec<PaperId> = (0..PROGRAMS)
        .map(|number| PaperId::of(&format!("{name}{number}"), None))
        .collect();
    let queues = Sqs::new(&deployment.sdk_config());
    let outputs = deployment.json(&["outputs", "local", "--json"]);
    let url = outputs[&*Output::QueueUrl(Queue::CodeTesting).name()].as_str();
    for (number, papers) in papers.chunks(BATCH).enumerate() {
        let mut batch = Vec::new();
        for paper in papers {
            let seconds = f64::from(chance.u32(2..30)) / 10.0;
            batch.push(program(deployment, paper, &code_for(name, seconds)).await);
        }
        let message = CodeTestingMessage {
            batch_id: format!("{name}{number}"),
            batch,
            timeout: 600,
            skip_tested: true,
            trial: false,
            live: false,
        };
        let message = Message::of(&message).unwrap();
        queues.send(url.unwrap(), message).await.unwrap();
    }
    papers
}

/// A program with a child that has `name` in its command line.
fn code_for(name: &str, seconds: f64) -> String {
    format!(
        "import subprocess\nsubprocess.run(['sh', '-c', 'sleep {seconds}; : {name}'])\n\
         print('METRICS: {{\"training_loss\": {seconds}}}')\n"
    )
}

async fn program(deployment: &Deployment, paper: &PaperId, code: &str) -> ProgramToTest {
    let (s3, key) = (deployment.s3(), keys::code(paper));
    let written = s3.put_object().bucket("papers-code-artifacts").key(&key);
    let body = code.as_bytes().to_vec().into();
    written.body(body).send().await.unwrap();
    let port = &deployment.service("opensearch")["port"];
    let url = format!("http://127.0.0.1:{port}/research-papers-v2/_doc/{paper}");
    let document = json!({"title": "a paper", "code_generated": true});
    let put = reqwest::Client::new().put(url).json(&document).send().await;
    put.unwrap().error_for_status().unwrap();
    ProgramToTest {
        paper_id: paper.clone(),
        paper_title: String::new(),
        code: None,
        s3_code_key: key,
        code_sha256: String::new(),
        dry_run: false,
    }
}

/// How many programs of this test run now.
fn running(name: &str) -> usize {
    let lines = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| line.starts_with(b"sh\0") && text(line).contains(name))
        .count()
}

/// Whether no batch waits or is with the agent; a dead letter fails the test.
fn settled(deployment: &Deployment) -> bool {
    let queues = deployment.json(&["queues", "local", "--json"]);
    let queues: Vec<Value> = queues.as_array().unwrap().clone();
    let name = Queue::CodeTesting.name();
    let queue = queues.iter().find(|queue| queue["queue"] == *name).unwrap();
    assert_eq!(queue["dead"], 0, "{queue}");
    queue["waiting"] == 0 && queue["in_flight"] == 0
}

async fn every_program_ended_once(deployment: &Deployment, papers: &[PaperId]) {
    let bucket = "papers-test-outputs";
    for paper in papers {
        let result = deployment.object(bucket, &keys::result(paper)).await;
        let result: annapurna_contract::TestResult = serde_json::from_slice(&result).unwrap();
        assert_eq!(result.status, Some(TestStatus::Success), "{result:?}");
    }
    // A result says when it was made, so a second run's would be another.
    let results = deployment.contents(bucket, "/outputs/result.json").await;
    assert_eq!(
        results.len(),
        papers.len(),
        "none ran again after its result"
    );
    let most = papers.len() + KILLS * SLOTS;
    assert!(deployment.runs() <= most, "{} runs", deployment.runs());
}
