//! Runs one program to its end, or to the first limit it meets, and measures it.
//!
//! In: Python source and limits. Out: how it ended, what it printed, its time, processor time and memory, and its files,
//! which live until the plots are read. The kernel enforces the limits of memory, processes and files (see
//! [`annapurna_confinement`] and [`crate::confine`]); time and output are watched here. Blocking: the thread that starts the
//! supervisor waits for it, and for everything else that can happen, in one place and without looking again and again.
//! What the end means is [`crate::classify`]'s business.

use std::io;
use std::net;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use annapurna_confinement::{Group, GroupLimits, MemoryWatch, Usage};
use chrono::{DateTime, Utc};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::capture::Capture;
use crate::control::{self, Listener, Said};
use crate::live::{Live, Stream};
use crate::processes;
use crate::program::Request;
use crate::run_dir::{RunFiles, RunFolder};
use crate::sandbox::{Method, Sandbox};
use crate::shutdown::Shutdown;

/// Longest wait for a killed run to be gone.
const KILL_WAIT: Duration = Duration::from_secs(15);
/// Longest wait for the pipes of a run that is gone.
const PIPE_WAIT: Duration = Duration::from_secs(5);
/// How much of the end of standard error is searched for a file that found no room, bytes.
const LAST_WORDS: usize = 4096;

/// The limit that ended a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitHit {
    /// [`crate::Limits::timeout`] passed.
    Time,
    /// Memory of all processes together, as the kernel counts it.
    Memory,
    /// One of the two streams; the limit is each one's.
    Output,
    /// Its files: their size or their number.
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
    /// Its beginning, at most [`crate::Limits::output_bytes`].
    pub bytes: Vec<u8>,
    /// Whether there was more.
    pub cut: bool,
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
    /// The run's control group or folder could not be made.
    #[error("cannot prepare the run")]
    Prepare(#[source] io::Error),
    /// The launcher could not be started.
    #[error("cannot start the launcher")]
    Start(#[source] io::Error),
    /// The kernel does not tell of a run.
    #[error("cannot wait for the run")]
    Wait(#[source] io::Error),
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
    /// Hears what a program prints while it runs.
    live: Option<Live>,
}

impl Runner {
    /// Every program of this runner is confined by `sandbox`.
    pub fn new(sandbox: Sandbox) -> Self {
        Self {
            sandbox,
            live: None,
        }
    }

    /// Tells what its programs print while they run.
    pub(crate) fn heard_by(self, live: Option<Live>) -> Self {
        Self { live, ..self }
    }

    /// Runs one program. Blocks until it and everything it started is gone.
    ///
    /// # Errors
    ///
    /// [`RunError`]: nothing about the program is known, and the run may be repeated.
    pub fn run(&self, request: &Request<'_>, shutdown: &Shutdown) -> Result<Run, RunError> {
        let parts = self.sandbox.parts();
        let limits = &request.limits;
        let (mut group, mut folder) = (None, None);
        match self.sandbox.method() {
            Method::Bubblewrap(_, groups) => {
                let limits = GroupLimits {
                    memory_bytes: limits.memory_bytes,
                    processes: limits.processes,
                };
                let made = groups.make(request.slot, &limits);
                group = Some(made.map_err(RunError::Prepare)?);
            }
            Method::Unconfined => {
                let user = parts.users.of_slot(request.slot);
                let made = RunFolder::create(&parts.runs(), user);
                folder = Some(made.map_err(RunError::Prepare)?);
            }
        }
        let started_at = Utc::now();
        let started = Instant::now();
        let mut running = self.start(group, folder.as_ref(), request, shutdown)?;
        let deadline = started + limits.timeout;
        let stop = running.watch(deadline, shutdown);
        running.end()?;
        let duration = started.elapsed();
        let finished_at = Utc::now();
        let (end, usage) = running.outcome(stop?, shutdown)?;
        let files = match (folder, running.listener.files.take()) {
            (Some(folder), _) => RunFiles::in_folder(folder).map_err(RunError::Prepare)?,
            (None, Some(top)) => RunFiles::handed_over(top),
            (None, None) => return Err(RunError::Sandbox("it gave no files".to_owned())),
        };
        self.keep_compiled(request, &files);
        let (stdout, stderr) = (
            running.stdout.into_captured(),
            running.stderr.into_captured(),
        );
        Ok(Run {
            end: after_its_files(end, &files, &stderr.bytes),
            stdout,
            stderr,
            started_at,
            finished_at,
            duration,
            usage,
            files,
        })
    }
}

impl Runner {
    fn start(
        &self,
        group: Option<Group>,
        folder: Option<&RunFolder>,
        request: &Request<'_>,
        shutdown: &Shutdown,
    ) -> Result<Running, RunError> {
        let sandbox = &self.sandbox;
        let memory = group.as_ref().map(Group::watch_memory).transpose();
        let memory = memory.map_err(RunError::Prepare)?;
        let (control, theirs) = UnixStream::pair().map_err(RunError::Prepare)?;
        let mut child = sandbox
            .command(group.as_ref(), folder, theirs.into(), request)
            .spawn()
            .map_err(RunError::Start)?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            // Without its control socket the supervisor ends by itself.
            return Err(RunError::Start(io::Error::other("it has no pipes")));
        };
        let limit = usize::try_from(request.limits.output_bytes).unwrap_or(usize::MAX);
        let heard = |stream| self.live.clone().map(|live| (live, stream));
        let running = Running {
            child,
            control: Arc::new(control),
            listener: Listener::default(),
            said: None,
            started: false,
            memory,
            stdout: Capture::new(stdout, limit, heard(Stream::Stdout)).map_err(RunError::Start)?,
            stderr: Capture::new(stderr, limit, heard(Stream::Stderr)).map_err(RunError::Start)?,
            group,
        };
        shutdown.closes(&running.control);
        let confinement = sandbox.confinement(folder, request);
        // A launcher that is gone already has said why on standard error.
        match control::hand_over(&running.control, &confinement, request.code) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(RunError::Start(error)),
            _ => Ok(running),
        }
    }

    /// What was compiled spares the next run time and nothing else, so that it is no fault of this one.
    fn keep_compiled(&self, request: &Request<'_>, files: &RunFiles) {
        let Some(cache) = self.sandbox.parts().compile_cache() else {
            return;
        };
        if let Err(error) = cache.keep(request.code, files) {
            tracing::warn!(%error, "what the program compiled is not kept");
        }
    }
}

