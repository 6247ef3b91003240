//! `AWS::Lambda::*`. Source: CloudFormation template reference.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::Expr;

/// `AWS::Lambda::Function`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Function {
    /// Its name.
    pub function_name: String,
    /// For people.
    pub description: String,
    /// `provided.al2023`.
    pub runtime: &'static str,
    /// `bootstrap`.
    pub handler: &'static str,
    /// `arm64` or `x86_64`.
    pub architectures: Vec<&'static str>,
    /// Where its zip is.
    pub code: Code,
    /// ARN of its role.
    pub role: Expr,
    /// Seconds, 1 to 900.
    pub timeout: u32,
    /// MiB, 128 to 10,240.
    pub memory_size: u32,
    /// Its variables.
    pub environment: Environment,
    /// Its log group.
    pub logging_config: LoggingConfig,
    /// Copies at once; absent for the account's pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved_concurrent_executions: Option<u32>,
}

/// `Code` in S3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Code {
    /// Bucket.
    #[serde(rename = "S3Bucket")]
    pub s3_bucket: Expr,
    /// Key.
    #[serde(rename = "S3Key")]
    pub s3_key: Expr,
}

/// `Environment`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Environment {
    /// By name.
    pub variables: BTreeMap<&'static str, Expr>,
}

/// `LoggingConfig`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LoggingConfig {
    /// Name of the log group.
    pub log_group: Expr,
}

/// `AWS::Lambda::EventSourceMapping` of a queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EventSourceMapping {
    /// ARN of the queue.
    pub event_source_arn: Expr,
    /// The function, by `Ref`.
    pub function_name: Expr,
    /// Messages of one call.
    pub batch_size: u32,
    /// Seconds to wait for more; FIFO queues have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_batching_window_in_seconds: Option<u32>,
    /// `ReportBatchItemFailures`.
    pub function_response_types: Vec<&'static str>,
    /// Bounds the copies of the function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling_config: Option<Value>,
}

/// `AWS::Lambda::Permission`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Permission {
    /// `lambda:InvokeFunction`.
    pub action: &'static str,
    /// ARN of the function.
    pub function_name: Expr,
    /// The service.
    pub principal: &'static str,
    /// Account of the source.
    pub source_account: Expr,
    /// The source.
    pub source_arn: Expr,
}
