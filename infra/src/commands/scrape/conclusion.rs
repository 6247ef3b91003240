//! What a scrape says at its end: what became of the papers, what went wrong, and how it goes on.

use std::process::ExitCode;

use annapurna_contract::events::{INVALID_REQUEST, ScraperEvent};
use annapurna_contract::scrape::{ScrapeSummary, Since};
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::ExecutionStatus;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::executions::{self, Execution};
use super::progress::Progress;
use super::{ScrapeArgs, request};
use crate::commands::Context;
use crate::error::CommandError;
use crate::ui;

/// Failures that are shown one by one, and repeats.
const MOST_SHOWN: usize = 10;

/// What this command says at its end, or where it stands when it does not follow: the JSON document.
#[derive(Debug, Serialize)]
struct Report {
    execution: String,
    arn: String,
    status: String,
    /// When papers that were held back are taken again.
    #[serde(skip_serializing_if = "Option::is_none")]
    again_at: Option<DateTime<Utc>>,
    summary: Option<ScrapeSummary>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) fn announce(
    cx: &Context,
    args: &ScrapeArgs,
    execution: &Execution,
    again: &str,
) -> Result<(), CommandError> {
    if args.json {
        return cx.ui.json(&Report {
            execution: execution.name.clone(),
            arn: execution.arn.clone(),
            status: ExecutionStatus::Running.as_str().to_owned(),
            again_at: None,
            summary: None,
            error: None,
        });
    }
    cx.ui.result(&execution.name)?;
    cx.ui.status(format!("follow it: {again}"));
    Ok(())
}

/// Says how it ended, or when it goes on.
pub(super) fn conclude(
    cx: &Context,
    args: &ScrapeArgs,
    request: &ScraperEvent,
    execution: &Execution,
    description: &DescribeExecutionOutput,
    progress: &Progress,
) -> Result<ExitCode, CommandError> {
    let environment = &args.environment.environment;
    let status = description.status();
    let summary = summary(cx, execution, description, progress);
    let failed = !matches!(
        status,
        ExecutionStatus::Running | ExecutionStatus::Succeeded
    );
    let reason = failed.then(|| executions::reason(description));
    if args.json {
        cx.ui.json(&Report {
            execution: execution.name.clone(),
            arn: execution.arn.clone(),
            status: status.as_str().to_owned(),
            again_at: progress.again_at().filter(|_| !failed),
            summary: Some(summary.clone()),
            error: reason.clone(),
        })?;
    } else if progress.n_papers() > 0 || !failed {
        cx.ui.result(table(&summary))?;
        show_failures(cx, environment, &summary)?;
        show_repeats(cx, &summary)?;
    }
    if let Some(reason) = reason {
        return Err(end_of(environment, execution, description.error(), reason));
    }
    say_how_it_stands(cx, execution, status, progress);
    if summary.known > 0 {
        cx.ui.status(format!(
            "{} papers were passed over: an earlier scrape had them",
            summary.known
        ));
    }
    if summary.cursor.is_some() {
        cx.ui.status(how_to_go_on(environment, request, Utc::now()));
    }
    Ok(ExitCode::SUCCESS)
}

/// The end of an execution that failed with this error.
fn end_of(
    environment: &str,
    execution: &Execution,
    error: Option<&str>,
    reason: String,
) -> CommandError {
    let execution = execution.name.clone();
    match error {
        Some(INVALID_REQUEST) => CommandError::InvalidRequest {
            function: execution,
            reason,
        },
        _ => CommandError::ScrapeFailed {
            environment: environment.to_owned(),
            execution,
            reason,
        },
    }
}

