//! How far a paper is, in one word for people.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::PaperRecord;

/// How far two machines' clocks may be apart.
const CLOCKS_APART: TimeDelta = TimeDelta::minutes(5);

/// How far a paper has come, as `infra papers` and a scrape's progress show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The judge has not had it yet.
    Waiting,
    /// The judge rejected it: it is not in the index.
    Rejected,
    /// The judge accepted it.
    Judged,
    /// It has a program.
    Code,
    /// Its program is with the agent.
    Testing,
    /// Its program ended with exit code 0 within every limit.
    Passed,
    /// Its program did not.
    Failed,
}

impl Stage {
    /// The word in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Rejected => "rejected",
            Self::Judged => "judged",
            Self::Code => "code",
            Self::Testing => "testing",
            Self::Passed => "passed",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing more will happen to the paper by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Rejected | Self::Passed | Self::Failed)
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl PaperRecord {
    /// The stage of a paper that is in the index.
    pub fn stage(&self) -> Stage {
        let is = |flag: Option<bool>| flag == Some(true);
        if is(self.tested.tested) && is(self.tested.test_success) {
            Stage::Passed
        } else if is(self.tested.tested) {
            Stage::Failed
        } else if is(self.tested.test_in_progress) {
            Stage::Testing
        } else if is(self.generated.code_generated) {
            Stage::Code
        } else {
            Stage::Judged
        }
    }

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
        assert_eq!(record.stage(), Stage::Judged);
        record.generated.code_generated = Some(true);
        assert_eq!(record.stage(), Stage::Code);
        record.tested.test_in_progress = Some(true);
        assert_eq!(record.stage(), Stage::Testing);
        record.tested.tested = Some(true);
        assert_eq!(record.stage(), Stage::Failed);
        record.tested.test_success = Some(true);
        assert_eq!(record.stage(), Stage::Passed);
    }

    #[test]
    fn a_stage_is_one_word_everywhere() {
        let stages = [Stage::Waiting, Stage::Rejected, Stage::Judged, Stage::Code];
        for stage in stages
            .into_iter()
            .chain([Stage::Testing, Stage::Passed, Stage::Failed])
        {
            let json = serde_json::to_value(stage).unwrap();
            assert_eq!(json, stage.as_str());
        }
        assert_eq!(format!("{:<9}|", Stage::Code), "code     |");
    }
}
