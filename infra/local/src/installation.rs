//! What the services of an environment run on, prepared once and handed to them as values.
//!
//! In: the environment's folder and what it wants. Out: an [`Installation`]. No service starts without the part
//! that it runs on, and only [`prepare`] makes one.

use crate::opensearch::Distribution;
use crate::python::{SERVICES, Venv};
use crate::torch::{self, InstallPlan, TorchPython};
use crate::{Home, LocalError, Progress};

/// What is installed for the services of one environment, so that they can start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
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
) -> Result<Installation, LocalError> {
    let venv = Venv::ensure(home, &SERVICES, progress).await?;
    let opensearch = match opensearch {
        true => Some(Distribution::ensure(home, &venv, progress).await?),
        false => None,
    };
    let torch = torch::install(home, &venv, programs, progress).await?;
    Ok(Installation {
        venv,
        opensearch,
        torch,
    })
}
