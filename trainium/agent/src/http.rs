//! The HTTP API: `GET /health`, `GET /batches/{id}`, `POST /execute`, `POST /execute_batch`.
//!
//! For people and for a tester that calls the agent instead of using the queue. Results are answered, each with the
//! end of what the program printed; they are written to S3 as well only for programs whose `s3_code_key` is given (and
//! whose paper is known). `success` of a batch says that the batch was carried out; how its programs fared is in
//! `successful`, `failed` and `results`, and `errors` has those that have no result for a fault of ours. A program
//! runs to its end also when the client goes away; a batch that was sent with a `batch_id` is then found by it. With a
//! token every request needs `Authorization: Bearer`.

use std::collections::BTreeSet;
use std::sync::Arc;

use annapurna_contract::{
    AgentHealth, AgentRefusal, BatchReport, BatchResults, CodeTestingMessage, HealthStatus,
    PaperId, TestResult,
    text::{chain, escaped},
};
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::batch::Batch;
use crate::executor::{ExecuteError, Executor, MAX_CODE};
use crate::job::{Job, Origin};
use crate::records::{self, Outcome};
use crate::worker::{BatchError, MAX_BATCH, check_batch, check_program, check_timeout};

/// Largest body, bytes: a full batch of the largest programs, each byte escaped by another.
const MAX_BODY: usize = 2 * MAX_BATCH * MAX_CODE as usize;
/// The limit of `POST /execute` without one, seconds.
const DEFAULT_TIMEOUT: u32 = 600;

/// Body of `POST /execute`; either `code` or `s3_code_key` must be there.
#[derive(Debug, Deserialize)]
struct ExecuteRequest {
    #[serde(default)]
    paper_id: Option<PaperId>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    s3_code_key: String,
    #[serde(default)]
    code_sha256: String,
    #[serde(default = "default_timeout")]
    timeout: u32,
    #[serde(default)]
    dry_run: bool,
}

fn default_timeout() -> u32 {
    DEFAULT_TIMEOUT
}

/// A request that has no result.
enum Refusal {
    Request(BatchError),
    Body(JsonRejection),
    Failed(ExecuteError),
    Stopping,
    NoBatch(String),
    Lost(String),
    /// The device does not train: nothing is run.
    NotReady(String),
}

impl From<BatchError> for Refusal {
    fn from(error: BatchError) -> Self {
        Self::Request(error)
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self::Body(rejection)
    }
}

impl From<ExecuteError> for Refusal {
    fn from(error: ExecuteError) -> Self {
        if error.is_stop() {
            Self::Stopping
        } else {
            Self::Failed(error)
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::Request(error) => (StatusCode::BAD_REQUEST, chain(&error)),
            Self::Body(rejection) => (rejection.status(), rejection.body_text()),
            Self::Stopping => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the agent is stopping".to_owned(),
            ),
            Self::Failed(error) => (StatusCode::BAD_GATEWAY, chain(&error)),
            Self::NoBatch(batch_id) => (
                StatusCode::NOT_FOUND,
                format!("no batch `{}` of late", escaped(&batch_id, 128)),
            ),
            Self::Lost(error) => (StatusCode::INTERNAL_SERVER_ERROR, error),
            Self::NotReady(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
        };
        (status, Json(refused(error))).into_response()
    }
}

fn refused(error: String) -> AgentRefusal {
    AgentRefusal {
        success: false,
        error,
    }
}

/// The API. `token` is what a request must bear.
pub fn router(executor: Arc<Executor>, token: Option<&str>) -> Router {
    let router = Router::new()
        .route("/health", get(health))
        .route("/batches/{id}", get(batch))
        .route("/execute", post(execute))
        .route("/execute_batch", post(execute_batch))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(executor);
    match token {
        None => router,
        Some(token) => router.layer(middleware::from_fn_with_state(digest(token), authorize)),
    }
}

type TokenDigest = [u8; 32];

/// Comparing digests takes the same time wherever two tokens differ.
fn digest(token: &str) -> TokenDigest {
    Sha256::digest(token).into()
}

async fn authorize(State(expected): State<TokenDigest>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    if given.is_some_and(|token| digest(token) == expected) {
        return next.run(request).await;
    }
    let error = refused("a bearer token is needed".to_owned());
    (StatusCode::UNAUTHORIZED, Json(error)).into_response()
}

