//! `AWS::Lambda::*`. Source: CloudFormation template reference.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::Expr;

/// `AWS::Lambda::Function`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Function {
    /// Its name.
    pub(crate) function_name: String,
    /// For people.
    pub(crate) description: String,
    /// `provided.al2023`.
    pub(crate) runtime: &'static str,
    /// `bootstrap`.
    pub(crate) handler: &'static str,
    /// `arm64` or `x86_64`.
    pub(crate) architectures: Vec<&'static str>,
    /// Where its zip is.
    pub(crate) code: Code,
    /// ARN of its role.
    pub(crate) role: Expr,
    /// Seconds, 1 to 900.
    pub(crate) timeout: u32,
    /// MiB, 128 to 10,240.
    pub(crate) memory_size: u32,
    /// Its variables.
    pub(crate) environment: Environment,
    /// Its log group.
    pub(crate) logging_config: LoggingConfig,
    /// Copies at once; absent for the account's pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reserved_concurrent_executions: Option<u32>,
}

/// `Code` in S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Code {
    /// Bucket.
    #[serde(rename = "S3Bucket")]
    pub(crate) s3_bucket: Expr,
    /// Key.
    #[serde(rename = "S3Key")]
    pub(crate) s3_key: Expr,
}

/// `Environment`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Environment {
    /// By name.
    pub(crate) variables: BTreeMap<&'static str, Expr>,
}

/// `LoggingConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LoggingConfig {
    /// Name of the log group.
    pub(crate) log_group: Expr,
}

/// `AWS::Lambda::EventSourceMapping` of a queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EventSourceMapping {
    /// ARN of the queue.
    pub(crate) event_source_arn: Expr,
    /// The function, by `Ref`.
    pub(crate) function_name: Expr,
    /// Messages of one call.
    pub(crate) batch_size: u32,
    /// Seconds to wait for more; FIFO queues have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) maximum_batching_window_in_seconds: Option<u32>,
    /// `ReportBatchItemFailures`.
    pub(crate) function_response_types: Vec<&'static str>,
    /// Bounds the copies of the function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scaling_config: Option<Value>,
}

/// `AWS::Lambda::Permission`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Permission {
    /// `lambda:InvokeFunction`.
    pub(crate) action: &'static str,
    /// ARN of the function.
    pub(crate) function_name: Expr,
    /// The service.
    pub(crate) principal: &'static str,
    /// Account of the source.
    pub(crate) source_account: Expr,
    /// The source.
    pub(crate) source_arn: Expr,
}
