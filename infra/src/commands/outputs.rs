use std::process::ExitCode;

use annapurna_stack::outputs::Outputs;

use super::{Context, EnvironmentArg};
use crate::error::CommandError;
use crate::{instances, ui};

/// Print what the stack gives out: endpoints, queue URLs, bucket names
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra outputs local
  cargo infra outputs prod --json        Names and addresses for a script")]
pub(super) struct OutputsArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(cx: &Context, args: OutputsArgs) -> Result<ExitCode, CommandError> {
    let target = cx.target(&args.environment).await?;
    let instances = instances::outputs(&target.cloud, &target.environment).await?;
    let outputs = target.deployed.outputs.with(&instances);
    if args.json {
        cx.ui.json(&outputs)?;
    } else {
        cx.ui.result(table(&outputs))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Name and value of each, for people.
pub(super) fn table(outputs: &Outputs) -> String {
    let rows: Vec<Vec<String>> = outputs
        .iter()
        .map(|(name, value)| vec![name.to_owned(), value.to_owned()])
        .collect();
    ui::table(&["OUTPUT", "VALUE"], &rows)
}
