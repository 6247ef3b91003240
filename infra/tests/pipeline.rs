//! The whole path on this machine, with the real processes, messages and API calls: deploy, ten sample
//! papers to their results, kills in the middle, the aws CLI, and a recorded feed of real papers.
//!
//! One environment serves all rules, since deploying it takes the longest; it lives in a folder of its
//! own and goes with the test.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed step fails the test, which says how far it is"
)]

#[path = "pipeline/person.rs"]
mod person;
#[path = "pipeline/roles.rs"]
mod roles;
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use annapurna_local::paper_site::PaperSite;
use annapurna_local_testing::with_arxiv_feed;
use annapurna_stack::outputs::Output;
use serde_json::Value;
use support::{
    Deployment, PROJECT, aws_cli, distinct_papers, function_processes, kill, serve, text, until,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn papers_reach_their_results_through_kills_and_repeats() {
    let mut deployment = Deployment::new();
    eprintln!("deploying to {}", deployment.state.path().display());
    deployment.infra(&["deploy", "local", "--yes"]);
    ten_sample_papers_have_results(&deployment).await;
    a_plan_after_a_deploy_changes_nothing(&deployment);
    status_shows_every_part(&deployment);
    a_second_scrape_stores_and_queues_nothing(&deployment);
    the_roles_of_the_pipeline_cannot_delete_a_paper(&deployment).await;
    the_aws_cli_runs_the_users_commands(&deployment);
    killed_processes_lose_nothing_and_repeat_nothing(&mut deployment).await;
    real_papers_end_in_the_index(&mut deployment).await;
    the_readmes_events_answer_papers(&mut deployment);
    person::reads_results_and_tests_programs(&deployment).await;
    roles::each_function_may_do_no_more_than_it_does(&deployment).await;
    destroy_leaves_nothing(&deployment);
}

async fn ten_sample_papers_have_results(deployment: &Deployment) {
    let papers = deployment.papers();
    assert_eq!(papers.len(), 10);
    for paper in &papers {
        assert_eq!(paper["tested"], true, "{paper}");
        assert_eq!(paper["test_success"], true, "{paper}");
        assert!(paper["training_loss"].as_f64().unwrap() > 0.0, "{paper}");
        let stage = paper["stage"].as_str().unwrap();
        assert!(["trained", "beats-baseline"].contains(&stage), "{paper}");
        // Programs about language have no accuracy.
        let accuracy = paper["validation_accuracy"].as_f64();
        assert!(accuracy.is_none_or(|it| it > 0.3), "{paper}");
    }
    assert_eq!(
        deployment
            .versions("llm-research-papers", ".pdf")
            .await
            .len(),
        10
    );
    assert_eq!(
        deployment
            .versions("papers-code-artifacts", "/code.py")
            .await
            .len(),
        10
    );
    assert_eq!(
        deployment
            .versions("papers-test-outputs", "/outputs/stdout.log")
            .await
            .len(),
        10
    );
}

fn a_plan_after_a_deploy_changes_nothing(deployment: &Deployment) {
    assert_eq!(
        deployment.infra(&["plan", "local"]),
        "Nothing changes in `local`.\n"
    );
}

fn status_shows_every_part(deployment: &Deployment) {
    let status = deployment.infra(&["status", "local"]);
    for part in ["cloud", "search", "model", "papers", "agent"] {
        let line = status.lines().find(|line| line.starts_with(part));
        assert!(
            line.is_some_and(|line| line.contains("runs")),
            "{part}\n{status}"
        );
    }
    assert!(status.contains("model: offline rules"), "{status}");
    assert!(status.contains("isolation"), "{status}");
    let status = deployment.json(&["status", "local", "--json"]);
    for part in status["parts"].as_array().unwrap() {
        if part["state"] == "runs" {
            assert!(part["pid"].as_i64().unwrap() > 1, "{part}");
            let address = part["address"].as_str().unwrap();
            assert!(address.starts_with("http://127.0.0.1:"), "{part}");
            assert!(Path::new(part["log"].as_str().unwrap()).exists(), "{part}");
        }
    }
}

fn a_second_scrape_stores_and_queues_nothing(deployment: &Deployment) {
    let answer = deployment.json(&[
        "invoke",
        "local",
        "PaperScraper_ICLR",
        r#"{"MAX_PAPERS":"5"}"#,
    ]);
    assert_eq!(answer["found"], 4, "{answer}");
    assert_eq!(answer["already"], 4, "{answer}");
    assert_eq!(answer["known"], 4, "{answer}");
    assert_eq!(answer["stored"], 0, "{answer}");
    assert_eq!(answer["queued"], 0, "{answer}");
}

/// The agent's own credentials, as its process has them, against a raw paper.
async fn the_roles_of_the_pipeline_cannot_delete_a_paper(deployment: &Deployment) {
    let key = deployment
        .versions("llm-research-papers", ".pdf")
        .await
        .remove(0);
    let outputs = deployment.json(&["outputs", "local", "--json"]);
    let role = outputs[&*Output::TrainiumAgentRoleArn.name()]
        .as_str()
        .unwrap();
    let sts = aws_sdk_sts::Client::new(&deployment.sdk_config());
    let session = sts
        .assume_role()
        .role_arn(role)
        .role_session_name("test")
        .send()
        .await
        .unwrap();
    let session = session.credentials().unwrap();
    let config = deployment.s3().config().to_builder().credentials_provider(
        aws_credential_types::Credentials::new(
            session.access_key_id(),
            session.secret_access_key(),
            Some(session.session_token().to_owned()),
            None,
            "role",
        ),
    );
    let agent = aws_sdk_s3::Client::from_conf(config.build());
    let refused = agent
        .delete_object()
        .bucket("llm-research-papers")
        .key(&key)
        .send()
        .await;
    assert_eq!(
        refused
            .unwrap_err()
            .raw_response()
            .unwrap()
            .status()
            .as_u16(),
        403
    );
    let own = agent
        .list_objects_v2()
        .bucket("papers-test-outputs")
        .send()
        .await;
    assert!(own.is_ok(), "the role may do what it is granted");
}

fn the_aws_cli_runs_the_users_commands(deployment: &Deployment) {
    let Some(aws) = aws_cli() else { return };
    let endpoint = deployment.endpoint();
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let output = Command::new(aws)
            .current_dir(folder.path())
            .args(args)
            .args(["--endpoint-url", &endpoint])
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .output()
            .unwrap();
        let error = text(&output.stderr);
        assert!(output.status.success(), "aws {args:?}\n{error}");
        text(&output.stdout)
    };
    let invoke = |function: &str, event: &str| -> Value {
        let start = "lambda invoke --cli-binary-format raw-in-base64-out --function-name";
        let mut args: Vec<&str> = start.split(' ').collect();
        args.extend([function, "--payload", event, "out.json"]);
        run(&args);
        serde_json::from_slice(&std::fs::read(folder.path().join("out.json")).unwrap()).unwrap()
    };
    let five = r#"{"MAX_PAPERS": "5"}"#;
    assert_eq!(invoke("PaperScraper_ICLR", five)["found"], 4);
    // As users also spell it: a function of its own, since Lambda tells the two apart.
    let lowercase = invoke("PaperScraper_arxiv", five);
    assert_eq!(lowercase["source"], "ARXIV");
    assert_eq!(lowercase["known"], 6, "the sample's papers are all there");
    let event = r#"{"action":"generate_recent","max_papers":5}"#;
    let generated = invoke("PapersCodeGenerator", event);
    assert_eq!(generated["action"], "generate_recent");
    assert_eq!(length(&generated["failed"]), 0);
    let logs = run(&["logs", "tail", "/aws/lambda/PapersJudge", "--since", "15m"]);
    assert!(logs.contains("judged"), "{logs}");
    let url = format!("{endpoint}/000000000000/researchQueue.fifo");
    let wanted = "ApproximateNumberOfMessages";
    let count = ["sqs", "get-queue-attributes", "--queue-url", &url];
    let count = run(&[&count[..], &["--attribute-names", wanted]].concat());
    assert!(count.contains(&format!(r#""{wanted}": "0""#)), "{count}");
}

async fn killed_processes_lose_nothing_and_repeat_nothing(deployment: &mut Deployment) {
    deployment.paper_site = serve(distinct_papers(12)).await;
    deployment.infra(&["deploy", "local", "--yes", "--no-sample"]);
    let endpoint = deployment.endpoint();
    let twelve = r#"{"MAX_PAPERS":12}"#;
    let answer = deployment.json(&["invoke", "local", "PaperScraper_ArXiv", twelve]);
    assert_eq!(answer["stored"], 12, "{answer}");
    // Messages of these papers are with the judge; a batch is half done.
    kill_the_judge_for_a_while(&endpoint).await;
    kill_the_agent_in_a_batch(deployment).await;
    deployment.infra(&["deploy", "local", "--yes", "--no-sample"]);
    let all = async || {
        deployment.dispatch();
        deployment.tested() == 22
    };
    until(
        "a result for each of the 22 papers",
        Duration::from_secs(480),
        all,
    )
    .await;
    let results = deployment
        .versions("papers-test-outputs", "/outputs/result.json")
        .await;
    let distinct: BTreeSet<&String> = results.iter().collect();
    assert_eq!(
        (results.len(), distinct.len()),
        (22, 22),
        "each program has exactly one result"
    );
    let programs = deployment
        .versions("papers-code-artifacts", "/code.py")
        .await;
    assert_eq!(programs.len(), 22, "each program was written once");
    for queue in deployment
        .json(&["queues", "local", "--json"])
        .as_array()
        .unwrap()
    {
        assert_eq!(queue["dead"], 0, "{queue}");
    }
}

async fn kill_the_judge_for_a_while(endpoint: &str) {
    let start = Instant::now();
    let mut n_killed = 0;
    let long_enough = Duration::from_secs(3);
    while start.elapsed() < long_enough || n_killed == 0 {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "a judge was there to be killed"
        );
        for pid in function_processes("PapersJudge", endpoint) {
            let killed = Command::new("kill")
                .args(["-9", &pid.to_string()])
                .status()
                .unwrap();
            n_killed += usize::from(killed.success());
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Something of the batch has a result then, something runs.
async fn kill_the_agent_in_a_batch(deployment: &Deployment) {
    let written = async || {
        let papers = deployment.papers();
        papers
            .iter()
            .filter(|paper| paper["code_generated"] == true)
            .count()
            >= 15
    };
    until(
        "a program for some of the new papers",
        Duration::from_secs(180),
        written,
    )
    .await;
    let mid_batch = async || {
        deployment.dispatch();
        deployment.tested() > 10 && deployment.programs_running().await > 0
    };
    until(
        "a batch that is half done",
        Duration::from_secs(180),
        mid_batch,
    )
    .await;
    kill(deployment.pid_of("agent"));
    let status = deployment.infra(&["status", "local"]);
    assert!(
        status
            .lines()
            .any(|line| line.starts_with("agent") && line.contains("has died")),
        "{status}"
    );
}

/// A recorded feed of arXiv, each paper with a PDF that another program made.
async fn real_papers_end_in_the_index(deployment: &mut Deployment) {
    let feed = String::from_utf8(annapurna_test_data::file("arxiv/search_start0_max10.xml"));
    let feed = feed.unwrap();
    let pdfs = ["latex_multicolumn_ccbysa", "encrypted_empty_user_password"];
    let pdfs = pdfs.map(|name| annapurna_test_data::file(&format!("pdf/{name}.pdf")));
    let site = with_arxiv_feed(PaperSite::new(), &feed, pdfs);
    deployment.paper_site = serve(site).await;
    deployment.infra(&["deploy", "local", "--yes", "--no-sample"]);
    let ten = r#"{"MAX_PAPERS":10}"#;
    let answer = deployment.json(&["invoke", "local", "PaperScraper_ArXiv", ten]);
    assert_eq!(answer["found"], 10, "{answer}");
    assert_eq!(answer["stored"], 10, "{answer}");
    let judged = async || {
        deployment
            .versions("llm-research-papers", ".json")
            .await
            .iter()
            .filter(|key| key.starts_with("verdicts/"))
            .count()
            == 32
    };
    until(
        "a verdict on each of the 32 papers",
        Duration::from_secs(180),
        judged,
    )
    .await;
    let accepted = accepted_titles(deployment, &feed).await;
    assert!(
        !accepted.is_empty(),
        "the rules accept at least one of ten real papers"
    );
    let indexed = async || {
        let titles: BTreeSet<String> = deployment
            .papers()
            .iter()
            .filter(|paper| paper["code_generated"] == true)
            .filter_map(|paper| paper["title"].as_str().map(str::to_owned))
            .collect();
        accepted.is_subset(&titles)
    };
    until(
        "a program for each accepted real paper",
        Duration::from_secs(180),
        indexed,
    )
    .await;
    are_written_from_their_pdfs(deployment, &accepted).await;
}

async fn are_written_from_their_pdfs(deployment: &Deployment, accepted: &BTreeSet<String>) {
    for paper in deployment.papers() {
        let title = paper["title"].as_str().unwrap();
        if accepted.contains(title) {
            let key = format!("{}/metadata.json", paper["paper_id"].as_str().unwrap());
            let body = deployment.object("papers-code-artifacts", &key).await;
            let metadata: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                metadata["from_full_text"], true,
                "the PDF's text is in the prompt: {title}"
            );
        }
    }
}

/// Titles of the feed that the judge accepted.
async fn accepted_titles(deployment: &Deployment, feed: &str) -> BTreeSet<String> {
    let mut titles = BTreeSet::new();
    for key in deployment.versions("llm-research-papers", ".json").await {
        if !key.starts_with("verdicts/") {
            continue;
        }
        let verdict = deployment.object("llm-research-papers", &key).await;
        let verdict: Value = serde_json::from_slice(&verdict).unwrap();
        let title = verdict["record"]["title"].as_str().unwrap();
        if verdict["decision"] == "accept" && feed.contains(&title.replace('&', "&amp;")) {
            titles.insert(title.to_owned());
        }
    }
    titles
}

/// Every event of the README as it stands there, and a scraper that it does not call, with the sample's site.
fn the_readmes_events_answer_papers(deployment: &mut Deployment) {
    deployment.paper_site.clear();
    deployment.infra(&["deploy", "local", "--yes", "--no-sample"]);
    let readme = std::fs::read_to_string(format!("{PROJECT}/README.md")).unwrap();
    let lines = readme.lines();
    let events = lines.filter_map(|line| line.strip_prefix("$ cargo infra invoke local "));
    let mut n_events = 0;
    for line in events {
        let (function, event) = line.split_once(' ').unwrap();
        let answer = deployment.json(&["invoke", "local", function, event.trim_matches('\'')]);
        let n_papers = match function {
            "PapersCodeGenerator" => ["generated", "already"]
                .map(|it| length(&answer[it]))
                .iter()
                .sum(),
            "PapersCodeTester" => usize::from(answer["action"] == "dispatch"),
            _ => usize::try_from(answer["stored"].as_u64().unwrap()).unwrap(),
        };
        assert!(n_papers > 0, "{line}\n{answer}");
        assert!(length(&answer["failed"]) == 0, "{line}\n{answer}");
        n_events += 1;
    }
    assert!(n_events > 3, "{n_events}");
    let scrape = || {
        let two = r#"{"MAX_PAPERS":"2"}"#;
        deployment.json(&["invoke", "local", "PaperScraper_MLSYS", two])
    };
    let (first, next) = (scrape(), scrape());
    let counts = |it: &Value| [it["found"].clone(), it["stored"].clone()];
    assert_eq!(counts(&first), [2, 2], "{first}");
    assert_eq!(next["known"], 2, "the next papers: {next}");
    assert_eq!(next["stored"], 1, "what is left of the list: {next}");
}

fn length(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

fn destroy_leaves_nothing(deployment: &Deployment) {
    let endpoint = deployment.endpoint();
    let pids =
        ["emulator", "opensearch", "model", "paper-site", "agent"].map(|it| deployment.pid_of(it));
    deployment.infra(&["destroy", "local", "--yes"]);
    assert!(!deployment.home().exists());
    for pid in pids {
        // What has ended may wait for init to notice; it has no command line any more.
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(
            command.is_empty(),
            "{} ({pid}) is still there",
            text(&command)
        );
    }
    assert!(function_processes("PapersJudge", &endpoint).is_empty());
}
