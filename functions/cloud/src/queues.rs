//! Messages of the FIFO queues.
//!
//! A message's group and deduplication id are derived from what it is about, so a repeated send is
//! harmless and papers move in parallel. A delivery is hidden for a while and comes again unless it is
//! deleted.

mod sqs;

use std::fmt;
use std::time::Duration;

use annapurna_contract::QueueMessage;
use async_trait::async_trait;
use sha2::{Digest, Sha256};

pub use sqs::{Counts, Sqs};

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The text, JSON everywhere in the pipeline; 1 MiB at most.
    pub body: String,
    /// Messages of one group keep their order; groups move in parallel.
    pub group: String,
    /// SQS drops a second message with the same id within five minutes.
    pub deduplication_id: String,
}

impl Message {
    /// `content` as JSON, with the ids that it has wherever it is sent from.
    ///
    /// # Errors
    ///
    /// When it has no JSON form.
    pub fn of(content: &impl QueueMessage) -> Result<Self, serde_json::Error> {
        let body = serde_json::to_string(content)?;
        Ok(Self {
            group: content.group().to_owned(),
            deduplication_id: content.deduplication_id(&body),
            body,
        })
    }

    /// The message once more for this `reason`: SQS does not drop it although the first was sent within the last
    /// five minutes, and drops a second one for the same reason.
    pub fn again(mut self, reason: &str) -> Self {
        let id = format!("{}:{reason}", self.deduplication_id);
        self.deduplication_id = hex::encode(Sha256::digest(id));
        self
    }
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message's id, the same at every delivery.
    pub message_id: String,
    /// SQS's receipt handle: hides or deletes the message until it is delivered again.
    pub receipt: String,
    /// What the sender wrote, read by nobody yet.
    pub body: String,
    /// Its message group, whose messages come in order; `None` in a queue that is not FIFO.
    pub group: Option<String>,
    /// When it was sent, ms since 1970.
    pub sent_ms: Option<i64>,
}

/// What to take from a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receive {
    /// Messages at most; SQS gives 10 at a time.
    pub most: usize,
    /// How long they are hidden from other receivers.
    pub hide_for: Duration,
    /// How long to wait for a first one; SQS allows 20 s.
    pub wait: Duration,
}

/// Why a queue did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} of `{queue}` failed: {reason}")]
pub struct QueueError {
    /// SQS's name of it, such as `SendMessage`.
    pub operation: &'static str,
    /// The queue's URL or name.
    pub queue: String,
    /// What SQS or the connection said, in one line.
    pub reason: String,
}

/// Queues, each named by its URL.
#[async_trait]
pub trait MessageQueues: fmt::Debug + Send + Sync {
    /// Sends a message.
    ///
    /// # Errors
    ///
    /// [`QueueError`]: whether it was sent is not known.
    async fn send(&self, queue_url: &str, message: Message) -> Result<(), QueueError>;

    /// Takes messages in hand; none when the wait is over.
    ///
    /// # Errors
    ///
    /// [`QueueError`].
    async fn receive(&self, queue_url: &str, wanted: Receive) -> Result<Vec<Delivery>, QueueError>;

    /// Hides a delivery for `time` from now on; zero gives it back.
    ///
    /// # Errors
    ///
    /// [`QueueError`]: it is visible when it would have been.
    async fn hide(&self, queue_url: &str, receipt: &str, time: Duration) -> Result<(), QueueError>;

    /// Deletes a message.
    ///
    /// # Errors
    ///
    /// [`QueueError`]: it may come again.
    async fn delete(&self, queue_url: &str, receipt: &str) -> Result<(), QueueError>;
}
