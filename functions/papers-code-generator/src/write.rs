//! From a paper to its program: plan, code, check, edits, examination.
//!
//! In: a paper and what is known of its program so far. Out: the metadata and the program, or why there is none, which
//! is recorded as well and not asked again by itself. What only time mends (throttling, no time left) is an error, and
//! the message comes again; a plan that was made by then is kept.

use std::sync::Arc;

use annapurna_contract::{
    PaperRecord, Repair, RepairFrom,
    dataset::Wish,
    model::{GeneratedProgram, PaperText},
    plan::{Edits, Fidelity, Plan},
    status::GenerationState,
    text::{chain, one_line},
};
use annapurna_program_check::{Facts, Rules};
use annapurna_runtime::{Ask, ModelError};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::Generator;
use crate::datasets::Catalogue;
use crate::error::GeneratorError;
use crate::metadata::{Mended, Metadata, no_json, sha256};
use crate::prompt::{self, Step};

/// How often a program is mended before it is stored, where the check finds something.
const MOST_MENDED: usize = 2;

/// Why a writing ends without a program.
enum Stopped {
    /// The model's doing: recorded, and not asked again by itself.
    Refused(Vec<String>),
    /// What may pass: the message comes again.
    Error(GeneratorError),
}

impl From<GeneratorError> for Stopped {
    fn from(error: GeneratorError) -> Self {
        Self::Error(error)
    }
}

/// One paper's program in the making.
pub(crate) struct Writing<'a> {
    generator: &'a Generator,
    datasets: Arc<Catalogue>,
    system: String,
    /// The paper's block, the same in every question.
    shared: String,
    deadline: Instant,
    metadata: Metadata,
}

impl<'a> Writing<'a> {
    /// Begins a program for a paper, of whose last one this is `known`.
    pub(crate) async fn begin(
        generator: &'a Generator,
        record: &PaperRecord,
        mut metadata: Metadata,
        full_content: bool,
        deadline: Instant,
    ) -> Result<Self, GeneratorError> {
        let paper_id = metadata.paper_id.clone();
        let body = match full_content {
            true => generator.body(&paper_id, record).await?,
            false => String::new(),
        };
        metadata.from_full_text = !body.is_empty();
        metadata.pdf_s3_key = record.judged.s3_key.clone().filter(|_| full_content);
        let paper = PaperText {
            title: metadata.paper_title.clone(),
            // A paper may come without one; its title and text are then all the model has.
            abstract_text: record.judged.abstract_text.clone().unwrap_or_default(),
            body,
        };
        let shared = paper
            .to_prompt_block()
            .map_err(|source| no_json(&paper_id, source))?;
        let datasets = generator.datasets.catalogue().await?;
        Ok(Self {
            system: prompt::system(generator.backend, &datasets),
            generator,
            datasets,
            shared,
            deadline,
            metadata,
        })
    }

    /// Writes the program. What is answered is stored.
    pub(crate) async fn write(mut self) -> Result<Metadata, GeneratorError> {
        let attempts = self.metadata.status.attempts.unwrap_or(0);
        self.metadata.status.attempts = Some(attempts + 1);
        let written = self.plan_and_program().await;
        if written.is_ok() {
            // Another program: what was mended of the one before does not count.
            self.metadata.repairs.clear();
        }
        self.end(written, GenerationState::Checked).await
    }

    /// Mends the program that failed in a run. What is answered is stored.
    pub(crate) async fn mend_after(
        mut self,
        repair: &Repair,
        code: &str,
    ) -> Result<Metadata, GeneratorError> {
        let Some(plan) = self.metadata.plan() else {
            return Ok(self.metadata);
        };
        let place = match repair.from {
            RepairFrom::DryRun => {
                "it failed in the short run, with at most 64 samples of each half of a data set, on the machine's processor"
            }
            RepairFrom::Device => "it failed on the device",
        };
        let found = format!("{place}. The end of what it wrote:\n{}", repair.findings);
        self.metadata.repairs.push(Mended {
            code_sha256: repair.code_sha256.clone(),
            from: repair.from,
        });
        let mended = match self.mended(&plan, code, &found).await {
            Ok(code) => self.checked(&plan, code).await,
            Err(stopped) => Err(stopped),
        };
        let description = self.metadata.description.clone();
        let written =
            mended.map(|(code, facts)| (plan, GeneratedProgram { code, description }, facts));
        self.end(written, GenerationState::Repaired).await
    }

