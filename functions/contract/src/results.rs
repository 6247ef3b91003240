//! What the agent says about one program's run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    AgentFault, BatchState, ErrorType, ExecutedOn, HealthStatus, Isolation, Measured, NotTrained,
    Outcome, PaperId, TestStatus,
};

/// Keys of a run's outputs in [`crate::Bucket::Outputs`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputKeys {
    /// Bucket of every key.
    pub bucket: String,
    /// What every key begins with: `{paper_id}/outputs/`.
    pub prefix: String,
    /// Standard output, cut at the agent's limit.
    pub stdout: String,
    /// Standard error, cut at the agent's limit.
    pub stderr: String,
    /// Everything printed as `METRICS: {…}` and measured.
    pub metrics: String,
    /// Image files the program wrote.
    #[serde(default)]
    pub plots: Vec<String>,
}

/// What a dry run found: the first seconds of a program on the machine's own processor, before its real run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DryRun {
    /// How it ended; `timeout` says only that nothing went wrong in its time.
    pub status: TestStatus,
    /// Wall-clock seconds.
    pub execution_time: f64,
    /// As in [`TestResult`].
    #[serde(default)]
    pub error_type: Option<ErrorType>,
    /// As in [`TestResult`].
    #[serde(default)]
    pub error_message: Option<String>,
}

/// One program's run: `result.json`, and an entry of `results` in the answer of `/execute_batch`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TestResult {
    /// The paper the program was written for; `None` only for `POST /execute` without one.
    pub paper_id: Option<PaperId>,
    /// The batch it ran in.
    #[serde(default)]
    pub batch_id: String,
    /// SHA-256 of the program that ran.
    #[serde(default)]
    pub code_sha256: String,
    /// How the run ended; results from before there was one have none, see [`TestResult::status`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<TestStatus>,
    /// Return code 0 within every limit.
    pub success: bool,
    /// Wall-clock seconds of the program.
    pub execution_time: f64,
    /// Exit code; `None` when a signal ended it.
    pub return_code: Option<i32>,
    /// The wall-clock limit ended it.
    pub timeout: bool,
    /// RFC 3339 UTC time of the start.
    pub started_at: String,
    /// RFC 3339 UTC time of the end.
    pub finished_at: String,
    /// What it ran on.
    pub executed_on: ExecutedOn,
    /// EC2 instance type, or `local`.
    pub instance_type: String,
    /// The most memory that all its processes had at a time, MiB.
    pub peak_memory_mb: Option<f64>,
    /// Processor time of all its processes, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_time: Option<f64>,
    /// Seconds that a NeuronCore was its own; `None` where it used none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core_seconds: Option<f64>,
    /// Mean NeuronCore utilisation, percent; `None` off Trainium.
    #[serde(default)]
    pub neuron_core_utilization: Option<f64>,
    /// `torch.__version__` of the interpreter; `None` when it has no torch.
    #[serde(default)]
    pub pytorch_version: Option<String>,
    /// The merged `METRICS:` lines of the program; a later value replaces an earlier one.
    #[serde(default)]
    pub metrics: Map<String, Value>,
    /// What the harness saw of it; `None` where it left no report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// What it came to; results from before there was one have none, see [`TestResult::outcome`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why it failed, for machines; `None` where it did not.
    #[serde(default)]
    pub error_type: Option<ErrorType>,
    /// One or a few lines a person can act on; `None` where it did not fail.
    #[serde(default)]
    pub error_message: Option<String>,
    /// How the program was confined.
    #[serde(default)]
    pub isolation: Isolation,
    /// What the dry run found that came before; `None` where none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<DryRun>,
    /// Standard output went on after what was kept of it.
    #[serde(default)]
    pub stdout_truncated: bool,
    /// Standard error went on after what was kept of it.
    #[serde(default)]
    pub stderr_truncated: bool,
    /// The end of standard output, [`SHOWN_OUTPUT`] bytes at most; in answers over HTTP only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    /// The end of standard error, as `stdout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    /// Where the outputs are; empty keys over HTTP without S3.
    #[serde(default)]
    pub outputs: OutputKeys,
}

/// Most of each stream that an answer over HTTP shows, bytes: ten programs' fit into an answer that the tester reads.
pub const SHOWN_OUTPUT: usize = 64 * 1024;

