//! `docs/aws.md` from its first command to its last, each run against the stand-ins for AWS.

use annapurna_local::emulator::{ACCOUNT_ID, ROOT_ACCESS_KEY, ROOT_SECRET_KEY};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, Runtime};

use super::{Account, PROJECT, Run, support};

/// Of roles that nothing here assumes.
const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
    "Principal": {"Service": "lambda.amazonaws.com"}}]}"#;

/// The section that comes before a deploy, in an account where the original ran.
const MOVING: &str = "Moving from the original";

/// The commands of the page's blocks, section by section in its order, a command of several lines as one.
fn commands() -> Vec<(String, String)> {
    let page = std::fs::read_to_string(format!("{PROJECT}/docs/aws.md")).unwrap();
    let page = page.replace("\\\n", "");
    let mut section = String::new();
    let mut commands = Vec::new();
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.to_owned();
        }
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((section.clone(), command.to_owned()));
        }
    }
    assert!(commands.len() >= 20, "{commands:?}");
    commands
}

/// Runs a command as it stands on the page, with what a person fills in; a question is agreed to.
async fn run(account: &Account, command: &str, filled_in: &[(&str, &str)]) -> Run {
    let fill = |text: String, (name, value): &(&str, &str)| text.replace(name, value);
    let command = filled_in.iter().fold(command.to_owned(), fill);
    if let Some(rest) = command.strip_prefix("cargo infra ") {
        let mut words = shlex::split(rest).unwrap();
        if words[0] == "deploy" {
            words.push("--yes".to_owned());
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        return account.infra(&words).await;
    }
    let rest = command.strip_prefix("aws ").unwrap();
    let aws = support::aws_cli().unwrap();
    let line = format!("{aws} --endpoint-url {} {rest}", account.faults.url);
    let output = tokio::process::Command::new("sh")
        .args(["-c", &line])
        .current_dir(account.project.path())
        .env("AWS_ACCESS_KEY_ID", ROOT_ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", ROOT_SECRET_KEY)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_PAGER", "")
        .output();
    Run::of(&output.await.unwrap())
}

/// What was there when the project ran by hand: a function with its logs, fed by a queue. The mapping's id.
async fn original(account: &Account) -> String {
    let role = account.cloud.iam.create_role().role_name("by-hand");
    let role = role.assume_role_policy_document(TRUST);
    role.send().await.unwrap();
    let config = &account.cloud.config;
    let sqs = aws_sdk_sqs::Client::new(config);
    let queue = sqs.create_queue().queue_name("researchQueue.fifo");
    let queue = queue.attributes("FifoQueue".into(), "true");
    queue.send().await.unwrap();
    let lambda = &account.cloud.lambda;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    archive.start_file("judge.py", options).unwrap();
    let archive = archive.finish().unwrap().into_inner();
    let code = FunctionCode::builder().zip_file(Blob::new(archive));
    let function = lambda.create_function().function_name("PapersJudge");
    let function = function.runtime(Runtime::Python312).handler("judge.main");
    let function = function.role(format!("arn:aws:iam::{ACCOUNT_ID}:role/by-hand"));
    function.code(code.build()).send().await.unwrap();
    let logs = account.cloud.logs.create_log_group();
    let logs = logs.log_group_name("/aws/lambda/PapersJudge");
    logs.send().await.unwrap();
    let mapping = lambda.create_event_source_mapping();
    let mapping = mapping
        .function_name("PapersJudge")
        .event_source_arn(format!(
            "arn:aws:sqs:us-east-1:{ACCOUNT_ID}:researchQueue.fifo"
        ));
    mapping.send().await.unwrap().uuid().unwrap().to_owned()
}

#[tokio::test]
async fn every_command_of_the_page_on_aws_does_what_it_says() {
    if support::aws_cli().is_none() {
        return;
    }
    let account = Account::answering().await;
    std::fs::write(account.project.path().join("token"), "secret").unwrap();
    std::os::unix::fs::symlink(
        std::fs::canonicalize(format!("{PROJECT}/docs")).unwrap(),
        account.project.path().join("docs"),
    )
    .unwrap();
    let role = account.cloud.iam.create_role().role_name("Deployer");
    let role = role.assume_role_policy_document(TRUST);
    role.send().await.unwrap();
    let mapping = original(&account).await;
    let mapping = format!("--uuid {mapping}");
    let filled_in = [
        ("ACCOUNT", ACCOUNT_ID),
        ("--uuid UUID", mapping.as_str()),
        ("ami-…", "ami-00000000000000001"),
    ];
    let commands = commands();
    let (moving, others): (Vec<_>, Vec<_>) =
        commands.iter().partition(|(section, _)| section == MOVING);
    assert!(!moving.is_empty(), "no command is in {MOVING}");
    let before = run(&account, "cargo infra doctor prod --json", &[])
        .await
        .ends(2);
    before.says("functions `PapersJudge`; queues `researchQueue.fifo`; log groups");
    let mut failed = Vec::new();
    for (section, command) in moving.iter().chain(&others) {
        let done = run(&account, command, &filled_in).await;
        if done.code != Some(0) {
            failed.push(format!("{section}: {command}: {done}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let page = std::fs::read_to_string(format!("{PROJECT}/docs/aws.md")).unwrap();
    for command in [
        "deploy prod --replace-instances",
        "destroy prod --force-destroy",
    ] {
        assert!(
            page.contains(&format!("`cargo infra {command}`")),
            "{command}"
        );
        let mut words: Vec<&str> = command.split(' ').collect();
        match words[0] {
            "deploy" => words.push("--yes"),
            _ => words.extend(["--confirm", "prod"]),
        }
        account.infra(&words).await.ends(0);
    }
}
