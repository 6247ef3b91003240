//! Puts zips and templates into the bucket of assets, which is this account's or is not used.
//!
//! Its name can be guessed, and a bucket of that name in another account could serve other code. So every
//! call names the account that it expects, and S3 refuses those for anybody else's bucket. Source: S3 User
//! Guide, "Verifying bucket ownership with bucket owner condition".

use std::time::Duration;

use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::head_bucket::HeadBucketError;
use aws_sdk_s3::types::{
    BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration,
    PublicAccessBlockConfiguration, VersioningConfiguration,
};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Zip;
use crate::cloud::Cloud;
use crate::error::CommandError;

/// How long an archive may take: 30 MB on a line of 1 Mbit/s take four minutes.
const UPLOAD_LIMIT: Duration = Duration::from_secs(3_600);

/// The name of the bucket of assets: one an account and region, shared by its environments.
pub(crate) fn bucket_name(account: &str, region: &str) -> String {
    format!("annapurna-assets-{account}-{region}")
}

/// The bucket of assets.
#[derive(Debug, Clone)]
pub struct AssetsBucket {
    pub(super) s3: aws_sdk_s3::Client,
    endpoint: Option<String>,
    region: String,
    pub(super) account: String,
    pub(super) name: String,
}

impl AssetsBucket {
    /// The bucket of this account, 12 digits, and region. It need not exist.
    pub fn new(cloud: &Cloud, account: &str, region: &str) -> Self {
        Self {
            s3: cloud.s3.clone(),
            endpoint: cloud.config.endpoint_url().map(str::to_owned),
            region: region.to_owned(),
            account: account.to_owned(),
            name: bucket_name(account, region),
        }
    }

    /// Name of the bucket, the same for all environments of an account and region.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the bucket unless it is there, and gives it its settings: private, versioned, encrypted as S3 does
    /// by default, and where `demands_tls` for requests with TLS alone.
    ///
    /// # Errors
    ///
    /// When the bucket is another account's, or S3 refuses.
    pub async fn ensure(&self, demands_tls: bool) -> Result<(), CommandError> {
        let found = self
            .s3
            .head_bucket()
            .bucket(&self.name)
            .expected_bucket_owner(&self.account)
            .send()
            .await;
        if let Err(error) = found {
            if !error.as_service_error().is_some_and(|it| it.is_not_found()) {
                return Err(self.unusable(error));
            }
            self.create().await?;
        }
        self.close_to_the_public().await?;
        self.keep_versions().await?;
        match demands_tls {
            true => self.demand_tls().await,
            false => Ok(()),
        }
    }

    /// S3 says no more than 403 to a bucket that is not this account's.
    fn unusable(
        &self,
        error: aws_sdk_s3::error::SdkError<HeadBucketError, aws_sdk_s3::config::http::HttpResponse>,
    ) -> CommandError {
        let status = error.raw_response().map(|it| it.status().as_u16());
        if status != Some(403) {
            return CommandError::aws(format!("find bucket `{}`", self.name))(error);
        }
        CommandError::Aws {
            doing: format!("use bucket `{}`", self.name),
            reason: format!(
                "it is not of account {}, or these credentials may not use it (HTTP status 403); nothing was \
                 uploaded",
                self.account
            ),
        }
    }

    async fn create(&self) -> Result<(), CommandError> {
        let mut request = self.s3.create_bucket().bucket(&self.name);
        if self.region != "us-east-1" {
            let place = CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(self.region.as_str()))
                .build();
            request = request.create_bucket_configuration(place);
        }
        match request.send().await {
            Ok(_) => Ok(()),
            // An earlier try of this request, or another deploy at the same time.
            Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => Ok(()),
            Err(error) => Err(CommandError::aws(format!("create bucket `{}`", self.name))(
                error,
            )),
        }
    }

    async fn close_to_the_public(&self) -> Result<(), CommandError> {
        let closed = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .block_public_policy(true)
            .ignore_public_acls(true)
            .restrict_public_buckets(true)
            .build();
        let request = self
            .s3
            .put_public_access_block()
            .bucket(&self.name)
            .expected_bucket_owner(&self.account)
            .public_access_block_configuration(closed);
        let doing = format!("close bucket `{}` to the public", self.name);
        request.send().await.map_err(CommandError::aws(doing))?;
        Ok(())
    }

    async fn keep_versions(&self) -> Result<(), CommandError> {
        let versioned = VersioningConfiguration::builder()
            .status(BucketVersioningStatus::Enabled)
            .build();
        let request = self
            .s3
            .put_bucket_versioning()
            .bucket(&self.name)
            .expected_bucket_owner(&self.account)
            .versioning_configuration(versioned);
        let doing = format!("have bucket `{}` keep versions", self.name);
        request.send().await.map_err(CommandError::aws(doing))?;
        Ok(())
    }

    async fn demand_tls(&self) -> Result<(), CommandError> {
        let bucket = format!("arn:aws:s3:::{}", self.name);
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "OnlyWithTls",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [bucket, format!("{bucket}/*")],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }],
        });
        let request = self
            .s3
            .put_bucket_policy()
            .bucket(&self.name)
            .expected_bucket_owner(&self.account)
            .policy(policy.to_string());
        let doing = format!("have bucket `{}` demand TLS", self.name);
        request.send().await.map_err(CommandError::aws(doing))?;
        Ok(())
    }

    /// Uploads a zip unless its key is there; true when it was uploaded.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or S3 refuses.
    pub async fn publish(&self, zip: &Zip) -> Result<bool, CommandError> {
        let found = self
            .s3
            .head_object()
            .bucket(&self.name)
            .expected_bucket_owner(&self.account)
            .key(&zip.key)
            .send()
            .await;
        match found {
            Ok(_) => return Ok(false),
            Err(error) if error.as_service_error().is_some_and(|it| it.is_not_found()) => {}
            Err(error) => {
                return Err(CommandError::aws(format!("look for {}", zip.key))(error));
            }
        }
        let body = tokio::fs::read(&zip.path).await;
        let body = body.map_err(CommandError::file("read", &zip.path))?;
        let doing = format!("upload {}", zip.key);
        self.put(&zip.key, body, doing).await?;
        Ok(true)
    }

    /// Uploads a template that is too large for a request and returns its address.
    ///
    /// # Errors
    ///
    /// When S3 refuses.
    pub async fn publish_template(&self, body: &str) -> Result<String, CommandError> {
        let key = format!("templates/{}.json", hex::encode(Sha256::digest(body)));
        let doing = "upload the template".to_owned();
        self.put(&key, body.as_bytes().to_vec(), doing).await?;
        let Self { name, region, .. } = self;
        Ok(match &self.endpoint {
            Some(endpoint) => format!("{endpoint}/{name}/{key}"),
            None => format!("https://{name}.s3.{region}.amazonaws.com/{key}"),
        })
    }

    async fn put(&self, key: &str, body: Vec<u8>, doing: String) -> Result<(), CommandError> {
        let patience = TimeoutConfig::builder()
            .operation_timeout(UPLOAD_LIMIT)
            .build();
        let request = self
            .s3
            .put_object()
            .bucket(&self.name)
            .expected_bucket_owner(&self.account)
            .key(key)
            .body(body.into())
            .customize()
            .config_override(aws_sdk_s3::config::Config::builder().timeout_config(patience));
        request.send().await.map_err(CommandError::aws(doing))?;
        Ok(())
    }
}
