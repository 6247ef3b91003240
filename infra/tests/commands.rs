//! What commands say of a deployed `local` when the request is wrong, nothing came about, or a service has died.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "commands/datasets.rs"]
mod datasets;
mod support;

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::process::{COMMAND_LIMIT, Said, output_of, signal};
use support::{Deployment, PROJECT, aws_cli, kill, text};

/// Runs a command that must end with this code, and gives back what it said on both streams.
#[track_caller]
fn ends(deployment: &Deployment, code: i32, args: &[&str]) -> (String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = deployment.run(args);
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    assert_eq!(status.code(), Some(code), "{args:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

/// The text has each of the parts.
#[track_caller]
fn says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
}

#[test]
fn a_command_says_what_is_wrong_and_what_mends_it() {
    let deployment = Deployment::new();
    deployment.infra(&["deploy", "local", "--yes", "--no-sample"]);
    requests_that_are_refused(&deployment);
    an_answer_with_nothing_but_failures(&deployment);
    logs_that_are_followed_until_a_person_stops_it(&deployment);
    the_docs_commands_of_the_aws_cli(&deployment);
    datasets::sets_are_imported_and_trained_on(&deployment);
    two_deployments_at_once(&deployment);
    services_that_have_died(&deployment);
}

fn logs_that_are_followed_until_a_person_stops_it(deployment: &Deployment) {
    let of_agent = deployment.infra(&["logs", "local", "agent", "--since", "1h"]);
    says(&of_agent, &["\"message\":\"started\""]);
    let logs = ["logs", "local", "PapersCodeGenerator", "--since", "1h"];
    let so_far = deployment.infra(&logs);
    says(&so_far, &["is not in the index"]);
    let mut command = support::infra(deployment.state.path());
    let command = command.args(logs).arg("--follow");
    let mut follow = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = Said::by(follow.stdout.take().unwrap());
    for line in so_far.lines() {
        assert_eq!(lines.until(""), line);
    }
    let misspelt = [
        "invoke",
        "local",
        "PapersCodeGenerator",
        r#"{"action": "halt"}"#,
    ];
    ends(deployment, 2, &misspelt);
    // What comes while it is followed is shown.
    lines.until("halt");
    signal("INT", i64::from(follow.id()));
    assert_eq!(output_of(follow, COMMAND_LIMIT).status.code(), Some(0));
}

/// What docs/local.md has for the aws CLI, as it stands there.
fn the_docs_commands_of_the_aws_cli(deployment: &Deployment) {
    let page = std::fs::read_to_string(format!("{PROJECT}/docs/local.md")).unwrap();
    let (_, section) = page.split_once("\n## The aws CLI\n").unwrap();
    let block = section.split("```").nth(1).unwrap();
    let commands = block.trim_start_matches("console\n").replace("$ ", "");
    let commands = commands.replace("http://127.0.0.1:PORT", &deployment.endpoint());
    assert_eq!(commands.matches("\naws ").count(), 4, "{commands}");
    let Some(aws) = aws_cli() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = format!("set -e\naws() {{ {aws} \"$@\"; }}\n{commands}");
    let output = Command::new("sh")
        .current_dir(folder.path())
        .args(["-c", &script])
        .output()
        .unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{script}\n{stdout}\n{stderr}");
    says(&stdout, &["StatusCode", "ApproximateNumberOfMessages"]);
    let answer = std::fs::read(folder.path().join("out.json")).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["action"], "generate_recent");
}

fn two_deployments_at_once(deployment: &Deployment) {
    let mut first = deployment.start_deploy();
    let pid = first.id();
    let lock = deployment.home().join("deploy.lock");
    let has_begun = || std::fs::read_to_string(&lock).is_ok_and(|text| text == pid.to_string());
    let begin = Instant::now();
    while !has_begun() {
        assert!(first.try_wait().unwrap().is_none(), "the first has ended");
        assert!(begin.elapsed() < COMMAND_LIMIT, "it takes no lock");
        std::thread::sleep(Duration::from_millis(10));
    }
    let first_one = format!("process {pid} is deploying or destroying `local`");
    for command in ["deploy", "destroy"] {
        let (_, said) = ends(deployment, 2, &[command, "local", "--yes"]);
        says(&said, &[&first_one, "cargo infra status local"]);
    }
    assert!(output_of(first, COMMAND_LIMIT).status.success());
}

