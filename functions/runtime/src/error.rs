//! Why a function did not do what a message or an event asks for.

use annapurna_cloud::{ObjectError, QueueError};
use annapurna_contract::ConfigError;
use annapurna_contract::text::{chain, one_line};
use chrono::Utc;

use crate::batch::{Failure, Wait};
use crate::{Failed, ModelError, SearchError};

/// A service that a function works with failed, or `E`: a reason of the function's own.
///
/// Each of them holds the message back: it comes again, then goes to the dead-letter queue. A throttled model and a
/// day's budget alone do not count against it.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError<E> {
    /// The function is configured wrongly.
    #[error("configuration")]
    Config(#[from] ConfigError),
    /// The model did not help.
    #[error("model")]
    Model(#[from] ModelError),
    /// The index did not answer.
    #[error("index")]
    Search(#[from] SearchError),
    /// S3 did not answer.
    #[error("storage")]
    Objects(#[from] ObjectError),
    /// The next queue did not take the message.
    #[error("queue")]
    Queue(#[from] QueueError),
    /// A reason of the function's own.
    #[error(transparent)]
    Own(E),
}

impl<E> From<Failed> for FunctionError<E> {
    fn from(failed: Failed) -> Self {
        Self::Model(failed.error)
    }
}

impl<E: std::error::Error> Failure for FunctionError<E> {
    fn waits(&self) -> Option<Wait> {
        match self {
            Self::Model(ModelError::Throttled(_)) => Some(Wait::ForQuota),
            Self::Model(ModelError::OverBudget(over)) => over.wait(Utc::now()).map(Wait::For),
            _ => None,
        }
    }
}

/// What the caller of a function is told of an error: its causes, too, in one line of 2,000 characters at most.
pub fn error_message(error: &dyn std::error::Error) -> String {
    one_line(&chain(error), 2_000)
}
