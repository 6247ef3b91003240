//! Taking papers, several at once, until the time is over.

use std::future::ready;
use std::time::Duration;

use annapurna_paper_sources::paper::Paper;
use annapurna_paper_sources::paper_source::PaperSource;
use futures::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use crate::keep::{Outcome, take};
use crate::report::PaperName;
use crate::request::GRACE;
use crate::scraper::Scraper;

/// What becomes of a paper whose site is left alone just now. The judge is told in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeldOff {
    /// It counts as held back.
    HoldBack,
    /// It is left: the caller comes back to it.
    LeaveForLater,
}

/// How the papers of a call are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace<'a> {
    /// The id of a direct call's request, which a retry keeps; none in a window of a whole scrape.
    pub(crate) request: Option<&'a str>,
    /// No paper is begun after it.
    pub(crate) deadline: Instant,
    /// Papers that are under way at the same moment, 1 at least.
    pub(crate) n_at_once: usize,
    pub(crate) held_off: HeldOff,
}

/// How far a call came with its papers.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Papers that were begun and ended, from the first on.
    pub(crate) n_ended: usize,
    /// Numbers of those among them that were left for later.
    pub(crate) left: Vec<usize>,
    /// How many of those the judge was told of.
    pub(crate) n_left_told: usize,
    /// For how long their site is left alone, seconds.
    pub(crate) rest_seconds: Option<u64>,
}

impl Scraper {
    /// Takes papers in their order, and hands `settle` the number of each with its outcome in that order:
    /// whatever has been counted is before the position that is handed over.
    pub(crate) async fn take_papers(
        &self,
        source: &dyn PaperSource,
        papers: Vec<Paper>,
        pace: Pace<'_>,
        mut settle: impl FnMut(usize, PaperName, Outcome),
    ) -> Taken {
        let store = &self.store;
        let limit = longest_paper(pace.deadline);
        let goes_on = || Instant::now() < pace.deadline;
        let mut outcomes = stream::iter(papers.into_iter().enumerate())
            .take_while(|_| ready(goes_on()))
            .map(|(number, paper)| async move {
                let name = PaperName::of(&paper);
                let outcome = take(store, source, paper, limit, pace.request).await;
                (number, name, outcome)
            })
            .buffered(pace.n_at_once);
        let mut taken = Taken::default();
        let end = pace.deadline + GRACE;
        while let Ok(Some((number, name, outcome))) = timeout_at(end, outcomes.next()).await {
            taken.n_ended += 1;
            if outcome.rest_seconds.is_some() && pace.held_off == HeldOff::LeaveForLater {
                taken.n_left_told += usize::from(outcome.is_queued);
                taken.rest_seconds = taken.rest_seconds.max(outcome.rest_seconds);
                taken.left.push(number);
            } else {
                settle(number, name, outcome);
            }
        }
        taken
    }
}

/// How long one paper may take: a slow one must not use up the time of all others.
fn longest_paper(deadline: Instant) -> Duration {
    const MOST: Duration = Duration::from_secs(400);
    let left = deadline.saturating_duration_since(Instant::now());
    (left / 2).clamp(Duration::from_secs(2), MOST)
}
