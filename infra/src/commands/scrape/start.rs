//! Starts an execution, or joins the one that was asked the same.

use annapurna_contract::events::ScraperEvent;
use annapurna_stack::outputs::Output;
use chrono::{DateTime, Utc};

use super::executions::{self, Execution};
use super::request::{follow_command, options, same_list, same_papers, source_word};
use crate::commands::{Context, Target};
use crate::error::CommandError;
use crate::ui;

/// Starts an execution, unless one that was asked the same is under way. One that was asked for other
/// papers of the same list would be in this one's way: both would ask the same sites.
pub(super) async fn begin(
    cx: &Context,
    target: &Target,
    request: &ScraperEvent,
    follow: bool,
) -> Result<Execution, CommandError> {
    let machine = target.deployed.outputs.get(Output::ScrapeConferenceArn)?;
    let environment = &target.environment;
    let default_year = environment.scraper.conference_year;
    let mut running = executions::running(&target.cloud, machine).await?;
    running.retain(|(_, asked)| same_list(request, asked, default_year));
    let same = |(_, asked): &&(_, _)| same_papers(request, asked, default_year);
    if let Some((execution, _)) = running.iter().find(same) {
        let instead = if follow {
            "it is followed"
        } else {
            "a second one is not started"
        };
        cx.ui.warn(format!(
            "{} is under way with the same papers: {instead}",
            execution.name
        ));
        return Ok(execution.clone());
    }
    if let Some((execution, asked)) = running.first() {
        return Err(under_way(&environment.name, execution, asked));
    }
    let name = execution_name(request, Utc::now());
    let execution = executions::start(&target.cloud, machine, name, request).await?;
    cx.ui.done(format!("{} has begun", execution.name));
    Ok(execution)
}

/// Another request for the same list is under way.
fn under_way(environment: &str, execution: &Execution, asked: &ScraperEvent) -> CommandError {
    let options = ui::one_line(&options(asked), 300);
    let options = if options.is_empty() {
        "everything"
    } else {
        &options
    };
    CommandError::Usage {
        problem: format!(
            "{} takes other papers of the same list: it was asked for {} with {options}",
            ui::one_line(&execution.name, 80),
            source_word(asked),
        ),
        // An execution that goes on from a cursor was started by other means.
        hint: match asked.cursor {
            Some(_) => {
                format!("wait until it has ended: cargo infra status {environment}")
            }
            None => format!(
                "wait until it has ended, or follow it: {}",
                follow_command(environment, asked)
            ),
        },
    }
}

/// Such as `neurips-2025-20261123T043000Z`.
fn execution_name(request: &ScraperEvent, now: DateTime<Utc>) -> String {
    let source = source_word(request);
    let now = now.format("%Y%m%dT%H%M%SZ");
    match request.conference_year {
        Some(year) => format!("{source}-{year}-{now}"),
        None => format!("{source}-{now}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::event;
    use super::*;

    #[test]
    fn an_execution_is_named_after_its_papers_and_its_start() {
        let start = DateTime::from_timestamp(1_795_408_200, 0).unwrap();
        assert_eq!(
            execution_name(&event("NEURIPS", Some(2025)), start),
            "neurips-2025-20261123T043000Z"
        );
        assert_eq!(
            execution_name(&event("ARXIV", None), start),
            "arxiv-20261123T043000Z"
        );
    }

    #[test]
    fn another_request_for_the_list_is_told_with_the_command_that_follows_the_first() {
        let execution = Execution {
            name: "iclr-2025-20261123T043000Z".to_owned(),
            arn: String::new(),
        };
        let asked = ScraperEvent {
            topic_filter: Some("it's;\u{1b}[2J".to_owned()),
            max_papers: Some(5),
            ..event("ICLR", Some(2025))
        };
        let error = under_way("prod", &execution, &asked);
        assert_eq!(error.exit_code(), 2);
        assert_eq!(
            error.to_string(),
            r"iclr-2025-20261123T043000Z takes other papers of the same list: it was asked for iclr with --year 2025 --topic 'it'\''s; [2J' --max-papers 5"
        );
        assert_eq!(
            error.hint().unwrap(),
            r"wait until it has ended, or follow it: cargo infra scrape prod iclr --year 2025 --topic 'it'\''s; [2J' --max-papers 5 --follow"
        );
        let from_a_cursor = ScraperEvent {
            cursor: Some("iclr-2025:40".to_owned()),
            ..asked
        };
        let error = under_way("prod", &execution, &from_a_cursor);
        assert!(!error.hint().unwrap().contains("--follow"));
    }
}
