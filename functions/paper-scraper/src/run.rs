//! One run: list, keep, tell, count.
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
//! `waiting` and is not told to the judge.

use std::collections::HashSet;
use std::sync::Arc;

use annapurna_contract::{ConfigError, ResearchMessage, keys};
use chrono::{SecondsFormat, Utc};
use futures::StreamExt;
use futures::stream;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::http::{CONNECTIONS_PER_HOST, Expect, Http, HttpError, HttpSettings};
use crate::paper::{Listing, Paper, PaperSource, SourceError};
use crate::request::{Leg, Request, RequestError, Target, cursor_of};
use crate::settings::Settings;
use crate::sources::arxiv::Arxiv;
use crate::sources::conference::Conference;
use crate::store::{Created, Message, Metadata, Object, Store, StoreError};
use crate::text::{ascii_header, excerpt};

/// What a run did. Every paper found is counted once among `stored`, `already`, `metadata_only`,
/// except one that only appears in `failed`; a paper whose PDF was held back for now is in
/// `metadata_only` and, with the evidence, in `failed`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The source, or `BOTH`.
    pub source: String,
    /// Papers this run took from the list.
    pub found: usize,
    /// PDFs this run wrote.
    pub stored: usize,
    /// Messages this run sent.
    pub queued: usize,
    /// Papers whose PDF was there before.
    pub already: usize,
    /// Papers without a PDF so far.
    pub metadata_only: usize,
    /// What went wrong, paper by paper: the first 200.
    pub failed: Vec<FailedPaper>,
    /// How many more went wrong; each is in the log. Lambda's answers are limited to 6 MB.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed_not_listed: usize,
    /// Where the next run goes on; `None` when the list was read to its end.
    pub cursor: Option<String>,
}

/// Entries of [`Summary::failed`].
const MOST_LISTED: usize = 200;

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Summary {
    fn add_failed(&mut self, failed: FailedPaper) {
        tracing::warn!(
            paper = failed.paper,
            error = failed.error,
            "a paper has a problem"
        );
        if self.failed.len() < MOST_LISTED {
            self.failed.push(failed);
        } else {
            self.failed_not_listed += 1;
        }
    }
}

/// A paper that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedPaper {
    /// The source's name of it.
    pub paper: String,
    /// Its title, when it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Why, with the evidence.
    pub error: String,
}

/// Why a run failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The event asks for something that is not there.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A list could not be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The list took all the time there was.
    #[error("the list of {target} did not arrive in the time this function has")]
    OutOfTime {
        /// The list.
        target: String,
    },
}

impl RunError {
    /// A name for the kind of error, for metrics and the answer's `errorType`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Request(_) => "InvalidRequest",
            Self::Source(SourceError::Http {
                error: HttpError::Blocked { .. },
                ..
            }) => "SourceBlocked",
            Self::Source(SourceError::Http { .. }) => "SourceUnavailable",
            Self::Source(_) => "SourceRefused",
            Self::Config(_) => "InvalidSettings",
            Self::OutOfTime { .. } => "OutOfTime",
        }
    }
}

/// The function: made once, used for every event.
pub struct Scraper {
    settings: Settings,
    http: Arc<Http>,
    store: Box<dyn Store>,
}

/// What became of a paper.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    kept: Kept,
    is_queued: bool,
    problem: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Stored,
    Already,
    MetadataOnly,
    #[default]
    Nothing,
}

/// How far an earlier run came with a paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Waiting,
    QueuedWithoutPdf,
    Queued,
}

const STATE: &str = "state";

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Waiting => "waiting",
            Self::QueuedWithoutPdf => "queued-without-pdf",
            Self::Queued => "queued",
        }
    }

    fn of(metadata: Option<&Metadata>) -> Self {
        match metadata
            .and_then(|metadata| metadata.get(STATE))
            .map(String::as_str)
        {
            Some("queued") => Self::Queued,
            Some("queued-without-pdf") => Self::QueuedWithoutPdf,
            Some(_) => Self::Waiting,
            None => Self::Unknown,
        }
    }
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
    /// The source has none for us.
    None {
        reason: String,
    },
    /// It may come later.
    HeldBack {
        error: HttpError,
    },
}

