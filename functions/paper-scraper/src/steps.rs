//! The steps of the state machine `ScrapeConference`, which takes a list of any length.
//!
//! A list is read once, cut into parts, and each part kept in S3 ([`annapurna_contract::keys::list_part`],
//! named after its content): the windows that take the parts in parallel neither ask the sites for the
//! list again nor see it change. A window ends before its deadline and answers where to go on; what it
//! has taken is in S3, so one that is killed goes on from its last answer and finds the rest done.
//! The machine itself decides nothing, see [`annapurna_contract::scrape`].

use std::collections::HashSet;

use annapurna_contract::Source;
use annapurna_contract::events::ScraperEvent;
use annapurna_contract::keys;
use annapurna_contract::scrape::{
    MOST_FAILURES_OF_WINDOW, ScrapePlan, ScrapeSummary, ScrapeWindow, WINDOWS_AT_ONCE,
};
use chrono::{Datelike, Utc};
use futures::{StreamExt, stream};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use crate::http::CONNECTIONS_PER_HOST;
use crate::keep::{Kept, Outcome, take};
use crate::paper::{Paper, PaperSource};
use crate::request::{Leg, MOST_PAPERS, Request, Target};
use crate::run::{PaperName, RunError, Scraper, add_broken, count, is_first_sight, log_failed};
use crate::sources::arxiv::Query;
use crate::sources::conference::Filter;
use crate::sources::listed::Edition;
use crate::store::{Metadata, Object};

/// Papers of a window at least.
const SMALLEST_PART: usize = 200;
/// Windows of a list at most, so that the state of all stays far below Step Functions' 256 KiB.
const MOST_PARTS: usize = 60;
/// Rounds of a scrape: the first, and those that take again what was held back.
const MOST_ROUNDS: u32 = 4;

/// A list, read to its end.
struct Gathered {
    papers: Vec<Paper>,
    /// Entries that are no papers, and lists that could not be had.
    summary: ScrapeSummary,
}

impl Scraper {
    /// Reads the lists of an event and cuts them into windows.
    ///
    /// # Errors
    ///
    /// See [`RunError`].
    pub async fn plan(
        &self,
        event: ScraperEvent,
        deadline: Instant,
    ) -> Result<ScrapePlan, RunError> {
        let event = ScraperEvent {
            max_papers: event.max_papers.or(Some(MOST_PAPERS)),
            ..event
        };
        let request = Request::new(json!(event), &self.settings)?;
        let mut windows = Vec::new();
        let mut left = request.max_papers;
        let n_legs = request.legs.len();
        for (place, leg) in request.legs.iter().enumerate() {
            let gathered = self.gather(leg, left.div_ceil(n_legs - place));
            let gathered =
                timeout_at(deadline, gathered)
                    .await
                    .map_err(|_| RunError::OutOfTime {
                        target: format!("the list of {}", leg.target),
                    })??;
            left -= gathered.papers.len().min(left);
            windows.extend(self.windows(&leg.target, gathered).await?);
        }
        let plan = ScrapePlan {
            source: request.name,
            windows,
            round: 0,
            again: false,
            wait_seconds: 0,
            summary: None,
        };
        tracing::info!(
            source = plan.source,
            windows = plan.windows.len(),
            "the list is read"
        );
        Ok(plan)
    }

    async fn gather(&self, leg: &Leg, limit: usize) -> Result<Gathered, RunError> {
        let source = self.source(&leg.target)?;
        let mut gathered = Gathered {
            papers: Vec::new(),
            summary: ScrapeSummary::default(),
        };
        let mut seen = HashSet::new();
        let mut from = leg.from;
        while gathered.papers.len() < limit {
            let listing = source.list(from, limit - gathered.papers.len()).await?;
            for broken in listing.broken {
                gathered.summary.found += 1;
                add_broken(&mut gathered.summary, broken, MOST_FAILURES_OF_WINDOW);
            }
            for problem in listing.problems {
                add_broken(&mut gathered.summary, problem, MOST_FAILURES_OF_WINDOW);
            }
            let mut papers = listing.papers;
            papers.retain(|paper| is_first_sight(&mut seen, paper));
            gathered.papers.append(&mut papers);
            match listing.next {
                Some(next) => from = next,
                None => break,
            }
        }
        Ok(gathered)
    }

    /// Keeps a list in parts, one for each window.
    async fn windows(
        &self,
        target: &Target,
        gathered: Gathered,
    ) -> Result<Vec<ScrapeWindow>, RunError> {
        let (source, year) = match target {
            // One connection for all of arXiv: parallel windows would only wait for each other.
            Target::Arxiv(_) => (Source::Arxiv, Utc::now().year()),
            Target::Conference { edition, .. } => (edition.source, i32::from(edition.year)),
        };
        let year = u16::try_from(year).unwrap_or(u16::MAX);
        let n_papers = gathered.papers.len();
        let size = match source {
            Source::Arxiv => n_papers.max(1),
            _ => n_papers.div_ceil(MOST_PARTS).max(SMALLEST_PART),
        };
        let mut parts: Vec<(Vec<u8>, usize)> = Vec::new();
        for papers in gathered.papers.chunks(size) {
            parts.push((json!(papers).to_string().into_bytes(), papers.len()));
        }
        if parts.is_empty() && gathered.summary.n_failed() > 0 {
            // What went wrong with the list has to be reported by some window.
            parts.push((b"[]".to_vec(), 0));
        }
        let mut digest = Sha256::new();
        for (body, _) in &parts {
            digest.update(body);
        }
        let digest = &hex::encode(digest.finalize())[..32];
        let share = match source {
            Source::Arxiv => 1,
            _ => WINDOWS_AT_ONCE.min(u32::try_from(parts.len()).unwrap_or(u32::MAX)),
        };
        let mut windows = Vec::new();
        let mut settled = gathered.summary;
        for (number, (body, n_papers)) in parts.into_iter().enumerate() {
            let list_key = keys::list_part(source, year, digest, number);
            let object = Object {
                body,
                content_type: "application/json",
                metadata: Metadata::new(),
            };
            self.store.create(&list_key, object).await?;
            windows.push(ScrapeWindow {
                source,
                year,
                list_key,
                n_papers: u32::try_from(n_papers).unwrap_or(u32::MAX),
                share: share.max(1),
                next: 0,
                done: n_papers == 0,
                only: Vec::new(),
                held_back: Vec::new(),
                metadata_kept: 0,
                evidence: Vec::new(),
                settled: std::mem::take(&mut settled),
                error: None,
            });
        }
        Ok(windows)
    }

