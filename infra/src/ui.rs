//! The terminal: results to standard output; status, progress and questions to standard error.
//!
//! The only place that writes to it, and so the place where text of papers and services loses what a terminal
//! would obey: everything but the marks that are set here is shown as [`safe_lines`] has it, a cell of a table
//! and the moving line as [`safe`] has it, and JSON with its hidden characters as `\uXXXX`. What may not
//! have several lines is made one line by whoever says it.

use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use annapurna_contract::text::causes;
use console::{StyledObject, style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::CommandError;

pub(crate) use annapurna_contract::text::{one_line, safe, safe_lines};

use annapurna_contract::text::is_hidden;

/// The two streams that a command writes to, and the moving line on the second.
#[derive(Debug, Clone)]
pub struct Ui {
    bar: Arc<ProgressBar>,
    interactive: bool,
    can_ask: bool,
}

impl Default for Ui {
    fn default() -> Self {
        Self::new()
    }
}

impl Ui {
    /// The process's own terminal; lines move only where standard error is one.
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self {
            bar: Arc::new(bar),
            interactive: io::stderr().is_terminal(),
            can_ask: io::stdin().is_terminal(),
        }
    }

    /// One that nobody sees and that asks nobody, wherever tests run.
    #[cfg(test)]
    pub(crate) fn unattended() -> Self {
        Self {
            interactive: false,
            can_ask: false,
            ..Self::new()
        }
    }

    /// Whether a person sees moving lines.
    pub const fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Writes a result to standard output. A closed pipe is not an error: the reader has enough.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written.
    pub fn result(&self, text: impl Display) -> Result<(), CommandError> {
        write(&safe_lines(&text.to_string()))
    }

    /// Writes a value as JSON to standard output.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written.
    pub fn json(&self, value: &impl serde::Serialize) -> Result<(), CommandError> {
        write(&visible_json(&serde_json::to_string_pretty(value)?))
    }

    /// Says what is happening, on standard error.
    pub fn status(&self, text: impl Display) {
        self.line(None, text);
    }

    /// Says that a step has ended well.
    pub fn done(&self, text: impl Display) {
        self.line(Some(style("✓").green()), text);
    }

    /// Says what a person should know, though it goes on.
    pub fn warn(&self, text: impl Display) {
        self.line(Some(style("warning:").yellow().bold()), text);
    }

    /// Says why the command stopped, with its causes and the next step.
    pub fn error(&self, error: &CommandError) {
        self.line(Some(style("error:").red().bold()), error);
        for cause in causes(error).skip(1) {
            self.line(Some(style("caused by:").red()), cause);
        }
        if let Some(hint) = error.hint() {
            self.line(Some(style("hint:").cyan().bold()), hint);
        }
    }

    /// Says how far it is as one line of JSON, on standard error.
    pub fn progress_json(&self, value: &impl serde::Serialize) {
        match serde_json::to_string(value) {
            Ok(json) => self.line(None, visible_json(&json)),
            Err(error) => self.warn(error),
        }
    }

    fn line(&self, mark: Option<StyledObject<&str>>, text: impl Display) {
        let line = line(mark, &text.to_string());
        self.bar.suspend(|| {
            // Nothing can be said about a standard error that cannot be written.
            let _ = writeln!(io::stderr().lock(), "{line}");
        });
    }

    /// Whether there is a person to ask.
    pub const fn can_ask(&self) -> bool {
        self.can_ask
    }

    /// Asks a question that is answered with yes or no.
    ///
    /// # Errors
    ///
    /// [`CommandError::NobodyToAsk`] without a terminal, and when standard input cannot be read.
    pub async fn confirm(&self, question: &str) -> Result<bool, CommandError> {
        let answer = self.answer(&format!("{question} [y/N]"), "--yes").await?;
        Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
    }

    /// Asks for a name to be typed, which a hand does not do by habit. `flag` is the option that answers it.
    ///
    /// # Errors
    ///
    /// As [`Self::confirm`].
    pub async fn confirm_by_name(
        &self,
        question: &str,
        name: &str,
        flag: &str,
    ) -> Result<bool, CommandError> {
        let question = format!("{question} Type `{name}`:");
        Ok(self.answer(&question, flag).await? == name)
    }

    /// The line that a person types; the end of input is an empty one. Others of the program run meanwhile: the
    /// one that hears Ctrl-C.
    async fn answer(&self, question: &str, flag: &str) -> Result<String, CommandError> {
        if !self.can_ask() {
            return Err(CommandError::NobodyToAsk {
                question: question.to_owned(),
                flag: flag.to_owned(),
            });
        }
        self.bar.suspend(|| {
            write!(io::stderr().lock(), "{} ", safe(question))?;
            io::stderr().flush()
        })?;
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // A thread of its own: the runtime waits at its end for its own, and this one reads until a line is there.
        std::thread::spawn(move || {
            let mut answer = String::new();
            let read = io::stdin().lock().read_line(&mut answer);
            // Nobody waits any more after Ctrl-C.
            let _ = sender.send(read.map(|_| answer));
        });
        let answer = receiver.await.map_err(|_| CommandError::Interrupted)??;
        Ok(answer.trim().to_owned())
    }

    /// Begins a step that takes a while: a line, and on a terminal a moving one.
    pub fn begin(&self, text: impl Display) -> Step {
        let text = safe(&text.to_string());
        if self.interactive {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            if let Ok(spinner) = ProgressStyle::with_template("{spinner:.cyan} {msg} ({elapsed})") {
                self.bar.set_style(spinner);
            }
            self.bar.reset();
            self.bar.set_message(text);
            self.bar.enable_steady_tick(Duration::from_millis(120));
        } else {
            self.status(text);
        }
        Step {
            bar: Arc::clone(&self.bar),
        }
    }

    /// Begins a step of `total` parts.
    pub fn begin_counted(&self, text: impl Display, total: usize) -> Step {
        let step = self.begin(text);
        if let Ok(counted) =
            ProgressStyle::with_template("{bar:24.cyan/dim} {pos}/{len} {msg} ({elapsed})")
        {
            self.bar.set_style(counted);
        }
        self.bar.set_length(total as u64);
        step
    }
}