    async fn plan_and_program(&mut self) -> Result<(Plan, GeneratedProgram, Facts), Stopped> {
        let is_known = self.metadata.is_planned() && self.metadata.is_of_these_prompts();
        let plan = match self.metadata.plan().filter(|_| is_known) {
            // Of a writing that had no time for the program.
            Some(plan) => plan,
            None => self.planned().await?,
        };
        let question = prompt::code(&plan).map_err(|source| self.no_json(source))?;
        let mut program: GeneratedProgram = self
            .ask(Step::Program, &question, says_what_it_tests)
            .await?;
        let (code, facts) = self.checked(&plan, program.code).await?;
        program.code = code;
        Ok((plan, program, facts))
    }

    /// A new plan, which is kept at once: it is paid for.
    async fn planned(&mut self) -> Result<Plan, Stopped> {
        let datasets = Arc::clone(&self.datasets);
        let check = move |plan: &Plan| plan.check(&datasets.names());
        let plan: Plan = self.ask(Step::Plan, prompt::PLAN, check).await?;
        if !self.metadata.has_program() {
            let status = &mut self.metadata.status;
            status.state = Some(GenerationState::Planned);
            status.prompt_version = Some(prompt::VERSION.to_owned());
            status.plan = json(&plan);
            self.generator.programs.put_metadata(&self.metadata).await?;
        }
        Ok(plan)
    }

    /// A program that passes the check, mended where it did not.
    async fn checked(&mut self, plan: &Plan, mut code: String) -> Result<(String, Facts), Stopped> {
        let mut left = MOST_MENDED;
        loop {
            let findings = match self.check(plan, &code) {
                Ok(facts) => return Ok((code, facts)),
                Err(findings) => findings,
            };
            let paper_id = &self.metadata.paper_id;
            warn!(%paper_id, left, findings = findings.join("; "), "program cannot be run");
            if left == 0 {
                return Err(Stopped::Refused(findings));
            }
            left -= 1;
            code = self.mended(plan, &code, &findings.join("\n")).await?;
        }
    }

    async fn mended(&mut self, plan: &Plan, code: &str, found: &str) -> Result<String, Stopped> {
        let question = prompt::repair(plan, code, found);
        let question = question.map_err(|source| self.no_json(source))?;
        let check = |edits: &Edits| edits.apply(code).map(drop);
        let edits: Edits = self.ask(Step::Edits, &question, check).await?;
        edits.apply(code).map_err(Stopped::Refused)
    }

    /// What a program has of its plan, by the model that judges; a program is stored without it where that cannot be had.
    async fn examined(&mut self, plan: &Plan, code: &str) -> Option<Fidelity> {
        let question = prompt::fidelity(plan, code);
        let question = question.map_err(|source| self.no_json(source));
        let n_lines = u32::try_from(code.lines().count()).unwrap_or(u32::MAX);
        let check = |seen: &Fidelity| seen.check(plan, n_lines);
        let seen = match question {
            Ok(question) => self.ask(Step::Fidelity, &question, check).await,
            Err(error) => Err(Stopped::Error(error)),
        };
        let reason = match seen {
            Ok(fidelity) => return Some(fidelity),
            Err(Stopped::Refused(findings)) => findings.join("; "),
            Err(Stopped::Error(error)) => chain(&error),
        };
        let paper_id = &self.metadata.paper_id;
        warn!(%paper_id, reason, "the program was not examined");
        None
    }

