//! Objects in S3, as the functions use them: read whole with a limit, write, write once.
//!
//! Nothing here deletes.

use annapurna_contract::text::chain;
use aws_config::SdkConfig;
use aws_sdk_s3::{Client, error::SdkError, primitives::ByteStream};

/// Why an object could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// S3 refused, or could not be reached.
    #[error("cannot {action} `s3://{bucket}/{key}`: {reason}")]
    Failed {
        /// `read` or `write`.
        action: &'static str,
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// What S3 or the connection said.
        reason: String,
    },
    /// The object is larger than its reader can use.
    #[error("`s3://{bucket}/{key}` has {size} bytes, at most {limit} are read")]
    TooLarge {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// Its size, bytes.
        size: u64,
        /// The most its reader takes, bytes.
        limit: u64,
    },
}

/// A client of S3.
#[derive(Debug, Clone)]
pub struct Objects {
    client: Client,
}

impl Objects {
    /// A client with a function's credentials and endpoints.
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: crate::aws::s3_client(config),
        }
    }

    /// The whole object; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`ObjectsError::TooLarge`] over `limit` bytes, [`ObjectsError::Failed`] else.
    pub async fn get(
        &self,
        bucket: &str,
        key: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, ObjectsError> {
        let failed = |reason: String| failure("read", bucket, key, reason);
        let output = match self
            .client
            .get_object()
            .bucket(bucket)
            .key(key)
            .send()
            .await
        {
            Ok(output) => output,
            Err(SdkError::ServiceError(error)) if error.err().is_no_such_key() => return Ok(None),
            Err(error) => return Err(failed(chain(&error))),
        };
        let size = output
            .content_length()
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or_default();
        if size > limit {
            return Err(ObjectsError::TooLarge {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
                size,
                limit,
            });
        }
        let body = output.body.collect().await;
        let bytes = body.map_err(|error| failed(error.to_string()))?;
        Ok(Some(bytes.into_bytes().to_vec()))
    }

    /// Writes an object, in place of one that is there.
    ///
    /// # Errors
    ///
    /// [`ObjectsError::Failed`].
    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        body: Vec<u8>,
        content_type: &str,
    ) -> Result<(), ObjectsError> {
        let request = self.client.put_object().bucket(bucket).key(key);
        request
            .content_type(content_type)
            .body(ByteStream::from(body))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| {
                let reason = chain(&error);
                failure("write", bucket, key, reason)
            })
    }

    /// Writes an object unless there is one already. Says whether it wrote.
    ///
    /// # Errors
    ///
    /// [`ObjectsError::Failed`].
    pub async fn put_if_absent(
        &self,
        bucket: &str,
        key: &str,
        body: Vec<u8>,
        content_type: &str,
    ) -> Result<bool, ObjectsError> {
        let request = self.client.put_object().bucket(bucket).key(key);
        let sent = request
            .content_type(content_type)
            .if_none_match("*")
            .body(ByteStream::from(body))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(true),
            // 412: the object was there. 409: another conditional write won while this one ran.
            Err(SdkError::ServiceError(error))
                if matches!(error.raw().status().as_u16(), 409 | 412) =>
            {
                Ok(false)
            }
            Err(error) => {
                let reason = chain(&error);
                Err(failure("write", bucket, key, reason))
            }
        }
    }
}

fn failure(action: &'static str, bucket: &str, key: &str, reason: String) -> ObjectsError {
    ObjectsError::Failed {
        action,
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        reason,
    }
}
