//! How each model is brought to answer with the call of one tool.
//!
//! In: a model's id and the tool. Out: the parts of the Converse request that differ from model to model, by what
//! `annapurna_contract::models` knows of it.

use annapurna_contract::models::{Answers, ModelId, Thinking};
use aws_sdk_bedrockruntime::error::BuildError;
use aws_sdk_bedrockruntime::types::{
    AutoToolChoice, SpecificToolChoice, Tool as BedrockTool, ToolChoice, ToolConfiguration,
    ToolInputSchema, ToolSpecification,
};
use aws_smithy_types::Document;
use serde_json::json;

use super::Tool;
use super::json::document;

/// Tokens that a model which always thinks has for that, beside those of its answer.
const THINKING_TOKENS: i32 = 16_000;

/// How a model is asked, so that it answers with the call of the one tool. One that is not in the table is asked as
/// most are: forced, and nothing said of thinking.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    forced: bool,
    thinking: Thinking,
    cached_from: Option<u32>,
}

/// Characters of a token at most, in English text with equations. An estimate: a block that is called long enough for the
/// cache and is not costs nothing.
const CHARACTERS_OF_A_TOKEN: usize = 4;

impl Manner {
    pub(super) fn of(model_id: &str) -> Self {
        let known = ModelId::parse(model_id).known();
        Self {
            forced: known.is_none_or(|it| it.answers != Answers::OfferedTool),
            thinking: known.map_or(Thinking::OnRequest, |it| it.thinking),
            cached_from: known.and_then(|it| it.cached_from),
        }
    }

    /// Whether a cache point behind this beginning keeps it.
    pub(super) fn keeps(self, shared: &str) -> bool {
        let n_tokens = shared.chars().count() / CHARACTERS_OF_A_TOKEN;
        let least = self.cached_from.and_then(|it| usize::try_from(it).ok());
        least.is_some_and(|least| n_tokens >= least)
    }

    /// The question; a model that is not forced is told here which tool to call, as its maker advises. Not in the
    /// instructions: those stand before the cache point and are the same for all questions.
    pub(super) fn question(self, question: &str, tool: &Tool) -> String {
        if self.forced {
            return question.to_owned();
        }
        format!(
            "{question}\n\nAnswer only by calling the tool `{}`, exactly once. Text outside the call is not read.",
            tool.name
        )
    }

    /// All tools, in an order that does not depend on which of them is to be called, and that one as the choice.
    pub(super) fn tools(
        self,
        tool: &Tool,
        beside: &[Tool],
    ) -> Result<ToolConfiguration, BuildError> {
        let mut all: Vec<&Tool> = beside.iter().filter(|it| it.name != tool.name).collect();
        all.push(tool);
        all.sort_by_key(|it| it.name);
        let all: Result<Vec<_>, _> = all.into_iter().map(specification).collect();
        let choice = if self.forced {
            ToolChoice::Tool(SpecificToolChoice::builder().name(tool.name).build()?)
        } else {
            ToolChoice::Auto(AutoToolChoice::builder().build())
        };
        ToolConfiguration::builder()
            .set_tools(Some(all?))
            .tool_choice(choice)
            .build()
    }

    /// What the model thinks counts as its answer.
    pub(super) fn max_tokens(self, tool: &Tool) -> i32 {
        match self.thinking {
            Thinking::Always => tool.max_tokens.saturating_add(THINKING_TOKENS),
            Thinking::OnRequest | Thinking::UnlessOff => tool.max_tokens,
        }
    }

    /// What is said of thinking: a forced call leaves no room for it, so it is off where it can be.
    /// Source: Bedrock user guide, "Adaptive thinking".
    pub(super) fn fields(self) -> Option<Document> {
        let fields = match (self.forced, self.thinking) {
            (_, Thinking::UnlessOff) => json!({"thinking": {"type": "disabled"}}),
            (false, Thinking::Always) => {
                json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}})
            }
            (true, Thinking::Always) | (_, Thinking::OnRequest) => return None,
        };
        Some(document(&fields))
    }
}

fn specification(tool: &Tool) -> Result<BedrockTool, BuildError> {
    let specification = ToolSpecification::builder()
        .name(tool.name)
        .description(tool.description)
        .input_schema(ToolInputSchema::Json(document(&tool.schema)))
        .build()?;
    Ok(BedrockTool::ToolSpec(specification))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(model_id: &str) -> (ToolChoice, String, i32, Option<Document>) {
        let tool = Tool {
            name: "record",
            description: "records",
            schema: json!({"type": "object"}),
            max_tokens: 100,
        };
        let manner = Manner::of(model_id);
        let choice = manner.tools(&tool, &[]).unwrap().tool_choice.unwrap();
        let question = manner.question("Judge.", &tool);
        (choice, question, manner.max_tokens(&tool), manner.fields())
    }

    #[test]
    fn a_model_that_takes_force_is_forced_and_does_not_think() {
        let (choice, question, max_tokens, fields) = asked("us.anthropic.claude-haiku-5-5");
        assert!(choice.as_tool().is_ok_and(|tool| tool.name == "record"));
        assert_eq!((question.as_str(), max_tokens), ("Judge.", 100));
        let off = document(&json!({"thinking": {"type": "disabled"}}));
        assert_eq!(fields, Some(off));
    }

    #[test]
    fn a_model_that_refuses_force_is_told_to_call_the_tool_and_may_think() {
        let (choice, question, max_tokens, fields) = asked("global.anthropic.claude-sonnet-5-5");
        assert!(choice.as_auto().is_ok());
        assert!(question.starts_with("Judge.\n\nAnswer only by calling the tool `record`"));
        assert_eq!(max_tokens, 100 + THINKING_TOKENS);
        let fields = fields.unwrap();
        let fields = fields.as_object().unwrap();
        assert!(fields.contains_key("thinking") && fields.contains_key("output_config"));
    }

    #[test]
    fn a_model_that_is_not_known_is_asked_plainly() {
        let (choice, question, max_tokens, fields) = asked("offline-judge");
        assert!(choice.as_tool().is_ok());
        assert_eq!((question.as_str(), max_tokens), ("Judge.", 100));
        assert_eq!(fields, None);
    }

    #[test]
    fn the_tools_are_the_same_bytes_whichever_is_to_be_called() {
        let tool = |name| Tool {
            name,
            description: "records",
            schema: json!({"type": "object"}),
            max_tokens: 100,
        };
        let (plan, code) = (tool("record_plan"), tool("record_code"));
        let manner = Manner::of("us.anthropic.claude-sonnet-5-5");
        let both = [plan.clone(), code.clone()];
        let one = manner.tools(&plan, &both).unwrap();
        assert_eq!(one, manner.tools(&code, &both).unwrap());
        assert_eq!(one.tools.len(), 2);
    }

    #[test]
    fn only_a_beginning_that_the_model_keeps_has_a_cache_point() {
        let long = "word ".repeat(1_000);
        assert!(Manner::of("us.anthropic.claude-sonnet-5-5").keeps(&long));
        assert!(!Manner::of("us.anthropic.claude-sonnet-5-5").keeps("word"));
        assert!(!Manner::of("us.anthropic.claude-haiku-5-5").keeps(&long));
        assert!(!Manner::of("offline-generator").keeps(&long.repeat(10)));
    }
}
