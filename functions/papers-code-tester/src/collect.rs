//! Writes a finished run into the paper's document and into its state.
//!
//! In: the agent's [`TestResult`]. Out: what the run came to, in the index of states, and the [`Tested`] fields of the
//! paper's document, all of them made from the result and the configured price, so the same result twice changes
//! nothing. The state first: whoever sees that a paper is tested finds there what its test came to. A result replaces the one before it
//! whole: what an earlier run reported and this one did not is gone.
//!
//! Cost: `trainium_hours` is the program's wall-clock time on the instance, and
//! `estimated_compute_cost` is that at the instance's hourly price. Two programs share the instance's two
//! NeuronCores, so with a full batch the sum over its papers is up to twice the bill; a program alone pays
//! for the whole instance. Time that the instance is up and idle is in neither. For a program that used no NeuronCore
//! both are absent.
//!
//! Whether it succeeded or ran too long is the result's status, see [`TestResult::status`]; whether it trained, its
//! outcome, see [`TestResult::outcome`]. A program that ended well and reported what cannot be has errors.

use annapurna_cloud::{ObjectError, ObjectStore, QueueError, S3, Sqs};
use annapurna_contract::{
    ErrorType, ExecutedOn, Outcome, PaperId, PaperRecord, TestResult, TestStatus, Tested, keys,
    text::{is_hidden, one_line},
};
use annapurna_runtime::search::StatusIndex;
use annapurna_runtime::{Search, SearchError};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};
use tracing::{info, warn};

use crate::repair::Repairs;
use crate::settings::Settings;

/// Largest result that is read, bytes.
const RESULT_LIMIT: u64 = 4 << 20;
/// Metrics of one run that the index keeps.
const MOST_METRICS: usize = 200;
/// Longest name or text of a metric, characters.
const METRIC_CHARACTERS: usize = 200;

/// Why a result did not get into the index.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// There is no result.
    #[error("no result of paper `{paper_id}` at `s3://{bucket}/{key}`")]
    NoResult {
        /// Whose result it is.
        paper_id: PaperId,
        /// Bucket of the outputs, as configured.
        bucket: String,
        /// Where the agent would have written it.
        key: String,
    },
    /// It is not what the agent writes.
    #[error("result of paper `{paper_id}` cannot be used: {reason}")]
    Unusable {
        /// Whose result it is.
        paper_id: PaperId,
        /// What is wrong with it.
        reason: String,
    },
    /// The index has no such paper.
    #[error("paper `{0}` has a result but is not in the index")]
    NoPaper(PaperId),
    /// The index did not answer.
    #[error("index")]
    Search(#[from] SearchError),
    /// S3 did not answer.
    #[error("storage")]
    Objects(#[from] ObjectError),
    /// The generator's queue did not answer.
    #[error("queue")]
    Queue(#[from] QueueError),
}

/// Brings results into the index.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    search: Search,
    states: StatusIndex,
    objects: S3,
    repairs: Repairs,
    bucket: String,
    hourly_price_usd: f64,
}

impl Collector {
    pub(crate) fn new(search: Search, objects: S3, queues: Sqs, settings: &Settings) -> Self {
        Self {
            states: search.states(),
            search,
            repairs: Repairs::new(objects.clone(), queues, settings),
            objects,
            bucket: settings.outputs_bucket.clone(),
            hourly_price_usd: settings.hourly_price_usd,
        }
    }

    /// The paper's result as S3 has it; `None` when it has none.
    pub(crate) async fn result(&self, paper: &PaperId) -> Result<Option<TestResult>, CollectError> {
        let key = keys::result(paper);
        let bytes = self.objects.get(&self.bucket, &key, RESULT_LIMIT).await?;
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| unusable(paper, error.to_string()))
    }

    /// Reads the paper's result and writes it into the index.
    pub(crate) async fn collect(&self, paper: &PaperId) -> Result<(), CollectError> {
        let result = self.result(paper).await?;
        let result = result.ok_or_else(|| CollectError::NoResult {
            paper_id: paper.clone(),
            bucket: self.bucket.clone(),
            key: keys::result(paper),
        })?;
        self.write(paper, &result).await
    }

    /// Writes a result into the index.
    pub(crate) async fn write(
        &self,
        paper: &PaperId,
        result: &TestResult,
    ) -> Result<(), CollectError> {
        check(paper, result)?;
        if self.search.get(paper).await?.is_none() {
            return Err(CollectError::NoPaper(paper.clone()));
        }
        self.states.tested(paper, result).await?;
        let tested = fields(paper, result, self.hourly_price_usd);
        let written = self
            .search
            .change(paper, |record| merge(record, &tested))
            .await?;
        let written = written.ok_or_else(|| CollectError::NoPaper(paper.clone()))?;
        let kind = result.error_type.as_ref().map(ErrorType::as_str);
        let status = result.status().map(TestStatus::as_str);
        let outcome = result.outcome().as_str();
        info!(paper_id = %paper, status, outcome, error_type = kind, "result collected");
        let title = written.judged.title.unwrap_or_default();
        self.repairs.ask(paper, title, result).await
    }
}

