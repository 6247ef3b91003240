use std::process::ExitCode;

use annapurna_contract::{PaperRecord, Stage};
use annapurna_stack::outputs::Output;
use serde::Serialize;
use serde_json::json;

use super::{Context, EnvironmentArg};
use crate::error::CommandError;
use crate::{index, ui};

/// Show the papers of the index and where each one is
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra papers local --limit 20    The newest twenty
  cargo infra papers prod --json         Whole records")]
pub(super) struct PapersArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// Papers at most, newest first
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    paper_id: String,
    stage: Stage,
    #[serde(flatten)]
    record: PaperRecord,
}

pub(super) async fn run(cx: &Context, args: PapersArgs) -> Result<ExitCode, CommandError> {
    let target = cx.target(&args.environment).await?;
    let search = index::search(
        &target.cloud,
        target.deployed.outputs.get(Output::SearchEndpoint)?,
    )?;
    search.refresh().await?;
    let query = json!({
        "size": args.limit,
        "sort": [{"ingested_at": {"order": "desc", "unmapped_type": "date"}}],
        "_source": {"excludes": ["abstract_embedding"]},
    });
    let found = search.search(&query).await?;
    let rows: Vec<Row> = found
        .into_iter()
        .map(|(id, record)| Row {
            paper_id: id.to_string(),
            stage: record.stage(),
            record,
        })
        .collect();
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

fn line(row: &Row) -> Vec<String> {
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    let tested = &row.record.tested;
    vec![
        row.paper_id.clone(),
        row.stage.to_string(),
        number(tested.training_loss, 4),
        number(tested.validation_accuracy, 3),
        number(tested.execution_time, 1),
        ui::one_line(row.record.judged.title.as_deref().unwrap_or("-"), 70),
    ]
}
