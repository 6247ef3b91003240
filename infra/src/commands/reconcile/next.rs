//! Which message a paper needs, decided from what is there of it.

use annapurna_contract::status::GenerationState;
use annapurna_contract::{
    CodeEvaluationMessage, CodeGenerationMessage, Decision, PaperId, RecordState, ResearchMessage,
    SourceRecord, keys,
};
use serde::Deserialize;

/// What is there of one paper.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Paper {
    pub(super) id: PaperId,
    /// It is in a dead-letter queue, where a person decides.
    pub(super) is_dead: bool,
    pub(super) record: Option<SourceRecord>,
    pub(super) verdict: Option<Judged>,
    /// It is there, and the judge cannot read it either.
    pub(super) is_verdict_unreadable: bool,
    pub(super) document: Option<Document>,
    pub(super) program: Option<Program>,
    /// SHA-256 of the program that has a result.
    pub(super) result: Option<TestedProgram>,
    /// Records and verdict that are there and cannot be read: address and reason of each, in one line.
    pub(super) unreadable: Vec<String>,
}

/// What the verdict says of a paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) decision: Decision,
    /// The last revision that was judged.
    pub(super) revision: u32,
    /// There was nothing but a title then, and no PDF.
    pub(super) is_of_title: bool,
}

/// What the index says of a paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) title: String,
    pub(super) has_program: bool,
    pub(super) is_tested: bool,
    pub(super) has_pdf: bool,
    /// It gets its program when its text has come, or when the time for that is over.
    pub(super) waits_for_text: bool,
}

/// What the metadata of a program say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Program {
    pub(super) paper_title: String,
    /// Empty where there is none.
    pub(super) code_sha256: String,
    #[serde(default)]
    pub(super) status: ProgramStatus,
}

/// How far the writing came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct ProgramStatus {
    state: Option<GenerationState>,
}

impl Program {
    /// What the model wrote cannot be run: the generator has said so and does nothing more by itself.
    fn is_given_up(&self) -> bool {
        self.code_sha256.is_empty() && self.status.state == Some(GenerationState::Failed)
    }
}

/// What a result says of its program.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct TestedProgram {
    pub(super) code_sha256: String,
}

/// The buckets that messages name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buckets<'a> {
    pub(super) papers: &'a str,
    pub(super) code: &'a str,
}

/// What a paper needs to go on.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Next {
    /// A verdict, or its document made from the verdict that is there.
    Judge(ResearchMessage),
    /// A program, or its fields made from the program that is there.
    Generate(CodeGenerationMessage),
    /// A run of its program.
    Test(CodeEvaluationMessage),
    /// Its result in the index.
    Collect(PaperId),
    /// A person: it was accepted, and neither the index nor a record knows of it.
    Lost,
}

/// The message of the first stage whose traces are not all there; every later stage follows from it.
pub(super) fn next(paper: &Paper, buckets: Buckets<'_>) -> Option<Next> {
    if paper.is_dead {
        return None;
    }
    // The judge would answer with an error until its message is a dead letter.
    let can_be_judged = !paper.is_verdict_unreadable;
    let record = paper.record.as_ref();
    let record = record.filter(|it| can_be_judged && is_for_judge(it));
    let judge = || Some(Next::Judge(record?.message(buckets.papers)));
    let is_accepted = |it: &&Judged| it.decision == Decision::Accept;
    let document = match (&paper.verdict, &paper.document) {
        (verdict, document) if record.is_some_and(|it| is_news(it, verdict, document)) => {
            return judge();
        }
        // Only an accepted paper has a document.
        (_, Some(document)) => document,
        (None, None) => return judge(),
        (Some(verdict), None) if is_lost(paper, verdict) => return Some(Next::Lost),
        (verdict, None) => return verdict.as_ref().filter(is_accepted).and_then(|_| judge()),
    };
    if document.waits_for_text {
        return None;
    }
    if paper.program.as_ref().is_some_and(Program::is_given_up) {
        return None;
    }
    let Some(program) = paper.program.as_ref().filter(|_| document.has_program) else {
        return Some(Next::Generate(CodeGenerationMessage::of(
            paper.id.clone(),
            document.title.clone(),
        )));
    };
    let result = paper.result.as_ref();
    if result.is_none_or(|result| result.code_sha256 != program.code_sha256) {
        return Some(Next::Test(CodeEvaluationMessage {
            paper_id: paper.id.clone(),
            paper_title: program.paper_title.clone(),
            s3_bucket: buckets.code.to_owned(),
            s3_code_key: keys::code(&paper.id),
            code_sha256: program.code_sha256.clone(),
        }));
    }
    (!document.is_tested).then(|| Next::Collect(paper.id.clone()))
}

