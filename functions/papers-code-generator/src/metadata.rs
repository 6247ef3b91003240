//! `{paper_id}/metadata.json`: what is known of a paper's program, and how far its writing is.
//!
//! Written last of all that a program makes, so where it names a program, that program is there. The status in the
//! index is made from it.

use annapurna_cloud::{Object, ObjectStore, S3};
use annapurna_contract::{
    Generated, PaperId, Repair, RepairFrom, Spent,
    dataset::Wish,
    keys,
    plan::{Fidelity, Plan},
    status::{GeneratedStatus, GenerationState},
};
use annapurna_program_check::CODE_LIMIT;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::error::{GeneratorError, NoProgram};
use crate::prompt;

/// Largest metadata that is read, bytes.
const METADATA_LIMIT: u64 = 1 << 20;

/// What is known of a program, and all that follows from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The paper it was written for.
    pub paper_id: PaperId,
    /// The title that the model was shown.
    pub paper_title: String,
    /// How far the writing is, with plan, findings and examination: what the index of states is made from.
    #[serde(default = "from_before_there_were_states")]
    pub status: GeneratedStatus,
    /// Programs that failed in a run and were to be mended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repairs: Vec<Mended>,
    /// What all calls of models for the paper's programs took.
    #[serde(default)]
    pub spent: Spent,
    /// SHA-256 of the program, hexadecimal; empty where there is none.
    #[serde(default)]
    pub code_sha256: String,
    /// The model that wrote it.
    pub model_id: String,
    /// What of the paper it tests, in the model's words.
    #[serde(default)]
    pub description: String,
    /// Whether the model saw the paper's text, or only its abstract.
    #[serde(default)]
    pub from_full_text: bool,
    /// The PDF that was looked at, also where no text was in it: another one has the program written again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pdf_s3_key: Option<String>,
    /// The data set that the paper wants and that was not there.
    #[serde(flatten)]
    pub wish: Wish,
    /// The document's fields; empty where there is no program.
    #[serde(default)]
    pub record: Generated,
}

/// Metadata without a state are of a program that was sent to its test.
fn from_before_there_were_states() -> GeneratedStatus {
    GeneratedStatus {
        state: Some(GenerationState::Checked),
        ..GeneratedStatus::default()
    }
}

/// A program that failed in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mended {
    /// SHA-256 of it.
    pub code_sha256: String,
    /// Where it failed.
    pub from: RepairFrom,
}

impl Metadata {
    /// Of a paper that has none yet.
    pub(crate) fn new(paper_id: &PaperId, title: &str) -> Self {
        Self {
            paper_id: paper_id.clone(),
            paper_title: title.to_owned(),
            status: GeneratedStatus::default(),
            repairs: Vec::new(),
            spent: Spent::default(),
            code_sha256: String::new(),
            model_id: String::new(),
            description: String::new(),
            from_full_text: false,
            pdf_s3_key: None,
            wish: Wish::default(),
            record: Generated::default(),
        }
    }

    /// Whether the paper has a program.
    pub(crate) fn has_program(&self) -> bool {
        !self.code_sha256.is_empty()
    }

    /// The plan, where there is one that can be read.
    pub fn plan(&self) -> Option<Plan> {
        serde_json::from_value(self.status.plan.clone()?).ok()
    }

    /// What the program has of its plan's claims, where it was examined.
    pub fn fidelity(&self) -> Option<Fidelity> {
        serde_json::from_value(self.status.fidelity.clone()?).ok()
    }

    /// Whether a writing was begun and had no time to end.
    pub(crate) fn is_planned(&self) -> bool {
        matches!(self.status.state, None | Some(GenerationState::Planned))
    }

    /// Whether these are of the prompts that are asked now.
    pub(crate) fn is_of_these_prompts(&self) -> bool {
        self.status.prompt_version.as_deref() == Some(prompt::VERSION)
    }

    /// Whether nothing is to be asked: a program or a refusal, by the present prompts, of the PDF that is there now.
    pub(crate) fn is_settled(&self, pdf_s3_key: Option<&String>) -> bool {
        let has_newer_text = pdf_s3_key.is_some() && pdf_s3_key != self.pdf_s3_key.as_ref();
        !self.is_planned() && self.is_of_these_prompts() && (self.from_full_text || !has_newer_text)
    }

