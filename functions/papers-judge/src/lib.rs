//! Decides which papers are relevant and novel.
//!
//! In: [`ResearchMessage`]s of `researchQueue.fifo`. Out: a verdict in S3 and a state for every paper; for an
//! accepted one also its document in the index and a [`CodeGenerationMessage`]; one that is undecided waits for a
//! person. A revision of a paper is judged once: with a verdict on it, or on a later one, no model is asked, and what follows from the
//! verdict is done again. So "the PDF has come" and "the title was edited" are messages like the first:
//! the document takes what they say. A later revision is judged, and its verdict replaces the former one
//! only if that still stands as it was read; the former judgement stays in it. An error of the model, or
//! nonsense from it, is never a verdict: the message comes again, then goes to the dead-letter queue.
//!
//! What is known is found first, because that is cheaper: one query, and one vector that costs about a hundredth
//! of a call of the model and that an accepted paper needs anyway. What only resembles a known paper is shown to
//! the model beside it. Two near-duplicates judged at the same moment may both be accepted; the same paper judged
//! twice has one verdict. A verdict on the title alone lasts until there is a PDF to read. A person's [`annapurna_contract::Order`] comes
//! by the same queue, so it is carried out in its turn.

mod decide;
mod document;
mod hostile;
mod novelty;
pub mod rubric;
mod sense;

use std::time::Duration;

use annapurna_cloud::{Condition, Message, MessageQueues, Object, ObjectStore, S3, Sqs, Written};
use annapurna_contract::{
    CodeGenerationMessage, ConfigError, Decision, JudgeConfig, PAPER_MAX_RECEIVES, PaperId,
    ResearchMessage, Verdict, config::number, keys, spent::Spender, text::one_line,
};
use annapurna_runtime::model::deadline;
use annapurna_runtime::search::StatusIndex;
use annapurna_runtime::{FunctionError, Inbox, Ledger, Model, Search, process_batch};
use aws_config::SdkConfig;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use tokio::time::Instant;
use tracing::{info, warn};

use document::{document, expects_text, is_outdated, pdf_of};
use rubric::Rubric;

/// Largest verdict that is read, bytes.
const VERDICT_LIMIT: u64 = 4 << 20;
/// How often a verdict is written over one that someone else was faster with.
const KEEP_ATTEMPTS: usize = 4;

/// Why a message has to come again.
pub type JudgeError = FunctionError<VerdictError>;

/// What is wrong with a verdict.
#[derive(Debug, thiserror::Error)]
pub enum VerdictError {
    /// It has no JSON form, or what is in S3 is none.
    #[error("verdict of paper `{paper_id}` cannot be read or written")]
    Json {
        /// The paper it is about.
        paper_id: PaperId,
        /// What serde found, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// It was there and then was not.
    #[error("verdict of paper `{paper_id}` is missing right after it was found")]
    Gone {
        /// The paper it is about.
        paper_id: PaperId,
    },
    /// Others wrote verdicts that do not answer the message each time.
    #[error("verdict of paper `{paper_id}` changed each time it was to be replaced")]
    Contended {
        /// The paper it is about.
        paper_id: PaperId,
    },
    /// The message to the generator has no JSON form.
    #[error("message about paper `{paper_id}` cannot be written")]
    Message {
        /// The paper it is about.
        paper_id: PaperId,
        /// What serde found, with line and column.
        #[source]
        source: serde_json::Error,
    },
}

/// A verdict as it was read.
struct Known {
    verdict: Verdict,
    etag: String,
}

/// The function with its clients.
#[derive(Debug, Clone)]
pub struct Judge {
    config: JudgeConfig<String>,
    duplicate_similarity: f64,
    rubric: Rubric,
    search: Search,
    states: StatusIndex,
    model: Model,
    objects: S3,
    queues: Sqs,
}

impl Judge {
    /// The function with clients for what `config` names. The model may be at an endpoint of its own.
    ///
    /// # Errors
    ///
    /// [`JudgeError::Config`] and [`JudgeError::Search`] for a variable that cannot be used.
    pub fn new(
        sdk: &SdkConfig,
        model: Model,
        config: JudgeConfig<String>,
    ) -> Result<Self, JudgeError> {
        let name = "DUPLICATE_SIMILARITY";
        let similarity: f64 = number(name, &config.duplicate_similarity)?;
        if !(0.0..=1.0).contains(&similarity) {
            return Err(JudgeError::Config(ConfigError::Invalid {
                name,
                expected: "from 0 to 1",
                value: config.duplicate_similarity,
            }));
        }
        let search = Search::new(sdk, &config.opensearch_endpoint, &config.opensearch_index)?;
        let budgets = (&*config.budget_per_paper, &*config.budget_per_day);
        let ledger = Ledger::new(sdk, &config.code_bucket, Spender::Judge, budgets)?;
        Ok(Self {
            duplicate_similarity: similarity,
            rubric: Rubric::new(&config.topic),
            states: search.states(),
            search,
            model: model.with_ledger(ledger),
            objects: S3::new(sdk),
            queues: Sqs::new(sdk),
            config,
        })
    }

