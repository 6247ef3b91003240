//! The reader: the same program, started once more, reading one file under limits.
//!
//! Every program with this crate in it looks, before its `main`, whether it was started as a reader; so no second
//! file is built, uploaded or looked for, and it works the same in Lambda, in `local` and in tests.

use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use nix::sys::resource::{Resource, setrlimit};
use serde::{Deserialize, Serialize};

use crate::wire::Frame;
use crate::{Limits, PdfError, document};

/// Variable with the [`Task`] of a reader.
pub(crate) const TASK: &str = "ANNAPURNA_READ_PDF";

/// Bytes that a reader may ask for, the file among them. With the program itself it stays below 300 MiB.
const MEMORY: u64 = 264 << 20;

/// What a reader is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    /// Bytes of the file, which comes by the standard input.
    pub(crate) n_bytes: usize,
    pub(crate) limits: Limits,
}

/// Runs before `main`. Nothing of the standard library that needs `main` to have begun is used, and nothing
/// panics out of it.
#[ctor::ctor(unsafe)]
fn read_if_asked() {
    if let Some(task) = std::env::var_os(TASK) {
        let done = catch_unwind(|| run(&task.to_string_lossy()));
        std::process::exit(i32::from(!matches!(done, Ok(Ok(())))));
    }
}

/// Reads the standard input and says its pages on the standard output.
fn run(task: &str) -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let task: Task = serde_json::from_str(task)?;
    limit(task.limits)?;
    let mut bytes = Vec::with_capacity(task.n_bytes);
    let most = task.n_bytes as u64;
    std::io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    // Before its caller gives it up, so that what it has of a page is heard.
    let deadline = started + task.limits.time.mul_f64(0.8);
    let read = AssertUnwindSafe(|| document::read(bytes, task.limits, deadline, &mut say));
    let last = match catch_unwind(read) {
        Ok(Ok(())) => Frame::Done,
        Ok(Err(error)) => Frame::Failed(error),
        Err(_) => Frame::Failed(PdfError::Unreadable {
            reason: "its structure is damaged".to_owned(),
        }),
    };
    say(&last)?;
    Ok(())
}

/// One frame, at once: what was said is not lost when the reader is ended.
fn say(frame: &Frame) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(frame)?;
    line.push(b'\n');
    let mut output = std::io::stdout().lock();
    output.write_all(&line)?;
    output.flush()
}

/// Bounds the address space and the processor time, which nothing can raise again.
fn limit(limits: Limits) -> Result<(), Box<dyn std::error::Error>> {
    let memory = program_size()?.saturating_add(MEMORY);
    setrlimit(Resource::RLIMIT_AS, memory, memory)?;
    let seconds = limits.time.as_secs().saturating_add(1);
    setrlimit(Resource::RLIMIT_CPU, seconds, seconds)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(())
}

/// Bytes of address space that the program has before it reads anything.
fn program_size() -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    let kibibytes: u64 = number.ok_or("/proc/self/status has no VmSize")?.parse()?;
    Ok(kibibytes << 10)
}
