//! Finds combinations of resources that AWS refuses, or accepts and then loses messages over.
//!
//! In: a template. Out: every violation with its fix, so that `synth` reports all of them together
//! before any AWS call. What a single property may be is checked by `properties`, from CloudFormation's
//! own schemas; what goes together is written down here.

use std::fmt;

use crate::cloudformation::lambda::EventSourceMapping;
use crate::cloudformation::sqs::Queue;
use crate::cloudformation::{Arn, LogicalId, Properties, Template};

mod properties;
mod state_machine;

/// A combination that must not be deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub(crate) resource: LogicalId,
    pub(crate) problem: String,
    pub(crate) fix: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {} (fix: {})",
            self.resource, self.problem, self.fix
        )
    }
}

/// Every violation of a template, by resource.
pub fn violations(template: &Template) -> Vec<Violation> {
    let mut found: Vec<Violation> = template
        .duplicates()
        .iter()
        .map(|id| {
            violation(
                id,
                "two resources have this id",
                "give one construct another id",
            )
        })
        .collect();
    for (id, resource) in template.resources() {
        let properties = &resource.properties;
        match serde_json::to_value(properties) {
            Ok(json) => found.extend(properties::check(id, properties.type_name(), &json)),
            Err(error) => {
                let problem = format!("it cannot be written as JSON: {error}");
                found.push(violation(id, problem, "correct the value"));
            }
        }
        match properties {
            Properties::Queue(queue) => found.extend(check_queue(template, id, queue)),
            Properties::EventSourceMapping(mapping) => {
                found.extend(check_mapping(template, id, mapping));
            }
            Properties::StateMachine(machine) => {
                found.extend(state_machine::check(template, id, machine));
            }
            _ => {}
        }
    }
    found.extend(check_references(template));
    found
}

fn violation(
    resource: &LogicalId,
    problem: impl Into<String>,
    fix: impl Into<String>,
) -> Violation {
    Violation {
        resource: resource.clone(),
        problem: problem.into(),
        fix: fix.into(),
    }
}

fn check_queue(template: &Template, id: &LogicalId, queue: &Queue) -> Vec<Violation> {
    let mut found = Vec::new();
    if queue.fifo_queue != queue.queue_name.ends_with(".fifo") {
        let fix = "end the names of FIFO queues, and of no others, in `.fifo`";
        found.push(violation(
            id,
            format!("`{}` does not fit its kind", queue.queue_name),
            fix,
        ));
    }
    let dead_letters = queue
        .redrive_policy
        .as_ref()
        .and_then(|policy| target_queue(template, &policy.dead_letter_target_arn));
    if let Some((dead_letter_id, dead_letters)) = dead_letters
        && dead_letters.fifo_queue != queue.fifo_queue
    {
        let kind = if queue.fifo_queue { "FIFO" } else { "standard" };
        let problem = format!("its dead-letter queue {dead_letter_id} is not {kind}, but it is");
        found.push(violation(
            id,
            problem,
            format!("make {dead_letter_id} a {kind} queue"),
        ));
    }
    found
}

fn check_mapping(
    template: &Template,
    id: &LogicalId,
    mapping: &EventSourceMapping,
) -> Vec<Violation> {
    let mut found = Vec::new();
    let Some((queue_id, queue)) = target_queue(template, &mapping.event_source_arn) else {
        return found;
    };
    // Source of both: Lambda guide, "Creating and configuring an Amazon SQS event source mapping".
    if queue.fifo_queue
        && mapping
            .maximum_batching_window_in_seconds
            .is_some_and(|secs| secs > 0)
    {
        let fix = "leave the window out; gather messages with a schedule instead";
        found.push(violation(
            id,
            format!("FIFO queue {queue_id} allows no batching window"),
            fix,
        ));
    }
    if queue.fifo_queue && mapping.batch_size > 10 {
        let problem = format!(
            "a batch of {} is over the 10 messages of a FIFO queue",
            mapping.batch_size
        );
        found.push(violation(id, problem, "set the batch size to at most 10"));
    }
    if queue.redrive_policy.is_none() {
        let problem = format!(
            "{queue_id} has no dead-letter queue: a message that always fails blocks its group"
        );
        found.push(violation(
            id,
            problem,
            format!("give {queue_id} a redrive policy"),
        ));
    }
    found.extend(check_visibility(template, id, mapping, (&queue_id, queue)));
    found
}