/// What became of the papers: the machine's own sum at its end, what its events tell before that.
fn summary(
    cx: &Context,
    execution: &Execution,
    description: &DescribeExecutionOutput,
    progress: &Progress,
) -> ScrapeSummary {
    if description.status() != &ExecutionStatus::Succeeded {
        return progress.summary();
    }
    match own_sum(description.output()) {
        Ok(sum) => sum,
        Err(why) => {
            cx.ui.warn(format!(
                "{} does not say its sum ({}); the numbers are those of its events",
                execution.name,
                ui::one_line(&why, 200)
            ));
            progress.summary()
        }
    }
}

fn own_sum(output: Option<&str>) -> Result<ScrapeSummary, String> {
    let output = output.ok_or("Step Functions gives no output")?;
    serde_json::from_str(output).map_err(|error| error.to_string())
}

/// That it has ended, or when it goes on.
fn say_how_it_stands(
    cx: &Context,
    execution: &Execution,
    status: &ExecutionStatus,
    progress: &Progress,
) {
    let name = &execution.name;
    match progress.again_at() {
        Some(at) if status == &ExecutionStatus::Running => cx.ui.status(format!(
            "{} papers are held back by their sites; {name} takes them again at {} and goes on without this command",
            progress.n_held_back(),
            at.format("%Y-%m-%d %H:%M:%S UTC")
        )),
        _ => cx.ui.done(format!("{name} has ended")),
    }
}

/// What to do about a list that has more papers than were taken. A bounded scrape takes the next ones, and arXiv
/// lists its newest papers first.
fn how_to_go_on(environment: &str, asked: &ScraperEvent, now: DateTime<Utc>) -> String {
    let since = asked
        .since
        .as_deref()
        .and_then(|text| Since::parse(text, now));
    let mut next = asked.clone();
    let advice = match (asked.max_papers, since) {
        (Some(_), _) => "for the next of them",
        (_, Some(since)) => {
            next.since = Some(half(&since, now));
            "these are its newest; a shorter --since, or --search, makes a list that ends"
        }
        _ => {
            next.search_term = Some("attention".to_owned());
            "--search takes a part of it"
        }
    };
    format!(
        "the list goes on after these papers; {advice}: {}",
        request::command(environment, &next)
    )
}

/// Half the span from a moment to now, as `--since` takes it: whole days or else hours, one at least.
fn half(since: &Since, now: DateTime<Utc>) -> String {
    match (now - since.moment()).num_hours() / 2 {
        hours if hours >= 24 => format!("{}d", hours / 24),
        hours => format!("{}h", hours.max(1)),
    }
}

fn table(summary: &ScrapeSummary) -> String {
    let numbers = [
        summary.found,
        summary.stored,
        summary.queued,
        summary.already,
        summary.metadata_only,
        summary.n_failed(),
    ];
    let row = [summary.source.clone()]
        .into_iter()
        .chain(numbers.map(|number| number.to_string()))
        .collect();
    let header = [
        "SOURCE",
        "FOUND",
        "STORED",
        "QUEUED",
        "ALREADY",
        "METADATA ONLY",
        "FAILED",
    ];
    ui::table(&header, &[row])
}

/// The first failures, and where the others are.
fn show_failures(
    cx: &Context,
    environment: &str,
    summary: &ScrapeSummary,
) -> Result<(), CommandError> {
    if summary.failed.is_empty() {
        return Ok(());
    }
    let shown = summary.failed.iter().take(MOST_SHOWN);
    let rows: Vec<Vec<String>> = shown
        .map(|failed| {
            vec![
                ui::one_line(&failed.paper, 40),
                ui::one_line(failed.title.as_deref().unwrap_or("-"), 40),
                ui::one_line(&failed.error, 240),
            ]
        })
        .collect();
    let table = ui::table(&["PAPER", "TITLE", "PROBLEM"], &rows);
    cx.ui.result(format!("\n{table}"))?;
    let n_more = summary.n_failed() - rows.len();
    if n_more > 0 {
        cx.ui.status(format!(
            "{n_more} more are in the log: cargo infra logs {environment} PapersScraper --since 1d"
        ));
    }
    Ok(())
}

