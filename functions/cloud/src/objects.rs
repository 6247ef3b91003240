//! Objects in S3: read whole with a limit, read into a file, looked at, written on a condition.
//!
//! Conditional writes are S3's own (source: S3 User Guide, "How to prevent object overwrites with
//! conditional writes"), and every write carries the SHA-256 of its body, which S3 checks.

mod s3;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use annapurna_contract::text::escaped;
use async_trait::async_trait;

pub use s3::{S3, s3_client};

/// User metadata of an object: ASCII names and values, 2 KB in all.
pub type Metadata = BTreeMap<String, String>;

/// An object to write: all of it, since S3 changes no part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its content, whole in memory.
    pub body: Vec<u8>,
    /// MIME type, which a browser that opens it goes by: `application/json`.
    pub content_type: &'static str,
    /// Kept beside it, and told by [`ObjectStore::head`].
    pub metadata: Metadata,
}

impl Object {
    /// An object without metadata.
    pub fn new(body: impl Into<Vec<u8>>, content_type: &'static str) -> Self {
        Self {
            body: body.into(),
            content_type,
            metadata: Metadata::new(),
        }
    }
}

/// An object that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its content, at most as long as the reader's limit.
    pub body: Vec<u8>,
    /// Names this state of the object: it changes with the bytes.
    pub etag: String,
}

/// What S3 says of an object without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// As it was written with the object; empty when there was none.
    pub metadata: Metadata,
    /// Names this state of the object.
    pub etag: String,
}

/// On what a write depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition<'a> {
    /// On nothing: what is there is replaced.
    Always,
    /// There is no object at the key.
    Absent,
    /// The object at the key still has this tag.
    Unchanged(&'a str),
}

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Written {
    /// The object is as it was given.
    Done,
    /// The condition did not hold; nothing was written.
    Refused,
}

/// What came of reading an object into a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    /// There is no object at the key.
    Missing,
    /// It is in the state that the caller has.
    Unchanged,
    /// The file holds it, and this is its tag.
    Done(String),
}

/// Why nothing is known of an object, or it was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// S3 refused, or could not be reached.
    #[error("{operation} of {} failed: {reason}", Address(bucket, key))]
    Failed {
        /// S3's name of it, such as `PutObject`.
        operation: &'static str,
        /// Its name, with the environment's prefix and suffix.
        bucket: String,
        /// As S3 has it; a stranger may have chosen parts of it.
        key: String,
        /// What S3 or the connection said, in one line.
        reason: String,
    },
    /// The object is larger than its reader takes.
    #[error(
        "{} has more than the {limit} bytes that are read",
        Address(bucket, key)
    )]
    TooLarge {
        /// Its name, with the environment's prefix and suffix.
        bucket: String,
        /// As S3 has it; a stranger may have chosen parts of it.
        key: String,
        /// The most its reader takes, bytes.
        limit: u64,
    },
}

/// An object's address as a person sees it; a key may hold what a stranger sent.
struct Address<'a>(&'a str, &'a str);

impl fmt::Display for Address<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A key has 1,024 bytes at most. Source: S3 User Guide, "Naming Amazon S3 objects".
        write!(formatter, "`s3://{}/{}`", self.0, escaped(self.1, 1_100))
    }
}

/// Reads and writes objects of any bucket that the caller's role may use: S3, or a test's memory.
#[async_trait]
pub trait ObjectStore: fmt::Debug + Send + Sync {
    /// An object of at most `limit` bytes; `None` when there is none at the key.
    ///
    /// # Errors
    ///
    /// [`ObjectError::TooLarge`] over `limit` bytes, [`ObjectError::Failed`] else.
    async fn read(&self, bucket: &str, key: &str, limit: u64)
    -> Result<Option<Found>, ObjectError>;

    /// What is said of an object; `None` when there is none at the key.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Failed`].
    async fn head(&self, bucket: &str, key: &str) -> Result<Option<Head>, ObjectError>;

    /// Writes an object if `condition` holds.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Failed`], also when another write at the same moment leaves it open whether the
    /// condition holds.
    async fn write(
        &self,
        bucket: &str,
        key: &str,
        object: Object,
        condition: Condition<'_>,
    ) -> Result<Written, ObjectError>;

    /// Writes an object into a file, unless it still has the tag `known`. After a failure the file may
    /// hold a part of it.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Failed`], also when the file cannot be written.
    async fn save(
        &self,
        bucket: &str,
        key: &str,
        known: Option<&str>,
        file: &Path,
    ) -> Result<Saved, ObjectError>;

    /// What stands before the first `/` of the keys, each once, in order: the folders of a bucket.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Failed`].
    async fn folders(&self, bucket: &str) -> Result<Vec<String>, ObjectError>;

    /// The bytes of [`ObjectStore::read`].
    ///
    /// # Errors
    ///
    /// See [`ObjectStore::read`].
    async fn get(
        &self,
        bucket: &str,
        key: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, ObjectError> {
        let found = self.read(bucket, key, limit).await?;
        Ok(found.map(|found| found.body))
    }

    /// Writes an object in place of one that is there.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Failed`].
    async fn put(&self, bucket: &str, key: &str, object: Object) -> Result<(), ObjectError> {
        let written = self.write(bucket, key, object, Condition::Always).await;
        written.map(|_| ())
    }
}
