//! The turns of one question: what is asked, what came, and what was wrong with it.
//!
//! What the model is told of its answer is data about that answer, as the result of its own call. The whole answer goes
//! back to it with that, as Anthropic asks of a model that thinks.

use annapurna_contract::text::first_chars;
use aws_sdk_bedrockruntime::error::BuildError;
use aws_sdk_bedrockruntime::types::{
    CachePointBlock, CachePointType, ContentBlock, ConversationRole, Message, ToolResultBlock,
    ToolResultContentBlock, ToolResultStatus,
};
use serde_json::Value;

use super::Ask;
use super::json::value;
use super::manner::Manner;

/// Findings that a model is told of one answer, and characters of each.
const FINDINGS: usize = 20;
const FINDING_CHARACTERS: usize = 500;

/// The first turn: the shared block, kept for the next question where that is worth it, then the question.
pub(super) fn first_turn(ask: &Ask<'_>, manner: Manner) -> Result<Message, BuildError> {
    let mut turn = Message::builder().role(ConversationRole::User);
    if !ask.shared.is_empty() {
        turn = turn.content(ContentBlock::Text(ask.shared.to_owned()));
        if manner.keeps(ask.shared) {
            let point = CachePointBlock::builder().r#type(CachePointType::Default);
            turn = turn.content(ContentBlock::CachePoint(point.build()?));
        }
    }
    turn.content(ContentBlock::Text(manner.question(ask.question, ask.tool)))
        .build()
}

/// The input of the first call of the tool, if the answer has one.
pub(super) fn tool_input(answer: &Message, tool: &str) -> Option<Value> {
    answer.content.iter().find_map(|block| match block {
        ContentBlock::ToolUse(call) if call.name == tool => Some(value(call.input.clone())),
        _ => None,
    })
}

/// What tells the model what is wrong with its answer; `None` where there is no answer to speak of.
pub(super) fn repair_turn(
    answer: &Message,
    tool: &str,
    findings: &[String],
) -> Result<Option<Message>, BuildError> {
    if answer.content.is_empty() {
        return Ok(None);
    }
    let text = told(tool, findings);
    let mut turn = Message::builder().role(ConversationRole::User);
    let mut is_told = false;
    for block in &answer.content {
        let ContentBlock::ToolUse(call) = block else {
            continue;
        };
        // Every call has a result, or Bedrock refuses the conversation.
        let result = ToolResultBlock::builder()
            .tool_use_id(&call.tool_use_id)
            .status(ToolResultStatus::Error)
            .content(ToolResultContentBlock::Text(text.clone()))
            .build()?;
        turn = turn.content(ContentBlock::ToolResult(result));
        is_told = true;
    }
    if !is_told {
        turn = turn.content(ContentBlock::Text(text));
    }
    turn.build().map(Some)
}

fn told(tool: &str, findings: &[String]) -> String {
    let mut text = "Your answer cannot be used. What was found:".to_owned();
    for finding in findings.iter().take(FINDINGS) {
        text.push_str("\n- ");
        text.push_str(first_chars(finding, FINDING_CHARACTERS));
    }
    text.push_str(&format!(
        "\nCall the tool `{tool}` once more with the whole answer, without these problems."
    ));
    text
}
