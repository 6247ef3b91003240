//! `AWS::Logs::*`. Source: CloudFormation template reference.

use serde::Serialize;

/// `AWS::Logs::LogGroup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LogGroup {
    /// `/aws/lambda/NAME`.
    pub(crate) log_group_name: String,
    /// One of the numbers CloudWatch Logs allows.
    pub(crate) retention_in_days: u32,
}
