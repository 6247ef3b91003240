//! `code-testing.fifo`, behind the four operations the agent needs.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::error::DisplayErrorContext;

/// How long one look at an empty queue takes. SQS allows 20 s.
const LONG_POLL_SECS: i32 = 20;

/// SQS refused, or could not be reached.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {verb} a message of {queue}: {reason}")]
pub struct QueueError {
    verb: &'static str,
    queue: String,
    reason: String,
}

/// A batch as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The message's id, the same at every delivery.
    pub message_id: String,
    /// Names this delivery.
    pub receipt: String,
    /// The body.
    pub body: String,
}

/// The queue of batches.
#[async_trait]
pub trait BatchQueue: std::fmt::Debug + Send + Sync {
    /// Waits a while for one message and hides it for `visibility`.
    async fn receive(&self, visibility: Duration) -> Result<Option<Delivery>, QueueError>;

    /// Hides the message for `visibility` from now on; zero gives it back.
    async fn hide(&self, receipt: &str, visibility: Duration) -> Result<(), QueueError>;

    /// Removes the message.
    async fn delete(&self, receipt: &str) -> Result<(), QueueError>;
}

/// SQS itself.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl SqsQueue {
    /// The queue at `url`.
    pub fn new(config: &aws_config::SdkConfig, url: String) -> Self {
        Self {
            client: aws_sdk_sqs::Client::new(config),
            url,
        }
    }

    fn error(&self, verb: &'static str, reason: impl ToString) -> QueueError {
        QueueError {
            verb,
            queue: self.url.clone(),
            reason: reason.to_string(),
        }
    }
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

#[async_trait]
impl BatchQueue for SqsQueue {
    async fn receive(&self, visibility: Duration) -> Result<Option<Delivery>, QueueError> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(1)
            .wait_time_seconds(LONG_POLL_SECS)
            .visibility_timeout(seconds(visibility))
            .send()
            .await
            .map_err(|error| self.error("receive", DisplayErrorContext(&error)))?;
        let message = received.messages.unwrap_or_default().into_iter().next();
        Ok(message.map(|message| Delivery {
            message_id: message.message_id.unwrap_or_default(),
            receipt: message.receipt_handle.unwrap_or_default(),
            body: message.body.unwrap_or_default(),
        }))
    }

    async fn hide(&self, receipt: &str, visibility: Duration) -> Result<(), QueueError> {
        self.client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt)
            .visibility_timeout(seconds(visibility))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| self.error("hide", DisplayErrorContext(&error)))
    }

    async fn delete(&self, receipt: &str) -> Result<(), QueueError> {
        self.client
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(receipt)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| self.error("delete", DisplayErrorContext(&error)))
    }
}
