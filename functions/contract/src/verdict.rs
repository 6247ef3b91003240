//! The judge's verdict as S3 keeps it.

use serde::{Deserialize, Serialize};

use crate::messages::{first_revision, is_first_revision};
use crate::{Decision, Judged, PaperId, Question, Source};

/// `verdicts/{paper_id}.json`: all that the steps after the verdict need, and what tells `infra` of a
/// paper that is in no index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whose verdict it is; the object's key has it, too.
    pub paper_id: PaperId,
    /// The last of its revisions that was judged; one that came before there were revisions is the first.
    #[serde(default = "first_revision", skip_serializing_if = "is_first_revision")]
    pub revision: u32,
    /// Whether the paper goes on. One that was accepted stays so, whatever is judged of a later revision.
    pub decision: Decision,
    /// Where it came from.
    pub source: Source,
    /// Conference year, or the year of arXiv's first version.
    pub year: u16,
    /// The document's fields as of the revision by which `decision` stands, with reason; the vector only of
    /// an accepted paper.
    pub record: Judged,
    /// What was judged of each revision, the oldest first; empty while it was one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judgements: Vec<Judgement>,
}

/// What was judged of one revision of a paper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The revision's number, from 1.
    pub revision: u32,
    /// Whether it alone would go on.
    pub decision: Decision,
    /// The question it failed; `None` when it was accepted.
    #[serde(default)]
    pub rejected_by: Option<Question>,
    /// Why, in a sentence or two.
    #[serde(default)]
    pub reason: Option<String>,
    /// RFC 3339 UTC time, to the second; `None` in what was written without one.
    #[serde(default)]
    pub judged_at: Option<String>,
}

impl Judgement {
    fn of(verdict: &Verdict) -> Self {
        Self {
            revision: verdict.revision,
            decision: verdict.decision.clone(),
            rejected_by: verdict.record.rejected_by.clone(),
            reason: verdict.record.reason.clone(),
            judged_at: verdict.record.ingested_at.clone(),
        }
    }
}

impl Verdict {
    /// This verdict after a later revision was judged too. It brings a rejected paper in, or gives an
    /// accepted one new reasons; it throws none out, since program and results are of the accepted one.
    pub fn revised(self, later: Self) -> Self {
        let mut judgements = self.judgements.clone();
        if judgements.is_empty() {
            judgements.push(Judgement::of(&self));
        }
        judgements.push(Judgement::of(&later));
        let was_accepted = self.decision == Decision::Accept;
        if was_accepted && later.decision != Decision::Accept {
            return Self {
                revision: later.revision,
                judgements,
                ..self
            };
        }
        let mut record = later.record;
        record.s3_key = record.s3_key.or(self.record.s3_key);
        if was_accepted {
            // The paper is not new in the index, and a wait that has begun is not begun again.
            record.ingested_at = self.record.ingested_at.or(record.ingested_at);
        }
        Self {
            record,
            judgements,
            ..later
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(revision: u32, decision: Decision) -> Verdict {
        let rejected_by = (decision == Decision::Reject).then_some(Question::Relevance);
        Verdict {
            paper_id: PaperId::of("Adam", None),
            revision,
            source: Source::Iclr,
            year: 2015,
            record: Judged {
                decision: Some(decision.clone()),
                reason: Some(format!("reason {revision}")),
                rejected_by,
                ingested_at: Some(format!("2026-01-0{revision}T00:00:00Z")),
                ..Judged::default()
            },
            decision,
            judgements: Vec::new(),
        }
    }

    #[test]
    fn a_verdict_on_one_revision_is_written_as_it_always_was() {
        let verdict = verdict(1, Decision::Accept);
        let json = serde_json::to_value(&verdict).unwrap();
        assert_eq!(json.get("revision"), None);
        assert_eq!(json.get("judgements"), None);
        assert_eq!(serde_json::from_value::<Verdict>(json).unwrap(), verdict);
    }

    #[test]
    fn a_revision_brings_a_paper_in_and_throws_none_out() {
        use Decision::{Accept, Reject};
        for (before, later, stands, reason, ingested) in [
            (Reject, Accept, Accept, "reason 2", "2026-01-02T00:00:00Z"),
            (Reject, Reject, Reject, "reason 2", "2026-01-02T00:00:00Z"),
            (Accept, Accept, Accept, "reason 2", "2026-01-01T00:00:00Z"),
            (Accept, Reject, Accept, "reason 1", "2026-01-01T00:00:00Z"),
        ] {
            let revised = verdict(1, before.clone()).revised(verdict(2, later.clone()));
            assert_eq!(revised.decision, stands);
            assert_eq!(revised.record.decision, Some(stands));
            assert_eq!(revised.record.reason.as_deref(), Some(reason));
            assert_eq!(revised.record.ingested_at.as_deref(), Some(ingested));
            assert_eq!(revised.revision, 2);
            let judged: Vec<_> = revised.judgements.iter().map(|it| &it.decision).collect();
            assert_eq!(judged, [&before, &later]);
        }
    }

    #[test]
    fn every_judgement_is_kept_in_order() {
        let second = verdict(1, Decision::Accept).revised(verdict(2, Decision::Reject));
        let third = second.revised(verdict(4, Decision::Reject));
        let kept: Vec<(u32, Option<&str>)> = third
            .judgements
            .iter()
            .map(|it| (it.revision, it.judged_at.as_deref()))
            .collect();
        assert_eq!(
            kept,
            [
                (1, Some("2026-01-01T00:00:00Z")),
                (2, Some("2026-01-02T00:00:00Z")),
                (4, Some("2026-01-04T00:00:00Z"))
            ]
        );
        assert_eq!((third.revision, third.decision), (4, Decision::Accept));
    }

    #[test]
    fn the_pdf_of_a_paper_is_not_lost_to_a_revision_without_one() {
        let mut first = verdict(1, Decision::Accept);
        first.record.s3_key = Some("iclr/2015/1.pdf".to_owned());
        let revised = first.revised(verdict(2, Decision::Accept));
        assert_eq!(revised.record.s3_key.as_deref(), Some("iclr/2015/1.pdf"));
    }
}