    /// Stores how the writing ended.
    async fn end(
        mut self,
        written: Result<(Plan, GeneratedProgram, Facts), Stopped>,
        state: GenerationState,
    ) -> Result<Metadata, GeneratorError> {
        match written {
            Ok((plan, program, facts)) => {
                let fidelity = self.examined(&plan, &program.code).await;
                let metadata = &mut self.metadata;
                metadata.code_sha256 = sha256(&program.code);
                metadata.description = one_line(&program.description, 2_000);
                metadata.model_id = self.generator.config.bedrock_model_id.clone();
                metadata.wish = Wish {
                    wanted_dataset: self.datasets.wish(plan.wanted_dataset.as_deref()),
                };
                let dataset = plan.dataset.clone();
                metadata.record = self.generator.fields(&metadata.paper_id, dataset, &facts);
                let status = &mut metadata.status;
                status.state = Some(state);
                status.findings = None;
                status.plan = json(&plan);
                status.fidelity = fidelity.as_ref().and_then(json);
                status.code_sha256 = Some(metadata.code_sha256.clone());
                status.model = Some(metadata.model_id.clone());
                status.generated_at = metadata.record.code_generated_at.clone();
                self.generator
                    .programs
                    .put_program(metadata, &program.code)
                    .await?;
            }
            Err(Stopped::Refused(findings)) => {
                let paper_id = &self.metadata.paper_id;
                info!(%paper_id, findings = findings.join("; "), "no program, and not asked again");
                let has_program = self.metadata.has_program();
                let status = &mut self.metadata.status;
                status.findings = Some(findings.iter().map(|it| one_line(it, 500)).collect());
                if !has_program {
                    status.state = Some(GenerationState::Failed);
                }
            }
            Err(Stopped::Error(error)) => return Err(error),
        }
        let status = &mut self.metadata.status;
        status.prompt_version = Some(prompt::VERSION.to_owned());
        status.micro_dollars = i64::try_from(self.metadata.spent.micro_dollars).ok();
        self.generator.programs.put_metadata(&self.metadata).await?;
        Ok(self.metadata)
    }

    fn check(&self, plan: &Plan, code: &str) -> Result<Facts, Vec<String>> {
        let datasets = self.datasets.names();
        let rules = Rules {
            datasets: &datasets,
            backend: self.generator.backend,
        };
        let facts = annapurna_program_check::check(code, &rules).map_err(|findings| {
            findings
                .0
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        })?;
        if facts.datasets.contains(&plan.dataset) {
            return Ok(facts);
        }
        let dataset = &plan.dataset;
        Err(vec![format!(
            "the plan's data set is `{dataset}`: load it by its name"
        )])
    }

    /// Asks a model one question about the paper; what it takes is counted whatever comes of it.
    async fn ask<T: DeserializeOwned>(
        &mut self,
        step: Step,
        question: &str,
        check: impl Fn(&T) -> Result<(), Vec<String>>,
    ) -> Result<T, Stopped> {
        let (tool, beside) = step.tools(&self.datasets);
        let config = &self.generator.config;
        let ask = Ask {
            model_id: match step {
                Step::Fidelity => &config.examiner_model_id,
                Step::Plan | Step::Program | Step::Edits => &config.bedrock_model_id,
            },
            system: &self.system,
            shared: &self.shared,
            question,
            tool: &tool,
            beside: &beside,
            paper_id: Some(&self.metadata.paper_id),
            deadline: self.deadline,
        };
        match self.generator.model.ask(&ask, check).await {
            Ok(answer) => {
                self.metadata.spent += answer.spent;
                Ok(answer.value)
            }
            Err(failed) => {
                self.metadata.spent += failed.spent;
                Err(stopped(failed.error))
            }
        }
    }

    fn no_json(&self, source: serde_json::Error) -> GeneratorError {
        no_json(&self.metadata.paper_id, source)
    }
}

fn says_what_it_tests(program: &GeneratedProgram) -> Result<(), Vec<String>> {
    let mut problems = Vec::new();
    if !program.description.chars().any(char::is_alphabetic) {
        problems.push("`description` says nothing".to_owned());
    }
    if program.code.trim().is_empty() {
        problems.push("`code` is empty".to_owned());
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

/// As the states keep it.
fn json<T: Serialize>(value: &T) -> Option<Value> {
    serde_json::to_value(value).ok()
}

/// What is the model's own doing is recorded; all else may pass.
fn stopped(error: ModelError) -> Stopped {
    match error {
        ModelError::Declined(_)
        | ModelError::Guardrail(_)
        | ModelError::Truncated(_)
        | ModelError::Unusable(_) => Stopped::Refused(vec![error.to_string()]),
        passing => Stopped::Error(passing.into()),
    }
}
