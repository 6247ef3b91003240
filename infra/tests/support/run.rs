//! How a program that a test ran has ended.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test uses its part"
)]

use std::fmt;
use std::process::Output;

/// How a run ended and what it wrote.
pub struct Run {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// It ended with this code.
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// One of its streams has these words.
    #[track_caller]
    pub fn says(&self, words: &str) {
        let is_said = self.stdout.contains(words) || self.stderr.contains(words);
        assert!(is_said, "{words} is not in\n{self}");
    }
}

impl fmt::Display for Run {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "exit code: {:?}\n----- stdout -----\n{}\n----- stderr -----\n{}",
            self.code, self.stdout, self.stderr
        )
    }
}
