use std::collections::BTreeMap;
use std::process::ExitCode;

use annapurna_contract::{PaperId, PaperRecord, Stage, StatusRecord};
use annapurna_runtime::search::Search;
use annapurna_stack::outputs::Output;
use serde::Serialize;
use serde_json::json;

use super::{Context, EnvironmentArg, judge};
use crate::error::CommandError;
use crate::{index, ui};

/// Show the papers that were judged and where each one is
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra papers local --limit 20    The newest twenty
  cargo infra papers prod --json         Whole records
  cargo infra papers prod --undecided    Those that wait for a person and `cargo infra judge`")]
pub(super) struct PapersArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// Papers at most, newest first
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Papers that the judge could not decide, the longest waiting first; with --json their verdicts
    #[arg(long)]
    undecided: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A paper as both indexes have it.
#[derive(Debug, Serialize)]
struct Row {
    paper_id: PaperId,
    stage: Stage,
    #[serde(flatten)]
    record: PaperRecord,
    /// What became of it at each stage; none of papers that are older than the index of states.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<StatusRecord>,
}

pub(super) async fn run(cx: &Context, args: PapersArgs) -> Result<ExitCode, CommandError> {
    let target = cx.target(&args.environment).await?;
    if args.undecided {
        let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
        judge::undecided(cx, &target, limit, args.json).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let search = index::search(
        &target.cloud,
        target.deployed.outputs.get(Output::SearchEndpoint)?,
    )?;
    let rows = newest(&search, args.limit).await?;
    if args.json {
        cx.ui.json(&rows)?;
    } else {
        let lines: Vec<Vec<String>> = rows.iter().map(line).collect();
        cx.ui.result(ui::table(
            &["PAPER", "STAGE", "LOSS", "ACCURACY", "SECONDS", "TITLE"],
            &lines,
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The papers that were judged last, the accepted ones of the index among those that have a state only.
async fn newest(search: &Search, limit: u32) -> Result<Vec<Row>, CommandError> {
    let states = search.states();
    search.refresh().await?;
    states.refresh().await?;
    let query = json!({
        "size": limit,
        "sort": [{"ingested_at": {"order": "desc", "unmapped_type": "date"}}],
    });
    let accepted: BTreeMap<PaperId, PaperRecord> =
        search.search(&query).await?.into_iter().collect();
    let mut status: BTreeMap<PaperId, StatusRecord> =
        states.newest(limit).await?.into_iter().collect();
    let papers = accepted.keys().filter(|it| !status.contains_key(*it));
    let papers: Vec<PaperId> = papers.cloned().collect();
    status.extend(states.of(&papers).await?);
    let others = status.keys().filter(|it| !accepted.contains_key(*it));
    let others: Vec<&PaperId> = others.collect();
    let mut records = accepted;
    if !others.is_empty() {
        let query = json!({"size": others.len(), "query": {"ids": {"values": others}}});
        let found = search.search(&query).await?;
        records.extend(found);
    }
    Ok(rows(records, status, limit))
}

fn rows(
    mut records: BTreeMap<PaperId, PaperRecord>,
    mut status: BTreeMap<PaperId, StatusRecord>,
    limit: u32,
) -> Vec<Row> {
    let mut papers: Vec<PaperId> = records.keys().chain(status.keys()).cloned().collect();
    papers.sort();
    papers.dedup();
    let row = |paper_id: PaperId| {
        let (record, status) = (records.remove(&paper_id), status.remove(&paper_id));
        Row {
            stage: Stage::of(record.as_ref(), status.as_ref()),
            record: record.unwrap_or_default(),
            paper_id,
            status,
        }
    };
    let mut rows: Vec<Row> = papers.into_iter().map(row).collect();
    rows.sort_by(|a, b| b.judged_at().cmp(&a.judged_at()));
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    rows
}

impl Row {
    fn judged_at(&self) -> Option<&str> {
        let judged = self.status.as_ref().and_then(|it| it.judged.as_ref());
        let ingested = self.record.judged.ingested_at.as_deref();
        ingested.or(judged.and_then(|it| it.judged_at.as_deref()))
    }

    fn title(&self) -> Option<&str> {
        let heading = self.status.as_ref().map(|it| &it.heading);
        let title = self.record.judged.title.as_deref();
        title.or(heading.and_then(|it| it.title.as_deref()))
    }
}

fn line(row: &Row) -> Vec<String> {
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let tested = &row.record.tested;
    vec![
        row.paper_id.to_string(),
        row.stage.to_string(),
        number(tested.training_loss, 4),
        number(tested.validation_accuracy, 3),
        number(tested.execution_time, 1),
        ui::one_line(row.title().unwrap_or("-"), 70),
    ]
}

#[cfg(test)]
mod tests {
    use annapurna_contract::Decision;
    use annapurna_contract::status::{Heading, JudgedStatus};

    use super::*;

    #[test]
    fn a_rejected_paper_is_shown_among_the_accepted_ones_by_its_time() {
        let id = |title: &str| PaperId::of(title, None);
        let accepted = |title: &str, at: &str| {
            let mut record = PaperRecord::default();
            record.judged.title = Some(title.to_owned());
            record.judged.ingested_at = Some(at.to_owned());
            (id(title), record)
        };
        let rejected = StatusRecord {
            heading: Heading {
                title: Some("Cooking".to_owned()),
                ..Heading::default()
            },
            judged: Some(JudgedStatus {
                decision: Some(Decision::Reject),
                judged_at: Some("2026-01-02T00:00:00Z".to_owned()),
                ..JudgedStatus::default()
            }),
            ..StatusRecord::default()
        };
        let records = [
            accepted("Adam", "2026-01-01T00:00:00Z"),
            accepted("Lion", "2026-01-03T00:00:00Z"),
        ];
        let shown = |limit| {
            let states = BTreeMap::from([(id("Cooking"), rejected.clone())]);
            let rows = rows(records.clone().into(), states, limit);
            let of = |row: &Row| (row.title().unwrap().to_owned(), row.stage.as_str());
            rows.iter().map(of).collect::<Vec<_>>()
        };
        let (lion, cooking) = (
            ("Lion".to_owned(), "accepted"),
            ("Cooking".to_owned(), "rejected"),
        );
        assert_eq!(shown(2), [lion.clone(), cooking.clone()]);
        assert_eq!(shown(9), [lion, cooking, ("Adam".to_owned(), "accepted")]);
    }
}
