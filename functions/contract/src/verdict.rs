//! The judge's verdict as S3 keeps it.

use serde::{Deserialize, Serialize};

use crate::messages::{first_revision, is_first_revision};
use crate::rubric::Scores;
use crate::{Decision, Judged, PaperId, Question, ResearchMessage, Source, Spent};

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
    /// What there was to judge; `None` where a person decided, and in what came before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_from: Option<JudgedFrom>,
    /// What the model said; `None` where it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessed: Option<Assessed>,
    /// What the last judgement cost, that of the vector with it.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub spent: Spent,
    /// The last order of a person that was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// What was judged of each revision, the oldest first; empty while it was one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judgements: Vec<Judgement>,
}

fn is_nothing(spent: &Spent) -> bool {
    *spent == Spent::default()
}

/// What there was of a paper when it was judged, the poorest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgedFrom {
    /// Its title only: it is judged again when its PDF comes.
    Title,
    /// The start of its PDF.
    Text,
    /// Its abstract.
    Abstract,
}

/// What the model said of a paper, and which model by which prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assessed {
    /// Names the rubric: `judge-2`.
    pub prompt_version: String,
    /// Model or inference profile.
    pub model: String,
    /// The three criteria.
    #[serde(flatten)]
    pub scores: Scores,
    /// 1 to 10.
    pub confidence: u8,
    /// Known papers that it was shown, the most similar first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<ShownPaper>,
}

/// A paper of the index that the model was shown beside the one to judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShownPaper {
    /// The known paper.
    pub paper_id: PaperId,
    /// Cosine of the angle between the two papers' vectors, -1 to 1; `None` where it was shown for its title alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f64>,
}

/// What a person wants done with a paper, by `infra judge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What to do.
    pub wish: Wish,
    /// Why, in the person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// RFC 3339 UTC time with milliseconds: an order is carried out once, and none after a later one.
    pub given_at: String,
}

/// What a person may want of the judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// The paper goes on, whatever the model says.
    Accept,
    /// It ends here. What was accepted stays so.
    Reject,
    /// The model judges it once more.
    Again,
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
    /// What the model said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessed: Option<Assessed>,
    /// What it cost.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub spent: Spent,
    /// The order by which it was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
}

impl Judgement {
    fn of(verdict: &Verdict) -> Self {
        Self {
            revision: verdict.revision,
            decision: verdict.decision.clone(),
            rejected_by: verdict.record.rejected_by.clone(),
            reason: verdict.record.reason.clone(),
            judged_at: verdict.record.ingested_at.clone(),
            assessed: verdict.assessed.clone(),
            spent: verdict.spent,
            order: verdict.order.clone(),
        }
    }
}

impl Verdict {
    /// Whether the verdict stands after a message: it is on the message's revision or a later one, and a person's
    /// order in it was carried out. One on the title alone does not stand once there is a PDF to read.
    pub fn answers(&self, message: &ResearchMessage) -> bool {
        match &message.order {
            Some(order) => {
                let last = self.order.as_ref();
                last.is_some_and(|last| last.given_at >= order.given_at)
            }
            None if self.revision == message.revision => !self.is_of_less(message),
            None => self.revision > message.revision,
        }
    }

    /// Whether it was made of the title alone, without the PDF that the message has.
    fn is_of_less(&self, message: &ResearchMessage) -> bool {
        let record = &self.record;
        let is_of_title = match self.judged_from {
            Some(from) => from == JudgedFrom::Title,
            // From before it was kept; a person's decision needs no text.
            None => {
                self.order.is_none() && record.abstract_text.is_none() && record.s3_key.is_none()
            }
        };
        is_of_title && message.s3_key.is_some() && message.s3_key != record.s3_key
    }

    /// What all judgements of the paper cost.
    pub fn spent_in_all(&self) -> Spent {
        match self.judgements.as_slice() {
            [] => self.spent,
            judgements => judgements.iter().map(|it| it.spent).sum(),
        }
    }

