//! The steps of the state machine `ScrapeConference`, which takes a list of any length.
//!
//! A list is read once, cut into parts, and each part kept in S3 ([`annapurna_contract::keys::list_part`],
//! named after its content): the windows that take the parts in parallel neither ask the sites for the
//! list again nor see it change. A window ends before its deadline and answers where to go on; what it
//! has taken is in S3, so one that is killed goes on from its last answer and finds the rest done.
//! The machine itself decides nothing, see [`annapurna_contract::scrape`].
//!
//! A scrape that is bounded by `MAX_PAPERS` takes papers that no earlier call or scrape had, so that the same
//! one again takes the next.

use annapurna_cloud::Object;
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
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::error::RunError;
use crate::keep::{Kept, Look, Outcome, look};
use crate::lists::PageEnd;
use crate::papers::{HeldOff, Pace, Taken};
use crate::report::{PaperName, Report, log_failed, log_summary};
use crate::request::{Request, Target, cursor_of};
use crate::scraper::Scraper;
use crate::store::StoreError;

/// Papers of a window at least.
const SMALLEST_PART: usize = 200;
/// Papers that are looked up at the same moment; each is two requests to S3.
const LOOKS_AT_ONCE: usize = 16;
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

impl Scraper {
    /// Reads the lists of an event and cuts them into windows.
    ///
    /// # Errors
    ///
    /// See [`RunError`].
    pub(crate) async fn plan(
        &self,
        event: &ScraperEvent,
        deadline: Instant,
    ) -> Result<ScrapePlan, RunError> {
        let mut request = Request::whole(event, &self.settings)?;
        let is_bounded = event.max_papers.is_some();
        let mut lists: Vec<(Target, Vec<Paper>)> = Vec::new();
        let mut unseen = None;
        let read = self.read_lists(&mut request, deadline, IN_BRIEF, async |page, summary| {
            let mut papers = page.papers;
            let n_papers = papers.len();
            let mut n_known = 0;
            if is_bounded {
                match self.unsettled(papers).await {
                    Ok(looked) => (papers, n_known) = looked,
                    Err(error) => {
                        unseen = Some(error);
                        return PageEnd::StoppedAt(page.from);
                    }
                }
                summary.known += n_papers - papers.len();
            }
            add_page(&mut lists, page.target, papers);
            PageEnd::Taken { n_known }
        });
        let summary = read.await?;
        if let Some(error) = unseen {
            return Err(error.into());
        }
        let plan = ScrapePlan {
            source: request.name,
            windows: self.windows(lists, summary).await?,
            round: 0,
            fruitless: 0,
            settled: 0,
            cursor: cursor_of(&request.lists),
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

    /// Leaves out the papers for which nothing is to be done, and counts those that an earlier call or scrape
    /// had: a bounded scrape takes as many new ones, and what is edited or unfinished besides.
    async fn unsettled(&self, papers: Vec<Paper>) -> Result<(Vec<Paper>, usize), StoreError> {
        let looks = stream::iter(&papers).map(|paper| look(&self.store, paper));
        let looks: Vec<Look> = looks.buffered(LOOKS_AT_ONCE).try_collect().await?;
        let n_new = looks.iter().filter(|look| **look == Look::New).count();
        let n_known = papers.len() - n_new;
        let papers = papers.into_iter().zip(looks);
        let unsettled = papers.filter(|(_, look)| *look != Look::Settled);
        Ok((unsettled.map(|(paper, _)| paper).collect(), n_known))
    }

    /// The windows of all lists. The first of them has what went wrong with the lists.
    async fn windows(
        &self,
        lists: Vec<(Target, Vec<Paper>)>,
        summary: ScrapeSummary,
    ) -> Result<Vec<ScrapeWindow>, RunError> {
        let most_parts = MOST_WINDOWS / lists.len().max(1);
        let mut windows = Vec::new();
        for (target, papers) in &lists {
            windows.extend(self.parts(target, papers, most_parts).await?);
        }
        if let Some((target, _)) = lists.first()
            && windows.is_empty()
            && (summary.n_failed() > 0 || summary.known > 0)
        {
            // It has to be reported by some window.
            windows = self.store_parts(target, vec![&[]]).await?;
        }
        if let Some(first) = windows.first_mut() {
            first.settled = summary;
        }
        let share = WINDOWS_AT_ONCE.min(u32::try_from(windows.len()).unwrap_or(u32::MAX));
        for window in &mut windows {
            window.share = share;
        }
        Ok(windows)
    }

    /// Cuts a list into parts, one for each window.
    async fn parts(
        &self,
        target: &Target,
        papers: &[Paper],
        most_parts: usize,
    ) -> Result<Vec<ScrapeWindow>, RunError> {
        let size = match target {
            // One connection for all of arXiv: parallel windows would only wait for each other.
            Target::Arxiv(_) => papers.len().max(1),
            Target::Conference { .. } => papers.len().div_ceil(most_parts).max(SMALLEST_PART),
        };
        self.store_parts(target, papers.chunks(size).collect())
            .await
    }

    /// Keeps the parts of a list under keys that are named after the whole list's content.
    async fn store_parts(
        &self,
        target: &Target,
        parts: Vec<&[Paper]>,
    ) -> Result<Vec<ScrapeWindow>, RunError> {
        let (source, year) = match target {
            Target::Arxiv(_) => (Source::Arxiv, Utc::now().year()),
            Target::Conference { edition, .. } => (edition.source, i32::from(edition.year)),
        };
        let year = u16::try_from(year).unwrap_or(u16::MAX);
        let mut digest = Sha256::new();
        let mut bodies = Vec::new();
        for papers in parts {
            let n_papers = u32::try_from(papers.len()).unwrap_or(u32::MAX);
            let body = json!(papers).to_string().into_bytes();
            digest.update(&body);
            bodies.push((n_papers, body));
        }
        let digest = &hex::encode(digest.finalize())[..32];
        let mut windows = Vec::new();
        for (number, (n_papers, body)) in bodies.into_iter().enumerate() {
            let list_key = keys::list_part(source, year, digest, number);
            let object = Object::new(body, "application/json");
            // The same list may be there from an earlier call: its key is its digest.
            let _ = self.store.create(&list_key, object).await?;
            windows.push(ScrapeWindow::new(source, year, list_key, n_papers));
        }
        Ok(windows)
    }

    /// Takes papers of a window until all are taken or the time is over. Those that a site holds off are
    /// told to the judge, and taken again when it has rested.
    ///
    /// # Errors
    ///
    /// See [`RunError`]; [`RunError::OutOfTime`] when not one paper could be taken.
    pub(crate) async fn window(
        &self,
        mut window: ScrapeWindow,
        deadline: Instant,
    ) -> Result<ScrapeWindow, RunError> {
        if window.done {
            return Ok(window);
        }
        window.blocked = false;
        window.rest_seconds = 0;
        let remaining = window.remaining();
        let places: Vec<u32> = remaining.iter().copied().take(PAPERS_OF_CALL).collect();
        let papers = self.papers_of(&window, &places).await?;
        let source = self.source_of_papers(&window)?;
        self.http.share(window.share);
        let pace = pace(&window, deadline);
        let n_settled = window.settled.found;
        let settle = |number: usize, name, outcome| {
            settle(&mut window, places[number], name, outcome);
        };
        let taken = self
            .take_papers(source.as_ref(), papers, pace, settle)
            .await;
        move_on(&mut window, &taken, &remaining);
        if taken.n_ended == 0 && !window.done {
            return Err(RunError::OutOfTime {
                target: format!("the next paper of {}", window.list_key),
            });
        }
        let n_new = window.settled.found - n_settled;
        if n_new >= FRUITFUL_CALL {
            window.n_blocked = 0;
        }
        if taken.n_ended == remaining.len() && !window.done {
            // The judge knows of every paper by now; their PDFs can wait.
            window.only = std::mem::take(&mut window.later);
            window.next = 0;
            leave_alone(&mut window, taken.rest_seconds.unwrap_or_default(), n_new);
        }
        tracing::info!(
            list = window.list_key,
            next = window.next,
            done = window.done,
            blocked = window.blocked,
            later = window.later.len(),
            held_back = window.held_back.len(),
            "a window was taken this far"
        );
        Ok(window)
    }

    /// The papers at these places of a window's part of the list.
    async fn papers_of(
        &self,
        window: &ScrapeWindow,
        places: &[u32],
    ) -> Result<Vec<Paper>, RunError> {
        let mut part: Vec<Option<Paper>> = self.part(window).await?.into_iter().map(Some).collect();
        let mut paper = |place: &u32| part.get_mut(*place as usize)?.take();
        let papers = places.iter().map(|place| {
            let foreign =
                || RunError::Step(format!("no paper {place} in {}, or twice", window.list_key));
            paper(place).ok_or_else(foreign)
        });
        papers.collect()
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
        let found = self.store.read(key).await?;
        let found = found.ok_or_else(|| RunError::Step(format!("there is no list at {key}")))?;
        let papers: Vec<Paper> = serde_json::from_slice(&found.body)
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
    pub(crate) fn summarize(&self, mut plan: ScrapePlan) -> ScrapePlan {
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

/// How a call takes the papers of a window that shares the sites with others.
fn pace(window: &ScrapeWindow, deadline: Instant) -> Pace<'static> {
    let share = usize::try_from(window.share).unwrap_or(1).max(1);
    Pace {
        request: None,
        deadline,
        n_at_once: (CONNECTIONS_PER_HOST / share).max(1),
        // The last call of a round leaves nothing for a later one.
        held_off: match window.n_blocked < MOST_BLOCKED {
            true => HeldOff::LeaveForLater,
            false => HeldOff::HoldBack,
        },
    }
}

/// Adds a page's papers to those of the same list, which is the last one.
fn add_page(lists: &mut Vec<(Target, Vec<Paper>)>, of: &Target, papers: Vec<Paper>) {
    match lists.last_mut() {
        Some((target, known)) if target == of => known.extend(papers),
        _ => lists.push((of.clone(), papers)),
    }
}

/// Moves a window past the papers that a call took of the `remaining` ones. What it left comes when all
/// others are taken.
fn move_on(window: &mut ScrapeWindow, taken: &Taken, remaining: &[u32]) {
    window.next += u32::try_from(taken.n_ended).unwrap_or(u32::MAX);
    let left = taken.left.iter().map(|number| remaining[*number]);
    window.later.extend(left);
    window.settled.queued += taken.n_left_told;
    window.done = taken.n_ended == remaining.len() && window.later.is_empty();
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
fn settle(window: &mut ScrapeWindow, place: u32, name: PaperName, outcome: Outcome) {
    if !outcome.is_held_back {
        IN_BRIEF.count(&mut window.settled, name, outcome);
        return;
    }
    window.held_back.push(place);
    window.settled.queued += usize::from(outcome.is_queued);
    window.metadata_kept += u32::from(outcome.kept == Kept::MetadataOnly);
    let problem = outcome.problem;
    let failed =
        name.failed(problem.unwrap_or_else(|| "nothing says why it is held back".to_owned()));
    log_failed(&failed);
    if window.evidence.len() < MOST_FAILURES_OF_WINDOW {
        window.evidence.push(failed.cut());
    }
}
