//! Starting a process that runs its program only once it is on record.
//!
//! A service whose starter is killed must not run unknown: the next deployment would start another beside
//! it, on the same data. So the child waits between fork and exec until its process id is written down, and
//! ends when its parent does before that.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// A child that waits has copies of all that its parent has open. Of two that wait at once, each would keep
/// the other from seeing their parent's end.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Why a process was not started.
pub(super) enum Failure<E> {
    /// The system did not start it.
    Start(io::Error),
    /// It could not be put on record.
    Record(E),
}

/// Starts the leader of a session of its own. `record` gets its process id, and the program runs once that
/// has succeeded.
pub(super) fn start<T, E>(
    mut command: Command,
    record: impl FnOnce(i32) -> Result<T, E>,
) -> Result<T, Failure<E>> {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut ours, theirs) = UnixStream::pair().map_err(Failure::Start)?;
    wait_for_record(&mut command, theirs, ours.as_raw_fd());
    thread::scope(|scope| {
        // It returns when the program runs; the child's end is dropped with the command.
        let starter = thread::Builder::new().spawn_scoped(scope, move || command.spawn());
        let starter = starter.map_err(Failure::Start)?;
        let recorded = process_id(&mut ours).map(record);
        if let Some(Ok(_)) = recorded {
            // When nobody reads this any more, the starter says why.
            let _ = ours.write_all(&[1]);
        }
        drop(ours);
        let panicked = |_| Err(io::Error::other("the thread that starts it has panicked"));
        outcome(recorded, starter.join().unwrap_or_else(panicked))
    })
}

fn outcome<T, E>(
    recorded: Option<Result<T, E>>,
    started: io::Result<Child>,
) -> Result<T, Failure<E>> {
    match (recorded, started) {
        (Some(Err(error)), _) => Err(Failure::Record(error)),
        (_, Err(error)) => Err(Failure::Start(error)),
        (Some(Ok(value)), Ok(_)) => Ok(value),
        (None, Ok(mut child)) => {
            let ended = child.kill().and_then(|()| child.wait());
            let unknown = io::Error::other("it does not tell its process id");
            Err(Failure::Start(ended.err().unwrap_or(unknown)))
        }
    }
}

/// What the child says first; `None` when there is no child.
fn process_id(ours: &mut UnixStream) -> Option<i32> {
    let mut bytes = [0; 4];
    ours.read_exact(&mut bytes).ok()?;
    i32::try_from(u32::from_ne_bytes(bytes)).ok()
}

/// Has the child lead a session, tell its process id and wait for the answer.
#[allow(unsafe_code)]
fn wait_for_record(command: &mut Command, theirs: UnixStream, ours: RawFd) {
    let wait = move || {
        nix::unistd::setsid()?;
        // This copy would hide that the parent has ended.
        nix::unistd::close(ours)?;
        (&theirs).write_all(&std::process::id().to_ne_bytes())?;
        (&theirs).read_exact(&mut [0])
    };
    // SAFETY: between fork and exec the closure only makes system calls; it allocates nothing and takes no
    // lock. `ours` is open in the child, since the parent closes it after the child has gone on. The
    // standard library has no stable way to ask for a session or to wait.
    unsafe {
        command.pre_exec(wait);
    }
}
