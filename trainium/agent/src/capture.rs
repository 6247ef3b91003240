//! Keeps the beginning of an output stream and notices when it is too long.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::live::{Live, Stream};
use crate::runner::Captured;

/// Most that is read of one stream before the others are looked at, bytes.
const TURN: usize = 256 * 1024;

/// A stream that is read when there is something in it.
#[derive(Debug)]
pub(crate) struct Capture {
    /// Nothing when the stream has ended.
    stream: Option<File>,
    kept: Vec<u8>,
    limit: usize,
    cut: bool,
    /// Hears what is kept as it comes.
    live: Option<(Live, Stream)>,
}

impl Capture {
    /// Keeps the first `limit` bytes of `stream`, of which `live` hears at once.
    ///
    /// # Errors
    ///
    /// When it is no stream that can be read without waiting.
    pub(crate) fn new(
        stream: impl Into<OwnedFd>,
        limit: usize,
        live: Option<(Live, Stream)>,
    ) -> io::Result<Self> {
        let stream: OwnedFd = stream.into();
        fcntl_setfl(&stream, fcntl_getfl(&stream)? | OFlags::NONBLOCK)?;
        Ok(Self {
            stream: Some(stream.into()),
            kept: Vec::new(),
            limit,
            cut: false,
            live,
        })
    }

    /// What to wait for; nothing when the stream has ended.
    pub(crate) fn source(&self) -> Option<BorrowedFd<'_>> {
        self.stream.as_ref().map(AsFd::as_fd)
    }

    /// Whether more than the limit came.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Takes what is there, without waiting. What is beyond the limit is read and dropped.
    pub(crate) fn read(&mut self) {
        let mut buffer = [0_u8; 16 * 1024];
        let mut turn = 0;
        while let Some(stream) = &mut self.stream
            && turn < TURN
        {
            match stream.read(&mut buffer) {
                Ok(length) if length > 0 => {
                    turn += length;
                    let room = self.limit.saturating_sub(self.kept.len()).min(length);
                    self.kept.extend_from_slice(&buffer[..room]);
                    if let Some((live, which)) = &self.live {
                        live.hears(*which, &buffer[..room]);
                    }
                    self.cut |= room < length;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Its end; a pipe that cannot be read has none.
                _ => self.stream = None,
            }
        }
    }

    pub(crate) fn kept(&self) -> &[u8] {
        &self.kept
    }

    pub(crate) fn into_captured(self) -> Captured {
        Captured {
            bytes: self.kept,
            cut: self.cut,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn capture(input: &[u8], limit: usize) -> (bool, Vec<u8>) {
        let (output, mut source) = io::pipe().unwrap();
        let mut capture = Capture::new(output, limit, None).unwrap();
        capture.read();
        assert!(capture.source().is_some(), "it waits for more");
        source.write_all(input).unwrap();
        drop(source);
        capture.read();
        assert!(capture.source().is_none(), "it has ended");
        let captured = capture.into_captured();
        (captured.cut, captured.bytes)
    }

    #[test]
    fn exactly_the_limit_is_not_too_much() {
        assert_eq!(capture(b"12345", 5), (false, b"12345".to_vec()));
        assert_eq!(capture(b"123456", 5), (true, b"12345".to_vec()));
    }
}
