use std::process::ExitCode;
use std::time::{Duration, Instant};

use annapurna_contract::Source;
use annapurna_contract::events::ScraperEvent;
use annapurna_contract::scrape::ScrapeSummary;
use annapurna_stack::outputs::Output;
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::ExecutionStatus;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use self::executions::{Execution, Look};
use self::progress::Progress;
use super::{Context, EnvironmentArg, Target};
use crate::error::CommandError;
use crate::ui::{self, Step};

pub(super) mod executions;
mod progress;

/// Take a whole list of papers: a year of a conference, or what arXiv has
///
/// An execution of the state machine ScrapeConference does it, whether this command follows it or not. A
/// paper that is there already is not loaded again, so a scrape can be started anew at any time.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra scrape local iclr --follow
  cargo infra scrape prod neurips --year 2025
  cargo infra scrape prod icml --year 2025 --topic 'Deep Learning->Large Language Models'
  cargo infra scrape prod arxiv --since 2d --search 'sparse attention' --follow")]
pub(super) struct ScrapeArgs {
    #[command(flatten)]
    environment: EnvironmentArg,
    /// Source: iclr, icml, neurips, mlsys, arxiv, or both for ICLR and ICML
    source: String,
    /// Year of the conference [default: conference-year of the environment]; for arXiv, of submission
    #[arg(long, value_parser = clap::value_parser!(u32).range(1987..=2100))]
    year: Option<u32>,
    /// Only a conference's papers of this topic and all below it
    #[arg(long)]
    topic: Option<String>,
    /// Only papers with these words
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
    /// Papers at most [default: all; arXiv needs it, or --since]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_PAPERS)))]
    max_papers: Option<u32>,
    /// Only arXiv's papers submitted since a day, 2026-11-20, or a span before now, 2d or 36h
    #[arg(long, value_parser = parse_since)]
    since: Option<String>,
    /// Show the progress until it ends; Ctrl-C leaves it running
    #[arg(long)]
    follow: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Both conferences that share a season.
const BOTH: &str = "BOTH";
/// Papers of one scrape at most, as the scraper has it.
const MOST_PAPERS: u32 = 30_000;
/// Papers of one scrape of arXiv at most, as the scraper has it.
const MOST_OF_ARXIV: u32 = 10_000;
/// Failures that are shown one by one.
const MOST_SHOWN: usize = 10;

/// Checks a day or a span; the scraper reads it.
fn parse_since(text: &str) -> Result<String, String> {
    let is_day = NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok();
    let span = text.strip_suffix(['d', 'h']).map(str::parse::<u32>);
    if is_day || matches!(span, Some(Ok(1..))) {
        Ok(text.to_owned())
    } else {
        Err("expected a day such as 2026-11-20, or a span such as 2d or 36h".to_owned())
    }
}

/// What this command says at its end.
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

pub(super) async fn run(cx: &Context, args: ScrapeArgs) -> Result<ExitCode, CommandError> {
    let environment = cx.environment(&args.environment)?;
    let request = request(&args, environment.scraper.conference_year)?;
    let target = cx.target(&args.environment).await?;
    target.cloud.guard(&environment).await?;
    let execution = begin(cx, &target, &request, args.follow).await?;
    let again = follow_command(&environment.name, &request);
    if !args.follow {
        announce(cx, &args, &execution, &again)?;
        return Ok(ExitCode::SUCCESS);
    }
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Err(CommandError::GoesOn { execution: execution.name.clone(), again }),
        outcome = follow(cx, &args, &request, &target, &execution) => outcome,
    }
}

/// What the machine is asked for. A conference's year is always in it, so that two executions can be
/// compared.
fn request(args: &ScrapeArgs, default_year: u32) -> Result<ScraperEvent, CommandError> {
    let (name, is_arxiv) = match Source::parse(&args.source) {
        Some(source) => (source.name(), source == Source::Arxiv),
        None if args.source.eq_ignore_ascii_case(BOTH) => (BOTH, false),
        None => return Err(unknown_source(&args.source)),
    };
    if args.since.is_some() && !is_arxiv {
        return Err(CommandError::Usage {
            problem: format!("--since is about arXiv, not about {name}"),
            hint: "a conference has its year: --year 2025".to_owned(),
        });
    }
    if args.topic.is_some() && is_arxiv {
        return Err(CommandError::Usage {
            problem: "--topic is about conferences: arXiv has no topics".to_owned(),
            hint: "search for words instead: --search 'sparse attention'".to_owned(),
        });
    }
    if is_arxiv {
        bounded(args)?;
    }
    Ok(ScraperEvent {
        conference: Some(name.to_owned()),
        conference_year: args.year.or((!is_arxiv).then_some(default_year)),
        topic_filter: args.topic.clone(),
        search_term: args.search.clone(),
        max_papers: args.max_papers,
        since: args.since.clone(),
        cursor: None,
    })
}

