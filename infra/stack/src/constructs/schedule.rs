//! A schedule that invokes a function, or starts a state machine, with a fixed event.

use super::function::FunctionHandle;
use crate::cloudformation::iam::{Policy, PolicyDocument, Role, Statement};
use crate::cloudformation::scheduler::{FlexibleTimeWindow, RetryPolicy, Schedule, Target};
use crate::cloudformation::{Expr, LogicalId, Resource, Template};

/// Defines a schedule.
#[derive(Debug)]
pub struct Cadence {
    /// Its logical id.
    pub id: String,
    /// For people.
    pub description: String,
    /// `rate(1 minute)` or `cron(…)`, UTC.
    pub expression: String,
    /// Minutes over which Scheduler may spread the start; 0 for on time.
    pub window_minutes: u32,
    /// The event, JSON.
    pub event: String,
    /// Whether it runs.
    pub enabled: bool,
}

/// Adds the role with which Scheduler invokes this function and starts this state machine, and nothing
/// else.
pub fn add_role(template: &mut Template, function: &FunctionHandle, machine: &Expr) -> Expr {
    let arn = function.arn.clone();
    let statements = vec![
        Statement::allow("InvokeScheduled", &["lambda:InvokeFunction"], vec![arn]),
        Statement::allow(
            "StartScheduled",
            &["states:StartExecution"],
            vec![machine.clone()],
        ),
    ];
    let role = template.add(
        LogicalId::new("SchedulesRole"),
        Resource::new(Role {
            assume_role_policy_document: PolicyDocument::new(vec![
                Statement::trust("Service", Expr::from("scheduler.amazonaws.com")).when(
                    serde_json::json!({"StringEquals": {"aws:SourceAccount": Expr::account()}}),
                ),
            ]),
            policies: vec![Policy {
                policy_name: "invoke".to_owned(),
                policy_document: PolicyDocument::new(statements),
            }],
            managed_policy_arns: Vec::new(),
        }),
    );
    Expr::attribute(&role, "Arn")
}

impl Cadence {
    /// Adds the schedule of a function or of a state machine.
    ///
    /// A missed start is tried again for as long as the next one is not near: one minute's tick is not
    /// worth a retry, and a day's scrape is.
    pub fn add_to(self, template: &mut Template, target_arn: &Expr, role_arn: &Expr) {
        let flexible = self.window_minutes > 0;
        let schedule = Schedule {
            description: self.description,
            schedule_expression: self.expression,
            state: if self.enabled { "ENABLED" } else { "DISABLED" },
            flexible_time_window: FlexibleTimeWindow {
                mode: if flexible { "FLEXIBLE" } else { "OFF" },
                maximum_window_in_minutes: flexible.then_some(self.window_minutes),
            },
            target: Target {
                arn: target_arn.clone(),
                role_arn: role_arn.clone(),
                input: self.event,
                retry_policy: RetryPolicy {
                    maximum_retry_attempts: if flexible { 3 } else { 0 },
                    maximum_event_age_in_seconds: if flexible { 3_600 } else { 60 },
                },
            },
        };
        template.add(LogicalId::new(&self.id), Resource::new(schedule));
    }
}
