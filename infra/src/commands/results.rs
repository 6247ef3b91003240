use std::path::{Path, PathBuf};
use std::process::ExitCode;

use annapurna_contract::{
    Evaluation, Measured, Outcome, PaperId, PaperRecord, Stage, TestResult, Tested, Training, keys,
};
use annapurna_stack::outputs::Output;
use serde::Serialize;
use serde_json::json;

use super::generate::program::Stored;
use super::{Context, EnvironmentArg, Target};
use crate::error::CommandError;
use crate::test_outputs::{TestOutputs, reason, status, tail};
use crate::{index, ui};

/// Lines of each stream that one paper's result shows.
const SHOWN_LINES: usize = 20;

/// Show what came of the tests, or of one with what its program put out
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra results local                       The newest results, one a line
  cargo infra results prod --limit 500 --json     The index's fields, for a script
  cargo infra results prod 0123456789abcdef0123456789abcdef
  cargo infra results prod 0123456789abcdef0123456789abcdef --download out
  cargo infra results local --download out        The outputs of all that are shown, a folder each")]
pub(super) struct ResultsArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// The paper whose result to show
    paper: Option<String>,
    /// Write the outputs (streams, metrics, plots, result) below this folder, in one folder a paper
    #[arg(long, value_name = "DIR")]
    download: Option<PathBuf>,
    /// Papers at most, newest result first
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A tested paper, as the index has it.
#[derive(Debug, Serialize)]
struct Row {
    paper_id: PaperId,
    title: Option<String>,
    /// What it came to; of results that are older than the index of states, as far as the index of papers tells.
    outcome: Stage,
    #[serde(flatten)]
    tested: Tested,
}

/// One paper's result, as `--json` prints it.
#[derive(Debug, Serialize)]
struct One<'a> {
    result: &'a TestResult,
    /// Its plan, and what it has of the plan's claims.
    program: Option<&'a Stored>,
    /// Keys of all that the program put out.
    outputs: &'a [String],
}

