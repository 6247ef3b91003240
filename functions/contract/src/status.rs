//! The state of a paper: a document of the second index, one for every paper that was judged.
//!
//! `research-papers-v2` has the accepted papers and what their readers know it by. All else that is known of a paper is
//! here, rejected ones among them: what became of it at each stage, why, by which model and version, at what cost. Each
//! writer writes its own part; everything comes from what S3 has, so that the index can be made again.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::paper::{date, double, field_group, keyword, long, text};
use crate::rubric::Scores;
use crate::words::words;
use crate::{
    Decision, ErrorType, ExecutedOn, Measured, Outcome, Question, Source, Stage, TestResult,
    TestStatus, Verdict,
};

words! {
    /// How far the writing of a program has come.
    GenerationState {
        /// What shall be tested, and how, is decided.
        Planned = "planned",
        /// A program is written.
        Written = "written",
        /// It passed its check, and goes to its test.
        Checked = "checked",
        /// Its check found something, and it is written again.
        Refused = "refused",
        /// It was repaired after a run, and goes to its test again.
        Repaired = "repaired",
        /// No program came of it, and it is not tried again by itself.
        Failed = "failed",
    }
}

/// A value that is stored and shown, and not searched: OpenSearch takes no part of it for a field.
fn stored() -> Value {
    json!({"type": "object", "enabled": false})
}

field_group! {
    /// What the judge tells of a paper.
    JudgedStatus {
        /// What became of it.
        decision = "decision": Decision => keyword,
        /// The question that it failed.
        rejected_by = "rejected_by": Question => keyword,
        /// Why, in a sentence or two.
        reason = "reason": String => text,
        /// How much it is about neural networks and a method that can be programmed, 1 to 10.
        relevance = "relevance": i64 => long,
        /// How new it is, 1 to 10.
        novelty = "novelty": i64 => long,
        /// How well an experiment fits one NeuronCore, 1 to 10.
        fit = "fit": i64 => long,
        /// How sure the model is, 1 to 10.
        confidence = "confidence": i64 => long,
        /// The revision of the paper that was judged last.
        revision = "revision": i64 => long,
        /// Which rubric it was judged by.
        prompt_version = "prompt_version": String => keyword,
        /// The model that judged.
        model = "model": String => keyword,
        /// When it was judged.
        judged_at = "judged_at": String => date,
        /// Millionths of a US dollar that judging it cost.
        micro_dollars = "micro_dollars": i64 => long,
    }
}

field_group! {
    /// What the generator tells of a paper's program; in `metadata.json` as `status`.
    GeneratedStatus {
        /// How far it came.
        state = "state": GenerationState => keyword,
        /// What was found wrong with what the model wrote last, a line each.
        findings = "findings": Vec<String> => text,
        /// The claim, the experiment and the rest of the plan.
        plan = "plan": Value => stored,
        /// Which claims of the plan the program has.
        fidelity = "fidelity": Value => stored,
        /// SHA-256 of the program that is stored.
        code_sha256 = "code_sha256": String => keyword,
        /// Which prompt it was written by.
        prompt_version = "prompt_version": String => keyword,
        /// The model that wrote it.
        model = "model": String => keyword,
        /// Programs that the model wrote for the paper.
        attempts = "attempts": i64 => long,
        /// When it was written.
        generated_at = "generated_at": String => date,
        /// Millionths of a US dollar that plan, program, fidelity and repairs cost.
        micro_dollars = "micro_dollars": i64 => long,
    }
}

field_group! {
    /// What the collector tells of a program's run.
    TestedStatus {
        /// What the run came to.
        outcome = "outcome": Outcome => keyword,
        /// Why a program that ran does not count as trained.
        not_trained = "not_trained": String => text,
        /// How the run ended.
        status = "status": TestStatus => keyword,
        /// Why it failed.
        error_type = "error_type": ErrorType => keyword,
        /// What a person can act on.
        error_message = "error_message": String => text,
        /// What the harness saw.
        measured = "measured": Measured => stored,
        /// SHA-256 of the program that ran.
        code_sha256 = "code_sha256": String => keyword,
        /// What it ran on.
        executed_on = "executed_on": ExecutedOn => keyword,
        /// Wall-clock seconds.
        execution_time = "execution_time": f64 => double,
        /// When it ended.
        tested_at = "tested_at": String => date,
    }
}

