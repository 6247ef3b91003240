//! Has cargo build the functions and the agent, for this machine or for Lambda and trn1.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use annapurna_local::Home;
use annapurna_local::cargo_lambda::CargoLambda;
use annapurna_stack::environment::{Architecture, Environment};
use annapurna_stack::parameters::function_packages;
use nix::sys::signal::Signal;
use serde::Deserialize;
use tokio::process::Command;

use super::AGENT;
use super::same_bytes::Machine;
use crate::error::CommandError;

/// What is wrong where [`CargoLambda::find`] finds none.
pub(crate) const NO_CARGO_LAMBDA: &str = "there is no cargo-lambda with its zig";

/// What to do then.
pub(crate) fn how_to_get_cargo_lambda(environment: &Environment) -> String {
    let name = &environment.name;
    format!(
        "`cargo infra build {name} --yes` installs it, and so does `cargo infra deploy {name}` after asking; or: pip install cargo-lambda"
    )
}

pub(super) async fn build_for_this_machine(root: &Path) -> Result<Built, CommandError> {
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
    Ok(Built {
        binaries: executables(&String::from_utf8_lossy(&output.stdout)),
        target_directory: metadata(root, &["--no-deps"]).await?.target_directory,
        differences: Vec::new(),
    })
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

/// What was built.
#[derive(Debug)]
pub(super) struct Built {
    /// By the name of the crate.
    pub(super) binaries: BTreeMap<String, PathBuf>,
    /// Cargo's.
    pub(super) target_directory: PathBuf,
    /// What of the tools is not the project's version, for which others get other bytes.
    pub(super) differences: Vec<String>,
}

/// The agent runs on trn1, which is x86-64; the functions on what the environment says. `tools` is where our own
/// cargo-lambda is.
pub(super) async fn build_for_lambda(
    root: &Path,
    environment: &Environment,
    tools: &Home,
) -> Result<Built, CommandError> {
    let lambda = CargoLambda::find(tools).await;
    let lambda = lambda.ok_or_else(|| CommandError::Build {
        what: format!("for AWS: {NO_CARGO_LAMBDA}"),
        hint: how_to_get_cargo_lambda(environment),
    })?;
    let machine = Machine::look(root).await?;
    let functions = function_packages();
    let both = [
        (environment.architecture(), &functions[..]),
        (Architecture::X86_64, &[AGENT][..]),
    ];
    for (architecture, packages) in both {
        cargo_lambda(root, &lambda, &machine, architecture, packages).await?;
    }
    let folder = machine.target_directory.join("lambda");
    let binaries = functions.iter().chain([&AGENT]).map(|package| {
        (
            (*package).to_owned(),
            folder.join(package).join("bootstrap"),
        )
    });
    Ok(Built {
        binaries: binaries.collect(),
        differences: machine.differences(&lambda.version, &lambda.zig),
        target_directory: machine.target_directory,
    })
}

async fn cargo_lambda(
    root: &Path,
    lambda: &CargoLambda,
    machine: &Machine,
    architecture: Architecture,
    packages: &[&str],
) -> Result<(), CommandError> {
    // As it was found: cargo would look beside itself first, and take an alias for it.
    let mut build = as_a_person(root, "cargo-lambda");
    build.args(["lambda", "build", "--release", "--locked"]);
    build.arg(match architecture {
        Architecture::Arm64 => "--arm64",
        Architecture::X86_64 => "--x86-64",
    });
    for package in packages {
        build.args(["--package", package]);
    }
    if let Some(toolchain) = machine.toolchain {
        // With that toolchain's cargo, too, and not the one that runs this program.
        build.env("RUSTUP_TOOLCHAIN", toolchain).env_remove("CARGO");
    }
    let status = build
        .env("PATH", lambda.path()?)
        .env("CARGO_ENCODED_RUSTFLAGS", machine.rustflags(architecture))
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .status()
        .await;
    let status = status.map_err(CommandError::file("run", "cargo-lambda"))?;
    not_interrupted(status)?;
    if status.success() {
        return Ok(());
    }
    Err(CommandError::Build {
        what: format!("{} for {}", packages.join(", "), architecture.name()),
        hint: "correct what the compiler reports above".to_owned(),
    })
}

/// A person's Ctrl-C reaches cargo, too, and its end may be seen before the signal is.
fn not_interrupted(status: ExitStatus) -> Result<(), CommandError> {
    match status.signal() {
        Some(signal) if signal == Signal::SIGINT as i32 => Err(CommandError::Interrupted),
        _ => Ok(()),
    }
}

fn cargo(root: &Path) -> Command {
    as_a_person(root, "cargo")
}

/// A program as a person would start it: without the variables that an outer cargo sets for what it runs,
/// which would rebuild crates that read them.
fn as_a_person(root: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
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
            // What AWS gets is the same for whoever builds it.
            "CARGO_PROFILE_RELEASE_",
        ]
        .iter()
        .any(|prefix| text.starts_with(prefix));
        if is_outer {
            command.env_remove(&name);
        }
    }
    command
}

/// What cargo knows of the workspace.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) workspace_root: PathBuf,
    pub(super) target_directory: PathBuf,
    /// The workspace's own, and all that they depend on unless `--no-deps` left them out.
    pub(super) packages: Vec<Package>,
}

/// A crate and where it is.
#[derive(Debug, Deserialize)]
pub(super) struct Package {
    /// Where it was downloaded from; `None` for one of the workspace.
    pub(super) source: Option<String>,
    pub(super) manifest_path: PathBuf,
}

/// Asks cargo; without `--no-deps` it downloads what is not there yet.
pub(super) async fn metadata(root: &Path, flags: &[&str]) -> Result<Metadata, CommandError> {
    let arguments = [&["metadata", "--format-version=1"], flags].concat();
    Ok(serde_json::from_str(
        &answer(root, "cargo", &arguments).await?,
    )?)
}

/// What cargo or rustc says, in the project's folder, which may choose a toolchain.
pub(super) async fn answer(
    root: &Path,
    program: &'static str,
    arguments: &[&str],
) -> Result<String, CommandError> {
    let output = as_a_person(root, program).args(arguments).output().await;
    let output = output.map_err(CommandError::file("run", program))?;
    not_interrupted(output.status)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(CommandError::Build {
        what: format!(
            "the functions and the agent: {program} {} failed",
            arguments.join(" ")
        ),
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
