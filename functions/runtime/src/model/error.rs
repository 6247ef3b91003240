//! Why a model gave no answer to use: one variant for each thing that somebody can do about it.

use std::fmt;

use annapurna_cloud::ObjectError;
use annapurna_contract::{Spent, text::chain};
use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::types::StopReason;

use crate::OverBudget;

/// Which model it was, and what was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Id of the model or inference profile that was asked.
    pub model_id: String,
    /// What Bedrock, the connection or our own check said, in one line.
    pub reason: String,
}

/// Why there is no answer to use. None of them is ever a verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The account's quota is used up for now; nothing is wrong with the question.
    #[error("model `{}` is throttled: {}", .0.model_id, .0.reason)]
    Throttled(Said),
    /// Overloaded or not reachable.
    #[error("model `{}` is not available now: {}", .0.model_id, .0.reason)]
    Unavailable(Said),
    /// It did not answer in the time that there was.
    #[error("model `{}` did not answer in time: {}", .0.model_id, .0.reason)]
    TimedOut(Said),
    /// Bedrock will not answer this account or this request: access, model id or limits.
    #[error("model `{}` was refused: {}", .0.model_id, .0.reason)]
    Refused(Said),
    /// The model itself failed at this question, as Bedrock says.
    #[error("model `{}` failed: {}", .0.model_id, .0.reason)]
    Faulted(Said),
    /// The model declines to answer, or Bedrock's filter does for it.
    #[error("model `{}` declined to answer: {}", .0.model_id, .0.reason)]
    Declined(Said),
    /// A guardrail of the account stopped it.
    #[error("a guardrail stopped model `{}`: {}", .0.model_id, .0.reason)]
    Guardrail(Said),
    /// The answer is longer than was allowed; a part of it is no answer.
    #[error("the answer of model `{}` was cut: {}", .0.model_id, .0.reason)]
    Truncated(Said),
    /// It answered, and once more when it was told what was wrong, but not with what was asked for.
    #[error("model `{}` gave an unusable answer: {}", .0.model_id, .0.reason)]
    Unusable(Said),
    /// A budget is spent, so nothing was asked.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// What was spent is not known, so nothing was asked.
    #[error("what was spent is not known")]
    Ledger(#[from] ObjectError),
}

/// Why there is no answer, and what was paid all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Why.
    pub error: ModelError,
    /// Answers that were of no use are paid for, too.
    pub spent: Spent,
}

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

impl std::error::Error for Failed {}

impl From<ModelError> for Failed {
    /// Nothing was asked.
    fn from(error: ModelError) -> Self {
        Self {
            error,
            spent: Spent::default(),
        }
    }
}

impl From<Failed> for ModelError {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

/// The variant with a model's id and a reason.
pub(super) fn said(
    variant: fn(Said) -> ModelError,
    model_id: &str,
    reason: impl Into<String>,
) -> ModelError {
    variant(Said {
        model_id: model_id.to_owned(),
        reason: reason.into(),
    })
}

/// Sorts what Bedrock said in place of an answer.
///
/// Source: Bedrock API reference, "Converse", section Errors.
pub(super) fn failure<E, R>(model_id: &str, error: SdkError<E, R>) -> ModelError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let variant = match error.code() {
        Some("ThrottlingException" | "ServiceQuotaExceededException") => ModelError::Throttled,
        Some("ModelTimeoutException") => ModelError::TimedOut,
        Some("ModelErrorException") => ModelError::Faulted,
        Some(
            "AccessDeniedException"
            | "ResourceNotFoundException"
            | "ValidationException"
            | "UnrecognizedClientException",
        ) => ModelError::Refused,
        _ if matches!(error, SdkError::TimeoutError(_)) => ModelError::TimedOut,
        _ => ModelError::Unavailable,
    };
    said(variant, model_id, chain(&error))
}

/// What a reason to stop says against the answer, if it says anything.
///
/// Source: Bedrock API reference, "Converse", `stopReason`; Anthropic, "Handling stop reasons", for `refusal`, which the
/// SDK does not know.
pub(super) fn stopped(model_id: &str, reason: &StopReason, max_tokens: i32) -> Option<ModelError> {
    let (variant, text): (fn(Said) -> ModelError, String) = match reason.as_str() {
        "max_tokens" => (ModelError::Truncated, format!("at {max_tokens} tokens")),
        "model_context_window_exceeded" => (ModelError::Truncated, "its context is full".into()),
        "guardrail_intervened" => (ModelError::Guardrail, "no answer".into()),
        "content_filtered" => (ModelError::Declined, "the content was filtered".into()),
        "refusal" => (ModelError::Declined, "a refusal".into()),
        _ => return None,
    };
    Some(said(variant, model_id, text))
}