impl TestResult {
    /// How the run ended. Results from before there was a status are told by what they have; `None` are those of
    /// them that a fault of the machine made, and not the program.
    pub fn status(&self) -> Option<TestStatus> {
        if self.status.is_some() {
            return self.status;
        }
        if self.success {
            return Some(TestStatus::Success);
        }
        if self.timeout {
            return Some(TestStatus::Timeout);
        }
        match self.error_type {
            Some(ErrorType::Code | ErrorType::Sandbox | ErrorType::NoTorch) => None,
            Some(ErrorType::Timeout) => Some(TestStatus::Timeout),
            Some(ErrorType::Memory) => Some(TestStatus::MemoryLimit),
            Some(ErrorType::OutputLimit) => Some(TestStatus::OutputLimit),
            Some(ErrorType::DiskLimit) => Some(TestStatus::DiskLimit),
            _ => Some(TestStatus::ProgramError),
        }
    }

    /// What it came to. Of a result from before there was an outcome no more is known than that it ran.
    pub fn outcome(&self) -> Outcome {
        let ended_well = self.status() == Some(TestStatus::Success);
        let older = || Outcome::of(ended_well, None);
        self.outcome.unwrap_or_else(older)
    }

    /// Why a program that ran does not count as trained; `None` where it does, or failed.
    pub fn not_trained(&self) -> Option<NotTrained> {
        if self.outcome() != Outcome::Ran {
            return None;
        }
        match &self.measured {
            None => Some(NotTrained::NotMeasured),
            Some(measured) => measured.trained().err(),
        }
    }

    /// Whether it is all that a run of the program with this SHA-256 (hexadecimal) would be made for. It is not where a
    /// shorter limit than `timeout` ended the program, or where it never ran, since something else was missing.
    pub fn answers(&self, code_sha256: &str, timeout: Duration) -> bool {
        let Some(status) = self.status() else {
            return false;
        };
        let was_cut_short =
            status == TestStatus::Timeout && self.execution_time < timeout.as_secs_f64();
        self.code_sha256.eq_ignore_ascii_case(code_sha256) && !was_cut_short
    }
}

/// The agent's answer to `POST /execute_batch`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BatchResults {
    /// The batch was carried out, however its programs fared: each has its result.
    pub success: bool,
    /// Programs of the batch.
    pub batch_size: usize,
    /// Programs with exit code 0 within every limit.
    pub successful: usize,
    /// Programs that did not.
    pub failed: usize,
    /// One result a paper.
    pub results: BTreeMap<PaperId, TestResult>,
    /// The papers whose programs have none, for a fault that is not theirs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<PaperId, NoResult>,
}

/// Why a program has no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoResult {
    /// What kind of fault it was.
    pub status: AgentFault,
    /// Why, with its causes, in one line.
    pub error: String,
}

/// The agent's answer to `GET /batches/{id}`: of a batch that runs, and of the last ones that have ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchReport {
    /// As its message names it.
    pub batch_id: String,
    /// What has become of it.
    pub state: BatchState,
    /// Programs of the batch.
    pub batch_size: usize,
    /// The results that there are, without what the programs printed.
    pub results: BTreeMap<PaperId, TestResult>,
    /// The papers whose programs have none, for a fault that is not theirs.
    pub errors: BTreeMap<PaperId, NoResult>,
}

/// A fault of the agent's own, as `GET /health` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentFault {
    /// RFC 3339 UTC time.
    pub at: String,
    /// The paper whose program has no result; `None` for one without a paper.
    pub paper_id: Option<PaperId>,
    /// The batch it is in; empty for `POST /execute`.
    pub batch_id: String,
    /// What kind of fault it was.
    pub status: AgentFault,
    /// Why, with its causes, in one line.
    pub error: String,
}

/// The agent's answer to a request that it does not carry out, with a status that is no success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRefusal {
    /// Always `false`: it stands where a result has `true` or `false`.
    pub success: bool,
    /// Why, in a line.
    pub error: String,
}

