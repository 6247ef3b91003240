//! `AWS::Lambda::*`. Source: CloudFormation template reference.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::iam::ServicePrincipal;
use super::{Arn, Expr, Name};

/// `AWS::Lambda::Function`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Function {
    pub(crate) function_name: String,
    pub(crate) description: String,
    pub(crate) runtime: Runtime,
    /// Name of the program in the zip: `bootstrap` for this runtime.
    pub(crate) handler: &'static str,
    /// Exactly one; changing it takes other code.
    pub(crate) architectures: Vec<Architecture>,
    pub(crate) code: Code,
    /// ARN of its role.
    pub(crate) role: Arn,
    /// Seconds, 1 to 900.
    pub(crate) timeout: u32,
    /// MiB, 128 to 10,240.
    pub(crate) memory_size: u32,
    pub(crate) environment: Environment,
    pub(crate) logging_config: LoggingConfig,
}

/// The processor that functions are compiled for and run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Architecture {
    /// Graviton; the default in AWS.
    #[serde(rename = "arm64")]
    Arm64,
    /// Intel and AMD.
    #[serde(rename = "x86_64")]
    X86_64,
}

impl Architecture {
    /// Lambda's word for it, also in messages about a build.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }

    pub(crate) const fn host() -> Self {
        if cfg!(target_arch = "aarch64") {
            Self::Arm64
        } else {
            Self::X86_64
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Runtime {
    /// Amazon Linux 2023 with a program called `bootstrap` and nothing else.
    #[serde(rename = "provided.al2023")]
    ProvidedAl2023,
}

/// Where the zip of the function is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Code {
    #[serde(rename = "S3Bucket")]
    pub(crate) s3_bucket: Expr,
    #[serde(rename = "S3Key")]
    pub(crate) s3_key: Expr,
}

/// Variables of the function, 4 KB together. Source: Lambda quotas, "Function environment variables".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Environment {
    pub(crate) variables: BTreeMap<&'static str, Expr>,
}

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
    pub(crate) event_source_arn: Arn,
    /// The function's, by `Ref`.
    pub(crate) function_name: Name,
    /// Messages of one call, 1 to 10 from a FIFO queue.
    pub(crate) batch_size: u32,
    /// Seconds to wait for more; FIFO queues have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) maximum_batching_window_in_seconds: Option<u32>,
    pub(crate) function_response_types: Vec<FunctionResponseType>,
    pub(crate) scaling_config: ScalingConfig,
}

/// What the function answers a batch with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum FunctionResponseType {
    /// Which messages failed, so that only those come again.
    ReportBatchItemFailures,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ScalingConfig {
    /// Copies of the function that the queue may start, 2 to 1,000.
    pub(crate) maximum_concurrency: u32,
}

/// `AWS::Lambda::EventInvokeConfig`: what becomes of events that nobody waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EventInvokeConfig {
    /// The function's, by `Ref`.
    pub(crate) function_name: Name,
    /// `$LATEST`: every version that is called without a name.
    pub(crate) qualifier: &'static str,
    pub(crate) destination_config: DestinationConfig,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DestinationConfig {
    pub(crate) on_failure: OnFailure,
}

/// Where an event goes that failed as often as Lambda repeats it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OnFailure {
    /// ARN of a standard queue; a FIFO queue cannot be one.
    /// Source: Lambda guide, "Capturing records of Lambda asynchronous invocations".
    pub(crate) destination: Arn,
}

/// `AWS::Lambda::Permission`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Permission {
    /// `lambda:InvokeFunction`.
    pub(crate) action: &'static str,
    /// ARN of the function.
    pub(crate) function_name: Arn,
    pub(crate) principal: ServicePrincipal,
    /// Account that the source must be of, since a bucket's ARN names none.
    pub(crate) source_account: Expr,
    pub(crate) source_arn: Arn,
}
