//! From a program's name to its result in S3: the same for the queue and for the HTTP API.
//!
//! In: one program, its batch and its limit. Out: a [`TestResult`], whose last copy is
//! `{paper_id}/outputs/result.json`. A failing program is a result; an `Err` means that nothing is known
//! about it and that the batch must be delivered again.

use std::sync::Arc;
use std::time::Duration;

use annapurna_cloud::{Object, ObjectError, ObjectStore, Retry};
use annapurna_contract::{
    AgentConfig, CodeTestingMessage, ErrorType, ExecutedOn, Isolation, OutputKeys, PaperId,
    TestResult, keys, text::escaped,
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::classify::{Failure, classify};
use crate::datasets::{Datasets, DatasetsError};
use crate::device::Device;
use crate::metrics::Metrics;
use crate::plots::{self, Plot};
use crate::probe::NoSandbox;
use crate::program::{Limits, Request};
use crate::runner::{End, Run, RunError, Runner};
use crate::sandbox::Sandbox;
use crate::shutdown::Shutdown;
use crate::slots::{Slot, Slots};
use crate::store::{self, StoreError};

/// Largest program that is run, bytes; a larger one has the result `code`.
pub(crate) const MAX_CODE: u64 = 1024 * 1024;
/// Largest `result.json` that is read back, bytes.
const MAX_RESULT: u64 = 8 * 1024 * 1024;

/// What every result and `/health` say of where the agent runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentHost {
    /// EC2 instance type, or `local`.
    pub instance_type: String,
    /// The interpreter, as a person would start it.
    pub python: String,
    /// `torch.__version__` of that interpreter; `None` where it has no torch.
    pub torch: Option<String>,
    /// Whether a Neuron device is there: a result then says `trainium`, else `cpu`.
    pub neuron: bool,
}

/// Where a program came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The queue: the result goes to S3, and one that is already there is not made again.
    Queue,
    /// HTTP: always run; the result goes to S3 when the request names the program's key.
    Http,
}

/// One program to run and report.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Job {
    /// The paper; `None` only for `POST /execute` without one.
    pub(crate) paper_id: Option<PaperId>,
    /// The result names it, so that a person's batch that comes again is told from another; empty for `/execute`.
    pub(crate) batch_id: String,
    /// Python source, when it was sent along; the bucket is not asked then.
    pub(crate) code: Option<String>,
    /// Its key in the code bucket.
    pub(crate) s3_code_key: String,
    /// Its SHA-256, hexadecimal; empty when unknown.
    pub(crate) code_sha256: String,
    /// Wall-clock limit of the run; waiting for a place does not count.
    pub(crate) timeout: Duration,
    /// Whether the result of any batch spares it the run, or only one of this batch.
    pub(crate) skip_tested: bool,
    pub(crate) origin: Origin,
}

impl Job {
    /// The programs of a batch.
    pub(crate) fn of_batch(
        batch: CodeTestingMessage,
        origin: Origin,
    ) -> impl Iterator<Item = Self> {
        let timeout = Duration::from_secs(batch.timeout.into());
        batch.batch.into_iter().map(move |program| Self {
            paper_id: Some(program.paper_id),
            batch_id: batch.batch_id.clone(),
            code: program.code,
            s3_code_key: program.s3_code_key,
            code_sha256: program.code_sha256,
            timeout,
            skip_tested: batch.skip_tested,
            origin,
        })
    }

    /// The paper whose outputs are written, if any are.
    fn published_as(&self) -> Option<&PaperId> {
        let publish = self.origin == Origin::Queue || !self.s3_code_key.is_empty();
        self.paper_id.as_ref().filter(|_| publish)
    }
}

/// Why a program has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecuteError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Datasets(#[from] DatasetsError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("the result cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("the thread that runs the program ended without an answer")]
    Lost(#[from] tokio::task::JoinError),
}

/// Runs programs and reports them.
#[derive(Debug)]
pub struct Executor {
    /// Names of the buckets, and the queue's URL.
    pub config: AgentConfig<String>,
    /// Where the buckets are.
    pub store: Arc<dyn ObjectStore>,
    /// The cache of what the data sets bucket has.
    pub datasets: Datasets,
    /// What confines every program; without it each program's result is the error `sandbox`.
    pub sandbox: Result<Sandbox, NoSandbox>,
    /// Limits but for the time, which a batch names.
    pub limits: Limits,
    /// What results say of where they were made.
    pub host: AgentHost,
    /// Whether programs train on the device; until then no batch is taken.
    pub device: Device,
    /// As many programs run at a time; the others wait for their turn.
    pub slots: Slots,
    /// How often a request to S3 is made again.
    pub retry: Retry,
    /// Seen between any two steps of a program, which then has no result.
    pub shutdown: Shutdown,
}

