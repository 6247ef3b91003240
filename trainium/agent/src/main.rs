//! The binary of the agent: reads the command line and hands over. Logs are lines of JSON on standard
//! output; `check` prints its one JSON document there instead.

use std::io::{self, Write};
use std::process::ExitCode;

use annapurna_contract::text::chain;
use clap::Parser;
use trainium_agent::{Cli, Command, Ended, Options};

/// Tells the unit that starts the agent to stop the machine; host/annapurna-agent.service has the same number.
const IDLE: u8 = 64;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A launcher must stay one thread: the kernel ties a child's life to the thread that made it.
    if let Some(Command::Launch { part }) = cli.command {
        return part.run();
    }
    trainium_agent::enter_own_scope();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let code = match cli.command {
        Some(Command::Check) => runtime.block_on(print_check(&cli.options)),
        _ => runtime.block_on(serve(&cli.options)),
    };
    // A client that never finishes its request must not hold the process.
    runtime.shutdown_background();
    code
}

async fn serve(options: &Options) -> ExitCode {
    init_logs();
    match trainium_agent::run(options).await {
        Ok(Ended::Asked) => ExitCode::SUCCESS,
        Ok(Ended::Idle) => ExitCode::from(IDLE),
        Err(error) => {
            tracing::error!(error = chain(&error), "the agent cannot run");
            fail(&error)
        }
    }
}

async fn print_check(options: &Options) -> ExitCode {
    let found = trainium_agent::look(options).await;
    let printed = serde_json::to_string_pretty(&found)
        .map_err(io::Error::other)
        .and_then(|text| writeln!(io::stdout(), "{text}"));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {}", chain(error));
    ExitCode::FAILURE
}

fn init_logs() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_env_filter(filter)
        .init();
}
