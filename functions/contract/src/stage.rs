//! How far a paper is, in one word for people.

use serde::Serialize;

use crate::PaperRecord;

/// A paper's stage.
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
    /// Its program succeeded.
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