/// The judge is told of a paper with an abstract or a PDF soon after its record is written; one with
/// neither waits, unless it says that the judge was told.
fn is_for_judge(record: &SourceRecord) -> bool {
    record.pdf.is_some()
        || record.description.abstract_text.is_some()
        || record.state != RecordState::Waiting
}

/// Whether nothing is left to make an accepted paper's document of. A record that cannot be read is told of
/// otherwise.
fn is_lost(paper: &Paper, verdict: &Judged) -> bool {
    let is_accepted = verdict.decision == Decision::Accept;
    is_accepted && paper.record.is_none() && paper.unreadable.is_empty()
}

/// Whether the record has something that verdict and document have not taken over: a revision, a title, a PDF.
fn is_news(record: &SourceRecord, verdict: &Option<Judged>, document: &Option<Document>) -> bool {
    let is_revised =
        |it: &Judged| it.revision < record.revision || (it.is_of_title && record.pdf.is_some());
    let lacks_it = |it: &Document| {
        it.title != record.description.title || (record.pdf.is_some() && !it.has_pdf)
    };
    verdict.as_ref().is_some_and(is_revised) || document.as_ref().is_some_and(lacks_it)
}

#[cfg(test)]
mod tests {
    use annapurna_cloud::Message;
    use annapurna_contract::{Description, RecordedPdf, Source};
    use serde_json::Value;

    use super::*;

