//! What a program prints, while it prints it, for the person who waits for a batch of their own.
//!
//! A part an object, below the trials of which nobody is told ([`keys::live_prefix`]): the only way between an instance and a
//! person that needs neither a port nor a session. Whoever waits reads the parts in order, takes the rest from the outputs
//! and removes them. What is told so is a convenience: the result and the outputs do not depend on it.

use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use annapurna_contract::{LivePart, PaperId, keys};

use crate::executor::{ExecuteError, Executor};
use crate::job::Job;

/// Between two parts; a request to S3 each, where there is something new.
const PAUSE: Duration = Duration::from_secs(1);
/// What is told without its line's end, bytes.
const LONG_LINE: usize = 16 * 1024;

/// One of a program's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// What was printed and not told yet; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live(Arc<Mutex<Untold>>);

#[derive(Debug, Default)]
struct Untold {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Live {
    /// Takes in what came of a stream.
    pub(crate) fn hears(&self, stream: Stream, bytes: &[u8]) {
        let mut untold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match stream {
            Stream::Stdout => untold.stdout.extend_from_slice(bytes),
            Stream::Stderr => untold.stderr.extend_from_slice(bytes),
        }
    }

    /// Whole lines that are not told yet, if there are any.
    fn part(&self) -> Option<LivePart> {
        let mut untold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (stdout, stderr) = (lines(&mut untold.stdout), lines(&mut untold.stderr));
        let is_empty = stdout.is_empty() && stderr.is_empty();
        (!is_empty).then_some(LivePart { stdout, stderr })
    }
}

/// Takes the whole lines off `bytes`; also the beginning of a very long one. A letter is not cut at a line's end.
fn lines(bytes: &mut Vec<u8>) -> String {
    let end = bytes.iter().rposition(|byte| matches!(byte, b'\n' | b'\r'));
    let length = match end {
        Some(end) => end + 1,
        None if bytes.len() > LONG_LINE => bytes.len(),
        None => 0,
    };
    let taken: Vec<u8> = bytes.drain(..length).collect();
    String::from_utf8_lossy(&taken).into_owned()
}

impl Executor {
    /// Runs `run` to its end, and tells of what it prints meanwhile where somebody listens.
    pub(crate) async fn while_told<T>(
        &self,
        job: &Job,
        live: Option<&Live>,
        run: impl Future<Output = T>,
    ) -> T {
        let telling = async {
            match (live, &job.paper_id) {
                (Some(live), Some(paper)) => self.tell(job, paper, live).await,
                _ => pending().await,
            }
        };
        tokio::select! {
            ended = run => ended,
            never = telling => match never {},
        }
    }

    async fn tell(&self, job: &Job, paper: &PaperId, live: &Live) -> Infallible {
        let prefix = keys::live_prefix(&job.batch_id, paper);
        for number in 0.. {
            let part = loop {
                tokio::time::sleep(PAUSE).await;
                if let Some(part) = live.part() {
                    break part;
                }
            };
            let key = keys::live_part_in(&prefix, number);
            let told = match serde_json::to_vec(&part) {
                Ok(bytes) => self
                    .put(&key, bytes, "application/json")
                    .await
                    .map_err(Into::into),
                Err(error) => Err(ExecuteError::from(error)),
            };
            if let Err(error) = told {
                // Without this part the next ones would make no sense.
                tracing::warn!(batch = job.batch_id, %error, "what it prints is told no longer");
                break;
            }
        }
        pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_told_once_and_in_their_order() {
        let live = Live::default();
        assert_eq!(live.part(), None);
        live.hears(Stream::Stdout, b"epoch 1\nepo");
        live.hears(Stream::Stderr, "50 %\rä".as_bytes());
        let part = |stdout: &str, stderr: &str| LivePart {
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        };
        assert_eq!(live.part(), Some(part("epoch 1\n", "50 %\r")));
        assert_eq!(live.part(), None);
        live.clone().hears(Stream::Stdout, b"ch 2\n");
        assert_eq!(live.part(), Some(part("epoch 2\n", "")));
        live.hears(Stream::Stdout, &[b'x'; LONG_LINE + 1]);
        assert_eq!(live.part().unwrap().stdout.len(), LONG_LINE + 1);
    }
}
