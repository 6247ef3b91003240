//! The part of Converse's and Titan's wire format that the backends read and write.
//!
//! Source: Bedrock API reference, "Converse"; Bedrock user guide, "Amazon Titan Embeddings Text".
//! The pass-through to Bedrock does not use this: it hands bodies on as they are.

use std::time::Duration;

use axum::body::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::error::ModelError;

/// Body of `POST /model/{modelId}/converse`. Whatever of it is not named here, such as guardrails, changes
/// nothing for the backends.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConverseRequest {
    #[serde(default)]
    pub messages: Vec<Message>,
    #[serde(default)]
    pub system: Vec<Map<String, Value>>,
    #[serde(default)]
    pub tool_config: ToolConfig,
    #[serde(default)]
    pub inference_config: InferenceConfig,
}

/// One turn of the conversation; a content block is an object with one key, its kind.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub role: String,
    pub content: Vec<Map<String, Value>>,
}

/// The tools, and which of them the model must call; without a choice it may answer with text.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolConfig {
    #[serde(default)]
    tools: Vec<Tool>,
    pub tool_choice: Option<ToolChoice>,
}

/// An entry of `tools`; other kinds than `toolSpec` (cache points) mean nothing here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tool {
    tool_spec: Option<ToolSpec>,
}

/// A tool as the model is told of it; `name` comes back in the answer's `toolUse`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolSpec {
    pub name: String,
    #[serde(default)]
    pub description: String,
    pub input_schema: InputSchema,
}

/// Converse wraps the JSON schema in an object with the one key `json`.
#[derive(Debug, Deserialize)]
pub(super) struct InputSchema {
    pub json: Value,
}

/// `{"auto":{}}`, `{"any":{}}` or `{"tool":{"name":…}}`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ToolChoice {
    Auto {},
    Any {},
    Tool { name: String },
}

/// Limits and sampling; absent means the server's default. `max_tokens` counts the answer's tokens only,
/// `temperature` and `top_p` are 0 to 1.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InferenceConfig {
    pub max_tokens: Option<u32>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub stop_sequences: Option<Vec<String>>,
}

impl ConverseRequest {
    /// The tools, without entries of other kinds.
    pub(super) fn tools(&self) -> impl Iterator<Item = &ToolSpec> {
        self.tool_config
            .tools
            .iter()
            .filter_map(|tool| tool.tool_spec.as_ref())
    }

    /// The tool the model must call: the one chosen by name, else the only one of a forced choice.
    pub(super) fn forced_tool(&self) -> Option<&ToolSpec> {
        match self.tool_config.tool_choice.as_ref()? {
            ToolChoice::Tool { name } => self.tools().find(|tool| tool.name == *name),
            ToolChoice::Any {} if self.tools().count() == 1 => self.tools().next(),
            ToolChoice::Any {} | ToolChoice::Auto {} => None,
        }
    }

    /// Texts of the user's turns, in order.
    pub(super) fn user_texts(&self) -> impl Iterator<Item = &str> {
        self.messages
            .iter()
            .filter(|message| message.role == "user")
            .flat_map(|message| texts(&message.content))
    }
}

/// The text blocks of a content, in order; blocks of other kinds are passed over.
pub(super) fn texts(content: &[Map<String, Value>]) -> impl Iterator<Item = &str> {
    content
        .iter()
        .filter_map(|block| block.get("text")?.as_str())
}

/// Longest text that Titan embeds, characters. Source: Bedrock user guide, "Amazon Titan Text Embeddings models".
const MAX_INPUT_CHARS: usize = 50_000;

/// Body of `POST /model/{modelId}/invoke` for Titan Text Embeddings V2.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EmbeddingRequest {
    pub input_text: String,
    #[serde(default = "default_dimensions")]
    pub dimensions: usize,
    #[serde(default = "default_normalize")]
    pub normalize: bool,
}

fn default_dimensions() -> usize {
    1024
}

fn default_normalize() -> bool {
    true
}

impl EmbeddingRequest {
    /// Reads and checks a body by Titan's rules.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ModelError> {
        let request: Self = parse(body, "a Titan text embeddings V2 request")?;
        if request.input_text.trim().is_empty() {
            return Err(ModelError::Validation("inputText is empty".to_owned()));
        }
        let n_chars = request.input_text.chars().count();
        if n_chars > MAX_INPUT_CHARS {
            let message =
                format!("inputText must be up to {MAX_INPUT_CHARS} characters, got {n_chars}");
            return Err(ModelError::Validation(message));
        }
        if ![256, 512, 1024].contains(&request.dimensions) {
            let message = format!(
                "dimensions must be 256, 512 or 1024, got {}",
                request.dimensions
            );
            return Err(ModelError::Validation(message));
        }
        Ok(request)
    }

    /// The response that carries `embedding`, which has as many numbers as were asked for.
    pub(super) fn response(&self, embedding: &[f64]) -> Bytes {
        to_bytes(&json!({
            "embedding": embedding,
            "embeddingsByType": {"float": embedding},
            "inputTextTokenCount": count_tokens(&self.input_text),
        }))
    }
}

/// Reads a JSON body; the error says what it should have been.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<T, ModelError> {
    serde_json::from_slice(body)
        .map_err(|error| ModelError::Validation(format!("the body is not {what}: {error}")))
}

/// One completed turn of the model.
#[derive(Debug)]
pub(super) struct Answer {
    block: Value,
    stop_reason: &'static str,
    usage: Usage,
}

/// Tokens as the server counts them, or words where nothing counts tokens; the functions log them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// Why a text ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The model was done.
    Itself,
    /// It reached its token limit.
    AtLimit,
    /// The server's filter stopped it.
    Filtered,
}

impl Answer {
    /// A call of `tool`. Its id is derived from the call, so the same question gets the same bytes.
    pub(super) fn tool_use(tool: &str, input: &Value, usage: Usage) -> Self {
        let mut id = hex::encode(Sha256::digest(format!("{tool}\0{input}")));
        id.truncate(22);
        let id = format!("tooluse_{id}");
        Self {
            block: json!({"toolUse": {"toolUseId": id, "name": tool, "input": input}}),
            stop_reason: "tool_use",
            usage,
        }
    }

    /// Plain text, and why it ends.
    pub(super) fn text(text: &str, stop: Stop, usage: Usage) -> Self {
        Self {
            block: json!({"text": text}),
            stop_reason: match stop {
                Stop::Itself => "end_turn",
                Stop::AtLimit => "max_tokens",
                Stop::Filtered => "content_filtered",
            },
            usage,
        }
    }

    /// Body of the response to Converse. `latency`: from the request to here.
    pub(super) fn response(&self, latency: Duration) -> Bytes {
        let Usage {
            input_tokens,
            output_tokens,
        } = self.usage;
        to_bytes(&json!({
            "output": {"message": {"role": "assistant", "content": [self.block]}},
            "stopReason": self.stop_reason,
            "usage": {
                "inputTokens": input_tokens,
                "outputTokens": output_tokens,
                "totalTokens": input_tokens.saturating_add(output_tokens),
            },
            "metrics": {"latencyMs": u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)},
        }))
    }
}

fn to_bytes(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

/// A count for `usage` where no tokenizer is at hand: words.
pub(super) fn count_tokens(text: &str) -> u64 {
    u64::try_from(text.split_whitespace().count()).unwrap_or(u64::MAX)
}
