//! The scrapes of an environment.

use annapurna_stack::outputs::Output;
use chrono::{DateTime, TimeDelta, Utc};

use super::{Part, State, named};
use crate::cloud::Cloud;
use crate::commands::scrape;
use crate::engine::Deployed;
use crate::error::CommandError;

/// The scrapes that run, and those of the last two days that failed.
pub(super) async fn parts(cloud: &Cloud, deployed: &Deployed) -> Result<Vec<Part>, CommandError> {
    use aws_sdk_sfn::types::ExecutionStatus;
    let Some(machine) = deployed.outputs.find(Output::ScrapeConferenceArn) else {
        return Ok(Vec::new());
    };
    let recent = (Utc::now() - TimeDelta::days(2)).timestamp();
    let executions = scrape::executions::latest(cloud, machine).await?;
    Ok(executions
        .iter()
        .filter_map(|it| {
            let state = match it.status() {
                ExecutionStatus::Running => State::Runs,
                ExecutionStatus::Succeeded => return None,
                _ if it.start_date().secs() < recent => return None,
                _ => State::Failed,
            };
            Some(Part {
                since: DateTime::from_timestamp(it.start_date().secs(), 0),
                ..named("scrape", state, it.name())
            })
        })
        .collect())
}
