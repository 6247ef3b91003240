//! One paper: its id, its record, its PDF, its message.
//!
//! What is kept of a paper, and in which order, so that a run may end anywhere and nothing is lost or
//! done twice:
//!
//! 1. the aliases that lead to it, see [`crate::identity`];
//! 2. the record (everything the source said) in state `waiting`;
//! 3. the PDF, under a key that is written once;
//! 4. the message to the judge, who can rely on all of them;
//! 5. the record again, in state `queued` (with a PDF) or `queued-without-pdf`; for these two, see [`telling`].
//!
//! A PDF that cannot be had now, or does not come in a paper's time, delays nothing but itself: the judge is
//! told without it, and once more when a later run has it. Only a paper that has no abstract either stays
//! `waiting`: there is nothing to judge it by. What its source says differently later becomes the record's
//! description, the former one a revision in it ([`crate::record`]), and the judge is told.
//!
//! A later run learns from two `HeadObject` that nothing is to be done: the alias leads to the record, and
//! the record's S3 metadata have its state and a digest of what the entry said. `queued-without-pdf` is done
//! until the source has a PDF that can be had, which is asked for each time the paper comes by. What a
//! paper's own page says is kept, too, and the site not asked again.

mod telling;

use std::time::Duration;

use annapurna_cloud::{Metadata, Object, Written};
use annapurna_contract::{RecordState, RecordedPdf, SourceRecord, keys, normalize_title};
use annapurna_paper_sources::http::{HttpError, Page};
use annapurna_paper_sources::paper::{Details, NoPdf, Paper};
use annapurna_paper_sources::paper_source::PaperSource;
use annapurna_paper_sources::text::ascii_header;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use crate::identity::{By, add_title, home_of, pause, resolve};
use crate::record::{Glance, Home, first, is_own_entry, name_of, now, revise, said_by};
use crate::store::{Store, StoreError};
use crate::under_way;

/// How often a record is read again that another run wrote meanwhile.
const MOST_TRIES: usize = 30;

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
    /// The PDF was not even asked for: its site is left alone for so many seconds more.
    pub(crate) rest_seconds: Option<u64>,
    /// An earlier request had it, and not this one in an earlier try.
    pub(crate) is_known: bool,
    /// The entry that the paper is known by, when that has another title or is another one of the same
    /// list; for a person.
    pub(crate) known_as: Option<String>,
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

/// Whether a paper has its PDF.
enum Pdf {
    Stored { pdf: RecordedPdf, is_new: bool },
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

/// Takes a paper as far as it can be had within `limit`, for the direct call with this `request` id. A failure is part of the outcome: it concerns
/// this paper only.
pub(crate) async fn take(
    store: &Store,
    source: &dyn PaperSource,
    paper: Paper,
    limit: Duration,
    request: Option<&str>,
) -> Outcome {
    let keeper = Keeper {
        store,
        source,
        request,
        run: format!("{:032x}", fastrand::u128(..)),
        // The rest is for the message.
        last_of_pdf: Instant::now() + limit * 4 / 5,
        limit,
    };
    let held_back = |problem| Outcome {
        problem: Some(problem),
        is_held_back: true,
        ..Outcome::default()
    };
    match timeout(limit, keeper.keep(paper)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => held_back(error.to_string()),
        Err(_) => held_back(too_long(limit)),
    }
}

/// Where the record is that an entry's name leads to, and the record's S3 metadata.
async fn known(store: &Store, paper: &Paper) -> Result<Option<(Home, Metadata)>, StoreError> {
    let alias = keys::id_alias(paper.source, paper.year, &paper.source_id);
    let alias = store.metadata(&alias).await?;
    let Some(home) = alias.as_ref().and_then(home_of) else {
        return Ok(None);
    };
    let metadata = store.metadata(&home.record_key()).await?;
    Ok(metadata.map(|metadata| (home, metadata)))
}

/// What there is to do for a paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Everything: it has no record yet.
    New,
    /// Something: its source says something else now, or its PDF has yet to come.
    Open,
    /// Nothing: its record says the same, and its PDF is there or will not come.
    Settled,
}

/// Looks what there is to do for the paper that an entry names. One that is known by another name is new.
///
/// # Errors
///
/// [`StoreError`].
pub(crate) async fn look(store: &Store, paper: &Paper) -> Result<Look, StoreError> {
    let known = known(store, paper).await?;
    Ok(known.map_or(Look::New, |(_, metadata)| {
        match Glance::of(&metadata).is_settled(paper, &said_by(paper)) {
            true => Look::Settled,
            false => Look::Open,
        }
    }))
}

