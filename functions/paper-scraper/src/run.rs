//! One run: list, keep, tell, count.
//!
//! In: an event. Out: a [`ScrapeSummary`], with a cursor when the time ended before the list did.
//! [`crate::keep`] knows what is kept of a paper; [`crate::steps`] takes whole conferences.

use std::collections::HashSet;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use annapurna_contract::ConfigError;
use annapurna_contract::scrape::{FailedPaper, ScrapeStep, ScrapeSummary};
use annapurna_paper_sources::http::{CONNECTIONS_PER_HOST, Http, HttpError, HttpSettings};
use annapurna_paper_sources::paper::{BrokenEntry, Paper};
use annapurna_paper_sources::paper_source::{Listing, PaperSource, SourceError};
use annapurna_paper_sources::sources::arxiv::Arxiv;
use annapurna_paper_sources::sources::conference::Conference;
use annapurna_paper_sources::text::excerpt;
use chrono::Utc;
use futures::StreamExt;
use futures::stream;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use crate::keep::{AtRest, Kept, Outcome, take};
use crate::lease::StoreLeases;
use crate::metrics;
use crate::request::{GRACE, Leg, Request, RequestError, Target, cursor_of};
use crate::settings::Settings;
use crate::store::{Store, StoreError};

/// How many failures an answer lists, and whether with all of their evidence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    /// Failures listed; the others are counted.
    pub(crate) most: usize,
    /// Long texts are cut.
    pub(crate) is_brief: bool,
}

/// A person reads it. Lambda's answers are limited to 6 MB.
const IN_FULL: Report = Report {
    most: 200,
    is_brief: false,
};

impl Report {
    fn add(self, summary: &mut ScrapeSummary, failed: FailedPaper) {
        log_failed(&failed);
        let failed = if self.is_brief { failed.cut() } else { failed };
        summary.add_failed(failed, self.most);
    }
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
    #[error("{target} could not be had in the time this function has")]
    OutOfTime {
        /// The list.
        target: String,
    },
    /// The bucket could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A step of the state machine that fits no list.
    #[error("{0}")]
    Step(String),
}

impl RunError {
    /// A name for the kind of error, for metrics and the answer's `errorType`. The state machine repeats
    /// what is not its asker's fault: `SourceRefused` and all that begins with `Invalid` is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Request(_) => "InvalidRequest",
            Self::Source(error) => error.kind(),
            Self::Config(_) => "InvalidSettings",
            Self::OutOfTime { .. } => "OutOfTime",
            Self::Store(_) => "StoreUnavailable",
            Self::Step(_) => "InvalidStep",
        }
    }
}

/// The function: made once, used for every event.
pub struct Scraper {
    pub(crate) settings: Settings,
    pub(crate) http: Arc<Http>,
    pub(crate) store: Arc<dyn Store>,
}

impl Scraper {
    /// Makes the function with the polite client.
    ///
    /// # Errors
    ///
    /// [`HttpError::Client`].
    pub fn new(settings: Settings, store: Arc<dyn Store>) -> Result<Self, HttpError> {
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
        store: Arc<dyn Store>,
        mut http: HttpSettings,
    ) -> Result<Self, HttpError> {
        http.unruled.extend(settings.sites.apis());
        let leases = Arc::new(StoreLeases::new(Arc::clone(&store)));
        Ok(Self {
            settings,
            http: Arc::new(Http::new(http)?.with_leases(leases)),
            store,
        })
    }

    /// Answers an invocation: a step of the state machine, or a user's or schedule's event.
    pub async fn answer(&self, event: Value, deadline: Instant) -> Answer {
        let source = self.source_named_in(&event);
        self.http.share(1);
        let done = self.follow(event, deadline).await;
        // On every way out: another run may wait for a host that only one may ask.
        self.http.release().await;
        let n_blocked = self.http.take_blocked();
        match done {
            Ok(done) => Answer {
                metrics: done
                    .counts
                    .map(|counts| metrics::of_run(&counts, n_blocked, Utc::now())),
                result: Ok(done.answer),
            },
            Err(error) => Answer {
                metrics: Some(metrics::of_failed_run(
                    &source,
                    error.kind(),
                    n_blocked,
                    Utc::now(),
                )),
                result: Err(error),
            },
        }
    }