/// The agent's answer to `GET /health`; `infra status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentHealth {
    /// Whether programs are run.
    pub status: HealthStatus,
    /// How programs are confined there.
    pub isolation: Isolation,
    /// Why programs are refused; `None` when they are run.
    pub reason: Option<String>,
    /// Version of the programs' Python.
    pub python: String,
    /// `torch.__version__` of that Python; `None` when it has no torch.
    pub torch: Option<String>,
    /// Whether the machine has Neuron devices.
    pub neuron: bool,
    /// Programs that run now.
    pub busy: usize,
    /// Programs that may run at a time.
    pub slots: usize,
    /// The last faults that were not a program's, newest first; agents from before say none.
    #[serde(default)]
    pub faults: Vec<RecentFault>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_answers_for_its_program_within_its_limit() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let mut result = TestResult {
            code_sha256: "c0de".to_owned(),
            execution_time: 600.021,
            ..TestResult::default()
        };
        assert!(result.answers("C0DE", minutes(10)));
        assert!(result.answers("c0de", minutes(20)), "it ended by itself");
        assert!(!result.answers("c0ffee", minutes(10)));
        for (error_type, ran) in [
            (ErrorType::Runtime, true),
            (ErrorType::Code, false),
            (ErrorType::Sandbox, false),
            (ErrorType::NoTorch, false),
        ] {
            result.error_type = Some(error_type);
            let answers = result.answers("c0de", minutes(10));
            assert_eq!(answers, ran, "{:?}", result.error_type);
        }
        result.error_type = None;
        result.timeout = true;
        for status in [None, Some(TestStatus::Timeout)] {
            result.status = status;
            assert!(result.answers("c0de", minutes(10)));
            assert!(result.answers("c0de", minutes(5)));
            assert!(!result.answers("c0de", minutes(20)), "it may end now");
        }
        result.status = Some(TestStatus::Denied);
        assert!(result.answers("c0de", minutes(20)), "it is not tried again");
    }

    #[test]
    fn results_from_before_there_was_a_status_tell_theirs() {
        use TestStatus::*;
        let old = |success, timeout, error_type: Option<&str>| {
            let mut old = serde_json::to_value(TestResult::default()).unwrap();
            assert!(old.get("status").is_none());
            old["success"] = success;
            old["timeout"] = timeout;
            old["error_type"] = error_type.into();
            let read: TestResult = serde_json::from_value(old).unwrap();
            read.status()
        };
        let (yes, no) = (Value::from(true), Value::from(false));
        assert_eq!(old(yes.clone(), no.clone(), None), Some(Success));
        assert_eq!(old(no.clone(), yes, Some("timeout")), Some(Timeout));
        for (word, status) in [
            ("memory", Some(MemoryLimit)),
            ("output_limit", Some(OutputLimit)),
            ("disk_limit", Some(DiskLimit)),
            ("process_limit", Some(ProgramError)),
            ("import", Some(ProgramError)),
            ("device_on_fire", Some(ProgramError)),
            ("no_torch", None),
            ("sandbox", None),
            ("code", None),
        ] {
            assert_eq!(old(no.clone(), no.clone(), Some(word)), status, "{word}");
        }
    }

    #[test]
    fn a_result_from_before_there_was_an_outcome_ran_at_most() {
        let mut result = TestResult {
            status: Some(TestStatus::Success),
            ..TestResult::default()
        };
        assert_eq!(result.outcome(), Outcome::Ran);
        assert_eq!(result.not_trained(), Some(NotTrained::NotMeasured));
        result.measured = Some(Measured::default());
        assert_eq!(result.not_trained(), Some(NotTrained::NoData));
        result.outcome = Some(Outcome::Trained);
        assert_eq!(result.not_trained(), None);
        result.outcome = None;
        result.status = Some(TestStatus::Timeout);
        assert_eq!(
            (result.outcome(), result.not_trained()),
            (Outcome::Failed, None)
        );
    }

    #[test]
    fn a_result_of_another_version_is_read_and_written_back_unchanged() {
        let mut old = serde_json::to_value(TestResult::default()).unwrap();
        assert_eq!(
            (&old["executed_on"], &old["isolation"]),
            (&Value::from("cpu"), &Value::from("none"))
        );
        old["error_type"] = "device_on_fire".into();
        old["executed_on"] = "abacus".into();
        old["isolation"] = "gvisor".into();
        let read: TestResult = serde_json::from_value(old.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), old);
    }
}
