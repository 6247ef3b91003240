//! The command that takes a whole list of papers: check, start or join an execution, follow it, conclude.

use std::process::ExitCode;

use annapurna_contract::scrape::{FIRST_YEAR, LAST_YEAR, MOST_PAPERS_OF_SCRAPE};

use super::{Context, EnvironmentArg};
use crate::error::CommandError;

mod conclusion;
pub(super) mod executions;
mod follow;
mod progress;
mod request;
mod start;

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
    pub(super) environment: EnvironmentArg,
    /// Source: iclr, icml, neurips (or nips), mlsys, arxiv, or both for ICLR and ICML
    source: String,
    /// Year of the conference [default: conference-year of the environment]; for arXiv, of submission
    #[arg(long, value_parser = clap::value_parser!(u32).range(i64::from(FIRST_YEAR)..=i64::from(LAST_YEAR)))]
    year: Option<u32>,
    /// Only a conference's papers of this topic and all below it
    #[arg(long)]
    topic: Option<String>,
    /// Only papers with these words
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
    /// New papers at most: those that an earlier scrape had are passed over, so the same command takes the
    /// next ones [default: all; arXiv needs it, or --since]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_PAPERS_OF_SCRAPE)))]
    max_papers: Option<u32>,
    /// Only arXiv's papers submitted since a day, 2026-11-20, or a span before now, 2d or 36h
    #[arg(long, value_parser = request::parse_since)]
    since: Option<String>,
    /// Show the progress until it ends; Ctrl-C leaves it running
    #[arg(long)]
    follow: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(cx: &Context, args: ScrapeArgs) -> Result<ExitCode, CommandError> {
    let environment = cx.environment(&args.environment)?;
    let request = request::checked(&args, environment.scraper.conference_year)?;
    let target = cx.target(&args.environment).await?;
    target.cloud.guard(&environment).await?;
    let execution = start::begin(cx, &target, &request, args.follow).await?;
    let again = request::follow_command(&environment.name, &request);
    if !args.follow {
        conclusion::announce(cx, &args, &execution, &again)?;
        return Ok(ExitCode::SUCCESS);
    }
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Err(CommandError::GoesOn { execution: execution.name.clone(), again }),
        outcome = follow::follow(cx, &args, &request, &target, &execution) => outcome,
    }
}