/// Six times the consumer's timeout leaves Lambda room to try again where the function is throttled.
/// Source: Lambda guide, "Creating and configuring an Amazon SQS event source mapping".
fn check_visibility(
    template: &Template,
    id: &LogicalId,
    mapping: &EventSourceMapping,
    (queue_id, queue): (&str, &Queue),
) -> Option<Violation> {
    let timeout = consumer_timeout(template, mapping)?;
    let least = timeout * 6;
    (queue.visibility_timeout < least).then(|| {
        let problem = format!(
            "{queue_id} hides a message for {} s, less than six times its consumer's {timeout} s",
            queue.visibility_timeout
        );
        let fix = format!("set the visibility timeout of {queue_id} to at least {least}");
        violation(id, problem, fix)
    })
}

fn consumer_timeout(template: &Template, mapping: &EventSourceMapping) -> Option<u32> {
    let id = mapping
        .function_name
        .as_ref()
        .dependencies()
        .first()
        .copied()?;
    match &template.resource(id)?.properties {
        Properties::Function(function) => Some(function.timeout),
        _ => None,
    }
}

fn target_queue<'a>(template: &'a Template, arn: &Arn) -> Option<(String, &'a Queue)> {
    let id = (*arn.as_ref().dependencies().first()?).to_owned();
    match &template.resource(&id)?.properties {
        Properties::Queue(queue) => Some((id, queue)),
        _ => None,
    }
}

/// A reference to something that is not in the template is found here and not by CloudFormation.
fn check_references(template: &Template) -> Vec<Violation> {
    let Ok(json) = template.to_json() else {
        return Vec::new();
    };
    let known: Vec<&str> = template
        .resources()
        .map(|(id, _)| id.as_str())
        .chain(template.parameters().map(LogicalId::as_str))
        .collect();
    let parts = ["Resources", "Outputs"].map(|part| json[part].as_object());
    parts
        .into_iter()
        .flatten()
        .flatten()
        .flat_map(|(id, resource)| {
            let mut names = Vec::new();
            referenced(resource, &mut names);
            names
                .into_iter()
                .map(move |name| (LogicalId::new(id), name))
        })
        .filter(|(_, name)| !name.starts_with("AWS::") && !known.contains(&name.as_str()))
        .map(|(id, name)| {
            violation(
                &id,
                format!("it refers to `{name}`, which does not exist"),
                "add it, or correct the reference",
            )
        })
        .collect()
}

fn referenced(value: &serde_json::Value, names: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            if let Some(name) = map.get("Ref").and_then(|name| name.as_str()) {
                names.push(name.to_owned());
            }
            if let Some(name) = map.get("Fn::GetAtt").and_then(|parts| parts[0].as_str()) {
                names.push(name.to_owned());
            }
            if let Some(text) = map.get("Fn::Sub").and_then(|text| text.as_str()) {
                names.extend(substituted(text));
            }
            map.values().for_each(|value| referenced(value, names));
        }
        serde_json::Value::Array(values) => {
            values.iter().for_each(|value| referenced(value, names));
        }
        _ => {}
    }
}

