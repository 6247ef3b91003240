//! The agent's HTTP API, for a `TRAINIUM_ENDPOINT` that is an address.
//!
//! The call lasts as long as the programs run, and a function ends after fifteen minutes at most. So a
//! batch is only as large as surely fits: the agent runs two programs at a time. With the usual limit of
//! 600 s that is two programs a call; batches of ten are what the queue is for. There is no token here:
//! the address must be one that only this function reaches.

use std::{collections::BTreeMap, time::Duration};

use annapurna_cloud::{ObjectError, ObjectStore, S3};
use annapurna_contract::{
    AgentRefusal, BatchResults, CodeTestingMessage, PaperId, ProgramToTest, TestResult,
    text::{chain, one_line},
};
use url::Url;

/// Programs that the agent runs at a time, one on each NeuronCore.
const SLOTS: usize = 2;
/// Time of a call besides the programs' own: start, upload, and what comes after it here.
const MARGIN: Duration = Duration::from_secs(60);
/// Largest program that is sent, bytes.
const CODE_LIMIT: u64 = 1 << 20;
/// Largest answer that is read, bytes: ten results with as many metrics as the agent keeps.
const ANSWER_LIMIT: usize = 16 << 20;

/// Why the agent did not run a batch.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The function's time does not hold a single program.
    #[error(
        "a program may run {timeout_secs} s and this run has {} s left: give the function more time, lower TRAINIUM_TIMEOUT, or set TRAINIUM_ENDPOINT to `queue`",
        left.as_secs()
    )]
    NoTime {
        /// Wall-clock limit of one program.
        timeout_secs: u32,
        /// Time of the function.
        left: Duration,
    },
    /// It cannot be reached, or its answer cannot be read.
    #[error("agent at `{url}`: {reason}")]
    Failed {
        /// Where it was called.
        url: Url,
        /// What went wrong.
        reason: String,
    },
    /// A program that should be tested is not where its message says.
    #[error("no program at `s3://{bucket}/{key}`")]
    NoProgram {
        /// The code's bucket.
        bucket: String,
        /// Its key.
        key: String,
    },
    /// S3 did not answer.
    #[error("storage")]
    Objects(#[from] ObjectError),
}

/// The agent that answers at an address.
pub(crate) struct AgentApi<'a> {
    base: &'a Url,
    objects: &'a S3,
    code_bucket: &'a str,
}

impl<'a> AgentApi<'a> {
    /// `base` ends with a slash.
    pub(crate) fn new(base: &'a Url, objects: &'a S3, code_bucket: &'a str) -> Self {
        Self {
            base,
            objects,
            code_bucket,
        }
    }

    /// How many programs surely finish in the time that is left.
    pub(crate) fn batch_that_fits(left: Duration, timeout_secs: u32) -> Result<usize, AgentError> {
        let usable = left.saturating_sub(MARGIN).as_secs();
        let rounds = usize::try_from(usable / u64::from(timeout_secs)).unwrap_or(usize::MAX);
        match rounds.saturating_mul(SLOTS) {
            0 => Err(AgentError::NoTime { timeout_secs, left }),
            programs => Ok(programs),
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
        let answered = call(self.base, &message, left.saturating_sub(MARGIN / 2)).await;
        answered.map_err(|reason| AgentError::Failed {
            url: self.base.clone(),
            reason,
        })
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

/// One `POST /execute_batch`. A redirect is not followed: the programs go to the configured address only.
async fn call(
    base: &Url,
    message: &CodeTestingMessage,
    time: Duration,
) -> Result<BTreeMap<PaperId, TestResult>, String> {
    let words = |error: reqwest::Error| chain(&error.without_url());
    let url = base.join("execute_batch").map_err(|error| chain(&error))?;
    let http = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .timeout(time)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(words)?;
    let response = http.post(url).json(message).send().await.map_err(words)?;
    let status = response.status();
    let body = limited(response).await?;
    if !status.is_success() {
        // A proxy in between answers in words of its own.
        let said = serde_json::from_slice::<AgentRefusal>(&body).map(|refusal| refusal.error);
        let said = said.unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned());
        return Err(format!("it answers {status}: {}", one_line(&said, 500)));
    }
    serde_json::from_slice::<BatchResults>(&body)
        .map(|answer| answer.results)
        .map_err(|error| format!("its answer is not a batch's results: {error}"))
}

/// The body, of [`ANSWER_LIMIT`] bytes at most.
async fn limited(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    let words = |error: reqwest::Error| chain(&error.without_url());
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
        call(&base.parse().unwrap(), &message, time).await
    }

    #[test]
    fn a_batch_over_http_is_as_large_as_fits() {
        let fits = |left, timeout| AgentApi::batch_that_fits(Duration::from_secs(left), timeout);
        assert_eq!(fits(895, 600).unwrap(), 2);
        assert_eq!(fits(895, 120).unwrap(), 12);
        let error = fits(600, 600).unwrap_err();
        assert!(error.to_string().contains("`queue`"), "{error}");
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
