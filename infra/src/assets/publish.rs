//! Puts zips and templates into the bucket of assets.

use sha2::{Digest, Sha256};

use super::Zip;
use crate::cloud::Cloud;
use crate::error::CommandError;

/// The name of the bucket of assets: one an account and region, shared by its environments.
pub fn bucket_name(account: &str, region: &str) -> String {
    format!("annapurna-assets-{account}-{region}")
}

/// Makes the bucket of assets unless it is there: private, encrypted, versioned as S3 does by default.
///
/// # Errors
///
/// When S3 refuses, such as for a bucket of that name in another account.
pub async fn ensure_bucket(cloud: &Cloud, bucket: &str, region: &str) -> Result<(), CommandError> {
    use aws_sdk_s3::types::{
        BucketLocationConstraint, CreateBucketConfiguration, PublicAccessBlockConfiguration,
    };
    if cloud.s3.head_bucket().bucket(bucket).send().await.is_ok() {
        return Ok(());
    }
    let mut request = cloud.s3.create_bucket().bucket(bucket);
    if region != "us-east-1" {
        let place = CreateBucketConfiguration::builder()
            .location_constraint(BucketLocationConstraint::from(region))
            .build();
        request = request.create_bucket_configuration(place);
    }
    request
        .send()
        .await
        .map_err(CommandError::aws(format!("create bucket `{bucket}`")))?;
    let closed = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .block_public_policy(true)
        .ignore_public_acls(true)
        .restrict_public_buckets(true)
        .build();
    let request = cloud
        .s3
        .put_public_access_block()
        .bucket(bucket)
        .public_access_block_configuration(closed);
    request.send().await.map_err(CommandError::aws(format!(
        "close bucket `{bucket}` to the public"
    )))?;
    Ok(())
}

/// Uploads a zip unless its key is there; true when it was uploaded.
///
/// # Errors
///
/// When the file cannot be read or S3 refuses.
pub async fn publish(cloud: &Cloud, bucket: &str, zip: &Zip) -> Result<bool, CommandError> {
    if cloud
        .s3
        .head_object()
        .bucket(bucket)
        .key(&zip.key)
        .send()
        .await
        .is_ok()
    {
        return Ok(false);
    }
    let body = tokio::fs::read(&zip.path)
        .await
        .map_err(CommandError::file("read", &zip.path))?;
    let request = cloud
        .s3
        .put_object()
        .bucket(bucket)
        .key(&zip.key)
        .body(body.into());
    request
        .send()
        .await
        .map_err(CommandError::aws(format!("upload {}", zip.key)))?;
    Ok(true)
}

/// Uploads a template that is too large for a request and returns its address.
///
/// # Errors
///
/// When S3 refuses.
pub async fn publish_template(
    cloud: &Cloud,
    bucket: &str,
    region: &str,
    body: &str,
) -> Result<String, CommandError> {
    let key = format!("templates/{}.json", hex::encode(Sha256::digest(body)));
    let content = body.as_bytes().to_vec();
    let request = cloud
        .s3
        .put_object()
        .bucket(bucket)
        .key(&key)
        .body(content.into());
    request
        .send()
        .await
        .map_err(CommandError::aws("upload the template"))?;
    Ok(match cloud.config.endpoint_url() {
        Some(endpoint) => format!("{endpoint}/{bucket}/{key}"),
        None => format!("https://{bucket}.s3.{region}.amazonaws.com/{key}"),
    })
}
