//! Alarms: what a person should see who starts nothing by hand, and who is told of them.

use sha2::{Digest, Sha256};

use super::state_machine::StateMachineHandle;
use crate::cloudformation::cloudwatch::{
    Alarm, ComparisonOperator, Dimension, MissingData, Statistic,
};
use crate::cloudformation::iam::{
    Condition, PolicyDocument, Principal, ServicePrincipal, Statement,
};
use crate::cloudformation::sns::{Protocol, Subscription, Topic, TopicPolicy};
use crate::cloudformation::{Arn, Expr, LogicalId, Resource, Template};
use crate::environment::Subscriber;

/// The period, in seconds, within which one failure is enough.
const A_DAY: u32 = 86_400;

/// Defines the topic that every alarm of the stack is sent to, and who is told.
///
/// It is there with the alarms, whether or not anybody is named: one may subscribe to it by hand.
#[derive(Debug)]
pub(crate) struct AlarmTopic<'a> {
    /// The topic's name in this environment.
    pub(crate) name: String,
    pub(crate) subscribers: &'a [Subscriber],
}

/// A topic that alarms are sent to.
#[derive(Debug, Clone)]
pub(crate) struct AlarmTopicHandle(Arn);

impl AlarmTopic<'_> {
    /// Adds the topic, who may publish to it, and a subscription for each subscriber.
    ///
    /// The policy stands in place of the one that a topic is made with, which lets everybody of the account
    /// publish: only alarms of this account do. Source: SNS developer guide, "Example cases for access control".
    pub(crate) fn add_to(self, stack: &mut Template) -> AlarmTopicHandle {
        let topic_name = self.name;
        let id = stack.add(
            LogicalId::new("Alarms"),
            Resource::new(Topic { topic_name }),
        );
        let topic = Arn::of_reference(&id);
        let own_alarms = Condition::string_equals("aws:SourceAccount", Expr::account())
            .and_arn_equals("aws:SourceArn", Arn::in_account("cloudwatch", "alarm:*"));
        let publish = Statement::allow("OwnAlarms", &["sns:Publish"], vec![topic.clone()])
            .about(Principal::Service([ServicePrincipal::CloudWatch]))
            .when(own_alarms);
        let policy = TopicPolicy {
            topics: [topic.clone()],
            policy_document: PolicyDocument::new(vec![publish]),
        };
        stack.add(id.part("Policy"), Resource::new(policy));
        for subscriber in self.subscribers {
            let subscription = Subscription {
                topic_arn: topic.clone(),
                protocol: match subscriber {
                    Subscriber::Email(_) => Protocol::Email,
                    Subscriber::Https(_) => Protocol::Https,
                },
                endpoint: subscriber.endpoint().to_owned(),
            };
            stack.add(
                subscription_id(&id, subscriber),
                Resource::new(subscription),
            );
        }
        AlarmTopicHandle(topic)
    }
}

/// An id that a subscriber keeps whoever else is named, so that nobody has to confirm because of another.
fn subscription_id(topic: &LogicalId, subscriber: &Subscriber) -> LogicalId {
    let digest = hex::encode(Sha256::digest(subscriber.endpoint()));
    topic.part(&format!("Subscriber{}", &digest[..8]))
}

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
    /// What is told that a day had a failure, and that a day had none again.
    pub(crate) topic: &'a AlarmTopicHandle,
}

impl FailedExecutions<'_> {
    pub(crate) fn add_to(self, stack: &mut Template) {
        let told = vec![self.topic.0.clone()];
        let alarm = Alarm {
            alarm_name: self.name,
            alarm_description:
                "An execution of the state machine failed within a day: `cargo infra logs` \
                                of PapersScraper and the execution's history say why"
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
            alarm_actions: told.clone(),
            ok_actions: told,
        };
        stack.add(self.state_machine.id().part("Failed"), Resource::new(alarm));
    }
}
