//! Writes a PyTorch program for each accepted paper.
//!
//! In: [`CodeGenerationMessage`]s of `code-generation.fifo`, or a person's [`GeneratorEvent`]. Out: the program and
//! `metadata.json` in S3, the document's [`Generated`] fields and a [`CodeEvaluationMessage`]. The metadata are
//! written last and hold all that follows from the program, so a paper that comes again asks no model: its fields are
//! written and its message is sent once more. That is true of a person's request too; the answer lists such papers as
//! `already`. A program is written again where the prompts are others now, where the paper's text has come since, or
//! on demand. It is checked before it costs device time and mended where something is found; what cannot be mended
//! is recorded with its findings and not asked again by itself. One run at a time writes a paper's program ([`claim`]).
//! A paper whose text is to come waits for it a bounded time ([`waiting`]); a person's request does not.

mod claim;
mod datasets;
mod error;
mod examine;
mod metadata;
mod prompt;
mod select;
#[cfg(test)]
mod testing;
mod waiting;
mod write;

use std::time::Duration;

use annapurna_cloud::{Message, MessageQueues, ObjectStore, S3, Sqs};
use annapurna_contract::{
    Backend, CodeEvaluationMessage, CodeGenerationMessage, Generated, GeneratorConfig,
    PAPER_MAX_RECEIVES, PaperId, PaperRecord, Repair,
    answers::{Chosen, Failed, GeneratorAnswer, Program},
    config::{backend, number},
    events::{self, GeneratorEvent, Limits, PaperInfo},
    keys,
    spent::Spender,
    text::{chain, one_line},
};
use annapurna_pdf::PDF_LIMIT;
use annapurna_program_check::Facts;
use annapurna_runtime::model::deadline;
use annapurna_runtime::search::StatusIndex;
use annapurna_runtime::{Inbox, Ledger, Model, Search, process_batch};
use aws_config::SdkConfig;
use aws_lambda_events::sqs::SqsEvent;
use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{info, warn};

use claim::Claims;
use datasets::Datasets;
use error::{not_an_event, not_an_id};
use metadata::{Programs, no_json};
use write::Writing;

pub use error::{GeneratorError, NoProgram, error_type};
pub use metadata::{Mended, Metadata};
pub use select::NoMatch;

/// Characters of a PDF's text that the model is shown.
const BODY_CHARACTERS: usize = 60_000;
/// A person's request begins no further paper with less time than this left, or than half of the function's time
/// where that is shorter, as in `local`.
const TIME_OF_A_PAPER: Duration = Duration::from_secs(150);

/// What is asked for a paper besides its program.
#[derive(Debug, Clone)]
struct Wanted {
    /// A new one, though there is one.
    force: bool,
    /// Of its text, and not of its abstract alone.
    full_content: bool,
    /// The one that failed, mended.
    repair: Option<Repair>,
}