impl annapurna_local::Progress for Ui {
    fn note(&self, text: &str) {
        if self.interactive {
            self.bar.set_message(safe(text));
        } else {
            self.status(text);
        }
    }
}

/// A step under way; it ends when this is dropped.
#[derive(Debug)]
pub struct Step {
    bar: Arc<ProgressBar>,
}

impl Step {
    /// How many parts are done.
    pub fn reached(&self, parts: usize) {
        self.bar.set_position(parts as u64);
    }

    /// What it is doing now, in the moving line; nothing on no terminal.
    pub fn says(&self, text: impl Display) {
        self.bar.set_message(safe(&text.to_string()));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
    }
}

/// Writes to standard output. A closed pipe is not an error: the reader has enough.
fn write(text: &str) -> Result<(), CommandError> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// A line for standard error; only the mark is obeyed by the terminal.
fn line(mark: Option<StyledObject<&str>>, text: &str) -> String {
    let text = safe_lines(text);
    match mark {
        Some(mark) => format!("{} {text}", mark.for_stderr()),
        None => text,
    }
}

/// JSON that says the same and has no hidden character but its own line breaks. Outside of a text JSON has
/// no other, and in one each may stand as `\uXXXX`, beyond U+FFFF as a pair of them. Source: RFC 8259,
/// section 7.
fn visible_json(json: &str) -> String {
    let mut visible = String::with_capacity(json.len());
    for character in json.chars() {
        if character == '\n' || !is_hidden(character) {
            visible.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            visible.push_str(&format!("\\u{unit:04x}"));
        }
    }
    visible
}

/// A table with aligned columns; the last column is not padded.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut all: Vec<Vec<String>> = vec![header.iter().map(|text| (*text).to_owned()).collect()];
    let cells = |row: &Vec<String>| row.iter().map(|cell| safe(cell)).collect();
    all.extend(rows.iter().map(cells));
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            all.iter()
                .map(|row| console::measure_text_width(&row[column]))
                .max()
                .unwrap_or(0)
        })
        .collect();
    let lines = all.iter().map(|row| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| {
            console::pad_str(cell, *width, console::Alignment::Left, None).into_owned()
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = vec![
            vec!["a".to_owned(), "1".to_owned()],
            vec!["long".to_owned(), "22".to_owned()],
        ];
        assert_eq!(table(&["name", "n"], &rows), "name  n\na     1\nlong  22");
    }

    /// An escape sequence in C1 form, a reordering, a tag beyond U+FFFF, a deletion.
    const HOSTILE: &str = "a\u{9b}31m\u{202e}b\u{e0041}\u{7f}";

    #[test]
    fn json_has_no_hidden_character_and_says_the_same() {
        let value = serde_json::json!({HOSTILE: [HOSTILE, "zwölf\n\t\u{1b}[2J"]});
        let json = visible_json(&serde_json::to_string_pretty(&value).unwrap());
        let hidden: String = json.chars().filter(|it| is_hidden(*it)).collect();
        assert_eq!(hidden.trim_matches('\n'), "", "{json:?}");
        assert!(
            json.contains(r"a\u009b31m\u202eb\udb40\udc41\u007f"),
            "{json}"
        );
        assert!(json.contains("zwölf"), "{json}");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn nothing_in_a_line_or_a_cell_is_obeyed_but_the_mark() {
        let told = line(Some(style("✓")), &format!("{HOSTILE}\nnext"));
        assert_eq!(told, "✓ a 31m b  \nnext");
        let rows = [vec![format!("{HOSTILE}\n"), "1".to_owned()]];
        assert_eq!(table(&["x", "n"], &rows), "x           n\na 31m b     1");
    }
}
