//! The loop that pulls batches: as many at a time as there are places for programs, each message deleted last.
//!
//! Another batch is taken while some place is neither taken nor waited for, so none waits here that another agent
//! could run, and batches begin in the queue's order.
//!
//! A message that cannot be read is given back at once, so the queue's redrive policy moves it to the
//! dead-letter queue. A batch of which a program has no result, for a fault of ours, is given back too, each time with
//! a line in the log and in `/health` that says why, until the redrive policy makes a dead letter of it, which
//! `infra status` and `infra queues` count; what is done is not repeated, because its result is in S3.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use annapurna_cloud::{Backoff, Delivery, MessageQueues, QueueError, Receive};
use annapurna_contract::{CodeTestingMessage, PaperId, text::chain};
use tokio::task::{JoinError, JoinSet};

use crate::batch::Batch;
use crate::executor::Executor;
use crate::job::{Job, Origin};

/// Programs of one batch: as many as the tester's `batch-size` allows.
pub(crate) const MAX_BATCH: usize = 10;
/// Wall-clock seconds a program may ask for.
pub(crate) const TIMEOUT_SECS: std::ops::RangeInclusive<u32> = 1..=3600;
/// How long one look at an empty queue takes: the longest that SQS allows.
const LONG_POLL: Duration = Duration::from_secs(20);
/// How long a message stays hidden without a heartbeat: how long a killed agent delays its batch.
const VISIBILITY: Duration = Duration::from_secs(60);
/// How often the message is hidden again.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// Wait before a batch that failed for our reasons is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// First and longest wait when the queue cannot be reached.
const QUEUE_WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Why a batch is not one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("the batch is not readable")]
    Json(#[from] serde_json::Error),
    #[error("a batch has 1 to {MAX_BATCH} programs, this one has {0}")]
    Size(usize),
    #[error("timeout must be {} to {} seconds, got {given}", TIMEOUT_SECS.start(), TIMEOUT_SECS.end())]
    Timeout { given: u32 },
    #[error("the paper {0} is in the batch twice")]
    Twice(PaperId),
    #[error("neither `code` nor `s3_code_key` is given")]
    NoProgram,
    #[error(
        "a trial, or a batch that is told live, has a batch_id of 1 to 80 letters, digits, `-` and `_`"
    )]
    TrialName,
}

/// Checks what both the queue and HTTP demand of a batch.
///
/// # Errors
///
/// [`BatchError::Size`], [`BatchError::NoProgram`], [`BatchError::TrialName`] and [`BatchError::Timeout`].
pub(crate) fn check_batch(batch: &CodeTestingMessage) -> Result<(), BatchError> {
    if batch.batch.is_empty() || batch.batch.len() > MAX_BATCH {
        return Err(BatchError::Size(batch.batch.len()));
    }
    for program in &batch.batch {
        check_program(program.code.as_ref(), &program.s3_code_key)?;
    }
    if (batch.trial || batch.live) && !batch.is_named_as_a_trial() {
        return Err(BatchError::TrialName);
    }
    check_timeout(batch.timeout)
}

/// Checks that there is something to run.
///
/// # Errors
///
/// [`BatchError::NoProgram`].
pub(crate) fn check_program(code: Option<&String>, s3_code_key: &str) -> Result<(), BatchError> {
    if code.is_none() && s3_code_key.is_empty() {
        return Err(BatchError::NoProgram);
    }
    Ok(())
}

/// Checks a program's wall-clock limit.
///
/// # Errors
///
/// [`BatchError::Timeout`].
pub(crate) fn check_timeout(seconds: u32) -> Result<(), BatchError> {
    if TIMEOUT_SECS.contains(&seconds) {
        Ok(())
    } else {
        Err(BatchError::Timeout { given: seconds })
    }
}

/// Pulls batches until the agent stops.
#[derive(Debug, Clone)]
pub struct Worker {
    /// Where batches come from; the queue's URL is in the executor's configuration.
    pub queues: Arc<dyn MessageQueues>,
    /// Shared with the HTTP API, so that both have the same places for programs.
    pub executor: Arc<Executor>,
}

/// What came of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Every program has its result.
    Done,
    /// The message is no batch.
    Malformed,
    /// Something of ours failed.
    Unfinished,
    /// The agent is stopping.
    Stopped,
}

impl Worker {
    /// Works until the agent is asked to stop, and then gives back what is not done. A queue that cannot be reached
    /// is asked again for ever.
    pub async fn run(&self) {
        let shutdown = &self.executor.shutdown;
        let mut under_way = JoinSet::new();
        tokio::select! {
            never = self.take_batches(&mut under_way) => match never {},
            () = shutdown.requested() => {}
        }
        while let Some(ended) = under_way.join_next().await {
            log_if_lost(ended);
        }
    }

