//! The messages of the four queues. Each is JSON in an SQS message body.
//!
//! A message carries what the next stage cannot look up; everything else is read from S3 or the
//! index. Content-derived deduplication ids and a message group of one paper let papers move in
//! parallel and make a repeated send harmless.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Order, PaperId, Queue, Source};

/// Receives after which a paper's message of `researchQueue.fifo` or `code-generation.fifo` is a dead letter: failures of
/// its own. What is not its fault does not use them up.
pub const PAPER_MAX_RECEIVES: u32 = 5;

/// How a message is queued. Both ids are made from what it is about, so whoever sends it again, a function
/// or `infra`, sends the same one.
pub trait QueueMessage: Serialize {
    /// The queue it belongs to.
    const QUEUE: Queue;

    /// Messages of one group keep their order.
    fn group(&self) -> &str;

    /// SQS drops a second message with the same id within five minutes; `body` is this message as JSON.
    fn deduplication_id(&self, body: &str) -> String;
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// A deduplication id, or the digest of one that is longer than 128 characters. Source: SQS API reference,
/// `SendMessage`.
fn within_limit(id: String) -> String {
    if id.len() > 128 { sha256(&id) } else { id }
}

/// `researchQueue.fifo`: a paper that a scraper stored, for the judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResearchMessage {
    /// The id that the paper was first given: [`PaperId::of`] the title and abstract it had then.
    pub paper_id: PaperId,
    /// Counts the abstracts of the paper that differ in substance ([`crate::abstract_changed`]), from 1 on. A
    /// verdict on the same one or a later one stands; with an earlier verdict the paper is judged again.
    #[serde(default = "first_revision", skip_serializing_if = "is_first_revision")]
    pub revision: u32,
    /// The source that had it.
    pub source: Source,
    /// Conference year, or the year of arXiv's first version.
    pub year: u16,
    /// Title as the source gives it, white space collapsed.
    pub title: String,
    /// Authors in the source's order; empty when it names none.
    #[serde(default)]
    pub authors: Vec<String>,
    /// Abstract, when the source has one.
    #[serde(default, rename = "abstract")]
    pub abstract_text: Option<String>,
    /// Publication date as `YYYY-MM-DD`, when known.
    #[serde(default)]
    pub date: Option<String>,
    /// The source's own page of the paper.
    #[serde(default)]
    pub url: Option<String>,
    /// Bucket of both keys.
    pub s3_bucket: String,
    /// Key of the PDF; `None` while only metadata could be had.
    #[serde(default)]
    pub s3_key: Option<String>,
    /// The PDF is only held back for now: a later message of the paper has it, or says `false`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub text_expected: bool,
    /// Key of the JSON record of everything the source said.
    pub record_s3_key: String,
    /// What a person wants done with it; absent in what a scraper sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
}

/// The revision of a paper that has been seen with one abstract only.
pub(crate) const fn first_revision() -> u32 {
    1
}

/// What is as usual is not written: a message says the same to the byte as before there were revisions.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
pub(crate) const fn is_first_revision(revision: &u32) -> bool {
    *revision == first_revision()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
pub(crate) const fn is_false(value: &bool) -> bool {
    !*value
}

impl QueueMessage for ResearchMessage {
    const QUEUE: Queue = Queue::Research;

    fn group(&self) -> &str {
        self.paper_id.as_str()
    }

    /// A paper that gets its PDF later, or says something else now, is told of again.
    fn deduplication_id(&self, body: &str) -> String {
        sha256(body)
    }
}

/// `code-generation.fifo`: an accepted paper, for the generator, which reads the rest from the index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CodeGenerationMessage {
    /// The paper's id, which is its document id.
    pub paper_id: PaperId,
    /// For people who read the queue.
    pub title: String,
    /// Its text is to come, so its program may wait for it ([`crate::PaperRecord::waits_for_text`]). Another message
    /// says when it is there or when the wait is over; with `false` nothing waits.
    #[serde(default, skip_serializing_if = "is_false")]
    pub text_expected: bool,
    /// Write a program though there is one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force: bool,
    /// Mend the program that there is. Says more than `force`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<Repair>,
}

/// What is to be mended of a program. Who sends it need not know whether it was mended before: the generator keeps
/// count, and does nothing for a program that has been replaced or was mended as often as one is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// SHA-256 of the program that failed, hexadecimal. With another one in its place there is nothing to mend.
    pub code_sha256: String,
    /// Where it failed.
    pub from: RepairFrom,
    /// The end of what it wrote to standard error, with the agent's reason: text of a program, so of a stranger.
    pub findings: String,
}

/// Where a program failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepairFrom {
    /// In its dry run, before a device was touched.
    DryRun,
    /// On the device: such a program comes back once.
    Device,
}

impl Repair {
    /// How often a paper's program is mended after a run.
    pub const MOST_ROUNDS: usize = 2;
    /// Longest `findings`, characters.
    pub const MOST_FINDINGS: usize = 4_000;
}