impl Scraper {
    /// Makes the function with the polite client.
    ///
    /// # Errors
    ///
    /// [`HttpError::Client`].
    pub fn new(settings: Settings, store: Box<dyn Store>) -> Result<Self, HttpError> {
        let http = HttpSettings::polite(&settings.contact, settings.request_interval);
        Self::with_http(settings, store, http)
    }

    /// Makes the function with a client of its own manners.
    ///
    /// # Errors
    ///
    /// [`HttpError::Client`].
    pub fn with_http(
        settings: Settings,
        store: Box<dyn Store>,
        http: HttpSettings,
    ) -> Result<Self, HttpError> {
        Ok(Self {
            settings,
            http: Arc::new(Http::new(http)?),
            store,
        })
    }

    /// Follows an event until its papers are handled or `deadline` comes.
    ///
    /// # Errors
    ///
    /// See [`RunError`]. A single paper's failure is in the summary instead.
    pub async fn handle(&self, event: Value, deadline: Instant) -> Result<Summary, RunError> {
        let mut request = Request::new(event, &self.settings)?;
        let mut run = Run {
            scraper: self,
            deadline,
            summary: Summary {
                source: request.name.clone(),
                ..Summary::default()
            },
            seen: HashSet::new(),
        };
        let n_legs = request.legs.len();
        for (place, leg) in request
            .legs
            .iter_mut()
            .enumerate()
            .filter(|(_, leg)| !leg.is_done)
        {
            // The lists share the number; what the first leaves over goes to the next.
            let left = request.max_papers.saturating_sub(run.summary.found);
            run.follow(leg, left.div_ceil(n_legs - place)).await?;
        }
        let mut summary = run.summary;
        summary.cursor = cursor_of(&request.legs);
        tracing::info!(
            source = summary.source,
            found = summary.found,
            stored = summary.stored,
            queued = summary.queued,
            already = summary.already,
            metadata_only = summary.metadata_only,
            failed = summary.failed.len() + summary.failed_not_listed,
            cursor = summary.cursor,
            "the run is over"
        );
        Ok(summary)
    }

    fn source(&self, target: &Target) -> Result<Box<dyn PaperSource>, RunError> {
        let http = Arc::clone(&self.http);
        match target {
            Target::Arxiv(query) => Ok(Box::new(Arxiv::new(http, &self.settings, query.clone()))),
            Target::Conference { site, year, filter } => {
                let filter = filter.clone();
                Ok(Box::new(Conference::new(
                    http,
                    &self.settings,
                    site,
                    *year,
                    filter,
                )?))
            }
        }
    }

    async fn take(&self, paper: &Paper) -> Outcome {
        self.keep(paper).await.unwrap_or_else(|error| Outcome {
            problem: Some(error.to_string()),
            ..Outcome::default()
        })
    }