    /// Takes batches as places come free; never ends.
    async fn take_batches(&self, under_way: &mut JoinSet<()>) -> Infallible {
        let mut waits = Backoff::new(QUEUE_WAITS.0, QUEUE_WAITS.1);
        self.executor.device.ready().await;
        loop {
            while let Some(ended) = under_way.try_join_next() {
                log_if_lost(ended);
            }
            self.executor.slots.until_room().await;
            match self.receive().await {
                Ok(delivery) => {
                    waits.reset();
                    if let Some(delivery) = delivery {
                        self.begin(delivery, under_way).await;
                    }
                }
                Err(error) => {
                    let wait = waits.next_wait();
                    tracing::error!(%error, wait_ms = wait.as_millis(), "cannot reach the queue");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    fn queue_url(&self) -> &str {
        &self.executor.config.testing_queue_url
    }

    /// Waits a while for one batch and hides it.
    async fn receive(&self) -> Result<Option<Delivery>, QueueError> {
        let wanted = Receive {
            most: 1,
            hide_for: VISIBILITY,
            wait: LONG_POLL,
        };
        let received = self.queues.receive(self.queue_url(), wanted).await?;
        Ok(received.into_iter().next())
    }

    async fn hide(&self, receipt: &str, time: Duration) -> Result<(), QueueError> {
        self.queues.hide(self.queue_url(), receipt, time).await
    }

    /// Has a batch's programs ask for their places before anything is awaited, and the batch carried out beside others.
    async fn begin(&self, delivery: Delivery, under_way: &mut JoinSet<()>) {
        match read_batch(&delivery) {
            Ok(message) => {
                let batch = message.batch_id.clone();
                tracing::info!(batch, programs = message.batch.len(), "batch received");
                let jobs = Job::of_batch(latest_of_each_paper(message), Origin::Queue);
                let batch = Batch::claim(&self.executor, batch, jobs);
                let worker = self.clone();
                under_way.spawn(async move { worker.handle(&delivery, batch).await });
            }
            Err(error) => {
                let (message, reason) = (&delivery.message_id, chain(&error));
                tracing::error!(message, reason, "left to the dead-letter queue");
                self.settle(&delivery, Outcome::Malformed).await;
                // A queue without a redrive policy must not keep us busy with it.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    async fn handle(&self, delivery: &Delivery, batch: Batch) {
        let outcome = tokio::select! {
            outcome = self.process(batch) => outcome,
            never = self.heartbeat(&delivery.receipt) => match never {},
        };
        self.settle(delivery, outcome).await;
    }

    async fn settle(&self, delivery: &Delivery, outcome: Outcome) {
        let receipt = &delivery.receipt;
        let settled = match outcome {
            Outcome::Done => self.queues.delete(self.queue_url(), receipt).await,
            Outcome::Malformed | Outcome::Stopped => self.hide(receipt, Duration::ZERO).await,
            Outcome::Unfinished => self.hide(receipt, TRY_AGAIN).await,
        };
        if let Err(error) = settled {
            // It comes again when its visibility ends; what has a result is not repeated then.
            tracing::error!(message = delivery.message_id, %error, ?outcome, "cannot settle the message");
        }
    }

    /// Keeps the message hidden for as long as this is polled; never ends.
    async fn heartbeat(&self, receipt: &str) -> Infallible {
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            if let Err(error) = self.hide(receipt, VISIBILITY).await {
                tracing::warn!(%error, "heartbeat failed; the batch may be delivered twice");
            }
        }
    }

    async fn process(&self, batch: Batch) -> Outcome {
        let outcomes = batch.carry_out(&self.executor).await;
        if outcomes.iter().all(|(_, outcome)| outcome.is_ok()) {
            Outcome::Done
        } else if self.executor.shutdown.is_requested() {
            Outcome::Stopped
        } else {
            Outcome::Unfinished
        }
    }
}

/// A batch whose task ended without a word stays hidden for a while and comes again.
fn log_if_lost(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a batch was lost; it comes again");
    }
}

/// A batch without a name of its own takes the message's, which is the same at every delivery.
fn read_batch(delivery: &Delivery) -> Result<CodeTestingMessage, BatchError> {
    let mut batch: CodeTestingMessage = serde_json::from_str(&delivery.body)?;
    check_batch(&batch)?;
    if batch.batch_id.is_empty() {
        batch.batch_id.clone_from(&delivery.message_id);
    }
    Ok(batch)
}

/// A paper has one set of outputs, so only its newest program counts.
fn latest_of_each_paper(mut batch: CodeTestingMessage) -> CodeTestingMessage {
    let programs = batch.batch.iter().enumerate();
    let last: HashMap<PaperId, usize> = programs
        .map(|(index, program)| (program.paper_id.clone(), index))
        .collect();
    let mut index = 0..;
    batch.batch.retain(|program| {
        let is_latest = last.get(&program.paper_id).copied() == index.next();
        if !is_latest {
            tracing::warn!(paper = %program.paper_id, "a later program of the batch replaces it");
        }
        is_latest
    });
    batch
}