    /// Whether the program that a repair is about is there still, and may be mended once more: twice at most, and once
    /// after the device.
    pub(crate) fn may_mend(&self, repair: &Repair) -> bool {
        let on_device = |it: &&Mended| it.from == RepairFrom::Device;
        let n_on_device = self.repairs.iter().filter(on_device).count();
        self.code_sha256 == repair.code_sha256
            && self.plan().is_some()
            && self.repairs.len() < Repair::MOST_ROUNDS
            && !self
                .repairs
                .iter()
                .any(|it| it.code_sha256 == repair.code_sha256)
            && (repair.from != RepairFrom::Device || n_on_device == 0)
    }
}

/// Programs and their metadata in the bucket.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    objects: S3,
    bucket: String,
}

impl Programs {
    pub(crate) fn new(objects: S3, bucket: String) -> Self {
        Self { objects, bucket }
    }

    /// What is known of the paper's program; `None` when that cannot be read, or names a program that is not there.
    ///
    /// # Errors
    ///
    /// When S3 does not answer.
    pub(crate) async fn metadata(
        &self,
        paper_id: &PaperId,
    ) -> Result<Option<Metadata>, GeneratorError> {
        let key = keys::code_metadata(paper_id);
        let found = self.objects.get(&self.bucket, &key, METADATA_LIMIT).await?;
        let Some(json) = found else {
            return Ok(None);
        };
        let metadata: Metadata = match serde_json::from_slice(&json) {
            Ok(metadata) => metadata,
            Err(reason) => {
                warn!(%paper_id, %reason, "metadata cannot be read; the program is written again");
                return Ok(None);
            }
        };
        if !metadata.has_program() {
            return Ok(Some(metadata));
        }
        let is_there = self.program(&metadata).await?.is_some();
        Ok(is_there.then_some(metadata))
    }

    /// The program of these metadata.
    ///
    /// # Errors
    ///
    /// When S3 does not answer.
    pub(crate) async fn program(
        &self,
        metadata: &Metadata,
    ) -> Result<Option<String>, GeneratorError> {
        let (paper_id, digest) = (&metadata.paper_id, &metadata.code_sha256);
        // A run that was killed before it wrote metadata may have put another program at the present one's key; one from
        // before programs had keys of their own is there only.
        for key in [keys::code_version(paper_id, digest), keys::code(paper_id)] {
            let code = self.code(paper_id, &key).await?;
            let code = code.filter(|code| sha256(code) == *digest);
            if code.is_some() {
                return Ok(code);
            }
        }
        Ok(None)
    }

    async fn code(&self, paper_id: &PaperId, key: &str) -> Result<Option<String>, GeneratorError> {
        let limit = CODE_LIMIT as u64;
        let code = self.objects.get(&self.bucket, key, limit).await?;
        let text = code.map(String::from_utf8).transpose();
        Ok(text.unwrap_or_else(|_| {
            warn!(%paper_id, key, "a program that is no text; it is written again");
            None
        }))
    }

    /// Stores a program, under its digest and as the paper's present one.
    ///
    /// # Errors
    ///
    /// When S3 does not take it.
    pub(crate) async fn put_program(
        &self,
        metadata: &Metadata,
        code: &str,
    ) -> Result<(), GeneratorError> {
        let paper = &metadata.paper_id;
        for key in [
            keys::code_version(paper, &metadata.code_sha256),
            keys::code(paper),
        ] {
            let object = Object::new(code, "text/x-python");
            self.objects.put(&self.bucket, &key, object).await?;
        }
        Ok(())
    }

    /// Stores what is known of a program.
    ///
    /// # Errors
    ///
    /// When S3 does not take it.
    pub(crate) async fn put_metadata(&self, metadata: &Metadata) -> Result<(), GeneratorError> {
        let json = serde_json::to_vec_pretty(metadata)
            .map_err(|source| no_json(&metadata.paper_id, source))?;
        let key = keys::code_metadata(&metadata.paper_id);
        let json = Object::new(json, "application/json");
        Ok(self.objects.put(&self.bucket, &key, json).await?)
    }
}

/// The error where something about a paper has no JSON form.
pub(crate) fn no_json(paper_id: &PaperId, source: serde_json::Error) -> GeneratorError {
    GeneratorError::Own(NoProgram::Metadata {
        paper_id: paper_id.clone(),
        source,
    })
}

/// SHA-256 of a text, hexadecimal.
pub(crate) fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}
