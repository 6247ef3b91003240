//! The programs that wait in `code-evaluation.fifo`.
//!
//! FIFO queues have no batching window, so the tester looks itself. Looking counts as a receive: the
//! stack gives this queue a high `maxReceiveCount`, and what can never be read is put into the
//! dead-letter queue here, by name. What is not taken is given back at once, so the next look sees it.

use std::time::Duration;

use annapurna_cloud::{Delivery, Message, MessageQueues, QueueError, Receive, Sqs};
use annapurna_contract::{CodeEvaluationMessage, text::one_line};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use tracing::{error, warn};

/// How long a message stays in hand; then it is visible again by itself.
const HOLD: Duration = Duration::from_secs(120);
/// How long a look at the queue waits for a message.
const LOOK: Duration = Duration::from_secs(1);

/// A program that waits, in hand.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) message: CodeEvaluationMessage,
    pub(crate) sent_at: DateTime<Utc>,
    receipt: String,
}

/// The queue of waiting programs.
#[derive(Debug, Clone)]
pub(crate) struct WaitingQueue {
    queues: Sqs,
    url: String,
}

impl WaitingQueue {
    pub(crate) fn new(queues: Sqs, url: String) -> Self {
        Self { queues, url }
    }

    /// Takes up to `n` messages in hand; empty when none is visible. Malformed ones are counted, kept in
    /// the dead-letter queue and gone.
    pub(crate) async fn take(&self, n: usize) -> Result<(Vec<Waiting>, usize), QueueError> {
        let wanted = Receive {
            most: n,
            hide_for: HOLD,
            wait: LOOK,
        };
        let mut taken = Vec::new();
        let mut n_malformed = 0;
        for delivery in self.queues.receive(&self.url, wanted).await? {
            match serde_json::from_str(&delivery.body) {
                Ok(message) => taken.push(Waiting::new(message, delivery)),
                Err(reason) => {
                    self.put_aside(delivery, &reason).await?;
                    n_malformed += 1;
                }
            }
        }
        Ok((taken, n_malformed))
    }

    /// Moves a message that can never be read to the dead-letter queue.
    async fn put_aside(
        &self,
        delivery: Delivery,
        reason: &serde_json::Error,
    ) -> Result<(), QueueError> {
        let id = delivery.message_id;
        error!(
            message_id = id,
            %reason,
            body = one_line(&delivery.body, 200),
            "message cannot be read; put aside"
        );
        let dead_letters = self.queues.dead_letter_url(&self.url).await?;
        let message = Message {
            deduplication_id: hex::encode(Sha256::digest(format!("{id}{}", delivery.body))),
            group: delivery.group.unwrap_or_else(|| "malformed".to_owned()),
            body: delivery.body,
        };
        self.queues.send(&dead_letters, message).await?;
        self.delete_receipts(&[&delivery.receipt]).await;
        Ok(())
    }

    /// Gives messages back: they are visible at once. One that cannot be given back is visible again
    /// after two minutes, so a failure is only logged.
    pub(crate) async fn give_back(&self, waiting: &[Waiting]) {
        self.set_hold(waiting, Duration::ZERO).await;
    }

    /// Keeps messages in hand for longer.
    pub(crate) async fn hold(&self, waiting: &[Waiting], time: Duration) {
        self.set_hold(waiting, time).await;
    }

    // One call a message and not the batch calls: a batch has at most ten, and emulators ask for other
    // permissions for the batch calls than AWS, which knows only those of the single ones.
    async fn set_hold(&self, waiting: &[Waiting], time: Duration) {
        let calls = waiting
            .iter()
            .map(|waiting| self.queues.hide(&self.url, &waiting.receipt, time));
        for reason in failures(calls).await {
            warn!(%reason, "a message keeps its hold");
        }
    }

    /// Deletes messages. One that cannot be deleted comes again and is recognised then.
    pub(crate) async fn delete(&self, waiting: &[Waiting]) {
        let receipts: Vec<&str> = waiting.iter().map(|it| it.receipt.as_str()).collect();
        self.delete_receipts(&receipts).await;
    }

    async fn delete_receipts(&self, receipts: &[&str]) {
        let calls = receipts
            .iter()
            .map(|receipt| self.queues.delete(&self.url, receipt));
        for reason in failures(calls).await {
            warn!(%reason, "a message will come again");
        }
    }
}

impl Waiting {
    fn new(message: CodeEvaluationMessage, delivery: Delivery) -> Self {
        Self {
            message,
            // Without a time of its own a message counts as new, and the next one makes the batch due.
            sent_at: delivery
                .sent_ms
                .and_then(DateTime::from_timestamp_millis)
                .unwrap_or_else(Utc::now),
            receipt: delivery.receipt,
        }
    }
}

/// Makes the calls side by side and returns what went wrong.
async fn failures<E>(calls: impl Iterator<Item = impl Future<Output = Result<(), E>>>) -> Vec<E> {
    let outcomes = futures::future::join_all(calls).await;
    outcomes.into_iter().filter_map(Result::err).collect()
}
