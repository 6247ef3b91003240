//! Sizes that no setting changes, and why each is what it is.

use crate::constructs::limits::{
    BatchSize, FifoQueueName, FunctionTimeout, MaxConcurrency, MaxReceives, VisibilityTimeout,
};

/// Failures of its own before a paper's message goes to the dead-letter queue.
pub(super) const PAPER_MAX_RECEIVES: MaxReceives =
    MaxReceives::new(annapurna_contract::PAPER_MAX_RECEIVES);
/// The dispatcher looks at `code-evaluation.fifo` once a minute, and each look is a receive.
pub(super) const EVALUATION_MAX_RECEIVES: MaxReceives = MaxReceives::new(1000);
/// The agent gives the batch back whenever it stops or cannot write, and each time counts.
pub(super) const TESTING_MAX_RECEIVES: MaxReceives = MaxReceives::new(100);
/// For a batch that nobody extends yet; the agent sets its own, shorter, and renews it while it works.
pub(super) const TESTING_VISIBILITY: VisibilityTimeout = VisibilityTimeout::new(120);
/// Messages of one call: small enough that a batch of model calls ends in the function's time.
pub(super) const MODEL_BATCH_SIZE: BatchSize = BatchSize::new(2);
/// Copies of a function that ask the model at once.
pub(super) const MODEL_CONCURRENCY: MaxConcurrency = MaxConcurrency::new(5);

// What the types above cannot say, checked when this is compiled: the longest of the queues' names is one that SQS
// takes, and what the agent sets in place of the queue's own visibility, 60 s, is shorter.
const _: () = {
    FifoQueueName::assert("code-evaluation-dlq.fifo");
    assert!(TESTING_VISIBILITY.get() > FunctionTimeout::new(60).get());
};
