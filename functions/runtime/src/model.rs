//! Questions to a model on Bedrock, and vectors of texts.
//!
//! In: a system prompt, a prompt and one tool. Out: the tool's input, read as the caller's type. The
//! model is forced to call the tool, or offered it and told to where it takes no force
//! ([`annapurna_contract::models`]), so its answer is data of a known shape. A paper's text is hostile:
//! it enters a prompt only as [`annapurna_contract::model::PaperText`], JSON marked as data, and what
//! comes back is data again, which the caller checks.
//!
//! No error here is ever a verdict. [`ModelError::Unavailable`] passes with time;
//! [`ModelError::Unusable`] may pass when asked again. Both go back to the queue, then to its
//! dead-letter queue.

mod manner;

use std::{collections::HashMap, time::Duration};

use annapurna_contract::{model::EMBEDDING_DIMENSIONS, text::chain};
use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_bedrockruntime::{
    Client,
    error::{BuildError, ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{
        ContentBlock, ConversationRole, ConverseOutput, InferenceConfiguration, Message,
        StopReason, SystemContentBlock,
    },
};
use aws_smithy_types::{Document, Number};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use manner::Manner;

/// Why there is no answer to use.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Throttled, overloaded, too slow or not reachable.
    #[error("model `{model_id}` is not available now: {reason}")]
    Unavailable {
        /// Id of the model or inference profile that was asked.
        model_id: String,
        /// What Bedrock or the connection said.
        reason: String,
    },
    /// Bedrock will not answer this account or this request: access, model id or limits.
    #[error("model `{model_id}` was refused: {reason}")]
    Refused {
        /// Id of the model or inference profile that was asked.
        model_id: String,
        /// Bedrock's error and message, in one line.
        reason: String,
    },
    /// It answered, but not with what was asked for.
    #[error("model `{model_id}` gave an unusable answer: {reason}")]
    Unusable {
        /// Id of the model or inference profile that was asked.
        model_id: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The tool that a question has the model call.
#[derive(Debug, Clone)]
pub struct Tool {
    /// As the answer names it: [`annapurna_contract::model::VERDICT_TOOL`], for instance.
    pub name: &'static str,
    /// What its input records, in a sentence.
    pub description: &'static str,
    /// JSON schema of its input.
    pub schema: Value,
    /// Longest answer, tokens, without what the model thinks before it; one that is cut is
    /// [`ModelError::Unusable`].
    pub max_tokens: i32,
}

/// A client of Bedrock's runtime.
#[derive(Debug, Clone)]
pub struct Model {
    client: Client,
}

impl Model {
    /// A client with a function's credentials and endpoints.
    ///
    /// A long program takes a model minutes, so an attempt may last four; throttling is retried.
    pub fn new(config: &SdkConfig) -> Self {
        Self::with_retries(config, RetryConfig::standard().with_max_attempts(4))
    }

    fn with_retries(config: &SdkConfig, retries: RetryConfig) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_secs(240))
            .build();
        let settings = aws_sdk_bedrockruntime::config::Builder::from(config)
            .timeout_config(timeouts)
            .retry_config(retries)
            .build();
        Self {
            client: Client::from_conf(settings),
        }
    }

    /// Asks one question with the Converse API and reads the input of the tool call.
    ///
    /// # Errors
    ///
    /// See [`ModelError`]; an answer that was cut at `max_tokens`, lacks the tool call or does not
    /// read as `T` is [`ModelError::Unusable`].
    pub async fn ask<T: DeserializeOwned>(
        &self,
        model_id: &str,
        system: &str,
        prompt: &str,
        tool: &Tool,
    ) -> Result<T, ModelError> {
        let unusable = |reason: String| ModelError::Unusable {
            model_id: model_id.to_owned(),
            reason,
        };
        let malformed = |error: BuildError| unusable(error.to_string());
        let manner = Manner::of(model_id);
        let max_tokens = manner.max_tokens(tool);
        let question = Message::builder()
            .role(ConversationRole::User)
            .content(ContentBlock::Text(prompt.to_owned()))
            .build()
            .map_err(malformed)?;
        let answer = self
            .client
            .converse()
            .model_id(model_id)
            .system(SystemContentBlock::Text(manner.system(system, tool)))
            .messages(question)
            .tool_config(manner.tools(tool).map_err(malformed)?)
            .inference_config(
                InferenceConfiguration::builder()
                    .max_tokens(max_tokens)
                    .build(),
            )
            .set_additional_model_request_fields(manner.fields())
            .send()
            .await
            .map_err(|error| failure(model_id, error))?;
        if *answer.stop_reason() == StopReason::MaxTokens {
            return Err(unusable(format!("cut at {max_tokens} tokens")));
        }
        let input = tool_input(answer.output, tool.name)
            .ok_or_else(|| unusable(format!("no call of the tool `{}`", tool.name)))?;
        serde_json::from_value(input)
            .map_err(|error| unusable(format!("input of `{}`: {error}", tool.name)))
    }

    /// The unit vector of a text, by Titan Text Embeddings V2.
    ///
    /// The model takes at most 8,192 tokens; the caller cuts. Source: Amazon Titan Text Embeddings
    /// models, "Request and response".
    ///
    /// # Errors
    ///
    /// See [`ModelError`]; a vector of another length, or one that is not finite, is
    /// [`ModelError::Unusable`].
    pub async fn embed(&self, model_id: &str, text: &str) -> Result<Vec<f32>, ModelError> {
        #[derive(Deserialize)]
        struct Answer {
            embedding: Vec<f32>,
        }
        let unusable = |reason: String| ModelError::Unusable {
            model_id: model_id.to_owned(),
            reason,
        };
        let body =
            json!({"inputText": text, "dimensions": EMBEDDING_DIMENSIONS, "normalize": true});
        let output = self
            .client
            .invoke_model()
            .model_id(model_id)
            .content_type("application/json")
            .accept("application/json")
            .body(Blob::new(body.to_string()))
            .send()
            .await
            .map_err(|error| failure(model_id, error))?;
        let answer: Answer = serde_json::from_slice(output.body.as_ref())
            .map_err(|error| unusable(format!("not an embedding: {error}")))?;
        let vector = answer.embedding;
        if vector.len() != EMBEDDING_DIMENSIONS {
            let length = vector.len();
            return Err(unusable(format!(
                "{length} dimensions, not {EMBEDDING_DIMENSIONS}"
            )));
        }
        let length: f32 = vector.iter().map(|part| part * part).sum();
        if !length.is_finite() || length <= f32::EPSILON {
            return Err(unusable("a vector without direction".to_owned()));
        }
        Ok(vector)
    }
}

