//! SQS itself.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    Message as SqsMessage, MessageSystemAttributeName as MessageAttribute,
    QueueAttributeName as Attribute,
};
use serde::Deserialize;

use crate::reason;

use super::{Delivery, Message, MessageQueues, QueueError, Receive};

/// The queues of the account.
#[derive(Debug, Clone)]
pub struct Sqs {
    client: Client,
}

/// Messages of one queue, as SQS counts them: approximately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Visible to a receiver.
    pub waiting: u64,
    /// In the hands of a receiver.
    pub in_flight: u64,
    /// Sent and not visible yet.
    pub delayed: u64,
}

impl Counts {
    /// All messages of the queue, whoever has them.
    pub const fn total(self) -> u64 {
        self.waiting
            .saturating_add(self.in_flight)
            .saturating_add(self.delayed)
    }
}

/// What a queue does with a message that fails.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedrivePolicy {
    dead_letter_target_arn: String,
}

impl Sqs {
    /// A client with the configuration's credentials and endpoint.
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// How many messages a queue has.
    ///
    /// # Errors
    ///
    /// [`QueueError`], also when SQS leaves a number out.
    pub async fn counts(&self, queue_url: &str) -> Result<Counts, QueueError> {
        let names = [
            Attribute::ApproximateNumberOfMessages,
            Attribute::ApproximateNumberOfMessagesNotVisible,
            Attribute::ApproximateNumberOfMessagesDelayed,
        ];
        let found = self.attributes(queue_url, &names).await?;
        let number = |name: Attribute| {
            let text = found.get(&name).map(String::as_str);
            text.and_then(|text| text.parse().ok())
                .ok_or_else(|| QueueError {
                    operation: GET_ATTRIBUTES,
                    queue: queue_url.to_owned(),
                    reason: format!("{name} is {}", text.unwrap_or("not there")),
                })
        };
        let [waiting, in_flight, delayed] = names;
        Ok(Counts {
            waiting: number(waiting)?,
            in_flight: number(in_flight)?,
            delayed: number(delayed)?,
        })
    }

    /// The URL of the queue with a name, of the credentials' account or another.
    ///
    /// # Errors
    ///
    /// [`QueueError`], also when there is no such queue.
    pub async fn url(&self, name: &str, account: Option<&str>) -> Result<String, QueueError> {
        let request = self.client.get_queue_url().queue_name(name);
        let request = request.set_queue_owner_aws_account_id(account.map(str::to_owned));
        let sent = request.send().await;
        let answer = sent.map_err(|error| failed("GetQueueUrl", name, &error))?;
        answer.queue_url.ok_or_else(|| QueueError {
            operation: "GetQueueUrl",
            queue: name.to_owned(),
            reason: "the answer has no URL".to_owned(),
        })
    }

    /// The URL of a queue's dead-letter queue, as its redrive policy names it.
    ///
    /// # Errors
    ///
    /// [`QueueError`], also when it has none.
    pub async fn dead_letter_url(&self, queue_url: &str) -> Result<String, QueueError> {
        let without = |reason: String| QueueError {
            operation: GET_ATTRIBUTES,
            queue: queue_url.to_owned(),
            reason,
        };
        let mut found = self
            .attributes(queue_url, &[Attribute::RedrivePolicy])
            .await?;
        let policy = found.remove(&Attribute::RedrivePolicy);
        let policy = policy.ok_or_else(|| without("it has no redrive policy".to_owned()))?;
        let policy: RedrivePolicy = serde_json::from_str(&policy)
            .map_err(|error| without(format!("its redrive policy cannot be read: {error}")))?;
        // arn:aws:sqs:REGION:ACCOUNT:NAME
        let mut parts = policy.dead_letter_target_arn.split(':').skip(4);
        let (Some(account), Some(name)) = (parts.next(), parts.next()) else {
            return Err(without("its redrive policy names no queue".to_owned()));
        };
        self.url(name, Some(account)).await
    }

    async fn attributes(
        &self,
        queue_url: &str,
        names: &[Attribute],
    ) -> Result<HashMap<Attribute, String>, QueueError> {
        let request = self.client.get_queue_attributes().queue_url(queue_url);
        let sent = request
            .set_attribute_names(Some(names.to_vec()))
            .send()
            .await;
        let answer = sent.map_err(|error| failed(GET_ATTRIBUTES, queue_url, &error))?;
        // SQS leaves the map out when none of the attributes is set.
        Ok(answer.attributes.unwrap_or_default())
    }
}

#[async_trait]
impl MessageQueues for Sqs {
    async fn send(&self, queue_url: &str, message: Message) -> Result<(), QueueError> {
        let request = self.client.send_message().queue_url(queue_url);
        let sent = request
            .message_group_id(message.group)
            .message_deduplication_id(message.deduplication_id)
            .message_body(message.body)
            .send()
            .await;
        sent.map(drop)
            .map_err(|error| failed("SendMessage", queue_url, &error))
    }

    async fn receive(&self, queue_url: &str, wanted: Receive) -> Result<Vec<Delivery>, QueueError> {
        let request = self.client.receive_message().queue_url(queue_url);
        let sent = request
            .max_number_of_messages(i32::try_from(wanted.most.clamp(1, 10)).unwrap_or(10))
            .visibility_timeout(seconds(wanted.hide_for))
            .wait_time_seconds(seconds(wanted.wait))
            .message_system_attribute_names(MessageAttribute::SentTimestamp)
            .message_system_attribute_names(MessageAttribute::MessageGroupId)
            .send()
            .await;
        let received = sent.map_err(|error| failed(RECEIVE, queue_url, &error))?;
        // SQS leaves the list out when it is empty.
        let messages = received.messages.unwrap_or_default().into_iter();
        messages
            .map(|message| {
                delivery(message).ok_or_else(|| QueueError {
                    operation: RECEIVE,
                    queue: queue_url.to_owned(),
                    reason: "a message came without id, receipt handle or body".to_owned(),
                })
            })
            .collect()
    }

    async fn hide(&self, queue_url: &str, receipt: &str, time: Duration) -> Result<(), QueueError> {
        let request = self.client.change_message_visibility().queue_url(queue_url);
        let request = request.receipt_handle(receipt);
        let sent = request.visibility_timeout(seconds(time)).send().await;
        sent.map(drop)
            .map_err(|error| failed("ChangeMessageVisibility", queue_url, &error))
    }

    async fn delete(&self, queue_url: &str, receipt: &str) -> Result<(), QueueError> {
        let request = self.client.delete_message().queue_url(queue_url);
        let sent = request.receipt_handle(receipt).send().await;
        sent.map(drop)
            .map_err(|error| failed("DeleteMessage", queue_url, &error))
    }
}

const RECEIVE: &str = "ReceiveMessage";
const GET_ATTRIBUTES: &str = "GetQueueAttributes";

fn failed<E>(operation: &'static str, queue: &str, error: &SdkError<E, HttpResponse>) -> QueueError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    QueueError {
        operation,
        queue: queue.to_owned(),
        reason: reason(error),
    }
}

fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}

fn delivery(message: SqsMessage) -> Option<Delivery> {
    let mut attributes = message.attributes.unwrap_or_default();
    let sent = attributes.remove(&MessageAttribute::SentTimestamp);
    Some(Delivery {
        message_id: message.message_id?,
        receipt: message.receipt_handle?,
        body: message.body?,
        group: attributes.remove(&MessageAttribute::MessageGroupId),
        sent_ms: sent.and_then(|milliseconds| milliseconds.parse().ok()),
    })
}
