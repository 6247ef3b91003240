//! From a program's name to its result in S3: the same for the queue and for the HTTP API.
//!
//! In: one program, its batch and its limit. Out: a [`TestResult`], whose last copy is
//! `{paper_id}/outputs/result.json`. A failing program is a result; an `Err` means that nothing is known
//! about it and that the batch must be delivered again: what is not the program's doing is never its result.

use std::io;
use std::sync::Arc;

use annapurna_cloud::{ObjectError, ObjectStore, Retry};
use annapurna_contract::{
    AgentConfig, DryRun, ErrorType, TestResult, TestStatus, keys, text::escaped,
};
use sha2::{Digest, Sha256};

use crate::classify::{self, Failure, classify};
use crate::cores::{self, Executions};
use crate::datasets::{Datasets, DatasetsError, Need};
use crate::device::Device;
use crate::job::{Job, Origin, job_name};
use crate::live::Live;
use crate::measured;
use crate::plots;
use crate::probe::NoSandbox;
use crate::program::{DRY_RUN_TIME, Limits, Request};
use crate::records::Records;
use crate::report::{self, Around, Left, Report};
use crate::runner::{Run, RunError, Runner};
use crate::sandbox::Sandbox;
use crate::shutdown::Shutdown;
use crate::slots::{Slot, Slots};
use crate::store::{self, StoreError};
use crate::suspects::{Standing, Suspects};
use crate::turns::Turns;
use crate::utilization::Utilization;

