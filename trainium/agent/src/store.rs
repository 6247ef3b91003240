//! Objects in S3, behind the few operations the agent needs, so that its logic is tested without AWS.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::error::{DisplayErrorContext, SdkError};
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::primitives::ByteStream;
use tokio::io::AsyncWriteExt;

use crate::shutdown::Shutdown;

/// Why an object could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// S3 refused, or could not be reached.
    #[error("cannot {verb} s3://{bucket}/{key}: {reason}")]
    Failed {
        /// `read` or `write`.
        verb: &'static str,
        /// Bucket.
        bucket: String,
        /// Key.
        key: String,
        /// What the SDK said.
        reason: String,
    },
    /// The object is larger than its reader allows.
    #[error("s3://{bucket}/{key} is larger than {limit} bytes")]
    TooLarge {
        /// Bucket.
        bucket: String,
        /// Key.
        key: String,
        /// What was allowed.
        limit: u64,
    },
    /// The agent is stopping.
    #[error("the agent is stopping")]
    Interrupted,
}

impl StoreError {
    fn failed(verb: &'static str, bucket: &str, key: &str, reason: impl ToString) -> Self {
        Self::Failed {
            verb,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// What came of fetching a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// There is no such object.
    Missing,
    /// It is the version the caller has.
    Unchanged,
    /// It was written, and this is its version.
    Saved(String),
}

/// Buckets.
#[async_trait]
pub trait ObjectStore: std::fmt::Debug + Send + Sync {
    /// Reads an object of at most `limit` bytes; `None` when there is none.
    async fn get(&self, bucket: &str, key: &str, limit: u64)
    -> Result<Option<Vec<u8>>, StoreError>;

    /// Writes an object.
    async fn put(
        &self,
        bucket: &str,
        key: &str,
        bytes: Vec<u8>,
        content_type: &'static str,
    ) -> Result<(), StoreError>;

    /// Writes an object into a file, unless its version is `etag`.
    async fn fetch(
        &self,
        bucket: &str,
        key: &str,
        etag: Option<&str>,
        file: &Path,
    ) -> Result<Fetched, StoreError>;
}

/// How often and how patiently to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Tries in all.
    pub attempts: u32,
    /// Wait after the first failure; doubled after each further one.
    pub first_wait: Duration,
}

impl Retry {
    /// About a minute, on top of the SDK's own retries.
    pub const PATIENT: Self = Self {
        attempts: 7,
        first_wait: Duration::from_secs(1),
    };

    /// Does `attempt` until it succeeds, can never succeed, the tries are used up, or the agent stops.
    ///
    /// # Errors
    ///
    /// The last failure.
    pub async fn run<T, F>(
        &self,
        shutdown: &Shutdown,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut wait = self.first_wait;
        for remaining in (0..self.attempts).rev() {
            if shutdown.is_requested() {
                break;
            }
            match attempt().await {
                Err(error @ StoreError::Failed { .. }) if remaining > 0 => {
                    tracing::warn!(%error, wait_secs = wait.as_secs_f64(), "trying again");
                }
                result => return result,
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => wait *= 2,
                () = shutdown.requested() => break,
            }
        }
        Err(StoreError::Interrupted)
    }
}

/// S3 itself.
#[derive(Debug, Clone)]
pub struct S3Store {
    client: aws_sdk_s3::Client,
}

impl S3Store {
    /// A client for `config`. An endpoint of its own is an emulator, which has no bucket host names.
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        let settings = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(config.endpoint_url().is_some())
            .build();
        Self {
            client: aws_sdk_s3::Client::from_conf(settings),
        }
    }

    async fn request(
        &self,
        bucket: &str,
        key: &str,
        etag: Option<&str>,
    ) -> Result<Answer, StoreError> {
        let sent = self
            .client
            .get_object()
            .bucket(bucket)
            .key(key)
            .set_if_none_match(etag.map(str::to_owned))
            .send()
            .await;
        match sent {
            Ok(object) => Ok(Answer::Object(Box::new(object))),
            Err(error) => explain(&error).ok_or_else(|| {
                StoreError::failed("read", bucket, key, DisplayErrorContext(&error))
            }),
        }
    }
}

