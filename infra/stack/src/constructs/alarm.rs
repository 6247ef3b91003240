//! Alarms and the budget: what a person should see who starts nothing by hand, and who is told of them.

use sha2::{Digest, Sha256};

use crate::cloudformation::budgets::{
    Budget, BudgetData, BudgetSubscriber, BudgetType, Comparison, Currency, Notification,
    NotificationType, NotificationWithSubscribers, Spend, SubscriptionType, TimeUnit,
};
use crate::cloudformation::cloudwatch::{
    Alarm, ComparisonOperator, Dimension, Measure, Metric, MetricDataQuery, MissingData,
    QueryValue, Statistic,
};
use crate::cloudformation::iam::{
    Condition, PolicyDocument, Principal, ServicePrincipal, Statement,
};
use crate::cloudformation::sns::{Protocol, Subscription, Topic, TopicPolicy};
use crate::cloudformation::{Arn, Exception, Expr, LogicalId, Name, Resource, Rule, Template};
use crate::environment::Subscriber;

/// The key that AWS manages for SNS is no way out, see [`Topic`].
const EXCEPTIONS: [Exception; 1] = [Exception {
    rules: &[Rule::Checkov("CKV_AWS_26")],
    reason: "Its messages name alarms and queues, nothing of papers. CloudWatch may not use the key that AWS manages \
             for SNS, so that alarms would be lost; a key of one's own costs more than all alarms.",
}];

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

impl AlarmTopicHandle {
    /// The topic of another stack of the environment, by its name.
    pub(crate) fn named(name: String) -> Self {
        Self(Arn::in_account("sns", name))
    }
}

impl AlarmTopic<'_> {
    /// Adds the topic, who may publish to it, and a subscription for each subscriber.
    ///
    /// The policy stands in place of the one that a topic is made with, which lets everybody of the account
    /// publish: only alarms and budgets of this account do. Source: SNS developer guide, "Example cases for access control".
    pub(crate) fn add_to(self, stack: &mut Template) -> AlarmTopicHandle {
        let topic_name = self.name;
        let id = stack.add(
            LogicalId::new("Alarms"),
            Resource::new(Topic { topic_name }).except(&EXCEPTIONS),
        );
        let topic = Arn::of_reference(&id);
        let own_alarms = Condition::string_equals("aws:SourceAccount", Expr::account())
            .and_arn_equals("aws:SourceArn", Arn::in_account("cloudwatch", "alarm:*"));
        let publish = Statement::allow("OwnAlarms", &["sns:Publish"], vec![topic.clone()])
            .about(Principal::Service([ServicePrincipal::CloudWatch]))
            .when(own_alarms);
        let own_budgets = Condition::string_equals("aws:SourceAccount", Expr::account());
        let budgets = Statement::allow("OwnBudgets", &["sns:Publish"], vec![topic.clone()])
            .about(Principal::Service([ServicePrincipal::Budgets]))
            .when(own_budgets);
        let encrypted = Statement::encrypted_transport_only("sns:Publish", vec![topic.clone()]);
        let policy = TopicPolicy {
            topics: [topic.clone()],
            policy_document: PolicyDocument::new(vec![publish, budgets, encrypted]),
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

/// Defines the alarm of one metric, which goes off as soon as one period is above the threshold.
#[derive(Debug)]
pub(crate) struct MetricAlarm<'a> {
    pub(crate) id: LogicalId,
    /// The alarm's name in this environment.
    pub(crate) name: String,
    /// What happened and what helps, as the message says it.
    pub(crate) description: String,
    pub(crate) metric: Metric,
    /// What is not too much yet.
    pub(crate) threshold: u32,
    /// What is told that it went off, and that it is over.
    pub(crate) topic: &'a AlarmTopicHandle,
}

impl MetricAlarm<'_> {
    /// Adds the alarm, to which nothing refers. A period without a value is a good one.
    pub(crate) fn add_to(self, stack: &mut Template) {
        let told = vec![self.topic.0.clone()];
        let alarm = Alarm {
            alarm_name: self.name,
            alarm_description: self.description,
            measure: Measure::One(self.metric),
            evaluation_periods: 1,
            comparison_operator: ComparisonOperator::GreaterThanThreshold,
            threshold: self.threshold,
            treat_missing_data: MissingData::NotBreaching,
            alarm_actions: told.clone(),
            ok_actions: told,
        };
        stack.add(self.id, Resource::new(alarm));
    }
}

