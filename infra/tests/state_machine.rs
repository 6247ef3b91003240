//! The state machine of whole scrapes in the emulator, with a stand-in for the function: what it calls
//! in which order, what it repeats, gives up and takes again, and how it fails.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use annapurna_contract::scrape::{SCRAPE_CONFERENCE, ScrapeSummary};
use annapurna_local::emulator::EmulatorOptions;
use annapurna_local_testing::{TestEmulator, test_emulator};
use annapurna_stack::environment::Environment;
use annapurna_stack::outputs::Output;
use annapurna_stack::pipeline;
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::{ExecutionStatus, HistoryEvent};
use infra::cloud::Cloud;
use infra::engine::{Engine, TemplateSource};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const STACK: &str = "annapurna-machine";
/// Bucket and key of the stand-in.
const CODE: &str = "stand-in";
const LIMIT: Duration = Duration::from_secs(900);

/// The machine of the real stack with the stand-in as its function.
struct StateMachine {
    cloud: Cloud,
    arn: String,
    folder: tempfile::TempDir,
    _emulator: TestEmulator,
}

/// The machine of production's stack with its role and its alarm, and the stand-in where the scraper would be.
fn template() -> String {
    let environments = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments");
    let production = Environment::load(&environments, "prod").unwrap();
    let mut json = pipeline::stack(&production).unwrap().to_json().unwrap();
    json.as_object_mut().unwrap().remove("Parameters");
    let output = Output::ScrapeConferenceArn.name();
    let outputs = json["Outputs"].as_object_mut().unwrap();
    outputs.retain(|name, _| *name == output);
    let of_the_machine = [
        SCRAPE_CONFERENCE,
        "ScrapeConferenceRole",
        "ScrapeConferenceFailed",
    ];
    let resources = json["Resources"].as_object_mut().unwrap();
    resources.retain(|id, _| of_the_machine.contains(&id.as_str()));
    assert_eq!(resources.len(), of_the_machine.len());
    json["Resources"]["StandInRole"] = json!({"Type": "AWS::IAM::Role", "Properties": {
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole"}]}}});
    json["Resources"]["PapersScraper"] = json!({"Type": "AWS::Lambda::Function", "Properties": {
        "FunctionName": "PapersScraper", "Runtime": "provided.al2023", "Handler": "bootstrap",
        "Role": {"Fn::GetAtt": ["StandInRole", "Arn"]}, "Timeout": 60,
        "Code": {"S3Bucket": CODE, "S3Key": CODE}}});
    json.to_string()
}

/// The stand-in's zip. It keeps its notes in `folder`.
fn stand_in(folder: &Path) -> Vec<u8> {
    let code = include_str!("scrape/bootstrap.py").replace("@FOLDER@", folder.to_str().unwrap());
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().unix_permissions(0o755);
    archive.start_file("bootstrap", options).unwrap();
    archive.write_all(code.as_bytes()).unwrap();
    archive.finish().unwrap().into_inner()
}

async fn upload(cloud: &Cloud, archive: Vec<u8>) {
    cloud.s3.create_bucket().bucket(CODE).send().await.unwrap();
    let object = cloud.s3.put_object().bucket(CODE).key(CODE);
    object.body(archive.into()).send().await.unwrap();
}

async fn machine() -> StateMachine {
    let emulator = test_emulator(&EmulatorOptions::default()).await;
    let environments = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments");
    let environment = Environment::load(&environments, "local").unwrap();
    let cloud = Cloud::connect(&environment, Some(&emulator.endpoint_url)).await;
    let folder = tempfile::tempdir().unwrap();
    upload(&cloud, stand_in(folder.path())).await;
    let source = TemplateSource::Body(template());
    let engine = Engine::new(&cloud, STACK);
    let set = engine.prepare(source, &BTreeMap::new()).await;
    set.unwrap().unwrap().execute(&|_| {}).await.unwrap();
    let deployed = engine.deployed().await.unwrap().unwrap();
    StateMachine {
        arn: (deployed.outputs.get(Output::ScrapeConferenceArn).unwrap()).to_owned(),
        cloud,
        folder,
        _emulator: emulator,
    }
}

impl StateMachine {
    async fn run(&self, name: &str, request: Value) -> DescribeExecutionOutput {
        let started = self
            .cloud
            .sfn
            .start_execution()
            .state_machine_arn(&self.arn)
            .name(name)
            .input(request.to_string())
            .send()
            .await
            .unwrap();
        let begun = Instant::now();
        loop {
            let execution = self
                .cloud
                .sfn
                .describe_execution()
                .execution_arn(started.execution_arn())
                .send()
                .await
                .unwrap();
            if execution.status() != &ExecutionStatus::Running {
                return execution;
            }
            assert!(begun.elapsed() < LIMIT, "the execution does not end");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The errors of calls in the history.
    async fn failures(&self, execution_arn: &str) -> Vec<String> {
        let history = self.cloud.sfn.get_execution_history();
        let history = history.execution_arn(execution_arn).send().await.unwrap();
        let details = |event: &HistoryEvent| {
            let details = event.task_failed_event_details()?;
            details.error().map(str::to_owned)
        };
        history.events().iter().filter_map(details).collect()
    }

    /// What the function was called with, in order.
    fn calls(&self) -> Vec<Value> {
        let calls = std::fs::read_to_string(self.folder.path().join("calls")).unwrap();
        calls
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[tokio::test]
async fn every_window_is_taken_and_what_was_given_up_is_taken_again() {
    let machine = machine().await;
    let request = json!({"CONFERENCE": "ICLR", "CONFERENCE_YEAR": 2025});
    let execution = machine.run("iclr-2025", request.clone()).await;
    let cause = execution.cause().unwrap_or_default();
    assert_eq!(execution.status(), &ExecutionStatus::Succeeded, "{cause}");
    let summary: ScrapeSummary = serde_json::from_str(execution.output().unwrap()).unwrap();
    assert_eq!((summary.found, summary.stored), (16, 16));
    let calls = machine.calls();
    assert_eq!(
        (&calls[0]["step"], &calls[0]["request"]),
        (&json!("list"), &request)
    );
    let count = |name: &str| {
        let of_window = |call: &&Value| call["window"]["list_key"] == name;
        calls.iter().filter(of_window).count()
    };
    // Window `b` is refused once and repeated; `c` is given up at half and goes on in the second round; `d`
    // is held off once and rests.
    let counts = ["a", "b", "c", "d"].map(count);
    assert_eq!(counts, [2, 3, 3, 3]);
    let of_d = calls
        .iter()
        .filter(|call| call["window"]["list_key"] == "d");
    let begun: Vec<f64> = of_d.map(|call| call["at"].as_f64().unwrap()).collect();
    assert!(begun[1] - begun[0] >= 3.0, "it did not rest: {begun:?}");
    let summaries = calls.iter().filter(|call| call["step"] == "summarize");
    assert_eq!(summaries.count(), 2);
}

#[tokio::test]
async fn a_request_that_cannot_be_followed_fails_at_once_with_its_error() {
    let machine = machine().await;
    let request = json!({"CONFERENCE": "ICLR", "topic_filter": "nonsense"});
    let execution = machine.run("nonsense", request).await;
    assert_eq!(execution.status(), &ExecutionStatus::Failed);
    assert_eq!(execution.error(), Some("InvalidRequest"));
    assert!(execution.cause().unwrap().contains("no topic `nonsense`"));
    assert_eq!(machine.calls().len(), 1);
    assert_eq!(
        machine.failures(execution.execution_arn()).await,
        ["InvalidRequest"],
        "a person who follows it learns of failures from the history"
    );
}
