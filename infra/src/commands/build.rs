use std::process::ExitCode;

use serde_json::json;

use super::doctor::{Consent, ensure_cargo_lambda};
use super::{Context, EnvironmentArg};
use crate::assets::Zip;
use crate::error::CommandError;
use crate::ui;

/// Build and pack the code of an environment as a deploy does, and upload nothing
///
/// AWS is not called. A key holds the SHA-256 of its archive, which the same code, compiler and zig always give.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra build prod                 Each archive with the key it would be uploaded under
  cargo infra build prod --yes --json    The same for a script; installs cargo-lambda where there is none")]
pub(super) struct BuildArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Install cargo-lambda without asking, where an environment in AWS needs it and there is none
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(cx: &Context, args: BuildArgs) -> Result<ExitCode, CommandError> {
    let environment = cx.environment(&args.environment)?;
    if environment.local().is_none() {
        ensure_cargo_lambda(cx, &environment, Consent::of(args.yes)).await?;
    }
    let assets = cx.build(&environment).await?;
    let zips: Vec<&Zip> = assets
        .functions
        .values()
        .chain(&assets.agent_bundle)
        .collect();
    if args.json {
        let rows = zips
            .iter()
            .map(|zip| json!({"key": zip.key, "file": zip.path}));
        cx.ui.json(&rows.collect::<Vec<_>>())?;
    } else {
        let rows = zips
            .iter()
            .map(|zip| vec![zip.key.clone(), zip.path.display().to_string()]);
        let rows: Vec<Vec<String>> = rows.collect();
        cx.ui.result(ui::table(&["KEY", "FILE"], &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}
