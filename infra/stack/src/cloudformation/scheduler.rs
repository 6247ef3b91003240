//! `AWS::Scheduler::*`. Source: CloudFormation template reference.

use serde::Serialize;

use super::Expr;

/// `AWS::Scheduler::Schedule`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Schedule {
    /// For people.
    pub description: String,
    /// `rate(1 minute)` or `cron(…)`, UTC.
    pub schedule_expression: String,
    /// `ENABLED` or `DISABLED`.
    pub state: &'static str,
    /// How punctual.
    pub flexible_time_window: FlexibleTimeWindow,
    /// Whom it invokes.
    pub target: Target,
}

/// `FlexibleTimeWindow`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FlexibleTimeWindow {
    /// `OFF` or `FLEXIBLE`.
    pub mode: &'static str,
    /// 1 to 1,440, with `FLEXIBLE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_window_in_minutes: Option<u32>,
}

/// `Target`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Target {
    /// ARN of the function or of the state machine.
    pub arn: Expr,
    /// Role that Scheduler assumes.
    pub role_arn: Expr,
    /// The event, JSON.
    pub input: String,
    /// What follows a failed invocation.
    pub retry_policy: RetryPolicy,
}

/// `RetryPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RetryPolicy {
    /// 0 to 185.
    pub maximum_retry_attempts: u32,
    /// 60 to 86,400 seconds.
    pub maximum_event_age_in_seconds: u32,
}
