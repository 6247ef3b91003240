//! A schedule that invokes a function, or starts a state machine, with a fixed event.

use super::function::FunctionHandle;
use super::role::{Role, RoleHandle};
use super::state_machine::StateMachineHandle;
use crate::cloudformation::iam::{Condition, Principal, ServicePrincipal, Statement};
use crate::cloudformation::scheduler::{
    self, FlexibleTimeWindow, RetryPolicy, ScheduleState, Target,
};
use crate::cloudformation::{Arn, Expr, LogicalId, Resource, Template};

/// Defines the role of every schedule: it invokes these functions, starts this state machine, and nothing else.
#[derive(Debug)]
pub(crate) struct SchedulesRole<'a> {
    /// The functions that schedules invoke.
    pub(crate) functions: Vec<&'a FunctionHandle>,
    /// The state machine that schedules start.
    pub(crate) state_machine: &'a StateMachineHandle,
}

#[derive(Debug)]
pub(crate) struct Schedule<'a> {
    pub(crate) id: String,
    /// What CloudFormation's and Scheduler's consoles show.
    pub(crate) description: String,
    /// `rate(1 minute)` or `cron(…)`, UTC.
    pub(crate) expression: &'static str,
    /// Minutes over which Scheduler may spread the start; 0 for on time.
    pub(crate) window_minutes: u32,
    /// ARN of a function or of a state machine.
    pub(crate) target: Arn,
    /// The event, JSON.
    pub(crate) event: String,
    /// The role that may call the target.
    pub(crate) role: &'a RoleHandle,
    pub(crate) enabled: bool,
}

impl SchedulesRole<'_> {
    pub(crate) fn add_to(self, stack: &mut Template) -> RoleHandle {
        let this_account = Condition::string_equals("aws:SourceAccount", Expr::account());
        let role = Role {
            handle: RoleHandle::part_of(&LogicalId::new("Schedules")),
            trust: Statement::trust(Principal::Service([ServicePrincipal::Scheduler]))
                .when(this_account),
            policy_name: "invoke",
            statements: vec![
                Statement::allow(
                    "InvokeScheduled",
                    &["lambda:InvokeFunction"],
                    self.functions.iter().map(|it| it.arn()).collect(),
                ),
                Statement::allow(
                    "StartScheduled",
                    &["states:StartExecution"],
                    vec![self.state_machine.arn()],
                ),
            ],
            managed: Vec::new(),
        };
        role.add_to(stack)
    }
}

impl Schedule<'_> {
    /// Adds the schedule, to which nothing refers.
    ///
    /// A missed start is tried again for as long as the next one is not near: one minute's tick is not
    /// worth a retry, and a day's scrape is.
    pub(crate) fn add_to(self, stack: &mut Template) {
        let flexible = self.window_minutes > 0;
        let schedule = scheduler::Schedule {
            description: self.description,
            schedule_expression: self.expression.to_owned(),
            state: if self.enabled {
                ScheduleState::Enabled
            } else {
                ScheduleState::Disabled
            },
            flexible_time_window: if flexible {
                FlexibleTimeWindow::Flexible {
                    maximum_window_in_minutes: self.window_minutes,
                }
            } else {
                FlexibleTimeWindow::Off
            },
            target: Target {
                arn: self.target,
                role_arn: self.role.arn(),
                input: self.event,
                retry_policy: RetryPolicy {
                    maximum_retry_attempts: if flexible { 3 } else { 0 },
                    maximum_event_age_in_seconds: if flexible { 3_600 } else { 60 },
                },
            },
        };
        stack.add(LogicalId::new(&self.id), Resource::new(schedule));
    }
}
