//! `infra`: plan, deploy and remove the paper pipeline's stack.

use std::process::ExitCode;

use clap::Parser;
use infra::commands::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
    commands::run(Cli::parse()).await
}
