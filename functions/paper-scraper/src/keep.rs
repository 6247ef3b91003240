//! One paper: its PDF, its record, its message.
//!
//! What is kept of a paper, and in which order, so that a run may end anywhere and nothing is lost or
//! done twice:
//!
//! 1. the PDF, under a key that is written once;
//! 2. the record (everything the source said) in state `waiting`;
//! 3. the message to the judge, who can rely on both;
//! 4. the record again, in state `queued` (with a PDF) or `queued-without-pdf`.
//!
//! The record's state is in its S3 metadata, so a later run learns it from one `HeadObject`:
//! `queued` is done; `queued-without-pdf` is done until the source has a PDF that can be had, which is
//! asked for each time the paper comes by; `waiting`, or no record, is taken up from step 1, where a
//! PDF that is already there is not loaded again. A paper whose PDF is only held back for now stays
//! `waiting` and is not told to the judge. What a paper's own page says is kept, too: later runs need
//! it to know the paper by its abstract, and do not ask the site again.

use std::time::Duration;

use annapurna_cloud::{Message, Metadata, Object, Written};
use annapurna_contract::{RecordState, RecordedPdf, SourceRecord, keys};
use annapurna_paper_sources::http::{HttpError, Page};
use annapurna_paper_sources::paper::{Details, NoPdf, Paper};
use annapurna_paper_sources::paper_source::PaperSource;
use annapurna_paper_sources::text::ascii_header;
use chrono::{SecondsFormat, Utc};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use url::Url;

use crate::store::{Store, StoreError};

/// What became of a paper.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// What is in the bucket now.
    pub(crate) kept: Kept,
    /// The judge was told in this run.
    pub(crate) is_queued: bool,
    /// What went wrong, with the evidence.
    pub(crate) problem: Option<String>,
    /// A later run may succeed.
    pub(crate) is_held_back: bool,
    /// The paper was not even asked for: its site is left alone for so many seconds more.
    pub(crate) rest_seconds: Option<u64>,
}

/// What becomes of a paper whose site is left alone just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeldOff {
    /// Its metadata is kept, and it counts as held back.
    KeepMetadata,
    /// Nothing: the caller comes back to it.
    LeaveForLater,
}

/// What is in the bucket of a paper.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The PDF, written in this run.
    Stored,
    /// The PDF, written before.
    Already,
    /// Only what the source said.
    MetadataOnly,
    /// Nothing that this run knows of.
    #[default]
    Nothing,
}

/// The name of a record's S3 metadata that hold its state.
const STATE: &str = "state";

/// How far an earlier run came with a paper; `None` when there was none.
fn known_state(metadata: Option<&Metadata>) -> Option<RecordState> {
    let word = metadata.and_then(|metadata| metadata.get(STATE))?;
    Some(RecordState::of(word))
}

/// A PDF that is in the bucket.
struct StoredPdf {
    key: String,
    sha256: String,
    source_url: String,
    is_new: bool,
}

/// Whether a paper has its PDF.
enum Pdf {
    Stored(StoredPdf),
    None(NoPdf),
}

/// A paper with its own page, or why that could not be had.
enum Completed {
    Paper(Box<Paper>),
    Closed(Outcome),
}

/// What becomes of a paper whose own page could not be had for now.
fn closed(error: &HttpError) -> Outcome {
    Outcome {
        kept: Kept::MetadataOnly,
        problem: Some(format!("cannot read the paper's page: {error}")),
        is_held_back: true,
        rest_seconds: error.rest_seconds(),
        ..Outcome::default()
    }
}

fn json_object(value: &impl Serialize) -> Object {
    Object::new(json!(value).to_string(), "application/json")
}

/// Takes a paper as far as it can be had within `limit`. A failure is part of the outcome: it concerns
/// this paper only.
pub(crate) async fn take(
    store: &Store,
    source: &dyn PaperSource,
    paper: Paper,
    held_off: HeldOff,
    limit: Duration,
) -> Outcome {
    let keeper = Keeper {
        store,
        source,
        held_off,
    };
    let held_back = |problem| Outcome {
        problem: Some(problem),
        is_held_back: true,
        ..Outcome::default()
    };
    match timeout(limit, keeper.keep(paper)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => held_back(error.to_string()),
        Err(_) => held_back(format!("it took longer than {} s", limit.as_secs())),
    }
}

