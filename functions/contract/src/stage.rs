//! How far a paper is, in one word for people.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::{Outcome, PaperRecord, StatusRecord};

/// How far two machines' clocks may be apart.
const CLOCKS_APART: TimeDelta = TimeDelta::minutes(5);

/// How far a paper has come, as `infra papers` and the sample's progress show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The judge has not had it yet.
    Waiting,
    /// The judge rejected it: it is in the index of states only.
    Rejected,
    /// The judge could not decide: a person does.
    Undecided,
    /// The judge accepted it.
    Accepted,
    /// No program could be written for it, and it is not tried again by itself.
    GenerationFailed,
    /// It has a program.
    Generated,
    /// Its program is with the agent.
    Testing,
    /// Its program did not end well, or reported what cannot be.
    Failed,
    /// Its program ended well, and it was not seen that it trained.
    Ran,
    /// Its program trained.
    Trained,
    /// Its program trained, and its method is better than the baseline.
    BeatsBaseline,
}

impl Stage {
    /// The word in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Rejected => "rejected",
            Self::Undecided => "undecided",
            Self::Accepted => "accepted",
            Self::GenerationFailed => "generation-failed",
            Self::Generated => "generated",
            Self::Testing => "testing",
            Self::Failed => "failed",
            Self::Ran => "ran",
            Self::Trained => "trained",
            Self::BeatsBaseline => "beats-baseline",
        }
    }

    /// Of what the two indexes have of a paper; either may have nothing.
    pub fn of(record: Option<&PaperRecord>, status: Option<&StatusRecord>) -> Self {
        let by_status = status.map_or(Self::Waiting, StatusRecord::stage);
        let Some(record) = record else {
            return by_status;
        };
        let is = |flag: Option<bool>| flag == Some(true);
        if is(record.tested.tested) {
            return match by_status {
                by_status @ (Self::Failed | Self::Ran | Self::Trained | Self::BeatsBaseline) => {
                    by_status
                }
                // A program that was written since.
                Self::Generated if is(record.tested.test_in_progress) => Self::Testing,
                Self::Generated => Self::Generated,
                // A result that is older than the index of states.
                _ if is(record.tested.test_success) => Self::Ran,
                _ => Self::Failed,
            };
        }
        if is(record.tested.test_in_progress) {
            Self::Testing
        } else if is(record.generated.code_generated) {
            Self::Generated
        } else if by_status == Self::GenerationFailed {
            by_status
        } else {
            Self::Accepted
        }
    }

    /// Whether nothing more will happen to the paper by itself.
    pub fn is_final(self) -> bool {
        match self {
            Self::Waiting | Self::Accepted | Self::Generated | Self::Testing => false,
            Self::Rejected | Self::Undecided | Self::GenerationFailed => true,
            Self::Failed | Self::Ran | Self::Trained | Self::BeatsBaseline => true,
        }
    }

    /// Whether the paper's program really trained.
    pub fn is_pass(self) -> bool {
        matches!(self, Self::Trained | Self::BeatsBaseline)
    }
}

