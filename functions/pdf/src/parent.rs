//! The caller's side: starts a reader, feeds it and listens.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use annapurna_contract::text::one_line;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::Semaphore,
    time::timeout,
};

use crate::child::{TASK, Task};
use crate::wire::{Frame, Page};
use crate::{Limits, PDF_LIMIT, Paper, PdfError, paper::paper_of};

/// Readers at a time: a function's memory has room for one.
static READERS: Semaphore = Semaphore::const_new(1);

/// Bytes of JSON that a reader may say for each byte of text that it may read, and beside them.
const SAID_PER_BYTE: u64 = 16;
const SAID_BESIDE: u64 = 8 << 20;

/// The paper that a PDF is, without blocking the caller's other work. Where its reader ends early, the pages
/// until then are the paper.
///
/// # Errors
///
/// See [`PdfError`].
pub async fn read(bytes: Vec<u8>, limits: Limits) -> Result<Paper, PdfError> {
    if bytes.len() as u64 > PDF_LIMIT {
        return Err(unreadable(format!("it has {} bytes", bytes.len())));
    }
    let permit = READERS.acquire().await.map_err(unreadable)?;
    let mut reader = start(bytes.len(), limits)?;
    let mut heard = Heard::default();
    let in_time = timeout(
        limits.time,
        converse(&mut reader, bytes, limits, &mut heard),
    )
    .await;
    let status = end(reader, in_time.is_ok()).await;
    drop(permit);
    match heard {
        Heard {
            failed: Some(error),
            ..
        } => Err(error),
        Heard { pages, n_pages, .. } if !pages.is_empty() || heard.done => {
            Ok(paper_of(pages, n_pages))
        }
        _ if in_time.is_err() => Err(PdfError::TooSlow { limit: limits.time }),
        _ => Err(PdfError::TooMuch { status: status? }),
    }
}

/// What a reader said.
#[derive(Default)]
struct Heard {
    pages: Vec<Page>,
    n_pages: usize,
    done: bool,
    failed: Option<PdfError>,
}

/// Starts the running program once more, as a reader: without arguments and environment, so that what a file
/// may do there finds no credentials.
fn start(n_bytes: usize, limits: Limits) -> Result<Child, PdfError> {
    if std::env::var_os(TASK).is_some() {
        return Err(unreadable("a reader starts no reader"));
    }
    let task = serde_json::to_string(&Task { n_bytes, limits }).map_err(unreadable)?;
    Command::new(this_program()?)
        .env_clear()
        .env(TASK, task)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| unreadable(format!("no process to read it in: {error}")))
}

/// The program that runs, also when its file has been replaced since.
fn this_program() -> Result<PathBuf, PdfError> {
    let linux = Path::new("/proc/self/exe");
    if linux.exists() {
        return Ok(linux.to_owned());
    }
    std::env::current_exe().map_err(unreadable)
}

/// Hands the file over and listens until the reader has nothing more to say.
async fn converse(reader: &mut Child, bytes: Vec<u8>, limits: Limits, heard: &mut Heard) {
    if let (Some(input), Some(output)) = (reader.stdin.take(), reader.stdout.take()) {
        tokio::join!(hand_over(input, bytes), listen(output, limits, heard));
    }
}

/// A reader that needs no more of the file may end before it has all of it; what it said tells.
async fn hand_over(mut input: ChildStdin, bytes: Vec<u8>) {
    let _ = input.write_all(&bytes).await;
}

async fn listen(output: ChildStdout, limits: Limits, heard: &mut Heard) {
    let most = SAID_BESIDE.saturating_add((limits.text as u64).saturating_mul(SAID_PER_BYTE));
    let mut lines = BufReader::new(output.take(most)).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // A line that is cut off has no frame: its reader was ended in the middle of it.
        match serde_json::from_str(&line) {
            Ok(Frame::Opened(n_pages)) => heard.n_pages = n_pages,
            Ok(Frame::Page(page)) => heard.pages.push(page),
            Ok(Frame::Done) => heard.done = true,
            Ok(Frame::Failed(error)) => heard.failed = Some(error),
            Err(_) => break,
        }
    }
}

/// Ends the reader, and says how it ended. One that still runs when all was heard, or too late, is killed.
async fn end(mut reader: Child, has_said_all: bool) -> Result<String, PdfError> {
    if !has_said_all {
        // It may have ended by itself meanwhile.
        let _ = reader.start_kill();
    }
    let grace = std::time::Duration::from_secs(2);
    let status = match timeout(grace, reader.wait()).await {
        Ok(status) => status,
        Err(_) => {
            let _ = reader.start_kill();
            reader.wait().await
        }
    };
    status
        .as_ref()
        .map(ExitStatus::to_string)
        .map_err(unreadable)
}

fn unreadable(reason: impl ToString) -> PdfError {
    PdfError::Unreadable {
        reason: one_line(&reason.to_string(), 200),
    }
}
