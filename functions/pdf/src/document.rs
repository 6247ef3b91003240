//! From a file to the lines of its pages.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use hayro_syntax::{DecryptionError, LoadPdfError, Pdf, page};

use crate::content::{self, Content};
use crate::font::Fonts;
use crate::wire::{Frame, Page};
use crate::{Limits, PdfError};

/// Reads a file and says its pages one by one, until they, the text or the time are over. A page that is too
/// damaged is empty.
pub(crate) fn read(
    bytes: Vec<u8>,
    limits: Limits,
    deadline: Instant,
    say: &mut dyn FnMut(&Frame) -> io::Result<()>,
) -> Result<(), PdfError> {
    let pdf = Pdf::new(bytes).map_err(cannot_be_read)?;
    let pages = pdf.pages();
    if pages.is_empty() {
        return Err(unreadable("it has no pages"));
    }
    let mut said = |frame: Frame| say(&frame).map_err(|error| unreadable(&error.to_string()));
    said(Frame::Opened(pages.len()))?;
    let mut fonts = Fonts::default();
    let mut left = limits.text;
    for page in pages.iter().take(limits.pages) {
        if left == 0 || Instant::now() >= deadline {
            break;
        }
        let lines = AssertUnwindSafe(|| lines(page, &mut fonts, left, deadline));
        // A page that its reader panics about costs that page.
        let page = catch_unwind(lines).unwrap_or_default();
        let n_bytes: usize = page.lines.iter().map(|line| line.text.len()).sum();
        left = left.saturating_sub(n_bytes);
        said(Frame::Page(page))?;
    }
    Ok(())
}

fn lines<'a>(page: &page::Page<'a>, fonts: &mut Fonts<'a>, text: usize, deadline: Instant) -> Page {
    let mut content = Content::new(fonts, text, deadline);
    content.run(&content::operators(page), page.resources());
    Page {
        height: page.media_box().height() as f32,
        lines: content.finish(),
    }
}

fn cannot_be_read(error: LoadPdfError) -> PdfError {
    match error {
        LoadPdfError::Decryption(
            DecryptionError::PasswordProtected | DecryptionError::UnsupportedAlgorithm,
        ) => PdfError::Encrypted,
        other => unreadable(&format!("{other:?}")),
    }
}

fn unreadable(reason: &str) -> PdfError {
    PdfError::Unreadable {
        reason: reason.to_owned(),
    }
}
