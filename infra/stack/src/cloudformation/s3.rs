//! `AWS::S3::*`. Source: CloudFormation template reference.

use serde::Serialize;

use super::iam::PolicyDocument;
use super::{Arn, LogicalId, Name};

/// `AWS::S3::Bucket`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Bucket {
    /// Unique among all buckets of AWS, 3 to 63 characters.
    pub(crate) bucket_name: String,
    /// Closes the bucket to the public.
    pub(crate) public_access_block_configuration: PublicAccessBlock,
    pub(crate) bucket_encryption: BucketEncryption,
    pub(crate) versioning_configuration: VersioningConfiguration,
    pub(crate) lifecycle_configuration: LifecycleConfiguration,
    /// Whom S3 tells about new objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) notification_configuration: Option<NotificationConfiguration>,
}

/// What keeps the public out: two refuse new ACLs and policies that would let it in, two disregard those that do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PublicAccessBlock {
    pub(crate) block_public_acls: bool,
    pub(crate) block_public_policy: bool,
    pub(crate) ignore_public_acls: bool,
    pub(crate) restrict_public_buckets: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NotificationConfiguration {
    pub(crate) lambda_configurations: Vec<LambdaConfiguration>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LambdaConfiguration {
    pub(crate) event: BucketEvent,
    /// ARN of the function that S3 invokes.
    pub(crate) function: Arn,
    pub(crate) filter: NotificationFilter,
}

/// What happens in a bucket. Source: S3 user guide, "Supported event types".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum BucketEvent {
    #[serde(rename = "s3:ObjectCreated:*")]
    ObjectCreated,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NotificationFilter {
    pub(crate) s3_key: KeyFilter,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct KeyFilter {
    pub(crate) rules: Vec<KeyRule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct KeyRule {
    pub(crate) name: KeyPart,
    pub(crate) value: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyPart {
    Suffix,
}

impl NotificationFilter {
    /// Lets through keys that end so.
    pub(crate) fn suffix(value: &'static str) -> Self {
        let name = KeyPart::Suffix;
        let rules = vec![KeyRule { name, value }];
        Self {
            s3_key: KeyFilter { rules },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BucketEncryption {
    pub(crate) server_side_encryption_configuration: Vec<ServerSideEncryptionRule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ServerSideEncryptionRule {
    pub(crate) server_side_encryption_by_default: ServerSideEncryptionByDefault,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ServerSideEncryptionByDefault {
    #[serde(rename = "SSEAlgorithm")]
    pub(crate) sse_algorithm: SseAlgorithm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum SseAlgorithm {
    /// With keys of S3, which cost nothing.
    #[serde(rename = "AES256")]
    Aes256,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VersioningConfiguration {
    pub(crate) status: Status,
}

/// Of versioning and of a lifecycle rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Status {
    Enabled,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LifecycleConfiguration {
    pub(crate) rules: Vec<LifecycleRule>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LifecycleRule {
    /// Unique within the bucket.
    pub(crate) id: &'static str,
    pub(crate) status: Status,
    /// The keys that it is about; `None`: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<&'static str>,
    #[serde(flatten)]
    pub(crate) action: LifecycleAction,
}

/// What a lifecycle rule does, after a number of days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) enum LifecycleAction {
    #[serde(rename_all = "PascalCase")]
    AbortIncompleteMultipartUpload { days_after_initiation: u32 },
    #[serde(rename_all = "PascalCase")]
    NoncurrentVersionExpiration { noncurrent_days: u32 },
    /// Removes objects of that age.
    ExpirationInDays(u32),
}

/// `AWS::S3::BucketPolicy`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BucketPolicy {
    /// The bucket, by `Ref`.
    pub(crate) bucket: Name,
    pub(crate) policy_document: PolicyDocument,
}

impl BucketPolicy {
    /// A policy on the bucket of this id.
    pub(crate) fn on(bucket: &LogicalId, policy_document: PolicyDocument) -> Self {
        Self {
            bucket: Name::of(bucket),
            policy_document,
        }
    }
}