/// Largest program that is run, bytes; a larger one has the error type `code`.
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
    /// Whether a Neuron device is there, so that a program may use a core.
    pub neuron: bool,
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
    #[error(transparent)]
    Code(#[from] CodeError),
    #[error("nothing confines programs here: {0}")]
    NoSandbox(String),
    #[error("{0}")]
    NoTorch(String),
    #[error("the NeuronCores are held by {0}, which is no program of this agent")]
    DeviceBusy(String),
    #[error("cannot note which program is under way")]
    Mark(#[source] io::Error),
    #[error("the result cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    #[error("the thread that runs the program ended without an answer")]
    Lost(#[from] tokio::task::JoinError),
}

/// Why a program cannot be had as its batch says.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodeError {
    #[error("there is no program at {0}")]
    Absent(String),
    #[error("the program has SHA-256 {actual}, the batch says {expected}")]
    NotAnnounced { actual: String, expected: String },
}

impl ExecuteError {
    /// Whether only the agent's stop is the reason.
    pub(crate) fn is_stop(&self) -> bool {
        matches!(
            self,
            Self::Run(RunError::Interrupted)
                | Self::Store(StoreError::Interrupted)
                | Self::Datasets(DatasetsError::Store(StoreError::Interrupted))
        )
    }
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
    /// What confines every program; without it no program has a result.
    pub sandbox: Result<Sandbox, NoSandbox>,
    /// Limits but for the time, which a batch names.
    pub limits: Limits,
    /// What results say of where they were made.
    pub host: AgentHost,
    /// Whether programs train on the device; until then no batch is taken.
    pub device: Device,
    /// As many programs run at a time; the others wait for their turn.
    pub slots: Slots,
    /// One program of a paper at a time.
    pub turns: Turns,
    /// Programs with which an agent ended.
    pub suspects: Suspects,
    /// What is remembered of batches and faults.
    pub records: Records,
    /// How often a request to S3 is made again.
    pub retry: Retry,
    /// Seen between any two steps of a program, which then has no result.
    pub shutdown: Shutdown,
}

/// A program at its place.
struct Placed {
    code: Arc<[u8]>,
    slot: Slot,
    limits: Limits,
}

impl Executor {
    /// Runs a program at its place, and writes its outputs, the result last.
    ///
    /// # Errors
    ///
    /// [`ExecuteError`]: the program has no result and may be run again.
    pub(crate) async fn execute(&self, job: &Job, slot: Slot) -> Result<TestResult, ExecuteError> {
        let paper = job.paper_id.as_ref();
        let turn = tokio::select! {
            turn = self.turns.of(paper, slot, &self.slots) => turn,
            () = self.shutdown.requested() => None,
        };
        // Ends with this function: by then the paper has its result.
        let (_turn, mut slot) = turn.ok_or(RunError::Interrupted)?;
        if let Some(result) = self.earlier_result(job).await? {
            let tested_in = result.batch_id.as_str();
            tracing::info!(paper = job_name(job), tested_in, "already tested");
            self.suspects.clear(paper, &result.code_sha256);
            return Ok(result);
        }
        let code = match self.load_code(job).await? {
            Ok(code) => code,
            Err(failure) => {
                let report = self.refused(job, &job.code_sha256, failure);
                return self.publish(job, report).await;
            }
        };
        let digest = sha256(&code);
        match self.suspects.standing(paper, &digest) {
            Standing::Clear => {}
            Standing::Suspect => slot = self.alone(job, slot).await?,
            Standing::Guilty(mark) => {
                let report = self.refused(job, &digest, ended_the_agent(&mark));
                return self.publish(job, report).await;
            }
        }
        let sandbox = self.sandbox.as_ref();
        let sandbox = sandbox.map_err(|refusal| ExecuteError::NoSandbox(refusal.to_string()))?;
        let mut running = self.mark(job, &digest).await?;
        let report = self.run(job, sandbox, (digest, code), slot).await?;
        let published = self.publish(job, report).await;
        // Only now: what a program leaves is a stranger's, too.
        running.came_back();
        published
    }

    async fn mark(
        &self,
        job: &Job,
        digest: &str,
    ) -> Result<crate::suspects::Running, ExecuteError> {
        let (suspects, paper) = (self.suspects.clone(), job.paper_id.clone());
        let digest = digest.to_owned();
        let marked =
            tokio::task::spawn_blocking(move || suspects.begin(paper.as_ref(), &digest)).await?;
        marked.map_err(ExecuteError::Mark)
    }

    /// Gives the place to others until the agent has been up for a while, and then waits for all places.
    async fn alone(&self, job: &Job, slot: Slot) -> Result<Slot, ExecuteError> {
        drop(slot);
        let paper = job_name(job);
        tracing::info!(paper, "runs alone: the agent ended while it ran");
        let alone = async {
            self.suspects.quiet().await;
            self.slots.claim().alone().await
        };
        tokio::select! {
            slot = alone => Ok(slot.ok_or(RunError::Interrupted)?),
            () = self.shutdown.requested() => Err(RunError::Interrupted.into()),
        }
    }

    /// The result that is there of this very program: of this batch when the agent was killed before it could delete
    /// the message, of another when the program's message was sent again while that batch was under way.
    async fn earlier_result(&self, job: &Job) -> Result<Option<TestResult>, ExecuteError> {
        let (Origin::Queue, Some(paper)) = (job.origin, &job.paper_id) else {
            return Ok(None);
        };
        let key = keys::result_in(&job.prefix(paper));
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
    async fn load_code(&self, job: &Job) -> Result<Result<Vec<u8>, Failure>, ExecuteError> {
        let code = match &job.code {
            Some(code) => code.clone().into_bytes(),
            None => {
                let (bucket, key) = (&self.config.code_bucket, &job.s3_code_key);
                let read = || self.store.get(bucket, key, MAX_CODE);
                match store::read(self.retry, &self.shutdown, read).await {
                    Ok(Some(code)) => code,
                    Ok(None) => {
                        let at = format!("s3://{bucket}/{}", escaped(key, 1024));
                        return Err(CodeError::Absent(at).into());
                    }
                    Err(StoreError::Object(ObjectError::TooLarge { .. })) => {
                        return Ok(Err(too_large()));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        if code.len() as u64 > MAX_CODE {
            return Ok(Err(too_large()));
        }
        let actual = sha256(&code);
        if !job.code_sha256.is_empty() && !job.code_sha256.eq_ignore_ascii_case(&actual) {
            let expected = escaped(&job.code_sha256, 80);
            return Err(CodeError::NotAnnounced { actual, expected }.into());
        }
        Ok(Ok(code))
    }

    async fn run(
        &self,
        job: &Job,
        sandbox: &Sandbox,
        (digest, code): (String, Vec<u8>),
        slot: Slot,
    ) -> Result<Report, ExecuteError> {
        let need = match job.origin {
            Origin::Queue => Need::Certain,
            Origin::Http => Need::AsTheyAre,
        };
        self.datasets.prepare(need, &self.shutdown).await?;
        let mut placed = Placed {
            code: code.into(),
            slot,
            limits: Limits {
                timeout: job.timeout,
                ..self.limits
            },
        };
        let (paper, batch, slot) = (job_name(job), &job.batch_id, placed.slot.index());
        tracing::info!(paper, batch, slot, dry_run = job.dry_run, "running");
        let mut dry_run = None;
        if job.dry_run {
            let (run, left, failure, again) = self.dry_run(sandbox, placed).await?;
            let found = report::dry_run(&run, failure.as_ref());
            dry_run = Some(found.clone());
            if !goes_on(&found) {
                let around = Around {
                    digest,
                    failure,
                    dry_run,
                    core_seconds: None,
                    utilization: None,
                };
                return Ok(self.report(job, run, left, around));
            }
            placed = again;
        }
        self.real_run(job, sandbox.clone(), placed, (digest, dry_run))
            .await
    }

    async fn dry_run(
        &self,
        sandbox: &Sandbox,
        mut placed: Placed,
    ) -> Result<(Run, Left, Option<Failure>, Placed), ExecuteError> {
        let limits = placed.limits;
        placed.limits.timeout = limits.timeout.min(DRY_RUN_TIME);
        let (run, left, mut placed) = self
            .run_once(Runner::new(sandbox.without_devices()), placed, true)
            .await?;
        let failure = self.failure(&run, &placed.limits)?;
        placed.limits = limits;
        Ok((run, left, failure, placed))
    }

    async fn real_run(
        &self,
        job: &Job,
        sandbox: Sandbox,
        placed: Placed,
        (digest, dry_run): (String, Option<DryRun>),
    ) -> Result<Report, ExecuteError> {
        if self.host.neuron
            && placed.slot.is_alone()
            && let Some(holder) = cores::holder()
        {
            return Err(ExecuteError::DeviceBusy(holder));
        }
        let before = self.host.neuron.then(Executions::now);
        let utilization = Utilization::watch(self.host.neuron);
        let live = job.live.then(Live::default);
        let runner = Runner::new(sandbox).heard_by(live.clone());
        let run = self.run_once(runner, placed, false);
        let (run, left, placed) = self.while_told(job, live.as_ref(), run).await?;
        let utilization = utilization.mean().await;
        let own = (self.slots.total() > 1).then(|| placed.slot.index());
        let core_seconds =
            before.and_then(|before| before.core_seconds(&Executions::now(), own, run.duration));
        let around = Around {
            digest,
            failure: self.failure(&run, &placed.limits)?,
            dry_run,
            core_seconds,
            utilization,
        };
        let report = self.report(job, run, left, around);
        // Only now that the run's folder is gone: the next program of the slot has the same user.
        drop(placed);
        Ok(report)
    }

    /// Why a run failed; an error where that was for want of torch on this machine.
    fn failure(&self, run: &Run, limits: &Limits) -> Result<Option<Failure>, ExecuteError> {
        let failure = classify(&run.end, &run.stderr.bytes, limits);
        let misses_torch = failure.as_ref().is_some_and(classify::misses_torch);
        if self.host.torch.is_none() && misses_torch {
            let message = classify::no_torch_message(&self.host.python);
            return Err(ExecuteError::NoTorch(message));
        }
        Ok(failure)
    }

    async fn run_once(
        &self,
        runner: Runner,
        placed: Placed,
        dry_run: bool,
    ) -> Result<(Run, Left, Placed), ExecuteError> {
        let shutdown = self.shutdown.clone();
        let ended = tokio::task::spawn_blocking(move || {
            let request = Request {
                code: &placed.code,
                slot: placed.slot.index(),
                limits: placed.limits,
                dry_run,
            };
            let run = runner.run(&request, &shutdown)?;
            let left = Left {
                plots: plots::collect(&run.files),
                measured: measured::read(&run.files),
            };
            Ok::<_, RunError>((run, left, placed))
        });
        Ok(ended.await??)
    }
}

/// Whether the real run comes after a dry run that ended so: only its short time may have ended it.
fn goes_on(found: &DryRun) -> bool {
    matches!(found.status, TestStatus::Success | TestStatus::Timeout)
}

fn too_large() -> Failure {
    Failure::new(
        TestStatus::ProgramError,
        ErrorType::Code,
        format!("the program is larger than {MAX_CODE} bytes"),
    )
}

fn ended_the_agent(mark: &std::path::Path) -> Failure {
    Failure::new(
        TestStatus::Denied,
        ErrorType::EndedAgent,
        format!(
            "the agent ended twice while it ran, the second time with no program beside it: it is not run again \
             (until {} is removed and the agent started again)",
            mark.display()
        ),
    )
}

fn sha256(code: &[u8]) -> String {
    hex::encode(Sha256::digest(code))
}
