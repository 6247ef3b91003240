//! A direct call: the lists of a request and their papers, in one process.
//!
//! In: an event. Out: a [`ScrapeSummary`], with a cursor when the time ended before the list did. Nobody
//! calls again by himself, so what a site holds back counts as held back.
//!
//! `MAX_PAPERS` counts papers that no earlier request had, so that the same event again takes the next ones. A
//! retry of one request has its id, which stands in the records of the papers that it had: they count again.

use annapurna_contract::events::ScraperEvent;
use annapurna_contract::scrape::ScrapeSummary;
use annapurna_paper_sources::http::CONNECTIONS_PER_HOST;
use tokio::time::Instant;

use crate::error::RunError;
use crate::keep::Outcome;
use crate::lists::PageEnd;
use crate::papers::{HeldOff, Pace};
use crate::report::{PaperName, Report, log_summary};
use crate::request::{Request, cursor_of};
use crate::scraper::Scraper;

/// A person reads it. Lambda's answers are limited to 6 MB.
const IN_FULL: Report = Report {
    most: 200,
    is_brief: false,
};

impl Scraper {
    /// Follows an event until its papers are handled or `deadline` comes.
    ///
    /// # Errors
    ///
    /// See [`RunError`]. A single paper's failure is in the summary instead.
    pub(crate) async fn run(
        &self,
        event: &ScraperEvent,
        request_id: &str,
        deadline: Instant,
    ) -> Result<ScrapeSummary, RunError> {
        let mut request = Request::of_call(event, &self.settings)?;
        let pace = Pace {
            request: Some(request_id),
            deadline,
            n_at_once: CONNECTIONS_PER_HOST,
            held_off: HeldOff::HoldBack,
        };
        let mut summary = ScrapeSummary::default();
        // No time at all hands everything over.
        if Instant::now() < deadline {
            let read = self.read_lists(&mut request, deadline, IN_FULL, async |page, summary| {
                let n_papers = page.papers.len();
                let mut position = page.from;
                let mut n_known = 0;
                let settle = |_, name: PaperName, outcome: Outcome| {
                    position = name.position;
                    n_known += usize::from(outcome.is_known);
                    IN_FULL.count(summary, name, outcome);
                };
                let taken = self
                    .take_papers(page.source, page.papers, pace, settle)
                    .await;
                summary.known += n_known;
                match taken.n_ended == n_papers {
                    true => PageEnd::Taken { n_known },
                    false => PageEnd::StoppedAt(position),
                }
            });
            summary = read.await?;
        }
        summary.source.clone_from(&request.name);
        summary.cursor = cursor_of(&request.lists);
        log_summary(&summary);
        Ok(summary)
    }
}
