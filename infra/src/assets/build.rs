//! Has cargo build the functions and the agent, for this machine or for Lambda and trn1.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use annapurna_stack::environment::Architecture;
use annapurna_stack::parameters::function_packages;
use nix::sys::signal::Signal;
use serde::Deserialize;
use tokio::process::Command;

use super::AGENT;
use crate::error::CommandError;

pub(super) async fn build_for_this_machine(
    root: &Path,
) -> Result<BTreeMap<String, PathBuf>, CommandError> {
    let mut cargo = cargo(root);
    cargo.args(["build", "--message-format=json-render-diagnostics"]);
    for package in function_packages().into_iter().chain([AGENT]) {
        cargo.args(["--package", package]);
    }
    let output = cargo.stderr(Stdio::inherit()).output().await;
    let output = output.map_err(CommandError::file("run", "cargo"))?;
    not_interrupted(output.status)?;
    if !output.status.success() {
        return Err(CommandError::Build {
            what: "the functions and the agent".to_owned(),
            hint: "correct what the compiler reports above".to_owned(),
        });
    }
    Ok(executables(&String::from_utf8_lossy(&output.stdout)))
}

/// Binaries by name, from cargo's messages.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
        .filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path)))
        .collect()
}

/// The agent runs on trn1, which is x86-64; the functions on what the environment says.
pub(super) async fn build_for_lambda(
    root: &Path,
    architecture: Architecture,
) -> Result<BTreeMap<String, PathBuf>, CommandError> {
    let functions = function_packages();
    cargo_lambda(root, architecture, &functions).await?;
    cargo_lambda(root, Architecture::X86_64, &[AGENT]).await?;
    let folder = target_folder(root).await?.join("lambda");
    let binaries = functions.iter().chain([&AGENT]).map(|package| {
        (
            (*package).to_owned(),
            folder.join(package).join("bootstrap"),
        )
    });
    Ok(binaries.collect())
}

async fn cargo_lambda(
    root: &Path,
    architecture: Architecture,
    packages: &[&str],
) -> Result<(), CommandError> {
    let mut cargo = cargo(root);
    cargo.args(["lambda", "build", "--release", "--locked"]);
    cargo.arg(match architecture {
        Architecture::Arm64 => "--arm64",
        Architecture::X86_64 => "--x86-64",
    });
    for package in packages {
        cargo.args(["--package", package]);
    }
    let status = cargo
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .status()
        .await;
    let status = status.map_err(CommandError::file("run", "cargo"))?;
    not_interrupted(status)?;
    if status.success() {
        return Ok(());
    }
    Err(CommandError::Build {
        what: format!("{} for {}", packages.join(", "), architecture.name()),
        hint:
            "cargo-lambda is needed for AWS: pip install cargo-lambda; otherwise correct what the \
               compiler reports above"
                .to_owned(),
    })
}

/// A person's Ctrl-C reaches cargo, too, and its end may be seen before the signal is.
fn not_interrupted(status: ExitStatus) -> Result<(), CommandError> {
    match status.signal() {
        Some(signal) if signal == Signal::SIGINT as i32 => Err(CommandError::Interrupted),
        _ => Ok(()),
    }
}

/// Cargo as a person would start it: without the variables that an outer cargo sets for what it runs,
/// which would rebuild crates that read them.
fn cargo(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(root)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_outer = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
        ]
        .iter()
        .any(|prefix| text.starts_with(prefix));
        if is_outer {
            command.env_remove(&name);
        }
    }
    command
}

pub(super) async fn target_folder(root: &Path) -> Result<PathBuf, CommandError> {
    #[derive(Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let mut cargo = cargo(root);
    cargo.args(["metadata", "--format-version=1", "--no-deps"]);
    let output = cargo
        .output()
        .await
        .map_err(CommandError::file("run", "cargo"))?;
    not_interrupted(output.status)?;
    let metadata: Result<Metadata, _> = serde_json::from_slice(&output.stdout);
    metadata
        .map(|it| it.target_directory)
        .map_err(|_| CommandError::Build {
            what: "the workspace: cargo metadata failed".to_owned(),
            hint: crate::ui::one_line(&String::from_utf8_lossy(&output.stderr), 300),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_are_found_in_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\nnot json\n\
             {\"reason\":\"compiler-artifact\",\"executable\":\"/t/debug/papers-judge\"}";
        let found = executables(messages);
        assert_eq!(
            found["papers-judge"],
            PathBuf::from("/t/debug/papers-judge")
        );
    }

    #[test]
    fn what_a_person_interrupts_has_not_failed() {
        let ended_by = |signal: Signal| not_interrupted(ExitStatus::from_raw(signal as i32));
        assert!(matches!(
            ended_by(Signal::SIGINT),
            Err(CommandError::Interrupted)
        ));
        assert!(ended_by(Signal::SIGTERM).is_ok());
        let exit_code_101 = ExitStatus::from_raw(101 << 8);
        assert!(not_interrupted(exit_code_101).is_ok());
    }
}