struct Keeper<'a> {
    store: &'a Store,
    source: &'a dyn PaperSource,
    held_off: HeldOff,
}

impl Keeper<'_> {
    async fn keep(&self, paper: Paper) -> Result<Outcome, StoreError> {
        let paper = match self.completed(paper).await? {
            Completed::Paper(paper) => *paper,
            Completed::Closed(outcome) => return Ok(outcome),
        };
        let record_key = keys::paper_source_record(paper.source, paper.year, &paper.id());
        let state = known_state(self.store.metadata(&record_key).await?.as_ref());
        if state == Some(RecordState::Queued) {
            return Ok(Outcome {
                kept: Kept::Already,
                ..Outcome::default()
            });
        }
        let pdf = self.pdf(&paper).await?;
        let (goal, mut outcome) = goal_of(&pdf);
        if outcome.rest_seconds.is_some() && self.held_off == HeldOff::LeaveForLater {
            return Ok(outcome);
        }
        // Nothing new to say: a paper told without its PDF, or waiting for it, which still cannot be had.
        let was_said = match state {
            Some(RecordState::QueuedWithoutPdf) => goal != RecordState::Queued,
            Some(RecordState::Waiting) => goal == RecordState::Waiting,
            None | Some(RecordState::Queued) => false,
        };
        if was_said {
            return Ok(outcome);
        }
        let mut record = record(paper, pdf);
        self.write(&record_key, &record).await?;
        if goal == RecordState::Waiting {
            return Ok(outcome);
        }
        let message = Message::of(&record.message(self.store.bucket()));
        let message = message.map_err(|source| not_json(&record, source))?;
        self.store.send(message).await?;
        record.state = goal;
        self.write(&record_key, &record).await?;
        outcome.is_queued = true;
        Ok(outcome)
    }

    /// The paper with what its own page says, read once.
    async fn completed(&self, paper: Paper) -> Result<Completed, StoreError> {
        if paper.details.is_none() {
            return Ok(Completed::Paper(Box::new(paper)));
        }
        let digest = hex::encode(Sha256::digest(&paper.source_id));
        let key = |ending| keys::paper_details(paper.source, paper.year, &digest[..32], ending);
        let known = self.store.read(&key("page")).await?;
        if let Some(details) = known.and_then(|found| serde_json::from_slice(&found.body).ok()) {
            return Ok(Completed::Paper(Box::new(paper.with_details(details))));
        }
        let details = match self.source.details(&paper).await {
            Ok(details) => details,
            Err(error) if error.is_temporary() => {
                let outcome = closed(&error);
                if outcome.rest_seconds.is_none() || self.held_off == HeldOff::KeepMetadata {
                    // Without its page, nobody knows yet under which id to keep it.
                    // What an earlier run kept says the same.
                    let _ = self.store.create(&key("list"), json_object(&paper)).await?;
                }
                return Ok(Completed::Closed(outcome));
            }
            // The list is all there is.
            Err(error) => {
                tracing::warn!(paper = paper.source_id, %error, "a paper has no page of its own");
                return Ok(Completed::Paper(Box::new(
                    paper.with_details(Details::default()),
                )));
            }
        };
        // A page that names no PDF yet is worth another look.
        if !(details.pdf_urls.is_empty() && paper.pdf_urls.is_empty()) {
            // Another run was faster and read the same page.
            let _ = self
                .store
                .create(&key("page"), json_object(&details))
                .await?;
        }
        Ok(Completed::Paper(Box::new(paper.with_details(details))))
    }

    /// Sees to it that the PDF is in the bucket, if it can be had.
    async fn pdf(&self, paper: &Paper) -> Result<Pdf, StoreError> {
        let key = keys::paper_pdf(paper.source, paper.year, &paper.id());
        if let Some(metadata) = self.store.metadata(&key).await? {
            return Ok(Pdf::Stored(stored_before(key, metadata)));
        }
        let (url, page): (Url, Page) = match self.source.pdf(paper).await {
            Ok(found) => found,
            Err(none) => return Ok(Pdf::None(none)),
        };
        let sha256 = hex::encode(Sha256::digest(&page.body));
        let object = Object {
            metadata: pdf_metadata(paper, &url, &sha256),
            content_type: "application/pdf",
            body: page.body,
        };
        match self.store.create(&key, object).await? {
            Written::Done => Ok(Pdf::Stored(StoredPdf {
                key,
                sha256,
                source_url: url.to_string(),
                is_new: true,
            })),
            // Another run was faster; what it wrote is what counts.
            Written::Refused => {
                let metadata = self.store.metadata(&key).await?.unwrap_or_default();
                Ok(Pdf::Stored(stored_before(key, metadata)))
            }
        }
    }

    async fn write(&self, key: &str, record: &SourceRecord) -> Result<(), StoreError> {
        let mut body =
            serde_json::to_vec_pretty(record).map_err(|source| not_json(record, source))?;
        body.push(b'\n');
        let object = Object {
            body,
            content_type: "application/json",
            metadata: Metadata::from([(STATE.to_owned(), record.state.as_str().to_owned())]),
        };
        self.store.replace(key, object).await
    }
}

