//! Instances as a person sees, starts and stops them, and sessions on them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use annapurna_cloud::{MessageQueues, Receive};
use annapurna_contract::{CodeTestingMessage, PaperId, TestResult, keys};
use serde_json::Value;

use super::{Account, OWN, Run};

/// A stand-in for a program that says with which words it was called.
fn stand_in(folder: &Path, name: &str) {
    let file = folder.join(name);
    std::fs::write(
        &file,
        "#!/bin/sh\nfor word in \"$@\"; do echo \"word $word\"; done\n",
    )
    .unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs a command with no more programs than those of `folder` and the tests' own.
async fn with(account: &Account, folder: &Path, args: &[&str]) -> Run {
    let mut command = account.command(args);
    let path = format!("{}:{OWN}", folder.display());
    Run::of(&command.env("PATH", path).output().await.unwrap())
}

async fn state(account: &Account) -> (String, String) {
    let status = account
        .json(&["trainium", "prod", "status", "--json"])
        .await;
    let one = &status["instances"][0];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&one["id"]), text(&one["state"]))
}

#[tokio::test]
async fn an_instance_is_seen_stopped_started_and_a_session_opened() {
    let account = Account::new().await;
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    let (id, before) = state(&account).await;
    assert_eq!(before, "running");
    let stop = ["trainium", "prod", "stop"];
    account
        .infra(&stop)
        .await
        .ends(2)
        .says("nobody can be asked");
    account
        .infra(&[&stop[..], &["--yes"]].concat())
        .await
        .ends(0);
    assert_eq!(state(&account).await, (id.clone(), "stopped".to_owned()));
    account.infra(&stop).await.ends(0).says("None runs");

    let folder = tempfile::tempdir().unwrap();
    let shell = ["trainium", "prod", "shell"];
    let refused = with(&account, folder.path(), &shell).await.ends(2);
    refused.says("cargo infra trainium prod start");
    let other = ["trainium", "prod", "start", "--instance", "i-0"];
    account.infra(&other).await.ends(2).says(&id);
    a_refused_start_is_shown(&account, &id).await;
    let start = ["trainium", "prod", "start", "--yes"];
    account.infra(&start).await.ends(0);
    account
        .infra(&[&stop[..], &["--yes"]].concat())
        .await
        .ends(0);
    a_program_is_tried_on_an_instance_that_was_stopped(&account, folder.path()).await;
    assert_eq!(state(&account).await.1, "running");

    with(&account, folder.path(), &shell)
        .await
        .ends(2)
        .says("needs `aws`");
    stand_in(folder.path(), "aws");
    let no_plugin = with(&account, folder.path(), &shell).await.ends(2);
    no_plugin.says("session-manager-working-with-install-plugin.html");
    stand_in(folder.path(), "session-manager-plugin");
    let opened = with(&account, folder.path(), &shell).await.ends(0);
    let words = |run: &Run| -> Vec<String> {
        let words = run.stdout.lines().filter_map(|it| it.strip_prefix("word "));
        words.map(str::to_owned).collect()
    };
    let session = [
        "ssm",
        "start-session",
        "--target",
        &id,
        "--region",
        "us-east-1",
    ];
    assert_eq!(words(&opened), session);
    let tunnel = ["trainium", "prod", "tunnel", "--port", "9000"];
    let opened = with(&account, folder.path(), &tunnel).await.ends(0);
    let words = words(&opened);
    assert_eq!(words[..6], session);
    assert_eq!(
        words[6..9],
        [
            "--document-name",
            "AWS-StartPortForwardingSession",
            "--parameters"
        ]
    );
    let ports: Value = serde_json::from_str(&words[9]).unwrap();
    assert_eq!(
        ports,
        serde_json::json!({"portNumber": ["8765"], "localPortNumber": ["9000"]})
    );
    opened.says("http://127.0.0.1:9000");
}

/// As the tester leaves it.
async fn a_refused_start_is_shown(account: &Account, id: &str) {
    let refused = serde_json::json!([{
        "instance_id": id, "code": "InsufficientInstanceCapacity", "reason": "none in this zone",
        "since": "2026-01-02T03:04:05Z", "last": "2026-01-02T03:09:05Z",
    }]);
    let put = account.cloud.s3.put_object().bucket("papers-test-outputs");
    let put = put
        .key(keys::REFUSED_STARTS)
        .body(refused.to_string().into_bytes().into());
    put.send().await.unwrap();
    for command in [&["status", "prod"][..], &["trainium", "prod", "status"]] {
        let shown = account.infra(command).await.ends(0);
        shown.says("does not start since 2026-01-02T03:04:05Z");
        shown.says("InsufficientInstanceCapacity");
    }
}

/// The agent is played here.
async fn a_program_is_tried_on_an_instance_that_was_stopped(account: &Account, folder: &Path) {
    let file = folder.join("tried.py");
    std::fs::write(&file, "print('hello')\n").unwrap();
    let paper = PaperId::of("Adam", None);
    let file = file.to_str().unwrap();
    let test = [
        "test-code",
        "prod",
        "--paper-id",
        paper.as_str(),
        "--file",
        file,
        "--no-save",
    ];
    account
        .infra(&test)
        .await
        .ends(2)
        .says("nobody can be asked");
    assert_eq!(
        state(account).await.1,
        "stopped",
        "nothing is started unasked"
    );
    let test = [&test[..], &["--yes", "--json"]].concat();
    let child = account.command(&test).output();
    let (output, ()) = tokio::join!(child, play_the_agent(account, &paper));
    let answer = Run::of(&output.unwrap()).ends(0);
    let answer: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(
        (&answer["saved"], &answer["stdout"]),
        (&false.into(), &"hello\n".into())
    );
    assert_eq!(state(account).await.1, "running");
    let left = account
        .cloud
        .s3
        .list_objects_v2()
        .bucket("papers-test-outputs");
    let left = left.prefix(keys::TRIALS).send().await.unwrap();
    assert_eq!(left.key_count(), Some(0), "{left:?}");
}

async fn play_the_agent(account: &Account, paper: &PaperId) {
    let queues = &account.cloud.sqs;
    let url = queues.url("code-testing.fifo", None).await.unwrap();
    let wanted = || Receive {
        most: 1,
        hide_for: Duration::from_secs(60),
        wait: Duration::from_secs(20),
    };
    let delivery = loop {
        if let Some(delivery) = queues.receive(&url, wanted()).await.unwrap().pop() {
            break delivery;
        }
    };
    let batch: CodeTestingMessage = serde_json::from_str(&delivery.body).unwrap();
    assert!(batch.trial && !batch.skip_tested, "{batch:?}");
    assert_eq!(batch.timeout, 900);
    assert_eq!(batch.batch[0].code.as_deref(), Some("print('hello')\n"));
    let prefix = keys::trial_prefix(&batch.batch_id, paper);
    let mut result = TestResult {
        paper_id: Some(paper.clone()),
        batch_id: batch.batch_id,
        success: true,
        ..TestResult::default()
    };
    result.outputs.stdout = format!("{prefix}stdout.log");
    let put = async |key: &str, body: Vec<u8>| {
        let put = account.cloud.s3.put_object().bucket("papers-test-outputs");
        put.key(key).body(body.into()).send().await.unwrap();
    };
    put(&result.outputs.stdout, b"hello\n".to_vec()).await;
    let body = serde_json::to_vec(&result).unwrap();
    put(&keys::result_in(&prefix), body).await;
    queues.delete(&url, &delivery.receipt).await.unwrap();
}
