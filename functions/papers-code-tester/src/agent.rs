//! The agent's HTTP API, for a `TRAINIUM_ENDPOINT` that is an address.
//!
//! The call lasts as long as the programs run, and a function ends after fifteen minutes at most. So a
//! batch is only as large as surely fits, as many programs at a time as the agent says that it has places for: one where
//! they have a Neuron device. With the usual limit of 600 s that is as many programs a call; batches of ten are what the
//! queue is for. An agent that others can reach, too, demands a token (see [`AgentToken`]).

use std::{collections::BTreeMap, time::Duration};

use annapurna_cloud::{ObjectError, ObjectStore, S3};
use annapurna_contract::agent_call::{MARGIN, programs_in};
use annapurna_contract::{
    AgentHealth, AgentRefusal, BatchResults, CodeTestingMessage, PaperId, ProgramToTest,
    TestResult,
    text::{chain, one_line},
};
use reqwest::StatusCode;
use tracing::warn;
use url::Url;

use crate::token::AgentToken;

/// Largest program that is read, bytes.
pub(crate) const CODE_LIMIT: u64 = 1 << 20;
/// Largest answer that is read, bytes: ten results with as many metrics as the agent keeps, and the ends of what their
/// programs printed, each byte escaped by six.
const ANSWER_LIMIT: usize = 16 << 20;
/// Longest wait for what the agent says of itself.
const HEALTH_WITHIN: Duration = Duration::from_secs(5);

/// Why the agent did not run a batch.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The function's time does not hold a single program.
    #[error(
        "a program may run {timeout_secs} s and this run has {} s left: give the function more time, lower TRAINIUM_TIMEOUT, or set TRAINIUM_ENDPOINT to `queue`",
        left.as_secs()
    )]
    NoTime {
        /// Wall-clock limit of one program, seconds.
        timeout_secs: u32,
        /// What the function has left of its timeout.
        left: Duration,
    },
    /// It cannot be reached, or its answer cannot be read.
    #[error("agent at `{url}`: {reason}")]
    Failed {
        /// Base address from `TRAINIUM_ENDPOINT`.
        url: Url,
        /// The transport's words, or status and words of its answer.
        reason: String,
    },
    /// It demands another token than the one that was sent, or any where none was.
    #[error("agent at `{url}` refuses the call (401): {said}; {}", what_to_do(parameter.as_deref()))]
    Unauthorized {
        /// Base address from `TRAINIUM_ENDPOINT`.
        url: Box<Url>,
        /// The start of its answer, in one line.
        said: String,
        /// The SSM parameter whose value was sent.
        parameter: Option<String>,
    },
    /// The token cannot be had.
    #[error("token of the agent in SSM parameter `{parameter}`: {reason}")]
    Token {
        /// Name of the parameter.
        parameter: String,
        /// Why SSM does not give it, or what is wrong with it; never the token.
        reason: String,
    },
    /// A program that should be tested is not where its message says.
    #[error("no program at `s3://{bucket}/{key}`")]
    NoProgram {
        /// Bucket of the programs.
        bucket: String,
        /// Key that the message names.
        key: String,
    },
    /// S3 did not answer.
    #[error("storage")]
    Objects(#[from] ObjectError),
}

/// The agent that answers at an address.
pub(crate) struct AgentApi<'a> {
    base: &'a Url,
    token: Option<&'a AgentToken>,
    objects: &'a S3,
    code_bucket: &'a str,
}

impl<'a> AgentApi<'a> {
    /// `base` ends with a slash.
    pub(crate) fn new(
        base: &'a Url,
        token: Option<&'a AgentToken>,
        objects: &'a S3,
        code_bucket: &'a str,
    ) -> Self {
        Self {
            base,
            token,
            objects,
            code_bucket,
        }
    }

    /// How many programs surely finish in the time that is left. An agent that does not say how many it runs at a time
    /// runs one, as far as is known.
    pub(crate) async fn batch_that_fits(
        &self,
        left: Duration,
        timeout_secs: u32,
    ) -> Result<usize, AgentError> {
        let fits = |slots| programs_in(left, Duration::from_secs(timeout_secs.into()), slots);
        if fits(1) == 0 {
            return Err(AgentError::NoTime { timeout_secs, left });
        }
        let slots = self.slots().await.unwrap_or_else(|error| {
            warn!(
                reason = chain(&error),
                "the agent does not say how many programs it runs at a time"
            );
            1
        });
        Ok(fits(slots.max(1)))
    }

