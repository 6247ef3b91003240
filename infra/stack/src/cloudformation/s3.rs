//! `AWS::S3::*`. Source: CloudFormation template reference.

use serde::Serialize;
use serde_json::Value;

use super::iam::PolicyDocument;
use super::{Expr, LogicalId};

/// `AWS::S3::Bucket`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Bucket {
    /// Global name.
    pub(crate) bucket_name: String,
    /// Closes the bucket to the public.
    pub(crate) public_access_block_configuration: PublicAccessBlock,
    /// Encryption at rest.
    pub(crate) bucket_encryption: Value,
    /// Keeps replaced versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) versioning_configuration: Option<Value>,
    /// What becomes of old data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lifecycle_configuration: Option<Value>,
    /// Whom S3 tells about new objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) notification_configuration: Option<NotificationConfiguration>,
}

/// `PublicAccessBlockConfiguration`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PublicAccessBlock {
    /// Refuses public ACLs.
    pub(crate) block_public_acls: bool,
    /// Refuses public policies.
    pub(crate) block_public_policy: bool,
    /// Ignores public ACLs.
    pub(crate) ignore_public_acls: bool,
    /// Restricts public buckets.
    pub(crate) restrict_public_buckets: bool,
}

/// `NotificationConfiguration`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NotificationConfiguration {
    /// Functions S3 invokes.
    pub(crate) lambda_configurations: Vec<LambdaConfiguration>,
}

/// `LambdaConfiguration`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LambdaConfiguration {
    /// Such as `s3:ObjectCreated:*`.
    pub(crate) event: &'static str,
    /// The function's ARN.
    pub(crate) function: Expr,
    /// Which keys.
    pub(crate) filter: NotificationFilter,
}

/// `NotificationFilter` by key ending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "Value")]
pub(crate) struct NotificationFilter {
    /// The ending.
    pub(crate) suffix: &'static str,
}

impl From<NotificationFilter> for Value {
    fn from(filter: NotificationFilter) -> Self {
        serde_json::json!({"S3Key": {"Rules": [{"Name": "suffix", "Value": filter.suffix}]}})
    }
}

/// `AWS::S3::BucketPolicy`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BucketPolicy {
    /// The bucket, by `Ref`.
    pub(crate) bucket: Expr,
    /// The policy.
    pub(crate) policy_document: PolicyDocument,
}

impl BucketPolicy {
    /// A policy on the bucket of this id.
    pub(crate) fn on(bucket: &LogicalId, policy_document: PolicyDocument) -> Self {
        Self {
            bucket: Expr::reference(bucket),
            policy_document,
        }
    }
}
