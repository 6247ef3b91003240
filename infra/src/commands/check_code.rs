use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use annapurna_contract::{Backend, dataset};
use annapurna_datasets::RECIPES;
use annapurna_program_check::{CODE_LIMIT, Report, Rules, look};

use crate::error::CommandError;
use crate::ui::Ui;

/// Check a program as the generator does before it costs device time; runs nothing
///
/// The rules are in docs/programs.md. Exit code 1: something was found.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra check-code program.py
  cargo infra check-code program.py --dataset mnist --backend xla
  cargo infra check-code - --json        The program on standard input, the findings for a script")]
pub(super) struct CheckCodeArgs {
    /// The program; `-`: standard input
    file: PathBuf,
    /// A data set that is there, more than once for more [default: all that Annapurna knows]
    #[arg(long = "dataset", value_name = "NAME")]
    datasets: Vec<String>,
    /// What it is to train on: xla, torch-neuron, cuda, cpu or auto
    #[arg(long, default_value = "auto")]
    backend: Backend,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(ui: &Ui, args: &CheckCodeArgs) -> Result<ExitCode, CommandError> {
    let code = read(&args.file)?;
    let made = dataset::synthetic();
    let known = RECIPES.iter().map(|recipe| recipe.name);
    let mut datasets: Vec<&str> = args.datasets.iter().map(String::as_str).collect();
    if datasets.is_empty() {
        datasets = known
            .chain(made.iter().map(|set| set.name.as_str()))
            .collect();
    }
    let rules = Rules {
        datasets: &datasets,
        backend: args.backend,
    };
    let report = look(&code, &rules);
    show(ui, &report, args.json)?;
    Ok(match report.findings.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}

/// One byte more than is run at most, so that what is too long is seen to be.
fn read(file: &Path) -> Result<String, CommandError> {
    let limit = u64::try_from(CODE_LIMIT).unwrap_or(u64::MAX) + 1;
    let failed = CommandError::file("read", file);
    let mut code = Vec::new();
    let outcome = if file == Path::new("-") {
        std::io::stdin().take(limit).read_to_end(&mut code)
    } else {
        std::fs::File::open(file).and_then(|it| it.take(limit).read_to_end(&mut code))
    };
    outcome.map_err(failed)?;
    // A cut may fall into a character; what is that long is refused for its length.
    Ok(String::from_utf8_lossy(&code).into_owned())
}

fn show(ui: &Ui, report: &Report, json: bool) -> Result<(), CommandError> {
    if json {
        return ui.json(report);
    }
    for finding in &report.findings {
        ui.result(finding)?;
    }
    match (&report.facts, report.findings.len()) {
        (Some(facts), 0) => ui.done(format!(
            "Nothing was found: it loads {}, and has {} lines",
            facts.datasets.join(", "),
            facts.lines_of_code
        )),
        (_, n) => ui.status(format!("{n} found; docs/programs.md has the rules")),
    }
    Ok(())
}
