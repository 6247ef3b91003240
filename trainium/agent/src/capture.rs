//! Keeps the beginning of an output stream and notices when it is too long.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::runner::Captured;

/// A stream being read by its own thread. The rest of a stream that is too long is read and dropped,
/// so the writer does not hang before it is killed.
#[derive(Debug)]
pub(crate) struct Capture {
    kept: Arc<Mutex<Vec<u8>>>,
    overflowed: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Capture {
    /// Reads `stream` to its end and keeps its first `limit` bytes.
    pub(crate) fn start(stream: impl Read + Send + 'static, limit: usize) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let overflowed = Arc::new(AtomicBool::new(false));
        let (shared, flag) = (Arc::clone(&kept), Arc::clone(&overflowed));
        let thread = thread::spawn(move || read_all(stream, limit, &shared, &flag));
        Self {
            kept,
            overflowed,
            thread,
        }
    }

    /// Whether more than the limit came.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// Whether the stream has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// What was kept. Takes what is there when the stream has not ended: a writer that outlived its
    /// program must not hold the agent.
    pub(crate) fn into_captured(self) -> Captured {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        Captured {
            bytes: std::mem::take(&mut *kept),
            cut: self.overflowed(),
        }
    }
}

fn read_all(mut stream: impl Read, limit: usize, kept: &Mutex<Vec<u8>>, overflowed: &AtomicBool) {
    let mut buffer = vec![0_u8; 64 * 1024];
    loop {
        let length = match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let room = limit.saturating_sub(kept.len()).min(length);
        kept.extend_from_slice(&buffer[..room]);
        if room < length {
            overflowed.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(input: &'static [u8], limit: usize) -> (bool, Vec<u8>) {
        let capture = Capture::start(input, limit);
        while !capture.is_finished() {
            thread::yield_now();
        }
        let captured = capture.into_captured();
        (captured.cut, captured.bytes)
    }

    #[test]
    fn exactly_the_limit_is_not_too_much() {
        assert_eq!(capture(b"12345", 5), (false, b"12345".to_vec()));
        assert_eq!(capture(b"123456", 5), (true, b"12345".to_vec()));
    }
}