impl CodeGenerationMessage {
    /// A paper that is to have a program, and whose text is not to come.
    pub fn of(paper_id: PaperId, title: String) -> Self {
        Self {
            paper_id,
            title,
            text_expected: false,
            force: false,
            repair: None,
        }
    }
}

impl QueueMessage for CodeGenerationMessage {
    const QUEUE: Queue = Queue::CodeGeneration;

    fn group(&self) -> &str {
        self.paper_id.as_str()
    }

    /// Once the text is no longer to come the paper is told of again, also within five minutes.
    fn deduplication_id(&self, _body: &str) -> String {
        if let Some(repair) = &self.repair {
            within_limit(format!("{}-{}-repair", self.paper_id, repair.code_sha256))
        } else if self.force {
            within_limit(format!("{}-force", self.paper_id))
        } else if self.text_expected {
            within_limit(format!("{}-text-expected", self.paper_id))
        } else {
            self.paper_id.to_string()
        }
    }
}

/// `code-evaluation.fifo`: a program whose syntax is sound, waiting for a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CodeEvaluationMessage {
    /// The paper the program was written for.
    pub paper_id: PaperId,
    /// For people who read the queue.
    pub paper_title: String,
    /// Bucket of the program.
    pub s3_bucket: String,
    /// Key of the program: `{paper_id}/code.py`.
    pub s3_code_key: String,
    /// SHA-256 of the program, hexadecimal: a new program for the same paper is a new test.
    pub code_sha256: String,
}

impl QueueMessage for CodeEvaluationMessage {
    const QUEUE: Queue = Queue::CodeEvaluation;

    fn group(&self) -> &str {
        self.paper_id.as_str()
    }

    fn deduplication_id(&self, _body: &str) -> String {
        sha256(&format!("{}:{}", self.paper_id, self.code_sha256))
    }
}

/// One program of a batch. Users send it to the agent's HTTP API with `code` in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgramToTest {
    /// The paper the program was written for.
    pub paper_id: PaperId,
    /// For logs only.
    #[serde(default)]
    pub paper_title: String,
    /// The program itself; `None` means: read it from `s3_code_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Key of the program in the code bucket.
    #[serde(default)]
    pub s3_code_key: String,
    /// SHA-256 of the program, hexadecimal; empty when the sender did not know it.
    #[serde(default)]
    pub code_sha256: String,
    /// Its run begins with a dry run: 30 s on the machine's processor with few samples, before a NeuronCore is
    /// touched. What fails there is the result.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

/// `code-testing.fifo`: a batch for the agent, and the body of `POST /execute_batch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CodeTestingMessage {
    /// Names the batch in logs and results; empty over HTTP.
    #[serde(default)]
    pub batch_id: String,
    /// At most ten programs.
    pub batch: Vec<ProgramToTest>,
    /// Wall-clock limit of each program, seconds.
    pub timeout: u32,
    /// A program that has got a result meanwhile ([`crate::TestResult::answers`]) is not run again, whichever batch
    /// that was of. The tester says so, which hands over only what had none; a batch that a person sends without it
    /// is run. Over HTTP every program is run.
    #[serde(default, skip_serializing_if = "is_false")]
    pub skip_tested: bool,
    /// The papers stay as they are: what a program puts out goes below [`crate::keys::TRIALS`], of which nobody is told,
    /// so neither outputs nor index change. Such a batch has an id of its own, letters, digits, `-` and `_`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub trial: bool,
    /// What its programs print is told while they run, a [`LivePart`] an object ([`crate::keys::live_part_in`]), to a person
    /// who waits. Such a batch has an id of its own as a trial has.
    #[serde(default, skip_serializing_if = "is_false")]
    pub live: bool,
}

/// What a program has printed since the part before: whole lines, but for a very long one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivePart {
    /// Of standard output.
    pub stdout: String,
    /// Of standard error.
    pub stderr: String,
}

impl CodeTestingMessage {
    /// The place of a trial's outputs in the bucket is named by its batch: at most 80 letters, digits, `-` and `_`.
    pub fn is_named_as_a_trial(&self) -> bool {
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=80).contains(&self.batch_id.len()) && self.batch_id.bytes().all(is_safe)
    }
}

impl QueueMessage for CodeTestingMessage {
    const QUEUE: Queue = Queue::CodeTesting;

    fn group(&self) -> &str {
        &self.batch_id
    }