    /// This verdict after the paper was judged again. That brings a rejected paper in, or gives an
    /// accepted one new reasons; it throws none out, since program and results are of the accepted one.
    pub fn revised(self, later: Self) -> Self {
        let mut judgements = self.judgements.clone();
        if judgements.is_empty() {
            judgements.push(Judgement::of(&self));
        }
        judgements.push(Judgement::of(&later));
        let was_accepted = self.decision == Decision::Accept;
        let order = later.order.or(self.order);
        let s3_key = later.record.s3_key.clone().or(self.record.s3_key);
        if was_accepted && later.decision != Decision::Accept {
            return Self {
                revision: later.revision,
                record: Judged {
                    s3_key,
                    ..self.record
                },
                judged_from: later.judged_from,
                order,
                judgements,
                ..self
            };
        }
        let mut record = Judged {
            s3_key,
            ..later.record
        };
        if was_accepted {
            // The paper is not new in the index, and a wait that has begun is not begun again.
            record.ingested_at = self.record.ingested_at.or(record.ingested_at);
        }
        Self {
            record,
            order,
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
            judged_from: Some(JudgedFrom::Abstract),
            assessed: None,
            spent: Spent::default(),
            order: None,
            judgements: Vec::new(),
        }
    }

    fn message(revision: u32) -> ResearchMessage {
        ResearchMessage {
            paper_id: PaperId::of("Adam", None),
            revision,
            source: Source::Iclr,
            year: 2015,
            title: "Adam".to_owned(),
            authors: Vec::new(),
            abstract_text: None,
            date: None,
            url: None,
            s3_bucket: "papers".to_owned(),
            s3_key: None,
            text_expected: false,
            record_s3_key: "iclr/2015/1.json".to_owned(),
            order: None,
        }
    }

    fn order(wish: Wish, given_at: &str) -> Order {
        Order {
            wish,
            reason: None,
            given_at: given_at.to_owned(),
        }
    }

    #[test]
    fn a_verdict_on_one_revision_is_written_as_it_always_was() {
        let mut verdict = verdict(1, Decision::Accept);
        verdict.judged_from = None;
        let json = serde_json::to_value(&verdict).unwrap();
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["paper_id", "decision", "source", "year", "record"]);
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

    #[test]
    fn a_verdict_stands_until_there_is_more_to_judge() {
        let with_pdf = |revision| ResearchMessage {
            s3_key: Some("iclr/2015/1.pdf".to_owned()),
            ..message(revision)
        };
        let mut of_title = verdict(2, Decision::Reject);
        assert!(of_title.answers(&with_pdf(2)), "it has the abstract");
        of_title.judged_from = Some(JudgedFrom::Title);
        for (message, answers) in [
            (message(2), true),
            (message(3), false),
            (with_pdf(2), false),
            (with_pdf(1), true),
        ] {
            assert_eq!(of_title.answers(&message), answers, "{message:?}");
        }
        // From before it was kept what it was judged from.
        of_title.judged_from = None;
        assert!(!of_title.answers(&with_pdf(2)));
        // A PDF without text in it is looked at once.
        let mut again = verdict(2, Decision::Reject);
        again.judged_from = Some(JudgedFrom::Title);
        again.record.s3_key = Some("iclr/2015/1.pdf".to_owned());
        for before in [Decision::Reject, Decision::Accept] {
            of_title.decision = before;
            let revised = of_title.clone().revised(again.clone());
            assert!(revised.answers(&with_pdf(2)), "{revised:?}");
        }
    }

    #[test]
    fn an_order_is_carried_out_once_and_none_after_a_later_one() {
        let ordered = |order| ResearchMessage {
            order: Some(order),
            ..message(1)
        };
        let first = order(Wish::Accept, "2026-01-03T00:00:00.000Z");
        let second = order(Wish::Again, "2026-01-03T00:00:00.001Z");
        let model = verdict(1, Decision::Undecided);
        assert!(!model.answers(&ordered(first.clone())));
        let mut person = verdict(1, Decision::Accept);
        person.order = Some(second.clone());
        person.judged_from = None;
        let revised = model.revised(person);
        assert_eq!(revised.decision, Decision::Accept);
        assert!(revised.answers(&ordered(first)) && revised.answers(&ordered(second.clone())));
        assert!(revised.answers(&message(1)));
        // What is judged of a later revision does not bring the order back.
        let later = revised.revised(verdict(2, Decision::Reject));
        assert!(later.answers(&ordered(second)));
        assert_eq!(later.decision, Decision::Accept);
    }

    #[test]
    fn a_paper_costs_what_all_its_judgements_cost() {
        let costing = |micro_dollars| Verdict {
            spent: Spent {
                calls: 1,
                micro_dollars,
                ..Spent::default()
            },
            ..verdict(1, Decision::Accept)
        };
        assert_eq!(costing(30).spent_in_all().micro_dollars, 30);
        let both = costing(30).revised(costing(12));
        assert_eq!(both.spent_in_all().micro_dollars, 42);
        assert_eq!(both.spent_in_all().calls, 2);
    }
}
