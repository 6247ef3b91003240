//! A server with the OpenAI API in the place of Bedrock.
//!
//! In: Converse and Titan requests. Out: `/v1/chat/completions` with `tools` and `tool_choice`, and
//! `/v1/embeddings`, translated back. Small models and servers often ignore `tool_choice` and write the
//! JSON into the text; it is then read from there ([`super::answer_text`]). Images and
//! documents are refused. Source: OpenAI API reference, "Create chat completion", "Create embeddings".

use std::time::Duration;

use annapurna_contract::text::{escaped, excerpt};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::answer_text::{arguments, first_answer};
use super::embedding::normalize;
use super::error::{EXCERPT, ModelError};
use super::wire::{
    Answer, ConverseRequest, EmbeddingRequest, Message, Stop, ToolChoice, ToolSpec, Usage, texts,
};

/// A whole program takes a model on a CPU minutes. Just under the 240 s that a function waits, so that
/// the function hears why.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(235);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Far above any answer worth having.
const MAX_RESPONSE_BYTES: usize = 16 << 20;

/// Settings that no request can succeed with.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenAiError {
    /// Not a URL, or not one of HTTP.
    #[error("the model's base url must start with http:// or https://, got `{}`", escaped(.0, EXCERPT))]
    BaseUrl(String),
    /// The HTTP client did not start.
    #[error("cannot start the http client for the model")]
    Client(#[from] reqwest::Error),
}

/// A client of one server.
pub(super) struct OpenAi {
    http: reqwest::Client,
    base_url: String,
    model: String,
    api_key: Option<String>,
    embeddings_model: Option<String>,
}

/// `base_url` without user name, password and query; a text that is no URL, escaped and cut.
pub(super) fn without_credentials(base_url: &str) -> String {
    let Ok(mut url) = Url::parse(base_url) else {
        return escaped(base_url, EXCERPT);
    };
    // Both fail only for URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.as_str().trim_end_matches('/').to_owned()
}