/// What a run left, ready to be written.
struct Report {
    result: TestResult,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    plots: Vec<Plot>,
    ignored_metrics: usize,
}

impl Executor {
    /// Waits for a place, runs the program, and writes its outputs, the result last.
    ///
    /// # Errors
    ///
    /// [`ExecuteError`]: the program has no result and may be run again.
    pub(crate) async fn execute(&self, job: &Job) -> Result<TestResult, ExecuteError> {
        let slot = tokio::select! {
            slot = self.slots.take() => slot.ok_or(RunError::Interrupted)?,
            () = self.shutdown.requested() => return Err(RunError::Interrupted.into()),
        };
        if let Some(result) = self.earlier_result(job).await? {
            let tested_in = result.batch_id.as_str();
            tracing::info!(paper = job_name(job), tested_in, "already tested");
            return Ok(result);
        }
        let report = match self.load_code(job).await? {
            Ok(code) => self.run(job, code, slot).await?,
            Err(failure) => self.refused(job, &job.code_sha256, failure),
        };
        self.publish(job, report).await
    }

    /// The result that is there of this very program: of this batch when the agent was killed before it could delete
    /// the message, of another when the program's message was sent again while that batch was under way.
    async fn earlier_result(&self, job: &Job) -> Result<Option<TestResult>, ExecuteError> {
        let (Origin::Queue, Some(paper)) = (job.origin, &job.paper_id) else {
            return Ok(None);
        };
        let key = keys::result(paper);
        let bucket = &self.config.outputs_bucket;
        let read = || self.store.get(bucket, &key, MAX_RESULT);
        let Some(bytes) = store::read(self.retry, &self.shutdown, read).await? else {
            return Ok(None);
        };
        // A result that cannot be read is not a result, and is replaced.
        let earlier: Option<TestResult> = serde_json::from_slice(&bytes).ok();
        let sha256 = if job.code_sha256.is_empty() {
            match self.load_code(job).await? {
                Ok(code) => sha256(&code),
                Err(_) => String::new(),
            }
        } else {
            job.code_sha256.clone()
        };
        Ok(earlier.filter(|earlier| {
            let counts = job.skip_tested || earlier.batch_id == job.batch_id;
            counts && earlier.answers(&sha256, job.timeout)
        }))
    }

