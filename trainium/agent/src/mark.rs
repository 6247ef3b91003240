//! The line by which the runner tells a program that failed from a sandbox that could not be made.
//!
//! `launch confine` prints it as the first line of standard output just before it becomes the interpreter. A
//! program cannot know it beforehand, and it is taken off its output.

use std::fs::File;
use std::io::{self, Read};

/// Random bytes of a mark.
const BYTES: usize = 16;

/// Hexadecimal digits that one run's launcher knows and its program cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark(String);

impl Mark {
    /// # Errors
    ///
    /// When `/dev/urandom` cannot be read.
    pub(crate) fn random() -> io::Result<Self> {
        let mut bytes = [0; BYTES];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(hex::encode(bytes)))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Bytes of output that may be marks and not the program's.
    pub(crate) const fn most_output() -> usize {
        2 * (2 * BYTES + 1)
    }

    /// Whether the program really began, and its own output. A second mark says that the interpreter could
    /// not be started after all.
    pub(crate) fn strip(&self, stdout: Vec<u8>) -> (bool, Vec<u8>) {
        let line = format!("{}\n", self.0);
        match stdout.strip_prefix(line.as_bytes()) {
            Some(rest) if rest.starts_with(line.as_bytes()) => (false, Vec::new()),
            Some(rest) => (true, rest.to_vec()),
            None => (false, stdout),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_never_began_is_told_from_one_that_failed() {
        let mark = Mark("m".to_owned());
        assert_eq!(mark.strip(b"m\nhello".to_vec()), (true, b"hello".to_vec()));
        assert_eq!(mark.strip(b"m\nm\n".to_vec()), (false, vec![]));
        assert!(!mark.strip(b"bwrap: no".to_vec()).0);
    }

    #[test]
    fn two_marks_differ_and_their_length_is_known() {
        let (one, other) = (Mark::random().unwrap(), Mark::random().unwrap());
        assert_ne!(one, other);
        assert_eq!(2 * (one.as_str().len() + 1), Mark::most_output());
    }
}
