//! The executions of the state machine: which run, how one starts, and what it says of itself.

use annapurna_contract::events::ScraperEvent;
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::{ExecutionListItem, ExecutionStatus, HistoryEvent};

use crate::cloud::Cloud;
use crate::commands::invoke::function_error;
use crate::error::CommandError;
use crate::ui;

/// One run of the machine.
#[derive(Debug, Clone)]
pub(in crate::commands) struct Execution {
    pub(super) name: String,
    pub(super) arn: String,
}

/// What an execution says of itself.
pub(super) enum Look {
    /// It has only just been started: Step Functions finds it a moment later.
    NotYet,
    /// Its state, and its events after the last one known, in their order.
    Found {
        description: Box<DescribeExecutionOutput>,
        events: Vec<HistoryEvent>,
    },
}

/// The latest executions, running or not, newest first.
pub(in crate::commands) async fn latest(
    cloud: &Cloud,
    machine: &str,
) -> Result<Vec<ExecutionListItem>, CommandError> {
    let request = cloud.sfn.list_executions().state_machine_arn(machine);
    let page = request.max_results(100).send().await;
    let page = page.map_err(CommandError::aws("list the scrapes"))?;
    Ok(page.executions().to_vec())
}

/// The executions that run, each with what it was asked for.
pub(super) async fn running(
    cloud: &Cloud,
    machine: &str,
) -> Result<Vec<(Execution, ScraperEvent)>, CommandError> {
    let mut found = Vec::new();
    let mut pages = cloud
        .sfn
        .list_executions()
        .state_machine_arn(machine)
        .status_filter(ExecutionStatus::Running)
        .into_paginator()
        .items()
        .send();
    while let Some(item) = pages.next().await {
        let item = item.map_err(CommandError::aws("list the scrapes"))?;
        let execution = Execution {
            name: item.name().to_owned(),
            arn: item.execution_arn().to_owned(),
        };
        let description = cloud
            .sfn
            .describe_execution()
            .execution_arn(&execution.arn)
            .send()
            .await;
        let description = description.map_err(CommandError::aws("describe a scrape"))?;
        let asked = asked(&execution, description.input())?;
        found.push((execution, asked));
    }
    Ok(found)
}

/// What an execution was asked for. One of which nobody can say that is an error: it may read the list that
/// the next one is to read.
fn asked(execution: &Execution, input: Option<&str>) -> Result<ScraperEvent, CommandError> {
    let problem = match input.map(serde_json::from_str) {
        Some(Ok(asked)) => return Ok(asked),
        Some(Err(error)) => error.to_string(),
        None => "Step Functions does not give its input".to_owned(),
    };
    Err(CommandError::Usage {
        problem: format!(
            "nobody can tell what {} takes, which runs: {}",
            ui::one_line(&execution.name, 80),
            ui::one_line(&problem, 300)
        ),
        hint: format!(
            "wait until it has ended, or end it: aws stepfunctions stop-execution --execution-arn {}",
            ui::one_line(&execution.arn, 300)
        ),
    })
}

/// Starts an execution.
pub(super) async fn start(
    cloud: &Cloud,
    machine: &str,
    name: String,
    request: &ScraperEvent,
) -> Result<Execution, CommandError> {
    let started = cloud
        .sfn
        .start_execution()
        .state_machine_arn(machine)
        .name(&name)
        .input(serde_json::to_string(request)?)
        .send()
        .await;
    let started = started.map_err(CommandError::aws(format!("start {name}")))?;
    Ok(Execution {
        name,
        arn: started.execution_arn().to_owned(),
    })
}

/// The execution's state, and its events after `last_event`. The state is asked for first, so that the
/// events of an execution that has ended are all there.
pub(super) async fn look(
    cloud: &Cloud,
    execution: &Execution,
    last_event: i64,
) -> Result<Look, CommandError> {
    let description = cloud
        .sfn
        .describe_execution()
        .execution_arn(&execution.arn)
        .send()
        .await;
    let description = match description {
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|it| it.is_execution_does_not_exist()) =>
        {
            return Ok(Look::NotYet);
        }
        other => other.map_err(CommandError::aws(format!("describe {}", execution.name)))?,
    };
    let events = events(cloud, execution, last_event).await?;
    Ok(Look::Found {
        description: Box::new(description),
        events,
    })
}

/// The events after `last_event`, read backwards from the newest, since a history has no other place to
/// go on from.
async fn events(
    cloud: &Cloud,
    execution: &Execution,
    last_event: i64,
) -> Result<Vec<HistoryEvent>, CommandError> {
    let mut found = Vec::new();
    let mut token = None;
    loop {
        let page = cloud
            .sfn
            .get_execution_history()
            .execution_arn(&execution.arn)
            .reverse_order(true)
            .max_results(100)
            .set_next_token(token)
            .send()
            .await;
        let doing = format!("read the history of {}", execution.name);
        let page = page.map_err(CommandError::aws(doing))?;
        token = page.next_token().map(str::to_owned);
        let mut new = page.events;
        let n_all = new.len();
        new.retain(|event| event.id() > last_event);
        let is_last = new.len() < n_all || token.is_none();
        found.append(&mut new);
        if is_last {
            found.reverse();
            return Ok(found);
        }
    }
}

/// Why an execution failed, in plain words. A function's own error comes as JSON in the cause.
pub(super) fn reason(description: &DescribeExecutionOutput) -> String {
    plain(
        description.error().unwrap_or(description.status().as_str()),
        description.cause(),
    )
}

/// An error and its cause in plain words.
pub(super) fn plain(error: &str, cause: Option<&str>) -> String {
    const MOST: usize = 600;
    let message = cause.map(|cause| {
        function_error(cause).map_or_else(|| cause.to_owned(), |error| error.error_message)
    });
    match message.as_deref().map(str::trim) {
        None | Some("") => ui::one_line(error, MOST),
        Some(message) => format!(
            "{} ({})",
            ui::one_line(message, MOST),
            ui::one_line(error, 80)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_functions_error_is_unpacked_and_cannot_steer_the_terminal() {
        let cause = r#"{"errorType":"SourceRefused","errorMessage":"no list of 2031\u001b[2J"}"#;
        assert_eq!(
            plain("SourceRefused", Some(cause)),
            "no list of 2031 [2J (SourceRefused)"
        );
        assert_eq!(
            plain("States.DataLimitExceeded", Some("the state is too large")),
            "the state is too large (States.DataLimitExceeded)"
        );
        assert_eq!(plain("ABORTED", Some("")), "ABORTED");
        assert_eq!(plain("ABORTED", None), "ABORTED");
    }

    #[test]
    fn an_execution_that_nobody_understands_is_not_taken_for_one_that_asks_nothing() {
        let execution = Execution {
            name: "by-hand".to_owned(),
            arn: "arn:aws:states:us-east-1:1:execution:m:by-hand".to_owned(),
        };
        let known = asked(&execution, Some(r#"{"CONFERENCE": "ICLR"}"#)).unwrap();
        assert_eq!(known.conference.as_deref(), Some("ICLR"));
        for input in [None, Some(""), Some("7"), Some(r#"{"CONFERENCE": 7}"#)] {
            let error = asked(&execution, input).unwrap_err();
            assert!(error.to_string().contains("what by-hand takes"), "{error}");
            let hint = error.hint().unwrap();
            assert!(hint.ends_with("execution:m:by-hand"), "{hint}");
        }
    }
}
