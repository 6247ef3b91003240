//! Programs that are run to their end. Every wait has a limit.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::LocalError;

/// How much of a program's output an error carries.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: usize = 4096;

/// Runs `command` to its end and returns what it printed to standard output.
pub(crate) async fn run(
    what: &str,
    command: &mut Command,
    limit: Duration,
) -> Result<String, LocalError> {
    let output = output(what, command, limit).await?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(LocalError::Failed {
        what: what.to_owned(),
        status: output.status.to_string(),
        log: tail(&text(&output)),
    })
}

/// All that a program printed.
pub(crate) fn text(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("{stdout}{stderr}")
}

/// Runs `command` to its end, whatever it says then.
///
/// A dropped future ends the program, so an interrupted command leaves none behind.
pub(crate) async fn output(
    what: &str,
    command: &mut Command,
    limit: Duration,
) -> Result<Output, LocalError> {
    let program = command.as_std().get_program().into();
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    tokio::time::timeout(limit, output)
        .await
        .map_err(|_| LocalError::Timeout {
            what: what.to_owned(),
            seconds: limit.as_secs(),
            log: String::new(),
        })?
        .map_err(|source| LocalError::Start {
            what: what.to_owned(),
            program,
            source,
        })
}

/// The last lines of a text.
pub(crate) fn tail(text: &str) -> String {
    let start = text.ceil_char_boundary(text.len().saturating_sub(TAIL_BYTES));
    let lines: Vec<&str> = text[start..].lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Where a program is on `PATH`; `None` where no folder of it has one of this name.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_tail_keeps_the_last_lines_and_splits_no_character() {
        let text = "é\n".repeat(5000);
        let tail = tail(&text);
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.lines().all(|line| line == "é"));
    }

    #[tokio::test]
    async fn a_tool_that_hangs_is_ended_at_its_limit() {
        let start = Instant::now();
        let error = run(
            "a nap",
            Command::new("sleep").arg("30"),
            Duration::from_millis(200),
        )
        .await
        .unwrap_err();
        assert!(error.to_string().contains("a nap"), "{error}");
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "it slept to its end"
        );
    }

    #[tokio::test]
    async fn a_failed_tool_says_what_it_printed() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let error = run("a script", &mut command, Duration::from_secs(10))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("out") && error.contains("err") && error.contains('3'),
            "{error}"
        );
    }
}