field_group! {
    /// What every document has beside its parts.
    Heading {
        /// Title as the source gives it.
        title = "title": String => text,
        /// Where the paper came from, such as `ICLR`.
        source = "source": Source => keyword,
        /// Conference year, or the year of arXiv's first version.
        year = "year": i64 => long,
        /// The word of [`StatusRecord::stage`], to search by.
        stage = "stage": String => keyword,
        /// When a part of the document last changed.
        updated_at = "updated_at": String => date,
    }
}

/// One document of the index of states. Its `_id` is the [`crate::PaperId`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StatusRecord {
    /// What is said of the paper as a whole.
    #[serde(flatten)]
    pub heading: Heading,
    /// Written by the judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<JudgedStatus>,
    /// Written by the generator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated: Option<GeneratedStatus>,
    /// Written by the collector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tested: Option<TestedStatus>,
}

impl StatusRecord {
    /// The mapping's `properties`.
    pub fn mapping_properties() -> Map<String, Value> {
        let part = |add: fn(&mut Map<String, Value>)| {
            let mut properties = Map::new();
            add(&mut properties);
            json!({ "properties": properties })
        };
        let mut properties = Map::new();
        Heading::add_mappings(&mut properties);
        properties.insert("judged".to_owned(), part(JudgedStatus::add_mappings));
        properties.insert("generated".to_owned(), part(GeneratedStatus::add_mappings));
        properties.insert("tested".to_owned(), part(TestedStatus::add_mappings));
        properties
    }

    /// The body that creates the index: settings and strict mapping.
    ///
    /// `replicas`: 0 on a single node, else yellow for ever.
    pub fn index_body(replicas: u32) -> Value {
        json!({
            "settings": {"index": {"number_of_shards": 1, "number_of_replicas": replicas}},
            "mappings": {"dynamic": "strict", "properties": Self::mapping_properties()},
        })
    }

    /// How far the paper is, by its parts; a program that is with the agent is told by the other index alone.
    pub fn stage(&self) -> Stage {
        let generated = self.generated.as_ref();
        // A result counts for the program that made it.
        let is_of_program = |it: &&TestedStatus| {
            let program = generated.and_then(|it| it.code_sha256.as_ref());
            program.is_none() || it.code_sha256.as_ref() == program
        };
        let tested = self.tested.as_ref().filter(is_of_program);
        if let Some(outcome) = tested.and_then(|it| it.outcome) {
            return Stage::from(outcome);
        }
        match generated.and_then(|it| it.state.as_ref()) {
            Some(GenerationState::Checked | GenerationState::Repaired) => return Stage::Generated,
            Some(GenerationState::Failed) => return Stage::GenerationFailed,
            _ => {}
        }
        let decision = self.judged.as_ref().and_then(|it| it.decision.as_ref());
        match decision.map(Decision::as_str) {
            Some("accept") => Stage::Accepted,
            Some("reject") => Stage::Rejected,
            Some("undecided") => Stage::Undecided,
            _ => Stage::Waiting,
        }
    }

    /// Takes the judge's part over. Says whether anything changed.
    pub fn judge(&mut self, verdict: &Verdict) -> bool {
        let heading = &mut self.heading;
        let title = verdict.record.title.clone().or(heading.title.clone());
        let source = Some(verdict.source);
        let year = Some(i64::from(verdict.year));
        let judged = Some(JudgedStatus::of(verdict));
        let changed = (&heading.title, &heading.source, &heading.year, &self.judged)
            != (&title, &source, &year, &judged);
        (heading.title, heading.source, heading.year) = (title, source, year);
        self.judged = judged;
        changed
    }

    /// Takes the generator's part over. Says whether anything changed.
    pub fn generate(&mut self, generated: &GeneratedStatus) -> bool {
        replace(&mut self.generated, generated)
    }

    /// Takes a result over. Says whether anything changed.
    pub fn test(&mut self, result: &TestResult) -> bool {
        replace(&mut self.tested, &TestedStatus::of(result))
    }
}

fn replace<P: Clone + PartialEq>(part: &mut Option<P>, new: &P) -> bool {
    let changed = part.as_ref() != Some(new);
    *part = Some(new.clone());
    changed
}