/// The function with its clients.
#[derive(Debug, Clone)]
pub struct Generator {
    config: GeneratorConfig<String>,
    wait_for_text: Duration,
    backend: Backend,
    search: Search,
    states: StatusIndex,
    model: Model,
    objects: S3,
    datasets: Datasets,
    programs: Programs,
    claims: Claims,
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
        let objects = S3::new(sdk);
        let search = Search::new(sdk, &config.opensearch_endpoint, &config.opensearch_index)?;
        Ok(Self {
            wait_for_text: Duration::from_secs(wait_for_text.into()),
            backend: backend("DEVICE_BACKEND", &config.device_backend)?,
            states: search.states(),
            search,
            model: model.with_ledger(ledger),
            datasets: Datasets::new(objects.clone(), config.datasets_bucket.clone()),
            programs: Programs::new(objects.clone(), config.code_bucket.clone()),
            claims: Claims::new(objects.clone(), config.code_bucket.clone()),
            objects,
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
        let end = deadline(time);
        if event.get("Records").is_some() {
            let event: SqsEvent = serde_json::from_value(event).map_err(not_an_event)?;
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
            GeneratorEvent::GetPaperInfo(about) => return self.paper_info(about).await,
            GeneratorEvent::Examine(program) => {
                let examined = self.examine(&program, end).await?;
                return serde_json::to_value(examined).map_err(not_an_event);
            }
            GeneratorEvent::EndWaits(_) => {
                let ended = self.end_waits().await?;
                return serde_json::to_value(ended).map_err(not_an_event);
            }
            _ => {}
        }
        let last_begin = Instant::now() + time.saturating_sub(TIME_OF_A_PAPER.min(time / 2));
        let answer = self.answer(action, event, last_begin, end).await?;
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
        let Some((chosen, limits)) = self.chosen(event).await? else {
            return Ok(GeneratorAnswer::default());
        };
        let mut answer = GeneratorAnswer {
            action,
            requested: chosen.len(),
            chosen,
            ..GeneratorAnswer::default()
        };
        let wanted = Wanted {
            force: limits.force,
            full_content: limits.include_full_content,
            repair: None,
        };
        for Chosen { paper_id: id, .. } in &answer.chosen {
            let outcome = match PaperId::try_from(id.clone()) {
                Err(error) => Err(not_an_id(error)),
                Ok(_) if Instant::now() > last_begin => Err(GeneratorError::Own(NoProgram::NoTime)),
                Ok(paper_id) => self.generate(&paper_id, &wanted, end).await,
            };
            match outcome.and_then(refused) {
                Ok((metadata, true)) => answer.generated.push(program(metadata)),
                Ok((metadata, false)) => answer.already.push(program(metadata)),
                Err(error) => {
                    let error = chain(&error);
                    let paper_id = one_line(id, 80);
                    warn!(paper_id, error, "no program");
                    answer.failed.push(Failed { paper_id, error });
                }
            }
        }
        Ok(answer)
    }

    /// The papers a request means, with its limits; `None` for one that is not about programs. The ids that a person
    /// typed are not checked yet: each has its own place in the answer.
    async fn chosen(
        &self,
        event: GeneratorEvent,
    ) -> Result<Option<(Vec<Chosen>, Limits)>, GeneratorError> {
        let typed = |ids: Vec<String>, limits: Limits| {
            let most = limits.max_papers.map_or(usize::MAX, |most| most as usize);
            let ids = ids.into_iter().take(most);
            let chosen = ids.map(|paper_id| Chosen {
                paper_id,
                title: None,
            });
            Ok(Some((chosen.collect(), limits)))
        };
        let most = |limits: &Limits, usual: u32| limits.max_papers.unwrap_or(usual);
        let (limits, selection) = match event {
            GeneratorEvent::EndWaits(_)
            | GeneratorEvent::GetPaperInfo(_)
            | GeneratorEvent::Examine(_) => return Ok(None),
            GeneratorEvent::GenerateById(it) => {
                return typed(vec![it.paper_id.clone()], it.limits());
            }
            GeneratorEvent::GenerateByIds(it) => return typed(it.paper_ids.clone(), it.limits()),
            GeneratorEvent::GenerateByTitle(it) => {
                let limits = it.limits();
                (limits, select::by_title(&it.title, most(&limits, 1)))
            }
            GeneratorEvent::GenerateByAuthor(it) => {
                let limits = it.limits();
                (limits, select::by_author(&it.author, most(&limits, 5)))
            }
            GeneratorEvent::GenerateByKeywords(it) => {
                let limits = it.limits();
                let words = it.keywords.query();
                (limits, select::by_keywords(&words, most(&limits, 5)))
            }
            GeneratorEvent::GenerateRecent(it) => {
                let mut limits = it.limits();
                let days = limits.days.take().unwrap_or(30);
                (limits, select::recent(most(&limits, 5), days, Utc::now()))
            }
        };
        let selection = select::within(selection, limits.days, Utc::now());
        let found = self.search.search(&selection.query).await?;
        if found.is_empty()
            && let Some(asked) = &selection.asked
        {
            let no_match = select::no_match(&self.search, asked).await?;
            return Err(GeneratorError::Own(no_match.into()));
        }
        let chosen = found.into_iter().map(|(id, record)| Chosen {
            paper_id: id.to_string(),
            title: record.judged.title,
        });
        Ok(Some((chosen.collect(), limits)))
    }

    /// What the index knows of one paper, without its vector.
    async fn paper_info(&self, about: PaperInfo) -> Result<Value, GeneratorError> {
        let found = match (about.paper_id, about.title) {
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

    /// Does what a message asks for, unless the paper waits for its text. A refusal is recorded, so the message is done.
    async fn generate_or_wait(
        &self,
        message: CodeGenerationMessage,
        end: Instant,
    ) -> Result<(), GeneratorError> {
        if self.waits(&message).await? {
            return Ok(());
        }
        let wanted = Wanted {
            force: message.force,
            full_content: true,
            repair: message.repair,
        };
        self.generate(&message.paper_id, &wanted, end)
            .await
            .map(drop)
    }

    /// Brings one paper to its program and past it. Says whether the program is new.
    async fn generate(
        &self,
        paper_id: &PaperId,
        wanted: &Wanted,
        end: Instant,
    ) -> Result<(Metadata, bool), GeneratorError> {
        let stored = self.search.get(paper_id).await?;
        let stored =
            stored.ok_or_else(|| GeneratorError::Own(NoProgram::NoPaper(paper_id.clone())))?;
        let record = &stored.record;
        let known = self.programs.metadata(paper_id).await?;
        let (metadata, is_new) = match known {
            Some(known) if !is_to_write(&known, record, wanted) => (known, false),
            known => {
                self.one_writes(paper_id, record, known, wanted, end)
                    .await?
            }
        };
        self.states.generated(paper_id, &metadata.status).await?;
        // A program that failed and could not be mended has had its test.
        let has_failed = wanted
            .repair
            .as_ref()
            .is_some_and(|repair| repair.code_sha256 == metadata.code_sha256);
        if metadata.has_program() && !has_failed {
            self.pass_on(&metadata).await?;
        }
        Ok((metadata, is_new))
    }

    /// Writes or mends the program, unless another run does or has done it meanwhile.
    async fn one_writes(
        &self,
        paper_id: &PaperId,
        record: &PaperRecord,
        before: Option<Metadata>,
        wanted: &Wanted,
        end: Instant,
    ) -> Result<(Metadata, bool), GeneratorError> {
        let held = self.claims.take(paper_id, end).await?;
        let held =
            held.ok_or_else(|| GeneratorError::Own(NoProgram::UnderWay(paper_id.clone())))?;
        let now = self.programs.metadata(paper_id).await?;
        let written = match now {
            // Another run had the claim, and this is what it wrote.
            Some(now)
                if before.as_ref() != Some(&now) && !is_to_write(&now, record, &NOTHING_MORE) =>
            {
                Ok((now, false))
            }
            now => self.write_or_mend(paper_id, record, now, wanted, end).await,
        };
        self.claims.give_back(held).await?;
        written
    }

    async fn write_or_mend(
        &self,
        paper_id: &PaperId,
        record: &PaperRecord,
        known: Option<Metadata>,
        wanted: &Wanted,
        end: Instant,
    ) -> Result<(Metadata, bool), GeneratorError> {
        let title = record.judged.title.as_ref();
        let title =
            title.ok_or_else(|| GeneratorError::Own(NoProgram::NoTitle(paper_id.clone())))?;
        let code = match (&known, &wanted.repair) {
            (Some(known), Some(repair)) if known.may_mend(repair) => {
                self.programs.program(known).await?
            }
            _ => None,
        };
        let metadata = known.unwrap_or_else(|| Metadata::new(paper_id, title));
        let writing = Writing::begin(self, record, metadata, wanted.full_content, end).await?;
        let written = match (code, &wanted.repair) {
            (Some(code), Some(repair)) => writing.mend_after(repair, &code).await,
            _ => writing.write().await,
        };
        written.map(|metadata| (metadata, true))
    }

    /// Writes what follows from a program into the index, and sends it to its test.
    async fn pass_on(&self, metadata: &Metadata) -> Result<(), GeneratorError> {
        let paper_id = &metadata.paper_id;
        self.search.upsert(paper_id, &metadata.record).await?;
        let code_sha256 = metadata.code_sha256.clone();
        let message = CodeEvaluationMessage {
            paper_id: paper_id.clone(),
            paper_title: metadata.paper_title.clone(),
            s3_bucket: self.config.code_bucket.clone(),
            s3_code_key: keys::code_version(paper_id, &code_sha256),
            code_sha256,
        };
        let queue = &self.config.code_queue_url;
        let message = Message::of(&message).map_err(|source| no_json(paper_id, source))?;
        self.queues.send(queue, message).await?;
        info!(%paper_id, code_sha256 = metadata.code_sha256, "program ready for its test");
        Ok(())
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
}

/// What a run that waited for another's claim still asks for.
const NOTHING_MORE: Wanted = Wanted {
    force: false,
    full_content: true,
    repair: None,
};

/// Whether a model is to be asked, though this is known of the paper's program.
fn is_to_write(known: &Metadata, record: &PaperRecord, wanted: &Wanted) -> bool {
    if let Some(repair) = &wanted.repair {
        return known.may_mend(repair);
    }
    let pdf = record
        .judged
        .s3_key
        .as_ref()
        .filter(|_| wanted.full_content);
    wanted.force || !known.is_settled(pdf)
}

/// A refusal as the error that a person is told, unless the paper has a program all the same.
fn refused((metadata, is_new): (Metadata, bool)) -> Result<(Metadata, bool), GeneratorError> {
    if !metadata.has_program() {
        return Err(GeneratorError::Own(NoProgram::Refused {
            paper_id: metadata.paper_id,
            findings: metadata.status.findings.unwrap_or_default(),
        }));
    }
    Ok((metadata, is_new))
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
