//! A batch's programs, from their places to their results: the same for the queue and for the HTTP API.

use std::collections::HashMap;
use std::sync::Arc;

use annapurna_contract::{AgentFault, PaperId, text::chain};
use tokio::task::JoinSet;

use crate::executor::{ExecuteError, Executor};
use crate::job::{Job, job_name};
use crate::records::Outcome;
use crate::runner::RunError;
use crate::slots::Claim;

/// Programs that have asked for their places.
pub(crate) struct Batch {
    batch_id: String,
    jobs: Vec<(Arc<Job>, Claim)>,
}

impl Batch {
    /// Asks for the places of all programs, at once and in this order.
    pub(crate) fn claim(
        executor: &Executor,
        batch_id: String,
        jobs: impl IntoIterator<Item = Job>,
    ) -> Self {
        let jobs: Vec<_> = jobs
            .into_iter()
            .map(|job| (Arc::new(job), executor.slots.claim()))
            .collect();
        executor.records.begin(&batch_id, jobs.len());
        Self { batch_id, jobs }
    }

    /// Runs the programs side by side, as places come free, in their order; gives what came of each.
    pub(crate) async fn carry_out(
        self,
        executor: &Arc<Executor>,
    ) -> Vec<(Option<PaperId>, Outcome)> {
        let mut outcomes = Vec::new();
        let mut running = JoinSet::new();
        let mut started = HashMap::new();
        for (job, claim) in self.jobs {
            let slot = tokio::select! {
                biased;
                () = executor.shutdown.requested() => None,
                slot = claim.place() => slot,
            };
            let Some(slot) = slot else {
                let stopped = Err(RunError::Interrupted.into());
                outcomes.push((job.paper_id.clone(), stopped));
                continue;
            };
            let (executor, its) = (Arc::clone(executor), Arc::clone(&job));
            let task = running.spawn(async move {
                let outcome = executor.execute(&its, slot).await;
                note(&executor, &its, &outcome);
                outcome
            });
            started.insert(task.id(), job);
        }
        while let Some(joined) = running.join_next_with_id().await {
            let (id, outcome) = match joined {
                Ok((id, outcome)) => (id, outcome),
                Err(error) => (error.id(), Err(ExecuteError::Lost(error))),
            };
            let Some(job) = started.get(&id) else {
                continue;
            };
            if let Err(ExecuteError::Lost(_)) = &outcome {
                note(executor, job, &outcome);
            }
            outcomes.push((job.paper_id.clone(), outcome));
        }
        executor.records.end(&self.batch_id);
        outcomes
    }
}

/// What an operator sees of a program's end that is not its own doing: a line of the log, and `/health`.
fn note(executor: &Executor, job: &Job, outcome: &Outcome) {
    executor.records.program(job, outcome);
    let Err(error) = outcome else { return };
    if let Some(fault) = error.fault() {
        tracing::error!(
            batch = job.batch_id,
            paper = job_name(job),
            status = AgentFault::as_str(fault),
            error = chain(error),
            "a program has no result"
        );
    }
}
