//! What the agent remembers of its work for who asks: the last batches with their results, the last faults of its own.
//!
//! In memory only and of limited size; what must not get lost is in S3 and in the queue.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annapurna_contract::{
    AgentFault, BatchReport, BatchState, NoResult, RecentFault, TestResult,
    text::{chain, escaped},
};
use chrono::{SecondsFormat, Utc};

use crate::executor::ExecuteError;
use crate::job::Job;

/// Batches that are remembered after their end.
const MOST_ENDED: usize = 32;
/// Faults that are remembered.
const MOST_FAULTS: usize = 20;
/// Longest text of a fault, characters.
const MOST_WORDS: usize = 1000;

/// What came of one program.
pub(crate) type Outcome = Result<TestResult, ExecuteError>;

/// All that is remembered; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Records(Arc<Mutex<Remembered>>);

#[derive(Debug, Default)]
struct Remembered {
    /// Oldest first.
    batches: VecDeque<BatchReport>,
    /// Newest first.
    faults: VecDeque<RecentFault>,
}

/// Why a program has no result; `None` while the agent is stopping, which is nobody's fault.
pub(crate) fn no_result(error: &ExecuteError) -> Option<NoResult> {
    error.fault().map(|status| NoResult {
        status,
        error: escaped(&chain(error), MOST_WORDS),
    })
}

impl Records {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch begins; what was known of an earlier delivery of it is replaced. One without a name is not remembered.
    pub(crate) fn begin(&self, batch_id: &str, batch_size: usize) {
        if batch_id.is_empty() {
            return;
        }
        let mut remembered = self.lock();
        let batches = &mut remembered.batches;
        batches.retain(|batch| batch.batch_id != batch_id);
        let n_ended = |batches: &VecDeque<BatchReport>| {
            let ended = |batch: &&BatchReport| batch.state != BatchState::Running;
            batches.iter().filter(ended).count()
        };
        while n_ended(batches) >= MOST_ENDED {
            let oldest = batches
                .iter()
                .position(|batch| batch.state != BatchState::Running);
            oldest.and_then(|oldest| batches.remove(oldest));
        }
        batches.push_back(BatchReport {
            batch_id: batch_id.to_owned(),
            state: BatchState::Running,
            batch_size,
            results: BTreeMap::new(),
            errors: BTreeMap::new(),
        });
    }

    /// A program of a batch, or one alone, has come to its end.
    pub(crate) fn program(&self, job: &Job, outcome: &Outcome) {
        let mut remembered = self.lock();
        let fault = match outcome {
            Ok(_) => None,
            Err(error) => no_result(error),
        };
        if let Some(fault) = &fault {
            remembered.faults.push_front(RecentFault {
                at: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
                paper_id: job.paper_id.clone(),
                batch_id: escaped(&job.batch_id, 128),
                status: fault.status,
                error: fault.error.clone(),
            });
            remembered.faults.truncate(MOST_FAULTS);
        }
        let of_batch = |batch: &&mut BatchReport| batch.batch_id == job.batch_id;
        let batch = remembered.batches.iter_mut().find(of_batch);
        let (Some(batch), Some(paper)) = (batch, job.paper_id.clone()) else {
            return;
        };
        match (outcome, fault) {
            (Ok(result), _) => {
                let result = TestResult {
                    stdout: None,
                    stderr: None,
                    ..result.clone()
                };
                batch.results.insert(paper, result);
            }
            (Err(_), Some(fault)) => {
                batch.errors.insert(paper, fault);
            }
            (Err(_), None) => {}
        }
    }

    /// A batch has come to its end.
    pub(crate) fn end(&self, batch_id: &str) {
        let mut remembered = self.lock();
        let batch = remembered
            .batches
            .iter_mut()
            .find(|batch| batch.batch_id == batch_id);
        if let Some(batch) = batch {
            let is_done = batch.results.len() == batch.batch_size;
            batch.state = match is_done {
                true => BatchState::Done,
                false => BatchState::Unfinished,
            };
        }
    }

    /// A batch by its name, while it is remembered.
    pub(crate) fn batch(&self, batch_id: &str) -> Option<BatchReport> {
        let remembered = self.lock();
        let found = remembered
            .batches
            .iter()
            .find(|batch| batch.batch_id == batch_id);
        found.cloned()
    }

    /// The last faults of the agent's own, newest first.
    pub(crate) fn faults(&self) -> Vec<RecentFault> {
        self.lock().faults.iter().cloned().collect()
    }
}

impl ExecuteError {
    /// What kind of fault it is; `None` while the agent is stopping.
    pub(crate) fn fault(&self) -> Option<AgentFault> {
        match self {
            Self::DeviceBusy(_) => Some(AgentFault::DeviceBusy),
            error if error.is_stop() => None,
            _ => Some(AgentFault::AgentError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_batches_that_have_ended_are_remembered() {
        let records = Records::default();
        records.begin("runs", 1);
        for number in 0..=MOST_ENDED {
            let name = format!("b{number}");
            records.begin(&name, 0);
            records.end(&name);
        }
        assert_eq!(records.batch("b0"), None);
        assert_eq!(records.batch("b1").unwrap().state, BatchState::Done);
        assert_eq!(records.batch("runs").unwrap().state, BatchState::Running);
        records.end("runs");
        assert_eq!(records.batch("runs").unwrap().state, BatchState::Unfinished);
        records.begin("", 1);
        assert_eq!(records.batch(""), None);
    }
}