    async fn follow(&self, event: Value, deadline: Instant) -> Result<Done, RunError> {
        if event.get("step").is_none() {
            let summary = self.handle(event, deadline).await?;
            return Ok(Done {
                answer: json!(summary),
                counts: Some(summary),
            });
        }
        let step: ScrapeStep = serde_json::from_value(event)
            .map_err(|error| RunError::Step(excerpt(error.to_string().as_bytes(), 300)))?;
        let answer = match step {
            ScrapeStep::List { request } => json!(self.plan(request, deadline).await?),
            ScrapeStep::Window { window } => {
                let before = window.summary_so_far();
                let window = self.window(window, deadline).await?;
                return Ok(Done {
                    counts: Some(window.summary_so_far().beyond(&before)),
                    answer: json!(window),
                });
            }
            ScrapeStep::Summarize { plan } => json!(self.summarize(plan)),
        };
        Ok(Done {
            answer,
            counts: None,
        })
    }

    /// The source that an event is about, as far as can be told before it is read.
    fn source_named_in(&self, event: &Value) -> String {
        let named = ["/CONFERENCE", "/request/CONFERENCE", "/window/source"]
            .iter()
            .find_map(|path| event.pointer(path)?.as_str());
        named
            .unwrap_or(&self.settings.conference)
            .trim()
            .to_uppercase()
    }

    /// Follows an event until its papers are handled or `deadline` comes.
    ///
    /// # Errors
    ///
    /// See [`RunError`]. A single paper's failure is in the summary instead.
    async fn handle(&self, event: Value, deadline: Instant) -> Result<ScrapeSummary, RunError> {
        let mut request = Request::new(event, &self.settings)?;
        let mut run = Run {
            scraper: self,
            deadline,
            summary: ScrapeSummary {
                source: request.name.clone(),
                ..ScrapeSummary::default()
            },
            seen: HashSet::new(),
        };
        let n_legs = request.legs.len();
        let mut first_error = None;
        for (place, leg) in request
            .legs
            .iter_mut()
            .enumerate()
            .filter(|(_, leg)| !leg.is_done)
        {
            // The lists share the number; what the first leaves over goes to the next.
            let left = request.max_papers.saturating_sub(run.summary.found);
            let taken = run.follow(leg, left.div_ceil(n_legs - place)).await;
            if let Err(error) = taken {
                // One list's trouble spoils neither what was taken nor the other list.
                add_broken(&mut run.summary, list_problem(leg, &error), IN_FULL);
                first_error.get_or_insert(error);
            }
        }
        if let Some(error) = first_error.filter(|_| run.summary.found == 0) {
            return Err(error);
        }
        let mut summary = run.summary;
        summary.cursor = cursor_of(&request.legs);
        log_summary(&summary);
        Ok(summary)
    }

    pub(crate) fn source(&self, target: &Target) -> Result<Box<dyn PaperSource>, RunError> {
        let http = Arc::clone(&self.http);
        match target {
            Target::Arxiv(query) => Ok(Box::new(Arxiv::new(
                http,
                &self.settings.sites,
                query.clone(),
            ))),
            Target::Conference { edition, filter } => {
                let filter = filter.clone();
                Ok(Box::new(Conference::new(
                    http,
                    &self.settings.sites,
                    *edition,
                    filter,
                )?))
            }
        }
    }
}

/// What an invocation came to, for whom it concerns.
#[derive(Debug)]
pub struct Answer {
    /// For the caller. A single paper's failure is in the summary and no error.
    pub result: Result<Value, RunError>,
    /// For CloudWatch: see [`metrics`]. A step that takes no paper has none.
    pub metrics: Option<Value>,
}

/// An invocation that ended well.
struct Done {
    answer: Value,
    /// What this invocation did of it, for the metrics.
    counts: Option<ScrapeSummary>,
}