/// A scrape of arXiv says how much of it.
fn bounded(args: &ScrapeArgs) -> Result<(), CommandError> {
    let problem = match args.max_papers {
        None if args.since.is_none() => {
            "arXiv has millions of papers: say which with --since or --max-papers".to_owned()
        }
        Some(most) if most > MOST_OF_ARXIV => {
            format!("one scrape takes {MOST_OF_ARXIV} papers of arXiv at most, not {most}")
        }
        _ => return Ok(()),
    };
    Err(CommandError::Usage {
        problem,
        hint: format!(
            "the last two days: cargo infra scrape {} arxiv --since 2d",
            args.environment.environment
        ),
    })
}

fn unknown_source(name: &str) -> CommandError {
    let names = Source::ALL.map(|source| source.key_part());
    CommandError::Usage {
        problem: format!("no source called `{}`", ui::one_line(name, 80)),
        hint: format!("sources: {}, or both for ICLR and ICML", names.join(", ")),
    }
}

/// Starts an execution, unless one that was asked the same is under way. One that was asked for other
/// papers of the same list would be in this one's way: both would ask the same sites.
async fn begin(
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
            ui::safe(&execution.name)
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
    let source = request.conference.as_deref().unwrap_or_default();
    let year = request.conference_year.map(|year| format!("-{year}"));
    let now = now.format("%Y%m%dT%H%M%SZ");
    format!(
        "{}{}-{now}",
        source.to_lowercase(),
        year.unwrap_or_default()
    )
}

/// Whether two requests read the same list, or a part of it. arXiv is one site with one pace, whatever
/// the year.
fn same_list(one: &ScraperEvent, other: &ScraperEvent, default_year: u32) -> bool {
    let year = |event: &ScraperEvent| event.conference_year.unwrap_or(default_year);
    let theirs = sources(other);
    sources(one)
        .iter()
        .filter(|source| theirs.contains(source))
        .any(|source| *source == Source::Arxiv || year(one) == year(other))
}

/// Whether two requests ask for the same papers, however they name their source and year.
fn same_papers(one: &ScraperEvent, other: &ScraperEvent, default_year: u32) -> bool {
    let plain = |event: &ScraperEvent| {
        let is_arxiv = sources(event) == [Source::Arxiv];
        let year = event.conference_year;
        ScraperEvent {
            conference: Some(source_word(event)),
            conference_year: year.or((!is_arxiv).then_some(default_year)),
            ..event.clone()
        }
    };
    plain(one) == plain(other)
}

fn sources(event: &ScraperEvent) -> Vec<Source> {
    match event.conference.as_deref() {
        Some(name) if name.trim().eq_ignore_ascii_case(BOTH) => vec![Source::Iclr, Source::Icml],
        Some(name) => Source::parse(name).into_iter().collect(),
        None => Vec::new(),
    }
}

/// A request's source as this command takes it.
fn source_word(event: &ScraperEvent) -> String {
    match sources(event)[..] {
        [source] => source.key_part().to_owned(),
        _ => BOTH.to_lowercase(),
    }
}

/// A request's options as this command takes them.
fn options(event: &ScraperEvent) -> String {
    let number = |number: Option<u32>| number.map(|it| it.to_string());
    let options = [
        ("--year", number(event.conference_year)),
        ("--topic", event.topic_filter.clone()),
        ("--search", event.search_term.clone()),
        ("--max-papers", number(event.max_papers)),
        ("--since", event.since.clone()),
    ];
    let given = options
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", shell_word(&value?))));
    given.collect::<Vec<_>>().join(" ")
}

/// A text as one word of a shell, for a person to copy; whoever started an execution has written it.
fn shell_word(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", ui::safe(text).replace('\'', r"'\''"))
}

/// The command of a request.
fn command(environment: &str, request: &ScraperEvent) -> String {
    let words = format!(
        "cargo infra scrape {environment} {} {}",
        source_word(request),
        options(request)
    );
    words.trim_end().to_owned()
}

/// The command that follows this execution, which finds it by what it was asked for.
fn follow_command(environment: &str, request: &ScraperEvent) -> String {
    command(environment, request) + " --follow"
}

fn announce(
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
    cx.ui.result(ui::safe(&execution.name))?;
    cx.ui.status(format!("follow it: {again}"));
    Ok(())
}