/// What the list says twice, or what is known under another title.
fn show_repeats(cx: &Context, summary: &ScrapeSummary) -> Result<(), CommandError> {
    if summary.repeated == 0 {
        return Ok(());
    }
    let table = repeats(summary);
    cx.ui.result(format!("\n{table}"))?;
    let n_more = summary
        .repeated
        .saturating_sub(MOST_SHOWN.min(summary.repeats.len()));
    if n_more > 0 {
        cx.ui
            .status(format!("{n_more} more entries repeat another one"));
    }
    Ok(())
}

fn repeats(summary: &ScrapeSummary) -> String {
    let shown = summary.repeats.iter().take(MOST_SHOWN);
    let rows: Vec<Vec<String>> = shown
        .map(|repeat| {
            vec![
                ui::one_line(&repeat.paper, 40),
                ui::one_line(&repeat.title, 40),
                ui::one_line(&repeat.repeats, 100),
            ]
        })
        .collect();
    ui::table(&["PAPER", "TITLE", "REPEATS"], &rows)
}

#[cfg(test)]
mod tests {
    use annapurna_contract::scrape::RepeatedPaper;

    use super::super::request::tests::event;
    use super::*;

    #[test]
    fn an_end_without_a_sum_is_told_and_not_taken_for_no_papers() {
        let whole = serde_json::to_string(&ScrapeSummary {
            found: 3,
            ..ScrapeSummary::default()
        });
        assert_eq!(own_sum(Some(&whole.unwrap())).unwrap().found, 3);
        assert_eq!(own_sum(None).unwrap_err(), "Step Functions gives no output");
        assert!(own_sum(Some("")).is_err());
    }

    #[test]
    fn a_scrape_of_what_is_not_there_is_a_wrong_request() {
        let execution = Execution {
            name: "iclr-2031".to_owned(),
            arn: String::new(),
        };
        let ended = |error| end_of("local", &execution, error, "no list of 2031".to_owned());
        assert_eq!(ended(Some("InvalidRequest")).exit_code(), 2);
        assert_eq!(ended(Some("SourceRefused")).exit_code(), 1);
        assert_eq!(ended(None).exit_code(), 1);
    }

    #[test]
    fn an_entry_that_repeats_another_is_shown_beside_it() {
        let mut summary = ScrapeSummary::default();
        let repeat = RepeatedPaper {
            paper: "30011".to_owned(),
            title: "Adam\u{1b}[2J".to_owned(),
            repeats: "ICLR 2015 7: Adam".to_owned(),
        };
        summary.add_repeat(repeat, MOST_SHOWN);
        let shown = repeats(&summary);
        assert!(
            shown.contains("30011") && shown.contains("ICLR 2015 7: Adam"),
            "{shown}"
        );
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }

    #[test]
    fn a_list_that_goes_on_is_told_with_a_command() {
        let now = DateTime::from_timestamp(1_795_408_200, 0).unwrap();
        let say = |request: &ScraperEvent| how_to_go_on("dev", request, now);
        let arxiv = |since: Option<&str>, max_papers| ScraperEvent {
            since: since.map(str::to_owned),
            max_papers,
            ..event("ARXIV", None)
        };
        let cases = [
            (arxiv(None, Some(40)), "arxiv --max-papers 40"),
            (arxiv(Some("30d"), None), "arxiv --since 15d"),
            (arxiv(Some("1d"), None), "arxiv --since 12h"),
            (arxiv(Some("1h"), None), "arxiv --since 1h"),
            (arxiv(Some("2026-11-13"), None), "arxiv --since 5d"),
            (
                ScraperEvent {
                    max_papers: Some(5),
                    ..event("ICLR", Some(2025))
                },
                "iclr --year 2025 --max-papers 5",
            ),
        ];
        for (request, ending) in cases {
            let said = say(&request);
            let command = format!("cargo infra scrape dev {ending}");
            assert!(said.ends_with(&command), "{said}");
        }
    }
}