/// The index refuses a whole document for one bad date, so dates are looked at first.
fn check(paper: &PaperId, result: &TestResult) -> Result<(), CollectError> {
    if result.paper_id.as_ref() != Some(paper) {
        let other = result.paper_id.as_ref().map_or("none", PaperId::as_str);
        return Err(unusable(paper, format!("it names paper `{other}`")));
    }
    if DateTime::parse_from_rfc3339(&result.finished_at).is_err() {
        let given = one_line(&result.finished_at, 80);
        return Err(unusable(
            paper,
            format!("finished_at is no time: `{given}`"),
        ));
    }
    Ok(())
}

fn unusable(paper: &PaperId, reason: String) -> CollectError {
    CollectError::Unusable {
        paper_id: paper.clone(),
        reason,
    }
}

/// Puts a run's fields into the document; what only the dispatcher and others write stays. Says whether
/// anything changed.
fn merge(record: &mut PaperRecord, run: &Tested) -> bool {
    let old = &record.tested;
    let new = Tested {
        // A run that nobody dispatched, over HTTP, counts too.
        test_attempts: old.test_attempts.or(Some(1)),
        last_test_attempt: old.last_test_attempt.clone(),
        slack_thread_ts: old.slack_thread_ts.clone(),
        dataset_s3_key: old.dataset_s3_key.clone(),
        profiler_enabled: old.profiler_enabled,
        profiler_output_dir: old.profiler_output_dir.clone(),
        profiler_files: old.profiler_files.clone(),
        profiler_s3_location: old.profiler_s3_location.clone(),
        profiler_perfetto_file: old.profiler_perfetto_file.clone(),
        ..run.clone()
    };
    let changed = *old != new;
    record.tested = new;
    changed
}

/// A run as the index has it.
fn fields(paper: &PaperId, result: &TestResult, hourly_price_usd: f64) -> Tested {
    let number = |name: &str| result.metrics.get(name).and_then(Value::as_f64);
    let status = result.status();
    let success = status == Some(TestStatus::Success);
    let on_trainium = result.executed_on == ExecutedOn::Trainium;
    let hours = on_trainium.then_some(result.execution_time / 3600.0);
    let finished = utc(&result.finished_at);
    let outputs = &result.outputs;
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let bucket = some(&outputs.bucket);
    Tested {
        tested: Some(true),
        tested_at: finished.clone(),
        test_success: Some(success),
        test_in_progress: Some(false),
        execution_time: Some(result.execution_time),
        return_code: result.return_code.map(i64::from),
        timeout: Some(status == Some(TestStatus::Timeout)),
        executed_on: Some(result.executed_on.clone()),
        instance_type: some(&result.instance_type),
        peak_memory_mb: result.peak_memory_mb,
        neuron_core_utilization: result.neuron_core_utilization,
        throughput_samples_per_sec: number("throughput_samples_per_sec"),
        training_loss: number("training_loss"),
        validation_accuracy: number("validation_accuracy"),
        stdout_s3_key: some(&outputs.stdout),
        stderr_s3_key: some(&outputs.stderr),
        artifacts_s3_prefix: some(&outputs.prefix),
        plots_s3_keys: (!outputs.plots.is_empty()).then(|| outputs.plots.clone()),
        logs_s3_key: some(&outputs.metrics),
        dataset_size_mb: number("dataset_size_mb"),
        dataset_download_time: number("dataset_download_time"),
        pytorch_version: result.pytorch_version.clone(),
        trainium_hours: hours,
        estimated_compute_cost: hours.map(|hours| hours * hourly_price_usd),
        has_errors: Some(result.outcome() == Outcome::Failed),
        error_message: result.error_message.clone(),
        error_type: result.error_type.clone(),
        executed_on_trn: Some(on_trainium),
        executed_on_trn_updated_at: finished,
        results_s3_location: bucket
            .as_ref()
            .map(|bucket| format!("s3://{bucket}/{}", keys::result(paper))),
        outputs_s3_bucket: bucket,
        execution_metrics: kept_metrics(paper, &result.metrics),
        ..Tested::default()
    }
}

/// A time as the index's dates are written everywhere.
fn utc(time: &str) -> Option<String> {
    let time = DateTime::parse_from_rfc3339(time).ok()?;
    Some(
        time.with_timezone(&Utc)
            .to_rfc3339_opts(SecondsFormat::Millis, true),
    )
}