fn not_json(record: &SourceRecord, source: serde_json::Error) -> StoreError {
    StoreError::Json {
        what: record.paper_id.to_string(),
        source,
    }
}

/// How far a paper goes in this run, and what that makes of it.
fn goal_of(pdf: &Pdf) -> (RecordState, Outcome) {
    let kept = |kept| Outcome {
        kept,
        ..Outcome::default()
    };
    match pdf {
        Pdf::Stored(pdf) if pdf.is_new => (RecordState::Queued, kept(Kept::Stored)),
        Pdf::Stored(_) => (RecordState::Queued, kept(Kept::Already)),
        Pdf::None(none) if none.is_temporary => {
            let outcome = Outcome {
                problem: Some(none.reason.clone()),
                is_held_back: true,
                rest_seconds: none.rest_seconds,
                ..kept(Kept::MetadataOnly)
            };
            (RecordState::Waiting, outcome)
        }
        Pdf::None(_) => (RecordState::QueuedWithoutPdf, kept(Kept::MetadataOnly)),
    }
}

/// Room for a title in the metadata of an S3 object, which is 2 KB in all.
const TITLE_BYTES: usize = 1000;

fn pdf_metadata(paper: &Paper, url: &Url, sha256: &str) -> Metadata {
    Metadata::from([
        ("title".to_owned(), ascii_header(&paper.title, TITLE_BYTES)),
        ("source-url".to_owned(), ascii_header(url.as_str(), 500)),
        ("sha256".to_owned(), sha256.to_owned()),
    ])
}

fn stored_before(key: String, metadata: Metadata) -> StoredPdf {
    let value = |name: &str| metadata.get(name).cloned().unwrap_or_default();
    StoredPdf {
        key,
        sha256: value("sha256"),
        source_url: value("source-url"),
        is_new: false,
    }
}

/// Everything the source said, and what we made of it, before the judge is told.
fn record(paper: Paper, pdf: Pdf) -> SourceRecord {
    let paper_id = paper.id();
    let (pdf, pdf_problem) = match pdf {
        Pdf::Stored(pdf) => {
            let pdf = RecordedPdf {
                s3_key: pdf.key,
                sha256: pdf.sha256,
                source_url: pdf.source_url,
            };
            (Some(pdf), None)
        }
        Pdf::None(none) => (None, Some(none.reason)),
    };
    SourceRecord {
        paper_id,
        revision: 1,
        source: paper.source,
        year: paper.year,
        source_id: paper.source_id,
        title: paper.title,
        authors: paper.authors,
        abstract_text: paper.abstract_text,
        date: paper.date,
        url: paper.url,
        pdf,
        pdf_problem,
        text_expected: false,
        state: RecordState::Waiting,
        written_at: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
        source_record: paper.source_record,
        said: String::new(),
        revisions: Vec::new(),
        other_entries: Vec::new(),
    }
}