async fn health(State(executor): State<Arc<Executor>>) -> Json<AgentHealth> {
    let host = &executor.host;
    let refusal = match &executor.sandbox {
        Ok(_) => executor.device.refusal(),
        Err(refusal) => Some(refusal.to_string()),
    };
    Json(AgentHealth {
        status: match &refusal {
            None => HealthStatus::Healthy,
            Some(_) => HealthStatus::Refusing,
        },
        isolation: executor.isolation(),
        reason: refusal,
        python: host.python.clone(),
        torch: host.torch.clone(),
        neuron: host.neuron,
        busy: executor.slots.busy(),
        slots: executor.slots.total(),
        faults: executor.records.faults(),
    })
}

async fn batch(
    State(executor): State<Arc<Executor>>,
    Path(batch_id): Path<String>,
) -> Result<Json<BatchReport>, Refusal> {
    let found = executor.records.batch(&batch_id);
    found.map(Json).ok_or(Refusal::NoBatch(batch_id))
}

async fn execute(
    State(executor): State<Arc<Executor>>,
    body: Result<Json<ExecuteRequest>, JsonRejection>,
) -> Result<Json<TestResult>, Refusal> {
    let Json(request) = body?;
    check_timeout(request.timeout)?;
    check_device(&executor)?;
    check_program(request.code.as_ref(), &request.s3_code_key)?;
    let job = Job {
        paper_id: request.paper_id,
        batch_id: String::new(),
        code: request.code,
        s3_code_key: request.s3_code_key,
        code_sha256: request.code_sha256,
        timeout: std::time::Duration::from_secs(request.timeout.into()),
        skip_tested: false,
        dry_run: request.dry_run,
        trial: false,
        live: false,
        origin: Origin::Http,
    };
    let mut outcomes = carried_out(&executor, String::new(), [job]).await?;
    let Some((_, outcome)) = outcomes.pop() else {
        return Err(Refusal::Lost("the program has no outcome".to_owned()));
    };
    Ok(Json(outcome?))
}

async fn execute_batch(
    State(executor): State<Arc<Executor>>,
    body: Result<Json<CodeTestingMessage>, JsonRejection>,
) -> Result<Json<BatchResults>, Refusal> {
    let Json(message) = body?;
    check_batch(&message)?;
    check_each_once(&message)?;
    check_device(&executor)?;
    let batch_id = message.batch_id.clone();
    let jobs = Job::of_batch(message, Origin::Http);
    let outcomes = carried_out(&executor, batch_id, jobs).await?;
    let mut answer = BatchResults {
        batch_size: outcomes.len(),
        ..BatchResults::default()
    };
    for (paper, outcome) in outcomes {
        match (paper, outcome) {
            (Some(paper), Ok(result)) => {
                answer.successful += usize::from(result.success);
                answer.results.insert(paper, result);
            }
            (Some(paper), Err(error)) => {
                let fault = records::no_result(&error).ok_or(Refusal::Stopping)?;
                answer.errors.insert(paper, fault);
            }
            (None, _) => return Err(Refusal::Lost("a program without a paper".to_owned())),
        }
    }
    answer.failed = answer.batch_size - answer.successful;
    answer.success = answer.errors.is_empty();
    Ok(Json(answer))
}

/// Runs programs in a task of their own: a client that goes away ends none.
async fn carried_out(
    executor: &Arc<Executor>,
    batch_id: String,
    jobs: impl IntoIterator<Item = Job>,
) -> Result<Vec<(Option<PaperId>, Outcome)>, Refusal> {
    let batch = Batch::claim(executor, batch_id, jobs);
    let executor = Arc::clone(executor);
    let task = tokio::spawn(async move { batch.carry_out(&executor).await });
    task.await.map_err(|error| Refusal::Lost(error.to_string()))
}

/// A program on a device that does not train would fail for our reasons.
fn check_device(executor: &Executor) -> Result<(), Refusal> {
    let refusal = executor.device.refusal();
    refusal.map_or(Ok(()), |reason| Err(Refusal::NotReady(reason)))
}

/// The answer has one result a paper.
fn check_each_once(message: &CodeTestingMessage) -> Result<(), BatchError> {
    let mut seen = BTreeSet::new();
    match message
        .batch
        .iter()
        .find(|program| !seen.insert(&program.paper_id))
    {
        Some(program) => Err(BatchError::Twice(program.paper_id.clone())),
        None => Ok(()),
    }
}
