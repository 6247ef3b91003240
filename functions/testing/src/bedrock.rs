//! A Bedrock that answers, or misbehaves, as a test tells it and remembers what it was asked.

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

/// What one question gets.
#[derive(Debug, Clone)]
enum Reply {
    /// A call of the tool with this input.
    Input(Value),
    /// Text and no call, with the reason to stop.
    Text(&'static str, String),
    /// An error with its status and name.
    Error(u16, &'static str),
}

#[derive(Debug, Default)]
struct Told {
    replies: VecDeque<Reply>,
    always: Option<Value>,
    most_at_a_time: Option<usize>,
    prompts: Vec<String>,
    systems: Vec<String>,
    n_embeddings: usize,
    n_throttled: usize,
    together: Option<Arc<Barrier>>,
}

/// The stand-in. Each question takes the next reply; without one it is throttled.
#[derive(Debug, Clone, Default)]
pub struct Bedrock {
    told: Arc<Mutex<Told>>,
}

impl Bedrock {
    /// Answers the next question with this input of the tool.
    ///
    /// # Panics
    ///
    /// When a test thread died with the lock.
    pub fn answer(&self, input: Value) -> &Self {
        self.reply(Reply::Input(input))
    }

    /// Answers the next question with text and no call, and ends for this reason: `end_turn`, `max_tokens`, `refusal`,
    /// `guardrail_intervened`.
    ///
    /// # Panics
    ///
    /// When a test thread died with the lock.
    pub fn say(&self, stop_reason: &'static str, text: &str) -> &Self {
        self.reply(Reply::Text(stop_reason, text.to_owned()))
    }

    /// Refuses the next question with an error of Bedrock's: its status and name.
    ///
    /// # Panics
    ///
    /// When a test thread died with the lock.
    pub fn refuse(&self, status: u16, name: &'static str) -> &Self {
        self.reply(Reply::Error(status, name))
    }

    /// Answers each question that has no reply of its own with this input.
    ///
    /// # Panics
    ///
    /// When a test thread died with the lock.
    pub fn answer_always(&self, input: Value) -> &Self {
        self.told.lock().unwrap().always = Some(input);
        self
    }

    /// The quota from now on: so many questions are answered, then all are throttled until it is called again.
    ///
    /// # Panics
    ///
    /// When a test thread died with the lock.
    pub fn allow(&self, n_questions: usize) {
        self.told.lock().unwrap().most_at_a_time = Some(n_questions);
    }

    /// How many questions were throttled.
    ///
    /// # Panics
    ///
    /// When a test thread died with the lock.
    pub fn n_throttled(&self) -> usize {
        self.told.lock().unwrap().n_throttled
    }

    fn reply(&self, reply: Reply) -> &Self {
        self.told.lock().unwrap().replies.push_back(reply);
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

    /// Every prompt so far: what the user's turns say, with what was said of the model's calls.
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
    told.prompts.push(said_by_the_user(&request));
    let system = request["system"][0]["text"].as_str();
    told.systems.push(system.unwrap_or_default().to_owned());
    let reply = match told.most_at_a_time.as_mut() {
        Some(0) => Reply::Error(429, "ThrottlingException"),
        quota => {
            if let Some(left) = quota {
                *left -= 1;
            }
            let always = told.always.clone().map(Reply::Input);
            let next = told.replies.pop_front().or(always);
            next.unwrap_or(Reply::Error(429, "ThrottlingException"))
        }
    };
    let (stop_reason, block) = match reply {
        Reply::Error(status, name) => {
            told.n_throttled += usize::from(status == 429);
            let status = StatusCode::from_u16(status).unwrap();
            let body = Json(json!({"message": "as the test says"}));
            return (status, [("x-amzn-errortype", name)], body).into_response();
        }
        Reply::Text(stop_reason, text) => (stop_reason, json!({"text": text})),
        Reply::Input(input) => {
            let tools = &request["toolConfig"];
            let forced = &tools["toolChoice"]["tool"]["name"];
            let name = match forced.is_null() {
                true => &tools["tools"][0]["toolSpec"]["name"],
                false => forced,
            };
            let call = json!({"toolUseId": "t", "name": name, "input": input});
            ("tool_use", json!({"toolUse": call}))
        }
    };
    Json(json!({
        "output": {"message": {"role": "assistant", "content": [block]}},
        "stopReason": stop_reason,
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
        "metrics": {"latencyMs": 1},
    }))
    .into_response()
}

fn said_by_the_user(request: &Value) -> String {
    let messages = request["messages"].as_array().into_iter().flatten();
    let users = messages.filter(|message| message["role"] == "user");
    let blocks = users.flat_map(|message| message["content"].as_array().into_iter().flatten());
    let texts = blocks.filter_map(|block| {
        let result = &block["toolResult"]["content"][0]["text"];
        block["text"].as_str().or(result.as_str())
    });
    texts.collect::<Vec<_>>().join("\n\n")
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
