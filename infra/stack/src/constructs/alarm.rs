//! Alarms: what a person should see who starts nothing by hand.

use super::state_machine::StateMachineHandle;
use crate::cloudformation::cloudwatch::{
    Alarm, ComparisonOperator, Dimension, MissingData, Statistic,
};
use crate::cloudformation::{Resource, Template};

/// The period, in seconds, within which one failure is enough.
const A_DAY: u32 = 86_400;

/// Defines the alarm of a day in which an execution of a state machine failed.
///
/// One that a person aborted is no surprise, and one without a time limit does not time out. Source: Step
/// Functions developer guide, "Execution metrics".
#[derive(Debug)]
pub(crate) struct FailedExecutions<'a> {
    /// The alarm's name in this environment.
    pub(crate) name: String,
    /// Whose executions.
    pub(crate) state_machine: &'a StateMachineHandle,
}

impl FailedExecutions<'_> {
    /// Adds the alarm, which tells nobody: nothing refers to it.
    pub(crate) fn add_to(self, stack: &mut Template) {
        let alarm = Alarm {
            alarm_name: self.name,
            alarm_description:
                "An execution of the state machine failed within a day. It tells nobody: add \
                                an action, such as an SNS topic, to be told"
                    .to_owned(),
            namespace: "AWS/States",
            metric_name: "ExecutionsFailed",
            dimensions: vec![Dimension {
                name: "StateMachineArn",
                value: self.state_machine.arn().into(),
            }],
            statistic: Statistic::Sum,
            period: A_DAY,
            evaluation_periods: 1,
            comparison_operator: ComparisonOperator::GreaterThanThreshold,
            threshold: 0,
            treat_missing_data: MissingData::NotBreaching,
        };
        stack.add(self.state_machine.id().part("Failed"), Resource::new(alarm));
    }
}