    const BUCKETS: Buckets<'_> = Buckets {
        papers: "papers",
        code: "code",
    };

    fn record(state: RecordState) -> SourceRecord {
        let paper_id = PaperId::of("Adam", None);
        let pdf = RecordedPdf {
            s3_key: keys::paper_pdf(Source::Iclr, 2025, &paper_id),
            sha256: "1".to_owned(),
            source_url: Some("https://papers.test/adam.pdf".to_owned()),
        };
        SourceRecord {
            paper_id,
            taken_by: None,
            revision: 1,
            source: Source::Iclr,
            year: 2025,
            source_id: "adam".to_owned(),
            description: Description {
                title: "Adam".to_owned(),
                authors: vec!["Diederik".to_owned()],
                abstract_text: None,
                date: None,
                url: None,
            },
            pdf: (state == RecordState::Queued).then_some(pdf),
            pdf_problem: None,
            text_expected: false,
            state,
            written_at: "2026-01-02T03:04:05Z".to_owned(),
            source_record: Value::Null,
            said: String::new(),
            revisions: Vec::new(),
            other_entries: Vec::new(),
            under_way: Vec::new(),
        }
    }

    /// A paper that is finished.
    fn finished() -> Paper {
        Paper {
            id: PaperId::of("Adam", None),
            is_dead: false,
            record: Some(record(RecordState::Queued)),
            verdict: judged(Decision::Accept),
            is_verdict_unreadable: false,
            document: document(true, true),
            program: Some(Program {
                paper_title: "Adam".to_owned(),
                code_sha256: "c0de".to_owned(),
                status: ProgramStatus::default(),
            }),
            result: Some(TestedProgram {
                code_sha256: "c0de".to_owned(),
            }),
            unreadable: Vec::new(),
        }
    }

    #[test]
    fn a_paper_whose_program_was_given_up_is_left_alone() {
        let given_up = |code: &str, state| Paper {
            document: document(false, false),
            program: Some(Program {
                paper_title: "Adam".to_owned(),
                code_sha256: code.to_owned(),
                status: ProgramStatus { state: Some(state) },
            }),
            result: None,
            ..finished()
        };
        let next = |paper: &Paper| next(paper, BUCKETS);
        assert_eq!(next(&given_up("", GenerationState::Failed)), None);
        let planned = given_up("", GenerationState::Planned);
        assert!(matches!(next(&planned), Some(Next::Generate(_))));
    }

    fn document(has_program: bool, is_tested: bool) -> Option<Document> {
        Some(Document {
            title: "Adam".to_owned(),
            has_program,
            is_tested,
            has_pdf: true,
            waits_for_text: false,
        })
    }

    fn judged(decision: Decision) -> Option<Judged> {
        Some(Judged {
            decision,
            revision: 1,
            is_of_title: false,
        })
    }

    /// The messages that send a paper to the judge, the generator and the tester.
    fn messages(paper: &Paper) -> [Next; 3] {
        let judge = Next::Judge(record(RecordState::Queued).message("papers"));
        let generate = CodeGenerationMessage::of(paper.id.clone(), "Adam".to_owned());
        let generate = Next::Generate(generate);
        let test = Next::Test(CodeEvaluationMessage {
            paper_id: paper.id.clone(),
            paper_title: "Adam".to_owned(),
            s3_bucket: "code".to_owned(),
            s3_code_key: keys::code(&paper.id),
            code_sha256: "c0de".to_owned(),
        });
        [judge, generate, test]
    }

    /// Papers cut off at each stage, with what they need.
    fn cuts() -> Vec<(Paper, Next)> {
        let paper = finished();
        let [judge, generate, test] = messages(&paper);
        let queued = Paper {
            verdict: None,
            document: None,
            program: None,
            result: None,
            ..paper.clone()
        };
        let judged = Paper {
            document: document(false, false),
            program: None,
            result: None,
            ..paper.clone()
        };
        let written = Paper {
            document: document(true, false),
            result: None,
            ..paper.clone()
        };
        let mut rewritten = paper.clone();
        rewritten.result = Some(TestedProgram {
            code_sha256: "another".to_owned(),
        });
        let unread = Paper {
            document: document(true, false),
            ..paper.clone()
        };
        let no_document = Paper {
            document: None,
            ..paper.clone()
        };
        let no_fields = Paper {
            document: document(false, false),
            ..paper.clone()
        };
        vec![
            (queued, judge.clone()),
            (no_document, judge),
            (judged, generate.clone()),
            (no_fields, generate),
            (written, test.clone()),
            (rewritten, test),
            (unread, Next::Collect(paper.id)),
        ]
    }

    #[test]
    fn a_paper_cut_off_at_any_stage_needs_that_stage_alone() {
        for (paper, wanted) in cuts() {
            assert_eq!(next(&paper, BUCKETS), Some(wanted), "{paper:?}");
        }
    }

    #[test]
    fn what_has_come_to_its_end_needs_nothing() {
        assert_eq!(next(&finished(), BUCKETS), None);
        let rejected = Paper {
            verdict: judged(Decision::Reject),
            document: None,
            program: None,
            result: None,
            ..finished()
        };
        assert_eq!(next(&rejected, BUCKETS), None);
        for (mut paper, _) in cuts() {
            paper.is_dead = true;
            assert_eq!(next(&paper, BUCKETS), None, "{paper:?}");
        }
    }

    #[test]
    fn a_paper_that_waits_for_its_text_has_lost_nothing() {
        let mut waiting = Paper {
            document: document(false, false),
            program: None,
            result: None,
            ..finished()
        };
        let waits = |paper: &mut Paper, waits_for_text| {
            if let Some(document) = &mut paper.document {
                document.waits_for_text = waits_for_text;
            }
        };
        waits(&mut waiting, true);
        assert_eq!(next(&waiting, BUCKETS), None);
        // Its time is over: the schedule sends the same message, and the second finds the program.
        waits(&mut waiting, false);
        assert!(matches!(next(&waiting, BUCKETS), Some(Next::Generate(_))));
    }

    #[test]
    fn a_record_is_for_the_judge_once_the_scraper_has_done_its_part() {
        let mut paper = cuts().swap_remove(0).0;
        paper.record = Some(record(RecordState::QueuedWithoutPdf));
        assert!(matches!(next(&paper, BUCKETS), Some(Next::Judge(_))));
        paper.record = Some(record(RecordState::Waiting));
        assert_eq!(next(&paper, BUCKETS), None, "the next scrape's");
        // The scraper ended at the PDF.
        let mut described = record(RecordState::Waiting);
        described.description.abstract_text = Some("On moments.".to_owned());
        paper.record = Some(described);
        assert!(matches!(next(&paper, BUCKETS), Some(Next::Judge(_))));
        // The scraper ended between writing the record and sending the message.
        let mut cut = record(RecordState::Queued);
        cut.state = RecordState::Waiting;
        paper.record = Some(cut);
        assert!(matches!(next(&paper, BUCKETS), Some(Next::Judge(_))));
    }

    #[test]
    fn what_a_lost_message_would_have_changed_is_told_again() {
        let told = |change: &dyn Fn(&mut Paper)| {
            let mut paper = finished();
            change(&mut paper);
            match next(&paper, BUCKETS) {
                Some(Next::Judge(message)) => Some(message.revision),
                None => None,
                other => panic!("{other:?}"),
            }
        };
        let revise = |paper: &mut Paper| {
            if let Some(record) = &mut paper.record {
                record.revision = 2;
            }
        };
        assert_eq!(told(&|_| {}), None);
        assert_eq!(told(&revise), Some(2));
        let rejected = |paper: &mut Paper| {
            revise(paper);
            paper.document = None;
            paper.verdict = judged(Decision::Reject);
        };
        assert_eq!(told(&rejected), Some(2), "it may be accepted now");
        let judged_since = |paper: &mut Paper| {
            rejected(paper);
            paper.verdict = Some(Judged {
                decision: Decision::Reject,
                revision: 2,
                is_of_title: false,
            });
        };
        assert_eq!(told(&judged_since), None);
        let judged_by_title = |paper: &mut Paper| {
            judged_since(paper);
            if let Some(verdict) = &mut paper.verdict {
                verdict.is_of_title = true;
            }
        };
        assert_eq!(told(&judged_by_title), Some(2), "its PDF is there");
        let without = |title: &'static str, has_pdf| {
            move |paper: &mut Paper| {
                if let Some(document) = &mut paper.document {
                    title.clone_into(&mut document.title);
                    document.has_pdf = has_pdf;
                }
            }
        };
        assert_eq!(told(&without("Adam", false)), Some(1), "its PDF");
        assert_eq!(told(&without("Madam", true)), Some(1), "its title");
        let no_pdf_at_all = |paper: &mut Paper| {
            without("Adam", false)(paper);
            paper.record = Some(record(RecordState::QueuedWithoutPdf));
        };
        assert_eq!(told(&no_pdf_at_all), None);
    }

    #[test]
    fn what_cannot_be_read_stops_a_paper_only_where_it_is_needed() {
        let mut paper = finished();
        (paper.verdict, paper.is_verdict_unreadable) = (None, true);
        paper.unreadable = vec!["cannot read verdicts/a.json: EOF".to_owned()];
        paper.record.as_mut().unwrap().revision = 2;
        assert_eq!(next(&paper, BUCKETS), None, "it is finished");
        paper.result = None;
        assert!(matches!(next(&paper, BUCKETS), Some(Next::Test(_))));
        paper.document = None;
        assert_eq!(next(&paper, BUCKETS), None, "the judge cannot read it");
    }

    #[test]
    fn an_accepted_paper_without_document_and_record_is_lost() {
        let mut paper = finished();
        (paper.document, paper.record) = (None, None);
        assert_eq!(next(&paper, BUCKETS), Some(Next::Lost));
        paper.unreadable = vec!["cannot read iclr/2025/a.json: EOF".to_owned()];
        assert_eq!(next(&paper, BUCKETS), None, "its record is told of");
        paper.unreadable.clear();
        paper.verdict = judged(Decision::Reject);
        assert_eq!(next(&paper, BUCKETS), None, "it came to its end");
    }

    #[test]
    fn the_same_evidence_twice_is_the_same_message() {
        let sent = |step: Option<Next>| match step.unwrap() {
            Next::Judge(message) => Message::of(&message).ok(),
            Next::Generate(message) => Message::of(&message).ok(),
            Next::Test(message) => Message::of(&message).ok(),
            Next::Collect(_) | Next::Lost => None,
        };
        for (paper, _) in cuts() {
            assert_eq!(sent(next(&paper, BUCKETS)), sent(next(&paper, BUCKETS)));
        }
    }
}
