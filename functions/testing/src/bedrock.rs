//! A Bedrock that answers as a test tells it and remembers what it was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use annapurna_contract::model::EMBEDDING_DIMENSIONS;
use annapurna_runtime::Model;
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::sync::Barrier;

/// Longest wait for questions that are asked at once, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
struct Told {
    answers: VecDeque<Value>,
    prompts: Vec<String>,
    systems: Vec<String>,
    n_embeddings: usize,
    together: Option<Arc<Barrier>>,
}

/// The stand-in. Each question takes the next answer; without one it is throttled.
#[derive(Debug, Clone, Default)]
pub struct Bedrock {
    told: Arc<Mutex<Told>>,
}

impl Bedrock {
    /// Answers the next question with this input of the forced tool.
    ///
    /// # Panics
    ///
    /// When a test thread died with the lock.
    pub fn answer(&self, input: Value) -> &Self {
        self.told.lock().unwrap().answers.push_back(input);
        self
    }

    /// Answers no question until so many are asked at once.
    ///
    /// # Panics
    ///
    /// When a test thread died with the lock.
    pub fn answer_together(&self, n_questions: usize) {
        self.told.lock().unwrap().together = Some(Arc::new(Barrier::new(n_questions)));
    }

    /// Every prompt so far.
    ///
    /// # Panics
    ///
    /// When a test thread died with the lock.
    pub fn prompts(&self) -> Vec<String> {
        self.told.lock().unwrap().prompts.clone()
    }

    /// The rules that came with each prompt so far.
    ///
    /// # Panics
    ///
    /// When a test thread died with the lock.
    pub fn systems(&self) -> Vec<String> {
        self.told.lock().unwrap().systems.clone()
    }

    /// How many vectors were asked for.
    ///
    /// # Panics
    ///
    /// When a test thread died with the lock.
    pub fn n_embeddings(&self) -> usize {
        self.told.lock().unwrap().n_embeddings
    }

    /// Listens on a free port and gives a client for it.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    pub async fn model(&self) -> Model {
        let router = Router::new()
            .route("/model/{model}/converse", post(converse))
            .route("/model/{model}/invoke", post(invoke))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Model::new(&crate::sdk_config(&format!("http://{address}")).await)
    }
}

async fn converse(State(bedrock): State<Bedrock>, Json(request): Json<Value>) -> Response {
    let prompt = request["messages"][0]["content"][0]["text"].as_str();
    let together = bedrock.told.lock().unwrap().together.clone();
    if let Some(together) = together {
        let waited = tokio::time::timeout(PATIENCE, together.wait()).await;
        assert!(
            waited.is_ok(),
            "waited {} s for questions that are asked at once",
            PATIENCE.as_secs()
        );
    }
    let mut told = bedrock.told.lock().unwrap();
    told.prompts.push(prompt.unwrap_or_default().to_owned());
    let system = request["system"][0]["text"].as_str();
    told.systems.push(system.unwrap_or_default().to_owned());
    let Some(input) = told.answers.pop_front() else {
        let headers = [("x-amzn-errortype", "ThrottlingException")];
        let body = Json(json!({"message": "Too many requests"}));
        return (StatusCode::TOO_MANY_REQUESTS, headers, body).into_response();
    };
    let tool = &request["toolConfig"]["toolChoice"]["tool"]["name"];
    let call = json!({"toolUse": {"toolUseId": "t", "name": tool, "input": input}});
    Json(json!({
        "output": {"message": {"role": "assistant", "content": [call]}},
        "stopReason": "tool_use",
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
        "metrics": {"latencyMs": 1},
    }))
    .into_response()
}

/// A vector of word counts, so that texts of the same words are near each other.
async fn invoke(
    State(bedrock): State<Bedrock>,
    Path(_model): Path<String>,
    Json(request): Json<Value>,
) -> Json<Value> {
    bedrock.told.lock().unwrap().n_embeddings += 1;
    let mut vector = vec![0.0_f64; EMBEDDING_DIMENSIONS];
    for word in request["inputText"]
        .as_str()
        .unwrap_or_default()
        .split_whitespace()
    {
        let sum: usize = word
            .bytes()
            .map(usize::from)
            .enumerate()
            .map(|(at, byte)| (at + 1) * byte)
            .sum();
        vector[sum % EMBEDDING_DIMENSIONS] += 1.0;
    }
    let length = vector.iter().map(|part| part * part).sum::<f64>().sqrt();
    let vector: Vec<f64> = vector.iter().map(|part| part / length.max(1e-9)).collect();
    Json(json!({"embedding": vector, "inputTextTokenCount": 1}))
}