    /// Judges every message of a batch; answers with those that must come again. `time` is what the function has left.
    pub async fn handle(&self, event: SqsEvent, time: Duration) -> SqsBatchResponse {
        let end = deadline(time);
        let inbox = Inbox {
            queues: &self.queues,
            queue_url: &self.config.research_queue_url,
            max_receives: PAPER_MAX_RECEIVES,
        };
        process_batch(event, inbox, |message: ResearchMessage| {
            self.judge(message, end)
        })
        .await
    }

    /// Brings one paper to its verdict and past it.
    async fn judge(&self, message: ResearchMessage, end: Instant) -> Result<(), JudgeError> {
        let verdict = self.verdict(&message, end).await?;
        let paper_id = &verdict.paper_id;
        let (revision, reason) = (verdict.revision, &verdict.record.reason);
        info!(%paper_id, revision, decision = ?verdict.decision, reason, "judged");
        self.states.judged(&verdict).await?;
        if verdict.decision != Decision::Accept {
            return Ok(());
        }
        self.write_document(&verdict, &message).await?;
        let next = CodeGenerationMessage {
            text_expected: expects_text(&message),
            ..CodeGenerationMessage::of(paper_id.clone(), message.title)
        };
        let queue = &self.config.queue_url;
        let next = Message::of(&next).map_err(|source| {
            JudgeError::Own(VerdictError::Message {
                paper_id: paper_id.clone(),
                source,
            })
        })?;
        Ok(self.queues.send(queue, next).await?)
    }

    /// The verdict that stands after this message. Nothing is decided where one [`Verdict::answers`] it.
    async fn verdict(
        &self,
        message: &ResearchMessage,
        end: Instant,
    ) -> Result<Verdict, JudgeError> {
        let known = self.known_verdict(&message.paper_id).await?;
        match known {
            Some(known) if known.verdict.answers(message) => Ok(known.verdict),
            known => {
                let judged = self.decide(message, end).await?;
                self.keep(message, judged, known).await
            }
        }
    }

    /// Makes the document say what verdict and message do, in whatever state it is.
    async fn write_document(
        &self,
        verdict: &Verdict,
        message: &ResearchMessage,
    ) -> Result<(), JudgeError> {
        let paper_id = &verdict.paper_id;
        let mut fields = document(verdict, message);
        // The document may know more than the verdict: what was edited since.
        if is_outdated(verdict, message) && self.search.get(paper_id).await?.is_some() {
            let revision = message.revision;
            warn!(%paper_id, revision, "a later revision was judged; only its PDF is taken");
            fields = pdf_of(message);
        }
        Ok(self.search.upsert(paper_id, &fields).await?)
    }

    async fn known_verdict(&self, paper_id: &PaperId) -> Result<Option<Known>, JudgeError> {
        let key = keys::verdict(paper_id);
        let bucket = &self.config.bucket_name;
        let Some(found) = self.objects.read(bucket, &key, VERDICT_LIMIT).await? else {
            return Ok(None);
        };
        let verdict: Verdict =
            serde_json::from_slice(&found.body).map_err(|source| not_json(paper_id, source))?;
        match &verdict.decision {
            Decision::Accept | Decision::Reject | Decision::Undecided => Ok(Some(Known {
                verdict,
                etag: found.etag,
            })),
            Decision::Other(word) => {
                let reason = format!("its decision is `{}`", one_line(word, 80));
                Err(not_json(paper_id, serde::de::Error::custom(reason)))
            }
        }
    }

    /// Writes a verdict, in place of the one that is known. Where someone else was faster with one that answers the
    /// message, too, theirs stands.
    async fn keep(
        &self,
        message: &ResearchMessage,
        judged: Verdict,
        mut known: Option<Known>,
    ) -> Result<Verdict, JudgeError> {
        let paper_id = judged.paper_id.clone();
        for _ in 0..KEEP_ATTEMPTS {
            let (verdict, condition) = match &known {
                None => (judged.clone(), Condition::Absent),
                Some(known) => (
                    known.verdict.clone().revised(judged.clone()),
                    Condition::Unchanged(&known.etag),
                ),
            };
            if self.write_verdict(&verdict, condition).await? == Written::Done {
                if verdict.decision != judged.decision {
                    let (revision, reason) = (judged.revision, &judged.record.reason);
                    warn!(%paper_id, revision, reason, "not accepted this time; the paper stays accepted");
                }
                return Ok(verdict);
            }
            let theirs = self.known_verdict(&paper_id).await?;
            let Some(theirs) = theirs else {
                return Err(JudgeError::Own(VerdictError::Gone { paper_id }));
            };
            if theirs.verdict.answers(message) {
                return Ok(theirs.verdict);
            }
            known = Some(theirs);
        }
        Err(JudgeError::Own(VerdictError::Contended { paper_id }))
    }

    async fn write_verdict(
        &self,
        verdict: &Verdict,
        condition: Condition<'_>,
    ) -> Result<Written, JudgeError> {
        let paper_id = &verdict.paper_id;
        let body = serde_json::to_vec_pretty(verdict);
        let body = body.map_err(|source| not_json(paper_id, source))?;
        let object = Object::new(body, "application/json");
        let bucket = &self.config.bucket_name;
        let key = keys::verdict(paper_id);
        let written = self.objects.write(bucket, &key, object, condition);
        Ok(written.await?)
    }
}

fn not_json(paper_id: &PaperId, source: serde_json::Error) -> JudgeError {
    JudgeError::Own(VerdictError::Json {
        paper_id: paper_id.clone(),
        source,
    })
}