/// A run in progress.
struct Run<'a> {
    scraper: &'a Scraper,
    deadline: Instant,
    summary: ScrapeSummary,
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
                        target: list_name(&leg.target),
                    }),
                    _ => Ok(()),
                };
            };
            self.handle(source.as_ref(), listing?, leg).await;
        }
        Ok(())
    }

    async fn handle(&mut self, source: &dyn PaperSource, listing: Listing, leg: &mut Leg) {
        for broken in listing.broken {
            self.summary.found += 1;
            add_broken(&mut self.summary, broken, IN_FULL);
        }
        for problem in listing.problems {
            add_broken(&mut self.summary, problem, IN_FULL);
        }
        let mut papers = listing.papers;
        papers.retain(|paper| is_first_sight(&mut self.seen, paper));
        let n_papers = papers.len();
        let store = self.scraper.store.as_ref();
        let limit = longest_paper(self.deadline);
        // In order, so that whatever has been counted is before the position that is handed over.
        let mut outcomes = stream::iter(papers)
            .take_while(|_| ready(Instant::now() < self.deadline))
            .map(|paper| async move {
                let name = PaperName::of(&paper);
                (name, take(store, source, paper, AtRest::Keep, limit).await)
            })
            .buffered(CONNECTIONS_PER_HOST);
        for _ in 0..n_papers {
            let next = timeout_at(self.deadline + GRACE, outcomes.next()).await;
            let Ok(Some((name, outcome))) = next else {
                return;
            };
            leg.from = name.position;
            count(&mut self.summary, name, outcome, IN_FULL);
        }
        leg.from = listing.next.unwrap_or(leg.from);
        leg.is_done = listing.next.is_none();
    }
}

/// A list, in words for a person.
pub(crate) fn list_name(target: &Target) -> String {
    match target {
        // Waiting for another run is the usual reason.
        Target::Arxiv(_) => "arXiv's list (arXiv allows one run at a time)".to_owned(),
        Target::Conference { edition, .. } => {
            format!("the list of {} {}", edition.source.name(), edition.year)
        }
    }
}

pub(crate) fn list_problem(leg: &Leg, error: &RunError) -> BrokenEntry {
    BrokenEntry {
        entry: list_name(&leg.target),
        reason: error.to_string(),
    }
}

/// How long one paper may take: a slow one must not use up the time of all others.
pub(crate) fn longest_paper(deadline: Instant) -> Duration {
    const MOST: Duration = Duration::from_secs(400);
    let left = deadline.saturating_duration_since(Instant::now());
    (left / 2).clamp(Duration::from_secs(2), MOST)
}

/// Notes a paper under both its names: lists repeat papers, and pages shift while they are read. A
/// paper whose abstract is still to come is only known by its source's name.
pub(crate) fn is_first_sight(seen: &mut HashSet<String>, paper: &Paper) -> bool {
    let source = paper.source.name();
    let is_new_name = seen.insert(format!("{source}:{}", paper.source_id));
    let is_new_text = paper.details.is_some() || seen.insert(format!("{source}:{}", paper.id()));
    is_new_name && is_new_text
}

/// What an answer calls a paper.
pub(crate) struct PaperName {
    /// Where its list goes on after it.
    pub(crate) position: u64,
    source_id: String,
    title: String,
}

impl PaperName {
    pub(crate) fn of(paper: &Paper) -> Self {
        Self {
            position: paper.position,
            source_id: paper.source_id.clone(),
            title: excerpt(paper.title.as_bytes(), 300),
        }
    }

    pub(crate) fn failed(self, error: String) -> FailedPaper {
        FailedPaper {
            paper: self.source_id,
            title: Some(self.title),
            error,
        }
    }
}

pub(crate) fn add_broken(summary: &mut ScrapeSummary, broken: BrokenEntry, report: Report) {
    let failed = FailedPaper {
        paper: broken.entry,
        title: None,
        error: broken.reason,
    };
    report.add(summary, failed);
}

/// Every failure is in the log, also those that an answer has no room for.
pub(crate) fn log_failed(failed: &FailedPaper) {
    tracing::warn!(
        paper = failed.paper,
        error = failed.error,
        "a paper has a problem"
    );
}

/// What a run or a round came to.
pub(crate) fn log_summary(summary: &ScrapeSummary) {
    tracing::info!(
        source = summary.source,
        found = summary.found,
        stored = summary.stored,
        queued = summary.queued,
        already = summary.already,
        metadata_only = summary.metadata_only,
        failed = summary.n_failed(),
        cursor = summary.cursor,
        "what became of the papers so far"
    );
}

/// Counts a paper that is settled.
pub(crate) fn count(
    summary: &mut ScrapeSummary,
    name: PaperName,
    outcome: Outcome,
    report: Report,
) {
    summary.found += 1;
    summary.queued += usize::from(outcome.is_queued);
    match outcome.kept {
        Kept::Stored => summary.stored += 1,
        Kept::Already => summary.already += 1,
        Kept::MetadataOnly => summary.metadata_only += 1,
        Kept::Nothing => {}
    }
    if let Some(error) = outcome.problem {
        report.add(summary, name.failed(error));
    }
}
