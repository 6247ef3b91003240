//! What a run left, as its result, and its way to S3: every other output first, the result last.

use std::time::Duration;

use annapurna_cloud::Object;
use annapurna_contract::{
    DryRun, ErrorType, ExecutedOn, Isolation, Measured, Outcome, OutputKeys, SHOWN_OUTPUT,
    TestResult, TestStatus, keys,
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use crate::classify::Failure;
use crate::executor::{ExecuteError, Executor};
use crate::job::{Job, Origin, job_name};
use crate::metrics::Metrics;
use crate::plots::Plot;
use crate::runner::{Captured, End, Run};
use crate::store::{self, StoreError};

/// What a run left, ready to be written.
pub(crate) struct Report {
    result: TestResult,
    stdout: Captured,
    stderr: Captured,
    plots: Vec<Plot>,
    ignored_metrics: usize,
}

/// What is taken of a run's files.
pub(crate) struct Left {
    /// Its image files.
    pub(crate) plots: Vec<Plot>,
    /// What the harness saw; `None` where it left no report.
    pub(crate) measured: Option<Measured>,
}

/// What is known beside the run itself.
pub(crate) struct Around {
    /// SHA-256 of the program, hexadecimal.
    pub(crate) digest: String,
    /// Why it failed; `None` when it succeeded.
    pub(crate) failure: Option<Failure>,
    /// What its dry run found.
    pub(crate) dry_run: Option<DryRun>,
    /// Seconds of NeuronCores that it had.
    pub(crate) core_seconds: Option<f64>,
    /// How busy they were, percent.
    pub(crate) utilization: Option<f64>,
}

/// What a dry run found.
pub(crate) fn dry_run(run: &Run, failure: Option<&Failure>) -> DryRun {
    DryRun {
        status: failure.map_or(TestStatus::Success, |failure| failure.status),
        execution_time: millis(run.duration),
        error_type: failure.map(|failure| failure.kind.clone()),
        error_message: failure.map(|failure| failure.message.clone()),
    }
}

impl Executor {
    /// The report of a program that ran.
    pub(crate) fn report(&self, job: &Job, run: Run, left: Left, around: Around) -> Report {
        let metrics = Metrics::parse(&run.stdout.bytes);
        let times = (run.started_at, run.finished_at);
        let (core_seconds, utilization) = (around.core_seconds, around.utilization);
        let mut result = self.result(job, around, times);
        result.execution_time = millis(run.duration);
        result.return_code = match run.end {
            End::Exited(code) => Some(code),
            _ => None,
        };
        let peak = run.usage.peak_memory_bytes;
        result.peak_memory_mb = (peak > 0).then(|| (peak / 1024) as f64 / 1024.0);
        result.cpu_time = Some(millis(run.usage.cpu));
        result.core_seconds = core_seconds.map(|seconds| (seconds * 1000.0).round() / 1000.0);
        result.neuron_core_utilization = utilization;
        result.stdout_truncated = run.stdout.cut;
        result.stderr_truncated = run.stderr.cut;
        let impossible = metrics.impossible().filter(|_| result.success);
        let is_possible = impossible.is_none();
        if let Some(why) = impossible {
            result.error_type = Some(ErrorType::Metrics);
            result.error_message = Some(why);
        }
        result.metrics = metrics.values;
        let measured = left.measured;
        let ended_well = result.success && is_possible;
        result.outcome = Some(Outcome::of(ended_well, measured.as_ref()));
        result.measured = measured;
        Report {
            result,
            stdout: run.stdout,
            stderr: run.stderr,
            plots: left.plots,
            ignored_metrics: metrics.ignored,
        }
    }

    /// The report of a program that is not run, for what it is.
    pub(crate) fn refused(&self, job: &Job, digest: &str, failure: Failure) -> Report {
        let now = Utc::now();
        let around = Around {
            digest: digest.to_owned(),
            failure: Some(failure),
            dry_run: None,
            core_seconds: None,
            utilization: None,
        };
        let nothing = || Captured {
            bytes: Vec::new(),
            cut: false,
        };
        Report {
            result: self.result(job, around, (now, now)),
            stdout: nothing(),
            stderr: nothing(),
            plots: Vec::new(),
            ignored_metrics: 0,
        }
    }

    fn result(
        &self,
        job: &Job,
        around: Around,
        (started, finished): (DateTime<Utc>, DateTime<Utc>),
    ) -> TestResult {
        let failure = around.failure.as_ref();
        let status = failure.map_or(TestStatus::Success, |failure| failure.status);
        let (error_type, error_message) = around
            .failure
            .map(|failure| (failure.kind, failure.message))
            .unzip();
        TestResult {
            paper_id: job.paper_id.clone(),
            batch_id: job.batch_id.clone(),
            code_sha256: around.digest,
            status: Some(status),
            success: status == TestStatus::Success,
            timeout: status == TestStatus::Timeout,
            started_at: started.to_rfc3339_opts(SecondsFormat::Millis, true),
            finished_at: finished.to_rfc3339_opts(SecondsFormat::Millis, true),
            executed_on: match around.core_seconds {
                Some(_) => ExecutedOn::Trainium,
                None => ExecutedOn::Cpu,
            },
            instance_type: self.host.instance_type.clone(),
            pytorch_version: self.host.torch.clone(),
            outcome: Some(Outcome::of(status == TestStatus::Success, None)),
            error_type,
            error_message,
            isolation: self.isolation(),
            dry_run: around.dry_run,
            ..TestResult::default()
        }
    }

    /// How programs are confined here.
    pub(crate) fn isolation(&self) -> Isolation {
        match &self.sandbox {
            Ok(sandbox) => sandbox.method().isolation(),
            Err(_) => Isolation::NotConfined,
        }
    }

    /// Writes the outputs and then the result; without a paper or a key there is nothing to write. What is answered
    /// over HTTP shows the ends of both streams as well.
    pub(crate) async fn publish(
        &self,
        job: &Job,
        report: Report,
    ) -> Result<TestResult, ExecuteError> {
        let Report { result, .. } = &report;
        tracing::info!(
            paper = job_name(job),
            status = result.status.map(TestStatus::as_str),
            outcome = result.outcome().as_str(),
            seconds = result.execution_time,
            error = result.error_type.as_ref().map(ErrorType::as_str),
            ignored_metrics = report.ignored_metrics,
            "finished"
        );
        let shown = (job.origin == Origin::Http)
            .then(|| (end_of(&report.stdout.bytes), end_of(&report.stderr.bytes)));
        let mut result = match job.published_as() {
            Some(paper) => self.write(job.prefix(paper), report).await?,
            None => report.result,
        };
        (result.stdout, result.stderr) = shown.unzip();
        Ok(result)
    }

    /// Writes a folder of outputs, the result last.
    async fn write(&self, prefix: String, report: Report) -> Result<TestResult, ExecuteError> {
        let mut result = report.result;
        let last = keys::result_in(&prefix);
        let plots: Vec<(String, Plot)> = report
            .plots
            .into_iter()
            .map(|plot| (format!("{prefix}plots/{}", plot.name), plot))
            .collect();
        result.outputs = OutputKeys {
            bucket: self.config.outputs_bucket.clone(),
            stdout: format!("{prefix}stdout.log"),
            stderr: format!("{prefix}stderr.log"),
            metrics: format!("{prefix}metrics.json"),
            plots: plots.iter().map(|(key, _)| key.clone()).collect(),
            prefix,
        };
        let text = "text/plain; charset=utf-8";
        let json = "application/json";
        let measured = metrics_file(&result, report.ignored_metrics)?;
        let outputs = &result.outputs;
        self.put(&outputs.stdout, report.stdout.bytes, text).await?;
        self.put(&outputs.stderr, report.stderr.bytes, text).await?;
        self.put(&outputs.metrics, measured, json).await?;
        for (key, plot) in plots {
            self.put(&key, plot.bytes, plot.content_type).await?;
        }
        let body = serde_json::to_vec_pretty(&result)?;
        self.put(&last, body, json).await?;
        Ok(result)
    }

    /// Writes one object of the outputs, again and again until it is there or the agent stops.
    ///
    /// # Errors
    ///
    /// The last failure.
    pub(crate) async fn put(
        &self,
        key: &str,
        bytes: Vec<u8>,
        kind: &'static str,
    ) -> Result<(), StoreError> {
        let bucket = &self.config.outputs_bucket;
        let object = Object::new(bytes, kind);
        let write = || self.store.put(bucket, key, object.clone());
        store::write(self.retry, &self.shutdown, write).await
    }
}

/// What the program reported and what was measured.
fn metrics_file(result: &TestResult, ignored: usize) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec_pretty(&json!({
        "metrics": result.metrics,
        "outcome": result.outcome,
        "measured": result.measured,
        "ignored_reports": ignored,
        "execution_time": result.execution_time,
        "return_code": result.return_code,
        "cpu_time": result.cpu_time,
        "core_seconds": result.core_seconds,
        "peak_memory_mb": result.peak_memory_mb,
        "neuron_core_utilization": result.neuron_core_utilization,
    }))
}

/// The end of a stream, [`SHOWN_OUTPUT`] bytes at most; a cut one says how much is left out.
fn end_of(bytes: &[u8]) -> String {
    let left_out = bytes.len().saturating_sub(SHOWN_OUTPUT);
    let end = String::from_utf8_lossy(&bytes[left_out..]);
    match left_out {
        0 => end.into_owned(),
        left_out => format!("[{left_out} bytes before this are left out]\n{end}"),
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_stream_the_end_is_shown() {
        assert_eq!(end_of("é\n".as_bytes()), "é\n");
        let exact = vec![b'x'; SHOWN_OUTPUT];
        assert_eq!(end_of(&exact).len(), SHOWN_OUTPUT);
        let long = [&exact[..], b"yz"].concat();
        let shown = end_of(&long);
        assert!(shown.starts_with("[2 bytes before this are left out]\nxx"));
        assert!(shown.ends_with("xyz"));
    }
}
