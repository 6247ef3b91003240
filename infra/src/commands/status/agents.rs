//! The agents on instances that take no batch, by what each says in the log group of their journals.

use std::collections::BTreeMap;

use annapurna_contract::names::AGENT_REFUSES;
use annapurna_stack::environment::Environment;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use chrono::{TimeDelta, Utc};
use serde::Deserialize;

use super::{Part, State};
use crate::cloud::Cloud;
use crate::error::CommandError;
use crate::ui;

/// An agent says its metric each minute, and its journal is sent every few seconds.
const RECENT: TimeDelta = TimeDelta::minutes(5);

/// The line of the metric, as far as it is read here.
#[derive(Deserialize)]
struct Said {
    #[serde(rename = "AgentRefuses")]
    refuses: u8,
    reason: Option<String>,
}

/// A part for each that refuses now.
///
/// # Errors
///
/// When CloudWatch Logs does not answer; that there is no log group is none, since no instance may have been deployed.
pub(super) async fn refusing(
    cloud: &Cloud,
    environment: &Environment,
) -> Result<Vec<Part>, CommandError> {
    if environment.trainium.is_none() {
        return Ok(Vec::new());
    }
    let group = environment.agent_log_group();
    let since = (Utc::now() - RECENT).timestamp_millis();
    let request = cloud.logs.filter_log_events().log_group_name(&group);
    let request = request
        .start_time(since)
        .filter_pattern(format!("\"{AGENT_REFUSES}\""));
    let mut pages = request.into_paginator().send();
    let mut events = Vec::new();
    loop {
        match pages.try_next().await {
            Ok(Some(page)) => events.extend_from_slice(page.events()),
            Ok(None) => return Ok(parts(&events)),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|it| it.is_resource_not_found_exception()) =>
            {
                return Ok(Vec::new());
            }
            Err(error) => {
                return Err(CommandError::aws(format!("read the log group {group}"))(
                    error,
                ));
            }
        }
    }
}

/// Of each stream, which is an instance's, the last word counts.
fn parts(events: &[FilteredLogEvent]) -> Vec<Part> {
    let mut last: BTreeMap<&str, (i64, Said)> = BTreeMap::new();
    for event in events {
        let (stream, at) = (event.log_stream_name(), event.timestamp());
        let said = event.message().map(serde_json::from_str::<Said>);
        let (Some(stream), Some(at), Some(Ok(said))) = (stream, at, said) else {
            continue;
        };
        if last.get(stream).is_none_or(|(earlier, _)| *earlier <= at) {
            last.insert(stream, (at, said));
        }
    }
    let refusing = last.into_iter().filter(|(_, (_, said))| said.refuses > 0);
    refusing
        .map(|(stream, (_, said))| Part {
            part: "batches".to_owned(),
            state: State::Refused,
            name: Some(stream.to_owned()),
            // What an agent says repeats what a library says.
            detail: said.reason.map(|reason| ui::safe(&reason)),
            ..Part::default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_of_each_instance_counts() {
        let event = |stream: &str, at, message: &str| {
            let event = FilteredLogEvent::builder().log_stream_name(stream);
            event.timestamp(at).message(message).build()
        };
        let (yes, no) = (
            r#"{"AgentRefuses": 1, "reason": "no torch_xla\u001b[2J"}"#,
            r#"{"AgentRefuses": 0, "reason": null}"#,
        );
        let events = [
            event("i-1", 2, yes),
            event("i-1", 1, no),
            event("i-2", 1, yes),
            event("i-2", 2, no),
            event("i-3", 9, r#"{"message": "AgentRefuses is a metric"}"#),
        ];
        let said: Vec<String> = parts(&events).iter().map(Part::line).collect();
        assert_eq!(said, ["i-1, no torch_xla [2J"]);
    }
}
