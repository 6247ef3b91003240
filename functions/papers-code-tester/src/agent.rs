//! The agent's HTTP API, for a `TRAINIUM_ENDPOINT` that is an address.
//!
//! The call lasts as long as the programs run, and a function ends after fifteen minutes at most. So a
//! batch is only as large as surely fits: the agent runs two programs at a time. With the usual limit of
//! 600 s that is two programs a call; batches of ten are what the queue is for. There is no token here:
//! the address must be one that only this function reaches.

use std::{collections::BTreeMap, time::Duration};

use annapurna_cloud::{ObjectError, ObjectStore, S3};
use annapurna_contract::{CodeTestingMessage, PaperId, ProgramToTest, TestResult, text::chain};
use serde::Deserialize;
use url::Url;

/// Programs that the agent runs at a time, one on each NeuronCore.
const SLOTS: usize = 2;
/// Time of a call besides the programs' own: start, upload, and what comes after it here.
const MARGIN: Duration = Duration::from_secs(60);
/// Largest program that is sent, bytes.
const CODE_LIMIT: u64 = 1 << 20;

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

/// How many programs surely finish in the time that is left.
pub(crate) fn batch_that_fits(left: Duration, timeout_secs: u32) -> Result<usize, AgentError> {
    let usable = left.saturating_sub(MARGIN).as_secs();
    let rounds = usize::try_from(usable / u64::from(timeout_secs)).unwrap_or(usize::MAX);
    match rounds.saturating_mul(SLOTS) {
        0 => Err(AgentError::NoTime { timeout_secs, left }),
        programs => Ok(programs),
    }
}

/// The body of the agent's answer.
#[derive(Debug, Deserialize)]
struct Answer {
    results: BTreeMap<PaperId, TestResult>,
}

/// Sends a batch with its programs and waits for the results.
pub(crate) async fn run(
    base: &Url,
    objects: &S3,
    code_bucket: &str,
    mut message: CodeTestingMessage,
    left: Duration,
) -> Result<BTreeMap<PaperId, TestResult>, AgentError> {
    for program in &mut message.batch {
        program.code = Some(code(objects, code_bucket, program).await?);
    }
    let url = base.join("execute_batch").unwrap_or_else(|_| base.clone());
    let failed = |reason: String| AgentError::Failed {
        url: url.clone(),
        reason,
    };
    let http = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .timeout(left.saturating_sub(MARGIN / 2))
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let response = http
        .post(url.clone())
        .json(&message)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(|error| failed(chain(&error.without_url())))?;
    let answer: Answer = response
        .json()
        .await
        .map_err(|error| failed(chain(&error.without_url())))?;
    Ok(answer.results)
}

async fn code(objects: &S3, bucket: &str, program: &ProgramToTest) -> Result<String, AgentError> {
    let key = &program.s3_code_key;
    let bytes = objects.get(bucket, key, CODE_LIMIT).await?;
    let bytes = bytes.ok_or_else(|| AgentError::NoProgram {
        bucket: bucket.to_owned(),
        key: key.clone(),
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_over_http_is_as_large_as_fits() {
        let fits = |left, timeout| batch_that_fits(Duration::from_secs(left), timeout);
        assert_eq!(fits(895, 600).unwrap(), 2);
        assert_eq!(fits(895, 120).unwrap(), 12);
        let error = fits(600, 600).unwrap_err();
        assert!(error.to_string().contains("`queue`"), "{error}");
    }
}
