//! The two processes between the agent and a program, both this same binary.
//!
//! `launch supervise` stands outside of the sandbox and of the run's control group. It puts the sandbox into the group
//! and waits for it. Its standard input is the control socket (see [`crate::control`]): when the agent's end closes,
//! because the agent wants the run to end or because the agent itself was killed, the supervisor kills everything and
//! exits. It adopts orphans, so it exits only when nothing is left.
//!
//! `launch confine` runs inside, as the first process of the sandbox's PID namespace; see [`crate::confine`].

use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use annapurna_contract::text::chain;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::confine;
use crate::processes;

/// Exit code when a launcher itself failed.
const FAILED: u8 = 125;
/// The first descriptor that is not one of the three that a launcher has.
const FIRST_INHERITED: i32 = 3;
/// Longest wait for killed processes to be gone.
const KILL_WAIT: Duration = Duration::from_secs(10);

/// What `launch` is asked to do. Never typed by a person.
#[derive(Debug, clap::Subcommand)]
pub enum Launch {
    /// Runs a command that ends when standard input closes
    Supervise {
        /// Into each of these the supervisor writes `0` before it starts the command
        #[arg(long)]
        enter: Vec<PathBuf>,
        /// And into each of these after it
        #[arg(long)]
        leave: Vec<PathBuf>,
        /// Program and arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Gives up what a program must not have, then starts the program that it is told on standard input
    Confine,
}

/// What a program is, and what it must give up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Confinement {
    /// Program and arguments.
    pub(crate) command: Vec<PathBuf>,
    /// The program's working folder.
    pub(crate) folder: PathBuf,
    /// Its folder for temporary files.
    pub(crate) tmp: PathBuf,
    /// Name of the file in its working folder that its source is written to.
    pub(crate) source: String,
    /// Processor seconds of one process, on all processors together.
    pub(crate) cpu_secs: u64,
    /// Processes and threads of the user; `None` where they are also others'.
    pub(crate) processes: Option<u64>,
    /// User to become, and group of the same number, when started by root.
    pub(crate) run_as: Option<u32>,
    /// What the sandbox adds; `None` where there is none, and the folders are there already.
    pub(crate) sandbox: Option<InSandbox>,
}

/// What the first process of a sandbox does before the program begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InSandbox {
    /// Size of the file system that holds both folders, bytes.
    pub(crate) file_bytes: u64,
    /// Files and folders that it can have.
    pub(crate) file_count: u64,
    /// Size of `/dev/shm`, bytes.
    pub(crate) shm_bytes: u64,
    /// Devices that the program may write to, beside those that keep nothing.
    pub(crate) devices: Vec<PathBuf>,
    /// Folders of compiled graphs that the program's cache begins with.
    pub(crate) compiled: Vec<PathBuf>,
}

/// Why the supervisor could not do its part.
#[derive(Debug, thiserror::Error)]
enum SuperviseError {
    #[error("cannot start `{program}`")]
    Start {
        program: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot write to {}", file.display())]
    Group {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot adopt orphans")]
    Adopt(#[source] Errno),
    #[error("cannot wait")]
    Wait(#[source] io::Error),
}

impl Launch {
    /// Does what was asked; what fails before a program is told of, on standard error.
    pub fn run(self) -> ExitCode {
        match self {
            Self::Supervise {
                enter,
                leave,
                command,
            } => supervise(&enter, &leave, &command).unwrap_or_else(|error| {
                let _ = writeln!(io::stderr(), "sandbox: {}", chain(&error));
                ExitCode::from(FAILED)
            }),
            Self::Confine => confine::run(),
        }
    }
}

/// Runs `command` to its end, or to the end of standard input, and leaves nothing of it behind.
fn supervise(
    enter: &[PathBuf],
    leave: &[PathBuf],
    command: &[String],
) -> Result<ExitCode, SuperviseError> {
    // What whoever started the agent left open is nobody's below.
    close_fds::set_fds_cloexec(FIRST_INHERITED, &[]);
    prctl::set_child_subreaper(true).map_err(SuperviseError::Adopt)?;
    let ended = start(enter, leave, command).and_then(|child| wait(&child));
    end_tree();
    ended.map(|()| ExitCode::SUCCESS)
}

/// Starts the command inside of its group and stays outside.
fn start(
    enter: &[PathBuf],
    leave: &[PathBuf],
    command: &[String],
) -> Result<std::process::Child, SuperviseError> {
    let (program, arguments) = command
        .split_first()
        .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    write_each(enter)?;
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::inherit())
        .spawn();
    write_each(leave)?;
    child.map_err(|source| SuperviseError::Start {
        program: program.to_owned(),
        source,
    })
}

fn write_each(files: &[PathBuf]) -> Result<(), SuperviseError> {
    files.iter().try_for_each(|file| {
        fs::write(file, "0").map_err(|source| SuperviseError::Group {
            file: file.clone(),
            source,
        })
    })
}

/// Until the child has ended or the agent has closed its end.
fn wait(child: &std::process::Child) -> Result<(), SuperviseError> {
    let failed = |errno: rustix::io::Errno| SuperviseError::Wait(errno.into());
    let number = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let number = number.ok_or_else(|| SuperviseError::Wait(io::Error::other("no process id")))?;
    let ended = pidfd_open(number, PidfdFlags::empty()).map_err(failed)?;
    let control = io::stdin();
    loop {
        // The end of the other side is told without being asked for.
        let mut events = [
            PollFd::from_borrowed_fd(control.as_fd(), PollFlags::empty()),
            PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN),
        ];
        match poll(&mut events, None) {
            Err(rustix::io::Errno::INTR) | Ok(0) => {}
            Err(error) => return Err(failed(error)),
            Ok(_) => return Ok(()),
        }
    }
}

/// Kills until the kernel says that no child is left. Of a sandbox, its first process takes the rest with it.
fn end_tree() {
    let me = std::process::id();
    let deadline = Instant::now() + KILL_WAIT;
    while Instant::now() < deadline {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => break,
                Err(Errno::ECHILD) => return,
                _ => {}
            }
        }
        processes::kill_below(me);
        thread::sleep(Duration::from_millis(2));
    }
}
