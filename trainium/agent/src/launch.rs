//! The two processes between the agent and a program, both this same binary.
//!
//! `launch supervise` starts the sandbox and stays at the root of everything in it. Its standard input
//! is a pipe from the agent: when that closes, because the agent wants the run to end or because the
//! agent itself was killed, the supervisor kills everything below it and exits. It adopts orphans, so a
//! program that forks twice and starts a session of its own does not escape.
//!
//! `launch confine` runs inside: it sets limits, gives up root, applies Landlock and the system call
//! filter where they are the sandbox, and becomes the interpreter. Just before, it prints the run's mark
//! as the first line of standard output, by which the runner tells a program that failed from a
//! sandbox that could not be made.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use annapurna_contract::text::chain;
use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    Scope, path_beneath_rules,
};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, setgid, setgroups, setuid};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use serde::{Deserialize, Serialize};

use crate::processes;
use crate::users::ProgramUser;

/// Exit code of a supervisor that was told to end the run.
const KILLED: u8 = 137;
/// Exit code when a launcher itself failed.
const FAILED: u8 = 125;
/// Longest wait for killed processes to be gone.
const KILL_WAIT: Duration = Duration::from_secs(10);
/// The newest Landlock interface we ask for; an older kernel gives what it has.
const LANDLOCK_ABI: ABI = ABI::V6;

/// What `launch` is asked to do. Never typed by a person.
#[derive(Debug, clap::Subcommand)]
pub enum Launch {
    /// Runs a command at the root of a tree that ends with it, or with the agent
    Supervise {
        /// Program and arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Gives up what a program must not have, then becomes the program
    Confine {
        /// [`Confinement`] as JSON
        #[arg(long)]
        spec: String,
        /// Program and arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
}

/// What a program must give up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Confinement {
    /// First line of standard output, printed when everything is given up and the program is about to begin.
    pub(crate) mark: String,
    /// The program's working folder. Entered as its user: nobody else may.
    pub(crate) folder: PathBuf,
    /// Processor seconds of one process, on all processors together.
    pub(crate) cpu_secs: u64,
    /// The largest that one file may become, bytes; what all of them take is measured from outside.
    pub(crate) file_bytes: u64,
    /// Processes and threads of the user, of whom some may be others' (see [`crate::sandbox`]).
    pub(crate) processes: u64,
    /// User to become, and group of the same number, when started by root.
    pub(crate) run_as: Option<u32>,
    /// Folders and files to allow, when Landlock is the sandbox.
    pub(crate) landlock: Option<LandlockPaths>,
}

/// What Landlock leaves open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LandlockPaths {
    /// To read and to execute; a path that does not exist is left out.
    pub(crate) read: Vec<PathBuf>,
    /// To do anything in but to make devices.
    pub(crate) write: Vec<PathBuf>,
}

