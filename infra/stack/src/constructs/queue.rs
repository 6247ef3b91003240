//! A FIFO queue with the FIFO dead-letter queue that takes its failures.

use annapurna_contract::Queue;

use super::limits::{FifoQueueName, FunctionTimeout, MaxReceives, VisibilityTimeout};
use crate::cloudformation::iam::{PolicyDocument, Statement};
use crate::cloudformation::sqs::{
    self, DeduplicationScope, FifoThroughputLimit, QueuePolicy, RedrivePolicy,
};
use crate::cloudformation::{Arn, Exception, LogicalId, Resource, Rule, Template, Url};

/// Fourteen days, the longest SQS keeps a message. Source: SQS quotas, "Message retention".
const RETENTION_SECS: u32 = 1_209_600;

const EXCEPTIONS: [Exception; 1] = [Exception {
    rules: &[Rule::Checkov("CKV_AWS_27")],
    reason: "False: it is encrypted with keys of SQS (SqsManagedSseEnabled), of which the rule knows nothing.",
}];

const END: [Exception; 1] = [Exception {
    rules: &[Rule::CdkNag("AwsSolutions-SQS3")],
    reason: "It is where failed events end: nothing consumes it, a person reads it.",
}];

/// The queue of events that nobody waited for and that no repetition healed.
///
/// A standard one: a FIFO queue cannot be the destination of a function.
#[derive(Debug)]
pub(crate) struct FailedEvents {
    pub(crate) name: String,
    /// Refuse plain HTTP; an emulator on loopback speaks nothing else.
    pub(crate) encrypted_transport: bool,
}

/// Defines a FIFO queue and its dead-letter queue.
#[derive(Debug)]
pub(crate) struct WorkQueue {
    /// Which one. Another logical id replaces both queues and drops their messages.
    pub(crate) handle: QueueHandle,
    pub(crate) name: FifoQueueName,
    pub(crate) dead_letter_name: FifoQueueName,
    /// At least six times the consumer's timeout. Source: Lambda guide, "Using Lambda with Amazon SQS".
    pub(crate) visibility_timeout: VisibilityTimeout,
    /// Failed receives before a message moves to the dead-letter queue.
    pub(crate) max_receives: MaxReceives,
    /// Refuse plain HTTP; an emulator on loopback speaks nothing else.
    pub(crate) encrypted_transport: bool,
}

/// A queue other resources refer to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueHandle(LogicalId);

impl QueueHandle {
    pub(crate) fn of(queue: Queue) -> Self {
        Self(LogicalId::new(match queue {
            Queue::Research => "ResearchQueue",
            Queue::CodeGeneration => "CodeGenerationQueue",
            Queue::CodeEvaluation => "CodeEvaluationQueue",
            Queue::CodeTesting => "CodeTestingQueue",
        }))
    }

    /// Its logical id, first part of those of what belongs to it.
    pub(crate) fn id(&self) -> &LogicalId {
        &self.0
    }

    /// Its address, which every call names.
    pub(crate) fn url(&self) -> Url {
        Url::of_queue(&self.0)
    }

    /// Its ARN, for policies and event source mappings.
    pub(crate) fn arn(&self) -> Arn {
        Arn::of(&self.0)
    }

    /// The ARN of its dead-letter queue.
    pub(crate) fn dead_letter_arn(&self) -> Arn {
        Arn::of(&self.dead_letters())
    }

    fn dead_letters(&self) -> LogicalId {
        self.0.part("DeadLetters")
    }
}

/// The visibility timeout for a queue whose consumer runs so long: six times as much.
pub(crate) fn visibility_for(timeout: FunctionTimeout) -> VisibilityTimeout {
    // 6 × 900 s stays far below the limit of 43,200 s.
    VisibilityTimeout::new(timeout.get() * 6)
}

impl WorkQueue {
    /// Adds both queues.
    ///
    /// Deduplication is within a message group, and a group is one paper, so that papers move in
    /// parallel and throughput is counted per paper.
    pub(crate) fn add_to(self, stack: &mut Template) -> QueueHandle {
        let fifo = |name: &FifoQueueName, redrive_policy| sqs::Queue {
            queue_name: name.as_str().to_owned(),
            fifo_queue: true,
            deduplication_scope: Some(DeduplicationScope::MessageGroup),
            fifo_throughput_limit: Some(FifoThroughputLimit::PerMessageGroupId),
            visibility_timeout: self.visibility_timeout.get(),
            message_retention_period: RETENTION_SECS,
            sqs_managed_sse_enabled: true,
            redrive_policy,
        };
        let dead_letters = self.handle.dead_letters();
        let dead = fifo(&self.dead_letter_name, None);
        let is_encrypted = self.encrypted_transport;
        add_queue(stack, dead_letters, Resource::new(dead), is_encrypted);
        let redrive = RedrivePolicy {
            dead_letter_target_arn: self.handle.dead_letter_arn(),
            max_receive_count: self.max_receives.get(),
        };
        let queue = fifo(&self.name, Some(redrive));
        let id = self.handle.0.clone();
        add_queue(stack, id, Resource::new(queue), is_encrypted);
        self.handle
    }
}

impl FailedEvents {
    /// Its ARN, for the functions that it is the destination of.
    pub(crate) fn arn() -> Arn {
        Arn::of(&Self::id())
    }

    fn id() -> LogicalId {
        LogicalId::new("FailedEvents")
    }

    pub(crate) fn add_to(self, stack: &mut Template) {
        let queue = sqs::Queue {
            queue_name: self.name,
            fifo_queue: false,
            deduplication_scope: None,
            fifo_throughput_limit: None,
            // A person reads it, and nobody else.
            visibility_timeout: 30,
            message_retention_period: RETENTION_SECS,
            sqs_managed_sse_enabled: true,
            redrive_policy: None,
        };
        let queue = Resource::new(queue).except(&END);
        add_queue(stack, Self::id(), queue, self.encrypted_transport);
    }
}

/// Adds a queue and, where its transport is to be encrypted, the policy that says so.
fn add_queue(stack: &mut Template, id: LogicalId, queue: Resource, encrypted_transport: bool) {
    stack.add(id.clone(), queue.except(&EXCEPTIONS));
    if encrypted_transport {
        let statement = Statement::encrypted_transport_only("sqs:*", vec![Arn::of(&id)]);
        let policy = QueuePolicy::on(&id, PolicyDocument::new(vec![statement]));
        stack.add(id.part("Policy"), Resource::new(policy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exhausted_messages_go_to_the_fifo_dead_letter_queue() {
        let mut stack = Template::new("test");
        let name = |text: &str| FifoQueueName::checked(text.to_owned()).unwrap();
        let queue = WorkQueue {
            handle: QueueHandle(LogicalId::new("Judge")),
            name: name("judge.fifo"),
            dead_letter_name: name("judge-dlq.fifo"),
            visibility_timeout: visibility_for(FunctionTimeout::new(60)),
            max_receives: MaxReceives::new(5),
            encrypted_transport: true,
        };
        queue.add_to(&mut stack);
        insta::assert_json_snapshot!(stack.to_json().unwrap()["Resources"]);
    }
}
