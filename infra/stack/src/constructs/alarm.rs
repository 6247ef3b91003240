//! Alarms: what a person should see who starts nothing by hand.

use crate::cloudformation::cloudwatch::{Alarm, Dimension};
use crate::cloudformation::{Expr, LogicalId, Resource, Template};

const A_DAY: u32 = 86_400;

/// Adds the alarm of a day in which an execution of a state machine failed.
///
/// One that a person aborted is no surprise, and one without a time limit does not time out. Source: Step
/// Functions developer guide, "Execution metrics".
pub fn on_failed_executions(
    template: &mut Template,
    machine_id: &str,
    name: String,
    machine: &Expr,
) {
    let alarm = Alarm {
        alarm_name: name,
        alarm_description:
            "An execution of the state machine failed within a day. It tells nobody: add \
                            an action, such as an SNS topic, to be told"
                .to_owned(),
        namespace: "AWS/States",
        metric_name: "ExecutionsFailed",
        dimensions: vec![Dimension {
            name: "StateMachineArn",
            value: machine.clone(),
        }],
        statistic: "Sum",
        period: A_DAY,
        evaluation_periods: 1,
        comparison_operator: "GreaterThanThreshold",
        threshold: 0,
        treat_missing_data: "notBreaching",
    };
    template.add(
        LogicalId::new(machine_id).part("Failed"),
        Resource::new(alarm),
    );
}
