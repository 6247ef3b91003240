//! What a summary says of each paper, and the log besides.

use annapurna_contract::scrape::{FailedPaper, RepeatedPaper, ScrapeSummary};
use annapurna_contract::text::excerpt;
use annapurna_paper_sources::paper::{BrokenEntry, Paper};

use crate::keep::{Kept, Outcome};

/// How many failures an answer lists, and repeats, and whether with all of their evidence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    /// Failures listed; the others are counted.
    pub(crate) most: usize,
    /// Long texts are cut.
    pub(crate) is_brief: bool,
}

impl Report {
    fn add(self, summary: &mut ScrapeSummary, failed: FailedPaper) {
        log_failed(&failed);
        let failed = if self.is_brief { failed.cut() } else { failed };
        summary.add_failed(failed, self.most);
    }

    /// Adds something of a list that is no paper.
    pub(crate) fn add_broken(self, summary: &mut ScrapeSummary, broken: BrokenEntry) {
        let failed = FailedPaper {
            paper: broken.entry,
            title: None,
            error: broken.reason,
        };
        self.add(summary, failed);
    }

    /// Adds an entry that says again what another one says: `known_as`, for a person.
    pub(crate) fn add_repeat(
        self,
        summary: &mut ScrapeSummary,
        (entry, title): (&str, &str),
        known_as: &str,
    ) {
        let repeat = RepeatedPaper {
            paper: entry.to_owned(),
            title: excerpt(title.as_bytes(), 300),
            repeats: excerpt(known_as.as_bytes(), 400),
        };
        tracing::info!(
            paper = repeat.paper,
            repeats = repeat.repeats,
            "an entry says again what another one says"
        );
        let repeat = if self.is_brief { repeat.cut() } else { repeat };
        summary.add_repeat(repeat, self.most);
    }

    /// Counts a paper that is settled.
    pub(crate) fn count(self, summary: &mut ScrapeSummary, name: PaperName, outcome: Outcome) {
        if let Some(known_as) = &outcome.known_as {
            self.add_repeat(summary, (&name.source_id, &name.title), known_as);
        }
        summary.found += 1;
        summary.queued += usize::from(outcome.is_queued);
        match outcome.kept {
            Kept::Stored => summary.stored += 1,
            Kept::Already => summary.already += 1,
            Kept::MetadataOnly => summary.metadata_only += 1,
            Kept::Nothing => {}
        }
        if let Some(error) = outcome.problem {
            self.add(summary, name.failed(error));
        }
    }
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

/// Every failure is in the log, also those that an answer has no room for.
pub(crate) fn log_failed(failed: &FailedPaper) {
    tracing::warn!(
        paper = failed.paper,
        error = failed.error,
        "a paper has a problem"
    );
}

/// What a call or a round came to.
pub(crate) fn log_summary(summary: &ScrapeSummary) {
    tracing::info!(
        source = summary.source,
        found = summary.found,
        stored = summary.stored,
        queued = summary.queued,
        already = summary.already,
        metadata_only = summary.metadata_only,
        repeated = summary.repeated,
        failed = summary.n_failed(),
        cursor = summary.cursor,
        "what became of the papers so far"
    );
}
