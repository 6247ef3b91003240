//! The Bedrock runtime endpoint of the `local` environment.
//!
//! In: Bedrock's `Converse` and `InvokeModel` (Titan text embeddings) over HTTP, as the AWS SDKs send
//! them when `AWS_ENDPOINT_URL_BEDROCK_RUNTIME` points here. Out: answers of a [`Backend`] in Bedrock's
//! wire form, errors as AWS names them, and one log line a request that says which backend answered.
//! Signatures are not checked and nothing is streamed: the server listens on loopback for the functions.
//!
//! `GET /health` answers `{"status":"ok","model":…}`.

mod answer_text;
mod bedrock;
mod embedding;
mod error;
mod offline;
mod openai;
mod program;
pub mod rules;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use annapurna_contract::text::escaped;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, body::Bytes};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;

use bedrock::Bedrock;
use error::ModelError;
use openai::OpenAi;
use wire::{ConverseRequest, EmbeddingRequest};

/// Largest request body. Source: Bedrock API reference, "InvokeModel", length of `body`.
const MAX_BODY_BYTES: usize = 25_000_000;

/// The label of [`Backend::OfflineRules`].
const OFFLINE_RULES: &str = "offline rules";

/// Who answers the functions' questions.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Backend {
    /// Rules: no model, no network.
    OfflineRules,
    /// A server with the OpenAI API: Ollama, llama.cpp, vLLM.
    #[serde(rename = "openai")]
    OpenAi {
        /// With or without the last part `/v1`, for example `http://127.0.0.1:11434`.
        base_url: String,
        /// Name of the chat model.
        model: String,
        /// Sent as bearer token.
        api_key: Option<String>,
        /// Name of the embeddings model; without one, embeddings are hashed words.
        embeddings_model: Option<String>,
    },
    /// Real Bedrock with the caller's own AWS configuration.
    Bedrock {
        /// AWS region.
        region: String,
        /// Profile of the AWS configuration files; without one, the default credentials chain.
        profile: Option<String>,
    },
}

impl Backend {
    /// What `status` and every log line call this backend; holds no secret.
    pub fn label(&self) -> String {
        match self {
            Self::OfflineRules => OFFLINE_RULES.to_owned(),
            Self::OpenAi {
                base_url, model, ..
            } => {
                let url = openai::without_credentials(base_url);
                format!("openai-compatible: {url} ({model})")
            }
            Self::Bedrock { region, .. } => format!("bedrock ({region})"),
        }
    }
}

/// The label only: the fields hold an API key.
impl fmt::Debug for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Backend({})", self.label())
    }
}

/// Serves the endpoint on `listener` until the task is dropped.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidInput`] when the backend's settings cannot work (a base URL that is none).
pub async fn serve(listener: TcpListener, backend: Backend) -> io::Result<()> {
    let model = Model::new(backend).await?;
    serve_model(listener, model).await
}

async fn serve_model(listener: TcpListener, model: Model) -> io::Result<()> {
    tracing::info!(model = %model.label, address = %listener.local_addr()?, "model endpoint started");
    let router = Router::new()
        .route("/health", get(health))
        .route("/model/{*target}", post(run_operation))
        .fallback(unknown_path)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Arc::new(model));
    axum::serve(listener, router).await
}

/// A backend ready to answer.
struct Model {
    label: String,
    engine: Engine,
}

enum Engine {
    OfflineRules,
    OpenAi(OpenAi),
    Bedrock(Bedrock),
}

/// A response body and who made it.
struct Reply {
    body: Bytes,
    answered_by: String,
}

impl Model {
    async fn new(backend: Backend) -> io::Result<Self> {
        let label = backend.label();
        let engine = match backend {
            Backend::OfflineRules => Engine::OfflineRules,
            Backend::OpenAi {
                base_url,
                model,
                api_key,
                embeddings_model,
            } => OpenAi::new(&base_url, model, api_key, embeddings_model)
                .map(Engine::OpenAi)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
            Backend::Bedrock { region, profile } => {
                Engine::Bedrock(Bedrock::new(region, profile.as_deref()).await)
            }
        };
        Ok(Self { label, engine })
    }

    async fn run(&self, operation: &str, model_id: &str, body: Bytes) -> Result<Reply, ModelError> {
        match operation {
            "converse" => self.converse(model_id, body).await,
            "invoke" => self.invoke(model_id, body).await,
            other => Err(ModelError::UnknownOperation(format!(
                "the local model endpoint has the operations converse and invoke, got `{}`",
                escaped(other, error::EXCERPT)
            ))),
        }
    }

    async fn converse(&self, model_id: &str, body: Bytes) -> Result<Reply, ModelError> {
        if let Engine::Bedrock(bedrock) = &self.engine {
            return Ok(self.reply(bedrock.converse(model_id, body).await?));
        }
        let started = Instant::now();
        let request: ConverseRequest = wire::parse(&body, "a Converse request")?;
        let answer = match &self.engine {
            Engine::OpenAi(openai) => openai.converse(&request).await?,
            _ => offline::converse(&request)?,
        };
        Ok(self.reply(answer.response(started.elapsed())))
    }

    async fn invoke(&self, model_id: &str, body: Bytes) -> Result<Reply, ModelError> {
        if let Engine::Bedrock(bedrock) = &self.engine {
            return Ok(self.reply(bedrock.invoke(model_id, body).await?));
        }
        let request = EmbeddingRequest::parse(&body)?;
        if let Engine::OpenAi(openai) = &self.engine
            && let Some(embedding) = openai.embed(&request).await?
        {
            return Ok(self.reply(request.response(&embedding)));
        }
        let embedding = embedding::embed(&request.input_text, request.dimensions);
        Ok(Reply {
            body: request.response(&embedding),
            answered_by: OFFLINE_RULES.to_owned(),
        })
    }

    fn reply(&self, body: Bytes) -> Reply {
        Reply {
            body,
            answered_by: self.label.clone(),
        }
    }
}

async fn health(State(model): State<Arc<Model>>) -> Response {
    Json(json!({"status": "ok", "model": model.label})).into_response()
}

async fn unknown_path() -> ModelError {
    ModelError::UnknownOperation(
        "the local model endpoint serves /model/{modelId}/converse, /model/{modelId}/invoke and /health"
            .to_owned(),
    )
}

/// `target` is `{modelId}/{operation}`; a model id may itself contain slashes.
async fn run_operation(
    State(model): State<Arc<Model>>,
    Path(target): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let started = Instant::now();
    let (model_id, operation) = target.rsplit_once('/').unwrap_or(("", &target));
    let result = match body {
        Ok(body) => model.run(operation, model_id, body).await,
        Err(rejection) => Err(ModelError::Validation(rejection.to_string())),
    };
    let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    match result {
        Ok(Reply { body, answered_by }) => {
            tracing::info!(model = %answered_by, operation, model_id, latency_ms, "answered");
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(error) => {
            let error_type = error.error_type();
            tracing::warn!(model = %model.label, operation, model_id, latency_ms, error_type, %error, "refused");
            error.into_response()
        }
    }
}
