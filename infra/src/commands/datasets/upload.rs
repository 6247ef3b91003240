//! Uploads a set that was made: its files first, each once, then its description.

use std::path::Path;

use annapurna_cloud::{Object, ObjectStore, S3};
use annapurna_contract::dataset::{DatasetDescription, File};
use annapurna_contract::{Bucket, keys};
use annapurna_datasets::digest_of;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;

use crate::commands::{Context, Target};
use crate::error::CommandError;

/// Uploads the set `name` of the folder `made`.
pub(super) async fn upload(
    cx: &Context,
    target: &Target,
    name: &str,
    made: &Path,
) -> Result<(), CommandError> {
    let bucket = target.bucket(Bucket::Datasets)?;
    let folder = made.join(name);
    let path = folder.join("dataset.json");
    let json = std::fs::read(&path).map_err(CommandError::file("read", &path))?;
    let description =
        DatasetDescription::read(name, &json).map_err(|error| CommandError::Usage {
            problem: format!("{}: {error}", path.display()),
            hint: format!("make it again: cargo infra datasets ENV import {name}"),
        })?;
    let total = description.files.len();
    let step = cx.ui.begin_counted(format!("Uploading {name}"), total);
    let mut n_sent = 0;
    for (n_done, file) in description.files.values().enumerate() {
        step.reached(n_done);
        if !is_there(target, &bucket, name, file).await? {
            send(target, &bucket, name, file, &folder.join(&file.name)).await?;
            n_sent += 1;
        }
    }
    let key = keys::dataset_description(name);
    let object = Object::new(json, "application/json");
    S3::new(&target.cloud.config)
        .put(&bucket, &key, object)
        .await?;
    drop(step);
    let mib = description.bytes() >> 20;
    cx.ui.done(format!(
        "{name} is in s3://{bucket}: {mib} MiB, {n_sent} of {total} files were new"
    ));
    Ok(())
}

/// Whether the bucket has the file: its name says what is in it.
async fn is_there(
    target: &Target,
    bucket: &str,
    name: &str,
    file: &File,
) -> Result<bool, CommandError> {
    let key = keys::dataset_file(name, file);
    let found = target
        .cloud
        .s3
        .head_object()
        .bucket(bucket)
        .key(&key)
        .send()
        .await;
    match found {
        Ok(head) => {
            let size = head.content_length().and_then(|it| u64::try_from(it).ok());
            Ok(size == Some(file.bytes))
        }
        Err(error) if error.as_service_error().is_some_and(|it| it.is_not_found()) => Ok(false),
        Err(error) => Err(CommandError::aws(format!("look for s3://{bucket}/{key}"))(
            error,
        )),
    }
}

async fn send(
    target: &Target,
    bucket: &str,
    name: &str,
    file: &File,
    path: &Path,
) -> Result<(), CommandError> {
    let (sha256, _) = digest_of(path)?;
    if sha256 != file.sha256 {
        return Err(CommandError::Usage {
            problem: format!("{} is not as it was made", path.display()),
            hint: format!("make it again: cargo infra datasets ENV import {name}"),
        });
    }
    let body = ByteStream::from_path(path).await;
    let body = body.map_err(std::io::Error::other);
    let body = body.map_err(CommandError::file("read", path))?;
    let key = keys::dataset_file(name, file);
    let request = target
        .cloud
        .s3
        .put_object()
        .bucket(bucket)
        .key(&key)
        .body(body);
    let request = request
        .content_type("application/octet-stream")
        .checksum_algorithm(ChecksumAlgorithm::Sha256);
    let doing = format!("upload s3://{bucket}/{key}");
    request.send().await.map_err(CommandError::aws(doing))?;
    Ok(())
}