/// The input of the first call of the tool, if the message has one.
fn tool_input(output: Option<ConverseOutput>, name: &str) -> Option<Value> {
    let Some(ConverseOutput::Message(message)) = output else {
        return None;
    };
    message.content.into_iter().find_map(|block| match block {
        ContentBlock::ToolUse(call) if call.name == name => Some(value(call.input)),
        _ => None,
    })
}

/// Sorts what Bedrock said into what passes with time and what does not.
fn failure<E, R>(model_id: &str, error: SdkError<E, R>) -> ModelError
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    const LASTING: [&str; 4] = [
        "AccessDeniedException",
        "ResourceNotFoundException",
        "ValidationException",
        "UnrecognizedClientException",
    ];
    let lasting = error.code().is_some_and(|code| LASTING.contains(&code));
    let model_id = model_id.to_owned();
    let reason = chain(&error);
    if lasting {
        ModelError::Refused { model_id, reason }
    } else {
        ModelError::Unavailable { model_id, reason }
    }
}

/// JSON as the SDK's own type of it.
fn document(value: &Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(flag) => Document::Bool(*flag),
        Value::String(text) => Document::String(text.clone()),
        Value::Array(items) => Document::Array(items.iter().map(document).collect()),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields: HashMap<String, Document> = fields
                .map(|(name, value)| (name.clone(), document(value)))
                .collect();
            Document::Object(fields)
        }
        Value::Number(number) => {
            let whole = number.as_u64().map(Number::PosInt);
            let negative = || number.as_i64().map(Number::NegInt);
            let float = || number.as_f64().map(Number::Float);
            let number = whole.or_else(negative).or_else(float);
            number.map_or(Document::Null, Document::Number)
        }
    }
}

/// The SDK's type of JSON as JSON. A number that JSON cannot hold becomes null.
fn value(document: Document) -> Value {
    match document {
        Document::Null => Value::Null,
        Document::Bool(flag) => Value::Bool(flag),
        Document::String(text) => Value::String(text),
        Document::Array(items) => items.into_iter().map(value).collect(),
        Document::Object(fields) => fields
            .into_iter()
            .map(|(name, field)| (name, value(field)))
            .collect(),
        Document::Number(Number::PosInt(number)) => number.into(),
        Document::Number(Number::NegInt(number)) => number.into(),
        Document::Number(Number::Float(number)) => number.into(),
    }
}

