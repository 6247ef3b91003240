//! `AWS::SQS::*`. Source: CloudFormation template reference.

use serde::Serialize;

use super::iam::PolicyDocument;
use super::{Arn, LogicalId, Url};

/// `AWS::SQS::Queue`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Queue {
    /// Ends in `.fifo` exactly when the queue is FIFO.
    pub(crate) queue_name: String,
    /// First in, first out within a message group.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) fifo_queue: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deduplication_scope: Option<DeduplicationScope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fifo_throughput_limit: Option<FifoThroughputLimit>,
    /// Seconds, 0 to 43,200.
    pub(crate) visibility_timeout: u32,
    /// Seconds, 60 to 1,209,600.
    pub(crate) message_retention_period: u32,
    /// Encryption with keys of SQS.
    pub(crate) sqs_managed_sse_enabled: bool,
    /// Where messages go that are received too often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redrive_policy: Option<RedrivePolicy>,
}

/// `AWS::SQS::QueuePolicy` of one queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct QueuePolicy {
    /// The queue's URL.
    pub(crate) queues: [Url; 1],
    pub(crate) policy_document: PolicyDocument,
}

impl QueuePolicy {
    /// A policy on the queue of this id.
    pub(crate) fn on(queue: &LogicalId, policy_document: PolicyDocument) -> Self {
        Self {
            queues: [Url::of_queue(queue)],
            policy_document,
        }
    }
}

/// Among which messages of a FIFO queue one counts as sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum DeduplicationScope {
    MessageGroup,
}

/// What a FIFO queue's limit of messages a second is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum FifoThroughputLimit {
    PerMessageGroupId,
}

/// `RedrivePolicy` of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RedrivePolicy {
    /// ARN of the dead-letter queue, which is FIFO when the queue is.
    pub(crate) dead_letter_target_arn: Arn,
    /// Receives, 1 to 1,000.
    pub(crate) max_receive_count: u32,
}
