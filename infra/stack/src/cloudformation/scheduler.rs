//! `AWS::Scheduler::*`. Source: CloudFormation template reference.

use serde::Serialize;

use super::Expr;

/// `AWS::Scheduler::Schedule`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Schedule {
    pub(crate) description: String,
    /// `rate(1 minute)` or `cron(…)`, UTC.
    pub(crate) schedule_expression: String,
    pub(crate) state: ScheduleState,
    /// How punctual.
    pub(crate) flexible_time_window: FlexibleTimeWindow,
    /// Whom it invokes.
    pub(crate) target: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum ScheduleState {
    Enabled,
    Disabled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "Mode", rename_all = "UPPERCASE")]
pub(crate) enum FlexibleTimeWindow {
    Off,
    #[serde(rename_all = "PascalCase")]
    Flexible {
        /// 1 to 1,440.
        maximum_window_in_minutes: u32,
    },
}

/// `Target`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Target {
    /// ARN of the function or of the state machine.
    pub(crate) arn: Expr,
    /// Role that Scheduler assumes.
    pub(crate) role_arn: Expr,
    /// The event, JSON.
    pub(crate) input: String,
    /// What follows a failed invocation.
    pub(crate) retry_policy: RetryPolicy,
}

/// `RetryPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RetryPolicy {
    /// 0 to 185.
    pub(crate) maximum_retry_attempts: u32,
    /// 60 to 86,400 seconds.
    pub(crate) maximum_event_age_in_seconds: u32,
}