/// Watches an execution until it ends, or waits for papers that were held back.
async fn follow(
    cx: &Context,
    args: &ScrapeArgs,
    request: &ScraperEvent,
    target: &Target,
    execution: &Execution,
) -> Result<ExitCode, CommandError> {
    // Step Functions answers some 15 questions a second for all of an account together.
    let is_local = target.environment.local().is_some();
    let pause = Duration::from_secs(if is_local { 2 } else { 5 });
    let mut progress = Progress::default();
    let mut display = Display::new(cx, &execution.name);
    loop {
        let look = executions::look(&target.cloud, execution, progress.last_event()).await?;
        if let Look::Found {
            description,
            events,
        } = look
        {
            events.iter().for_each(|event| progress.learn(event));
            let runs = description.status() == &ExecutionStatus::Running;
            if !runs || progress.again_at().is_some() {
                drop(display);
                return conclude(cx, args, request, execution, &description, &progress);
            }
            display.show(&progress);
        }
        tokio::time::sleep(pause).await;
    }
}

/// The moving line, or on no terminal a line now and then.
struct Display<'a> {
    cx: &'a Context,
    step: Option<Step>,
    n_papers: usize,
    line: String,
    delay: String,
    said: Instant,
}

impl<'a> Display<'a> {
    /// Least time between two lines on no terminal.
    const BETWEEN_LINES: Duration = Duration::from_secs(15);

    fn new(cx: &'a Context, name: &str) -> Self {
        let step = cx.ui.begin(format!("{} reads the list", ui::safe(name)));
        Self {
            cx,
            step: Some(step),
            n_papers: 0,
            line: String::new(),
            delay: String::new(),
            said: Instant::now(),
        }
    }

    fn show(&mut self, progress: &Progress) {
        if let Some(delay) = progress.delay().filter(|delay| *delay != self.delay) {
            delay.clone_into(&mut self.delay);
            self.say(delay);
        }
        if progress.n_papers() != self.n_papers {
            self.n_papers = progress.n_papers();
            // The one before must end first: they share the line.
            self.step = None;
            let text = format!("{} papers are taken", self.n_papers);
            self.step = Some(self.cx.ui.begin_counted(text, self.n_papers));
        }
        let Some(step) = self.step.as_ref().filter(|_| self.n_papers > 0) else {
            return;
        };
        let line = progress.line(Utc::now());
        step.reached(progress.summary().found);
        step.says(&line);
        let is_due = self.said.elapsed() >= Self::BETWEEN_LINES;
        if !self.cx.ui.is_interactive() && line != self.line && is_due {
            let found = progress.summary().found;
            self.cx
                .ui
                .status(format!("{found} of {} papers: {line}", self.n_papers));
            self.said = Instant::now();
        }
        self.line = line;
    }

    /// Says why nothing moves: in the moving line, or once on no terminal.
    fn say(&self, text: &str) {
        match &self.step {
            Some(step) if self.cx.ui.is_interactive() => step.says(text),
            _ => self.cx.ui.status(text),
        }
    }
}

/// Says how it ended, or when it goes on.
fn conclude(
    cx: &Context,
    args: &ScrapeArgs,
    request: &ScraperEvent,
    execution: &Execution,
    description: &DescribeExecutionOutput,
    progress: &Progress,
) -> Result<ExitCode, CommandError> {
    let environment = &args.environment.environment;
    let status = description.status();
    let output = description.output().unwrap_or_default();
    let summary = match status {
        ExecutionStatus::Succeeded => serde_json::from_str(output).ok(),
        _ => None,
    };
    let summary = summary.unwrap_or_else(|| progress.summary());
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
    }
    match (reason, progress.again_at()) {
        (Some(reason), _) => {
            return Err(CommandError::ScrapeFailed {
                environment: environment.clone(),
                execution: execution.name.clone(),
                reason,
            });
        }
        (None, Some(at)) if status == &ExecutionStatus::Running => cx.ui.status(format!(
            "{} papers are held back by their sites; {} takes them again at {} and goes on without this command",
            progress.n_held_back(),
            ui::safe(&execution.name),
            at.format("%Y-%m-%d %H:%M:%S UTC")
        )),
        (None, _) => cx.ui.done(format!("{} has ended", ui::safe(&execution.name))),
    }
    if summary.cursor.is_some() {
        cx.ui.status(how_to_go_on(environment, request, Utc::now()));
    }
    Ok(ExitCode::SUCCESS)
}

