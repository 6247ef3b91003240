//! Where papers are kept and who is told: one bucket and one queue.

use std::sync::Arc;

use annapurna_cloud::{
    Condition, Found, Message, MessageQueues, Metadata, Object, ObjectError, ObjectStore,
    QueueError, S3, Sqs, Written,
};

use annapurna_contract::SourceRecord;
use serde::de::DeserializeOwned;

use crate::record::{Home, metadata};
use crate::settings::Settings;

/// Largest object that is read, bytes: a PDF, which may have so many when it is loaded.
const OWN_LIMIT: u64 = 96 << 20;

/// Why a paper could not be kept, or nobody told of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The bucket of papers did not do what was asked of it.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The judge's queue did not take a message.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Other runs wrote it again and again while this one was about to.
    #[error("`{key}` cannot be written: other runs write it all the time")]
    Contended {
        /// Key in the bucket of papers.
        key: String,
    },
    /// What was there a moment ago.
    #[error("`{key}` is gone: nothing of the pipeline deletes it")]
    Gone {
        /// Key in the bucket of papers.
        key: String,
    },
    /// What is kept is no JSON of its kind, or what is to be kept or said has no JSON form.
    #[error("`{what}` cannot be read or written as JSON")]
    Json {
        /// The key, or the paper a message is about.
        what: String,
        /// What the serializer refused.
        #[source]
        source: serde_json::Error,
    },
}

/// The bucket of papers, and the queue of the judge.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    queues: Arc<dyn MessageQueues>,
    bucket: String,
    queue_url: String,
}

impl Store {
    /// The bucket and the queue of the settings, in AWS.
    pub fn new(config: &aws_config::SdkConfig, settings: &Settings) -> Self {
        let (s3, sqs) = (S3::new(config), Sqs::new(config));
        Self::with(Arc::new(s3), Arc::new(sqs), settings)
    }

    /// The bucket and the queue of the settings, among these.
    pub fn with(
        objects: Arc<dyn ObjectStore>,
        queues: Arc<dyn MessageQueues>,
        settings: &Settings,
    ) -> Self {
        Self {
            objects,
            queues,
            bucket: settings.bucket_name.clone(),
            queue_url: settings.queue_url.clone(),
        }
    }

    /// The bucket, for messages that name it.
    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The metadata of an object; `None` when there is none at the key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Object`], as of every operation on the bucket.
    pub async fn metadata(&self, key: &str) -> Result<Option<Metadata>, StoreError> {
        let head = self.objects.head(&self.bucket, key).await?;
        Ok(head.map(|head| head.metadata))
    }

    /// An object's bytes with their tag; `None` when there is none at the key.
    ///
    /// # Errors
    ///
    /// See [`Store::metadata`].
    pub async fn read(&self, key: &str) -> Result<Option<Found>, StoreError> {
        Ok(self.objects.read(&self.bucket, key, OWN_LIMIT).await?)
    }

    /// Writes to a free key; a key that is taken stays as it is.
    ///
    /// # Errors
    ///
    /// See [`Store::metadata`].
    pub async fn create(&self, key: &str, object: Object) -> Result<Written, StoreError> {
        self.write(key, object, Condition::Absent).await
    }

    /// Writes if what is there still has this tag.
    ///
    /// # Errors
    ///
    /// See [`Store::metadata`].
    pub async fn replace_if(
        &self,
        key: &str,
        object: Object,
        etag: &str,
    ) -> Result<Written, StoreError> {
        self.write(key, object, Condition::Unchanged(etag)).await
    }

    /// What is kept, read as what it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Json`] when it is something else.
    pub(crate) fn parsed<T: DeserializeOwned>(key: &str, body: &[u8]) -> Result<T, StoreError> {
        serde_json::from_slice(body).map_err(|source| not_json(key, source))
    }

    /// A paper's record, and its tag; `None` when it has none.
    ///
    /// # Errors
    ///
    /// See [`Store::metadata`]; [`StoreError::Json`].
    pub(crate) async fn record(
        &self,
        home: &Home,
    ) -> Result<Option<(SourceRecord, String)>, StoreError> {
        let key = home.record_key();
        let Some(found) = self.read(&key).await? else {
            return Ok(None);
        };
        Ok(Some((Self::parsed(&key, &found.body)?, found.etag)))
    }

    /// Writes a paper's record over the one with this tag, or where there is none.
    ///
    /// # Errors
    ///
    /// See [`Store::record`].
    pub(crate) async fn write_record(
        &self,
        home: &Home,
        record: &SourceRecord,
        etag: Option<&str>,
    ) -> Result<Written, StoreError> {
        let key = home.record_key();
        let mut body =
            serde_json::to_vec_pretty(record).map_err(|source| not_json(&key, source))?;
        body.push(b'\n');
        let object = Object {
            body,
            content_type: "application/json",
            metadata: metadata(record),
        };
        match etag {
            Some(etag) => self.replace_if(&key, object, etag).await,
            None => self.create(&key, object).await,
        }
    }

    /// Tells the judge.
    pub(crate) async fn send(&self, message: Message) -> Result<(), StoreError> {
        Ok(self.queues.send(&self.queue_url, message).await?)
    }

    async fn write(
        &self,
        key: &str,
        object: Object,
        condition: Condition<'_>,
    ) -> Result<Written, StoreError> {
        let written = self.objects.write(&self.bucket, key, object, condition);
        Ok(written.await?)
    }
}

fn not_json(what: &str, source: serde_json::Error) -> StoreError {
    StoreError::Json {
        what: what.to_owned(),
        source,
    }
}
