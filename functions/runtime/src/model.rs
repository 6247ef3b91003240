//! Questions to a model on Bedrock, and vectors of texts.
//!
//! In: a system prompt, a block that several questions share, a question and one tool. Out: the tool's input, read as the
//! caller's type and checked by the caller, with what it cost. The model is forced to call the tool, or offered it and
//! told to where it takes no force ([`annapurna_contract::models`]), so its answer is data of a known shape. What is
//! wrong with an answer is told to the model once, in the same conversation. A paper's text is hostile: it enters a
//! prompt only as [`annapurna_contract::model::PaperText`], JSON marked as data, and what comes back is data again.
//!
//! No error here is ever a verdict: see [`ModelError`].

mod conversation;
mod error;
mod json;
mod manner;
mod metrics;
#[cfg(test)]
mod tests;

use std::time::Duration;

use annapurna_contract::{PaperId, Spent, model::EMBEDDING_DIMENSIONS, spent::Tokens};
use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_bedrockruntime::{
    Client,
    error::BuildError,
    operation::converse::ConverseOutput as Response,
    primitives::Blob,
    types::{ConverseOutput, InferenceConfiguration, Message, SystemContentBlock, TokenUsage},
};
use chrono::Utc;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::Ledger;
use error::{failure, said, stopped};
use manner::Manner;

pub use error::{Failed, ModelError, Said};

/// Left of an invocation's time for what follows an answer: writing it down.
const RESERVE: Duration = Duration::from_secs(15);
/// Longest attempt, without the time that its tokens may take.
const ATTEMPT: Duration = Duration::from_secs(240);
/// Time that one token of the answer may take besides.
const TOKEN: Duration = Duration::from_millis(10);

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
    /// [`ModelError::Truncated`].
    pub max_tokens: i32,
}

/// One question.
///
/// The cache is for what stands before its point: tools, `system`, `shared`, in this order. So questions that are to
/// share a paper have the same `system` and the same tools in `tool` and `beside` together, and what differs is in
/// `question`. A model that is forced to call a tool keeps nothing between questions with different ones.
/// Source: Anthropic, "Prompt caching", "What invalidates the cache".
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Id of a model or inference profile.
    pub model_id: &'a str,
    /// The instructions; nothing of a paper.
    pub system: &'a str,
    /// The beginning that the questions about one paper share byte for byte, with the paper's block; empty where there
    /// is one question only.
    pub shared: &'a str,
    /// What is asked.
    pub question: &'a str,
    /// The tool that is to be called.
    pub tool: &'a Tool,
    /// The tools of the other questions that share the beginning.
    pub beside: &'a [Tool],
    /// The paper that it is about.
    pub paper_id: Option<&'a PaperId>,
    /// No attempt goes past it: [`deadline`].
    pub deadline: Instant,
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T> {
    /// The tool's input, checked.
    pub value: T,
    /// What it took, with an answer that was not right at first.
    pub spent: Spent,
}

/// Until when a model may be asked in an invocation that has so much time left: what follows needs some of it.
pub fn deadline(left: Duration) -> Instant {
    Instant::now() + left.saturating_sub(RESERVE.min(left / 4))
}

/// A client of Bedrock's runtime.
#[derive(Debug, Clone)]
pub struct Model {
    client: Client,
    ledger: Option<Ledger>,
}

impl Model {
    /// A client with a function's credentials and endpoints. Throttling is tried again, until a question's deadline.
    pub fn new(config: &SdkConfig) -> Self {
        Self::with_retries(config, RetryConfig::standard().with_max_attempts(4))
    }

    fn with_retries(config: &SdkConfig, retries: RetryConfig) -> Self {
        let settings = aws_sdk_bedrockruntime::config::Builder::from(config)
            .retry_config(retries)
            .timeout_config(attempts_of(ATTEMPT));
        Self {
            client: Client::from_conf(settings.build()),
            ledger: None,
        }
    }

