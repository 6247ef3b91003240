//! The backend without a model: answers the pipeline's own questions by rules.
//!
//! In: a Converse request whose forced tool says the question and whose prompt holds the paper. Out: the
//! call of that tool. A request that is neither of the two questions is refused, never guessed at.

use annapurna_contract::model::{PAPER_CLOSE, PAPER_OPEN, PROGRAM_TOOL, PaperText, VERDICT_TOOL};
use annapurna_contract::rubric::nearest_shown;
use annapurna_contract::text::escaped;
use serde_json::Value;

use super::error::{EXCERPT, ModelError};
use super::wire::{Answer, ConverseRequest, Usage, count_tokens};
use super::{program, rules};

/// Answers one of the pipeline's two questions.
pub(super) fn converse(request: &ConverseRequest) -> Result<Answer, ModelError> {
    let tool = request.forced_tool().ok_or_else(|| {
        let message = format!(
            "the offline rules answer only with a tool: toolConfig.toolChoice must name {VERDICT_TOOL} or \
             {PROGRAM_TOOL}, one of toolConfig.tools"
        );
        ModelError::Validation(message)
    })?;
    let input = match tool.name.as_str() {
        VERDICT_TOOL => {
            let nearest = request
                .user_texts()
                .filter_map(nearest_shown)
                .reduce(f64::max);
            to_input(&rules::judge(&paper_of(request)?, nearest))
        }
        PROGRAM_TOOL => to_input(&program::generate(&paper_of(request)?)),
        other => Err(ModelError::Validation(format!(
            "the offline rules know the tools {VERDICT_TOOL} and {PROGRAM_TOOL}, got `{}`",
            escaped(other, EXCERPT)
        ))),
    }?;
    let usage = Usage {
        input_tokens: request.user_texts().map(count_tokens).sum(),
        output_tokens: count_tokens(&input.to_string()),
    };
    Ok(Answer::tool_use(&tool.name, &input, usage))
}

/// The first paper block of the user's turns; instructions may mention the marks before it.
fn paper_of(request: &ConverseRequest) -> Result<PaperText, ModelError> {
    request
        .user_texts()
        .find_map(|text| {
            text.match_indices(PAPER_OPEN)
                .find_map(|(start, _)| PaperText::from_prompt(&text[start..]))
        })
        .ok_or_else(|| {
            let message = format!(
                "no user message holds a paper: expected {PAPER_OPEN}{{\"title\":…,\"abstract\":…}}{PAPER_CLOSE}"
            );
            ModelError::Validation(message)
        })
}

fn to_input<T: serde::Serialize>(answer: &T) -> Result<Value, ModelError> {
    serde_json::to_value(answer).map_err(|error| ModelError::Model(error.to_string()))
}
