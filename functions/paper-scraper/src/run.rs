//! A direct call: the lists of a request and their papers, in one process.
//!
//! In: an event. Out: a [`ScrapeSummary`], with a cursor when the time ended before the list did. Nobody
//! calls again by himself, so what a site holds back counts as held back.

use annapurna_contract::events::ScraperEvent;
use annapurna_contract::scrape::ScrapeSummary;
use annapurna_paper_sources::http::CONNECTIONS_PER_HOST;
use tokio::time::Instant;

use crate::error::RunError;
use crate::lists::PageEnd;
use crate::papers::{HeldOff, Pace};
use crate::report::{Report, log_summary};
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
        deadline: Instant,
    ) -> Result<ScrapeSummary, RunError> {
        let mut request = Request::of_call(event, &self.settings)?;
        let pace = Pace {
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
                let settle = |_, name: crate::report::PaperName, outcome| {
                    position = name.position;
                    IN_FULL.count(summary, name, outcome);
                };
                let taken = self
                    .take_papers(page.source, page.papers, pace, settle)
                    .await;
                match taken.n_ended == n_papers {
                    true => PageEnd::Taken,
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
