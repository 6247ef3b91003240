//! Runs one program to its end, or to the first limit it meets, and measures it.
//!
//! In: Python source and limits. Out: how it ended, what it printed, its time and memory, and its folder,
//! which lives until the plots are read. Blocking: the thread that starts the supervisor also waits for
//! it. What the end means is [`crate::classify`]'s business.

use std::fs;
use std::io;
use std::process::{Child, ChildStdin, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::capture::Capture;
use crate::mark::Mark;
use crate::processes;
use crate::program::{Limits, PROGRAM_FILE, Request};
use crate::run_dir::RunFiles;
use crate::sandbox::Sandbox;
use crate::shutdown::Shutdown;

/// How often the end is looked for.
const POLL: Duration = Duration::from_millis(20);
/// How often memory and processes are measured.
const MEASURE: Duration = Duration::from_millis(100);
/// How often the disk is measured, which reads every folder.
const MEASURE_DISK: Duration = Duration::from_secs(1);
/// Longest wait for a killed run to be gone.
const KILL_WAIT: Duration = Duration::from_secs(15);
/// Longest wait for the pipes of a run that is gone.
const PIPE_WAIT: Duration = Duration::from_secs(5);

/// The limit that ended a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitHit {
    /// [`Limits::timeout`] passed.
    Time,
    /// Resident memory of all processes together.
    Memory,
    /// One of the two streams; the limit is each one's.
    Output,
    /// What the files take on the disk, or so many files that they cannot be measured.
    Disk,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal, which may be a realtime one (32 and above).
    Signalled(i32),
    /// By the agent, for this limit.
    Limit(LimitHit),
}

/// One of a program's two streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// Its beginning, at most [`Limits::output_bytes`].
    pub bytes: Vec<u8>,
    /// Whether there was more.
    pub cut: bool,
}

/// What a run took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Processor time of all its processes together.
    pub cpu: Duration,
    /// The most memory that they had at a time, bytes.
    pub peak_memory_bytes: u64,
}

/// A run that ended.
#[derive(Debug)]
pub struct Run {
    /// The first that happened: its own end or a limit.
    pub end: End,
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) finished_at: DateTime<Utc>,
    /// From the start of its sandbox to the end of all its processes, by a clock that nobody sets.
    pub duration: Duration,
    /// What all its processes took together.
    pub usage: Usage,
    /// All it wrote; removed with this value.
    pub files: RunFiles,
}