    async fn keep(&self, paper: &Paper) -> Result<Outcome, StoreError> {
        let record_key = keys::paper_source_record(paper.source, paper.year, &paper.id());
        let state = State::of(self.store.metadata(&record_key).await?.as_ref());
        let already = Outcome {
            kept: Kept::Already,
            ..Outcome::default()
        };
        if state == State::Queued {
            return Ok(already);
        }
        let pdf = self.pdf(paper).await?;
        let (kept, goal, problem) = match &pdf {
            Pdf::Stored(pdf) if pdf.is_new => (Kept::Stored, State::Queued, None),
            Pdf::Stored(_) => (Kept::Already, State::Queued, None),
            Pdf::None { .. } => (Kept::MetadataOnly, State::QueuedWithoutPdf, None),
            Pdf::HeldBack { error } => {
                (Kept::MetadataOnly, State::Waiting, Some(error.to_string()))
            }
        };
        // Nothing new to say: a paper told without its PDF, which still cannot be had.
        if state == State::QueuedWithoutPdf && goal != State::Queued {
            return Ok(Outcome {
                kept,
                is_queued: false,
                problem,
            });
        }
        self.store
            .replace(&record_key, record(paper, &pdf, State::Waiting))
            .await?;
        if goal == State::Waiting {
            return Ok(Outcome {
                kept,
                is_queued: false,
                problem,
            });
        }
        self.store
            .send(self.message(paper, &pdf, record_key.clone())?)
            .await?;
        self.store
            .replace(&record_key, record(paper, &pdf, goal))
            .await?;
        Ok(Outcome {
            kept,
            is_queued: true,
            problem,
        })
    }

    /// Sees to it that the PDF is in the bucket, if it can be had.
    async fn pdf(&self, paper: &Paper) -> Result<Pdf, StoreError> {
        let key = keys::paper_pdf(paper.source, paper.year, &paper.id());
        if let Some(metadata) = self.store.metadata(&key).await? {
            return Ok(Pdf::Stored(stored_before(key, metadata)));
        }
        let Some(url) = &paper.pdf_url else {
            return Ok(Pdf::None {
                reason: "the source names no PDF".to_owned(),
            });
        };
        let page = match self.http.get(url, Expect::Pdf).await {
            Ok(page) => page,
            Err(error) if error.is_temporary() => return Ok(Pdf::HeldBack { error }),
            Err(error) => {
                return Ok(Pdf::None {
                    reason: error.to_string(),
                });
            }
        };
        let sha256 = hex::encode(Sha256::digest(&page.body));
        let object = Object {
            metadata: pdf_metadata(paper, url, &sha256),
            content_type: "application/pdf",
            body: page.body,
        };
        match self.store.create(&key, object).await? {
            Created::New => {
                let source_url = url.to_string();
                Ok(Pdf::Stored(StoredPdf {
                    key,
                    sha256,
                    source_url,
                    is_new: true,
                }))
            }
            // Another run was faster; what it wrote is what counts.
            Created::Existed => {
                let metadata = self.store.metadata(&key).await?.unwrap_or_default();
                Ok(Pdf::Stored(stored_before(key, metadata)))
            }
        }
    }

