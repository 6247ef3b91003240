//! The text of a PDF.
//!
//! In: the bytes of a file that a stranger made. Out: its text in reading order of the file, or one of
//! three clean errors. Nothing in a file makes this panic, run for ever or fill the memory, by two
//! steps:
//!
//! 1. lopdf reads the file with limits on what may be unpacked, and opens encryption without a password.
//! 2. Of each page only what text needs is copied into a new document: text operators with operands of
//!    the right kind, fonts, and form XObjects without cycles. pdf-extract, which trusts its input and
//!    panics where that is wrong, sees nothing else.
//!
//! The second step runs in a thread of its own with a large stack, page by page, each behind
//! `catch_unwind` (so no profile may set `panic = "abort"`): a page that fails is missing from the text,
//! the others are there. pdf-extract is built on an older lopdf without limits, hence both versions.
//! Images are deliberately not read: a scan without a text layer has no text here.

mod cmap;
mod extract;
mod operators;
mod page_text;
#[cfg(test)]
mod tests;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    time::{Duration, Instant},
};

use annapurna_contract::text::{first_chars, one_line};
use lopdf::{Document, Error, LoadOptions, ObjectId};

use extract::Extract;
use page_text::tidy;

/// Most bytes one stream may unpack to.
const STREAM_LIMIT: usize = 16 << 20;
/// The extracting thread's stack. Only touched pages of it use memory.
const STACK: usize = 64 << 20;

/// How much of a PDF is read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Pages, from the first.
    pub pages: usize,
    /// Characters of the whole text; what follows is cut.
    pub characters: usize,
    /// Time; what was read until then is the text.
    pub time: Duration,
}

impl Default for Limits {
    /// Enough for every paper and its appendix.
    fn default() -> Self {
        Self {
            pages: 60,
            characters: 400_000,
            time: Duration::from_secs(30),
        }
    }
}

/// Why a PDF has no text to give.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
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
}

/// The text of a PDF, without blocking the caller's other work.
///
/// # Errors
///
/// See [`PdfError`].
pub async fn text_of(bytes: Vec<u8>, limits: Limits) -> Result<String, PdfError> {
    tokio::task::spawn_blocking(move || text(bytes, limits))
        .await
        .unwrap_or_else(|error| {
            Err(PdfError::Unreadable {
                reason: error.to_string(),
            })
        })
}

/// The text of a PDF: pages in order, separated by an empty line; ligatures as letters. Empty when the
/// file has no text layer.
///
/// # Errors
///
/// See [`PdfError`].
pub fn text(bytes: Vec<u8>, limits: Limits) -> Result<String, PdfError> {
    let deadline = Instant::now() + limits.time;
    let (sender, pages) = mpsc::channel();
    let work = move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            send_pages(&bytes, limits, deadline, &sender)
        }));
        let outcome = outcome.unwrap_or_else(|_| {
            Err(PdfError::Unreadable {
                reason: "its structure is damaged".to_owned(),
            })
        });
        if let Err(error) = outcome {
            // Nobody listens any more only when the time is over.
            let _ = sender.send(Err(error));
        }
    };
    std::thread::Builder::new()
        .name("pdf-text".to_owned())
        .stack_size(STACK)
        .spawn(work)
        .map_err(|error| PdfError::Unreadable {
            reason: format!("no thread to read it in: {error}"),
        })?;
    collect(&pages, limits, deadline)
}

/// Puts the pages together until they, the characters or the time are over.
fn collect(
    pages: &mpsc::Receiver<Result<String, PdfError>>,
    limits: Limits,
    deadline: Instant,
) -> Result<String, PdfError> {
    let mut whole = String::new();
    let mut n_pages = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match pages.recv_timeout(left) {
            Ok(page) => {
                let page = tidy(&page?);
                if !whole.is_empty() && !page.is_empty() {
                    whole.push_str("\n\n");
                }
                whole.push_str(&page);
                n_pages += 1;
            }
            Err(mpsc::RecvTimeoutError::Timeout) if n_pages == 0 => {
                return Err(PdfError::TooSlow { limit: limits.time });
            }
            Err(_) => break,
        }
        if whole.len() >= limits.characters && whole.chars().count() >= limits.characters {
            break;
        }
    }
    Ok(first_chars(&whole, limits.characters).to_owned())
}

/// Reads the file and sends each page's text.
fn send_pages(
    bytes: &[u8],
    limits: Limits,
    deadline: Instant,
    sender: &mpsc::Sender<Result<String, PdfError>>,
) -> Result<(), PdfError> {
    let document = open(bytes)?;
    let pages: Vec<ObjectId> = document.page_iter().take(limits.pages).collect();
    if pages.is_empty() {
        return Err(PdfError::Unreadable {
            reason: "it has no pages".to_owned(),
        });
    }
    let mut extract = Extract::new(&document);
    let mut left = limits.characters;
    for page in pages {
        let out_of_time = Instant::now() >= deadline;
        if left == 0 || out_of_time {
            break;
        }
        let text = extract.page(page, left, deadline);
        left = left.saturating_sub(text.chars().count());
        if sender.send(Ok(text)).is_err() {
            break;
        }
    }
    Ok(())
}

fn open(bytes: &[u8]) -> Result<Document, PdfError> {
    let options = LoadOptions {
        max_decompressed_size: Some(4 * STREAM_LIMIT),
        ..LoadOptions::default()
    };
    let mut document = match Document::load_mem_with_options(bytes, options) {
        Ok(document) => document,
        Err(
            Error::InvalidPassword | Error::Decryption(_) | Error::UnsupportedSecurityHandler(_),
        ) => return Err(PdfError::Encrypted),
        Err(error) => {
            return Err(PdfError::Unreadable {
                reason: one_line(&error.to_string(), 200),
            });
        }
    };
    // Loading opens what the empty password opens. What it could not open has the trailer's entry
    // only, or objects that nothing else can read either.
    let closed = document.trailer.has(b"Encrypt") && !document.was_encrypted();
    if closed && document.decrypt("").is_err() {
        return Err(PdfError::Encrypted);
    }
    Ok(document)
}