/// Why there is no run. None of these is the program's doing.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The agent is stopping.
    #[error("the agent is stopping")]
    Interrupted,
    /// The run's folder could not be made.
    #[error("cannot prepare a folder for the run")]
    Prepare(#[source] io::Error),
    /// A folder's name has no JSON form.
    #[error("cannot hand the program's folders to the launcher: their names must be UTF-8")]
    Confinement(#[source] serde_json::Error),
    /// The launcher could not be started.
    #[error("cannot start the launcher")]
    Start(#[source] io::Error),
    /// The sandbox could not be made, so the program never began.
    #[error("the sandbox could not be made: {0}")]
    Sandbox(String),
    /// A killed run did not go away.
    #[error("a run could not be ended within {} s", KILL_WAIT.as_secs())]
    Stuck,
}

/// Runs programs in one kind of sandbox.
#[derive(Debug, Clone)]
pub struct Runner {
    sandbox: Sandbox,
}

impl Runner {
    /// Every program of this runner is confined by `sandbox`.
    pub fn new(sandbox: Sandbox) -> Self {
        Self { sandbox }
    }

    /// Runs one program. Blocks until it and everything it started is gone.
    ///
    /// # Errors
    ///
    /// [`RunError`]: nothing about the program is known, and the run may be repeated.
    pub fn run(&self, request: &Request<'_>, shutdown: &Shutdown) -> Result<Run, RunError> {
        let parts = self.sandbox.parts();
        let user = parts.users.of_slot(request.slot);
        let dir = RunFiles::create(&parts.runs(), user).map_err(RunError::Prepare)?;
        fs::write(dir.work().join(PROGRAM_FILE), request.code).map_err(RunError::Prepare)?;
        let mark = Mark::random().map_err(RunError::Prepare)?;
        let started_at = Utc::now();
        let started = Instant::now();
        let mut running = Running::start(&self.sandbox, &dir, &mark, request)?;
        let watched = running.watch(&dir, &request.limits, started, shutdown);
        let duration = started.elapsed();
        let finished_at = Utc::now();
        let (mut stdout, stderr) = running.into_output();
        let (stop, usage) = watched?;
        let (marked, own) = mark.strip(stdout.bytes);
        stdout.bytes = own;
        let end = match stop {
            Stop::Limit(hit) => End::Limit(hit),
            Stop::Ended(_) if !marked => return Err(RunError::Sandbox(refusal(&stderr.bytes))),
            Stop::Ended(status) => end_of(status)?,
        };
        Ok(Run {
            end,
            stdout,
            stderr,
            started_at,
            finished_at,
            duration,
            usage,
            files: dir,
        })
    }
}

enum Stop {
    Ended(ExitStatus),
    Limit(LimitHit),
}

struct Running {
    child: Child,
    /// Open as long as the run may go on.
    lifeline: Option<ChildStdin>,
    stdout: Capture,
    stderr: Capture,
}

impl Running {
    fn start(
        sandbox: &Sandbox,
        dir: &RunFiles,
        mark: &Mark,
        request: &Request<'_>,
    ) -> Result<Self, RunError> {
        let mut child = sandbox
            .command(dir, mark, request)
            .map_err(RunError::Confinement)?
            .spawn()
            .map_err(RunError::Start)?;
        let limit = usize::try_from(request.limits.output_bytes).unwrap_or(usize::MAX);
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(lifeline), Some(stdout), Some(stderr)) = pipes else {
            // Without its standard input the supervisor ends by itself.
            return Err(RunError::Start(io::Error::other("it has no pipes")));
        };
        Ok(Self {
            lifeline: Some(lifeline),
            stdout: Capture::start(stdout, limit.saturating_add(Mark::most_output())),
            stderr: Capture::start(stderr, limit),
            child,
        })
    }

    /// Waits for the end and enforces the limits. The run is gone afterwards, whatever is returned.
    fn watch(
        &mut self,
        dir: &RunFiles,
        limits: &Limits,
        started: Instant,
        shutdown: &Shutdown,
    ) -> Result<(Stop, Usage), RunError> {
        let mut taken = Usage {
            cpu: Duration::ZERO,
            peak_memory_bytes: 0,
        };
        let mut next_measure = started;
        let mut next_disk = started + MEASURE_DISK;
        loop {
            if let Some(status) = self.child.try_wait().map_err(RunError::Start)? {
                // A stop of the whole machine may have reached the program before us.
                return if shutdown.is_requested() {
                    Err(RunError::Interrupted)
                } else {
                    Ok((self.ended(status, dir, limits), taken))
                };
            }
            let now = Instant::now();
            let mut hit = self.cheap_limit(limits, started);
            if hit.is_none() && now >= next_measure {
                next_measure = now + MEASURE;
                hit = self.measured_limit(limits, &mut taken);
            }
            if hit.is_none() && now >= next_disk {
                hit = dir.is_over(limits.disk_bytes).then_some(LimitHit::Disk);
                // Measuring a large tree must not become the run's main work.
                next_disk = Instant::now() + MEASURE_DISK + now.elapsed() * 4;
            }
            if let Some(hit) = hit {
                self.end()?;
                return Ok((Stop::Limit(hit), taken));
            }
            if shutdown.is_requested() {
                self.end()?;
                return Err(RunError::Interrupted);
            }
            thread::sleep(POLL);
        }
    }

    /// A program may pass a limit and end between two looks.
    fn ended(&mut self, status: ExitStatus, dir: &RunFiles, limits: &Limits) -> Stop {
        self.wait_for_pipes();
        if self.overflowed() {
            Stop::Limit(LimitHit::Output)
        } else if dir.is_over(limits.disk_bytes) {
            Stop::Limit(LimitHit::Disk)
        } else {
            Stop::Ended(status)
        }
    }

    fn cheap_limit(&self, limits: &Limits, started: Instant) -> Option<LimitHit> {
        if self.overflowed() {
            Some(LimitHit::Output)
        } else if started.elapsed() >= limits.timeout {
            Some(LimitHit::Time)
        } else {
            None
        }
    }

    fn measured_limit(&self, limits: &Limits, taken: &mut Usage) -> Option<LimitHit> {
        let measured = processes::measure_below(self.child.id());
        taken.cpu = measured.cpu.max(taken.cpu);
        taken.peak_memory_bytes = measured.resident_bytes.max(taken.peak_memory_bytes);
        (measured.resident_bytes > limits.memory_bytes).then_some(LimitHit::Memory)
    }

    fn overflowed(&self) -> bool {
        self.stdout.overflowed() || self.stderr.overflowed()
    }

    /// Asks the supervisor to end the run, and ends it from here when it does not.
    fn end(&mut self) -> Result<(), RunError> {
        drop(self.lifeline.take());
        let deadline = Instant::now() + KILL_WAIT;
        while Instant::now() < deadline {
            if self.child.try_wait().map_err(RunError::Start)?.is_some() {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        processes::kill_below(self.child.id());
        let _ = self.child.kill();
        thread::sleep(POLL);
        match self.child.try_wait() {
            Ok(Some(_)) => Ok(()),
            _ => Err(RunError::Stuck),
        }
    }

    fn wait_for_pipes(&self) {
        let deadline = Instant::now() + PIPE_WAIT;
        let open = || !self.stdout.is_finished() || !self.stderr.is_finished();
        while open() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn into_output(self) -> (Captured, Captured) {
        self.wait_for_pipes();
        (self.stdout.into_captured(), self.stderr.into_captured())
    }
}

fn refusal(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let last = text.trim().lines().next_back();
    last.unwrap_or("the launcher ended without a word")
        .to_owned()
}

/// The supervisor reports signals as 128 and their number, which is also what bubblewrap does.
fn end_of(status: ExitStatus) -> Result<End, RunError> {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) if (129..=159).contains(&code) => Ok(End::Signalled(code - 128)),
        (Some(code), _) => Ok(End::Exited(code)),
        (None, Some(signal)) => Ok(End::Signalled(signal)),
        (None, None) => Err(RunError::Sandbox(format!(
            "the launcher ended strangely: {status}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_says_why_there_is_no_sandbox() {
        assert_eq!(
            refusal(b"a\nbwrap: setting up uid map: Permission denied\n"),
            "bwrap: setting up uid map: Permission denied"
        );
    }
}