pub(super) async fn run(cx: &Context, args: ResultsArgs) -> Result<ExitCode, CommandError> {
    let paper = args.paper.as_deref().map(paper_id).transpose()?;
    let target = cx.target(&args.environment).await?;
    let outputs = TestOutputs::of(&target.cloud, &target.deployed)?;
    let papers = match paper {
        Some(paper) => {
            one(cx, &target, &outputs, &paper, args.json).await?;
            vec![paper]
        }
        None => {
            let rows = newest(&target, args.limit).await?;
            show(cx, &rows, args.json)?;
            rows.into_iter().map(|row| row.paper_id).collect()
        }
    };
    if let Some(folder) = &args.download {
        download(cx, &outputs, &papers, folder).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A paper's id as a person types it.
pub(super) fn paper_id(text: &str) -> Result<PaperId, CommandError> {
    PaperId::try_from(text.trim().to_owned()).map_err(|error| CommandError::Usage {
        problem: error.to_string(),
        hint: "`cargo infra papers ENV` shows the ids".to_owned(),
    })
}

async fn newest(target: &Target, limit: u32) -> Result<Vec<Row>, CommandError> {
    let endpoint = target.deployed.outputs.get(Output::SearchEndpoint)?;
    let search = index::search(&target.cloud, endpoint)?;
    search.refresh().await?;
    let query = json!({
        "size": limit,
        "sort": [{"tested_at": {"order": "desc", "unmapped_type": "date"}}],
        "query": {"term": {"tested": true}},
    });
    let found = search.search(&query).await?;
    let papers: Vec<PaperId> = found.iter().map(|(paper, _)| paper.clone()).collect();
    let states = search.states().of(&papers).await?;
    let row = |(paper_id, record): (PaperId, PaperRecord)| Row {
        outcome: Stage::of(Some(&record), states.get(&paper_id)),
        paper_id,
        title: record.judged.title,
        tested: record.tested,
    };
    Ok(found.into_iter().map(row).collect())
}

fn show(cx: &Context, rows: &[Row], as_json: bool) -> Result<(), CommandError> {
    if as_json {
        return cx.ui.json(&rows);
    }
    let lines: Vec<Vec<String>> = rows.iter().map(line).collect();
    let header = [
        "PAPER", "OUTCOME", "LOSS", "ACCURACY", "SECONDS", "USD", "TESTED", "TITLE",
    ];
    cx.ui.result(ui::table(&header, &lines))
}

fn line(row: &Row) -> Vec<String> {
    let none = || "-".to_owned();
    let number = |value: Option<f64>, digits: usize| {
        value.map_or_else(none, |value| format!("{value:.digits$}"))
    };
    let tested = &row.tested;
    let outcome = match (&tested.error_type, row.outcome) {
        (Some(error_type), Stage::Failed) => format!("failed: {error_type}"),
        (_, outcome) => outcome.to_string(),
    };
    // To the minute.
    let at = tested.tested_at.as_deref().and_then(|at| at.get(..16));
    vec![
        row.paper_id.to_string(),
        outcome,
        number(tested.training_loss, 4),
        number(tested.validation_accuracy, 3),
        number(tested.execution_time, 1),
        number(tested.estimated_compute_cost, 3),
        at.map_or_else(none, |at| at.replace('T', " ")),
        ui::one_line(row.title.as_deref().unwrap_or("-"), 60),
    ]
}

async fn one(
    cx: &Context,
    target: &Target,
    outputs: &TestOutputs<'_>,
    paper: &PaperId,
    as_json: bool,
) -> Result<(), CommandError> {
    let prefix = keys::outputs_prefix(paper);
    let found = outputs.result(&prefix).await?;
    let result = found.ok_or_else(|| CommandError::Usage {
        problem: format!("paper {paper} has no result"),
        hint: format!(
            "test it: cargo infra test-code {} --paper-id {paper}",
            target.environment.name
        ),
    })?;
    let names = outputs.keys(&prefix).await?;
    let program = Stored::of(target, paper).await?;
    if as_json {
        let outputs = &names;
        return cx.ui.json(&One {
            result: &result,
            program: program.as_ref(),
            outputs,
        });
    }
    cx.ui.result(fields(&result))?;
    if let Some(plan) = program.as_ref().and_then(Stored::in_words) {
        cx.ui.result(format!("\n{plan}"))?;
    }
    let place = format!("s3://{}/{prefix}", outputs.bucket);
    cx.ui
        .result(format!("\n{} outputs in {place}", names.len()))?;
    streams(cx, outputs, &result, SHOWN_LINES).await
}

/// A result, a field a line.
pub(super) fn fields(result: &TestResult) -> String {
    let mut rows = vec![
        ("outcome", result.outcome().to_string()),
        ("status", status(result).to_owned()),
        ("seconds", format!("{:.1}", result.execution_time)),
    ];
    let code = result.return_code;
    rows.extend(code.map(|code| ("return code", code.to_string())));
    if result.outcome() == Outcome::Failed {
        rows.push(("reason", ui::one_line(&reason(result), 600)));
    }
    let why = result.not_trained();
    rows.extend(why.map(|why| ("not trained", why.to_string())));
    rows.extend(result.measured.iter().flat_map(measured));
    let processor = result.cpu_time;
    rows.extend(processor.map(|seconds| ("processor", format!("{seconds:.1} s"))));
    let memory = result.peak_memory_mb;
    rows.extend(memory.map(|mib| ("peak memory", format!("{mib:.0} MiB"))));
    let torch = result.pytorch_version.as_deref().unwrap_or("none");
    rows.extend([
        ("finished", result.finished_at.clone()),
        (
            "ran on",
            format!(
                "{} ({}), torch {torch}, isolation {}",
                result.executed_on.as_str(),
                result.instance_type,
                result.isolation.as_str()
            ),
        ),
        ("program", format!("SHA-256 {}", result.code_sha256)),
    ]);
    let metrics = result.metrics.iter();
    let metrics: Vec<String> = metrics
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    if !metrics.is_empty() {
        rows.push(("metrics", ui::one_line(&metrics.join(", "), 2_000)));
    }
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    ui::table(&["FIELD", "VALUE"], &rows)
}

/// What the harness saw, in words: it is in the program's own process.
fn measured(measured: &Measured) -> Vec<(&'static str, String)> {
    let Measured { batches, steps, .. } = measured;
    let fell = |it: &Training| {
        let ends = it.losses.first().zip(it.losses.last());
        let (first, last) = ends?;
        Some(format!("{} to {}", number(*first), number(*last)))
    };
    let losses: Vec<String> = measured.optimizers.iter().filter_map(fell).collect();
    let mut rows = vec![(
        "training",
        format!(
            "{steps} steps, {batches} batches, loss {}",
            losses.join(", ")
        ),
    )];
    for it in &measured.evaluations {
        let of = [
            ("accuracy", it.accuracy),
            ("loss", it.loss),
            ("perplexity", it.perplexity),
        ];
        let of = of.into_iter().filter(|(_, value)| value.is_some());
        let of: Vec<String> = of
            .map(|(what, value)| format!("{what} {}", number(value)))
            .collect();
        let Evaluation {
            name,
            dataset,
            split,
            samples,
            ..
        } = it;
        let of = of.join(", ");
        rows.push((
            "measured",
            format!("{name} on {split} of {dataset}, {samples} samples: {of}"),
        ));
    }
    rows
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "not finite".to_owned(), |it| format!("{it:.4}"))
}

/// The last lines of both streams.
pub(super) async fn streams(
    cx: &Context,
    outputs: &TestOutputs<'_>,
    result: &TestResult,
    lines: usize,
) -> Result<(), CommandError> {
    let keys = &result.outputs;
    for (name, key, was_cut) in [
        ("standard output", &keys.stdout, result.stdout_truncated),
        ("standard error", &keys.stderr, result.stderr_truncated),
    ] {
        let text = outputs.text(key).await?;
        let shown = tail(&text, lines);
        if !shown.is_empty() {
            let whole = shown.len() == text.trim_end().len();
            let part = match (whole, was_cut) {
                (true, false) => "",
                (false, false) => ", its end",
                (_, true) => ", cut at the agent's limit",
            };
            cx.ui
                .result(format!("\n----- {name}{part} -----\n{shown}"))?;
        }
    }
    Ok(())
}

async fn download(
    cx: &Context,
    outputs: &TestOutputs<'_>,
    papers: &[PaperId],
    folder: &Path,
) -> Result<(), CommandError> {
    let step = cx.ui.begin_counted("papers downloaded", papers.len());
    let mut n_files = 0;
    for (at, paper) in papers.iter().enumerate() {
        let prefix = keys::outputs_prefix(paper);
        let downloaded = outputs
            .download(&prefix, &folder.join(paper.as_str()))
            .await?;
        n_files += downloaded.files.len();
        for key in downloaded.left_out {
            let key = ui::one_line(&key, 200);
            cx.ui
                .warn(format!("{key} is left out: it is no name of a file"));
        }
        step.reached(at + 1);
    }
    drop(step);
    cx.ui
        .done(format!("{n_files} files are in {}", folder.display()));
    Ok(())
}