fn requests_that_are_refused(deployment: &Deployment) {
    let refused = |function: &str, event: &str, parts: &[&str]| {
        let (stdout, stderr) = ends(deployment, 2, &["invoke", "local", function, event]);
        assert_eq!(stdout, "");
        says(&stderr, &[&format!("{function} refuses the request: ")]);
        says(&stderr, parts);
    };
    let scraper = "PaperScraper_ICML";
    refused(scraper, r#"{"MAX_PAPERS": 0}"#, &["MAX_PAPERS", "1 to"]);
    refused(scraper, r#"{"MAX_PAPER": 1}"#, &["nearest is `MAX_PAPERS`"]);
    refused(scraper, r#"{"topic_filter": "Gardening"}"#, &["Gardening"]);
    refused(scraper, r#"{"CONFERENCE_YEAR": 1871}"#, &["1871"]);
    refused(
        "PapersScraper",
        r#"{"CONFERENCE": "CVPR"}"#,
        &["CVPR", "ICLR"],
    );
    let generator = "PapersCodeGenerator";
    let misspelt = r#"{"action": "generate_recents"}"#;
    refused(
        generator,
        misspelt,
        &["`get_paper_info`", "nearest is `generate_recent`"],
    );
    let field = r#"{"action": "generate_recent", "max_paper": 1}"#;
    refused(generator, field, &["`days`", "nearest is `max_papers`"]);
    refused(generator, "{}", &["expected one of `generate_by_title`"]);
    let tester = "PapersCodeTester";
    refused(
        tester,
        r#"{"action": "dispach"}"#,
        &["nearest is `dispatch`"],
    );
    let scrape = [
        "scrape",
        "local",
        "icml",
        "--topic",
        "Gardening",
        "--follow",
    ];
    says(
        &ends(deployment, 2, &scrape).1,
        &["refuses the request", "Gardening"],
    );
}

fn an_answer_with_nothing_but_failures(deployment: &Deployment) {
    let nobodys = "0123456789abcdef0123456789abcdef";
    let event = format!(r#"{{"action": "generate_by_id", "paper_id": "{nobodys}"}}"#);
    let invoke = ["invoke", "local", "PapersCodeGenerator", &event];
    let (answer, said) = ends(deployment, 1, &invoke);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["failed"][0]["paper_id"], nobodys);
    says(
        &said,
        &[
            "nothing of what was asked",
            "1 paper",
            "is not in the index",
        ],
    );
}

fn services_that_have_died(deployment: &Deployment) {
    let invoke = [
        "invoke",
        "local",
        "PapersCodeGenerator",
        r#"{"action": "generate_recent"}"#,
    ];
    let (restart, model) = (
        "`cargo infra deploy local` starts",
        "stopped in `local`: the model",
    );
    kill(deployment.pid_of("model"));
    says(
        &ends(deployment, 2, &invoke).1,
        &["error: ", model, restart],
    );
    says(
        &ends(deployment, 0, &["queues", "local"]).1,
        &["warning: ", model, restart],
    );

    kill(deployment.pid_of("opensearch"));
    for command in ["papers", "plan"] {
        let (_, said) = ends(deployment, 2, &[command, "local"]);
        says(&said, &["stopped in `local`: OpenSearch", restart]);
    }

    kill(deployment.pid_of("emulator"));
    let commands: [&[&str]; 7] = [
        &["plan", "local"],
        &["outputs", "local"],
        &["queues", "local"],
        &["papers", "local"],
        &["logs", "local", "PapersJudge"],
        &["scrape", "local", "iclr"],
        &invoke,
    ];
    for command in commands {
        let (_, said) = ends(deployment, 2, command);
        says(&said, &["stopped in `local`: the cloud emulator", restart]);
    }
    what_has_died_is_shown_and_started_again(deployment, restart);
}

fn what_has_died_is_shown_and_started_again(deployment: &Deployment, restart: &str) {
    let (status, _) = ends(deployment, 0, &["status", "local"]);
    says(&status, &["it has died: `deploy` starts it again", restart]);
    assert!(!status.contains("not deployed"), "{status}");
    let part = |name: &str| {
        let status = deployment.json(&["status", "local", "--json"]);
        let parts = status["parts"].as_array().unwrap().clone();
        parts.into_iter().find(|part| part["part"] == name).unwrap()["state"].clone()
    };
    assert_eq!(
        (part("cloud"), part("papers")),
        ("stopped".into(), "runs".into())
    );

    deployment.infra(&["deploy", "local", "--yes", "--no-sample"]);
    assert_eq!(
        (part("cloud"), part("model")),
        ("runs".into(), "runs".into())
    );
    assert_eq!(part("stack"), "CREATE_COMPLETE");
    says(
        &ends(deployment, 0, &["queues", "local"]).0,
        &["researchQueue.fifo"],
    );
}
