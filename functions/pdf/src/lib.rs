//! The text of a paper's PDF, by sections.
//!
//! In: the bytes of a file that a stranger made. Out: a [`Paper`], or one of four clean errors, upon which the
//! caller goes on with the abstract. Nothing in a file makes this panic, run for ever or fill the memory:
//!
//! 1. [`read`] starts the running program once more as a child ([`child`]), which has no environment, a limit of
//!    its own on memory and processor time, and reads one file. A child that is killed costs what it had not
//!    read yet and nothing else; the caller and its other work go on.
//! 2. The child takes the operators of each page one after the other ([`document`]), asks their fonts for
//!    characters, and puts those into lines by their places ([`layout`]).
//! 3. The caller finds headers, stamps and sections in the lines ([`furniture`], [`sections`]) and gives as
//!    much of them to a model as it has room for, the method first ([`Paper::for_model`]).
//!
//! Images are deliberately not read: a scan without a text layer has no text here.

mod accents;
mod child;
mod content;
mod document;
mod font;
mod furniture;
mod headings;
#[cfg(test)]
mod hostile;
mod layout;
mod paper;
mod parent;
#[cfg(test)]
mod recall;
mod sections;
mod wire;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use paper::{Paper, Section, SectionKind};
pub use parent::read;

/// Largest PDF that is read, bytes: the largest that the scrapers store.
pub const PDF_LIMIT: u64 = 96 << 20;

/// How much of a PDF is read.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Limits {
    /// Pages, from the first.
    pub pages: usize,
    /// Bytes of text; the page that goes beyond is the last.
    pub text: usize,
    /// Time; what was read until then is the text.
    pub time: Duration,
}

impl Default for Limits {
    /// Enough for every paper and its appendix.
    fn default() -> Self {
        Self {
            pages: 80,
            text: 800_000,
            time: Duration::from_secs(30),
        }
    }
}

/// Why a PDF has no text to give.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq, Serialize, Deserialize)]
pub enum PdfError {
    /// It opens with a password only, or is encrypted in a way that cannot be opened.
    #[error("PDF is encrypted: it needs a password")]
    Encrypted,
    /// It is not a PDF, or too damaged.
    #[error("PDF cannot be read: {reason}")]
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
    /// Not even its first page was read in time.
    #[error("PDF gave no text within {} s", limit.as_secs())]
    TooSlow {
        /// [`Limits::time`] of the call.
        limit: Duration,
    },
    /// Its reader was ended before the first page: the file asks for more memory than a paper needs.
    #[error("PDF asks for too much: its reader ended with {status}")]
    TooMuch {
        /// The exit status or signal.
        status: String,
    },
}
