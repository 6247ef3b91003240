//! Looks at the machine before the long steps: what is there, what is missing, what each thing is for.
//!
//! In: the environment's folder, the setting for torch, and whether a search server is wanted. Out: a list for
//! `cargo infra doctor local` and for the start of a deployment. Nothing is changed, and the checks run side by
//! side. What is to be downloaded is asked for as the deployment would ask, with the same client, proxy and
//! certificates.

use std::path::{Path, PathBuf};
use std::time::Duration;

use annapurna_confinement::NotConfined;
use annapurna_contract::text::chain;
use tokio::process::Command;

use crate::download::{self, Downloader};
use crate::opensearch::{self, Address};
use crate::python::{self, Python, Venv};
use crate::torch::{self, TorchPython};
use crate::{Home, LocalError, process, tool};

/// What the environment needs: packages and OpenSearch 0.6 GB, torch 0.8 GB, build output, data.
const DISK_BYTES: u64 = 3_000_000_000;
/// For a check that runs a program which normally answers at once, on a machine that may be busy with another deploy.
const QUICK: Duration = Duration::from_secs(20);
/// For pip, which gives up the network by itself, after two tries of four seconds: on a busy machine it alone may take ten
/// to start.
const REGISTRY: Duration = Duration::from_secs(60);
/// For the Maven repository, which is asked by this program.
const MAVEN: Duration = Duration::from_secs(20);
const SANDBOX_USED_FOR: &str = "confining generated programs";

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// First column of the table, and `part` in JSON.
    pub name: &'static str,
    /// What a person cannot do without it.
    pub used_for: &'static str,
    /// Decides whether a deployment begins: not with [`State::Missing`].
    pub state: State,
}

/// What a check found; the texts go to a terminal, so each is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is there: version, size or place.
    Ok(String),
    /// It is needed and missing.
    Missing {
        /// What is wrong, with path or version.
        problem: String,
        /// What to do, as a command where there is one.
        fix: String,
    },
    /// It is missing, and everything works without it, less well.
    Optional {
        /// What is done without it.
        problem: String,
        /// What to do to have it.
        fix: String,
    },
}

impl State {
    fn missing(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Missing {
            problem: problem.into(),
            fix: fix.into(),
        }
    }

    fn missing_by(error: &LocalError) -> Self {
        let hint = error.hint();
        let fix = hint.unwrap_or_else(|| "mend what it names, and look again".to_owned());
        Self::missing(error.to_string(), fix)
    }

    fn optional(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Optional {
            problem: problem.into(),
            fix: fix.into(),
        }
    }
}

/// What was found on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Every check, in the order a deployment needs things.
    pub checks: Vec<Check>,
    /// The interpreter for generated programs, when there is one.
    pub torch: Option<TorchPython>,
}

/// What is wanted of a machine.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The setting that names an interpreter for generated programs.
    pub torch_python: Option<&'a Path>,
    /// Whether a search server is to be started.
    pub opensearch: bool,
    /// Whether generated programs are to be confined.
    pub sandbox: bool,
}

/// Looks at everything.
pub async fn look(home: &Home, wanted: Wanted<'_>) -> Report {
    let Wanted {
        torch_python,
        opensearch,
        sandbox,
    } = wanted;
    let venv = Venv::find(home, &python::SERVICES);
    let venv = venv.as_ref();
    let python = python::find_python().await;
    let (registries, compiler, cargo, torch, sandbox) = tokio::join!(
        registries(home, venv, python.as_ref().ok(), opensearch),
        compiler(),
        cargo(),
        torch::find(torch_python, venv),
        sandbox_state(sandbox, torch::may_use_apt()),
    );
    let torch_state = torch_state(torch_python, torch.as_ref()).await;
    let mut checks = of_deployment(python_state(python), registries, cargo, compiler);
    checks.extend([
        check(
            "disk",
            "packages, OpenSearch, build output, papers",
            disk(home, venv),
        ),
        check(
            "ports",
            "the emulator and OpenSearch on 127.0.0.1",
            ports(home),
        ),
    ]);
    checks.extend(of_programs(torch_state, sandbox));
    checks.push(check(
        "aws CLI",
        "looking at the local cloud by hand",
        aws_cli(),
    ));
    Report { checks, torch }
}

const fn check(name: &'static str, used_for: &'static str, state: State) -> Check {
    Check {
        name,
        used_for,
        state,
    }
}

/// What a deployment is fetched and built with.
fn of_deployment(
    python: State,
    [registry, maven]: [State; 2],
    cargo: State,
    compiler: State,
) -> Vec<Check> {
    vec![
        check("Python", "the emulator and the agent's programs", python),
        check(
            "package registry",
            "fetching the emulator and Java once",
            registry,
        ),
        check("Maven repository", "fetching OpenSearch once", maven),
        check("cargo", "building the functions and the agent", cargo),
        check(
            "C compiler",
            "linking the functions and the agent",
            compiler,
        ),
    ]
}

