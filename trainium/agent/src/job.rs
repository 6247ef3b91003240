//! One program to run and report, as a batch or a request names it.

use std::time::Duration;

use annapurna_contract::{CodeTestingMessage, PaperId, keys};

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
    /// Whether a dry run comes first.
    pub(crate) dry_run: bool,
    /// Its outputs go to a place of the batch's own, not to the paper's.
    pub(crate) trial: bool,
    /// What it prints is told while it runs ([`crate::live`]).
    pub(crate) live: bool,
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
            dry_run: program.dry_run,
            trial: batch.trial,
            live: batch.live && origin == Origin::Queue,
            origin,
        })
    }

    /// The paper whose outputs are written, if any are.
    pub(crate) fn published_as(&self) -> Option<&PaperId> {
        let publish = self.origin == Origin::Queue || !self.s3_code_key.is_empty();
        self.paper_id.as_ref().filter(|_| publish)
    }

    /// Where its outputs go.
    pub(crate) fn prefix(&self, paper: &PaperId) -> String {
        match self.trial {
            true => keys::trial_prefix(&self.batch_id, paper),
            false => keys::outputs_prefix(paper),
        }
    }
}

/// How log lines name a job.
pub(crate) fn job_name(job: &Job) -> &str {
    job.paper_id.as_ref().map_or("none", PaperId::as_str)
}