/// What to do about a list that has more papers than were taken. What is there is not loaded twice, and
/// arXiv lists its newest papers first.
fn how_to_go_on(environment: &str, request: &ScraperEvent, now: DateTime<Utc>) -> String {
    let is_arxiv = sources(request) == [Source::Arxiv];
    let mut next = request.clone();
    let advice = match (request.max_papers, request.since.as_deref()) {
        (Some(most), _) if is_arxiv && most < MOST_OF_ARXIV => {
            next.max_papers = Some(most.saturating_mul(2).min(MOST_OF_ARXIV));
            "for more of it"
        }
        (Some(_), _) if !is_arxiv => {
            next.max_papers = None;
            "for all of it"
        }
        (_, Some(since)) => {
            next.since = Some(half(since, now));
            "these are its newest; a shorter --since, or --search, makes a list that ends"
        }
        _ => {
            next.search_term = Some("attention".to_owned());
            "--search takes a part of it"
        }
    };
    format!(
        "the list goes on after these papers; {advice}: {}",
        command(environment, &next)
    )
}

/// Half the span from a day, or a span, to now; an hour at least.
fn half(since: &str, now: DateTime<Utc>) -> String {
    let number = |unit| since.strip_suffix(unit)?.parse::<i64>().ok();
    let day = NaiveDate::parse_from_str(since, "%Y-%m-%d");
    let days = day.map(|day| (now.date_naive() - day).num_days());
    let hours = number('h').unwrap_or_else(|| {
        let days = number('d').or(days.ok()).unwrap_or(1);
        days.saturating_mul(24)
    });
    match hours / 2 {
        days if days >= 24 => format!("{}d", days / 24),
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
    let row = [ui::safe(&summary.source)]
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

#[cfg(test)]
mod tests {
    use super::*;

    fn event(conference: &str, year: Option<u32>) -> ScraperEvent {
        ScraperEvent {
            conference: Some(conference.to_owned()),
            conference_year: year,
            ..ScraperEvent::default()
        }
    }

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
    fn executions_of_the_same_source_and_year_read_the_same_list() {
        let same = |one: &ScraperEvent, other: &ScraperEvent| same_list(one, other, 2025);
        let iclr = event("ICLR", Some(2025));
        assert!(same(&iclr, &event("iclr", None)));
        assert!(same(&iclr, &event("BOTH", Some(2025))));
        assert!(!same(&iclr, &event("BOTH", Some(2024))));
        assert!(!same(&iclr, &event("ICML", Some(2025))));
        assert!(same(&event("ARXIV", None), &event("ARXIV", Some(2021))));
        assert!(!same(&iclr, &ScraperEvent::default()));
    }

    #[test]
    fn only_the_identical_request_is_joined() {
        let same = |one: &ScraperEvent, other: &ScraperEvent| same_papers(one, other, 2025);
        let iclr = event("ICLR", Some(2025));
        assert!(same(&iclr, &event(" iclr", None)));
        assert!(!same(&iclr, &event("BOTH", Some(2025))));
        let few = ScraperEvent {
            max_papers: Some(5),
            ..iclr.clone()
        };
        let topic = ScraperEvent {
            topic_filter: Some("Theory".to_owned()),
            ..iclr.clone()
        };
        assert!(!same(&iclr, &few) && !same(&iclr, &topic) && !same(&few, &topic));
        assert!(same(&few, &few));
        // A year narrows arXiv, and the environment's is a conference's.
        assert!(!same(&event("ARXIV", None), &event("ARXIV", Some(2025))));
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
            (arxiv(None, Some(40)), "arxiv --max-papers 80"),
            (arxiv(None, Some(9_000)), "arxiv --max-papers 10000"),
            (arxiv(Some("30d"), None), "arxiv --since 15d"),
            (arxiv(Some("1d"), None), "arxiv --since 12h"),
            (arxiv(Some("1h"), None), "arxiv --since 1h"),
            (arxiv(Some("2026-11-13"), None), "arxiv --since 5d"),
            (
                ScraperEvent {
                    max_papers: Some(5),
                    ..event("ICLR", Some(2025))
                },
                "iclr --year 2025",
            ),
        ];
        for (request, ending) in cases {
            let said = say(&request);
            let command = format!("cargo infra scrape dev {ending}");
            assert!(said.ends_with(&command), "{said}");
        }
    }

    #[test]
    fn since_is_a_day_or_a_span() {
        for good in ["2026-11-20", "2d", "36h"] {
            assert_eq!(parse_since(good), Ok(good.to_owned()));
        }
        for bad in ["", "d", "0d", "2w", "-1d", "2026-13-01", "yesterday", "2é"] {
            assert!(parse_since(bad).is_err(), "{bad}");
        }
    }
}
