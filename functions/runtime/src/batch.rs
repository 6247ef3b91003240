//! A batch of messages from a FIFO queue, with partial failures.
//!
//! In: the event of an event source mapping. Out: the messages that must come again. Records run in
//! order. Once one of a message group fails, the later ones of that group are reported as failed
//! too, so their order is kept; other groups go on. Nothing is dropped: a message that cannot be
//! read fails like any other and ends in the dead-letter queue, and a batch with a record that cannot be
//! named comes again whole.

use std::{collections::HashSet, error::Error, future::Future};

use annapurna_contract::text::{chain, one_line};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use serde::de::DeserializeOwned;
use tracing::{error, warn};

/// An item without a name: Lambda then takes the whole batch as failed. Source: Lambda Developer Guide,
/// "Handling errors for an SQS event source in Lambda".
const WHOLE_BATCH: &str = "";

/// Runs `handle` on every message and answers with those that failed.
///
/// The mapping must have `ReportBatchItemFailures` among its function response types.
pub async fn process_batch<M, E, F, R>(event: SqsEvent, mut handle: F) -> SqsBatchResponse
where
    M: DeserializeOwned,
    E: Error,
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
        if held_back {
            warn!(message_id = id, group, "held back behind a failed message");
        } else if handled(&id, &record, &mut handle).await {
            continue;
        }
        stopped_groups.extend(group);
        response.add_failure(id);
    }
    response
}

/// A record with its message id.
fn named(mut record: SqsMessage) -> Option<(String, SqsMessage)> {
    let id = record.message_id.take().filter(|id| !id.is_empty())?;
    Some((id, record))
}

/// Whether the record is done.
async fn handled<M, E, F, R>(id: &str, record: &SqsMessage, handle: &mut F) -> bool
where
    M: DeserializeOwned,
    E: Error,
    F: FnMut(M) -> R,
    R: Future<Output = Result<(), E>>,
{
    let Some(body) = record.body.as_deref() else {
        error!(message_id = id, "message has no body");
        return false;
    };
    let message = match serde_json::from_str(body) {
        Ok(message) => message,
        Err(reason) => {
            let start = one_line(body, 200);
            error!(message_id = id, %reason, body = start, "message cannot be read");
            return false;
        }
    };
    match handle(message).await {
        Ok(()) => true,
        Err(failure) => {
            let receives = record.attributes.get("ApproximateReceiveCount");
            error!(
                message_id = id,
                receives,
                reason = chain(&failure),
                "message failed and will come again"
            );
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no")]
    struct No;

    fn event(messages: &[(&str, &str, &str)]) -> SqsEvent {
        let records: Vec<Value> = messages
            .iter()
            .map(|(id, group, body)| {
                json!({"messageId": id, "body": body, "attributes": {"MessageGroupId": group}})
            })
            .collect();
        serde_json::from_value(json!({"Records": records})).unwrap()
    }

    async fn failed(messages: &[(&str, &str, &str)]) -> (Vec<String>, Vec<i64>) {
        failed_of(event(messages)).await
    }

    async fn failed_of(event: SqsEvent) -> (Vec<String>, Vec<i64>) {
        let mut seen = Vec::new();
        let response = process_batch(event, |number: i64| {
            seen.push(number);
            async move { if number < 0 { Err(No) } else { Ok(()) } }
        })
        .await;
        let ids = response.batch_item_failures;
        (
            ids.into_iter().map(|item| item.item_identifier).collect(),
            seen,
        )
    }

    #[tokio::test]
    async fn a_failure_holds_back_only_its_own_group() {
        let (failed, seen) = failed(&[
            ("m1", "a", "1"),
            ("m2", "a", "-1"),
            ("m3", "b", "2"),
            ("m4", "a", "3"),
        ])
        .await;
        assert_eq!(failed, ["m2", "m4"]);
        assert_eq!(seen, [1, -1, 2]);
    }

    #[tokio::test]
    async fn a_malformed_message_fails_and_is_not_dropped() {
        let (failed, seen) = failed(&[("m1", "a", "{"), ("m2", "b", "2"), ("m3", "a", "3")]).await;
        assert_eq!(failed, ["m1", "m3"]);
        assert_eq!(seen, [2]);
    }

    #[tokio::test]
    async fn a_message_without_a_body_fails_and_holds_back_its_group() {
        let mut event = event(&[("m1", "a", "1"), ("m2", "b", "2"), ("m3", "a", "3")]);
        event.records[0].body = None;
        assert_eq!(
            failed_of(event).await,
            (vec!["m1".into(), "m3".into()], vec![2])
        );
    }

    #[tokio::test]
    async fn a_record_without_an_id_brings_the_whole_batch_again_undone() {
        for id in [None, Some(String::new())] {
            let mut event = event(&[("m1", "a", "1"), ("m2", "b", "2")]);
            event.records[1].message_id = id;
            assert_eq!(failed_of(event).await, (vec![String::new()], vec![]));
        }
    }

    #[tokio::test]
    async fn an_empty_batch_has_no_failures() {
        assert_eq!(failed(&[]).await.0, Vec::<String>::new());
    }
}
