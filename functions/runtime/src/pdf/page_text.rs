//! The text of a page, bounded and tidied.

use std::time::Instant;

use pdf_extract as plain;

/// pdf-extract's plain text, until there is enough of it or no time left.
pub(super) struct Bounded<'a> {
    pub(super) inner: plain::PlainTextOutput<&'a mut String>,
    pub(super) left: usize,
    pub(super) deadline: Instant,
}

impl plain::OutputDev for Bounded<'_> {
    fn begin_page(
        &mut self,
        page: u32,
        media_box: &plain::MediaBox,
        art_box: Option<(f64, f64, f64, f64)>,
    ) -> Result<(), plain::OutputError> {
        self.inner.begin_page(page, media_box, art_box)
    }

    fn end_page(&mut self) -> Result<(), plain::OutputError> {
        self.inner.end_page()
    }

    fn output_character(
        &mut self,
        position: &plain::Transform,
        width: f64,
        spacing: f64,
        font_size: f64,
        character: &str,
    ) -> Result<(), plain::OutputError> {
        // A look at the clock for each character would cost more than the character.
        let late = self.left.is_multiple_of(256) && Instant::now() >= self.deadline;
        if self.left == 0 || late {
            return Err(plain::OutputError::FormatError(std::fmt::Error));
        }
        self.left -= 1;
        self.inner
            .output_character(position, width, spacing, font_size, character)
    }

    fn begin_word(&mut self) -> Result<(), plain::OutputError> {
        self.inner.begin_word()
    }

    fn end_word(&mut self) -> Result<(), plain::OutputError> {
        self.inner.end_word()
    }

    fn end_line(&mut self) -> Result<(), plain::OutputError> {
        self.inner.end_line()
    }
}

/// Letters for ligatures, spaces for control characters, no space at line ends, one empty line at most.
pub(super) fn tidy(page: &str) -> String {
    const LIGATURES: [&str; 7] = ["ff", "fi", "fl", "ffi", "ffl", "st", "st"];
    let mut text = String::with_capacity(page.len());
    let mut n_empty = 0;
    for line in page.lines() {
        let line = line.trim_end();
        n_empty = if line.is_empty() { n_empty + 1 } else { 0 };
        if n_empty > 1 || (line.is_empty() && text.is_empty()) {
            continue;
        }
        for character in line.chars() {
            match character {
                '\u{fb00}'..='\u{fb06}' => {
                    text.push_str(LIGATURES[character as usize - 0xfb00]);
                }
                control if control.is_control() => text.push(' '),
                other => text.push(other),
            }
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}
