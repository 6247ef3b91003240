//! The backend without a model: answers the pipeline's own questions by rules.
//!
//! In: a Converse request whose forced tool says the question and whose prompt holds the paper, and the program where
//! one is asked about. Out: the call of that tool. A request that is none of the questions is refused, never guessed at.

use annapurna_contract::model::{
    PAPER_CLOSE, PAPER_OPEN, PROGRAM_TOOL, PaperText, VERDICT_TOOL, block_in,
};
use annapurna_contract::plan::{
    EDITS_TOOL, FIDELITY_TOOL, PLAN_CLOSE, PLAN_OPEN, PLAN_TOOL, PROGRAM_CLOSE, PROGRAM_OPEN, Plan,
    ShownProgram,
};
use annapurna_contract::rubric::nearest_shown;
use annapurna_contract::text::escaped;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{EXCERPT, ModelError};
use super::wire::{Answer, ConverseRequest, Usage, count_tokens, texts};
use super::{program, rules};

/// The questions that the rules answer, by their tools.
const TOOLS: [&str; 5] = [
    VERDICT_TOOL,
    PLAN_TOOL,
    PROGRAM_TOOL,
    EDITS_TOOL,
    FIDELITY_TOOL,
];

/// Answers one of the pipeline's questions.
pub(super) fn converse(request: &ConverseRequest) -> Result<Answer, ModelError> {
    let tool = request.forced_tool().ok_or_else(|| {
        let message = format!(
            "the offline rules answer only with a tool: toolConfig.toolChoice must name one of {}, which is \
             one of toolConfig.tools",
            TOOLS.join(", ")
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
        PLAN_TOOL => to_input(&program::plan(&paper_of(request)?)),
        PROGRAM_TOOL => {
            // The generator's rules name the device of the environment.
            let may_use_cuda = texts(&request.system).any(|it| it.contains("torch.cuda"));
            to_input(&program::generate(&paper_of(request)?, may_use_cuda))
        }
        EDITS_TOOL => to_input(&program::mend()),
        FIDELITY_TOOL => {
            let plan: Plan = block_of(request, "a plan", PLAN_OPEN, PLAN_CLOSE)?;
            let shown: ShownProgram = block_of(request, "a program", PROGRAM_OPEN, PROGRAM_CLOSE)?;
            to_input(&program::examine(&plan, &shown.code))
        }
        other => Err(ModelError::Validation(format!(
            "the offline rules know the tools {}, got `{}`",
            TOOLS.join(", "),
            escaped(other, EXCERPT)
        ))),
    }?;
    let usage = Usage {
        input_tokens: request.user_texts().map(count_tokens).sum(),
        output_tokens: count_tokens(&input.to_string()),
    };
    Ok(Answer::tool_use(&tool.name, &input, usage))
}

/// The paper that is asked about.
fn paper_of(request: &ConverseRequest) -> Result<PaperText, ModelError> {
    block_of(request, "a paper", PAPER_OPEN, PAPER_CLOSE)
}

/// The first such block of the user's turns; instructions may mention the marks before it.
fn block_of<T: DeserializeOwned>(
    request: &ConverseRequest,
    what: &str,
    open: &str,
    close: &str,
) -> Result<T, ModelError> {
    let found = request
        .user_texts()
        .find_map(|text| block_in(text, open, close));
    found.ok_or_else(|| {
        ModelError::Validation(format!(
            "no user message holds {what}: expected {open}{{…}}{close}"
        ))
    })
}

fn to_input<T: serde::Serialize>(answer: &T) -> Result<Value, ModelError> {
    serde_json::to_value(answer).map_err(|error| ModelError::Model(error.to_string()))
}
