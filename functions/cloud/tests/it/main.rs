//! The clients against servers that answer as S3 and SQS do, and as they should not.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]

mod s3;
mod server;
mod sqs;