    fn deduplication_id(&self, _body: &str) -> String {
        self.batch_id.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> ResearchMessage {
        ResearchMessage {
            paper_id: PaperId::of("Adam", None),
            revision: 1,
            source: Source::Iclr,
            year: 2015,
            title: "Adam".to_owned(),
            authors: vec!["Diederik Kingma".to_owned()],
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

    #[test]
    fn a_paper_seen_once_makes_the_message_that_it_always_made() {
        let id = PaperId::of("Adam", None);
        let body = format!(
            r#"{{"paper_id":"{id}","source":"ICLR","year":2015,"title":"Adam","authors":["Diederik Kingma"],"abstract":null,"date":null,"url":null,"s3_bucket":"papers","s3_key":null,"record_s3_key":"iclr/2015/1.json"}}"#
        );
        assert_eq!(serde_json::to_string(&message()).unwrap(), body);
        assert_eq!(
            serde_json::from_str::<ResearchMessage>(&body).unwrap(),
            message()
        );
    }

    #[test]
    fn a_revision_and_a_text_to_come_are_said_and_make_another_message() {
        let ids = |message: &ResearchMessage| {
            let body = serde_json::to_string(message).unwrap();
            assert_eq!(
                serde_json::from_str::<ResearchMessage>(&body).unwrap(),
                *message
            );
            message.deduplication_id(&body)
        };
        let revised = ResearchMessage {
            revision: 2,
            ..message()
        };
        let expecting = ResearchMessage {
            text_expected: true,
            ..message()
        };
        let ids = [message(), revised, expecting].map(|message| ids(&message));
        assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
    }

    #[test]
    fn a_text_that_has_come_is_another_message_to_the_generator() {
        let id = PaperId::of("Adam", None);
        let sent = |text_expected| {
            let message = CodeGenerationMessage {
                text_expected,
                ..CodeGenerationMessage::of(id.clone(), "Adam".to_owned())
            };
            let body = serde_json::to_string(&message).unwrap();
            assert_eq!(
                serde_json::from_str::<CodeGenerationMessage>(&body).unwrap(),
                message
            );
            (message.deduplication_id(&body), body)
        };
        let (there, to_come) = (sent(false), sent(true));
        assert_eq!(there.1, format!(r#"{{"paper_id":"{id}","title":"Adam"}}"#));
        assert_eq!(there.0, id.as_str());
        assert_ne!(there.0, to_come.0);
    }

    #[test]
    fn a_program_asked_for_again_or_to_be_mended_is_another_message_each_time() {
        let plain = CodeGenerationMessage::of(PaperId::of("Adam", None), "Adam".to_owned());
        let forced = CodeGenerationMessage {
            force: true,
            ..plain.clone()
        };
        let mend = |digit: &str| CodeGenerationMessage {
            repair: Some(Repair {
                code_sha256: digit.repeat(64),
                from: RepairFrom::DryRun,
                findings: "NameError".to_owned(),
            }),
            ..plain.clone()
        };
        let messages = [plain.clone(), forced, mend("a"), mend("b")];
        let ids: std::collections::HashSet<String> = messages
            .iter()
            .map(|message| {
                let body = serde_json::to_string(message).unwrap();
                assert_eq!(
                    serde_json::from_str::<CodeGenerationMessage>(&body).unwrap(),
                    *message
                );
                message.deduplication_id(&body)
            })
            .collect();
        assert_eq!(ids.len(), 4);
    }

    #[test]
    fn the_longest_paper_id_fits_into_every_deduplication_id() {
        let paper_id = PaperId::try_from("x".repeat(128)).unwrap();
        let generation = |text_expected| {
            let message = CodeGenerationMessage {
                text_expected,
                ..CodeGenerationMessage::of(paper_id.clone(), String::new())
            };
            message.deduplication_id("")
        };
        let evaluation = CodeEvaluationMessage {
            paper_id: paper_id.clone(),
            paper_title: String::new(),
            s3_bucket: String::new(),
            s3_code_key: String::new(),
            code_sha256: "a".repeat(64),
        };
        let ids = [
            generation(false),
            generation(true),
            evaluation.deduplication_id(""),
        ];
        // 128 characters at most. Source: SQS API reference, `SendMessage`.
        assert!(ids.iter().all(|id| id.len() <= 128), "{ids:?}");
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn a_batch_as_users_send_it_over_http_is_read() {
        let id = PaperId::of("Adam", None);
        let body = format!(
            r#"{{"batch":[{{"paper_id":"{id}","paper_title":"Adam","code":"print(1)","s3_code_key":"k"}}],"timeout":600}}"#
        );
        let message: CodeTestingMessage = serde_json::from_str(&body).unwrap();
        assert_eq!(message.batch[0].code.as_deref(), Some("print(1)"));
        assert_eq!(message.timeout, 600);
        assert!(!message.skip_tested, "what a person sends is run");
        assert!(!message.trial, "and its result is the paper's");
    }

    #[test]
    fn a_trial_has_a_name_that_leads_nowhere_else() {
        let named = |batch_id: &str| CodeTestingMessage {
            batch_id: batch_id.to_owned(),
            batch: Vec::new(),
            timeout: 1,
            skip_tested: false,
            trial: true,
            live: false,
        };
        assert!(named("trial-0123456789abcdef").is_named_as_a_trial());
        let long = "a".repeat(81);
        for bad in ["", "..", "a/b", "trial 1", "é", &long] {
            assert!(!named(bad).is_named_as_a_trial(), "{bad}");
        }
    }
}