/// A program that found no room for a file ends with the error it got; the files that filled the room may be gone by
/// then, so its last words count too. They are the program's own: it can only say so of a run that failed.
fn after_its_files(end: End, files: &RunFiles, stderr: &[u8]) -> End {
    let failed = matches!(end, End::Exited(code) if code != 0) || matches!(end, End::Signalled(_));
    let words = &stderr[stderr.len().saturating_sub(LAST_WORDS)..];
    let no_room = || String::from_utf8_lossy(words).contains("No space left on device");
    if failed && (files.are_full() || no_room()) {
        End::Limit(LimitHit::Disk)
    } else {
        end
    }
}

/// Why it is not waited for any longer.
enum Stop {
    Gone,
    Limit(LimitHit),
}

struct Running {
    child: Child,
    /// Closing it ends the run.
    control: Arc<UnixStream>,
    listener: Listener,
    /// The launcher's last word.
    said: Option<Said>,
    started: bool,
    memory: Option<MemoryWatch>,
    stdout: Capture,
    stderr: Capture,
    /// Removed last.
    group: Option<Group>,
}

impl Running {
    /// Waits for the end and for the limits that are the agent's.
    fn watch(&mut self, deadline: Instant, shutdown: &Shutdown) -> Result<Stop, RunError> {
        let gone = self.pidfd()?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() && self.said.is_none() {
                return Ok(Stop::Limit(LimitHit::Time));
            }
            // What has told its end only has to be gone.
            let wait = if self.said.is_some() { KILL_WAIT } else { left };
            let seen = self.wait(gone.as_fd(), wait)?;
            if self.is_cut() {
                return Ok(Stop::Limit(LimitHit::Output));
            }
            if seen.contains(&Source::Memory) && self.is_out_of_memory()? {
                return Ok(Stop::Limit(LimitHit::Memory));
            }
            if shutdown.is_requested() {
                return Err(RunError::Interrupted);
            }
            if seen.contains(&Source::Gone) || (seen.is_empty() && self.said.is_some()) {
                return Ok(Stop::Gone);
            }
        }
    }

    /// Waits until something happens and takes in what was printed and said.
    fn wait(&mut self, gone: BorrowedFd<'_>, limit: Duration) -> Result<Vec<Source>, RunError> {
        let seen = self.poll(gone, limit)?;
        for source in &seen {
            match source {
                Source::Control => self.listen()?,
                Source::Stdout => self.stdout.read(),
                Source::Stderr => self.stderr.read(),
                Source::Gone | Source::Memory => {}
            }
        }
        Ok(seen)
    }

    fn poll(&self, gone: BorrowedFd<'_>, limit: Duration) -> Result<Vec<Source>, RunError> {
        let control = (!self.listener.closed).then(|| self.control.as_fd());
        let memory = self.memory.as_ref();
        let flags = memory.map_or(PollFlags::empty(), MemoryWatch::flags);
        let input = PollFlags::IN;
        let sources = [
            (Source::Gone, Some(gone), input),
            (Source::Control, control, input),
            (Source::Memory, memory.map(AsFd::as_fd), flags),
            (Source::Stdout, self.stdout.source(), input),
            (Source::Stderr, self.stderr.source(), input),
        ];
        let (names, mut events): (Vec<Source>, Vec<PollFd<'_>>) = sources
            .into_iter()
            .filter_map(|(name, fd, flags)| Some((name, PollFd::from_borrowed_fd(fd?, flags))))
            .unzip();
        let limit = Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        };
        match poll(&mut events, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(RunError::Wait(error.into())),
        }
        let happened = names.into_iter().zip(&events);
        Ok(happened
            .filter(|(_, event)| !event.revents().is_empty())
            .map(|(name, _)| name)
            .collect())
    }

    fn listen(&mut self) -> Result<(), RunError> {
        let said = self.listener.listen(&self.control);
        for said in said.map_err(RunError::Wait)? {
            match said {
                Said::Started => self.started = true,
                said => self.said = Some(said),
            }
        }
        Ok(())
    }

    fn is_cut(&self) -> bool {
        self.stdout.is_cut() || self.stderr.is_cut()
    }

    fn is_out_of_memory(&self) -> Result<bool, RunError> {
        let memory = self.memory.as_ref();
        memory
            .map_or(Ok(false), MemoryWatch::has_run_out)
            .map_err(RunError::Wait)
    }

    fn pidfd(&self) -> Result<OwnedFd, RunError> {
        let number = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let number = number.ok_or_else(|| RunError::Wait(io::Error::other("no process id")))?;
        pidfd_open(number, PidfdFlags::empty()).map_err(|error| RunError::Wait(error.into()))
    }

    /// Ends all of it, and takes in the rest of what it printed and said.
    fn end(&mut self) -> Result<(), RunError> {
        // It may be closed already.
        let _ = self.control.shutdown(net::Shutdown::Both);
        if let Some(group) = &self.group {
            group.kill();
        }
        let gone = self.pidfd()?;
        let deadline = Instant::now() + KILL_WAIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let seen = self.wait(gone.as_fd(), left)?;
            if seen.contains(&Source::Gone) {
                break;
            }
            if left.is_zero() {
                processes::kill_below(self.child.id());
                let _ = self.child.kill();
                return Err(RunError::Stuck);
            }
        }
        self.child.wait().map_err(RunError::Wait)?;
        self.drain()
    }

    /// Reads the pipes of a run that is gone to their ends.
    fn drain(&mut self) -> Result<(), RunError> {
        let deadline = Instant::now() + PIPE_WAIT;
        while self.stdout.source().is_some() || self.stderr.source().is_some() {
            self.stdout.read();
            self.stderr.read();
            if self.is_cut() || Instant::now() >= deadline {
                break;
            }
        }
        self.listen()
    }

    /// What the run's end was, once everything of it is gone.
    fn outcome(&self, stop: Stop, shutdown: &Shutdown) -> Result<(End, Usage), RunError> {
        let nothing = Usage {
            cpu: Duration::ZERO,
            peak_memory_bytes: 0,
        };
        let usage = self.group.as_ref().map_or(Ok(nothing), Group::usage);
        let usage = usage.map_err(RunError::Wait)?;
        let killed = self
            .group
            .as_ref()
            .map_or(Ok(false), Group::ran_out_of_memory);
        let killed = killed.map_err(RunError::Wait)?;
        let end = match (stop, &self.said) {
            (_, Some(Said::Failed(reason))) => return Err(RunError::Sandbox(reason.clone())),
            (Stop::Limit(LimitHit::Time), _) if !self.started => {
                return Err(RunError::Sandbox(
                    "it took all of the program's time".to_owned(),
                ));
            }
            _ if !self.started => return Err(RunError::Sandbox(refusal(&self.stderr))),
            (Stop::Limit(LimitHit::Output), _) => End::Limit(LimitHit::Output),
            _ if self.is_cut() => End::Limit(LimitHit::Output),
            _ if killed => End::Limit(LimitHit::Memory),
            (Stop::Limit(hit), _) => End::Limit(hit),
            (Stop::Gone, Some(Said::Exited(code))) => End::Exited(*code),
            (Stop::Gone, Some(Said::Signalled(signal))) => End::Signalled(*signal),
            (Stop::Gone, _) if shutdown.is_requested() => return Err(RunError::Interrupted),
            (Stop::Gone, _) => {
                let text = "its first process ended without saying how the program ended";
                return Err(RunError::Sandbox(text.to_owned()));
            }
        };
        Ok((end, usage))
    }
}

/// What a run can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The supervisor is gone, and with it everything.
    Gone,
    Control,
    Memory,
    Stdout,
    Stderr,
}

fn refusal(stderr: &Capture) -> String {
    let text = String::from_utf8_lossy(stderr.kept());
    let last = text.trim().lines().next_back();
    last.unwrap_or("the launcher ended without a word")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_program_that_failed_can_have_found_no_room() {
        let runs = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(runs.path(), None).unwrap();
        let files = RunFiles::in_folder(folder).unwrap();
        let words = b"OSError: [Errno 28] No space left on device\n";
        let end = |end, words: &[u8]| after_its_files(end, &files, words);
        assert_eq!(end(End::Exited(0), words), End::Exited(0));
        assert_eq!(end(End::Exited(1), words), End::Limit(LimitHit::Disk));
        assert_eq!(end(End::Exited(1), b"other"), End::Exited(1));
        let time = End::Limit(LimitHit::Time);
        assert_eq!(end(time.clone(), words), time);
    }
}