/// The names in a text of `Fn::Sub`, without their attributes; `${!` begins none.
fn substituted(text: &str) -> impl Iterator<Item = String> {
    let names = text.split("${").skip(1);
    let names = names.filter_map(|rest| rest.split_once('}').map(|(name, _)| name));
    let names = names.filter(|name| !name.starts_with('!'));
    names.map(|name| name.split('.').next().unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cloudformation::lambda::{
        Architecture, Code, Environment, Function, FunctionResponseType, LoggingConfig, Runtime,
        ScalingConfig,
    };
    use crate::cloudformation::sqs::RedrivePolicy;
    use crate::cloudformation::{Name, Resource};

    fn queue(name: &str, visibility_timeout: u32, dead_letters: Option<&str>) -> Queue {
        Queue {
            queue_name: name.to_owned(),
            fifo_queue: name.ends_with(".fifo"),
            deduplication_scope: None,
            fifo_throughput_limit: None,
            visibility_timeout,
            message_retention_period: 60,
            sqs_managed_sse_enabled: true,
            redrive_policy: dead_letters.map(|id| RedrivePolicy {
                dead_letter_target_arn: Arn::of(&LogicalId::new(id)),
                max_receive_count: 3,
            }),
        }
    }

    pub(super) fn function(timeout: u32) -> Function {
        Function {
            function_name: "Judge".to_owned(),
            description: String::new(),
            runtime: Runtime::ProvidedAl2023,
            handler: "bootstrap",
            architectures: vec![Architecture::Arm64],
            code: Code {
                s3_bucket: "assets".into(),
                s3_key: "k".into(),
            },
            role: Arn::account_root(),
            timeout,
            memory_size: 128,
            environment: Environment {
                variables: BTreeMap::new(),
            },
            logging_config: LoggingConfig {
                log_group: "g".into(),
            },
        }
    }

    fn template(
        dead_letters: &str,
        visibility: u32,
        timeout: u32,
        batch_size: u32,
        window: Option<u32>,
    ) -> Template {
        let id = LogicalId::new;
        let mut template = Template::new("test");
        template.add(id("Dead"), Resource::new(queue(dead_letters, 30, None)));
        template.add(
            id("Queue"),
            Resource::new(queue("q.fifo", visibility, Some("Dead"))),
        );
        template.add(id("Judge"), Resource::new(function(timeout)));
        template.add(
            id("Mapping"),
            Resource::new(EventSourceMapping {
                event_source_arn: Arn::of(&id("Queue")),
                function_name: Name::of(&id("Judge")),
                batch_size,
                maximum_batching_window_in_seconds: window,
                function_response_types: vec![FunctionResponseType::ReportBatchItemFailures],
                scaling_config: ScalingConfig {
                    maximum_concurrency: 2,
                },
            }),
        );
        template
    }

    #[test]
    fn a_sound_template_has_no_violation() {
        assert_eq!(violations(&template("d.fifo", 360, 60, 10, None)), []);
        assert_eq!(violations(&template("d.fifo", 5400, 900, 10, Some(0))), []);
    }

    #[test]
    fn every_wrong_combination_is_reported_at_once_with_its_fix() {
        let found = violations(&template("dead", 359, 901, 11, Some(30)));
        let text = found
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn one_second_less_than_six_times_is_too_little() {
        assert_eq!(violations(&template("d.fifo", 359, 60, 10, None)).len(), 1);
    }

    #[test]
    fn names_within_a_text_are_references() {
        let found: Vec<String> = substituted("arn:${AWS::Region}:${!HOME}:${Queue.Arn}").collect();
        assert_eq!(found, ["AWS::Region", "Queue"]);
    }

    #[test]
    fn a_reference_to_nothing_is_found() {
        let mut template = Template::new("test");
        template.add(
            LogicalId::new("Queue"),
            Resource::new(queue("q.fifo", 1, Some("Nowhere"))),
        );
        assert!(violations(&template)[0].problem.contains("`Nowhere`"));
    }

    #[test]
    fn two_constructs_with_one_id_are_found() {
        let mut template = Template::new("test");
        for _ in 0..2 {
            template.add(
                LogicalId::new("Queue"),
                Resource::new(queue("q.fifo", 1, None)),
            );
        }
        assert!(violations(&template)[0].problem.contains("two resources"));
    }
}
