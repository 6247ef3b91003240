//! A FIFO queue with the FIFO dead-letter queue that takes its failures.

use super::limits::{FifoQueueName, FunctionTimeout, MaxReceives, VisibilityTimeout};
use crate::cloudformation::sqs::{Queue, RedrivePolicy};
use crate::cloudformation::{Expr, LogicalId, Resource, Template};

/// Fourteen days, the longest SQS keeps a message. Source: SQS quotas, "Message retention".
const RETENTION_SECS: u32 = 1_209_600;

/// Defines a FIFO queue and its dead-letter queue.
#[derive(Debug)]
pub struct WorkQueue {
    /// First part of both logical ids. Changing it replaces both queues and drops their messages.
    pub id: String,
    /// The queue's name.
    pub name: FifoQueueName,
    /// The dead-letter queue's name.
    pub dead_letter_name: FifoQueueName,
    /// At least six times the consumer's timeout. Source: Lambda guide, "Using Lambda with Amazon SQS".
    pub visibility_timeout: VisibilityTimeout,
    /// Failed receives before a message moves to the dead-letter queue.
    pub max_receives: MaxReceives,
}

/// A queue other resources refer to.
#[derive(Debug, Clone)]
pub struct QueueHandle {
    /// The queue's URL.
    pub url: Expr,
    /// The queue's ARN.
    pub arn: Expr,
    /// The dead-letter queue's ARN.
    pub dead_letter_arn: Expr,
}

/// The visibility timeout for a queue whose consumer runs so long: six times as much.
pub fn visibility_for(timeout: FunctionTimeout) -> VisibilityTimeout {
    // 6 × 900 s stays far below the limit of 43,200 s.
    VisibilityTimeout::new(timeout.get() * 6)
}

impl WorkQueue {
    /// Adds both queues.
    ///
    /// Deduplication is within a message group, and a group is one paper, so that papers move in
    /// parallel and throughput is counted per paper.
    pub fn add_to(&self, template: &mut Template) -> QueueHandle {
        let queue = |name: &FifoQueueName, redrive_policy| Queue {
            queue_name: name.as_str().to_owned(),
            fifo_queue: true,
            deduplication_scope: Some("messageGroup"),
            fifo_throughput_limit: Some("perMessageGroupId"),
            visibility_timeout: self.visibility_timeout.get(),
            message_retention_period: RETENTION_SECS,
            sqs_managed_sse_enabled: true,
            redrive_policy,
        };
        let id = LogicalId::new(&self.id);
        let dead_letter = template.add(
            id.part("DeadLetters"),
            Resource::new(queue(&self.dead_letter_name, None)),
        );
        let dead_letter_arn = Expr::attribute(&dead_letter, "Arn");
        let redrive = RedrivePolicy {
            dead_letter_target_arn: dead_letter_arn.clone(),
            max_receive_count: u16::try_from(self.max_receives.get()).unwrap_or(u16::MAX),
        };
        let main = template.add(id, Resource::new(queue(&self.name, Some(redrive))));
        QueueHandle {
            url: Expr::reference(&main),
            arn: Expr::attribute(&main, "Arn"),
            dead_letter_arn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exhausted_messages_go_to_the_fifo_dead_letter_queue() {
        let mut template = Template::new("test");
        let name = |text: &str| FifoQueueName::checked(text.to_owned()).unwrap();
        WorkQueue {
            id: "Judge".to_owned(),
            name: name("judge.fifo"),
            dead_letter_name: name("judge-dlq.fifo"),
            visibility_timeout: visibility_for(FunctionTimeout::new(60)),
            max_receives: MaxReceives::new(5),
        }
        .add_to(&mut template);
        insta::assert_json_snapshot!(template.to_json().unwrap()["Resources"]);
    }
}
