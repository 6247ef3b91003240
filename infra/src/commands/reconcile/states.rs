//! Makes the index of states again from what S3 has: verdicts, programs' metadata and results.
//!
//! A state that is there already stays as it is, so this writes what was lost and nothing else. What cannot be read is
//! left out here, and told of where papers are looked at.

use annapurna_contract::status::{GeneratedStatus, GenerationState};
use annapurna_contract::{Generated, PaperId, StatusRecord, TestResult, Verdict, keys};
use annapurna_runtime::search::{Search, StatusIndex};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use super::AT_ONCE;
use super::evidence::Evidence;
use crate::error::CommandError;

/// Every state of a paper that was judged; returns how many were not as they are now.
pub(super) async fn rebuild(evidence: &Evidence, search: &Search) -> Result<usize, CommandError> {
    let states = search.states();
    let written = stream::iter(&evidence.verdicts).map(async |id| {
        let parts = Parts::read(evidence, id).await?;
        parts.write(&states, id).await
    });
    let written: Vec<bool> = written.buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(written.into_iter().filter(|it| *it).count())
}

/// What is known of a program; what is older than the states is told by its other fields.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Metadata {
    #[serde(default)]
    status: Option<GeneratedStatus>,
    code_sha256: String,
    #[serde(default)]
    model_id: Option<String>,
    #[serde(default)]
    record: Generated,
}

impl Metadata {
    fn status(self) -> GeneratedStatus {
        self.status.unwrap_or_else(|| GeneratedStatus {
            state: Some(GenerationState::Checked),
            code_sha256: Some(self.code_sha256),
            model: self.model_id,
            generated_at: self.record.code_generated_at,
            ..GeneratedStatus::default()
        })
    }
}

/// What S3 has of a paper.
#[derive(Debug, Default)]
struct Parts {
    verdict: Option<Verdict>,
    generated: Option<GeneratedStatus>,
    result: Option<TestResult>,
}

impl Parts {
    async fn read(evidence: &Evidence, id: &PaperId) -> Result<Self, CommandError> {
        let (papers, code) = (&evidence.papers_bucket, &evidence.code_bucket);
        let verdict = evidence.read(papers, &keys::verdict(id)).await?;
        let metadata = evidence.read(code, &keys::code_metadata(id)).await?;
        let key = keys::result(id);
        let result = evidence.read(&evidence.outputs_bucket, &key).await?;
        Ok(Self {
            verdict: verdict.and_then(Result::ok),
            generated: metadata.and_then(Result::ok).map(Metadata::status),
            result: result.and_then(Result::ok),
        })
    }

    async fn write(&self, states: &StatusIndex, id: &PaperId) -> Result<bool, CommandError> {
        Ok(states.change(id, |record| self.put_into(record)).await?)
    }

    /// Says whether anything changed.
    fn put_into(&self, record: &mut StatusRecord) -> bool {
        let changes = [
            self.verdict.as_ref().map(|it| record.judge(it)),
            self.generated.as_ref().map(|it| record.generate(it)),
            self.result.as_ref().map(|it| record.test(it)),
        ];
        changes.into_iter().flatten().any(|it| it)
    }
}

#[cfg(test)]
mod tests {
    use annapurna_contract::{Outcome, Stage, TestStatus};
    use serde_json::json;

    use super::*;

    fn parts() -> Parts {
        let verdict = json!({
            "paper_id": PaperId::of("Adam", None), "decision": "accept", "source": "ICLR", "year": 2025,
            "record": {"title": "Adam"},
        });
        let metadata = json!({"paper_title": "Adam", "code_sha256": "c0de", "model_id": "m"});
        let metadata: Metadata = serde_json::from_value(metadata).unwrap();
        Parts {
            verdict: Some(serde_json::from_value(verdict).unwrap()),
            generated: Some(metadata.status()),
            result: Some(TestResult {
                status: Some(TestStatus::Success),
                outcome: Some(Outcome::Trained),
                code_sha256: "c0de".to_owned(),
                ..TestResult::default()
            }),
        }
    }

    #[test]
    fn a_lost_state_is_made_of_all_parts_and_one_that_is_there_stays() {
        let mut record = StatusRecord::default();
        assert!(parts().put_into(&mut record));
        assert_eq!(record.stage(), Stage::Trained);
        assert_eq!(record.heading.title.as_deref(), Some("Adam"));
        assert!(!parts().put_into(&mut record));
        record.tested = None;
        assert_eq!(record.stage(), Stage::Generated);
        assert!(parts().put_into(&mut record), "a part that was lost");
        assert!(!Parts::default().put_into(&mut record));
    }
}
