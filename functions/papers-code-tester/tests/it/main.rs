//! The tester with real queues, buckets and index, and an agent that is played by the test.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::time::Duration;

use annapurna_contract::config::{AGENT_PULLS, NO_RESOURCE};
use annapurna_contract::{
    CodeEvaluationMessage, CodeGenerationMessage, CodeTestingMessage, DryRun, ExecutedOn, Outcome,
    PaperId, Repair, RepairFrom, TestResult, TestStatus, Tested, TesterConfig, keys,
};
use annapurna_testing::Stage;
use papers_code_tester::{Tester, TesterError};
use serde_json::{Value, json};

mod agent;
mod crashes;
mod instances;
mod proxy;
mod sweep;

const QUARTER: Duration = Duration::from_secs(895);

struct Setting {
    stage: Stage,
    config: TesterConfig<String>,
}

impl Setting {
    async fn new() -> Self {
        let stage = Stage::new().await;
        let config = TesterConfig {
            opensearch_endpoint: stage.search_url.clone(),
            opensearch_index: stage.index.clone(),
            code_bucket: stage.bucket().await,
            outputs_bucket: stage.bucket().await,
            evaluation_queue_url: stage.queue().await,
            testing_queue_url: stage.queue().await,
            generation_queue_url: stage.queue().await,
            trainium_endpoint: AGENT_PULLS.to_owned(),
            trainium_token_parameter: NO_RESOURCE.to_owned(),
            trainium_purpose: NO_RESOURCE.to_owned(),
            trainium_environment: NO_RESOURCE.to_owned(),
            trainium_instance_id: NO_RESOURCE.to_owned(),
            batch_size: "3".to_owned(),
            max_wait: "600".to_owned(),
            trainium_timeout: "600".to_owned(),
            idle_stop_minutes: "10".to_owned(),
            hourly_price_usd: "1.5".to_owned(),
        };
        Self { stage, config }
    }

    fn tester(&self) -> Tester {
        Tester::new(&self.stage.sdk, self.config.clone()).unwrap()
    }

    /// A paper of the index whose program waits for its test.
    async fn waiting(&self, title: &str) -> PaperId {
        let id = PaperId::of(title, None);
        let part = json!({"title": title, "code_generated": true});
        self.stage.search.upsert(&id, &part).await.unwrap();
        self.program(&id, &format!("sha-{title}")).await;
        id
    }

    async fn program(&self, id: &PaperId, code_sha256: &str) {
        let message = CodeEvaluationMessage {
            paper_id: id.clone(),
            paper_title: "title".to_owned(),
            s3_bucket: self.config.code_bucket.clone(),
            s3_code_key: keys::code(id),
            code_sha256: code_sha256.to_owned(),
        };
        let body = serde_json::to_string(&message).unwrap();
        let queue = &self.config.evaluation_queue_url;
        self.stage.send(queue, id.as_str(), &body).await;
        self.stage
            .put(
                &self.config.code_bucket,
                &keys::code(id),
                b"import torch".as_slice(),
            )
            .await;
    }

    async fn dispatch(&self, force: bool) -> Value {
        let event = json!({"action": "dispatch", "force": force});
        self.tester().handle(event, QUARTER).await.unwrap()
    }

    async fn batches(&self) -> Vec<CodeTestingMessage> {
        let messages = self
            .stage
            .take(&self.config.testing_queue_url)
            .await
            .into_iter();
        messages
            .map(|(body, _)| serde_json::from_str(&body).unwrap())
            .collect()
    }

    async fn still_waiting(&self) -> usize {
        self.stage
            .take(&self.config.evaluation_queue_url)
            .await
            .len()
    }

    async fn fields(&self, id: &PaperId) -> Tested {
        self.stage
            .search
            .get(id)
            .await
            .unwrap()
            .unwrap()
            .record
            .tested
    }

    /// The agent's result of a program.
    async fn result(&self, id: &PaperId, code_sha256: &str) -> TestResult {
        let mut result: TestResult =
            serde_json::from_str(include_str!("../events/result.json")).unwrap();
        result.paper_id = Some(id.clone());
        result.code_sha256 = code_sha256.to_owned();
        let body = serde_json::to_vec(&result).unwrap();
        self.stage
            .put(&self.config.outputs_bucket, &keys::result(id), body)
            .await;
        result
    }