    /// The program, or why it cannot be one.
    async fn load_code(&self, job: &Job) -> Result<Result<Vec<u8>, Failure>, StoreError> {
        let refuse = |message: String| Ok(Err(Failure::new(ErrorType::Code, message)));
        let code = match &job.code {
            Some(code) => code.clone().into_bytes(),
            None => {
                let (bucket, key) = (&self.config.code_bucket, &job.s3_code_key);
                let at = format!("s3://{bucket}/{}", escaped(key, 1024));
                if key.is_empty() {
                    return refuse("neither `code` nor `s3_code_key` is given".to_owned());
                }
                let read = || self.store.get(bucket, key, MAX_CODE);
                match store::read(self.retry, &self.shutdown, read).await {
                    Ok(Some(code)) => code,
                    Ok(None) => return refuse(format!("there is no program at {at}")),
                    Err(StoreError::Object(ObjectError::TooLarge { .. })) => {
                        return refuse(format!(
                            "the program at {at} is larger than {MAX_CODE} bytes"
                        ));
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        if code.len() as u64 > MAX_CODE {
            return refuse(format!("the program is larger than {MAX_CODE} bytes"));
        }
        let actual = sha256(&code);
        if !job.code_sha256.is_empty() && !job.code_sha256.eq_ignore_ascii_case(&actual) {
            let expected = escaped(&job.code_sha256, 80);
            return refuse(format!(
                "the program has SHA-256 {actual}, the batch says {expected}"
            ));
        }
        Ok(Ok(code))
    }

    async fn run(&self, job: &Job, code: Vec<u8>, slot: Slot) -> Result<Report, ExecuteError> {
        let digest = sha256(&code);
        let sandbox = match &self.sandbox {
            Ok(sandbox) => sandbox.clone(),
            Err(refusal) => {
                return Ok(self.refused(
                    job,
                    &digest,
                    Failure::new(ErrorType::Sandbox, refusal.to_string()),
                ));
            }
        };
        self.datasets
            .prepare(&String::from_utf8_lossy(&code), &self.shutdown)
            .await?;
        let limits = Limits {
            timeout: job.timeout,
            ..self.limits
        };
        let shutdown = self.shutdown.clone();
        tracing::info!(
            paper = job_name(job),
            batch = job.batch_id,
            slot = slot.index(),
            "running"
        );
        let (run, plots, slot) = tokio::task::spawn_blocking(move || {
            let request = Request {
                code: &code,
                slot: slot.index(),
                limits,
            };
            let run = Runner::new(sandbox).run(&request, &shutdown)?;
            let plots = plots::collect(&run.files);
            Ok::<_, RunError>((run, plots, slot))
        })
        .await??;
        let report = self.report(job, &digest, run, plots, &limits);
        // Only now that the run's folder is gone: the next program of the slot has the same user.
        drop(slot);
        Ok(report)
    }

    fn report(
        &self,
        job: &Job,
        digest: &str,
        run: Run,
        plots: Vec<Plot>,
        limits: &Limits,
    ) -> Report {
        let metrics = Metrics::parse(&run.stdout.bytes);
        let failure = classify(&run.end, &run.stderr.bytes, limits, &self.host.python);
        let return_code = match run.end {
            End::Exited(code) => Some(code),
            _ => None,
        };
        let times = (run.started_at, run.finished_at);
        let mut result = self.result(job, digest, failure, times);
        result.execution_time = millis(run.duration);
        result.return_code = return_code;
        let peak = run.usage.peak_memory_bytes;
        result.peak_memory_mb = (peak > 0).then(|| (peak / 1024) as f64 / 1024.0);
        result.metrics = metrics.values;
        Report {
            result,
            stdout: run.stdout.bytes,
            stderr: run.stderr.bytes,
            plots,
            ignored_metrics: metrics.ignored,
        }
    }

    /// The report of a program that did not run.
    fn refused(&self, job: &Job, digest: &str, failure: Failure) -> Report {
        let now = Utc::now();
        Report {
            result: self.result(job, digest, Some(failure), (now, now)),
            stdout: Vec::new(),
            stderr: Vec::new(),
            plots: Vec::new(),
            ignored_metrics: 0,
        }
    }

    fn result(
        &self,
        job: &Job,
        digest: &str,
        failure: Option<Failure>,
        (started, finished): (DateTime<Utc>, DateTime<Utc>),
    ) -> TestResult {
        let (error_type, error_message) = failure
            .map(|failure| (failure.kind, failure.message))
            .unzip();
        TestResult {
            paper_id: job.paper_id.clone(),
            batch_id: job.batch_id.clone(),
            code_sha256: digest.to_owned(),
            success: error_type.is_none(),
            timeout: error_type == Some(ErrorType::Timeout),
            started_at: started.to_rfc3339_opts(SecondsFormat::Millis, true),
            finished_at: finished.to_rfc3339_opts(SecondsFormat::Millis, true),
            executed_on: if self.host.neuron {
                ExecutedOn::Trainium
            } else {
                ExecutedOn::Cpu
            },
            instance_type: self.host.instance_type.clone(),
            pytorch_version: self.host.torch.clone(),
            error_type,
            error_message,
            isolation: self.isolation(),
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

    /// Writes the outputs and then the result; without a paper or a key there is nothing to write.
    async fn publish(&self, job: &Job, report: Report) -> Result<TestResult, ExecuteError> {
        let Report {
            mut result,
            stdout,
            stderr,
            plots,
            ignored_metrics,
        } = report;
        tracing::info!(
            paper = job_name(job),
            success = result.success,
            seconds = result.execution_time,
            error = result.error_type.as_ref().map(ErrorType::as_str),
            ignored_metrics,
            "finished"
        );
        let Some(paper) = job.published_as() else {
            return Ok(result);
        };
        let prefix = keys::outputs_prefix(paper);
        let plots: Vec<(String, Plot)> = plots
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
        let measured = metrics_file(&result, ignored_metrics)?;
        self.put(&result.outputs.stdout, stdout, text).await?;
        self.put(&result.outputs.stderr, stderr, text).await?;
        self.put(&result.outputs.metrics, measured, json).await?;
        for (key, plot) in plots {
            self.put(&key, plot.bytes, plot.content_type).await?;
        }
        let body = serde_json::to_vec_pretty(&result)?;
        self.put(&keys::result(paper), body, json).await?;
        Ok(result)
    }

    async fn put(&self, key: &str, bytes: Vec<u8>, kind: &'static str) -> Result<(), StoreError> {
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
        "ignored_reports": ignored,
        "execution_time": result.execution_time,
        "return_code": result.return_code,
        "peak_memory_mb": result.peak_memory_mb,
        "neuron_core_utilization": result.neuron_core_utilization,
    }))
}

/// How log lines name a job.
fn job_name(job: &Job) -> &str {
    job.paper_id.as_ref().map_or("none", PaperId::as_str)
}

fn sha256(code: &[u8]) -> String {
    hex::encode(Sha256::digest(code))
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