    /// The same client, which asks nothing that the budgets do not allow, and writes down and tells what it spends.
    pub fn with_ledger(mut self, ledger: Ledger) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// Asks one question with the Converse API, and once more in the same conversation where the answer lacks the tool's
    /// call, does not read as `T`, or has something that `check` finds: what types cannot say.
    ///
    /// # Errors
    ///
    /// [`Failed`]: see [`ModelError`], with what was paid all the same.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        ask: &Ask<'_>,
        check: impl Fn(&T) -> Result<(), Vec<String>>,
    ) -> Result<Answer<T>, Failed> {
        self.allowed(ask.paper_id).await?;
        let mut spent = Spent::default();
        let answered = self.converse(ask, check, &mut spent).await;
        self.told(ask.model_id, ask.paper_id, spent, answered.as_ref().err())
            .await;
        match answered {
            Ok(value) => Ok(Answer { value, spent }),
            Err(error) => Err(Failed { error, spent }),
        }
    }

    /// Whether the budgets allow a question.
    async fn allowed(&self, paper_id: Option<&PaperId>) -> Result<(), ModelError> {
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        match ledger.stops(paper_id, Utc::now()).await? {
            Some(over) => Err(over.into()),
            None => Ok(()),
        }
    }

    /// Writes down and tells what a question took.
    async fn told(
        &self,
        model_id: &str,
        paper_id: Option<&PaperId>,
        spent: Spent,
        error: Option<&ModelError>,
    ) {
        let Some(ledger) = &self.ledger else {
            return;
        };
        metrics::tell(ledger.spender(), model_id, paper_id, spent, error);
        if spent.calls > 0 {
            ledger.add(paper_id, spent, Utc::now()).await;
        }
    }

    async fn converse<T: DeserializeOwned>(
        &self,
        ask: &Ask<'_>,
        check: impl Fn(&T) -> Result<(), Vec<String>>,
        spent: &mut Spent,
    ) -> Result<T, ModelError> {
        let unusable = |reason: String| said(ModelError::Unusable, ask.model_id, reason);
        let malformed = |error: BuildError| unusable(error.to_string());
        let tool = ask.tool.name;
        let manner = Manner::of(ask.model_id);
        let first = conversation::first_turn(ask, manner).map_err(malformed)?;
        let answer = self.turn(ask, vec![first.clone()], spent).await?;
        let findings = match read(&answer, tool, &check) {
            Ok(value) => return Ok(value),
            Err(findings) => findings,
        };
        tracing::warn!(
            model_id = ask.model_id,
            tool,
            paper_id = ask.paper_id.map(PaperId::as_str),
            findings = findings.join("; "),
            "the answer cannot be used; the model is told why"
        );
        let repair = conversation::repair_turn(&answer, tool, &findings).map_err(malformed)?;
        let repair = repair.ok_or_else(|| unusable("an empty answer".to_owned()))?;
        let answer = self.turn(ask, vec![first, answer, repair], spent).await?;
        read(&answer, tool, &check).map_err(|findings| unusable(findings.join("; ")))
    }

    /// One turn of the model.
    async fn turn(
        &self,
        ask: &Ask<'_>,
        messages: Vec<Message>,
        spent: &mut Spent,
    ) -> Result<Message, ModelError> {
        let unusable = |reason: &str| said(ModelError::Unusable, ask.model_id, reason);
        let manner = Manner::of(ask.model_id);
        let max_tokens = manner.max_tokens(ask.tool);
        let tools = manner.tools(ask.tool, ask.beside);
        let tools = tools.map_err(|error| unusable(&error.to_string()))?;
        let limits = InferenceConfiguration::builder().max_tokens(max_tokens);
        let tokens = u32::try_from(max_tokens).unwrap_or(0);
        let attempts = attempts_of(ATTEMPT + TOKEN * tokens);
        let sent = self
            .client
            .converse()
            .model_id(ask.model_id)
            .system(SystemContentBlock::Text(ask.system.to_owned()))
            .set_messages(Some(messages))
            .tool_config(tools)
            .inference_config(limits.build())
            .set_additional_model_request_fields(manner.fields())
            .customize()
            .config_override(
                aws_sdk_bedrockruntime::config::Builder::new().timeout_config(attempts),
            )
            .send();
        let response = within(ask.model_id, ask.deadline, sent).await?;
        let response = response.map_err(|error| failure(ask.model_id, error))?;
        *spent += paid(ask.model_id, &response);
        if let Some(error) = stopped(ask.model_id, &response.stop_reason, max_tokens) {
            return Err(error);
        }
        match response.output {
            Some(ConverseOutput::Message(message)) => Ok(message),
            _ => Err(unusable("an answer without a message")),
        }
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
    pub async fn embed(
        &self,
        model_id: &str,
        text: &str,
        paper_id: Option<&PaperId>,
        deadline: Instant,
    ) -> Result<Answer<Vec<f32>>, Failed> {
        self.allowed(paper_id).await?;
        let answered = self.vector(model_id, text, deadline).await;
        let (spent, error) = match &answered {
            Ok(answer) => (answer.spent, None),
            Err(failed) => (failed.spent, Some(&failed.error)),
        };
        self.told(model_id, paper_id, spent, error).await;
        answered
    }

    async fn vector(
        &self,
        model_id: &str,
        text: &str,
        deadline: Instant,
    ) -> Result<Answer<Vec<f32>>, Failed> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Embedded {
            embedding: Vec<f32>,
            #[serde(default)]
            input_text_token_count: u64,
        }
        let unpaid = |error: ModelError| Failed {
            error,
            spent: Spent::default(),
        };
        let body =
            json!({"inputText": text, "dimensions": EMBEDDING_DIMENSIONS, "normalize": true});
        let sent = self
            .client
            .invoke_model()
            .model_id(model_id)
            .content_type("application/json")
            .accept("application/json")
            .body(Blob::new(body.to_string()))
            .send();
        let output = within(model_id, deadline, sent).await.map_err(unpaid)?;
        let output = output.map_err(|error| unpaid(failure(model_id, error)))?;
        let answer: Embedded = serde_json::from_slice(output.body.as_ref()).map_err(|error| {
            unpaid(said(
                ModelError::Unusable,
                model_id,
                format!("not an embedding: {error}"),
            ))
        })?;
        let tokens = Tokens {
            input: answer.input_text_token_count,
            ..Tokens::default()
        };
        let spent = Spent::of_call(model_id, tokens);
        match checked_vector(answer.embedding) {
            Ok(value) => Ok(Answer { value, spent }),
            Err(reason) => Err(Failed {
                error: said(ModelError::Unusable, model_id, reason),
                spent,
            }),
        }
    }
}