/// The metrics the index can keep: numbers, truth values and short texts under short names. The program
/// that reports them was written by a model; all it reported stays in S3.
fn kept_metrics(paper: &PaperId, metrics: &Map<String, Value>) -> Option<Map<String, Value>> {
    let is_kept = |name: &str, value: &Value| {
        let named = !name.trim().is_empty() && name.chars().count() <= METRIC_CHARACTERS;
        // The index reads a dot as a path: `a` and `a.b` together would refuse the whole document.
        let plain = !name.contains('.') && !name.contains(is_hidden);
        named
            && plain
            && match value {
                Value::Number(_) | Value::Bool(_) => true,
                Value::String(text) => text.chars().count() <= METRIC_CHARACTERS,
                Value::Null | Value::Array(_) | Value::Object(_) => false,
            }
    };
    let kept: Map<String, Value> = metrics
        .iter()
        .filter(|(name, value)| is_kept(name, value))
        .take(MOST_METRICS)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let n_left_out = metrics.len() - kept.len();
    if n_left_out > 0 {
        warn!(paper_id = %paper, n_left_out, "metrics that the index cannot keep are in S3 only");
    }
    (!kept.is_empty()).then_some(kept)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paper() -> PaperId {
        PaperId::of("Adam", None)
    }

    fn result() -> TestResult {
        let mut result: TestResult =
            serde_json::from_str(include_str!("../tests/events/result.json")).unwrap();
        result.paper_id = Some(paper());
        result
    }

    #[test]
    fn a_results_numbers_become_fields() {
        let tested = fields(&paper(), &result(), 1.5);
        assert_eq!(
            tested.tested_at.as_deref(),
            Some("2026-01-02T03:14:05.000Z")
        );
        assert_eq!(tested.training_loss, Some(0.02));
        assert_eq!(tested.validation_accuracy, Some(1.0));
        assert_eq!(
            tested.throughput_samples_per_sec, None,
            "a text is no number"
        );
        assert_eq!(tested.trainium_hours, Some(0.1));
        assert!((tested.estimated_compute_cost.unwrap() - 0.15).abs() < 1e-9);
        let location = format!("s3://papers-test-outputs/{}/outputs/result.json", paper());
        assert_eq!(tested.results_s3_location, Some(location));
    }

    #[test]
    fn a_run_off_trainium_has_no_hours_and_no_cost() {
        let mut result = result();
        result.executed_on = ExecutedOn::Cpu;
        let tested = fields(&paper(), &result, 1.5);
        assert_eq!(
            (tested.trainium_hours, tested.estimated_compute_cost),
            (None, None)
        );
        assert_eq!(tested.executed_on_trn, Some(false));
    }

    #[test]
    fn success_and_timeout_are_the_results_status() {
        let of = |status| {
            let result = TestResult { status, ..result() };
            let tested = fields(&paper(), &result, 1.5);
            (tested.test_success, tested.timeout, tested.has_errors)
        };
        assert_eq!(
            of(None),
            (Some(true), Some(false), Some(false)),
            "an older one"
        );
        let success = Some(TestStatus::Success);
        assert_eq!(of(success), (Some(true), Some(false), Some(false)));
        let timeout = Some(TestStatus::Timeout);
        assert_eq!(of(timeout), (Some(false), Some(true), Some(true)));
        let denied = Some(TestStatus::Denied);
        assert_eq!(of(denied), (Some(false), Some(false), Some(true)));
    }

    #[test]
    fn a_program_that_reports_what_cannot_be_has_errors_and_ended_well() {
        let result = TestResult {
            status: Some(TestStatus::Success),
            outcome: Some(Outcome::Failed),
            error_type: Some(ErrorType::Metrics),
            ..result()
        };
        let tested = fields(&paper(), &result, 1.5);
        assert_eq!(
            (tested.test_success, tested.has_errors),
            (Some(true), Some(true))
        );
        assert_eq!(tested.error_type, Some(ErrorType::Metrics));
    }

    #[test]
    fn the_same_result_twice_changes_nothing_and_a_new_one_leaves_no_rest() {
        let mut record = PaperRecord::default();
        record.tested.test_attempts = Some(2);
        record.tested.test_in_progress = Some(true);
        let failed = fields(&paper(), &result(), 1.5);
        assert!(merge(&mut record, &failed));
        assert!(!merge(&mut record, &failed));
        assert_eq!(record.tested.test_attempts, Some(2));
        assert_eq!(record.tested.test_in_progress, Some(false));
        let mut second = result();
        second.metrics.clear();
        second.error_message = None;
        assert!(merge(&mut record, &fields(&paper(), &second, 1.5)));
        assert_eq!(record.tested.training_loss, None);
        assert_eq!(record.tested.error_message, None);
    }

    #[test]
    fn metrics_that_would_refuse_the_document_are_left_out() {
        let metrics = json!({
            "loss": 0.1, "a.b": 1, "": 2, " ": 3, "nested": {"x": 1}, "list": [1], "gone": null,
            "model": "mlp", "long": "x".repeat(500),
        });
        let kept = kept_metrics(&paper(), metrics.as_object().unwrap()).unwrap();
        assert_eq!(Value::Object(kept), json!({"loss": 0.1, "model": "mlp"}));
    }

    #[test]
    fn a_result_of_another_paper_or_without_a_time_is_not_written() {
        let other = check(&PaperId::of("Lion", None), &result()).unwrap_err();
        assert!(other.to_string().contains(paper().as_str()), "{other}");
        let mut timeless = result();
        timeless.finished_at = "yesterday".to_owned();
        assert!(check(&paper(), &timeless).is_err());
    }
}
