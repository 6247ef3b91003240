use std::process::ExitCode;

use super::{Context, EnvironmentArg};
use crate::error::CommandError;
use crate::ui;

/// Print what the stack gives out: endpoints, queue URLs, bucket names
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra outputs local
  cargo infra outputs prod --json        Names and addresses for a script")]
pub(super) struct OutputsArgs {
    #[command(flatten)]
    environment: EnvironmentArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(cx: &Context, args: OutputsArgs) -> Result<ExitCode, CommandError> {
    let target = cx.target(&args.environment).await?;
    if args.json {
        cx.ui.json(&target.deployed.outputs)?;
    } else {
        let rows: Vec<Vec<String>> = target
            .deployed
            .outputs
            .iter()
            .map(|(name, value)| vec![name.to_owned(), value.to_owned()])
            .collect();
        cx.ui.result(ui::table(&["OUTPUT", "VALUE"], &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}