fn attempts_of(longest: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(longest)
        .build()
}

/// What a call comes to before the deadline.
async fn within<F: Future>(
    model_id: &str,
    deadline: Instant,
    call: F,
) -> Result<F::Output, ModelError> {
    let answered = timeout_at(deadline, call).await;
    answered.map_err(|_| {
        let reason = "the invocation's time is over";
        said(ModelError::TimedOut, model_id, reason)
    })
}

/// What an answer took.
fn paid(model_id: &str, response: &Response) -> Spent {
    let count = |tokens: i32| u64::try_from(tokens).unwrap_or(0);
    let of = |usage: &TokenUsage| Tokens {
        input: count(usage.input_tokens),
        output: count(usage.output_tokens),
        cache_read: usage.cache_read_input_tokens.map_or(0, count),
        cache_write: usage.cache_write_input_tokens.map_or(0, count),
    };
    let tokens = response.usage.as_ref().map_or_else(Tokens::default, of);
    Spent::of_call(model_id, tokens)
}

/// The tool's input, or what is wrong with it.
fn read<T: DeserializeOwned>(
    answer: &Message,
    tool: &str,
    check: &impl Fn(&T) -> Result<(), Vec<String>>,
) -> Result<T, Vec<String>> {
    let input = conversation::tool_input(answer, tool);
    let input = input.ok_or_else(|| vec![format!("no call of the tool `{tool}`")])?;
    let value: T = serde_json::from_value(input)
        .map_err(|error| vec![format!("input of `{tool}`: {error}")])?;
    check(&value)?;
    Ok(value)
}

fn checked_vector(vector: Vec<f32>) -> Result<Vec<f32>, String> {
    if vector.len() != EMBEDDING_DIMENSIONS {
        let length = vector.len();
        return Err(format!("{length} dimensions, not {EMBEDDING_DIMENSIONS}"));
    }
    let length: f32 = vector.iter().map(|part| part * part).sum();
    if !length.is_finite() || length <= f32::EPSILON {
        return Err("a vector without direction".to_owned());
    }
    Ok(vector)
}
