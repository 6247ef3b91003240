//! Sessions of Systems Manager, which the AWS CLI opens with a plugin: this program becomes the CLI.
//! Source: Systems Manager user guide, "Starting a session" and "Install the Session Manager plugin for the AWS CLI".

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use annapurna_local::find_program;
use annapurna_stack::environment::{Environment, Place};
use serde_json::json;

use crate::error::CommandError;

/// Where the agent listens on its instance; `AGENT_LISTEN` is not set there.
pub(super) const AGENT_PORT: u16 = 8765;
const CLI: &str = "aws";
const PLUGIN: &str = "session-manager-plugin";

/// Opens a shell.
pub(super) fn shell(environment: &Environment, id: &str) -> Result<ExitCode, CommandError> {
    open(environment, id, &[])
}

/// Forwards a port of this machine to the agent.
pub(super) fn tunnel(
    environment: &Environment,
    id: &str,
    port: u16,
) -> Result<ExitCode, CommandError> {
    let ports = json!({
        "portNumber": [AGENT_PORT.to_string()],
        "localPortNumber": [port.to_string()],
    });
    let ports = ports.to_string();
    let document = "AWS-StartPortForwardingSession";
    open(
        environment,
        id,
        &["--document-name", document, "--parameters", &ports],
    )
}

/// Becomes the CLI, so that its terminal and Ctrl-C are the session's own; comes back only when it cannot.
fn open(environment: &Environment, id: &str, more: &[&str]) -> Result<ExitCode, CommandError> {
    let cli = needed(CLI, "the AWS CLI, version 2: https://aws.amazon.com/cli")?;
    needed(
        PLUGIN,
        "the Session Manager plugin: https://docs.aws.amazon.com/systems-manager/latest/userguide/\
         session-manager-working-with-install-plugin.html",
    )?;
    let mut command = Command::new(&cli);
    command
        .args(["ssm", "start-session", "--target", id, "--region"])
        .arg(&environment.region)
        .args(more);
    if let Place::Aws {
        profile: Some(profile),
        ..
    } = &environment.place
    {
        command.args(["--profile", profile]);
    }
    Err(CommandError::file("run", cli)(command.exec()))
}

/// The program of this name that a shell would run.
fn needed(name: &str, what: &str) -> Result<PathBuf, CommandError> {
    find_program(name).ok_or_else(|| CommandError::Usage {
        problem: format!("a session needs `{name}`, which is not on the PATH"),
        hint: format!("install {what}"),
    })
}