enum Answer {
    Object(Box<GetObjectOutput>),
    Missing,
    Unchanged,
}

/// The answers that are no failures.
fn explain(error: &SdkError<GetObjectError>) -> Option<Answer> {
    let status = error.raw_response()?.status().as_u16();
    match status {
        304 => Some(Answer::Unchanged),
        404 if error
            .as_service_error()
            .is_some_and(GetObjectError::is_no_such_key) =>
        {
            Some(Answer::Missing)
        }
        _ => None,
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn get(
        &self,
        bucket: &str,
        key: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let Answer::Object(mut object) = self.request(bucket, key, None).await? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        loop {
            let chunk = object.body.try_next().await;
            let Some(chunk) =
                chunk.map_err(|error| StoreError::failed("read", bucket, key, error))?
            else {
                return Ok(Some(bytes));
            };
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > limit {
                return Err(StoreError::TooLarge {
                    bucket: bucket.to_owned(),
                    key: key.to_owned(),
                    limit,
                });
            }
        }
    }

    async fn put(
        &self,
        bucket: &str,
        key: &str,
        bytes: Vec<u8>,
        content_type: &'static str,
    ) -> Result<(), StoreError> {
        self.client
            .put_object()
            .bucket(bucket)
            .key(key)
            .content_type(content_type)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| StoreError::failed("write", bucket, key, DisplayErrorContext(&error)))
    }

    async fn fetch(
        &self,
        bucket: &str,
        key: &str,
        etag: Option<&str>,
        file: &Path,
    ) -> Result<Fetched, StoreError> {
        let mut object = match self.request(bucket, key, etag).await? {
            Answer::Missing => return Ok(Fetched::Missing),
            Answer::Unchanged => return Ok(Fetched::Unchanged),
            Answer::Object(object) => object,
        };
        let failed =
            |error: &dyn ToString| StoreError::failed("read", bucket, key, error.to_string());
        let mut target = tokio::fs::File::create(file)
            .await
            .map_err(|e| failed(&e))?;
        while let Some(chunk) = object.body.try_next().await.map_err(|e| failed(&e))? {
            target.write_all(&chunk).await.map_err(|e| failed(&e))?;
        }
        target.flush().await.map_err(|e| failed(&e))?;
        Ok(Fetched::Saved(object.e_tag.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const HASTY: Retry = Retry {
        attempts: 7,
        first_wait: Duration::from_millis(1),
    };

    #[tokio::test]
    async fn failures_are_tried_again_and_sizes_are_not() {
        let (_trigger, shutdown) = Shutdown::new();
        let tries = AtomicU32::new(0);
        let result = HASTY
            .run(&shutdown, || async {
                match tries.fetch_add(1, Ordering::Relaxed) {
                    0 | 1 => Err(StoreError::failed("read", "b", "k", "503")),
                    _ => Ok(7),
                }
            })
            .await;
        assert_eq!(result.unwrap(), 7);
        let tries = AtomicU32::new(0);
        let result: Result<(), _> = HASTY
            .run(&shutdown, || async {
                tries.fetch_add(1, Ordering::Relaxed);
                Err(StoreError::TooLarge {
                    bucket: "b".to_owned(),
                    key: "k".to_owned(),
                    limit: 1,
                })
            })
            .await;
        assert!(result.is_err());
        assert_eq!(tries.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_stop_ends_the_waiting() {
        let (trigger, shutdown) = Shutdown::new();
        let result: Result<(), _> = HASTY
            .run(&shutdown, || async {
                trigger.fire();
                Err(StoreError::failed("read", "b", "k", "503"))
            })
            .await;
        assert!(matches!(result, Err(StoreError::Interrupted)));
    }
}
