//! The terminal: results to standard output; status, progress and questions to standard error.
//!
//! The only place that writes to it. Text from papers and services is escaped before it is shown.

use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use annapurna_contract::text::causes;
use console::style;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::CommandError;

pub use annapurna_contract::text::{one_line, safe, safe_lines};

/// The two streams that a command writes to, and the moving line on the second.
#[derive(Debug, Clone)]
pub struct Ui {
    bar: Arc<ProgressBar>,
    interactive: bool,
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
        match writeln!(io::stdout().lock(), "{text}") {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Writes a value as JSON to standard output.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written.
    pub fn json(&self, value: &impl serde::Serialize) -> Result<(), CommandError> {
        self.result(serde_json::to_string_pretty(value)?)
    }

    /// Says what is happening, on standard error.
    pub fn status(&self, text: impl Display) {
        self.line(&text.to_string());
    }

    /// Says that a step has ended well.
    pub fn done(&self, text: impl Display) {
        self.line(&format!("{} {text}", style("✓").green().for_stderr()));
    }

    /// Says what a person should know, though it goes on.
    pub fn warn(&self, text: impl Display) {
        self.line(&format!(
            "{} {text}",
            style("warning:").yellow().bold().for_stderr()
        ));
    }

    /// Says why the command stopped, with its causes and the next step.
    pub fn error(&self, error: &CommandError) {
        self.line(&format!(
            "{} {}",
            style("error:").red().bold().for_stderr(),
            safe_lines(&error.to_string())
        ));
        for cause in causes(error).skip(1) {
            self.line(&format!(
                "{} {}",
                style("caused by:").red().for_stderr(),
                safe_lines(&cause.to_string())
            ));
        }
        if let Some(hint) = error.hint() {
            self.line(&format!(
                "{} {}",
                style("hint:").cyan().bold().for_stderr(),
                safe_lines(&hint)
            ));
        }
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| {
            // Nothing can be said about a standard error that cannot be written.
            let _ = writeln!(io::stderr().lock(), "{text}");
        });
    }

    /// Asks a question that is answered with yes or no. Without a terminal the answer is no.
    ///
    /// # Errors
    ///
    /// When standard input cannot be read.
    pub fn confirm(&self, question: &str) -> Result<bool, CommandError> {
        if !io::stdin().is_terminal() {
            self.status(format!(
                "{question} No terminal to ask on; answer with --yes."
            ));
            return Ok(false);
        }
        self.bar.suspend(|| {
            write!(io::stderr().lock(), "{question} [y/N] ")?;
            io::stderr().flush()?;
            let mut answer = String::new();
            io::stdin().lock().read_line(&mut answer)?;
            Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
        })
    }

    /// Begins a step that takes a while: a line, and on a terminal a moving one.
    pub fn begin(&self, text: impl Display) -> Step {
        let text = text.to_string();
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
            self.bar.set_message(text.to_owned());
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
        self.bar.set_message(text.to_string());
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
    }
}

/// A table with aligned columns; the last column is not padded.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |row: &[String]| row.to_vec();
    let mut all = vec![cells(
        &header
            .iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>(),
    )];
    all.extend(rows.iter().map(|row| cells(row)));
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
}