fn too_long(limit: Duration) -> String {
    format!("it took longer than {} s", limit.as_secs())
}

struct Keeper<'a> {
    store: &'a Store,
    source: &'a dyn PaperSource,
    /// The direct call's id; none in a window of a whole scrape.
    request: Option<&'a str>,
    /// The name of this attempt at the paper, which no other has.
    run: String,
    /// When a PDF has to be there.
    last_of_pdf: Instant,
    /// The paper's time.
    limit: Duration,
}

impl Keeper<'_> {
    async fn keep(&self, paper: Paper) -> Result<Outcome, StoreError> {
        let said = said_by(&paper);
        if let Some(outcome) = self.unchanged(&paper, &said).await? {
            return Ok(outcome);
        }
        let paper = match self.completed(paper).await? {
            Completed::Paper(paper) => *paper,
            Completed::Closed(outcome) => return Ok(outcome),
        };
        let (home, by) = resolve(self.store, &paper).await?;
        let record = self.described(&home, &paper, &said).await?;
        let mut outcome = self.told(&home, &record, &paper).await?;
        outcome.is_known = record.taken_by.as_deref() != self.request;
        outcome.known_as = known_as(&record, &paper, by);
        let problems = outcome.problem.take().into_iter();
        let problems: Vec<String> = problems.chain(paper.page_problem).collect();
        outcome.problem = (!problems.is_empty()).then(|| problems.join("; "));
        Ok(outcome)
    }

    /// What there is to say of a paper with which nothing is to be done.
    async fn unchanged(&self, paper: &Paper, said: &str) -> Result<Option<Outcome>, StoreError> {
        let Some((home, metadata)) = known(self.store, paper).await? else {
            return Ok(None);
        };
        let record = Glance::of(&metadata);
        if !record.is_settled(paper, said) {
            return Ok(None);
        }
        let known_as = match record.has_title(&paper.title) {
            true => None,
            false => self
                .store
                .record(&home)
                .await?
                .map(|(record, _)| entry_of(&record)),
        };
        Ok(Some(Outcome {
            kept: Kept::Already,
            is_known: record.taken_by() != self.request,
            known_as,
            ..Outcome::default()
        }))
    }

    /// The paper's record with what the entry says, written before anything else is done.
    async fn described(
        &self,
        home: &Home,
        paper: &Paper,
        said: &str,
    ) -> Result<SourceRecord, StoreError> {
        for _ in 0..MOST_TRIES {
            let (record, written) = match self.store.record(home).await? {
                None => {
                    let mut record = first(home, paper, said);
                    record.taken_by = self.request.map(str::to_owned);
                    under_way::note(&mut record, &self.run, now());
                    let written = self.store.write_record(home, &record, None).await?;
                    (record, written)
                }
                Some((mut record, etag)) => {
                    if !revise(&mut record, paper, said) {
                        return Ok(record);
                    }
                    add_title(self.store, home, paper).await?;
                    if record.state == RecordState::Waiting {
                        under_way::note(&mut record, &self.run, now());
                    }
                    record.written_at = now();
                    let written = self.store.write_record(home, &record, Some(&etag)).await?;
                    (record, written)
                }
            };
            if written == Written::Done {
                return Ok(record);
            }
            pause().await;
        }
        let key = home.record_key();
        Err(StoreError::Contended { key })
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
                // Without its page, nobody knows yet which paper it is.
                // What an earlier run kept says the same.
                let _ = self.store.create(&key("list"), json_object(&paper)).await?;
                return Ok(Completed::Closed(closed(&error)));
            }
            // The list is all there is.
            Err(error) => {
                tracing::warn!(paper = paper.source_id, %error, "a paper has no page of its own");
                return Ok(Completed::Paper(Box::new(
                    paper.with_details(Details::default()),
                )));
            }
        };
        // A page that names no PDF yet, or is another paper's, is worth another look.
        let is_final = details.problem.is_none()
            && !(details.pdf_urls.is_empty() && paper.pdf_urls.is_empty());
        if is_final {
            // Another run was faster and read the same page.
            let _ = self
                .store
                .create(&key("page"), json_object(&details))
                .await?;
        }
        Ok(Completed::Paper(Box::new(paper.with_details(details))))
    }

    /// Sees to it that the PDF is in the bucket, if it can be had.
    async fn pdf(&self, home: &Home, paper: &Paper) -> Result<Pdf, StoreError> {
        let key = home.pdf_key();
        if let Some(pdf) = self.stored_before(&key).await? {
            return Ok(Pdf::Stored { pdf, is_new: false });
        }
        let (url, page): (Url, Page) =
            match timeout_at(self.last_of_pdf, self.source.pdf(paper)).await {
                Ok(Ok(found)) => found,
                Ok(Err(none)) => return Ok(Pdf::None(none)),
                Err(_) => {
                    return Ok(Pdf::None(NoPdf {
                        reason: format!("no PDF: {}", too_long(self.limit)),
                        is_temporary: true,
                        rest_seconds: None,
                    }));
                }
            };
        let sha256 = hex::encode(Sha256::digest(&page.body));
        let object = Object {
            metadata: pdf_metadata(paper, &url, &sha256),
            content_type: "application/pdf",
            body: page.body,
        };
        match self.store.create(&key, object).await? {
            Written::Done => Ok(Pdf::Stored {
                pdf: RecordedPdf {
                    s3_key: key,
                    sha256,
                    source_url: Some(url.to_string()),
                },
                is_new: true,
            }),
            // Another run was faster; what it wrote is what counts.
            Written::Refused => match self.stored_before(&key).await? {
                Some(pdf) => Ok(Pdf::Stored { pdf, is_new: false }),
                None => Err(StoreError::Gone { key }),
            },
        }
    }

    /// The PDF that is at its key, if one is. One that somebody else put there has no metadata of ours: its
    /// digest is taken from its bytes, and nobody knows its address.
    async fn stored_before(&self, key: &str) -> Result<Option<RecordedPdf>, StoreError> {
        let Some(mut metadata) = self.store.metadata(key).await? else {
            return Ok(None);
        };
        let sha256 = match metadata.remove(SHA256) {
            Some(sha256) => sha256,
            None => match self.store.read(key).await? {
                Some(found) => hex::encode(Sha256::digest(&found.body)),
                None => return Ok(None),
            },
        };
        Ok(Some(RecordedPdf {
            s3_key: key.to_owned(),
            sha256,
            source_url: metadata.remove(SOURCE_URL),
        }))
    }
}

