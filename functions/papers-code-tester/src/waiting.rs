//! The programs that wait in `code-evaluation.fifo`.
//!
//! FIFO queues have no batching window, so the tester looks itself. Looking counts as a receive: the
//! stack gives this queue a high `maxReceiveCount`, and what can never be read is put into the
//! dead-letter queue here, by name. What is not taken is given back at once, so the next look sees it.

use std::time::Duration;

use annapurna_contract::{CodeEvaluationMessage, text::one_line};
use annapurna_runtime::{QueueError, Queues};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName as Attribute, QueueAttributeName};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tracing::{error, warn};

/// Seconds a message stays in hand; then it is visible again by itself.
const HOLD_SECS: i32 = 120;

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
    queues: Queues,
    url: String,
}

impl WaitingQueue {
    pub(crate) fn new(queues: Queues, url: String) -> Self {
        Self { queues, url }
    }

    /// Takes up to `n` messages in hand; empty when none is visible. Malformed ones are counted, kept in
    /// the dead-letter queue and gone.
    pub(crate) async fn take(&self, n: usize) -> Result<(Vec<Waiting>, usize), QueueError> {
        let request = self.queues.client().receive_message().queue_url(&self.url);
        let output = request
            .max_number_of_messages(i32::try_from(n.min(10)).unwrap_or(10))
            .visibility_timeout(HOLD_SECS)
            .wait_time_seconds(1)
            .message_system_attribute_names(Attribute::SentTimestamp)
            .message_system_attribute_names(Attribute::MessageGroupId)
            .send()
            .await
            .map_err(|error| QueueError::failed("receive from", &self.url, error))?;
        let mut taken = Vec::new();
        let mut n_malformed = 0;
        for message in output.messages.unwrap_or_default() {
            match read(&message) {
                Ok(waiting) => taken.push(waiting),
                Err(reason) => {
                    self.put_aside(&message, &reason).await?;
                    n_malformed += 1;
                }
            }
        }
        Ok((taken, n_malformed))
    }

    /// Moves a message that can never be read to the dead-letter queue.
    async fn put_aside(&self, message: &Message, reason: &str) -> Result<(), QueueError> {
        let body = message.body.clone().unwrap_or_default();
        let start = one_line(&body, 200);
        let id = message.message_id.as_deref();
        error!(
            message_id = id,
            reason,
            body = start,
            "message cannot be read; put aside"
        );
        let dead_letters = self.dead_letter_url().await?;
        let attributes = message.attributes.as_ref();
        let group = attributes.and_then(|known| known.get(&Attribute::MessageGroupId));
        let group = group.map_or("malformed", String::as_str);
        let deduplication = hex::encode(Sha256::digest(format!("{id:?}{body}")));
        self.queues
            .send_text(&dead_letters, group, &deduplication, body)
            .await?;
        let receipt = message.receipt_handle.clone().unwrap_or_default();
        self.delete_receipts(vec![receipt]).await;
        Ok(())
    }

    /// The URL of the queue's dead-letter queue, as its redrive policy names it.
    async fn dead_letter_url(&self) -> Result<String, QueueError> {
        let without = |reason: &str| QueueError::Failed {
            action: "find the dead-letter queue of",
            queue_url: self.url.clone(),
            reason: reason.to_owned(),
        };
        let client = self.queues.client();
        let name = QueueAttributeName::RedrivePolicy;
        let request = client.get_queue_attributes().queue_url(&self.url);
        let output = request
            .attribute_names(name.clone())
            .send()
            .await
            .map_err(|error| QueueError::failed("read the attributes of", &self.url, error))?;
        let policy = output.attributes.and_then(|mut known| known.remove(&name));
        let policy = policy.ok_or_else(|| without("it has no redrive policy"))?;
        let policy: Value =
            serde_json::from_str(&policy).map_err(|_| without("its redrive policy is not JSON"))?;
        let arn = policy["deadLetterTargetArn"].as_str().unwrap_or_default();
        // arn:aws:sqs:REGION:ACCOUNT:NAME
        let mut parts = arn.split(':').skip(4);
        let (Some(account), Some(name)) = (parts.next(), parts.next()) else {
            return Err(without("its redrive policy names no queue"));
        };
        let request = client.get_queue_url().queue_name(name);
        let output = request
            .queue_owner_aws_account_id(account)
            .send()
            .await
            .map_err(|error| {
                QueueError::failed("find the dead-letter queue of", &self.url, error)
            })?;
        output.queue_url.ok_or_else(|| without("it has no address"))
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
        let seconds = i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
        let client = self.queues.client();
        let calls = waiting.iter().map(|waiting| {
            let request = client.change_message_visibility().queue_url(&self.url);
            let request = request.receipt_handle(&waiting.receipt);
            request.visibility_timeout(seconds).send()
        });
        for error in failures(calls).await {
            let reason =
                QueueError::failed("change the visibility of a message of", &self.url, error);
            warn!(%reason, "a message keeps its hold");
        }
    }

    /// Deletes messages. One that cannot be deleted comes again and is recognised then.
    pub(crate) async fn delete(&self, waiting: &[Waiting]) {
        let receipts = waiting.iter().map(|waiting| waiting.receipt.clone());
        self.delete_receipts(receipts.collect()).await;
    }

    async fn delete_receipts(&self, receipts: Vec<String>) {
        let client = self.queues.client();
        let calls = receipts.into_iter().map(|receipt| {
            let request = client.delete_message().queue_url(&self.url);
            request.receipt_handle(receipt).send()
        });
        for error in failures(calls).await {
            let reason = QueueError::failed("delete from", &self.url, error);
            warn!(%reason, "a message will come again");
        }
    }
}

/// Makes the calls side by side and returns what went wrong.
async fn failures<T, E>(calls: impl Iterator<Item = impl Future<Output = Result<T, E>>>) -> Vec<E> {
    let outcomes = futures::future::join_all(calls).await;
    outcomes.into_iter().filter_map(Result::err).collect()
}

fn read(message: &Message) -> Result<Waiting, String> {
    let body = message.body.as_deref().unwrap_or_default();
    let parsed = serde_json::from_str(body).map_err(|error| error.to_string())?;
    let attributes = message.attributes.as_ref();
    let sent = attributes.and_then(|known| known.get(&Attribute::SentTimestamp));
    let sent = sent.and_then(|milliseconds| milliseconds.parse().ok());
    Ok(Waiting {
        message: parsed,
        // Without a time of its own a message counts as new, and the next one makes the batch due.
        sent_at: sent
            .and_then(DateTime::from_timestamp_millis)
            .unwrap_or_else(Utc::now),
        receipt: message.receipt_handle.clone().unwrap_or_default(),
    })
}
