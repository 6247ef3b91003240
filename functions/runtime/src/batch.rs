//! A batch of messages from a FIFO queue, with partial failures.
//!
//! In: the event of an event source mapping. Out: the messages that must come again. Records run in
//! order. Once one of a message group fails, the later ones of that group are reported as failed
//! too, so their order is kept; other groups go on. Nothing is dropped: a message that cannot be
//! read fails like any other and ends in the dead-letter queue, and a batch with a record that cannot be
//! named comes again whole.
//!
//! What is not the message's fault, a throttled model or a budget that is spent, does not use up its receives: it is
//! hidden for a time of its own, and before its count would send it to the dead letters a fresh copy takes its place.

#[cfg(test)]
mod tests;

use std::time::Duration;
use std::{collections::HashSet, error::Error, future::Future};

use annapurna_cloud::{Message, MessageQueues, QueueError};
use annapurna_contract::text::{chain, one_line};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tracing::{error, info, warn};

/// Receives that a message keeps for failures of its own when a copy takes its place.
const KEPT_RECEIVES: u32 = 1;
/// Longest time that SQS hides a message, counted from its receive; an hour is left for the function. Source: SQS API
/// reference, `ChangeMessageVisibility`.
const LONGEST_HIDE: Duration = Duration::from_secs(11 * 3600);
/// Shortest wait of a message that is not at fault; each receive doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(60);

/// The queue that a function takes its messages from.
#[derive(Debug, Clone, Copy)]
pub struct Inbox<'a> {
    /// Hides and sends messages.
    pub queues: &'a dyn MessageQueues,
    /// Its address.
    pub queue_url: &'a str,
    /// Receives after which SQS makes a message a dead letter.
    pub max_receives: u32,
}

/// What a failure says of the message that met it.
pub trait Failure: Error {
    /// Why the message waits without being at fault; `None`: the failure counts against it.
    fn waits(&self) -> Option<Wait>;
}

/// Why a message waits that is not at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The model's quota is used up for now: a minute and more, twice as long each time.
    ForQuota,
    /// Nothing changes for so long.
    For(Duration),
}

/// An item without a name: Lambda then takes the whole batch as failed. Source: Lambda Developer Guide,
/// "Handling errors for an SQS event source in Lambda".
const WHOLE_BATCH: &str = "";

/// What became of a record.
enum Outcome {
    /// Nothing is left to do: Lambda deletes it.
    Done,
    /// It comes again, in its place.
    Again,
    /// Its copy comes again, behind what is in the queue: Lambda deletes it.
    Copied,
}

/// Runs `handle` on every message and answers with those that failed.
///
/// The mapping must have `ReportBatchItemFailures` among its function response types.
pub async fn process_batch<M, E, F, R>(
    event: SqsEvent,
    inbox: Inbox<'_>,
    mut handle: F,
) -> SqsBatchResponse
where
    M: DeserializeOwned,
    E: Failure,
    F: FnMut(M) -> R,
    R: Future<Output = Result<(), E>>,
{
    let mut response = SqsBatchResponse::default();
    let mut stopped_groups = HashSet::new();
    let records: Option<Vec<(String, SqsMessage)>> = event.records.into_iter().map(named).collect();
    let Some(records) = records else {
        error!(
            "a record has no message id, so the answer could not name it: the whole batch comes again"
        );
        response.add_failure(WHOLE_BATCH);
        return response;
    };
    for (id, record) in records {
        let group = record.attributes.get("MessageGroupId").cloned();
        let held_back = group
            .as_ref()
            .is_some_and(|group| stopped_groups.contains(group));
        let outcome = if held_back {
            warn!(message_id = id, group, "held back behind a failed message");
            Outcome::Again
        } else {
            handled(&id, &record, inbox, &mut handle).await
        };
        match outcome {
            Outcome::Done => continue,
            Outcome::Copied => {}
            Outcome::Again => response.add_failure(id),
        }
        stopped_groups.extend(group);
    }
    response
}

/// A record with its message id.
fn named(mut record: SqsMessage) -> Option<(String, SqsMessage)> {
    let id = record.message_id.take().filter(|id| !id.is_empty())?;
    Some((id, record))
}

/// Does what a record asks for.
async fn handled<M, E, F, R>(
    id: &str,
    record: &SqsMessage,
    inbox: Inbox<'_>,
    handle: &mut F,
) -> Outcome
where
    M: DeserializeOwned,
    E: Failure,
    F: FnMut(M) -> R,
    R: Future<Output = Result<(), E>>,
{
    let Some(body) = record.body.as_deref() else {
        error!(message_id = id, "message has no body");
        return Outcome::Again;
    };
    let message = match serde_json::from_str(body) {
        Ok(message) => message,
        Err(reason) => {
            let start = one_line(body, 200);
            error!(message_id = id, %reason, body = start, "message cannot be read");
            return Outcome::Again;
        }
    };
    let Err(failure) = handle(message).await else {
        return Outcome::Done;
    };
    let (receives, reason) = (receives(record), chain(&failure));
    let Some(wait) = failure.waits() else {
        error!(
            message_id = id,
            receives, reason, "message failed and will come again"
        );
        return Outcome::Again;
    };
    info!(
        message_id = id,
        receives, reason, "message waits, and it does not count against it"
    );
    match held(id, record, body, inbox, wait).await {
        Ok(outcome) => outcome,
        Err(error) => {
            let reason = chain(&error);
            warn!(
                message_id = id,
                reason, "message waits for its queue's own visibility timeout"
            );
            Outcome::Again
        }
    }
}

/// How often the record was received, this time included; 1 where SQS does not say.
fn receives(record: &SqsMessage) -> u32 {
    let count = record.attributes.get("ApproximateReceiveCount");
    count.and_then(|count| count.parse().ok()).unwrap_or(1)
}

/// Hides a record for its wait; where few receives are left, puts a copy in its place, which comes at once and is then
/// hidden in its turn.
async fn held(
    id: &str,
    record: &SqsMessage,
    body: &str,
    inbox: Inbox<'_>,
    wait: Wait,
) -> Result<Outcome, QueueError> {
    let receives = receives(record);
    if receives.saturating_add(KEPT_RECEIVES) < inbox.max_receives {
        let receipt = record.receipt_handle.as_deref().unwrap_or_default();
        let time = time_of(wait, receives, id);
        inbox.queues.hide(inbox.queue_url, receipt, time).await?;
        return Ok(Outcome::Again);
    }
    let group = record.attributes.get("MessageGroupId");
    let copy = Message {
        body: body.to_owned(),
        group: group.cloned().unwrap_or_else(|| id.to_owned()),
        // The same however often this delivery is handled.
        deduplication_id: hex::encode(Sha256::digest(format!("{id}:{receives}"))),
    };
    inbox.queues.send(inbox.queue_url, copy).await?;
    Ok(Outcome::Copied)
}

/// How long a message is hidden. Half of a wait for quota is drawn from the message's id, so that what was throttled
/// together does not come again together.
fn time_of(wait: Wait, receives: u32, id: &str) -> Duration {
    let time = match wait {
        Wait::For(time) => time,
        Wait::ForQuota => {
            let whole = FIRST_WAIT * 2_u32.saturating_pow(receives.saturating_sub(1).min(6));
            let drawn = Sha256::digest(format!("{id}:{receives}"))[0];
            whole / 2 + whole * u32::from(drawn) / 256
        }
    };
    time.min(LONGEST_HIDE)
}