    /// Programs that the agent runs at a time.
    async fn slots(&self) -> Result<usize, AgentError> {
        let token = self.bearer().await?;
        let asked = health(self.base, token.as_deref()).await;
        asked
            .map_err(|failure| self.error(failure))
            .map(|it| it.slots)
    }

    async fn bearer(&self) -> Result<Option<String>, AgentError> {
        match self.token {
            Some(token) => token.read().await.map(Some),
            None => Ok(None),
        }
    }

    /// Sends a batch with its programs and waits for the results. A program may have none.
    pub(crate) async fn run(
        &self,
        mut message: CodeTestingMessage,
        left: Duration,
    ) -> Result<BTreeMap<PaperId, TestResult>, AgentError> {
        for program in &mut message.batch {
            program.code = Some(self.code(program).await?);
        }
        let token = self.bearer().await?;
        let time = left.saturating_sub(MARGIN / 2);
        let answered = call(self.base, token.as_deref(), &message, time).await;
        answered.map_err(|failure| self.error(failure))
    }

    fn error(&self, failure: Failure) -> AgentError {
        let url = self.base.clone();
        match failure {
            Failure::Other(reason) => AgentError::Failed { url, reason },
            Failure::Unauthorized(said) => AgentError::Unauthorized {
                url: Box::new(url),
                said,
                parameter: self.token.map(|token| token.parameter().to_owned()),
            },
        }
    }

