//! Looks at the machine before the long steps: what is there, what is missing, what each thing is for.
//!
//! In: the environment's folder and the setting for torch. Out: a list for `cargo infra doctor local` and for
//! the start of a deployment. Nothing is changed, and the checks run side by side.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use crate::{Home, LocalError, process, python, tool, torch};

/// What the environment needs: packages and OpenSearch 0.6 GB, torch 0.8 GB, build output, data.
const DISK_BYTES: u64 = 3_000_000_000;
/// For a check that runs a program which normally answers at once.
const QUICK: Duration = Duration::from_secs(5);

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// What it is used for.
    pub used_for: &'static str,
    /// What was found.
    pub state: State,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is there: version, size or place.
    Ok(String),
    /// It is needed and missing.
    Missing {
        /// What is wrong.
        problem: String,
        /// What to do.
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

    fn optional(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Optional {
            problem: problem.into(),
            fix: fix.into(),
        }
    }
}

/// Every check, in the order a deployment needs things. `torch_python` is the setting that names an
/// interpreter.
pub async fn checks(home: &Home, torch_python: Option<&Path>) -> Vec<Check> {
    let check = |name, used_for, state| Check {
        name,
        used_for,
        state,
    };
    let (python, registry, compiler, cargo, torch, bubblewrap) = tokio::join!(
        python_state(),
        registry(home),
        compiler(),
        cargo(),
        torch_state(torch_python, home),
        bubblewrap(),
    );
    vec![
        check("Python", "the emulator and the agent's programs", python),
        check(
            "package registry",
            "fetching the emulator and OpenSearch once",
            registry,
        ),
        check("cargo", "building the functions and the agent", cargo),
        check(
            "C compiler",
            "linking the functions and the agent",
            compiler,
        ),
        check(
            "disk",
            "packages, OpenSearch, build output, papers",
            disk(home),
        ),
        check(
            "ports",
            "the emulator and OpenSearch on 127.0.0.1",
            ports(home),
        ),
        check("torch", "running generated programs", torch),
        check("bubblewrap", "isolating generated programs", bubblewrap),
        check(
            "Landlock",
            "isolating generated programs without bubblewrap",
            landlock(),
        ),
        check("aws CLI", "looking at the local cloud by hand", aws_cli()),
    ]
}

async fn python_state() -> State {
    match python::find_python().await {
        Ok(python) => State::Ok(format!(
            "{}.{} ({})",
            python.version.0,
            python.version.1,
            python.path.display()
        )),
        Err(error) => State::missing(error.to_string(), error.hint().unwrap_or_default()),
    }
}

/// Fetches one small package that the environment needs anyway, with the user's own pip settings.
async fn registry(home: &Home) -> State {
    if python::venv_is_ready(home) {
        return State::Ok("not needed, everything is there".to_owned());
    }
    let answer = async {
        let python = python::find_python().await?;
        let folder = std::env::temp_dir().join(format!("annapurna-{}", std::process::id()));
        let mut pip = Command::new(&python.path);
        pip.args([
            "-I",
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args([
            "--no-deps",
            "--no-cache-dir",
            "--retries",
            "0",
            "--timeout",
            "4",
        ])
        .args(["--only-binary=:all:", "--dest"])
        .arg(&folder)
        .arg("priority==2.0.0");
        let answer = tool::run("asking the package registry", &mut pip, QUICK).await;
        crate::home::remove_folder(&folder)?;
        answer
    };
    match answer.await {
        Ok(_) => State::Ok("reachable".to_owned()),
        Err(LocalError::Failed { log, .. }) if log.contains("No module named pip") => {
            State::optional(
                "not checked, this Python has no pip of its own",
                "nothing: the virtual environment brings pip",
            )
        }
        Err(LocalError::NoPython { .. }) => {
            State::optional("not checked without a Python", "see Python")
        }
        Err(_) => State::missing(
            "the Python package registry does not answer",
            "check the network, the proxy variables and pip's settings (`python3 -m pip config list`)",
        ),
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
fn disk(home: &Home) -> State {
    let existing = home.root().ancestors().find(|folder| folder.exists());
    let free = existing
        .and_then(|folder| nix::sys::statvfs::statvfs(folder).ok())
        .map(|disk| u64::from(disk.blocks_available()).saturating_mul(disk.fragment_size()));
    let gigabytes =
        |bytes: u64| format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10);
    match free {
        Some(free) if free >= DISK_BYTES || python::venv_is_ready(home) => {
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

async fn torch_state(setting: Option<&Path>, home: &Home) -> State {
    match (torch::find(setting, home).await, setting) {
        (Some(torch), _) => State::Ok(format!("{} ({})", torch.version, torch.path.display())),
        (None, Some(path)) => State::missing(
            format!("{} has no torch", path.display()),
            "name another interpreter in the environment file, or install torch there",
        ),
        (None, None) => State::optional(
            "no Python with torch; programs that need it fail and say so",
            "`cargo infra deploy local` installs it after asking",
        ),
    }
}

/// Runs it as generated programs are run: not as root. Many containers have it but forbid it.
async fn bubblewrap() -> State {
    let fix = "install bubblewrap (Debian, Ubuntu: `apt-get install bubblewrap`) on a system that allows user namespaces";
    if tool::find_program("bwrap").is_none() {
        return State::optional("not there; Landlock and limits are used instead", fix);
    }
    let mut command = Command::new("bwrap");
    command.args([
        "--ro-bind",
        "/",
        "/",
        "--unshare-all",
        "--die-with-parent",
        "true",
    ]);
    if nix::unistd::geteuid().is_root()
        && let Ok(Some(nobody)) = nix::unistd::User::from_name("nobody")
    {
        command.uid(nobody.uid.as_raw()).gid(nobody.gid.as_raw());
    }
    match tool::run("bubblewrap", &mut command, QUICK).await {
        Ok(_) => State::Ok("works for an ordinary user".to_owned()),
        Err(LocalError::Failed { log, .. }) => State::optional(
            format!("there, but does not work here ({log}); Landlock and limits are used instead"),
            fix,
        ),
        Err(error) => State::optional(error.to_string(), fix),
    }
}

#[cfg(target_os = "linux")]
fn landlock() -> State {
    use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};
    let made = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .and_then(Ruleset::create);
    match made {
        Ok(_) => State::Ok("the kernel has it".to_owned()),
        Err(_) => State::optional(
            "the kernel does not offer it",
            "use Linux 5.13 or newer with Landlock enabled, or bubblewrap",
        ),
    }
}

#[cfg(not(target_os = "linux"))]
fn landlock() -> State {
    State::optional(
        "only Linux has it",
        "nothing: programs run with limits only",
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
        let checks = checks(&Home::new(folder.path()), None).await;
        let mut names: Vec<&str> = checks.iter().map(|check| check.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), checks.len());
        assert!(checks.iter().all(|check| !check.used_for.is_empty()));
    }

    #[tokio::test]
    async fn a_setting_without_torch_is_missing_with_a_fix() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let state = torch_state(Some(Path::new("/nonexistent/python")), &home).await;
        assert!(matches!(state, State::Missing { .. }), "{state:?}");
    }
}
