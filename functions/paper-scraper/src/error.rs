//! Why a call of the function failed as a whole, and the word for it in answers and metrics.

use annapurna_contract::ConfigError;
use annapurna_contract::scrape::ScrapeErrorType;
use annapurna_paper_sources::paper_source::SourceError;

use crate::request::RequestError;
use crate::store::StoreError;

/// Why a call failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The event asks for something that is not there.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A list could not be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The list took all the time there was.
    #[error("{target} could not be had in the time this function has")]
    OutOfTime {
        /// The list, in words for a person.
        target: String,
    },
    /// The bucket could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A step of the state machine that fits no list.
    #[error("{0}")]
    Step(String),
}

impl RunError {
    /// The answer's `errorType`, also beside the metrics.
    pub fn kind(&self) -> ScrapeErrorType {
        match self {
            Self::Request(_) => ScrapeErrorType::InvalidRequest,
            Self::Source(error) => error.kind(),
            Self::Config(_) => ScrapeErrorType::InvalidSettings,
            Self::OutOfTime { .. } => ScrapeErrorType::OutOfTime,
            Self::Store(_) => ScrapeErrorType::StoreUnavailable,
            Self::Step(_) => ScrapeErrorType::InvalidStep,
        }
    }
}
