//! S3 and SQS, as every crate of the pipeline uses them.
//!
//! [`ObjectStore`] and [`MessageQueues`] are what a caller needs of the two services, so that its logic
//! is tested without AWS; [`S3`] and [`Sqs`] are the services themselves. Their errors say which
//! operation failed on which object or queue and why, in one line. [`Retry`] is for what outlasts the
//! SDK's own retries. Endpoints come from the environment or the configuration, as the SDK reads them.
//!
//! Deliberately absent: deleting an object, which only `infra destroy` does, and text of strangers,
//! which is `annapurna_contract::text`.

mod objects;
mod queues;
mod reason;
mod retry;

pub use objects::{
    Condition, Found, Head, Metadata, Object, ObjectError, ObjectStore, S3, Saved, Written,
    s3_client,
};
pub use queues::{Counts, Delivery, Message, MessageQueues, QueueError, Receive, Sqs};
pub use reason::reason;
pub use retry::{Backoff, Retry};
