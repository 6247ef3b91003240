//! The two services of the local environment that are this program. They speak to their log file, as
//! JSON lines on standard output.

use std::io;
use std::process::ExitCode;

use annapurna_local::model::Backend;
use annapurna_local::{model, paper_site};
use tokio::net::TcpListener;

use crate::error::CommandError;
use crate::local::BACKEND_VARIABLE;

/// Run a service of the local environment
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// Port on 127.0.0.1
    #[arg(long)]
    port: u16,
}

async fn listen(args: &ServeArgs) -> Result<TcpListener, CommandError> {
    annapurna_runtime::telemetry::init();
    Ok(TcpListener::bind(("127.0.0.1", args.port)).await?)
}

async fn until_stopped(
    service: impl Future<Output = io::Result<()>>,
) -> Result<ExitCode, CommandError> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        ended = service => ended?,
        _ = terminate.recv() => {}
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn model(args: ServeArgs) -> Result<ExitCode, CommandError> {
    let listener = listen(&args).await?;
    let backend = match std::env::var(BACKEND_VARIABLE) {
        Ok(text) => serde_json::from_str(&text)?,
        Err(_) => Backend::OfflineRules,
    };
    until_stopped(model::serve(listener, backend)).await
}

pub(super) async fn papers(args: ServeArgs) -> Result<ExitCode, CommandError> {
    until_stopped(paper_site::serve(listen(&args).await?)).await
}
