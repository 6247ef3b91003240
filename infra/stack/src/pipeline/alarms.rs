//! What tells a person of what went wrong, where scrapes start by themselves.

use annapurna_contract::names::{
    AGENT_METRICS, AGENT_REFUSES, ALARM_TOPIC, FAILED_EVENTS, QUEUE_DIMENSION,
};
use annapurna_contract::{Function, Queue};

use super::Pipeline;
use crate::cloudformation::LogicalId;
use crate::cloudformation::cloudwatch::{Dimension, Metric, Statistic};
use crate::constructs::alarm::{AlarmTopic, AlarmTopicHandle, MetricAlarm, MonthlyBudget};
use crate::constructs::queue::QueueHandle;
use crate::constructs::state_machine::StateMachineHandle;

/// The least period of the metrics that SQS counts, seconds.
const FIVE_MINUTES: u32 = 300;
/// The period within which one failure of what is repeated is enough, seconds.
const AN_HOUR: u32 = 3_600;
const A_DAY: u32 = 86_400;
/// What no message waits that is worked on: a whole conference's papers are judged in less, and the longest wait for a
/// batch to fill is far shorter, seconds.
const LONGEST_WAIT: u32 = A_DAY;

impl Pipeline<'_> {
    /// The alarms, what they are sent to, the budget and the dashboard.
    pub(super) fn add_alarms(&mut self, scrapes: &StateMachineHandle) {
        if !self.environment.has_alarms() {
            return;
        }
        let topic = AlarmTopic {
            name: self.environment.named(ALARM_TOPIC),
            subscribers: &self.environment.subscribers,
        };
        let topic = topic.add_to(&mut self.stack);
        for alarm in self.alarms(scrapes, &topic) {
            alarm.add_to(&mut self.stack);
        }
        if let Some(limit_usd) = self.environment.monthly_budget_usd {
            let budget = MonthlyBudget {
                name: self.environment.named("annapurna-month"),
                limit_usd,
                topic: &topic,
            };
            budget.add_to(&mut self.stack);
        }
        self.add_dashboard(scrapes);
    }

    fn alarms<'t>(
        &self,
        scrapes: &StateMachineHandle,
        topic: &'t AlarmTopicHandle,
    ) -> Vec<MetricAlarm<'t>> {
        let queues = Queue::ALL.into_iter();
        let queues =
            queues.flat_map(|queue| [self.dead_letters(queue, topic), self.age(queue, topic)]);
        let functions = Function::ALL.into_iter();
        let functions = functions.flat_map(|function| {
            let errors = "failed: `cargo infra logs` of it says why";
            let throttles = "was refused a start: the account's concurrency is used up";
            [
                self.of_function(function, "Errors", errors, topic),
                self.of_function(function, "Throttles", throttles, topic),
            ]
        });
        let others = [
            self.failed_scrapes(scrapes, topic),
            self.failed_events(topic),
        ];
        let agents = self.environment.trainium.as_ref();
        let agents = agents.map(|_| self.refusing_agents(topic));
        queues
            .chain(functions)
            .chain(others)
            .chain(agents)
            .collect()
    }

    fn dead_letters<'t>(&self, queue: Queue, topic: &'t AlarmTopicHandle) -> MetricAlarm<'t> {
        let name = self.environment.named(&queue.dead_letter_name());
        MetricAlarm {
            id: QueueHandle::of(queue).id().part("DeadLettersAlarm"),
            name: self.environment.named(&format!("{queue:?}DeadLetters")),
            description: format!(
                "{name} has messages that failed too often; `cargo infra queues` counts them"
            ),
            metric: queue_metric(name, "ApproximateNumberOfMessagesVisible"),
            threshold: 0,
            topic,
        }
    }

    fn age<'t>(&self, queue: Queue, topic: &'t AlarmTopicHandle) -> MetricAlarm<'t> {
        let name = self.environment.named(&queue.name());
        MetricAlarm {
            id: QueueHandle::of(queue).id().part("AgeAlarm"),
            name: self.environment.named(&format!("{queue:?}Stuck")),
            description: format!(
                "A message of {name} has waited for more than a day: its stage stands still"
            ),
            metric: queue_metric(name, "ApproximateAgeOfOldestMessage"),
            threshold: LONGEST_WAIT,
            topic,
        }
    }

    /// An event that nobody waited for, and that failed as often as it was repeated.
    fn failed_events<'t>(&self, topic: &'t AlarmTopicHandle) -> MetricAlarm<'t> {
        let name = self.environment.named(FAILED_EVENTS);
        MetricAlarm {
            id: LogicalId::new("FailedEventsAlarm"),
            name: self.environment.named("FailedEvents"),
            description: format!(
                "{name} has events of schedules or of S3 that no repetition healed"
            ),
            metric: queue_metric(name, "ApproximateNumberOfMessagesVisible"),
            threshold: 0,
            topic,
        }
    }

    /// An agent whose device trains nothing takes no batch. The metric is 0 while the first self-test runs.
    fn refusing_agents<'t>(&self, topic: &'t AlarmTopicHandle) -> MetricAlarm<'t> {
        MetricAlarm {
            id: LogicalId::new("TrainiumAgentRefusesAlarm"),
            name: self.environment.named("TrainiumAgentRefuses"),
            description: "An agent takes no batch, since programs do not train on its device; the batches wait. Its log \
                          group says why: docs/aws.md, \"An agent that takes no batch\""
                .to_owned(),
            metric: Metric {
                namespace: AGENT_METRICS,
                metric_name: AGENT_REFUSES,
                dimensions: vec![Dimension {
                    name: QUEUE_DIMENSION,
                    value: self.environment.named(&Queue::CodeTesting.name()).into(),
                }],
                statistic: Statistic::Maximum,
                period: FIVE_MINUTES,
            },
            threshold: 0,
            topic,
        }
    }

    fn of_function<'t>(
        &self,
        function: Function,
        metric_name: &'static str,
        what: &str,
        topic: &'t AlarmTopicHandle,
    ) -> MetricAlarm<'t> {
        let name = self.environment.named(function.name());
        MetricAlarm {
            id: LogicalId::new(function.name())
                .part(metric_name)
                .part("Alarm"),
            name: format!("{name}{metric_name}"),
            description: format!("Within an hour {name} {what}"),
            metric: Metric {
                namespace: "AWS/Lambda",
                metric_name,
                dimensions: vec![Dimension {
                    name: "FunctionName",
                    value: name.into(),
                }],
                statistic: Statistic::Sum,
                period: AN_HOUR,
            },
            threshold: 0,
            topic,
        }
    }

    /// One that a person aborted is no surprise, and one without a time limit does not time out. Source: Step
    /// Functions developer guide, "Execution metrics".
    fn failed_scrapes<'t>(
        &self,
        scrapes: &StateMachineHandle,
        topic: &'t AlarmTopicHandle,
    ) -> MetricAlarm<'t> {
        MetricAlarm {
            id: scrapes.id().part("Failed"),
            name: self.environment.named("ScrapeConferenceFailed"),
            description: "An execution of the state machine failed within a day: `cargo infra logs` of PapersScraper \
                          and the execution's history say why"
                .to_owned(),
            metric: Metric {
                namespace: "AWS/States",
                metric_name: "ExecutionsFailed",
                dimensions: vec![Dimension {
                    name: "StateMachineArn",
                    value: scrapes.arn().into(),
                }],
                statistic: Statistic::Sum,
                period: A_DAY,
            },
            threshold: 0,
            topic,
        }
    }
}

fn queue_metric(queue_name: String, metric_name: &'static str) -> Metric {
    Metric {
        namespace: "AWS/SQS",
        metric_name,
        dimensions: vec![Dimension {
            name: "QueueName",
            value: queue_name.into(),
        }],
        statistic: Statistic::Maximum,
        period: FIVE_MINUTES,
    }
}