    /// Takes papers of a window until all are taken or the time is over.
    ///
    /// # Errors
    ///
    /// See [`RunError`]; [`RunError::OutOfTime`] when not one paper was taken.
    pub async fn window(
        &self,
        mut window: ScrapeWindow,
        deadline: Instant,
    ) -> Result<ScrapeWindow, RunError> {
        if window.done {
            return Ok(window);
        }
        window.error = None;
        let papers = self.part(&window).await?;
        let source = self.source_of_papers(&window)?;
        self.http.share(window.share);
        let (store, source) = (self.store.as_ref(), source.as_ref());
        let rest = window.rest();
        let share = usize::try_from(window.share).unwrap_or(1).max(1);
        let n_before = (window.next, rest.len());
        let mut outcomes = stream::iter(rest)
            .map(|place| {
                let paper = papers.get(place as usize).cloned();
                async move {
                    let paper = paper?;
                    let name = PaperName::of(&paper);
                    Some((place, name, take(store, source, paper).await))
                }
            })
            .buffered((CONNECTIONS_PER_HOST / share).max(1));
        window.done = loop {
            match timeout_at(deadline, outcomes.next()).await {
                Err(_) => break false,
                Ok(None) => break true,
                // `part` has compared the numbers.
                Ok(Some(None)) => {}
                Ok(Some(Some((place, name, outcome)))) => {
                    window.next = place + 1;
                    add(&mut window, place, name, outcome);
                }
            }
        };
        if !window.done && window.next == n_before.0 && n_before.1 > 0 {
            return Err(RunError::OutOfTime {
                target: format!("the first paper of {}", window.list_key),
            });
        }
        tracing::info!(
            list = window.list_key,
            next = window.next,
            done = window.done,
            held_back = window.held_back.len(),
            "a window was taken this far"
        );
        Ok(window)
    }

    /// The papers of a window's part of the list.
    async fn part(&self, window: &ScrapeWindow) -> Result<Vec<Paper>, RunError> {
        let key = &window.list_key;
        // The key comes back from the state machine, whose input a user may write.
        let prefix = keys::list_prefix(window.source, window.year);
        if !key.starts_with(&prefix) {
            return Err(RunError::Step(format!(
                "list_key must begin with `{prefix}`, got `{key}`"
            )));
        }
        let body = self.store.read(key).await?;
        let body = body.ok_or_else(|| RunError::Step(format!("there is no list at {key}")))?;
        let papers: Vec<Paper> = serde_json::from_slice(&body)
            .map_err(|error| RunError::Step(format!("{key} is no list of papers: {error}")))?;
        if papers.len() != window.n_papers as usize {
            return Err(RunError::Step(format!(
                "{key} has {} papers and the window {}",
                papers.len(),
                window.n_papers
            )));
        }
        Ok(papers)
    }

    /// Where the pages and PDFs of a window's papers come from. No list is read here.
    fn source_of_papers(&self, window: &ScrapeWindow) -> Result<Box<dyn PaperSource>, RunError> {
        let target = match window.source {
            Source::Arxiv => Target::Arxiv(Query::configured(&self.settings)),
            source => Target::Conference {
                edition: Edition {
                    source,
                    year: window.year,
                },
                filter: Filter::default(),
            },
        };
        self.source(&target)
    }

    /// Adds the windows up, and says which papers to take again and when.
    pub fn summarize(&self, mut plan: ScrapePlan) -> ScrapePlan {
        let summary = plan.summary_so_far();
        plan.round += 1;
        plan.again = false;
        if plan.round < MOST_ROUNDS {
            for window in &mut plan.windows {
                if let Some(again) = window.again() {
                    plan.again = true;
                    *window = again;
                }
            }
        }
        // A site that holds us off is given longer each time.
        plan.wait_seconds = self.settings.retake_after.as_secs() << (plan.round - 1).min(8);
        tracing::info!(
            source = summary.source,
            found = summary.found,
            stored = summary.stored,
            queued = summary.queued,
            already = summary.already,
            metadata_only = summary.metadata_only,
            failed = summary.n_failed(),
            round = plan.round,
            again = plan.again,
            "the round is over"
        );
        plan.summary = Some(summary);
        plan
    }
}

/// Adds what became of a paper to its window.
fn add(window: &mut ScrapeWindow, place: u32, name: PaperName, outcome: Outcome) {
    if !outcome.is_held_back {
        count(&mut window.settled, name, outcome, MOST_FAILURES_OF_WINDOW);
        return;
    }
    window.held_back.push(place);
    window.metadata_kept += u32::from(outcome.kept == Kept::MetadataOnly);
    let failed = name.failed(outcome.problem.unwrap_or_default());
    log_failed(&failed);
    if window.evidence.len() < MOST_FAILURES_OF_WINDOW {
        window.evidence.push(failed);
    }
}
