//! `AWS::SNS::*`. Source: CloudFormation template reference.

use serde::Serialize;

use super::Arn;
use super::iam::PolicyDocument;

/// `AWS::SNS::Topic`, a standard one. Without `KmsMasterKeyId`: CloudWatch has no permission on the key that AWS
/// manages for SNS, so an alarm's message to a topic that is encrypted with it is lost. Source: SNS developer guide,
/// "Enable compatibility between event sources from AWS services and encrypted topics".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Topic {
    /// Letters, digits, `-` and `_`, 256 at most.
    pub(crate) topic_name: String,
}

/// `AWS::SNS::TopicPolicy`, in place of the policy that a topic is made with.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TopicPolicy {
    pub(crate) topics: [Arn; 1],
    pub(crate) policy_document: PolicyDocument,
}

/// `AWS::SNS::Subscription`. Changing any of these replaces it, and whoever it tells confirms anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Subscription {
    pub(crate) topic_arn: Arn,
    pub(crate) protocol: Protocol,
    /// Who is told: an address as the protocol has them.
    pub(crate) endpoint: String,
}

/// How a subscriber is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Protocol {
    Email,
    Https,
}
