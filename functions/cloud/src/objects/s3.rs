//! S3 itself.

use std::path::Path;

use annapurna_contract::text::chain;
use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::reason;

use super::{Condition, Found, Head, Object, ObjectError, ObjectStore, Saved, Written};

/// A client of S3 that also works with an emulator.
///
/// An emulator has no DNS name for each bucket, so a set endpoint means path-style addresses.
pub fn s3_client(config: &SdkConfig) -> Client {
    let own_endpoint =
        config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
    let settings = aws_sdk_s3::config::Builder::from(config)
        .force_path_style(own_endpoint)
        .build();
    Client::from_conf(settings)
}

/// The buckets of the account.
#[derive(Debug, Clone)]
pub struct S3 {
    client: Client,
}

impl S3 {
    /// A client with the configuration's credentials and endpoint.
    pub fn new(config: &SdkConfig) -> Self {
        Self {
            client: s3_client(config),
        }
    }

    async fn begin_get(&self, at: At<'_>, known: Option<&str>) -> Result<Answer, ObjectError> {
        let request = self.client.get_object().bucket(at.bucket).key(at.key);
        let request = request.set_if_none_match(known.map(str::to_owned));
        match request.send().await {
            Ok(object) => Ok(Answer::Object(Box::new(object))),
            Err(error) => match status(&error) {
                Some(304) => Ok(Answer::Unchanged),
                // A missing bucket answers 404 as well.
                Some(404) if error.code() == Some("NoSuchKey") => Ok(Answer::Missing),
                _ => Err(at.refused("GetObject", &error)),
            },
        }
    }

    /// A write that met another one at the same moment. If that one came through, the key is taken.
    async fn taken(&self, at: At<'_>, conflict: ObjectError) -> Result<Written, ObjectError> {
        match self.head(at.bucket, at.key).await? {
            Some(_) => Ok(Written::Refused),
            None => Err(conflict),
        }
    }
}

enum Answer {
    Object(Box<GetObjectOutput>),
    Missing,
    Unchanged,
}

#[async_trait]
impl ObjectStore for S3 {
    async fn read(
        &self,
        bucket: &str,
        key: &str,
        limit: u64,
    ) -> Result<Option<Found>, ObjectError> {
        let at = At { bucket, key };
        let Answer::Object(mut object) = self.begin_get(at, None).await? else {
            return Ok(None);
        };
        let too_large = || ObjectError::TooLarge {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            limit,
        };
        let said = object.content_length();
        if said.is_some_and(|size| u64::try_from(size).is_ok_and(|size| size > limit)) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = object.body.try_next().await.map_err(|it| at.broken(&it))? {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > limit {
                return Err(too_large());
            }
        }
        let etag = at.tag("GetObject", object.e_tag)?;
        Ok(Some(Found { body, etag }))
    }

    async fn head(&self, bucket: &str, key: &str) -> Result<Option<Head>, ObjectError> {
        let at = At { bucket, key };
        let head = match self
            .client
            .head_object()
            .bucket(bucket)
            .key(key)
            .send()
            .await
        {
            Ok(head) => head,
            // Its answer has no body and thus no code.
            Err(error) if status(&error) == Some(404) => return Ok(None),
            Err(error) => return Err(at.refused("HeadObject", &error)),
        };
        Ok(Some(Head {
            etag: at.tag("HeadObject", head.e_tag)?,
            metadata: head.metadata.unwrap_or_default().into_iter().collect(),
        }))
    }

    async fn write(
        &self,
        bucket: &str,
        key: &str,
        object: Object,
        condition: Condition<'_>,
    ) -> Result<Written, ObjectError> {
        let at = At { bucket, key };
        let metadata = object.metadata.into_iter().collect();
        let request = self
            .client
            .put_object()
            .bucket(bucket)
            .key(key)
            .content_type(object.content_type)
            .set_metadata(Some(metadata))
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .body(ByteStream::from(object.body));
        let request = match condition {
            Condition::Always => request,
            Condition::Absent => request.if_none_match("*"),
            Condition::Unchanged(etag) => request.if_match(etag),
        };
        let error = match request.send().await {
            Ok(_) => return Ok(Written::Done),
            Err(error) => error,
        };
        let refused = at.refused("PutObject", &error);
        match (condition, status(&error)) {
            (Condition::Absent | Condition::Unchanged(_), Some(412)) => Ok(Written::Refused),
            // 409: another write won while this one ran. 404: the object is not there any more.
            (Condition::Unchanged(_), Some(409)) => Ok(Written::Refused),
            (Condition::Unchanged(_), Some(404)) if error.code() == Some("NoSuchKey") => {
                Ok(Written::Refused)
            }
            (Condition::Absent, Some(409)) => self.taken(at, refused).await,
            _ => Err(refused),
        }
    }

    async fn save(
        &self,
        bucket: &str,
        key: &str,
        known: Option<&str>,
        file: &Path,
    ) -> Result<Saved, ObjectError> {
        let at = At { bucket, key };
        let mut object = match self.begin_get(at, known).await? {
            Answer::Missing => return Ok(Saved::Missing),
            Answer::Unchanged => return Ok(Saved::Unchanged),
            Answer::Object(object) => object,
        };
        let in_file = |error: std::io::Error| {
            at.failed(
                "GetObject",
                format!("cannot write {}: {error}", file.display()),
            )
        };
        let mut target = File::create(file).await.map_err(in_file)?;
        while let Some(chunk) = object.body.try_next().await.map_err(|it| at.broken(&it))? {
            target.write_all(&chunk).await.map_err(in_file)?;
        }
        target.flush().await.map_err(in_file)?;
        Ok(Saved::Done(at.tag("GetObject", object.e_tag)?))
    }

    async fn folders(&self, bucket: &str) -> Result<Vec<String>, ObjectError> {
        let at = At { bucket, key: "" };
        let request = self.client.list_objects_v2().bucket(bucket).delimiter("/");
        let mut pages = request.into_paginator().send();
        let mut folders = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| at.refused("ListObjectsV2", &error))?;
            let prefixes = page.common_prefixes().iter();
            let names = prefixes.filter_map(|it| it.prefix()?.strip_suffix('/'));
            folders.extend(names.map(str::to_owned));
        }
        Ok(folders)
    }
}

/// One object, for errors.
#[derive(Debug, Clone, Copy)]
struct At<'a> {
    bucket: &'a str,
    key: &'a str,
}

impl At<'_> {
    fn failed(self, operation: &'static str, reason: String) -> ObjectError {
        ObjectError::Failed {
            operation,
            bucket: self.bucket.to_owned(),
            key: self.key.to_owned(),
            reason,
        }
    }

    /// The request was refused or got no answer.
    fn refused<E>(self, operation: &'static str, error: &SdkError<E, HttpResponse>) -> ObjectError
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        self.failed(operation, reason(error))
    }

    /// The answer ended before its end.
    fn broken(self, error: &(dyn std::error::Error + 'static)) -> ObjectError {
        self.failed("GetObject", chain(error))
    }

    /// Every object has a tag; without it, no later state could be told from this one.
    fn tag(self, operation: &'static str, etag: Option<String>) -> Result<String, ObjectError> {
        etag.ok_or_else(|| self.failed(operation, "the answer has no ETag".to_owned()))
    }
}

/// The status of an answer; `None` when there was none.
fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    Some(error.raw_response()?.status().as_u16())
}