/// What a run makes of a paper, by what became of its PDF.
fn outcome_of(pdf: &Pdf) -> Outcome {
    match pdf {
        Pdf::Stored { is_new, .. } => Outcome {
            kept: if *is_new { Kept::Stored } else { Kept::Already },
            ..Outcome::default()
        },
        Pdf::None(none) if none.is_temporary => Outcome {
            kept: Kept::MetadataOnly,
            problem: Some(none.reason.clone()),
            is_held_back: true,
            rest_seconds: none.rest_seconds,
            ..Outcome::default()
        },
        Pdf::None(_) => Outcome {
            kept: Kept::MetadataOnly,
            ..Outcome::default()
        },
    }
}

/// The entry that a paper is known by, if it says so in other words than this one.
fn known_as(record: &SourceRecord, paper: &Paper, by: By) -> Option<String> {
    let is_another_title =
        normalize_title(&record.description.title) != normalize_title(&paper.title);
    let is_same_list = (record.source, record.year) == (paper.source, paper.year);
    let is_repeated = by == By::Other && is_same_list && !is_own_entry(record, paper);
    (is_another_title || is_repeated).then(|| entry_of(record))
}

/// A record's entry for a person: `ICLR 2025 28123: Adam`.
fn entry_of(record: &SourceRecord) -> String {
    let name = name_of(record.source, record.year, &record.source_id);
    format!("{name}: {}", record.description.title)
}

/// What a PDF's metadata call the address that it was loaded from.
const SOURCE_URL: &str = "source-url";
/// What a PDF's metadata call its digest.
const SHA256: &str = "sha256";
/// Room for a title in the metadata of an S3 object, which is 2 KB in all.
const TITLE_BYTES: usize = 1000;

fn pdf_metadata(paper: &Paper, url: &Url, sha256: &str) -> Metadata {
    Metadata::from([
        ("title".to_owned(), ascii_header(&paper.title, TITLE_BYTES)),
        (SOURCE_URL.to_owned(), ascii_header(url.as_str(), 500)),
        (SHA256.to_owned(), sha256.to_owned()),
    ])
}
