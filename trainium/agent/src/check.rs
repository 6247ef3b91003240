//! `trainium-agent check`: what this machine has, as JSON for `infra status` and `infra doctor`.

use std::path::PathBuf;
use std::sync::Arc;

use annapurna_contract::Isolation;
use annapurna_contract::text::{chain, escaped};
use serde::Serialize;
use tempfile::TempDir;

use crate::device;
use crate::options::Options;
use crate::probe::find_sandbox;
use crate::python::Interpreter;
use crate::sandbox::Parts;
use crate::service::prepare_state;
use crate::users::ProgramUsers;

/// What was found. A part that is missing has a reason beside it.
#[derive(Debug, Serialize)]
pub struct Found {
    /// Programs can be run.
    ready: bool,
    /// The method that an agent would use, or `none`.
    isolation: Isolation,
    /// Why programs would be refused; `null` where they would be run.
    refusal: Option<String>,
    python: Option<PathBuf>,
    python_version: Option<String>,
    /// `torch.__version__` of that interpreter.
    torch: Option<String>,
    /// Device nodes that programs get: `/dev/neuron0`, GPUs; empty where there is only a processor.
    devices: Vec<PathBuf>,
    /// User ids of which each slot gets its own, when the agent is root.
    run_as: Option<String>,
    /// What is missing and what to do about it.
    problems: Vec<String>,
}

/// Looks at this machine. Changes nothing that a running agent uses.
pub async fn look(options: &Options) -> Found {
    let mut found = Found {
        ready: false,
        isolation: Isolation::NotConfined,
        refusal: None,
        python: None,
        python_version: None,
        torch: None,
        devices: device::nodes(options.backend),
        run_as: None,
        problems: Vec::new(),
    };
    if let Err(error) = options.checked_token() {
        found.problems.push(chain(&error));
    }
    match Interpreter::probe(&options.python).await {
        Err(error) => found.problems.push(chain(&error)),
        Ok(interpreter) => look_closer(options, interpreter, &mut found),
    }
    found
}

fn look_closer(options: &Options, interpreter: Interpreter, found: &mut Found) {
    found.python = Some(interpreter.executable.clone());
    found.python_version = Some(interpreter.version.clone());
    found.torch.clone_from(&interpreter.torch);
    if let Some(reason) = &interpreter.torch_error {
        let advice = crate::classify::no_torch_message(&interpreter.executable.to_string_lossy());
        found
            .problems
            .push(format!("{advice} ({})", escaped(reason, 500)));
    }
    let (parts, _folder) = match parts(options, interpreter) {
        Ok(parts) => parts,
        Err(problem) => return found.problems.push(problem),
    };
    found.run_as = parts
        .users
        .are_claimed()
        .then(|| options.run_as.to_string());
    match find_sandbox(options.isolation, &parts) {
        Ok(sandbox) => {
            found.ready = true;
            found.isolation = sandbox.method().isolation();
        }
        Err(refusal) => {
            found.problems.push(refusal.to_string());
            found.refusal = Some(refusal.to_string());
        }
    }
}

/// The parts of a sandbox in a folder of its own, which goes when the second value does.
fn parts(options: &Options, interpreter: Interpreter) -> Result<(Parts, TempDir), String> {
    let slots = options.slots().into();
    let users = ProgramUsers::claim(options.run_as, slots).map_err(|error| chain(&error))?;
    let python_path = options.loader_folder().map_err(|error| chain(&error))?;
    // A person who may not write where the agent works can still be told about the rest.
    let folder = tempfile::Builder::new()
        .prefix("check-")
        .tempdir_in(&options.state_dir)
        .or_else(|_| tempfile::tempdir());
    let folder =
        folder.map_err(|error| format!("cannot make a folder to try programs in: {error}"))?;
    let state_dir = prepare_state(folder.path())
        .map_err(|error| format!("cannot use {}: {error}", folder.path().display()))?;
    let parts = Parts {
        launcher: std::env::current_exe()
            .map_err(|error| format!("cannot find this binary: {error}"))?,
        interpreter,
        python_path,
        state_dir,
        users: Arc::new(users),
        backend: options.backend,
        devices: device::nodes(options.backend),
        slots,
    };
    Ok((parts, folder))
}