    /// Notifies as S3 does.
    async fn notify(&self, id: &PaperId) -> Result<Value, TesterError> {
        let key = keys::result(id).replace('/', "%2F");
        let event = json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": key}}}]});
        self.tester().handle(event, QUARTER).await
    }
}

#[tokio::test]
async fn a_batch_that_is_not_full_waits_and_is_seen_again() {
    let setting = Setting::new().await;
    setting.waiting("Adam").await;
    setting.waiting("Lion").await;
    for _ in 0..3 {
        let answer = setting.dispatch(false).await;
        assert_eq!(
            (&answer["dispatched"], &answer["waiting"]),
            (&json!(0), &json!(2)),
            "{answer}"
        );
    }
    assert!(setting.batches().await.is_empty());
    assert_eq!(setting.still_waiting().await, 2);
}

#[tokio::test]
async fn full_batches_go_and_the_rest_waits() {
    let setting = Setting::new().await;
    let mut papers = Vec::new();
    for number in 0..7 {
        papers.push(setting.waiting(&format!("Paper {number}")).await);
    }
    let answer = setting.dispatch(false).await;
    assert_eq!(answer["action"], "dispatch");
    assert_eq!(
        (&answer["dispatched"], &answer["waiting"]),
        (&json!(6), &json!(1)),
        "{answer}"
    );
    let batches = setting.batches().await;
    assert_eq!(batches.len(), 2);
    assert!(
        batches
            .iter()
            .all(|batch| batch.batch.len() == 3 && batch.timeout == 600)
    );
    assert_eq!(json!(batches[0].batch_id), answer["batches"][0]["batch_id"]);
    assert!(batches.iter().all(|batch| batch.skip_tested));
    let mut programs = batches.iter().flat_map(|batch| &batch.batch);
    assert!(programs.all(|program| program.dry_run));
    let first = &batches[0].batch[0];
    assert_eq!(first.s3_code_key, keys::code(&first.paper_id));
    let fields = setting.fields(&first.paper_id).await;
    assert_eq!(fields.test_in_progress, Some(true));
    assert_eq!(fields.test_attempts, Some(1));
    assert!(fields.last_test_attempt.is_some());
    assert_eq!(setting.still_waiting().await, 1);
}

#[tokio::test]
async fn force_and_age_make_a_small_batch_due() {
    let mut setting = Setting::new().await;
    setting.waiting("Adam").await;
    assert_eq!(setting.dispatch(true).await["dispatched"], 1);
    setting.waiting("Lion").await;
    setting.config.max_wait = "0".to_owned();
    assert_eq!(setting.dispatch(false).await["dispatched"], 1);
    assert_eq!(setting.batches().await.len(), 2);
}

#[tokio::test]
async fn nothing_waiting_is_nothing_done() {
    let setting = Setting::new().await;
    let answer = setting.dispatch(true).await;
    assert_eq!(answer["batches"], json!([]));
    assert_eq!(answer["instance"], "none");
}

