//! The steps of the state machine `ScrapeConference`, which takes a list of any length.
//!
//! A list is read once, cut into parts, and each part kept in S3 ([`annapurna_contract::keys::list_part`],
//! named after its content): the windows that take the parts in parallel neither ask the sites for the
//! list again nor see it change. A window ends before its deadline and answers where to go on; what it
//! has taken is in S3, so one that is killed goes on from its last answer and finds the rest done.
//! The machine itself decides nothing, see [`annapurna_contract::scrape`].

use std::collections::HashSet;
use std::future::ready;
use std::sync::atomic::{AtomicBool, Ordering};

use annapurna_contract::Source;
use annapurna_contract::events::ScraperEvent;
use annapurna_contract::keys;
use annapurna_contract::scrape::{
    MOST_FAILURES_OF_WINDOW, MOST_WINDOWS, ScrapePlan, ScrapeSummary, ScrapeWindow, WINDOWS_AT_ONCE,
};
use annapurna_paper_sources::http::CONNECTIONS_PER_HOST;
use annapurna_paper_sources::paper::Paper;
use annapurna_paper_sources::paper_source::PaperSource;
use annapurna_paper_sources::sources::arxiv::Query;
use annapurna_paper_sources::sources::conference::Filter;
use annapurna_paper_sources::sources::listed::Edition;
use chrono::{Datelike, Utc};
use futures::{StreamExt, stream};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use crate::keep::{AtRest, Kept, Outcome, take};
use crate::request::{GRACE, Leg, Request, Target, cursor_of};
use crate::run::{
    PaperName, Report, RunError, Scraper, add_broken, count, is_first_sight, list_name,
    list_problem, log_failed, log_summary, longest_paper,
};
use crate::store::{Metadata, Object};

/// Papers of a window at least.
const SMALLEST_PART: usize = 200;
/// Rounds in a row that may settle nothing before the rest is given up.
const FRUITLESS_ROUNDS: u32 = 4;
/// Calls of a window in a row that a site may hold off before the window's papers wait for the next round.
const MOST_BLOCKED: u32 = 4;
/// Papers that make a call count as one the site did not hold off.
const FRUITFUL_CALL: usize = 20;
/// Papers of one call: what a call that is killed has to look at again.
const PAPERS_OF_CALL: usize = 50;
/// Rounds of a scrape at most. With the calls of each bounded as well, an execution stays below Step
/// Functions' 25,000 events (source: Step Functions quotas, "execution history").
const MOST_ROUNDS: u32 = 10;
/// How long a site that holds us off is left alone, seconds; twice as long each time, up to an hour.
const REST_SECONDS: u64 = 120;
const LONGEST_REST_SECONDS: u64 = 3600;

/// What a window carries from call to call is bounded.
const IN_BRIEF: Report = Report {
    most: MOST_FAILURES_OF_WINDOW,
    is_brief: true,
};

