//! `AWS::Logs::*`. Source: CloudFormation template reference.

use serde::Serialize;

/// `AWS::Logs::LogGroup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LogGroup {
    /// `/aws/lambda/NAME`.
    pub log_group_name: String,
    /// One of the numbers CloudWatch Logs allows.
    pub retention_in_days: u32,
}
