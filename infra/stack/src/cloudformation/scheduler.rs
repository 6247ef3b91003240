//! `AWS::Scheduler::*`. Source: CloudFormation template reference.

use serde::Serialize;

use super::Arn;

/// `AWS::Scheduler::Schedule`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Schedule {
    pub(crate) description: String,
    /// `rate(1 minute)` or `cron(…)`, UTC.
    pub(crate) schedule_expression: String,
    pub(crate) state: ScheduleState,
    pub(crate) flexible_time_window: FlexibleTimeWindow,
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
        /// Minutes, 1 to 1,440, within which the start may be put off.
        maximum_window_in_minutes: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Target {
    /// ARN of the function or of the state machine.
    pub(crate) arn: Arn,
    /// Role that Scheduler assumes.
    pub(crate) role_arn: Arn,
    /// The event, JSON; Scheduler fills in `<aws.scheduler.…>`.
    pub(crate) input: String,
    pub(crate) retry_policy: RetryPolicy,
}

/// What follows an invocation that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RetryPolicy {
    /// Invocations after the first, 0 to 185.
    pub(crate) maximum_retry_attempts: u32,
    /// Seconds, 60 to 86,400, after which it is given up.
    pub(crate) maximum_event_age_in_seconds: u32,
}
