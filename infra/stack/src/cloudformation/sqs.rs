//! `AWS::SQS::*`. Source: CloudFormation template reference.

use serde::Serialize;

use super::Expr;

/// `AWS::SQS::Queue`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Queue {
    /// Ends in `.fifo` exactly when the queue is FIFO.
    pub queue_name: String,
    /// First in, first out within a message group.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fifo_queue: bool,
    /// `messageGroup` or `queue`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deduplication_scope: Option<&'static str>,
    /// `perMessageGroupId` or `perQueue`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fifo_throughput_limit: Option<&'static str>,
    /// Seconds, 0 to 43,200.
    pub visibility_timeout: u32,
    /// Seconds, 60 to 1,209,600.
    pub message_retention_period: u32,
    /// Encryption with keys of SQS.
    pub sqs_managed_sse_enabled: bool,
    /// Where messages go that are received too often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redrive_policy: Option<RedrivePolicy>,
}

/// `RedrivePolicy` of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RedrivePolicy {
    /// ARN of the dead-letter queue, which is FIFO when the queue is.
    pub dead_letter_target_arn: Expr,
    /// Receives, 1 to 1,000.
    pub max_receive_count: u32,
}