#[cfg(test)]
mod tests {
    use annapurna_contract::model::{RelevanceVerdict, VERDICT_TOOL, verdict_schema};
    use aws_config::BehaviorVersion;
    use aws_credential_types::Credentials;
    use axum::{Router, http::StatusCode, response::IntoResponse, routing::post};

    use super::*;

    /// A Bedrock that gives the same answer to every request.
    async fn bedrock(status: u16, body: Value) -> Model {
        let status = StatusCode::from_u16(status).unwrap();
        let error = body["__type"].as_str().unwrap_or_default().to_owned();
        let answer = move || async move {
            let headers = [
                ("content-type", "application/json".to_owned()),
                ("x-amzn-errortype", error),
            ];
            (status, headers, body.to_string()).into_response()
        };
        let router = Router::new().route("/{*any}", post(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region("us-east-1")
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(format!("http://{address}"))
            .load()
            .await;
        // One attempt: the tests look at how an error is sorted, not at the SDK's waiting.
        Model::with_retries(&config, RetryConfig::disabled())
    }

    fn tool() -> Tool {
        Tool {
            name: VERDICT_TOOL,
            description: "records the verdict",
            schema: verdict_schema(),
            max_tokens: 100,
        }
    }

    async fn ask(status: u16, body: Value) -> Result<RelevanceVerdict, ModelError> {
        let model = bedrock(status, body).await;
        model.ask("some-model", "system", "prompt", &tool()).await
    }

    fn converse_answer(stop_reason: &str, content: Value) -> Value {
        json!({
            "output": {"message": {"role": "assistant", "content": [content]}},
            "stopReason": stop_reason,
            "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
            "metrics": {"latencyMs": 1},
        })
    }

    fn call(name: &str, input: Value) -> Value {
        json!({"toolUse": {"toolUseId": "t1", "name": name, "input": input}})
    }

    #[tokio::test]
    async fn the_tools_input_is_the_answer() {
        let input = json!({"relevant": true, "reason": "It trains models."});
        let answer = converse_answer("tool_use", call(VERDICT_TOOL, input));
        let verdict = ask(200, answer).await.unwrap();
        assert!(verdict.relevant);
        assert_eq!(verdict.reason, "It trains models.");
    }

    #[tokio::test]
    async fn throttling_is_not_available_and_not_an_answer() {
        let body = json!({"__type": "ThrottlingException", "message": "slow down"});
        let error = ask(429, body).await.unwrap_err();
        assert!(matches!(error, ModelError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("slow down"), "{error}");
    }

    #[tokio::test]
    async fn a_model_without_access_is_refused() {
        let body = json!({"__type": "AccessDeniedException", "message": "no access"});
        let error = ask(403, body).await.unwrap_err();
        assert!(matches!(error, ModelError::Refused { .. }), "{error}");
    }

    #[tokio::test]
    async fn nonsense_is_unusable() {
        let answers = [
            converse_answer("end_turn", json!({"text": "I think it is relevant."})),
            converse_answer("tool_use", call(VERDICT_TOOL, json!({"relevant": "maybe"}))),
            converse_answer("tool_use", call("rm", json!({}))),
            converse_answer("max_tokens", call(VERDICT_TOOL, json!({"relevant": true}))),
        ];
        for answer in answers {
            let error = ask(200, answer.clone()).await.unwrap_err();
            assert!(
                matches!(error, ModelError::Unusable { .. }),
                "{answer}: {error}"
            );
        }
    }

    #[tokio::test]
    async fn only_a_vector_of_the_right_length_is_one() {
        let good = json!({"embedding": vec![0.5; EMBEDDING_DIMENSIONS], "inputTextTokenCount": 3});
        let model = bedrock(200, good).await;
        let vector = model.embed("titan", "text").await.unwrap();
        assert_eq!(vector.len(), EMBEDDING_DIMENSIONS);
        for bad in [
            json!({"embedding": [0.5]}),
            json!({"embedding": vec![0.0; EMBEDDING_DIMENSIONS]}),
            json!({"text": "hello"}),
        ] {
            let model = bedrock(200, bad).await;
            let error = model.embed("titan", "text").await.unwrap_err();
            assert!(matches!(error, ModelError::Unusable { .. }), "{error}");
        }
    }
}
