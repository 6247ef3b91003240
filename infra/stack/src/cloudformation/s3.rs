//! `AWS::S3::*`. Source: CloudFormation template reference.

use serde::Serialize;
use serde_json::Value;

use super::iam::PolicyDocument;
use super::{Expr, LogicalId};

/// `AWS::S3::Bucket`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Bucket {
    /// Global name.
    pub bucket_name: String,
    /// Closes the bucket to the public.
    pub public_access_block_configuration: PublicAccessBlock,
    /// Encryption at rest.
    pub bucket_encryption: Value,
    /// Keeps replaced versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versioning_configuration: Option<Value>,
    /// What becomes of old data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle_configuration: Option<Value>,
    /// Whom S3 tells about new objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_configuration: Option<NotificationConfiguration>,
}

/// `PublicAccessBlockConfiguration`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PublicAccessBlock {
    /// Refuses public ACLs.
    pub block_public_acls: bool,
    /// Refuses public policies.
    pub block_public_policy: bool,
    /// Ignores public ACLs.
    pub ignore_public_acls: bool,
    /// Restricts public buckets.
    pub restrict_public_buckets: bool,
}

/// `NotificationConfiguration`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NotificationConfiguration {
    /// Functions S3 invokes.
    pub lambda_configurations: Vec<LambdaConfiguration>,
}

/// `LambdaConfiguration`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LambdaConfiguration {
    /// Such as `s3:ObjectCreated:*`.
    pub event: &'static str,
    /// The function's ARN.
    pub function: Expr,
    /// Which keys.
    pub filter: NotificationFilter,
}

/// `NotificationFilter` by key ending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "Value")]
pub struct NotificationFilter {
    /// The ending.
    pub suffix: &'static str,
}

impl From<NotificationFilter> for Value {
    fn from(filter: NotificationFilter) -> Self {
        serde_json::json!({"S3Key": {"Rules": [{"Name": "suffix", "Value": filter.suffix}]}})
    }
}

/// `AWS::S3::BucketPolicy`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BucketPolicy {
    /// The bucket, by `Ref`.
    pub bucket: Expr,
    /// The policy.
    pub policy_document: PolicyDocument,
}

impl BucketPolicy {
    /// A policy on the bucket of this id.
    pub fn on(bucket: &LogicalId, policy_document: PolicyDocument) -> Self {
        Self {
            bucket: Expr::reference(bucket),
            policy_document,
        }
    }
}
