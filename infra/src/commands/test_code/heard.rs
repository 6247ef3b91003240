//! What a program prints, shown as it comes.

use annapurna_contract::{LivePart, TestResult};

use crate::commands::{Context, results};
use crate::error::CommandError;
use crate::test_outputs::TestOutputs;

/// How much of a program's output was shown while it ran.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The number of the next part.
    next: u32,
    stdout: String,
    stderr: String,
}

impl Heard {
    /// Shows the parts that have come; whether there were any.
    ///
    /// # Errors
    ///
    /// When S3 does not answer, or standard output cannot be written.
    pub(super) async fn more(
        &mut self,
        cx: &Context,
        outputs: &TestOutputs<'_>,
        prefix: &str,
    ) -> Result<bool, CommandError> {
        let mut any = false;
        while let Some(part) = outputs.live_part(prefix, self.next).await? {
            self.show(cx, &part)?;
            self.next += 1;
            any = true;
        }
        Ok(any)
    }

    fn show(&mut self, cx: &Context, part: &LivePart) -> Result<(), CommandError> {
        if !part.stdout.is_empty() {
            cx.ui.result(part.stdout.trim_end_matches(['\n', '\r']))?;
        }
        if !part.stderr.is_empty() {
            cx.ui.status(part.stderr.trim_end_matches(['\n', '\r']));
        }
        self.stdout.push_str(&part.stdout);
        self.stderr.push_str(&part.stderr);
        Ok(())
    }

    /// Shows what was printed since, and then the result.
    ///
    /// # Errors
    ///
    /// As [`Self::more`].
    pub(super) async fn rest(
        mut self,
        cx: &Context,
        outputs: &TestOutputs<'_>,
        result: &TestResult,
    ) -> Result<(), CommandError> {
        let keys = &result.outputs;
        let stdout = outputs.text(&keys.stdout).await?;
        let stderr = outputs.text(&keys.stderr).await?;
        let rest = LivePart {
            stdout: after(&self.stdout, &stdout).to_owned(),
            stderr: after(&self.stderr, &stderr).to_owned(),
        };
        self.show(cx, &rest)?;
        for (name, was_cut) in [
            ("standard output", result.stdout_truncated),
            ("standard error", result.stderr_truncated),
        ] {
            if was_cut {
                cx.ui.warn(format!("{name} was cut at the agent's limit"));
            }
        }
        cx.ui.result(format!("\n{}", results::fields(result)))
    }
}

/// What `whole` has beyond what was shown of it; all of it where it begins otherwise.
fn after<'a>(shown: &str, whole: &'a str) -> &'a str {
    whole.strip_prefix(shown).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_shown_twice_and_nothing_is_left_out() {
        assert_eq!(after("", "one\ntwo"), "one\ntwo");
        assert_eq!(after("one\n", "one\ntwo"), "two");
        assert_eq!(after("one\n", "one\n"), "");
        assert_eq!(after("one\n", "other\n"), "other\n");
    }
}
