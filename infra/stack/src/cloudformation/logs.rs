//! `AWS::Logs::*`. Source: CloudFormation template reference.

use serde::Serialize;

use super::Expr;

/// `AWS::Logs::LogGroup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LogGroup {
    /// `/aws/lambda/NAME`.
    pub(crate) log_group_name: String,
    /// One of the numbers CloudWatch Logs allows.
    pub(crate) retention_in_days: u32,
}

/// `AWS::Logs::ResourcePolicy`: which services may write logs. An account has ten in a region.
/// Source: CloudWatch Logs quotas, "Resource policies".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ResourcePolicy {
    pub(crate) policy_name: String,
    /// A policy as text, 5,120 characters at most.
    pub(crate) policy_document: Expr,
}