impl JudgedStatus {
    /// What a verdict says.
    pub fn of(verdict: &Verdict) -> Self {
        let record = &verdict.record;
        let assessed = verdict.assessed.as_ref();
        let score = |of: fn(&Scores) -> u8| assessed.map(|it| i64::from(of(&it.scores)));
        Self {
            decision: Some(verdict.decision.clone()),
            rejected_by: record.rejected_by.clone(),
            reason: record.reason.clone(),
            relevance: score(|it| it.relevance),
            novelty: score(|it| it.novelty),
            fit: score(|it| it.fit),
            confidence: assessed.map(|it| i64::from(it.confidence)),
            revision: Some(i64::from(verdict.revision)),
            prompt_version: assessed.map(|it| it.prompt_version.clone()),
            model: assessed.map(|it| it.model.clone()),
            judged_at: record.ingested_at.clone(),
            micro_dollars: i64::try_from(verdict.spent_in_all().micro_dollars).ok(),
        }
    }
}

impl TestedStatus {
    /// What a result says.
    pub fn of(result: &TestResult) -> Self {
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Self {
            outcome: Some(result.outcome()),
            not_trained: result.not_trained().map(|it| it.to_string()),
            status: result.status(),
            error_type: result.error_type.clone(),
            error_message: result.error_message.clone(),
            measured: result.measured.clone(),
            code_sha256: some(&result.code_sha256),
            executed_on: Some(result.executed_on.clone()),
            execution_time: Some(result.execution_time),
            tested_at: some(&result.finished_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Assessed, Judged, JudgedFrom, PaperId, Spent};

    fn verdict() -> Verdict {
        Verdict {
            paper_id: PaperId::of("Adam", None),
            revision: 2,
            decision: Decision::Accept,
            source: Source::Iclr,
            year: 2015,
            record: Judged {
                title: Some("Adam".to_owned()),
                reason: Some("it trains".to_owned()),
                ingested_at: Some("2026-01-02T03:04:05Z".to_owned()),
                ..Judged::default()
            },
            judged_from: Some(JudgedFrom::Abstract),
            assessed: Some(Assessed {
                prompt_version: "judge-2".to_owned(),
                model: "claude".to_owned(),
                scores: Scores {
                    relevance: 9,
                    novelty: 8,
                    fit: 7,
                },
                confidence: 8,
                shown: Vec::new(),
            }),
            spent: Spent {
                micro_dollars: 30,
                ..Spent::default()
            },
            order: None,
            judgements: Vec::new(),
        }
    }

    #[test]
    fn every_field_of_a_full_document_is_mapped() {
        let mut record = StatusRecord::default();
        assert!(record.judge(&verdict()));
        let generated = GeneratedStatus {
            state: Some(GenerationState::Checked),
            findings: Some(vec!["no backward()".to_owned()]),
            plan: Some(json!({"claims": []})),
            ..GeneratedStatus::default()
        };
        assert!(record.generate(&generated));
        assert!(record.test(&TestResult::default()));
        let document = serde_json::to_value(&record).unwrap();
        let mapping = StatusRecord::mapping_properties();
        for (name, value) in document.as_object().unwrap() {
            let mapped = mapping.get(name).unwrap_or_else(|| panic!("{name}"));
            let Some(fields) = mapped.get("properties") else {
                continue;
            };
            for field in value.as_object().unwrap().keys() {
                assert!(fields.get(field).is_some(), "{name}.{field}");
            }
        }
        let read: StatusRecord = serde_json::from_value(document).unwrap();
        assert_eq!(read, record);
        assert_eq!(StatusRecord::index_body(0)["mappings"]["dynamic"], "strict");
    }

    #[test]
    fn the_same_part_twice_changes_nothing() {
        let mut record = StatusRecord::default();
        assert!(record.judge(&verdict()) && !record.judge(&verdict()));
        let generated = GeneratedStatus::default();
        assert!(record.generate(&generated) && !record.generate(&generated));
        let result = TestResult::default();
        assert!(record.test(&result) && !record.test(&result));
        let mut untitled = verdict();
        untitled.record.title = None;
        assert!(!record.judge(&untitled), "a title that is known stays");
    }

    #[test]
    fn a_result_of_another_program_is_not_the_papers() {
        let result = TestResult {
            status: Some(TestStatus::Success),
            code_sha256: "c0de".to_owned(),
            ..TestResult::default()
        };
        let mut record = StatusRecord::default();
        record.judge(&verdict());
        record.test(&result);
        assert_eq!(record.stage(), Stage::Ran);
        let written = |sha256: &str| GeneratedStatus {
            state: Some(GenerationState::Checked),
            code_sha256: Some(sha256.to_owned()),
            ..GeneratedStatus::default()
        };
        record.generate(&written("c0de"));
        assert_eq!(record.stage(), Stage::Ran);
        record.generate(&written("another"));
        assert_eq!(record.stage(), Stage::Generated);
    }
}
