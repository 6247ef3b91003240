//! The Python virtual environment that holds the emulator, the Java runtime and the artifact client.
//!
//! In: any Python 3.10 to 3.14 of the machine. Out: an environment with exactly the packages of
//! `requirements.txt`, each checked by hash; no package is built here (only wheels are accepted), so no
//! package's own code runs while installing. Index, proxy and certificates are the user's pip settings.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::home::{make_folder, remove_folder, set_mode, write_whole};
use crate::{Home, LocalError, Progress, lock, tool};

/// Names, versions and hashes of every package.
const REQUIREMENTS: &str = include_str!("../requirements.txt");
/// The versions the pinned wheels exist for.
const OLDEST: (u32, u32) = (3, 10);
const NEWEST: (u32, u32) = (3, 14);
/// Where interpreters are looked for, best first.
const CANDIDATES: [&str; 8] = [
    "python3",
    "python3.14",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
    "/usr/bin/python3",
    "/usr/local/bin/python3",
];
/// `ensurepip` is what Debian leaves out unless python3-venv is installed.
const PROBE: &str =
    "import sys, venv, ensurepip; print(sys.version_info[0], sys.version_info[1], sys.executable)";

/// An interpreter that can make a virtual environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// Its path.
    pub path: PathBuf,
    /// Major and minor version.
    pub version: (u32, u32),
}

/// The first interpreter of the machine that fits.
pub async fn find_python() -> Result<Python, LocalError> {
    let mut tried = Vec::new();
    for candidate in CANDIDATES {
        match probe(candidate).await {
            Ok(python) if (OLDEST..=NEWEST).contains(&python.version) => return Ok(python),
            Ok(python) => tried.push(format!("{candidate} (is {})", version_text(python.version))),
            Err(LocalError::Start { .. }) => {}
            Err(_) => tried.push(format!("{candidate} (has no working venv module)")),
        }
    }
    if tried.is_empty() {
        tried.push(format!("{} (not there)", CANDIDATES.join(", ")));
    }
    Err(LocalError::NoPython {
        oldest: version_text(OLDEST),
        newest: version_text(NEWEST),
        tried: tried.join(", "),
    })
}

async fn probe(program: &str) -> Result<Python, LocalError> {
    let mut command = Command::new(program);
    command.args(["-I", "-c", PROBE]);
    let answer = tool::run("looking at a Python", &mut command, Duration::from_secs(10)).await?;
    let mut words = answer.trim().splitn(3, ' ');
    let mut number = || words.next().and_then(|word| word.parse().ok());
    let version = (number().unwrap_or(0), number().unwrap_or(0));
    let path = words.next().unwrap_or(program);
    Ok(Python {
        path: PathBuf::from(path),
        version,
    })
}

fn version_text(version: (u32, u32)) -> String {
    format!("{}.{}", version.0, version.1)
}

/// True when the virtual environment is complete and belongs to these requirements.
pub fn venv_is_ready(home: &Home) -> bool {
    home.python().exists()
        && fs::read_to_string(marker(home)).is_ok_and(|content| content == marker_content(home))
}

/// Makes the virtual environment unless it is there and complete; an interrupted installation is repeated.
pub async fn ensure_venv(home: &Home, progress: &dyn Progress) -> Result<(), LocalError> {
    if venv_is_ready(home) {
        return Ok(());
    }
    let _lock = lock::exclusive(&home.tools_lock(), Duration::from_secs(900)).await?;
    if venv_is_ready(home) {
        return Ok(());
    }
    let python = find_python().await?;
    progress.note(&format!(
        "making a virtual environment with Python {}",
        version_text(python.version)
    ));
    remove_folder(&home.venv())?;
    make_folder(&home.venv())?;
    let mut create = Command::new(&python.path);
    create.args(["-I", "-m", "venv"]).arg(home.venv());
    tool::run(
        "making the virtual environment",
        &mut create,
        Duration::from_secs(180),
    )
    .await?;
    progress.note("installing the emulator and a Java runtime (60 MB)");
    install_requirements(home).await?;
    write_whole(&marker(home), marker_content(home).as_bytes())
}

async fn install_requirements(home: &Home) -> Result<(), LocalError> {
    let requirements = home.venv().join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).map_err(LocalError::file("write", &requirements))?;
    set_mode(&requirements, 0o644)?;
    let mut pip = pip(home);
    pip.args([
        "install",
        "--require-hashes",
        "--only-binary=:all:",
        "--requirement",
    ])
    .arg(&requirements);
    tool::run(
        "installing the packages of the local environment with pip",
        &mut pip,
        Duration::from_secs(900),
    )
    .await
    .map(drop)
}

/// pip of the virtual environment, with the user's index and proxy but installing nowhere else.
pub(crate) fn pip(home: &Home) -> Command {
    let mut command = Command::new(home.python());
    command.args([
        "-I",
        "-m",
        "pip",
        "--no-input",
        "--disable-pip-version-check",
    ]);
    for variable in ["PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"] {
        command.env_remove(variable);
    }
    command
}

fn marker(home: &Home) -> PathBuf {
    home.venv().join("annapurna.complete")
}

/// A virtual environment knows its own path, so one that was moved or copied is made anew.
fn marker_content(home: &Home) -> String {
    let mut hash = Sha256::new();
    hash.update(REQUIREMENTS);
    hash.update(home.venv().as_os_str().as_encoded_bytes());
    hex::encode(hash.finalize())
}
