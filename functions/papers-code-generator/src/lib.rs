//! Writes a PyTorch program for each accepted paper.
//!
//! In: [`CodeGenerationMessage`]s of `code-generation.fifo`, or a person's [`GeneratorEvent`]. Out:
//! `code.py` and `metadata.json` in S3, the document's [`Generated`] fields and a
//! [`CodeEvaluationMessage`]. The metadata are written last and hold all that follows from the program,
//! so a paper that comes again asks no model: its fields are written and its message is sent once more.
//! That is true of a person's request too; the answer lists such papers as `already`. A program is
//! checked before it costs device time; one that fails is asked for once more with the findings, then the
//! message goes back to its queue. A paper whose text is to come waits for it a bounded time ([`waiting`]);
//! a person's request does not.

mod datasets;
mod prompt;
mod select;
mod waiting;

use std::time::Duration;

use annapurna_cloud::{Message, MessageQueues, Object, ObjectStore, S3, Sqs};
use annapurna_contract::{
    Backend, CodeEvaluationMessage, CodeGenerationMessage, Generated, GeneratorConfig,
    PAPER_MAX_RECEIVES, PaperId, PaperRecord,
    answers::{Failed, GeneratorAnswer, Program},
    config::{backend, number},
    dataset::Wish,
    events::{self, GeneratorEvent},
    keys,
    model::{GeneratedProgram, PaperText},
    paper_id::NotAPaperId,
    spent::Spender,
    text::{chain, one_line},
};
use annapurna_pdf::PDF_LIMIT;
use annapurna_program_check::{Facts, Findings};
use annapurna_runtime::model::deadline;
use annapurna_runtime::{Ask, FunctionError, Inbox, Ledger, Model, Search, process_batch};
use aws_config::SdkConfig;
use aws_lambda_events::sqs::SqsEvent;
use chrono::{SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::{info, warn};

use datasets::{Catalogue, Datasets};

pub use select::NoMatch;

/// Characters of a PDF's text that the model is shown.
const BODY_CHARACTERS: usize = 60_000;
/// Largest own object that is read, bytes.
const OWN_LIMIT: u64 = 1 << 20;
/// A person's request begins no further paper with less time than this left, or than half of the function's time
/// where that is shorter, as in `local`.
const TIME_OF_A_PAPER: Duration = Duration::from_secs(150);

/// Why a paper has no program.
pub type GeneratorError = FunctionError<NoProgram>;

/// What of an event, a paper or a model's answer leaves a paper without a program.
#[derive(Debug, thiserror::Error)]
pub enum NoProgram {
    /// The event is neither a batch of messages nor one of the actions.
    #[error("event is neither SQS records nor an action")]
    Event(#[source] serde_json::Error),
    /// A request for what is known of a paper names none.
    #[error("`get_paper_info` needs `paper_id` or `title`")]
    WhichPaper,
    /// The index has no such paper.
    #[error("paper `{0}` is not in the index")]
    NoPaper(PaperId),
    /// The judge writes title and text at once, so this document is not its.
    #[error("paper `{0}` has no title in the index: send it to the judge again")]
    NoTitle(PaperId),
    /// No paper of the index is one that a person asked for.
    #[error(transparent)]
    NoMatch(#[from] NoMatch),
    /// What was asked for is not a paper's id.
    #[error(transparent)]
    NotAPaperId(#[from] NotAPaperId),
    /// Two programs in a row cannot be run.
    #[error("the program for paper `{paper_id}` cannot be run, twice")]
    Unusable {
        /// The paper it is about.
        paper_id: PaperId,
        /// What is wrong with the second.
        #[source]
        source: Findings,
    },
    /// Something of ours has no JSON form, or is not what we wrote.
    #[error("metadata of paper `{paper_id}`")]
    Metadata {
        /// The paper it is about.
        paper_id: PaperId,
        /// What serde found, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// The function's time is nearly over.
    #[error("no time left in this run; ask again for this paper")]
    NoTime,
}

/// `{paper_id}/metadata.json`: what is known of a program, and all that follows from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The paper it was written for.
    pub paper_id: PaperId,
    /// The title that the model was shown.
    pub paper_title: String,
    /// SHA-256 of the program, hexadecimal.
    pub code_sha256: String,
    /// The model that wrote it.
    pub model_id: String,
    /// What of the paper it tests, in the model's words.
    pub description: String,
    /// Whether the model saw the paper's text, or only its abstract.
    pub from_full_text: bool,
    /// The data set that the paper wants and that was not there.
    #[serde(flatten)]
    pub wish: Wish,
    /// The document's fields.
    pub record: Generated,
}

/// The function with its clients.
#[derive(Debug, Clone)]
pub struct Generator {
    config: GeneratorConfig<String>,
    wait_for_text: Duration,
    backend: Backend,
    search: Search,
    model: Model,
    objects: S3,
    datasets: Datasets,
    queues: Sqs,
}

impl Generator {
    /// The function with clients for what `config` names. The model may be at an endpoint of its own.
    ///
    /// # Errors
    ///
    /// [`GeneratorError::Config`] and [`GeneratorError::Search`] for a variable that cannot be used.
    pub fn new(
        sdk: &SdkConfig,
        model: Model,
        config: GeneratorConfig<String>,
    ) -> Result<Self, GeneratorError> {
        let wait_for_text: u32 = number("WAIT_FOR_TEXT_SECONDS", &config.wait_for_text)?;
        let budgets = (&*config.budget_per_paper, &*config.budget_per_day);
        let ledger = Ledger::new(sdk, &config.code_bucket, Spender::Generator, budgets)?;
        Ok(Self {
            wait_for_text: Duration::from_secs(wait_for_text.into()),
            backend: backend("DEVICE_BACKEND", &config.device_backend)?,
            search: Search::new(sdk, &config.opensearch_endpoint, &config.opensearch_index)?,
            model: model.with_ledger(ledger),
            objects: S3::new(sdk),
            datasets: Datasets::new(S3::new(sdk), config.datasets_bucket.clone()),
            queues: Sqs::new(sdk),
            config,
        })
    }

    /// Answers an event: a batch's failures, or JSON for a person. `time` is what the function has left.
    ///
    /// # Errors
    ///
    /// [`NoProgram::Event`], and [`GeneratorError::Search`] when a request's papers cannot be found.
    pub async fn handle(&self, event: Value, time: Duration) -> Result<Value, GeneratorError> {
        if event.get("Records").is_some() {
            let event: SqsEvent = serde_json::from_value(event).map_err(not_an_event)?;
            let end = deadline(time);
            let inbox = Inbox {
                queues: &self.queues,
                queue_url: &self.config.generation_queue_url,
                max_receives: PAPER_MAX_RECEIVES,
            };
            let failures =
                process_batch(event, inbox, |message| self.generate_or_wait(message, end));
            return serde_json::to_value(failures.await).map_err(not_an_event);
        }
        let action = event.get("action").and_then(Value::as_str);
        let action = one_line(action.unwrap_or_default(), 80);
        let event: GeneratorEvent = events::read(event).map_err(not_an_event)?;
        match event {
            GeneratorEvent::GetPaperInfo { paper_id, title } => {
                return self.paper_info(paper_id, title).await;
            }
            GeneratorEvent::EndWaits => {
                let ended = self.end_waits().await?;
                return serde_json::to_value(ended).map_err(not_an_event);
            }
            _ => {}
        }
        let last_begin = Instant::now() + time.saturating_sub(TIME_OF_A_PAPER.min(time / 2));
        let answer = self
            .answer(action, event, last_begin, deadline(time))
            .await?;
        serde_json::to_value(answer).map_err(not_an_event)
    }

    /// Does a person's request, one paper after the other.
    async fn answer(
        &self,
        action: String,
        event: GeneratorEvent,
        last_begin: Instant,
        end: Instant,
    ) -> Result<GeneratorAnswer, GeneratorError> {
        let wanted = self.wanted(event).await?;
        let mut answer = GeneratorAnswer {
            action,
            requested: wanted.len(),
            ..GeneratorAnswer::default()
        };
        for id in wanted {
            let outcome = match PaperId::try_from(id.clone()) {
                Err(error) => Err(not_an_id(error)),
                Ok(_) if Instant::now() > last_begin => Err(GeneratorError::Own(NoProgram::NoTime)),
                Ok(paper_id) => self.generate(&paper_id, end).await,
            };
            match outcome {
                Ok((metadata, true)) => answer.generated.push(program(metadata)),
                Ok((metadata, false)) => answer.already.push(program(metadata)),
                Err(error) => {
                    let error = chain(&error);
                    warn!(paper_id = one_line(&id, 80), error, "no program");
                    let paper_id = one_line(&id, 80);
                    answer.failed.push(Failed { paper_id, error });
                }
            }
        }
        Ok(answer)
    }

    /// The ids a request means. Those a person typed are not checked yet: each has its own place in the
    /// answer.
    async fn wanted(&self, event: GeneratorEvent) -> Result<Vec<String>, GeneratorError> {
        let selection = match event {
            GeneratorEvent::GenerateById { paper_id } => return Ok(vec![paper_id]),
            GeneratorEvent::GenerateByIds { paper_ids } => return Ok(paper_ids),
            // Neither is about programs.
            GeneratorEvent::EndWaits | GeneratorEvent::GetPaperInfo { .. } => return Ok(Vec::new()),
            GeneratorEvent::GenerateByTitle { title, max_papers } => {
                select::by_title(&title, max_papers.unwrap_or(1))
            }
            GeneratorEvent::GenerateByAuthor { author, max_papers } => {
                select::by_author(&author, max_papers.unwrap_or(5))
            }
            GeneratorEvent::GenerateByKeywords {
                keywords,
                max_papers,
            } => select::by_keywords(&keywords.query(), max_papers.unwrap_or(5)),
            GeneratorEvent::GenerateRecent { max_papers, days } => {
                select::recent(max_papers.unwrap_or(5), days.unwrap_or(30), Utc::now())
            }
        };
        let found = self.search.search(&selection.query).await?;
        if found.is_empty()
            && let Some(asked) = &selection.asked
        {
            let no_match = select::no_match(&self.search, asked).await?;
            return Err(GeneratorError::Own(no_match.into()));
        }
        Ok(found.into_iter().map(|(id, _)| id.to_string()).collect())
    }

    /// What the index knows of one paper, without its vector.
    async fn paper_info(
        &self,
        paper_id: Option<String>,
        title: Option<String>,
    ) -> Result<Value, GeneratorError> {
        let found = match (paper_id, title) {
            (Some(id), _) => {
                let id = PaperId::try_from(id).map_err(not_an_id)?;
                let stored = self.search.get(&id).await?;
                stored.map(|stored| (id, stored.record))
            }
            (None, None) => return Err(GeneratorError::Own(NoProgram::WhichPaper)),
            (None, Some(title)) => {
                let query = select::by_title(&title, 1).query;
                self.search.search(&query).await?.into_iter().next()
            }
        };
        let action = "get_paper_info";
        let Some((paper_id, mut record)) = found else {
            return Ok(json!({"action": action, "found": false}));
        };
        record.judged.abstract_embedding = None;
        Ok(json!({"action": action, "found": true, "paper_id": paper_id, "paper": record}))
    }

    /// Does what a message asks for, unless the paper waits for its text.
    async fn generate_or_wait(
        &self,
        message: CodeGenerationMessage,
        end: Instant,
    ) -> Result<(), GeneratorError> {
        if self.waits(&message).await? {
            return Ok(());
        }
        self.generate(&message.paper_id, end).await.map(drop)
    }

    /// Brings one paper to its program and past it. Says whether the program is new.
    async fn generate(
        &self,
        paper_id: &PaperId,
        end: Instant,
    ) -> Result<(Metadata, bool), GeneratorError> {
        let stored = self.search.get(paper_id).await?;
        let stored =
            stored.ok_or_else(|| GeneratorError::Own(NoProgram::NoPaper(paper_id.clone())))?;
        let (metadata, is_new) = match self.known_program(paper_id).await? {
            Some(metadata) => (metadata, false),
            None => (
                self.write_program(paper_id, &stored.record, end).await?,
                true,
            ),
        };
        self.search.upsert(paper_id, &metadata.record).await?;
        let message = CodeEvaluationMessage {
            paper_id: paper_id.clone(),
            paper_title: metadata.paper_title.clone(),
            s3_bucket: self.config.code_bucket.clone(),
            s3_code_key: keys::code(paper_id),
            code_sha256: metadata.code_sha256.clone(),
        };
        let queue = &self.config.code_queue_url;
        let message = Message::of(&message).map_err(|source| self.no_json(paper_id, source))?;
        self.queues.send(queue, message).await?;
        info!(%paper_id, is_new, code_sha256 = metadata.code_sha256, "program ready for its test");
        Ok((metadata, is_new))
    }

    /// The paper's program, if its metadata are there and name the program that is there.
    async fn known_program(&self, paper_id: &PaperId) -> Result<Option<Metadata>, GeneratorError> {
        let bucket = &self.config.code_bucket;
        let key = keys::code_metadata(paper_id);
        let Some(metadata) = self.objects.get(bucket, &key, OWN_LIMIT).await? else {
            return Ok(None);
        };
        let metadata: Metadata = match serde_json::from_slice(&metadata) {
            Ok(metadata) => metadata,
            Err(reason) => {
                warn!(%paper_id, %reason, "metadata cannot be read; the program is written again");
                return Ok(None);
            }
        };
        let key = keys::code(paper_id);
        let code = self.objects.get(bucket, &key, OWN_LIMIT).await?;
        let same = code.is_some_and(|code| sha256(&code) == metadata.code_sha256);
        Ok(same.then_some(metadata))
    }

    async fn write_program(
        &self,
        paper_id: &PaperId,
        record: &PaperRecord,
        end: Instant,
    ) -> Result<Metadata, GeneratorError> {
        let title = record.judged.title.as_ref();
        let title =
            title.ok_or_else(|| GeneratorError::Own(NoProgram::NoTitle(paper_id.clone())))?;
        let body = self.body(paper_id, record).await?;
        let paper = PaperText {
            title: title.clone(),
            // A paper may come without one; its title and text are then all the model has.
            abstract_text: record.judged.abstract_text.clone().unwrap_or_default(),
            body,
        };
        let datasets = self.datasets.catalogue().await?;
        let (program, facts) = self.ask(paper_id, &paper, &datasets, end).await?;
        let code = program.code.into_bytes();
        let metadata = Metadata {
            paper_id: paper_id.clone(),
            paper_title: paper.title,
            code_sha256: sha256(&code),
            model_id: self.config.bedrock_model_id.clone(),
            description: one_line(&program.description, 2_000),
            from_full_text: !paper.body.is_empty(),
            wish: Wish {
                wanted_dataset: datasets.wish(program.wanted_dataset.as_deref()),
            },
            record: self.fields(paper_id, program.dataset, &facts),
        };
        let json = serde_json::to_vec_pretty(&metadata)
            .map_err(|source| self.no_json(paper_id, source))?;
        let bucket = &self.config.code_bucket;
        let key = keys::code(paper_id);
        let code = Object::new(code, "text/x-python");
        self.objects.put(bucket, &key, code).await?;
        let key = keys::code_metadata(paper_id);
        let json = Object::new(json, "application/json");
        self.objects.put(bucket, &key, json).await?;
        Ok(metadata)
    }

    fn fields(&self, paper_id: &PaperId, dataset: String, facts: &Facts) -> Generated {
        Generated {
            code_generated: Some(true),
            code_s3_bucket: Some(self.config.code_bucket.clone()),
            code_s3_key: Some(keys::code(paper_id)),
            code_generated_at: Some(Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true)),
            code_metadata_s3_key: Some(keys::code_metadata(paper_id)),
            dataset_name: Some(dataset),
            lines_of_code: i64::try_from(facts.lines_of_code).ok(),
            has_training_loop: Some(facts.has_training_loop),
            has_evaluation: Some(facts.has_evaluation),
            uses_distributed_training: Some(facts.uses_distributed_training),
        }
    }

    /// What the model is shown of the PDF; empty when there is no PDF or no text in it.
    async fn body(
        &self,
        paper_id: &PaperId,
        record: &PaperRecord,
    ) -> Result<String, GeneratorError> {
        let Some(key) = &record.judged.s3_key else {
            info!(%paper_id, "no PDF; the program is written from the abstract");
            return Ok(String::new());
        };
        let bucket = &self.config.bucket_name;
        let Some(bytes) = self.objects.get(bucket, key, PDF_LIMIT).await? else {
            warn!(%paper_id, key, "no PDF at its key; the program is written from the abstract");
            return Ok(String::new());
        };
        let limits = annapurna_pdf::Limits::default();
        let paper = annapurna_pdf::read(bytes, limits).await.unwrap_or_else(|reason| {
            warn!(%paper_id, %reason, "no text in the PDF; the program is written from the abstract");
            annapurna_pdf::Paper::default()
        });
        Ok(paper.for_model(BODY_CHARACTERS))
    }

    /// Asks for a program that can be run; the model is told once what keeps its own from it.
    async fn ask(
        &self,
        paper_id: &PaperId,
        paper: &PaperText,
        datasets: &Catalogue,
        end: Instant,
    ) -> Result<(GeneratedProgram, Facts), GeneratorError> {
        let block = paper.to_prompt_block();
        let block = block.map_err(|source| self.no_json(paper_id, source))?;
        let ask = Ask {
            model_id: &self.config.bedrock_model_id,
            system: &prompt::system(self.backend, datasets),
            shared: &block,
            question: prompt::QUESTION,
            tool: &prompt::tool(datasets),
            beside: &[],
            paper_id: Some(paper_id),
            deadline: end,
        };
        let runs = |program: &GeneratedProgram| match datasets.check(program, self.backend) {
            Ok(_) => Ok(()),
            Err(findings) => Err(findings.0.iter().map(ToString::to_string).collect()),
        };
        let program = self.model.ask(&ask, runs).await?.value;
        match datasets.check(&program, self.backend) {
            Ok(facts) => Ok((program, facts)),
            Err(source) => Err(GeneratorError::Own(NoProgram::Unusable {
                paper_id: paper_id.clone(),
                source,
            })),
        }
    }

    fn no_json(&self, paper_id: &PaperId, source: serde_json::Error) -> GeneratorError {
        GeneratorError::Own(NoProgram::Metadata {
            paper_id: paper_id.clone(),
            source,
        })
    }
}

/// A paper with its program, as a person is told it.
fn program(metadata: Metadata) -> Program {
    Program {
        s3_code_key: keys::code(&metadata.paper_id),
        paper_id: metadata.paper_id.into(),
        title: metadata.paper_title,
        from_full_text: metadata.from_full_text,
    }
}

/// The `errorType` that a caller is told of an error.
pub fn error_type(error: &GeneratorError) -> &'static str {
    match error {
        GeneratorError::Own(
            NoProgram::Event(_)
            | NoProgram::WhichPaper
            | NoProgram::NoMatch(_)
            | NoProgram::NotAPaperId(_),
        ) => events::INVALID_REQUEST,
        _ => "GeneratorError",
    }
}

fn not_an_event(source: serde_json::Error) -> GeneratorError {
    GeneratorError::Own(NoProgram::Event(source))
}

fn not_an_id(error: NotAPaperId) -> GeneratorError {
    GeneratorError::Own(error.into())
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