#[tokio::test]
async fn a_program_that_has_a_result_is_not_run_again_and_its_result_is_collected() {
    let setting = Setting::new().await;
    let adam = setting.waiting("Adam").await;
    setting.result(&adam, "sha-Adam").await;
    let answer = setting.dispatch(true).await;
    assert_eq!(
        (&answer["dispatched"], &answer["already_tested"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(setting.fields(&adam).await.tested, Some(true));
    // A new program of the same paper is a new test.
    setting.program(&adam, "sha-new").await;
    assert_eq!(setting.dispatch(true).await["dispatched"], 1);
}

#[tokio::test]
async fn two_programs_of_one_paper_do_not_share_a_batch() {
    let setting = Setting::new().await;
    let adam = setting.waiting("Adam").await;
    setting.program(&adam, "sha-second").await;
    setting.waiting("Lion").await;
    setting.dispatch(true).await;
    setting.dispatch(true).await;
    let batches = setting.batches().await;
    let of_adam = |batch: &CodeTestingMessage| {
        let programs = batch.batch.iter();
        programs.filter(|program| program.paper_id == adam).count()
    };
    let n_programs: usize = batches.iter().map(|batch| batch.batch.len()).sum();
    assert_eq!(n_programs, 3);
    assert!(batches.iter().all(|batch| of_adam(batch) <= 1));
}

#[tokio::test]
async fn a_message_that_cannot_be_read_goes_to_the_dead_letter_queue() {
    let setting = Setting::new().await;
    let queue = &setting.config.evaluation_queue_url;
    setting.stage.send(queue, "bad", "{\"paper_id\": 7}").await;
    let adam = setting.waiting("Adam").await;
    let answer = setting.dispatch(true).await;
    assert_eq!(
        (&answer["malformed"], &answer["dispatched"]),
        (&json!(1), &json!(1)),
        "{answer}"
    );
    let dead = setting
        .stage
        .take(&setting.stage.dead_letters_of(queue))
        .await;
    assert_eq!(dead, [("{\"paper_id\": 7}".to_owned(), "bad".to_owned())]);
    assert_eq!(setting.batches().await[0].batch[0].paper_id, adam);
    assert_eq!(setting.still_waiting().await, 0);
}

#[tokio::test]
async fn a_batch_handed_over_twice_is_one() {
    let setting = Setting::new().await;
    let adam = setting.waiting("Adam").await;
    setting.dispatch(true).await;
    // As if the message had not been deleted.
    setting.program(&adam, "sha-Adam").await;
    setting.dispatch(true).await;
    assert_eq!(setting.batches().await.len(), 1);
    assert_eq!(setting.fields(&adam).await.test_attempts, Some(1));
}

#[tokio::test]
async fn a_result_is_in_the_index_once_however_often_s3_tells() {
    let setting = Setting::new().await;
    let adam = setting.waiting("Adam").await;
    setting.dispatch(true).await;
    setting.result(&adam, "sha-Adam").await;
    setting.notify(&adam).await.unwrap();
    let fields = setting.fields(&adam).await;
    assert_eq!(fields.tested, Some(true));
    assert_eq!(fields.test_success, Some(true));
    assert_eq!(fields.test_in_progress, Some(false));
    assert_eq!(fields.training_loss, Some(0.02));
    assert_eq!(fields.executed_on, Some(ExecutedOn::Trainium));
    let state = setting.stage.search.states().get(&adam).await.unwrap();
    let state = state.unwrap();
    // The result is from before there was an outcome.
    assert_eq!(state.heading.stage.as_deref(), Some("ran"));
    assert_eq!(state.tested.as_ref().unwrap().outcome, Some(Outcome::Ran));
    setting.notify(&adam).await.unwrap();
    assert_eq!(setting.fields(&adam).await, fields);
    let again = setting.stage.search.states().get(&adam).await.unwrap();
    assert_eq!(again, Some(state));
    let answer = setting
        .tester()
        .handle(
            json!({"action": "collect", "paper_ids": [adam, "x"]}),
            QUARTER,
        )
        .await
        .unwrap();
    assert_eq!(answer["collected"], json!([adam]));
    assert_eq!(answer["failed"][0]["paper_id"], "x");
    assert_eq!(setting.fields(&adam).await.test_attempts, Some(1));
    let misspelt = json!({"action": "colect", "paper_ids": [adam]});
    let error = setting.tester().handle(misspelt, QUARTER).await;
    assert_eq!(error.unwrap_err().error_type(), "InvalidRequest");
}

#[tokio::test]
async fn every_kind_of_metric_and_output_is_taken_by_the_index() {
    let setting = Setting::new().await;
    let adam = setting.waiting("Adam").await;
    let mut result = setting.result(&adam, "sha-Adam").await;
    let odd = json!({
        "a b": 1, "$x": 2, "_id": 3, "é": 4.5, "a": true, "a.b": 5, "big": 1e300, "t": "x", "_": 0, "[]": 1,
    });
    result.metrics = odd.as_object().unwrap().clone();
    result.error_message = Some("line\nline \u{1b}[31m".repeat(2_000));
    result.return_code = None;
    let body = serde_json::to_vec(&result).unwrap();
    setting
        .stage
        .put(&setting.config.outputs_bucket, &keys::result(&adam), body)
        .await;
    setting.notify(&adam).await.unwrap();
    assert_eq!(
        setting.fields(&adam).await.execution_metrics.unwrap().len(),
        9
    );
}

#[tokio::test]
async fn a_result_that_cannot_be_written_is_told_again() {
    let setting = Setting::new().await;
    let unknown = PaperId::of("Unknown", None);
    setting.result(&unknown, "sha").await;
    let error = setting.notify(&unknown).await.unwrap_err();
    assert!(error.to_string().contains("is not in the index"), "{error}");
    let state = setting.stage.search.states().get(&unknown).await.unwrap();
    assert_eq!(state, None, "a paper that nobody judged has no state");
    let nothing = setting.waiting("No result yet").await;
    let error = setting.notify(&nothing).await.unwrap_err();
    assert!(error.to_string().contains("no result"), "{error}");
    setting
        .stage
        .put(
            &setting.config.outputs_bucket,
            &keys::result(&nothing),
            b"{".as_slice(),
        )
        .await;
    let error = setting.notify(&nothing).await.unwrap_err();
    assert!(error.to_string().contains("cannot be used"), "{error}");
}

#[tokio::test]
async fn a_result_of_a_paper_that_is_not_in_the_index_holds_up_no_other() {
    let setting = Setting::new().await;
    let unknown = PaperId::of("Unknown", None);
    setting.program(&unknown, "sha-unknown").await;
    setting.result(&unknown, "sha-unknown").await;
    let adam = setting.waiting("Adam").await;
    let answer = setting.dispatch(true).await;
    assert_eq!(
        (&answer["dispatched"], &answer["already_tested"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(setting.batches().await[0].batch[0].paper_id, adam);
}

#[tokio::test]
async fn a_program_that_a_shorter_limit_ended_is_tested_with_a_longer_one() {
    let mut setting = Setting::new().await;
    let adam = setting.waiting("Adam").await;
    let mut result = setting.result(&adam, "sha-Adam").await;
    (result.success, result.timeout, result.execution_time) = (false, true, 600.02);
    let body = serde_json::to_vec(&result).unwrap();
    let bucket = &setting.config.outputs_bucket;
    setting.stage.put(bucket, &keys::result(&adam), body).await;
    assert_eq!(setting.dispatch(true).await["already_tested"], 1);
    setting.config.trainium_timeout = "900".to_owned();
    setting.program(&adam, "sha-Adam").await;
    assert_eq!(setting.dispatch(true).await["dispatched"], 1);
}

#[tokio::test]
async fn a_program_that_failed_goes_back_to_the_generator_with_the_end_of_its_error() {
    let setting = Setting::new().await;
    let bucket = &setting.config.outputs_bucket;
    let sent = async || {
        let messages = setting
            .stage
            .take(&setting.config.generation_queue_url)
            .await;
        let messages = messages
            .iter()
            .map(|(body, _)| serde_json::from_str(body).unwrap());
        messages.collect::<Vec<CodeGenerationMessage>>()
    };
    let failed = async |title: &str, change: &dyn Fn(&mut TestResult)| {
        let paper = setting.waiting(title).await;
        let sha = format!("sha-{title}");
        let mut result = setting.result(&paper, &sha).await;
        (result.success, result.status) = (false, Some(TestStatus::ProgramError));
        result.error_message = Some("NameError: name 'x'".to_owned());
        result.outputs.bucket = bucket.clone();
        result.outputs.stderr = keys::outputs_prefix(&paper) + "stderr.log";
        change(&mut result);
        let stderr = format!("{}Traceback: the end", "é".repeat(9_000));
        setting
            .stage
            .put(bucket, &result.outputs.stderr, stderr.into_bytes())
            .await;
        let body = serde_json::to_vec(&result).unwrap();
        setting.stage.put(bucket, &keys::result(&paper), body).await;
        // S3 tells twice.
        setting.notify(&paper).await.unwrap();
        setting.notify(&paper).await.unwrap();
        sent().await
    };
    let messages = failed("Adam", &|_| {}).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].title, "Adam");
    let repair = messages[0].repair.as_ref().unwrap();
    assert_eq!(
        (repair.code_sha256.as_str(), repair.from),
        ("sha-Adam", RepairFrom::Device)
    );
    assert!(
        repair.findings.starts_with("NameError: name 'x'\né"),
        "{}",
        repair.findings
    );
    assert!(repair.findings.ends_with("Traceback: the end"));
    assert_eq!(repair.findings.chars().count(), Repair::MOST_FINDINGS);
    let in_dry_run = |it: &mut TestResult| {
        it.dry_run = Some(DryRun {
            status: TestStatus::ProgramError,
            execution_time: 1.0,
            error_type: None,
            error_message: Some("ImportError".to_owned()),
        });
    };
    let messages = failed("Lion", &in_dry_run).await;
    let repair = messages[0].repair.as_ref().unwrap();
    assert_eq!(repair.from, RepairFrom::DryRun);
    assert!(repair.findings.starts_with("ImportError"));
    let denied = |it: &mut TestResult| it.status = Some(TestStatus::Denied);
    assert_eq!(
        failed("Lamb", &denied).await,
        [],
        "what no program may do is not mended"
    );
}