    fn message(
        &self,
        paper: &Paper,
        pdf: &Pdf,
        record_s3_key: String,
    ) -> Result<Message, StoreError> {
        let id = paper.id();
        let message = ResearchMessage {
            paper_id: id.clone(),
            source: paper.source,
            year: paper.year,
            title: paper.title.clone(),
            authors: paper.authors.clone(),
            abstract_text: paper.abstract_text.clone(),
            date: paper.date.clone(),
            url: paper.url.clone(),
            s3_bucket: self.store.bucket().to_owned(),
            s3_key: match pdf {
                Pdf::Stored(pdf) => Some(pdf.key.clone()),
                Pdf::None { .. } | Pdf::HeldBack { .. } => None,
            },
            record_s3_key,
        };
        let body = serde_json::to_string(&message).map_err(|error| StoreError {
            operation: "SendMessage",
            target: id.to_string(),
            reason: error.to_string(),
        })?;
        Ok(Message {
            deduplication_id: hex::encode(Sha256::digest(&body)),
            group: id.into(),
            body,
        })
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

/// The JSON of everything the source said, and of what we made of it.
fn record(paper: &Paper, pdf: &Pdf, state: State) -> Object {
    let (pdf, problem) = match pdf {
        Pdf::Stored(pdf) => {
            let pdf =
                json!({"s3_key": pdf.key, "sha256": pdf.sha256, "source_url": pdf.source_url});
            (pdf, None)
        }
        Pdf::None { reason } => (Value::Null, Some(reason.clone())),
        Pdf::HeldBack { error } => (Value::Null, Some(error.to_string())),
    };
    let body = json!({
        "paper_id": paper.id(),
        "source": paper.source,
        "year": paper.year,
        "source_id": paper.source_id,
        "title": paper.title,
        "authors": paper.authors,
        "abstract": paper.abstract_text,
        "date": paper.date,
        "url": paper.url,
        "pdf": pdf,
        "pdf_problem": problem,
        "state": state.name(),
        "written_at": Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
        "source_record": paper.source_record,
    });
    Object {
        body: format!("{body:#}\n").into_bytes(),
        content_type: "application/json",
        metadata: Metadata::from([(STATE.to_owned(), state.name().to_owned())]),
    }
}

/// A run in progress.
struct Run<'a> {
    scraper: &'a Scraper,
    deadline: Instant,
    summary: Summary,
    /// Papers of this run, by both names: lists repeat papers, and pages shift while they are read.
    seen: HashSet<String>,
}

impl Run<'_> {
    /// Takes at most `limit` papers of a list, and leaves in `leg` where to go on.
    async fn follow(&mut self, leg: &mut Leg, limit: usize) -> Result<(), RunError> {
        let source = self.scraper.source(&leg.target)?;
        let last = self.summary.found + limit;
        while !leg.is_done && self.summary.found < last && Instant::now() < self.deadline {
            let list = source.list(leg.from, last - self.summary.found);
            let Ok(listing) = timeout_at(self.deadline, list).await else {
                // A later page that came too late only ends this run.
                return match self.summary.found {
                    0 => Err(RunError::OutOfTime {
                        target: leg.target.to_string(),
                    }),
                    _ => Ok(()),
                };
            };
            self.handle(listing?, leg).await;
        }
        Ok(())
    }

    async fn handle(&mut self, listing: Listing, leg: &mut Leg) {
        for broken in listing.broken {
            self.summary.found += 1;
            self.summary.add_failed(FailedPaper {
                paper: broken.entry,
                title: None,
                error: broken.reason,
            });
        }
        let mut papers = listing.papers;
        papers.retain(|paper| self.is_first_sight(paper));
        let scraper = self.scraper;
        // In order, so that whatever has been counted is before the position that is handed over.
        let mut outcomes = stream::iter(&papers)
            .map(|paper| async move { (paper, scraper.take(paper).await) })
            .buffered(CONNECTIONS_PER_HOST);
        let mut n_handled = 0;
        while n_handled < papers.len() {
            let Ok(Some((paper, outcome))) = timeout_at(self.deadline, outcomes.next()).await
            else {
                return;
            };
            n_handled += 1;
            leg.from = paper.position;
            count(&mut self.summary, paper, outcome);
        }
        leg.from = listing.next.unwrap_or(leg.from);
        leg.is_done = listing.next.is_none();
    }

    fn is_first_sight(&mut self, paper: &Paper) -> bool {
        let source_name = format!("{}:{}", paper.source.name(), paper.source_id);
        let is_new_name = self.seen.insert(source_name);
        let is_new_text = self
            .seen
            .insert(format!("{}:{}", paper.source.name(), paper.id()));
        is_new_name && is_new_text
    }
}

fn count(summary: &mut Summary, paper: &Paper, outcome: Outcome) {
    summary.found += 1;
    summary.queued += usize::from(outcome.is_queued);
    match outcome.kept {
        Kept::Stored => summary.stored += 1,
        Kept::Already => summary.already += 1,
        Kept::MetadataOnly => summary.metadata_only += 1,
        Kept::Nothing => {}
    }
    if let Some(error) = outcome.problem {
        summary.add_failed(FailedPaper {
            paper: paper.source_id.clone(),
            title: Some(excerpt(paper.title.as_bytes(), 300)),
            error,
        });
    }
}