/// What generated programs run on and in.
fn of_programs(torch: State, sandbox: State) -> Vec<Check> {
    vec![
        check("torch", "running generated programs", torch),
        check("sandbox", SANDBOX_USED_FOR, sandbox),
    ]
}

fn python_state(python: Result<Python, LocalError>) -> State {
    match python {
        Ok(python) => State::Ok(format!(
            "{}.{} ({})",
            python.version.0,
            python.version.1,
            python.path.display()
        )),
        Err(error) => State::missing_by(&error),
    }
}

/// The package registry, and the Maven repository, whose address a package knows.
async fn registries(
    home: &Home,
    venv: Option<&Venv>,
    python: Option<&Python>,
    opensearch: bool,
) -> [State; 2] {
    let (registry, central) = match (venv, python) {
        (Some(venv), _) => {
            let ready = State::Ok("not needed, the packages are there".to_owned());
            (ready, Some(Address::of_venv(venv)))
        }
        (None, Some(python)) => match registry(python).await {
            Ok(address) => (State::Ok("reachable".to_owned()), Some(Ok(address))),
            Err(state) => (state, None),
        },
        (None, None) => {
            let unknown = State::optional("not checked without a Python", "see Python");
            (unknown, None)
        }
    };
    let maven = if !opensearch {
        State::Ok("not needed, the environment names an OpenSearch".to_owned())
    } else if opensearch::is_there(home) {
        State::Ok("not needed, OpenSearch is there".to_owned())
    } else {
        match Address::named().map(Ok).or(central) {
            Some(Ok(address)) => maven(address).await,
            Some(Err(error)) => State::missing_by(&error),
            None => State::optional(
                "not asked before the package registry answers",
                "see package registry",
            ),
        }
    };
    [registry, maven]
}

/// Fetches one small package that the environment needs anyway, with the user's own pip settings; it knows Maven
/// Central's address. Else what is to be said of the registry.
async fn registry(python: &Python) -> Result<Address, State> {
    let folder = tempfile::tempdir()
        .map_err(LocalError::file("make", std::env::temp_dir()))
        .map_err(|error| State::missing_by(&error))?;
    let mut pip = Command::new(&python.path);
    pip.args(["-I", "-m", "pip", "download", "--no-cache-dir", "--no-deps"])
        .args(["--disable-pip-version-check", "--retries", "1"])
        .args(["--timeout", "4", "--only-binary=:all:", "--dest"])
        .arg(folder.path())
        .arg(opensearch::GUIDE);
    download::trust_the_system(&mut pip, &python.path, Downloader::Packages)
        .await
        .map_err(|error| State::missing_by(&error))?;
    let answer = tool::output("asking the package registry", &mut pip, REGISTRY).await;
    let answer = match answer {
        Ok(output) if output.status.success() => {
            let address = wheel_in(folder.path()).and_then(|wheel| Address::of_wheel(&wheel));
            return address.map_err(|error| State::missing_by(&error));
        }
        Ok(output) => tool::text(&output),
        Err(error) => error.to_string(),
    };
    if answer.contains("No module named pip") {
        return Err(State::optional(
            "not checked, this Python has no pip of its own",
            "nothing: the virtual environment brings pip",
        ));
    }
    let error = download::failed(Downloader::Packages, None, &answer, None);
    Err(State::missing_by(&error))
}

/// The wheel that pip put into a folder.
fn wheel_in(folder: &Path) -> Result<PathBuf, LocalError> {
    let files = std::fs::read_dir(folder).map_err(LocalError::file("list", folder))?;
    let mut paths = files.filter_map(|entry| Some(entry.ok()?.path()));
    let wheel = paths.find(|path| path.extension().is_some_and(|it| it == "whl"));
    wheel.ok_or_else(|| LocalError::Absent {
        what: opensearch::GUIDE,
        path: folder.to_owned(),
    })
}

/// Asks for the first of OpenSearch's files.
async fn maven(address: Address) -> State {
    match tokio::time::timeout(MAVEN, opensearch::ask(address)).await {
        Ok(Ok(())) => State::Ok("reachable".to_owned()),
        Ok(Err(error)) => State::missing_by(&error),
        Err(_) => {
            let late = download::failed(Downloader::Maven, Some("OpenSearch"), "timed out", None);
            State::missing_by(&late)
        }
    }
}

async fn compiler() -> State {
    for name in ["cc", "gcc", "clang"] {
        if let Some(version) = first_line(name, &["--version"]).await {
            return State::Ok(version);
        }
    }
    State::missing(
        "no C compiler on PATH",
        "install one (Debian, Ubuntu: `apt-get install gcc libc6-dev`; macOS: `xcode-select --install`)",
    )
}

async fn cargo() -> State {
    match first_line("cargo", &["--version"]).await {
        Some(version) => State::Ok(version),
        None => State::missing("no cargo on PATH", "install Rust with rustup"),
    }
}

async fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments);
    let text = tool::run(program, &mut command, QUICK).await.ok()?;
    text.lines().next().map(str::to_owned)
}

