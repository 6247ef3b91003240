//! A schedule that invokes a function with a fixed event.

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

/// Adds the role with which Scheduler invokes these functions, and nothing else.
pub fn add_role(template: &mut Template, functions: &[&FunctionHandle]) -> Expr {
    let arns = functions
        .iter()
        .map(|function| function.arn.clone())
        .collect();
    let statement = Statement::allow("InvokeScheduled", &["lambda:InvokeFunction"], arns);
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
                policy_document: PolicyDocument::new(vec![statement]),
            }],
            managed_policy_arns: Vec::new(),
        }),
    );
    Expr::attribute(&role, "Arn")
}

impl Cadence {
    /// Adds the schedule.
    ///
    /// A missed start is tried again for as long as the next one is not near: one minute's tick is not
    /// worth a retry, and a day's scrape is.
    pub fn add_to(self, template: &mut Template, function: &FunctionHandle, role_arn: &Expr) {
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
                arn: function.arn.clone(),
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
