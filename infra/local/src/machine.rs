//! What the services of an environment run on, prepared once and handed to them as values.
//!
//! In: the environment's folder and what it wants. Out: a [`Machine`]. No service starts without the part
//! that it runs on, and only [`prepare`] makes one.

use crate::opensearch::Distribution;
use crate::python::Venv;
use crate::torch::{self, InstallPlan, TorchPython};
use crate::{Home, LocalError, Progress};

/// A machine on which the services of one environment can start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The emulator, and Java.
    pub venv: Venv,
    /// The search server's files; `None` where none is wanted.
    pub opensearch: Option<Distribution>,
    /// What generated programs run on; without it they fail and say so.
    pub torch: Option<TorchPython>,
}

/// Fetches and installs what is not there yet; interrupted, it goes on where it was.
///
/// `opensearch`: whether a search server is wanted. `programs`: what a person agreed to have installed
/// for generated programs.
pub async fn prepare(
    home: &Home,
    opensearch: bool,
    programs: &InstallPlan,
    progress: &dyn Progress,
) -> Result<Machine, LocalError> {
    let venv = Venv::ensure(home, progress).await?;
    let opensearch = match opensearch {
        true => Some(Distribution::ensure(home, &venv, progress).await?),
        false => None,
    };
    let torch = torch::install(home, &venv, programs, progress).await?;
    Ok(Machine {
        venv,
        opensearch,
        torch,
    })
}
