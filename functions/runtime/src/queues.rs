//! Sending to the pipeline's FIFO queues.
//!
//! A message's group and deduplication id are derived from what it is about, so a repeated send is
//! harmless and papers move in parallel. Receiving is Lambda's work, or the tester's own.

use annapurna_contract::text::chain;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use serde::Serialize;

/// Why a message could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The message has no JSON form.
    #[error("cannot write a message for `{queue_url}` as JSON")]
    NotJson {
        /// The queue.
        queue_url: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// SQS refused, or could not be reached.
    #[error("cannot {action} `{queue_url}`: {reason}")]
    Failed {
        /// `send to`, `receive from`, …
        action: &'static str,
        /// The queue.
        queue_url: String,
        /// What SQS or the connection said.
        reason: String,
    },
}

impl QueueError {
    /// What SQS or the connection said to a request.
    pub fn failed(
        action: &'static str,
        queue_url: &str,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Failed {
            action,
            queue_url: queue_url.to_owned(),
            reason: chain(&error),
        }
    }
}

/// A client of SQS.
#[derive(Debug, Clone)]
pub struct Queues {
    client: Client,
}

impl Queues {
    /// A client with a function's credentials and endpoints.
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: Client::new(config),
        }
    }

    /// The SDK's client, for what only one function does.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Sends `message` as JSON. SQS drops a repetition of `deduplication_id` within five minutes.
    ///
    /// # Errors
    ///
    /// [`QueueError`], with the queue's URL.
    pub async fn send<M: Serialize + Sync>(
        &self,
        queue_url: &str,
        group: &str,
        deduplication_id: &str,
        message: &M,
    ) -> Result<(), QueueError> {
        let body = serde_json::to_string(message).map_err(|source| QueueError::NotJson {
            queue_url: queue_url.to_owned(),
            source,
        })?;
        self.send_text(queue_url, group, deduplication_id, body)
            .await
    }

    /// Sends a body as it is.
    ///
    /// # Errors
    ///
    /// [`QueueError::Failed`].
    pub async fn send_text(
        &self,
        queue_url: &str,
        group: &str,
        deduplication_id: &str,
        body: String,
    ) -> Result<(), QueueError> {
        let request = self.client.send_message().queue_url(queue_url);
        request
            .message_group_id(group)
            .message_deduplication_id(deduplication_id)
            .message_body(body)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| QueueError::failed("send to", queue_url, error))
    }
}
