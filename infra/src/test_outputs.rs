//! What tests put out, in the bucket of the outputs.

use std::path::{Component, Path, PathBuf};

use annapurna_cloud::{ObjectStore, S3};
use annapurna_contract::{
    Bucket, ErrorType, LivePart, TestResult, TestStatus, keys, text::is_hidden,
};
use annapurna_stack::outputs::Output;
use serde::de::DeserializeOwned;

use crate::cloud::Cloud;
use crate::engine::Deployed;
use crate::error::CommandError;

/// Largest result that is read, bytes.
const RESULT_LIMIT: u64 = 8 << 20;
/// Largest output of a program that is read, bytes: more than the agent keeps of any.
const OUTPUT_LIMIT: u64 = 64 << 20;

/// The bucket with its client.
#[derive(Debug)]
pub(crate) struct TestOutputs<'a> {
    cloud: &'a Cloud,
    objects: S3,
    /// Its name in S3.
    pub bucket: &'a str,
}

/// What came of a download.
#[derive(Debug, Default)]
pub(crate) struct Downloaded {
    /// Files that were written.
    pub files: Vec<PathBuf>,
    /// Keys that are no names of files.
    pub left_out: Vec<String>,
}

impl<'a> TestOutputs<'a> {
    /// Those of a deployed environment.
    ///
    /// # Errors
    ///
    /// When the stack does not name the bucket.
    pub(crate) fn of(cloud: &'a Cloud, deployed: &'a Deployed) -> Result<Self, CommandError> {
        let bucket = deployed.outputs.get(Output::BucketName(Bucket::Outputs))?;
        Ok(Self {
            cloud,
            objects: S3::new(&cloud.config),
            bucket,
        })
    }

    /// The result in a folder of outputs; `None` where there is none yet.
    ///
    /// # Errors
    ///
    /// When S3 does not answer, or with what is no result.
    pub(crate) async fn result(&self, prefix: &str) -> Result<Option<TestResult>, CommandError> {
        self.json(&keys::result_in(prefix)).await
    }

    async fn json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, CommandError> {
        let found = self.objects.get(self.bucket, key, RESULT_LIMIT).await?;
        let read = |bytes: Vec<u8>| serde_json::from_slice(&bytes);
        found
            .map(read)
            .transpose()
            .map_err(|error| CommandError::Aws {
                doing: format!("read s3://{}/{key}", self.bucket),
                reason: error.to_string(),
            })
    }

    /// A part of what a program prints in a batch that is told live, counted from 0; `None` where it has not come.
    ///
    /// # Errors
    ///
    /// When S3 does not answer, or with what is no part.
    pub(crate) async fn live_part(
        &self,
        prefix: &str,
        number: u32,
    ) -> Result<Option<LivePart>, CommandError> {
        let key = keys::live_part_in(prefix, number);
        self.json(&key).await
    }

    /// What a program wrote to one of its streams; empty where nothing is kept of it.
    ///
    /// # Errors
    ///
    /// When S3 does not answer.
    pub(crate) async fn text(&self, key: &str) -> Result<String, CommandError> {
        if key.is_empty() {
            return Ok(String::new());
        }
        let found = self.objects.get(self.bucket, key, OUTPUT_LIMIT).await?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(found.map_or_else(String::new, text))
    }

    /// The keys in a folder of outputs.
    ///
    /// # Errors
    ///
    /// When S3 does not answer.
    pub(crate) async fn keys(&self, prefix: &str) -> Result<Vec<String>, CommandError> {
        let request = self.cloud.s3.list_objects_v2();
        let request = request.bucket(self.bucket).prefix(prefix);
        let mut pages = request.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(CommandError::aws(format!("list {}", self.bucket)))?;
            found.extend(
                page.contents()
                    .iter()
                    .filter_map(|it| it.key().map(str::to_owned)),
            );
        }
        Ok(found)
    }

    /// Writes what is in a folder of outputs into `folder`, which is made.
    ///
    /// # Errors
    ///
    /// When S3 does not answer, or a file cannot be written.
    pub(crate) async fn download(
        &self,
        prefix: &str,
        folder: &Path,
    ) -> Result<Downloaded, CommandError> {
        let mut downloaded = Downloaded::default();
        for key in self.keys(prefix).await? {
            let Some(name) = file_in(prefix, &key) else {
                downloaded.left_out.push(key);
                continue;
            };
            let file = folder.join(name);
            if let Some(parent) = file.parent() {
                std::fs::create_dir_all(parent).map_err(CommandError::file("make", parent))?;
            }
            let bytes = self.objects.get(self.bucket, &key, OUTPUT_LIMIT).await?;
            let Some(bytes) = bytes else { continue };
            std::fs::write(&file, bytes).map_err(CommandError::file("write", &file))?;
            downloaded.files.push(file);
        }
        Ok(downloaded)
    }

    /// Removes a folder of outputs. The bucket keeps what was removed for a while, as it does with all.
    ///
    /// # Errors
    ///
    /// When S3 does not answer.
    pub(crate) async fn remove(&self, prefix: &str) -> Result<(), CommandError> {
        for key in self.keys(prefix).await? {
            let request = self.cloud.s3.delete_object().bucket(self.bucket).key(&key);
            let removed = request.send().await;
            removed.map_err(CommandError::aws(format!(
                "remove s3://{}/{key}",
                self.bucket
            )))?;
        }
        Ok(())
    }
}

/// The file that a key is below its folder; `None` for a key that leads elsewhere, or that a terminal would obey.
fn file_in<'a>(prefix: &str, key: &'a str) -> Option<&'a Path> {
    let name = key.strip_prefix(prefix)?;
    let path = Path::new(name);
    let is_plain = path
        .components()
        .all(|it| matches!(it, Component::Normal(_)));
    (is_plain && !name.is_empty() && !name.ends_with('/') && !name.contains(is_hidden))
        .then_some(path)
}

/// How a program ended, in a word: `success`, or why not.
pub(crate) fn status(result: &TestResult) -> &'static str {
    result.status().map_or("never ran", TestStatus::as_str)
}

/// Why a program failed, in the agent's words.
pub(crate) fn reason(result: &TestResult) -> String {
    let kind = result.error_type.as_ref();
    let kind = kind.map_or(status(result), ErrorType::as_str);
    match &result.error_message {
        Some(message) => format!("{kind}: {message}"),
        None => kind.to_owned(),
    }
}

/// The last `lines` lines of a text.
pub(crate) fn tail(text: &str, lines: usize) -> &str {
    let text = text.trim_end();
    let before = text.rmatch_indices('\n').nth(lines.saturating_sub(1));
    before.map_or(text, |(at, _)| &text[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_leads_elsewhere_is_no_file() {
        let file = |name: &str| file_in("p/outputs/", &format!("p/outputs/{name}")).is_some();
        assert!(file("stdout.log") && file("plots/loss curve.png"));
        for bad in [
            "",
            "plots/",
            "../../x",
            "a/../../x",
            "/etc/passwd",
            "./x",
            "a\u{1b}[2J",
        ] {
            assert!(!file(bad), "{bad:?}");
        }
        assert_eq!(file_in("p/outputs/", "q/outputs/stdout.log"), None);
    }

    #[test]
    fn a_tail_is_whole_lines() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a\nb", 5), "a\nb");
        assert_eq!(tail("", 5), "");
    }
}