/// Seconds that a value of the metrics of instances and queues is about.
const FIVE_MINUTES: u32 = 300;

/// Defines the alarm of an instance that runs for an hour while the queue of batches is empty: the dispatcher stops
/// one after ten minutes, so it cannot, and the instance costs money.
#[derive(Debug)]
pub(crate) struct IdleInstance<'a> {
    pub(crate) id: LogicalId,
    /// The alarm's name in this environment.
    pub(crate) name: String,
    /// Its EC2 id.
    pub(crate) instance_id: Name,
    /// The queue of batches, by its name.
    pub(crate) queue_name: String,
    pub(crate) topic: &'a AlarmTopicHandle,
}

impl IdleInstance<'_> {
    /// Adds the alarm, to which nothing refers. A stopped instance has no metrics, and then neither has the expression.
    pub(crate) fn add_to(self, stack: &mut Template) {
        let told = vec![self.topic.0.clone()];
        let alarm = Alarm {
            alarm_description: "It has run for an hour without a batch: the dispatcher did not stop it, and it costs \
                                money; `cargo infra logs` of PapersCodeTester says why"
                .to_owned(),
            measure: Measure::Computed {
                metrics: self.queries().into(),
            },
            alarm_name: self.name,
            evaluation_periods: 12,
            comparison_operator: ComparisonOperator::GreaterThanThreshold,
            threshold: 0,
            treat_missing_data: MissingData::NotBreaching,
            alarm_actions: told.clone(),
            ok_actions: told,
        };
        stack.add(self.id, Resource::new(alarm));
    }

    fn queries(&self) -> [MetricDataQuery; 4] {
        let metric = |namespace, metric_name, name, value: Expr, statistic| Metric {
            namespace,
            metric_name,
            dimensions: vec![Dimension { name, value }],
            statistic,
            period: FIVE_MINUTES,
        };
        let instance = Expr::from(self.instance_id.clone());
        let lives = metric(
            "AWS/EC2",
            "CPUUtilization",
            "InstanceId",
            instance,
            Statistic::SampleCount,
        );
        let in_queue = |metric_name| {
            let queue = Expr::from(self.queue_name.as_str());
            metric(
                "AWS/SQS",
                metric_name,
                "QueueName",
                queue,
                Statistic::Maximum,
            )
        };
        let query = |id, value, return_data| MetricDataQuery {
            id,
            value,
            return_data,
        };
        let counted = |id, metric: Metric| query(id, QueryValue::MetricStat(metric.into()), false);
        let idle = "IF(lives > 0 AND waiting + taken == 0, 1, 0)";
        [
            counted("lives", lives),
            counted("waiting", in_queue("ApproximateNumberOfMessagesVisible")),
            counted("taken", in_queue("ApproximateNumberOfMessagesNotVisible")),
            query("idle", QueryValue::Expression(idle), true),
        ]
    }
}

/// Defines the budget of a month: of everything in the account, since costs are told apart by tags that a person must
/// first make known to billing.
#[derive(Debug)]
pub(crate) struct MonthlyBudget<'a> {
    pub(crate) name: String,
    /// US dollars a month.
    pub(crate) limit_usd: u32,
    pub(crate) topic: &'a AlarmTopicHandle,
}

impl MonthlyBudget<'_> {
    /// Adds the budget, to which nothing refers. It tells when four fifths are spent, when all is, and when AWS reckons
    /// that all will be.
    pub(crate) fn add_to(self, stack: &mut Template) {
        let told = |notification_type, threshold| NotificationWithSubscribers {
            notification: Notification {
                notification_type,
                comparison_operator: Comparison::GreaterThan,
                threshold,
            },
            subscribers: vec![BudgetSubscriber {
                subscription_type: SubscriptionType::Sns,
                address: self.topic.0.clone(),
            }],
        };
        let notifications_with_subscribers = vec![
            told(NotificationType::Actual, 80),
            told(NotificationType::Actual, 100),
            told(NotificationType::Forecasted, 100),
        ];
        let budget = Budget {
            budget: BudgetData {
                budget_name: self.name,
                budget_type: BudgetType::Cost,
                time_unit: TimeUnit::Monthly,
                budget_limit: Spend {
                    amount: self.limit_usd,
                    unit: Currency::Usd,
                },
            },
            notifications_with_subscribers,
        };
        stack.add(LogicalId::new("MonthlyBudget"), Resource::new(budget));
    }
}