/// Why a launcher could not do its part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error("cannot start `{program}`")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot {what}")]
    System {
        what: &'static str,
        #[source]
        source: Errno,
    },
    #[error("the confinement is not readable")]
    Spec(#[from] serde_json::Error),
    #[error("cannot apply Landlock")]
    Landlock(#[from] landlock::RulesetError),
    #[error("this kernel does not enforce Landlock")]
    NoLandlock,
    #[error("cannot filter system calls")]
    Filter(#[from] seccompiler::Error),
    #[error("cannot build the filter of system calls")]
    FilterBackend(#[from] seccompiler::BackendError),
    #[error("cannot enter the program's folder {}", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write the mark")]
    Mark(#[source] io::Error),
}

impl Launch {
    /// Does what was asked; a failure is told on standard error, which the runner reads.
    pub fn run(self) -> ExitCode {
        let result = match self {
            Self::Supervise { command } => supervise(&command).map(ExitCode::from),
            Self::Confine { spec, command } => Err(confine(&spec, &command)
                .err()
                .unwrap_or(LaunchError::NoLandlock)),
        };
        result.unwrap_or_else(|error| {
            let _ = writeln!(io::stderr(), "sandbox: {}", chain(&error));
            ExitCode::from(FAILED)
        })
    }
}

fn split(command: &[String]) -> (&str, &[String]) {
    command
        .split_first()
        .map_or(("", &[]), |(program, arguments)| {
            (program.as_str(), arguments)
        })
}

/// Runs `command` to its end and leaves nothing of it behind. The exit code is the command's, or 128 and
/// the signal that ended it, as bubblewrap itself reports signals.
fn supervise(command: &[String]) -> Result<u8, LaunchError> {
    prctl::set_child_subreaper(true).map_err(|source| LaunchError::System {
        what: "adopt orphans",
        source,
    })?;
    let agent_gone = watch_agent();
    let (program, arguments) = split(command);
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|source| LaunchError::Start {
            program: program.to_owned(),
            source,
        })?;
    let is_main = |pid: Pid| u32::try_from(pid.as_raw()) == Ok(child.id());
    let code = loop {
        if agent_gone.load(Ordering::Relaxed) {
            break KILLED;
        }
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => {
                thread::sleep(Duration::from_millis(10));
            }
            Ok(WaitStatus::Exited(pid, code)) if is_main(pid) => {
                break u8::try_from(code).unwrap_or(FAILED);
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if is_main(pid) => {
                break u8::try_from(128 + signal as i32).unwrap_or(KILLED);
            }
            // An orphan ended.
            Ok(_) => {}
            Err(_) => break FAILED,
        }
    };
    end_tree();
    Ok(code)
}

/// Turns true when the agent closes its end of our standard input.
fn watch_agent() -> Arc<AtomicBool> {
    let gone = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&gone);
    thread::spawn(move || {
        let mut buffer = [0_u8; 64];
        let mut stdin = io::stdin().lock();
        loop {
            match stdin.read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                _ => {}
            }
        }
        flag.store(true, Ordering::Relaxed);
    });
    gone
}

/// Kills until the kernel says that no child is left.
fn end_tree() {
    let me = std::process::id();
    let deadline = Instant::now() + KILL_WAIT;
    while Instant::now() < deadline {
        processes::kill_below(me);
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => break,
                Err(Errno::ECHILD) => return,
                _ => {}
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Becomes `command`; returns only when it could not.
fn confine(spec: &str, command: &[String]) -> Result<(), LaunchError> {
    let spec: Confinement = serde_json::from_str(spec)?;
    // Best effort: the kernel should end the program before anything of ours when memory runs out.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    set_limits(&spec)?;
    if let Some(user) = spec.run_as {
        drop_root(ProgramUser(user))?;
    }
    std::env::set_current_dir(&spec.folder).map_err(|source| LaunchError::Folder {
        path: spec.folder.clone(),
        source,
    })?;
    prctl::set_no_new_privs().map_err(|source| LaunchError::System {
        what: "renounce new privileges",
        source,
    })?;
    if let Some(paths) = &spec.landlock {
        restrict_paths(paths)?;
        seccompiler::apply_filter(&call_filter()?)?;
    }
    say(&spec.mark)?;
    let (program, arguments) = split(command);
    let source = Command::new(program).args(arguments).exec();
    // The second mark takes the first one back: the program never ran.
    say(&spec.mark)?;
    Err(LaunchError::Start {
        program: program.to_owned(),
        source,
    })
}

fn say(mark: &str) -> Result<(), LaunchError> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{mark}")
        .and_then(|()| stdout.flush())
        .map_err(LaunchError::Mark)
}

fn set_limits(spec: &Confinement) -> Result<(), LaunchError> {
    let limits = [
        ("limit core dumps", Resource::RLIMIT_CORE, 0),
        ("limit processor time", Resource::RLIMIT_CPU, spec.cpu_secs),
        ("limit file size", Resource::RLIMIT_FSIZE, spec.file_bytes),
        ("limit processes", Resource::RLIMIT_NPROC, spec.processes),
    ];
    for (what, resource, value) in limits {
        setrlimit(resource, value, value).map_err(|source| LaunchError::System { what, source })?;
    }
    Ok(())
}

fn drop_root(user: ProgramUser) -> Result<(), LaunchError> {
    let system = |what: &'static str| move |source: Errno| LaunchError::System { what, source };
    setgroups(&[]).map_err(system("give up groups"))?;
    setgid(user.gid()).map_err(system("change the group"))?;
    setuid(user.uid()).map_err(system("change the user"))
}

fn restrict_paths(paths: &LandlockPaths) -> Result<(), LaunchError> {
    let read = AccessFs::from_read(LANDLOCK_ABI);
    let write = AccessFs::from_all(LANDLOCK_ABI) & !(AccessFs::MakeChar | AccessFs::MakeBlock);
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK_ABI))?
        .handle_access(AccessNet::from_all(LANDLOCK_ABI))?
        .scope(Scope::from_all(LANDLOCK_ABI))?
        .create()?
        .add_rules(path_beneath_rules(&paths.read, read))?
        .add_rules(path_beneath_rules(&paths.write, write))?
        .restrict_self()?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(LaunchError::NoLandlock),
        _ => Ok(()),
    }
}

/// Refuses what Landlock knows nothing of: sockets of every family but local ones (it knows TCP only, and
/// names leak by UDP), an io_uring, which could open sockets unseen by this filter, and shared memory,
/// semaphores and queues of the kernel's own, which nobody's end removes. bubblewrap has a network and an
/// IPC namespace for that.
fn call_filter() -> Result<BpfProgram, LaunchError> {
    let refused_family = SeccompCondition::new(
        0,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Ne,
        u64::from(libc::AF_UNIX.unsigned_abs()),
    )?;
    let mut rules = BTreeMap::from(
        [
            libc::SYS_io_uring_setup,
            libc::SYS_shmget,
            libc::SYS_semget,
            libc::SYS_msgget,
            libc::SYS_mq_open,
        ]
        .map(|call| (call, vec![])),
    );
    rules.insert(
        libc::SYS_socket,
        vec![SeccompRule::new(vec![refused_family])?],
    );
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EACCES.unsigned_abs()),
        std::env::consts::ARCH.try_into()?,
    )?;
    Ok(filter.try_into()?)
}