// The system's type differs: 32 bits on macOS.
#[allow(clippy::useless_conversion)]
fn disk(home: &Home, venv: Option<&Venv>) -> State {
    let existing = home.root().ancestors().find(|folder| folder.exists());
    let free = existing
        .and_then(|folder| nix::sys::statvfs::statvfs(folder).ok())
        .map(|disk| u64::from(disk.blocks_available()).saturating_mul(disk.fragment_size()));
    let gigabytes =
        |bytes: u64| format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10);
    match free {
        Some(free) if free >= DISK_BYTES || venv.is_some() => {
            State::Ok(format!("{} free", gigabytes(free)))
        }
        Some(free) => State::missing(
            format!("{} free at {}", gigabytes(free), home.root().display()),
            format!("make room: {} are needed", gigabytes(DISK_BYTES)),
        ),
        None => State::missing(
            format!("cannot read the free space at {}", home.root().display()),
            "check that the folder can be used",
        ),
    }
}

fn ports(home: &Home) -> State {
    match process::any_free_port() {
        Ok(_) => State::Ok("free ones found".to_owned()),
        Err(error) => State::missing(
            error.to_string(),
            format!(
                "end other programs that listen on 127.0.0.1; see {}",
                home.run().display()
            ),
        ),
    }
}

async fn torch_state(setting: Option<&Path>, torch: Option<&TorchPython>) -> State {
    match (torch, setting) {
        (Some(torch), _) => State::Ok(format!("{} ({})", torch.version, torch.path.display())),
        (None, Some(path)) => State::missing(
            format!("{} has no torch", path.display()),
            "name another interpreter in the environment file, or install torch there",
        ),
        (None, None) => {
            let fix = match torch::index_answers().await {
                Ok(()) => "`cargo infra deploy local` installs it after asking".to_owned(),
                Err(error) => match error.hint() {
                    Some(hint) => format!("{error}; {hint}"),
                    None => error.to_string(),
                },
            };
            State::optional(
                "no Python with torch; programs that need it fail and say so",
                fix,
            )
        }
    }
}

/// The sandbox of a machine that stays as it is, since nothing is to be installed for it.
pub async fn sandbox() -> Check {
    let state = sandbox_state(true, false).await;
    check("sandbox", SANDBOX_USED_FOR, state)
}

/// Asks as the agent does that a deploy starts, with this user's rights. `may_install`: whether a deploy may bring what
/// can be installed.
async fn sandbox_state(is_wanted: bool, may_install: bool) -> State {
    if !is_wanted {
        return State::optional(
            "not wanted: generated programs can do whatever you can",
            "take `sandbox = \"none\"` out of [local] of the environment file",
        );
    }
    match tokio::task::spawn_blocking(annapurna_confinement::look).await {
        Ok(Ok(())) => State::Ok("bubblewrap and control groups work for this user".to_owned()),
        // The only part that a deploy can bring.
        Ok(Err(NotConfined::NoBubblewrap)) if may_install => State::optional(
            NotConfined::NoBubblewrap.to_string(),
            "`cargo infra deploy local` installs it after asking",
        ),
        Ok(Err(reason)) => State::missing(chain(&reason), without_sandbox(reason.hint())),
        Err(error) => State::missing(error.to_string(), "look again"),
    }
}

/// What mends the lack of a sandbox, and what goes on without one.
pub fn without_sandbox(mends: &str) -> String {
    format!(
        "{mends}; or write `sandbox = \"none\"` below [local] in the environment file, with which programs that models \
         wrote can do whatever you can"
    )
}

fn aws_cli() -> State {
    match tool::find_program("aws") {
        Some(path) => State::Ok(path.display().to_string()),
        None => State::optional(
            "not there",
            "install it to use its commands (Debian, Ubuntu: `apt-get install awscli`)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_thing_is_named_once_and_says_what_it_is_for() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = Wanted {
            torch_python: None,
            opensearch: true,
            sandbox: true,
        };
        let checks = look(&Home::new(folder.path()), wanted).await.checks;
        let mut names: Vec<&str> = checks.iter().map(|check| check.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), checks.len());
        assert!(checks.iter().all(|check| !check.used_for.is_empty()));
    }

    #[tokio::test]
    async fn a_setting_without_torch_is_missing_with_a_fix() {
        let state = torch_state(Some(Path::new("/nonexistent/python")), None).await;
        assert!(matches!(state, State::Missing { .. }), "{state:?}");
    }

    #[tokio::test]
    async fn the_sandbox_is_what_an_agent_of_this_user_would_find() {
        let asked = annapurna_confinement::look();
        match (sandbox().await.state, asked) {
            (State::Ok(_), Ok(())) => {}
            (State::Missing { problem, fix }, Err(reason)) => {
                assert_eq!(problem, chain(&reason));
                assert!(fix.contains(reason.hint()) && fix.contains("sandbox = \"none\""));
            }
            other => panic!("{other:?}"),
        }
        let state = sandbox_state(false, false).await;
        assert!(matches!(state, State::Optional { .. }), "{state:?}");
    }
}
