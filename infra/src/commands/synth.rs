use std::process::ExitCode;

use super::{Context, EnvironmentArg};
use crate::error::CommandError;

/// Print an environment's CloudFormation template
///
/// Every rule of AWS that the stack breaks is reported, all of them together, before any AWS call.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo infra synth prod                 The template; AWS is not called
  cargo infra synth local")]
pub(super) struct SynthArgs {
    #[command(flatten)]
    pub(super) environment: EnvironmentArg,
    /// Print the template of the instances, which are a stack of their own
    #[arg(long)]
    instances: bool,
}

pub(super) fn run(cx: &Context, args: SynthArgs) -> Result<ExitCode, CommandError> {
    let environment = cx.environment(&args.environment)?;
    let template = cx.template(&environment)?;
    let template = match args.instances {
        true => super::instances_template(&environment),
        false => template,
    };
    cx.ui.json(&template.to_json()?)?;
    Ok(ExitCode::SUCCESS)
}