/// A list, read to its end or to what was asked for.
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
        let mut request = Request::whole(&event, &self.settings)?;
        let n_legs = request.legs.len();
        let mut left = request.max_papers;
        let mut gathered = Vec::new();
        let mut problems = Vec::new();
        for (place, leg) in request.legs.iter_mut().enumerate() {
            if leg.is_done {
                continue;
            }
            let list = self.gather(leg, left.div_ceil(n_legs - place), deadline);
            match list.await {
                Ok(list) => {
                    left = left.saturating_sub(list.papers.len());
                    gathered.push((leg.target.clone(), list));
                }
                Err(error) => problems.push((list_problem(leg, &error), error)),
            }
        }
        // One list's trouble does not keep the other from being taken; the cursor has it.
        match gathered.first_mut() {
            Some((_, list)) => {
                for (problem, _) in problems {
                    add_broken(&mut list.summary, problem, IN_BRIEF);
                }
            }
            None if problems.is_empty() => {}
            None => return Err(problems.swap_remove(0).1),
        }
        let mut windows = Vec::new();
        let n_lists = gathered.len().max(1);
        for (target, list) in gathered {
            windows.extend(self.windows(&target, list, MOST_WINDOWS / n_lists).await?);
        }
        let share = WINDOWS_AT_ONCE.min(u32::try_from(windows.len()).unwrap_or(u32::MAX));
        for window in &mut windows {
            window.share = share;
        }
        let plan = ScrapePlan {
            source: request.name,
            windows,
            round: 0,
            fruitless: 0,
            settled: 0,
            cursor: cursor_of(&request.legs),
            again: false,
            wait_seconds: 0,
            summary: None,
        };
        tracing::info!(
            source = plan.source,
            windows = plan.windows.len(),
            cursor = plan.cursor,
            "the list is read"
        );
        Ok(plan)
    }

    /// Reads a list, and leaves in `leg` where it goes on. A list that takes all the time ends there.
    async fn gather(
        &self,
        leg: &mut Leg,
        limit: usize,
        deadline: Instant,
    ) -> Result<Gathered, RunError> {
        let source = self.source(&leg.target)?;
        let mut gathered = Gathered {
            papers: Vec::new(),
            summary: ScrapeSummary::default(),
        };
        let mut seen = HashSet::new();
        while gathered.papers.len() < limit && !leg.is_done {
            let list = source.list(leg.from, limit - gathered.papers.len());
            let listing = match timeout_at(deadline, list).await {
                Ok(Ok(listing)) => listing,
                // What is read is taken; the cursor has the rest.
                Ok(Err(error)) if !gathered.papers.is_empty() => {
                    let problem = list_problem(leg, &error.into());
                    add_broken(&mut gathered.summary, problem, IN_BRIEF);
                    break;
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(_) if gathered.papers.is_empty() => {
                    return Err(RunError::OutOfTime {
                        target: list_name(&leg.target),
                    });
                }
                Err(_) => break,
            };
            for broken in listing.broken {
                gathered.summary.found += 1;
                add_broken(&mut gathered.summary, broken, IN_BRIEF);
            }
            for problem in listing.problems {
                add_broken(&mut gathered.summary, problem, IN_BRIEF);
            }
            let mut papers = listing.papers;
            papers.retain(|paper| is_first_sight(&mut seen, paper));
            gathered.papers.append(&mut papers);
            leg.from = listing.next.unwrap_or(leg.from);
            leg.is_done = listing.next.is_none();
        }
        Ok(gathered)
    }

    /// Keeps a list in parts, one for each window.
    async fn windows(
        &self,
        target: &Target,
        gathered: Gathered,
        most_parts: usize,
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
            _ => n_papers.div_ceil(most_parts).max(SMALLEST_PART),
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
            let n_papers = u32::try_from(n_papers).unwrap_or(u32::MAX);
            windows.push(ScrapeWindow {
                settled: std::mem::take(&mut settled),
                ..ScrapeWindow::new(source, year, list_key, n_papers)
            });
        }
        Ok(windows)
    }

    /// Takes papers of a window until all are taken, the time is over, or a site holds us off.
    ///
    /// # Errors
    ///
    /// See [`RunError`]; [`RunError::OutOfTime`] when not one paper could be taken.
    pub async fn window(
        &self,
        mut window: ScrapeWindow,
        deadline: Instant,
    ) -> Result<ScrapeWindow, RunError> {
        if window.done {
            return Ok(window);
        }
        window.blocked = false;
        window.rest_seconds = 0;
        let papers = self.part(&window).await?;
        let source = self.source_of_papers(&window)?;
        self.http.share(window.share);
        let share = usize::try_from(window.share).unwrap_or(1).max(1);
        // The last call of a round leaves nothing for a later one.
        let at_rest = if window.n_blocked < MOST_BLOCKED {
            AtRest::Leave
        } else {
            AtRest::Keep
        };
        let (store, source) = (self.store.as_ref(), source.as_ref());
        let limit = longest_paper(deadline);
        let rest = window.remaining();
        let n_settled = window.settled.found;
        let is_stopped = AtomicBool::new(false);
        let mut outcomes = stream::iter(rest.iter().copied().take(PAPERS_OF_CALL))
            .take_while(|_| {
                let is_late = Instant::now() >= deadline;
                ready(!is_late && !is_stopped.load(Ordering::Relaxed))
            })
            .map(|place| {
                let paper = papers.get(place as usize).cloned();
                async move {
                    let paper = paper?;
                    let name = PaperName::of(&paper);
                    let outcome = take(store, source, paper, at_rest, limit).await;
                    Some((place, name, outcome))
                }
            })
            .buffered((CONNECTIONS_PER_HOST / share).max(1));
        let mut n_taken = 0;
        let mut left = Vec::new();
        let mut rest_seconds = None;
        while let Ok(Some(taken)) = timeout_at(deadline + GRACE, outcomes.next()).await {
            n_taken += 1;
            // A place beyond the part is none of ours, and nothing to wait for.
            let Some((place, name, outcome)) = taken else {
                continue;
            };
            if outcome.rest_seconds.is_some() && at_rest == AtRest::Leave {
                // What is on its way ends; nothing more is begun.
                is_stopped.store(true, Ordering::Relaxed);
                rest_seconds = rest_seconds.max(outcome.rest_seconds);
                left.push(place);
            } else {
                add(&mut window, place, name, outcome);
            }
        }
        drop(outcomes);
        if left.is_empty() {
            window.next += u32::try_from(n_taken).unwrap_or(u32::MAX);
            window.done = n_taken == rest.len();
        } else {
            window.only = [&left, &rest[n_taken..]].concat();
            window.next = 0;
        }
        if n_taken == 0 && !window.done {
            return Err(RunError::OutOfTime {
                target: format!("the next paper of {}", window.list_key),
            });
        }
        let n_new = window.settled.found - n_settled;
        if n_new >= FRUITFUL_CALL {
            window.n_blocked = 0;
        }
        if let Some(seconds) = rest_seconds {
            leave_alone(&mut window, seconds, n_new);
        }
        tracing::info!(
            list = window.list_key,
            next = window.next,
            done = window.done,
            blocked = window.blocked,
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
            Source::Arxiv => Target::Arxiv(Query::configured(&self.settings.arxiv_query)),
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
        let settled = plan.windows.iter().map(|window| window.settled.found).sum();
        plan.round += 1;
        plan.fruitless = match settled > plan.settled {
            true => 0,
            false => plan.fruitless + 1,
        };
        plan.settled = settled;
        plan.again = false;
        if plan.fruitless < FRUITLESS_ROUNDS && plan.round < MOST_ROUNDS {
            for window in &mut plan.windows {
                if let Some(again) = window.again() {
                    plan.again = true;
                    *window = again;
                }
            }
        }
        // A site that holds us off is given longer each time.
        let n_doublings = plan.fruitless.saturating_sub(1).min(8);
        plan.wait_seconds = self.settings.retake_after.as_secs() << n_doublings;
        log_summary(&summary);
        tracing::info!(round = plan.round, again = plan.again, "the round is over");
        plan.summary = Some(summary);
        plan
    }
}

/// Ends a call where a site is left alone: the next one comes when it has rested, and later each time
/// that hardly a paper was had in between.
fn leave_alone(window: &mut ScrapeWindow, seconds: u64, n_new: usize) {
    if n_new < FRUITFUL_CALL {
        window.n_blocked += 1;
    }
    let n_doublings = window.n_blocked.saturating_sub(1).min(8);
    let rest = (REST_SECONDS << n_doublings).min(LONGEST_REST_SECONDS);
    window.blocked = true;
    window.rest_seconds = rest.max(seconds);
}

/// Adds what became of a paper to its window.
fn add(window: &mut ScrapeWindow, place: u32, name: PaperName, outcome: Outcome) {
    if !outcome.is_held_back {
        count(&mut window.settled, name, outcome, IN_BRIEF);
        return;
    }
    window.held_back.push(place);
    window.metadata_kept += u32::from(outcome.kept == Kept::MetadataOnly);
    let failed = name.failed(outcome.problem.unwrap_or_default());
    log_failed(&failed);
    if window.evidence.len() < MOST_FAILURES_OF_WINDOW {
        window.evidence.push(failed.cut());
    }
}
