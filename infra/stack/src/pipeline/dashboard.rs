//! The dashboard: what waits, what failed, how long functions take, and how the index is.
//!
//! In: the names that the environment's resources have. Out: one resource with the dashboard as JSON.
//! Source of its form: CloudWatch API reference, "Dashboard body structure and syntax".

use annapurna_contract::names::FAILED_EVENTS;
use annapurna_contract::{Function, Queue};
use serde_json::{Value, json};

use super::Pipeline;
use crate::cloudformation::cloudwatch::Dashboard;
use crate::cloudformation::{Expr, LogicalId, Resource};
use crate::constructs::state_machine::StateMachineHandle;
use crate::environment::SearchSettings;

/// Widgets stand two in a row of the 24 columns that a dashboard has.
const WIDTH: usize = 12;
const HEIGHT: usize = 6;
/// What stands in the text where a reference comes in; no name of a resource has such letters.
const MACHINE: &str = "<state machine>";
const ACCOUNT: &str = "<account>";

impl Pipeline<'_> {
    pub(super) fn add_dashboard(&mut self, scrapes: &StateMachineHandle) {
        let widgets = [
            Some(self.of_queues("Waiting", "ApproximateNumberOfMessagesVisible", false)),
            Some(self.of_queues(
                "Age of the oldest, seconds",
                "ApproximateAgeOfOldestMessage",
                false,
            )),
            Some(self.of_queues(
                "Failed too often",
                "ApproximateNumberOfMessagesVisible",
                true,
            )),
            Some(self.of_functions("Errors", "Sum")),
            Some(self.of_functions("Throttles", "Sum")),
            Some(self.of_functions("Duration", "Maximum")),
            Some(self.of_scrapes()),
            self.of_index(),
        ];
        let widgets = widgets.into_iter().flatten().enumerate();
        let placed = widgets.map(|(place, properties)| {
            json!({
                "type": "metric", "width": WIDTH, "height": HEIGHT,
                "x": place % 2 * WIDTH, "y": place / 2 * HEIGHT, "properties": properties,
            })
        });
        let body = json!({"widgets": placed.collect::<Vec<Value>>()}).to_string();
        let dashboard = Dashboard {
            dashboard_name: self.environment.named("Annapurna"),
            dashboard_body: filled_in(&body, scrapes),
        };
        let id = LogicalId::new("Dashboard");
        self.stack.add(id, Resource::new(dashboard));
    }

    fn widget(&self, title: &str, statistic: &str, metrics: Vec<Value>) -> Value {
        json!({
            "title": title, "region": self.environment.region, "stat": statistic, "period": 300,
            "view": "timeSeries", "stacked": false, "metrics": metrics,
        })
    }

    fn of_queues(&self, title: &str, metric: &str, dead_letters: bool) -> Value {
        let names = Queue::ALL.map(|queue| match dead_letters {
            true => queue.dead_letter_name(),
            false => queue.name(),
        });
        let events = dead_letters.then(|| FAILED_EVENTS.to_owned());
        let names = names.into_iter().chain(events);
        let metrics = names.map(|name| {
            json!([
                "AWS/SQS",
                metric,
                "QueueName",
                self.environment.named(&name)
            ])
        });
        self.widget(title, "Maximum", metrics.collect())
    }

    fn of_functions(&self, metric: &str, statistic: &str) -> Value {
        let metrics = Function::ALL.map(|function| {
            let name = self.environment.named(function.name());
            json!(["AWS/Lambda", metric, "FunctionName", name])
        });
        self.widget(metric, statistic, metrics.to_vec())
    }

    fn of_scrapes(&self) -> Value {
        let names = [
            "ExecutionsStarted",
            "ExecutionsSucceeded",
            "ExecutionsFailed",
        ];
        let metrics = names.map(|name| json!(["AWS/States", name, "StateMachineArn", MACHINE]));
        self.widget("Scrapes", "Sum", metrics.to_vec())
    }

    /// Nothing where the index is elsewhere.
    fn of_index(&self) -> Option<Value> {
        let SearchSettings::Domain { .. } = self.environment.search else {
            return None;
        };
        let domain = self.environment.named("research-papers");
        let names = [
            "ClusterStatus.red",
            "ClusterStatus.yellow",
            "CPUUtilization",
            "JVMMemoryPressure",
        ];
        let metrics =
            names.map(|name| json!(["AWS/ES", name, "DomainName", domain, "ClientId", ACCOUNT]));
        Some(self.widget("Index", "Maximum", metrics.to_vec()))
    }
}

/// The text with the references that stand for its marks.
fn filled_in(body: &str, scrapes: &StateMachineHandle) -> Expr {
    let machine = || scrapes.arn().into();
    let parts = split_by(body, MACHINE, machine).into_iter();
    let parts = parts.flat_map(|part| match part {
        Expr::Literal(text) => split_by(&text, ACCOUNT, Expr::account),
        other => vec![other],
    });
    Expr::concat(parts)
}

fn split_by(text: &str, mark: &str, stands_for: impl Fn() -> Expr) -> Vec<Expr> {
    let mut parts = Vec::new();
    for (place, part) in text.split(mark).enumerate() {
        if place > 0 {
            parts.push(stands_for());
        }
        parts.push(Expr::from(part));
    }
    parts
}
