//! What a person does with results: reads them, and has a program tested again, or tried without a trace.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::{Deployment, support, text};

/// Runs a command that must end with this code, and gives its JSON.
#[track_caller]
fn json_of(deployment: &Deployment, code: i32, args: &[&str]) -> Value {
    let output = deployment.run(args);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}\n{stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(super) async fn reads_results_and_tests_programs(deployment: &Deployment) {
    let rows = deployment.json(&["results", "local", "--json"]);
    let rows = rows.as_array().unwrap();
    assert!(rows.len() >= 10, "{rows:?}");
    let table = deployment.infra(&["results", "local", "--limit", "3"]);
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.starts_with("PAPER"), "{table}");
    let mut rows = rows.iter();
    let row = rows.find(|it| it["test_success"] == true).unwrap();
    let paper = row["paper_id"].as_str().unwrap();
    reads_one(deployment, paper);
    decides_in_the_judges_place(deployment, paper);
    tries_without_a_trace(deployment, paper).await;
    sees_what_a_program_prints_while_it_runs(deployment, paper);
    let left = deployment.s3().list_objects_v2();
    let left = left.bucket("papers-test-outputs").prefix("_trials/");
    let left = left.send().await.unwrap();
    assert_eq!(left.key_count(), Some(0), "{left:?}");
    tests_again(deployment, paper);
    the_agent_of_this_machine(deployment);
}

fn reads_one(deployment: &Deployment, paper: &str) {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_str().unwrap();
    let shown = deployment.infra(&["results", "local", paper, "--download", to]);
    for part in ["success", "----- standard output", "training_loss"] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    for name in ["stdout.log", "stderr.log", "metrics.json", "result.json"] {
        assert!(folder.path().join(paper).join(name).is_file(), "{name}");
    }
    let unknown = ["results", "local", "0123456789abcdef0123456789abcdef"];
    let refused = deployment.run(&unknown);
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    assert!(
        said.contains("cargo infra test-code local --paper-id"),
        "{said}"
    );
}

fn decides_in_the_judges_place(deployment: &Deployment, paper: &str) {
    let undecided = deployment.json(&["papers", "local", "--undecided", "--json"]);
    assert_eq!(undecided.as_array().map(Vec::len), Some(0), "{undecided}");
    let shown = deployment.infra(&["judge", "local", paper]);
    for part in ["accept", "relevance", "confidence", "offline rules"] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let again = deployment.json(&["judge", "local", paper, "again", "--json"]);
    assert_eq!(again["decision"], "accept", "{again}");
    assert_eq!(again["judgements"].as_array().map(Vec::len), Some(2));
    let refused = deployment.run(&["judge", "local", paper, "reject"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
}

fn record(deployment: &Deployment, paper: &str) -> Value {
    let mut papers = deployment.papers().into_iter();
    papers.find(|it| it["paper_id"] == paper).unwrap()
}

async fn tries_without_a_trace(deployment: &Deployment, paper: &str) {
    let key = format!("{paper}/outputs/result.json");
    let bucket = "papers-test-outputs";
    let before = (
        record(deployment, paper),
        deployment.object(bucket, &key).await,
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tried.py");
    std::fs::write(&file, "print('hello')\nraise ValueError('no')\n").unwrap();
    let args = |file: &Path| {
        let file = file.to_str().unwrap().to_owned();
        let words = [
            "test-code",
            "local",
            "--paper-id",
            paper,
            "--no-save",
            "--json",
            "--file",
        ];
        words
            .map(str::to_owned)
            .into_iter()
            .chain([file])
            .collect::<Vec<_>>()
    };
    let words = args(&file);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let answer = json_of(deployment, 1, &words);
    assert_eq!(
        (&answer["saved"], &answer["stdout"]),
        (&false.into(), &"hello\n".into())
    );
    assert_eq!(answer["result"]["error_message"], "ValueError: no");
    let after = (
        record(deployment, paper),
        deployment.object(bucket, &key).await,
    );
    assert_eq!(before, after);
}

fn sees_what_a_program_prints_while_it_runs(deployment: &Deployment, paper: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("slow.py");
    let code = "import time\nprint('the first line')\ntime.sleep(20)\nprint('the last line')\n";
    std::fs::write(&file, code).unwrap();
    let mut command = support::infra(deployment.state.path());
    let command = command
        .args([
            "test-code",
            "local",
            "--paper-id",
            paper,
            "--no-save",
            "--file",
        ])
        .arg(&file);
    let mut test = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(test.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "the first line");
    assert!(test.try_wait().unwrap().is_none(), "the program has ended");
    assert_eq!(lines.next().unwrap().unwrap(), "the last line");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let shown = rest.join("\n");
    assert!(
        shown.contains("outcome") && shown.contains("success"),
        "{shown}"
    );
    assert!(!shown.contains("line"), "nothing is shown twice: {shown}");
    assert!(test.wait().unwrap().success());
}

fn tests_again(deployment: &Deployment, paper: &str) {
    let before = record(deployment, paper);
    let test = ["test-code", "local", "--paper-id", paper, "--json"];
    let known = json_of(deployment, 0, &test);
    assert_eq!(
        known["result"]["finished_at"], before["tested_at"],
        "it is not run"
    );
    let again = json_of(deployment, 0, &[&test[..], &["--again"]].concat());
    assert_eq!(again["saved"], true);
    let batch = again["result"]["batch_id"].as_str().unwrap();
    assert!(batch.starts_with("person-"), "{batch}");
    let after = record(deployment, paper);
    assert_eq!(after["tested_at"], again["result"]["finished_at"]);
    assert_ne!(after["tested_at"], before["tested_at"]);
    assert_eq!(after["test_attempts"], before["test_attempts"]);
}

fn the_agent_of_this_machine(deployment: &Deployment) {
    let status = deployment.json(&["trainium", "local", "status", "--json"]);
    assert_eq!(status["agent"]["status"], "healthy", "{status}");
    assert!(status["batches_waiting"].is_u64(), "{status}");
    let address = deployment.infra(&["trainium", "local", "tunnel"]);
    assert!(address.starts_with("http://127.0.0.1:"), "{address}");
    deployment.infra(&["trainium", "local", "start"]);
    for action in ["stop", "shell"] {
        let refused = deployment.run(&["trainium", "local", action]);
        assert_eq!(refused.status.code(), Some(2), "{action}");
        let said = text(&refused.stderr);
        assert!(said.contains("a process of this machine"), "{said}");
    }
}