impl From<Outcome> for Stage {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Failed => Self::Failed,
            Outcome::Ran => Self::Ran,
            Outcome::Trained => Self::Trained,
            Outcome::BeatsBaseline => Self::BeatsBaseline,
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl PaperRecord {
    /// Whether the paper waits for its text before it gets a program: the text is to come, and `wait` has not
    /// passed since the judge stored the paper. Nothing waits without a time, nor with one that is unreadable
    /// or to come: nobody could say until when.
    pub fn waits_for_text(&self, wait: Duration, now: DateTime<Utc>) -> bool {
        let stored = self.judged.ingested_at.as_deref();
        let stored = stored.and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        // A wait beyond what chrono counts has no end.
        let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
        let is_in_time = stored.is_some_and(|stored| {
            let waited = now.signed_duration_since(stored);
            waited >= -CLOCKS_APART && waited.max(TimeDelta::zero()) < wait
        });
        is_in_time
            && self.judged.text_expected == Some(true)
            && self.judged.s3_key.is_none()
            && self.generated.code_generated != Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Decision;
    use crate::status::{GeneratedStatus, GenerationState, JudgedStatus, TestedStatus};

    #[test]
    fn a_paper_waits_for_a_text_that_is_to_come_until_its_time_is_over() {
        let now: DateTime<Utc> = "2026-01-02T09:00:00Z".parse().unwrap();
        let expecting = |ingested_at: &str| {
            let mut paper = PaperRecord::default();
            paper.judged.text_expected = Some(true);
            paper.judged.ingested_at = Some(ingested_at.to_owned());
            paper
        };
        let hour = Duration::from_secs(3600);
        let waits = |paper: &PaperRecord| paper.waits_for_text(hour, now);
        for (ingested_at, wanted) in [
            ("2026-01-02T08:59:59Z", true),
            ("2026-01-02T09:00:01+00:00", true),
            ("2026-01-02T08:00:01Z", true),
            ("2026-01-02T08:00:00Z", false),
            ("2025-01-02T08:30:00Z", false),
            // Nonsense waits for nothing.
            ("2999-01-01T00:00:00Z", false),
            ("2026-01-02", false),
            ("soon", false),
            ("", false),
        ] {
            assert_eq!(waits(&expecting(ingested_at)), wanted, "{ingested_at}");
        }
        let fresh = expecting("2026-01-02T08:59:59Z");
        assert!(!fresh.waits_for_text(Duration::ZERO, now));
        assert!(!expecting("2026-01-02T09:00:01Z").waits_for_text(Duration::ZERO, now));
        assert!(fresh.waits_for_text(Duration::MAX, now));
        let mut paper = fresh.clone();
        paper.judged.ingested_at = None;
        assert!(!waits(&paper));
        paper = fresh.clone();
        paper.judged.s3_key = Some("iclr/2015/1.pdf".to_owned());
        assert!(!waits(&paper), "its text is there");
        paper = fresh.clone();
        paper.generated.code_generated = Some(true);
        assert!(!waits(&paper), "it has a program");
        for not_expected in [None, Some(false)] {
            paper = fresh.clone();
            paper.judged.text_expected = not_expected;
            assert!(!waits(&paper), "{not_expected:?}");
        }
    }

    #[test]
    fn a_result_counts_more_than_a_run_in_progress() {
        let mut record = PaperRecord::default();
        let stage = |record: &PaperRecord| Stage::of(Some(record), None);
        assert_eq!(stage(&record), Stage::Accepted);
        record.generated.code_generated = Some(true);
        assert_eq!(stage(&record), Stage::Generated);
        record.tested.test_in_progress = Some(true);
        assert_eq!(stage(&record), Stage::Testing);
        record.tested.tested = Some(true);
        assert_eq!(stage(&record), Stage::Failed);
        record.tested.test_success = Some(true);
        assert_eq!(stage(&record), Stage::Ran, "no more is known of it");
        let mut status = StatusRecord::default();
        for outcome in [Outcome::Failed, Outcome::Ran, Outcome::BeatsBaseline] {
            status.tested = Some(TestedStatus {
                outcome: Some(outcome),
                ..TestedStatus::default()
            });
            let found = Stage::of(Some(&record), Some(&status));
            assert_eq!(found, Stage::from(outcome));
        }
        status.generated = Some(GeneratedStatus {
            state: Some(GenerationState::Checked),
            code_sha256: Some("another".to_owned()),
            ..GeneratedStatus::default()
        });
        let stage = |record: &PaperRecord| Stage::of(Some(record), Some(&status));
        assert_eq!(stage(&record), Stage::Testing, "of the new program");
        record.tested.test_in_progress = Some(false);
        assert_eq!(stage(&record), Stage::Generated);
    }

    #[test]
    fn what_is_in_no_index_of_papers_has_its_stage_from_the_other() {
        let judged = |decision: Decision| {
            let judged = JudgedStatus {
                decision: Some(decision),
                ..JudgedStatus::default()
            };
            StatusRecord {
                judged: Some(judged),
                ..StatusRecord::default()
            }
        };
        let stage = |status: &StatusRecord| Stage::of(None, Some(status));
        assert_eq!(Stage::of(None, None), Stage::Waiting);
        assert_eq!(stage(&judged(Decision::Reject)), Stage::Rejected);
        assert_eq!(
            stage(&judged(Decision::from("undecided".to_owned()))),
            Stage::Undecided
        );
        let mut failed = judged(Decision::Accept);
        assert_eq!(stage(&failed), Stage::Accepted);
        failed.generated = Some(GeneratedStatus {
            state: Some(GenerationState::Failed),
            ..GeneratedStatus::default()
        });
        assert_eq!(stage(&failed), Stage::GenerationFailed);
        let record = PaperRecord::default();
        let found = Stage::of(Some(&record), Some(&failed));
        assert_eq!(found, Stage::GenerationFailed);
    }

    #[test]
    fn a_stage_is_one_word_everywhere() {
        for stage in [
            Stage::Waiting,
            Stage::Rejected,
            Stage::Undecided,
            Stage::Accepted,
            Stage::GenerationFailed,
            Stage::Generated,
            Stage::Testing,
            Stage::Failed,
            Stage::Ran,
            Stage::Trained,
            Stage::BeatsBaseline,
        ] {
            let json = serde_json::to_value(stage).unwrap();
            assert_eq!(json, stage.as_str());
            assert!(stage.is_final() || !stage.is_pass());
        }
        assert_eq!(format!("{:<9}|", Stage::Ran), "ran      |");
    }
}
