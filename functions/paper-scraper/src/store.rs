//! Where papers are kept and who is told: S3 and SQS behind a few operations.

use std::collections::BTreeMap;

use annapurna_contract::text::chain;
use async_trait::async_trait;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine;
use sha2::{Digest, Sha256};

use crate::settings::Settings;

/// User metadata of an object.
pub type Metadata = BTreeMap<String, String>;

/// Something to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The bytes.
    pub body: Vec<u8>,
    /// MIME type.
    pub content_type: &'static str,
    /// ASCII names and values, 2 KB in all.
    pub metadata: Metadata,
}

/// What a conditional write found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The key was free.
    New,
    /// The key was taken; nothing changed.
    Existed,
}

/// What a write found that depends on what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// The object was as expected, and is replaced.
    Done,
    /// It has changed, or is not there any more; nothing was written.
    Changed,
}

/// An object's bytes and what to call this state of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// The bytes.
    pub body: Vec<u8>,
    /// Changes with the bytes.
    pub etag: String,
}

/// A message of a FIFO queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// JSON.
    pub body: String,
    /// Messages of one group keep their order; groups move in parallel.
    pub group: String,
    /// A second message with the same id is not delivered.
    pub deduplication_id: String,
}

/// Why AWS did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {target} failed: {reason}")]
pub struct StoreError {
    /// `PutObject`, `SendMessage`, …
    pub operation: &'static str,
    /// The key or the queue.
    pub target: String,
    /// AWS's words, with every cause.
    pub reason: String,
}

/// Keeps objects and sends messages.
#[async_trait]
pub trait Store: Send + Sync {
    /// The bucket, for messages that name it.
    fn bucket(&self) -> &str;

    /// The metadata of an object; `None` when there is none at the key.
    async fn metadata(&self, key: &str) -> Result<Option<Metadata>, StoreError>;

    /// An object's bytes; `None` when there is none at the key.
    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let tagged = self.read_tagged(key).await?;
        Ok(tagged.map(|tagged| tagged.body))
    }

    /// An object's bytes with their tag; `None` when there is none at the key.
    async fn read_tagged(&self, key: &str) -> Result<Option<Tagged>, StoreError>;

    /// Writes to a free key; a key that is taken stays as it is.
    async fn create(&self, key: &str, object: Object) -> Result<Created, StoreError>;

    /// Writes whatever is there.
    async fn replace(&self, key: &str, object: Object) -> Result<(), StoreError>;

    /// Writes if what is there still has this tag.
    async fn replace_if(
        &self,
        key: &str,
        object: Object,
        etag: &str,
    ) -> Result<Replaced, StoreError>;

    /// Sends a message.
    async fn send(&self, message: Message) -> Result<(), StoreError>;
}

/// The real thing.
#[derive(Debug, Clone)]
pub struct AwsStore {
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
    bucket: String,
    queue_url: String,
}

impl AwsStore {
    /// Makes the clients.
    pub fn new(config: &aws_config::SdkConfig, settings: &Settings) -> Self {
        Self {
            s3: annapurna_cloud::s3_client(config),
            sqs: aws_sdk_sqs::Client::new(config),
            bucket: settings.bucket_name.clone(),
            queue_url: settings.queue_url.clone(),
        }
    }

    /// A write that S3 checks against the body's SHA-256.
    fn put(
        &self,
        key: &str,
        object: Object,
    ) -> aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder {
        let checksum =
            base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&object.body));
        self.s3
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(object.content_type)
            .set_metadata(Some(object.metadata.into_iter().collect()))
            .checksum_sha256(checksum)
            .body(ByteStream::from(object.body))
    }
}

#[async_trait]
impl Store for AwsStore {
    fn bucket(&self) -> &str {
        &self.bucket
    }

    async fn metadata(&self, key: &str) -> Result<Option<Metadata>, StoreError> {
        match self
            .s3
            .head_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await
        {
            Ok(head) => Ok(Some(
                head.metadata.unwrap_or_default().into_iter().collect(),
            )),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_not_found()) =>
            {
                Ok(None)
            }
            Err(error) => Err(failed("HeadObject", key, &error)),
        }
    }

    async fn read_tagged(&self, key: &str) -> Result<Option<Tagged>, StoreError> {
        let get = self.s3.get_object().bucket(&self.bucket).key(key);
        let object = match get.send().await {
            Ok(object) => object,
            Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(failed("GetObject", key, &error)),
        };
        let etag = object.e_tag.unwrap_or_default();
        let body = object.body.collect().await.map_err(|error| StoreError {
            operation: "GetObject",
            target: key.to_owned(),
            reason: chain(&error),
        })?;
        Ok(Some(Tagged {
            body: body.to_vec(),
            etag,
        }))
    }

    async fn create(&self, key: &str, object: Object) -> Result<Created, StoreError> {
        let conflict = match self.put(key, object).if_none_match("*").send().await {
            Ok(_) => return Ok(Created::New),
            Err(error) if error.code() == Some("PreconditionFailed") => {
                return Ok(Created::Existed);
            }
            Err(error) if error.code() == Some(CONFLICT) => failed("PutObject", key, &error),
            Err(error) => return Err(failed("PutObject", key, &error)),
        };
        // Another write was under way at the same moment; if it came through, the key is taken.
        match self.metadata(key).await? {
            Some(_) => Ok(Created::Existed),
            None => Err(conflict),
        }
    }

    async fn replace(&self, key: &str, object: Object) -> Result<(), StoreError> {
        let put = self.put(key, object).send().await;
        put.map(drop)
            .map_err(|error| failed("PutObject", key, &error))
    }

    async fn replace_if(
        &self,
        key: &str,
        object: Object,
        etag: &str,
    ) -> Result<Replaced, StoreError> {
        let changed = ["PreconditionFailed", CONFLICT, "NoSuchKey"];
        match self.put(key, object).if_match(etag).send().await {
            Ok(_) => Ok(Replaced::Done),
            Err(error) if error.code().is_some_and(|code| changed.contains(&code)) => {
                Ok(Replaced::Changed)
            }
            Err(error) => Err(failed("PutObject", key, &error)),
        }
    }

    async fn send(&self, message: Message) -> Result<(), StoreError> {
        let send = self
            .sqs
            .send_message()
            .queue_url(&self.queue_url)
            .message_body(message.body)
            .message_group_id(message.group)
            .message_deduplication_id(message.deduplication_id);
        let sent = send.send().await;
        sent.map(drop)
            .map_err(|error| failed("SendMessage", &self.queue_url, &error))
    }
}

/// S3's word for two writes to a key at the same moment.
const CONFLICT: &str = "ConditionalRequestConflict";

fn failed<E>(operation: &'static str, target: &str, error: &SdkError<E, HttpResponse>) -> StoreError
where
    E: std::error::Error + 'static,
{
    // A refused HEAD has no body and thus no code: its status is all there is.
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let status = status.map(|status| format!(" (HTTP status {status})"));
    StoreError {
        operation,
        target: target.to_owned(),
        reason: format!("{}{}", chain(error), status.unwrap_or_default()),
    }
}
