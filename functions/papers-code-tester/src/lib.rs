//! Hands programs to the agent in batches, and writes what became of them into the index.
//!
//! In: a [`TesterEvent`] (the schedule's every minute, or a person's), or a notification of S3 that a
//! result was written. Out: one [`annapurna_contract::CodeTestingMessage`] a batch, the document's
//! [`annapurna_contract::Tested`] fields, and an answer for people. Nobody waits here for a program: the
//! agent pulls batches and S3 tells when a result is there. The exception is `TRAINIUM_ENDPOINT` as an
//! address, where the agent is called and answers; such a batch is only as large as fits into the
//! function's time.

mod agent;
mod aws;
mod collect;
mod dispatch;
mod instances;
mod notification;
mod repair;
mod settings;
mod sweep;
mod token;
mod waiting;

use std::time::Duration;

use annapurna_cloud::{QueueError, S3, Sqs};
use annapurna_contract::{
    ConfigError, PaperId, TesterConfig,
    answers::{Collected, Failed},
    events::{self, TesterEvent},
    text::{chain, one_line},
};
use annapurna_runtime::{Search, SearchError};
use aws_config::SdkConfig;
use serde::Serialize;
use serde_json::Value;
use tracing::{error, warn};

use collect::Collector;
use dispatch::Dispatcher;
use instances::TrainiumInstances;
use notification::Notification;
use settings::{Route, Settings};
use token::AgentToken;

pub use agent::AgentError;
pub use collect::CollectError;
use dispatch::Dispatched;

/// Why the tester did not do what an event asks for.
#[derive(Debug, thiserror::Error)]
pub enum TesterError {
    /// The function is configured wrongly.
    #[error("configuration")]
    Config(#[from] ConfigError),
    /// The event is neither a notification nor one of the actions.
    #[error("event is neither a notification of S3 nor an action")]
    Event(#[source] serde_json::Error),
    /// Results are not in the index; Lambda sends the notification again.
    #[error("{} of {requested} results not collected: {}", failed.len(), failed.join("; "))]
    Collect {
        /// Results of the event.
        requested: usize,
        /// Why, for each that failed.
        failed: Vec<String>,
    },
    /// A result could not be brought into the index.
    #[error("result")]
    Result(#[from] CollectError),
    /// The agent's HTTP API did not run a batch.
    #[error("agent")]
    Agent(#[from] AgentError),
    /// The index did not answer.
    #[error("index")]
    Search(#[from] SearchError),
    /// A queue did not answer.
    #[error("queue")]
    Queue(#[from] QueueError),
    /// A batch has no JSON form.
    #[error("batch `{batch_id}` cannot be written as JSON")]
    Batch {
        /// `batch-` and 24 hexadecimal digits.
        batch_id: String,
        /// What serde says of the value.
        #[source]
        source: serde_json::Error,
    },
}

impl TesterError {
    /// The `errorType` that a caller is told.
    pub const fn error_type(&self) -> &'static str {
        match self {
            Self::Event(_) => events::INVALID_REQUEST,
            _ => "TesterError",
        }
    }
}

/// What a person is answered, by action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Batches that were due are with the agent.
    Dispatch(Dispatched),
    /// Results are in the index.
    Collect(Collected),
}

/// The function with its clients.
#[derive(Debug, Clone)]
pub struct Tester {
    dispatcher: Dispatcher,
    collector: Collector,
}

impl Tester {
    /// The function with clients for what `config` names.
    ///
    /// # Errors
    ///
    /// [`TesterError::Config`] and [`TesterError::Search`] for a variable that cannot be used.
    pub fn new(sdk: &SdkConfig, config: TesterConfig<String>) -> Result<Self, TesterError> {
        let search = Search::new(sdk, &config.opensearch_endpoint, &config.opensearch_index)?;
        let settings = Settings::parse(config)?;
        let objects = S3::new(sdk);
        let queues = Sqs::new(sdk);
        let collector = Collector::new(search.clone(), objects.clone(), queues.clone(), &settings);
        let instances = settings
            .instances
            .clone()
            .map(|selection| TrainiumInstances::new(sdk, selection, objects.clone(), &settings));
        let token = match &settings.route {
            Route::Http {
                token_parameter: Some(name),
                ..
            } => Some(AgentToken::new(sdk, name.clone())),
            Route::Http { .. } | Route::Queue => None,
        };
        Ok(Self {
            dispatcher: Dispatcher::new(
                settings,
                search,
                objects,
                queues,
                collector.clone(),
                instances,
                token,
            ),
            collector,
        })
    }

    /// Answers an event. `time` is what the function has left.
    ///
    /// # Errors
    ///
    /// [`TesterError::Collect`] when a notification's result could not be brought into the index, so that
    /// Lambda sends it again; a person gets such failures in the answer. See [`TesterError`] for others.
    pub async fn handle(&self, event: Value, time: Duration) -> Result<Value, TesterError> {
        let answer = if event.get("Records").is_some() {
            let notification = serde_json::from_value(event).map_err(TesterError::Event)?;
            Answer::Collect(self.notified(&notification).await?)
        } else {
            match events::read(event).map_err(TesterError::Event)? {
                TesterEvent::Dispatch { force } => {
                    Answer::Dispatch(self.dispatcher.dispatch(force, time).await?)
                }
                TesterEvent::Collect { paper_ids } => {
                    Answer::Collect(self.collect(paper_ids).await)
                }
            }
        };
        serde_json::to_value(answer).map_err(TesterError::Event)
    }

    async fn notified(&self, notification: &Notification) -> Result<Collected, TesterError> {
        let (papers, others) = notification.papers();
        for key in others {
            warn!(
                key = one_line(&key, 200),
                "notified of a key that is no result's"
            );
        }
        let requested = papers.len();
        let ids = papers.into_iter().map(String::from).collect();
        let collected = self.collect(ids).await;
        if collected.failed.is_empty() {
            return Ok(collected);
        }
        let failed = collected.failed.into_iter().map(|failed| failed.error);
        Err(TesterError::Collect {
            requested,
            failed: failed.collect(),
        })
    }

    /// Brings each paper's result into the index; one that fails does not hold up the others.
    async fn collect(&self, paper_ids: Vec<String>) -> Collected {
        let mut answer = Collected::default();
        for id in paper_ids {
            let outcome = match PaperId::try_from(id.clone()) {
                Ok(paper) => self
                    .collector
                    .collect(&paper)
                    .await
                    .map_err(|error| chain(&error)),
                Err(error) => Err(error.to_string()),
            };
            let paper_id = one_line(&id, 80);
            match outcome {
                Ok(()) => answer.collected.push(paper_id),
                Err(reason) => {
                    error!(paper_id, reason, "result not collected");
                    let error = reason;
                    answer.failed.push(Failed { paper_id, error });
                }
            }
        }
        answer
    }
}
