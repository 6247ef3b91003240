//! What the generator is told of a program that failed.
//!
//! In: a result. Out: a [`CodeGenerationMessage`] that asks for a mended program, with the end of what the failed one
//! wrote to standard error: a program's text, which is data to the generator as well. The generator keeps count of how
//! often a program was mended, so the same result told twice asks for nothing more.

use annapurna_cloud::{Message, MessageQueues, ObjectStore, S3, Sqs};
use annapurna_contract::{
    CodeGenerationMessage, DryRun, PaperId, Repair, RepairFrom, TestResult, TestStatus,
};
use tracing::{info, warn};

use crate::collect::CollectError;
use crate::settings::Settings;

/// Largest standard error that is read, bytes: more than the agent keeps of it.
const STDERR_LIMIT: u64 = 64 << 20;

/// Sends failed programs back to the generator.
#[derive(Debug, Clone)]
pub(crate) struct Repairs {
    objects: S3,
    queues: Sqs,
    queue_url: String,
}

impl Repairs {
    pub(crate) fn new(objects: S3, queues: Sqs, settings: &Settings) -> Self {
        Self {
            objects,
            queues,
            queue_url: settings.generation_queue_url.clone(),
        }
    }

    /// Asks for a mended program where a result says that the program failed by its own doing.
    pub(crate) async fn ask(
        &self,
        paper: &PaperId,
        title: String,
        result: &TestResult,
    ) -> Result<(), CollectError> {
        let Some(from) = failed_in(result).filter(|_| !result.code_sha256.is_empty()) else {
            return Ok(());
        };
        let findings = self.findings(paper, from, result).await;
        let message = CodeGenerationMessage {
            repair: Some(Repair {
                code_sha256: result.code_sha256.clone(),
                from,
                findings,
            }),
            ..CodeGenerationMessage::of(paper.clone(), title)
        };
        let message = Message::of(&message).map_err(|error| CollectError::Unusable {
            paper_id: paper.clone(),
            reason: error.to_string(),
        })?;
        self.queues.send(&self.queue_url, message).await?;
        info!(paper_id = %paper, code_sha256 = result.code_sha256, ?from, "to be mended");
        Ok(())
    }

    /// Why the program failed, then the end of what it wrote, as much of both as a message takes.
    async fn findings(&self, paper: &PaperId, from: RepairFrom, result: &TestResult) -> String {
        let reason = match (from, &result.dry_run) {
            (RepairFrom::DryRun, Some(dry_run)) => dry_run.error_message.as_deref(),
            _ => result.error_message.as_deref(),
        };
        let reason: String = last(
            reason.unwrap_or("it gave no reason"),
            Repair::MOST_FINDINGS / 4,
        );
        let outputs = &result.outputs;
        let found = match outputs.stderr.is_empty() {
            true => Ok(None),
            false => {
                self.objects
                    .get(&outputs.bucket, &outputs.stderr, STDERR_LIMIT)
                    .await
            }
        };
        let stderr = found.unwrap_or_else(|error| {
            warn!(paper_id = %paper, %error, "its standard error cannot be read");
            None
        });
        let stderr = String::from_utf8_lossy(&stderr.unwrap_or_default()).into_owned();
        let left = Repair::MOST_FINDINGS - reason.chars().count() - 1;
        format!("{reason}\n{}", last(stderr.trim(), left))
    }
}

/// Where the program failed; `None` where it succeeded, or where mending it would be of no use: it did what no program
/// may.
fn failed_in(result: &TestResult) -> Option<RepairFrom> {
    let is_to_mend =
        |status: TestStatus| !matches!(status, TestStatus::Success | TestStatus::Denied);
    // A dry run that went on for all its time found nothing.
    let went_wrong = |run: &DryRun| is_to_mend(run.status) && run.status != TestStatus::Timeout;
    if result.dry_run.as_ref().is_some_and(went_wrong) {
        return Some(RepairFrom::DryRun);
    }
    result
        .status()
        .is_some_and(is_to_mend)
        .then_some(RepairFrom::Device)
}

/// The last so many characters.
fn last(text: &str, most: usize) -> String {
    let n_characters = text.chars().count();
    text.chars()
        .skip(n_characters.saturating_sub(most))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_mended_where_it_failed_and_never_for_what_it_may_not_do() {
        let run = |status| DryRun {
            status,
            execution_time: 1.0,
            error_type: None,
            error_message: None,
        };
        let of = |dry: Option<TestStatus>, status: TestStatus| {
            failed_in(&TestResult {
                status: Some(status),
                dry_run: dry.map(run),
                ..TestResult::default()
            })
        };
        let (success, wrong) = (TestStatus::Success, TestStatus::ProgramError);
        assert_eq!(of(Some(success), success), None);
        assert_eq!(of(Some(wrong), wrong), Some(RepairFrom::DryRun));
        assert_eq!(
            of(Some(TestStatus::Timeout), wrong),
            Some(RepairFrom::Device)
        );
        assert_eq!(
            of(Some(success), TestStatus::Timeout),
            Some(RepairFrom::Device)
        );
        assert_eq!(of(None, wrong), Some(RepairFrom::Device));
        assert_eq!(of(None, TestStatus::Denied), None);
        assert_eq!(of(Some(TestStatus::Denied), TestStatus::Denied), None);
    }

    #[test]
    fn the_end_of_a_text_is_kept_whole_characters() {
        assert_eq!(last("áéíóú", 2), "óú");
        assert_eq!(last("ab", 5), "ab");
        assert_eq!(last("ab", 0), "");
    }
}