impl OpenAi {
    pub(super) fn new(
        base_url: &str,
        model: String,
        api_key: Option<String>,
        embeddings_model: Option<String>,
    ) -> Result<Self, OpenAiError> {
        let is_http =
            Url::parse(base_url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !is_http {
            return Err(OpenAiError::BaseUrl(base_url.to_owned()));
        }
        let base_url = base_url.trim_end_matches('/');
        let base_url = base_url.strip_suffix("/v1").unwrap_or(base_url);
        Ok(Self {
            http: reqwest::Client::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(ANSWER_TIMEOUT)
                .build()?,
            base_url: base_url.to_owned(),
            model,
            api_key,
            embeddings_model,
        })
    }

    /// Answers a Converse request.
    pub(super) async fn converse(&self, request: &ConverseRequest) -> Result<Answer, ModelError> {
        let response = self
            .post("chat/completions", &self.chat_request(request)?)
            .await?;
        to_answer(request, &response)
    }

    /// Embeds with the server's model; `None` when the settings name none.
    pub(super) async fn embed(
        &self,
        request: &EmbeddingRequest,
    ) -> Result<Option<Vec<f64>>, ModelError> {
        let Some(model) = &self.embeddings_model else {
            return Ok(None);
        };
        let mut body =
            json!({"model": model, "input": request.input_text, "encoding_format": "float"});
        let plain = body.clone();
        body["dimensions"] = request.dimensions.into();
        let response = match self.post("embeddings", &body).await {
            // vLLM refuses `dimensions` even when the model has just that many.
            Err(ModelError::Model(_)) => self.post("embeddings", &plain).await?,
            response => response?,
        };
        let values = response
            .pointer("/data/0/embedding")
            .and_then(Value::as_array);
        let embedding: Option<Vec<f64>> =
            values.and_then(|values| values.iter().map(Value::as_f64).collect());
        let mut embedding = embedding
            .ok_or_else(|| ModelError::Model(format!("the model `{model}` sent no embedding")))?;
        if embedding.len() != request.dimensions {
            return Err(ModelError::Model(format!(
                "embeddings of `{model}` have {} dimensions, the index needs {}: name a model with {} (for \
                 example mxbai-embed-large), or none, which hashes words",
                embedding.len(),
                request.dimensions,
                request.dimensions
            )));
        }
        if request.normalize {
            normalize(&mut embedding);
        }
        Ok(Some(embedding))
    }

    fn chat_request(&self, request: &ConverseRequest) -> Result<Value, ModelError> {
        let mut messages = Vec::new();
        let system: Vec<&str> = texts(&request.system).collect();
        if !system.is_empty() {
            messages.push(json!({"role": "system", "content": system.join("\n\n")}));
        }
        for message in &request.messages {
            add_messages(message, &mut messages)?;
        }
        let mut body = json!({"model": self.model, "messages": messages, "stream": false});
        let tools: Vec<Value> = request.tools().map(to_function).collect();
        if !tools.is_empty() {
            body["tools"] = tools.into();
            body["tool_choice"] = match &request.tool_config.tool_choice {
                Some(ToolChoice::Tool { name }) => {
                    json!({"type": "function", "function": {"name": name}})
                }
                Some(ToolChoice::Any {}) => json!("required"),
                Some(ToolChoice::Auto {}) | None => json!("auto"),
            };
        }
        let limits = &request.inference_config;
        for (key, value) in [
            ("max_tokens", json!(limits.max_tokens)),
            ("temperature", json!(limits.temperature)),
            ("top_p", json!(limits.top_p)),
            ("stop", json!(limits.stop_sequences)),
        ] {
            if !value.is_null() {
                body[key] = value;
            }
        }
        Ok(body)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, ModelError> {
        let url = format!("{}/v1/{path}", self.base_url);
        let mut request = self.http.post(&url).json(body);
        if let Some(key) = &self.api_key {
            request = request.bearer_auth(key);
        }
        let shown = without_credentials(&url);
        let response = request
            .send()
            .await
            .map_err(|error| no_answer(&shown, &error))?;
        let status = response.status();
        let text = read_limited(&shown, response).await?;
        if !status.is_success() {
            return Err(refusal(&shown, status, &text));
        }
        serde_json::from_slice(&text).map_err(|error| {
            let text = excerpt(&text, EXCERPT);
            ModelError::Model(format!("{shown} answered no json ({error}): {text}"))
        })
    }
}

fn to_function(tool: &ToolSpec) -> Value {
    json!({"type": "function", "function": {
        "name": tool.name, "description": tool.description, "parameters": tool.input_schema.json,
    }})
}

/// One turn of Converse is several messages here when it carries results of tools.
fn add_messages(message: &Message, messages: &mut Vec<Value>) -> Result<(), ModelError> {
    let mut calls = Vec::new();
    for block in &message.content {
        match block.iter().next().map(|(kind, value)| (kind.as_str(), value)) {
            Some(("toolUse", call)) => calls.push(json!({
                "id": call["toolUseId"], "type": "function",
                "function": {"name": call["name"], "arguments": call["input"].to_string()},
            })),
            Some(("toolResult", result)) => messages.push(json!({
                "role": "tool", "tool_call_id": result["toolUseId"], "content": result["content"].to_string(),
            })),
            Some(("text" | "cachePoint", _)) => {}
            other => {
                let kind = other.map_or("", |(kind, _)| kind);
                return Err(ModelError::Validation(format!(
                    "an openai-compatible model takes text and tool blocks, got `{}`",
                    escaped(kind, EXCERPT)
                )));
            }
        }
    }
    let text = texts(&message.content).collect::<Vec<_>>().join("\n\n");
    if !calls.is_empty() {
        messages.push(json!({"role": message.role, "content": text, "tool_calls": calls}));
    } else if !text.is_empty() {
        messages.push(json!({"role": message.role, "content": text}));
    }
    Ok(())
}

/// What the server answered, as the model's turn. An answer that is none, text in place of a call or a call that is no
/// JSON, is handed on as text: the function tells the model what is wrong with it.
pub(super) fn to_answer(request: &ConverseRequest, response: &Value) -> Result<Answer, ModelError> {
    let choice = &response["choices"][0];
    let message = &choice["message"];
    let stop = match choice["finish_reason"].as_str() {
        Some("length") => Stop::AtLimit,
        Some("content_filter") => Stop::Filtered,
        _ => Stop::Itself,
    };
    let usage = Usage {
        input_tokens: response["usage"]["prompt_tokens"].as_u64().unwrap_or(0),
        output_tokens: response["usage"]["completion_tokens"].as_u64().unwrap_or(0),
    };
    let call = &message["tool_calls"][0]["function"];
    if let Some(name) = call["name"].as_str() {
        let given = &call["arguments"];
        return Ok(match arguments(given.clone()) {
            Some(input) => Answer::tool_use(name, &Value::Object(input), usage),
            None => Answer::text(given.as_str().unwrap_or("(no arguments)"), stop, usage),
        });
    }
    let text = message["content"].as_str().or(message["refusal"].as_str());
    let text = text.filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| {
        let at_limit = match stop {
            Stop::AtLimit => ", it reached its token limit",
            Stop::Filtered | Stop::Itself => "",
        };
        ModelError::Model(format!(
            "the model answered with neither text nor a call{at_limit}"
        ))
    })?;
    let tool = request.forced_tool();
    let answer = tool.and_then(|tool| Some((tool, first_answer(text, tool)?)));
    Ok(match answer {
        Some((tool, input)) => Answer::tool_use(&tool.name, &Value::Object(input), usage),
        None => Answer::text(text, stop, usage),
    })
}

async fn read_limited(url: &str, mut response: Response) -> Result<Vec<u8>, ModelError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| no_answer(url, &error))?
    {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_RESPONSE_BYTES {
            let message = format!("{url} answered more than {MAX_RESPONSE_BYTES} bytes");
            return Err(ModelError::Model(message));
        }
    }
    Ok(body)
}

fn no_answer(url: &str, error: &reqwest::Error) -> ModelError {
    if error.is_timeout() && !error.is_connect() {
        let seconds = ANSWER_TIMEOUT.as_secs();
        ModelError::ModelTimeout(format!("{url} did not answer within {seconds} s"))
    } else {
        ModelError::ServiceUnavailable(format!(
            "{url} cannot be reached, is the model's server running?"
        ))
    }
}

fn refusal(url: &str, status: StatusCode, body: &[u8]) -> ModelError {
    let message = format!("{url} answered {status}: {}", excerpt(body, EXCERPT));
    match status.as_u16() {
        429 => ModelError::Throttling(message),
        401 | 403 => ModelError::AccessDenied(message),
        500.. => ModelError::ServiceUnavailable(message),
        _ => ModelError::Model(message),
    }
}