    async fn code(&self, program: &ProgramToTest) -> Result<String, AgentError> {
        let (bucket, key) = (self.code_bucket, &program.s3_code_key);
        let bytes = self.objects.get(bucket, key, CODE_LIMIT).await?;
        let bytes = bytes.ok_or_else(|| AgentError::NoProgram {
            bucket: bucket.to_owned(),
            key: key.clone(),
        })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// What an operator does about a 401.
fn what_to_do(parameter: Option<&str>) -> String {
    match parameter {
        Some(name) => format!("make SSM parameter `{name}` and the agent's AGENT_TOKEN the same"),
        None => "put the agent's AGENT_TOKEN into an SSM parameter (SecureString) and name it in \
                 [testing] trainium-token-parameter"
            .to_owned(),
    }
}

/// Why a call has no results.
#[derive(Debug)]
enum Failure {
    /// The agent's words with its 401.
    Unauthorized(String),
    /// Whatever else, in words.
    Other(String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}

/// One `GET /health`.
async fn health(base: &Url, token: Option<&str>) -> Result<AgentHealth, Failure> {
    let url = base.join("health").map_err(|error| chain(&error))?;
    let request = client(HEALTH_WITHIN)?.get(url);
    let body = answer(request, token).await?;
    let read = serde_json::from_slice(&body);
    Ok(read.map_err(|error| format!("its answer is not its health: {error}"))?)
}

/// A redirect is not followed: programs and token go to the configured address only.
fn client(time: Duration) -> Result<reqwest::Client, String> {
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .timeout(time)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(words)
}

fn words(error: reqwest::Error) -> String {
    chain(&error.without_url())
}

/// One `POST /execute_batch`.
async fn call(
    base: &Url,
    token: Option<&str>,
    message: &CodeTestingMessage,
    time: Duration,
) -> Result<BTreeMap<PaperId, TestResult>, Failure> {
    let url = base.join("execute_batch").map_err(|error| chain(&error))?;
    let body = answer(client(time)?.post(url).json(message), token).await?;
    let answer = serde_json::from_slice::<BatchResults>(&body)
        .map_err(|error| format!("its answer is not a batch's results: {error}"))?;
    for (paper, fault) in &answer.errors {
        let (status, reason) = (fault.status.as_str(), one_line(&fault.error, 500));
        warn!(paper_id = %paper, status, reason, "the agent has no result, for a fault of its own");
    }
    Ok(answer.results)
}

/// Sends a request and gives what a success brings with it.
async fn answer(request: reqwest::RequestBuilder, token: Option<&str>) -> Result<Vec<u8>, Failure> {
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let response = request.send().await.map_err(words)?;
    let status = response.status();
    let body = limited(response).await?;
    if !status.is_success() {
        // A proxy in between answers in words of its own.
        let said = serde_json::from_slice::<AgentRefusal>(&body).map(|refusal| refusal.error);
        let said = said.unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned());
        let said = one_line(&said, 500);
        return Err(match status {
            StatusCode::UNAUTHORIZED => Failure::Unauthorized(said),
            _ => Failure::Other(format!("it answers {status}: {said}")),
        });
    }
    Ok(body)
}

/// The body, of [`ANSWER_LIMIT`] bytes at most.
async fn limited(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(words)? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(format!("its answer has more than {ANSWER_LIMIT} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use axum::response::{IntoResponse, Redirect};
    use axum::{Json, Router, routing::post};
    use serde_json::json;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    /// A batch of one program, and what a stand-in that answers so makes of it.
    async fn answered<R: IntoResponse + Clone + Send + Sync + 'static>(
        answer: R,
        time: Duration,
    ) -> Result<BTreeMap<PaperId, TestResult>, String> {
        let answer = move |Json(message): Json<CodeTestingMessage>| async move {
            assert_eq!(message.batch[0].code.as_deref(), Some("print(1)"));
            answer
        };
        let router = Router::new()
            .route("/trn/execute_batch", post(answer))
            .route(
                "/trn/silent/execute_batch",
                post(std::future::pending::<()>),
            );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = if time == LONG { "" } else { "silent/" };
        let base = format!("http://{}/trn/{silent}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let program = json!({"paper_id": PaperId::of("Adam", None), "code": "print(1)"});
        let message = serde_json::from_value(json!({"batch": [program], "timeout": 600})).unwrap();
        let answered = call(&base.parse().unwrap(), None, &message, time).await;
        answered.map_err(|failure| match failure {
            Failure::Other(reason) => reason,
            Failure::Unauthorized(said) => panic!("{said}"),
        })
    }

    #[tokio::test]
    async fn results_are_read_below_the_addresss_path() {
        let paper = PaperId::of("Adam", None);
        let mut results = BatchResults::default();
        results.results.insert(paper.clone(), TestResult::default());
        let read = answered(Json(results), LONG).await.unwrap();
        assert!(read.contains_key(&paper));
    }

    #[tokio::test]
    async fn the_agents_own_words_say_why_it_refuses() {
        let refusal = AgentRefusal {
            success: false,
            error: "the agent\u{1b}is stopping".to_owned(),
        };
        let refused = (StatusCode::SERVICE_UNAVAILABLE, Json(refusal));
        let reason = answered(refused, LONG).await.unwrap_err();
        assert!(
            reason.contains("503") && reason.contains("is stopping"),
            "{reason}"
        );
        assert!(!reason.contains('\u{1b}'), "{reason}");
        let reason = answered("sorry", LONG).await.unwrap_err();
        assert!(reason.contains("not a batch's results"), "{reason}");
    }

    #[tokio::test]
    async fn programs_go_nowhere_else_and_an_answer_has_an_end() {
        let (sent_on, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let elsewhere = move || async move {
            sent_on.send(()).unwrap();
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = format!("http://{}/", listener.local_addr().unwrap());
        let router: Router = Router::new().route("/", post(elsewhere));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let reason = answered(Redirect::temporary(&other), LONG)
            .await
            .unwrap_err();
        assert!(reason.contains("307"), "{reason}");
        assert!(seen.try_recv().is_err(), "the program was sent on");
        let reason = answered(vec![b' '; ANSWER_LIMIT + 1], LONG)
            .await
            .unwrap_err();
        assert!(reason.contains("more than"), "{reason}");
    }

    #[tokio::test]
    async fn an_agent_that_says_nothing_is_left_when_the_time_is_over() {
        let reason = answered("", Duration::from_millis(300)).await.unwrap_err();
        assert!(reason.contains("timed out"), "{reason}");
    }
}
