//! What the state machine `ScrapeConference` and its function say to each other.
//!
//! The machine is `list → take every window, a few at a time → summarize`, and again from the windows
//! on while papers are held back. It decides nothing: each step hands the function a [`ScrapeStep`]
//! and gets back the value of the next one. A window is taken in several calls, each of which stops
//! before its deadline and answers the window as far as it came. The whole state stays far below the
//! 256 KiB that Step Functions allows (source: Step Functions quotas, "task, state, or execution").

use serde::{Deserialize, Serialize};

use crate::Source;
use crate::events::ScraperEvent;

/// Name of the state machine.
pub const SCRAPE_CONFERENCE: &str = "ScrapeConference";
/// Windows taken at once. They share the pace and the connections that a host allows one run.
pub const WINDOWS_AT_ONCE: u32 = 2;

/// What the machine asks of the function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
pub enum ScrapeStep {
    /// Read the list and cut it into windows; answers [`ScrapePlan`].
    List {
        /// What the user asked for. Without `MAX_PAPERS`, every paper.
        request: ScraperEvent,
    },
    /// Take papers of a window until it ends or the time does; answers [`ScrapeWindow`].
    Window {
        /// The window as the step before left it.
        window: ScrapeWindow,
    },
    /// Add the windows up and say what to take again; answers [`ScrapePlan`].
    Summarize {
        /// The plan with its windows as they ended.
        plan: ScrapePlan,
    },
}

/// The state of a whole scrape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrapePlan {
    /// The source's name, or `BOTH`.
    pub source: String,
    /// Windows of this round.
    pub windows: Vec<ScrapeWindow>,
    /// Rounds that have ended.
    pub round: u32,
    /// True when the windows are to be taken again after `wait_seconds`: papers were held back.
    pub again: bool,
    /// How long to wait before the next round, seconds.
    pub wait_seconds: u64,
    /// Everything so far; `None` before the first round has ended.
    pub summary: Option<ScrapeSummary>,
}

/// Failures that a plan's summary lists.
pub const MOST_FAILURES_OF_PLAN: usize = 50;
/// Failures that a window lists.
pub const MOST_FAILURES_OF_WINDOW: usize = 3;

impl ScrapePlan {
    /// What has become of the papers of all windows up to now.
    pub fn summary_so_far(&self) -> ScrapeSummary {
        let mut total = ScrapeSummary {
            source: self.source.clone(),
            ..ScrapeSummary::default()
        };
        for window in &self.windows {
            total.absorb(&window.summary_so_far(), MOST_FAILURES_OF_PLAN);
        }
        total
    }
}

impl ScrapeWindow {
    /// Places of this round that are not taken yet.
    pub fn rest(&self) -> Vec<u32> {
        if self.only.is_empty() {
            return (self.next..self.n_papers).collect();
        }
        let is_left = |place: &u32| *place >= self.next;
        self.only.iter().copied().filter(is_left).collect()
    }

    /// What has become of the window's papers: those settled, and those held back.
    pub fn summary_so_far(&self) -> ScrapeSummary {
        let mut summary = self.settled.clone();
        self.source.name().clone_into(&mut summary.source);
        summary.found += self.held_back.len();
        summary.metadata_only += self.metadata_kept as usize;
        for failed in &self.evidence {
            summary.add_failed(failed.clone(), MOST_FAILURES_OF_PLAN);
        }
        summary.failed_not_listed +=
            self.held_back.len() - self.evidence.len().min(self.held_back.len());
        if let Some(error) = &self.error {
            self.add_given_up(&mut summary, error);
        }
        summary
    }

    /// Papers of a window that was given up are accounted for: as failed.
    fn add_given_up(&self, summary: &mut ScrapeSummary, error: &StepError) {
        let n_left = self.rest().len();
        let name = format!(
            "{} {}, {n_left} papers of {}",
            self.source.name(),
            self.year,
            self.list_key
        );
        let failed = FailedPaper {
            paper: name,
            title: None,
            error: format!("not taken: {} {}", error.error, error.cause),
        };
        summary.found += n_left;
        summary.add_failed(failed, MOST_FAILURES_OF_PLAN);
        summary.failed_not_listed += n_left.saturating_sub(1);
    }

    /// The window for the next round: what is left and what was held back; `None` when nothing is.
    pub fn again(&self) -> Option<Self> {
        let rest = if self.done { Vec::new() } else { self.rest() };
        let mut only = [rest, self.held_back.clone()].concat();
        only.sort_unstable();
        only.dedup();
        (!only.is_empty()).then(|| Self {
            only,
            next: 0,
            done: false,
            held_back: Vec::new(),
            metadata_kept: 0,
            evidence: Vec::new(),
            error: None,
            ..self.clone()
        })
    }
}

/// A part of a list, and how far it has been taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrapeWindow {
    /// The source.
    pub source: Source,
    /// The conference's year; for arXiv the year in which the list was read.
    pub year: u16,
    /// Key of the part of the list, in [`crate::Bucket::Papers`].
    pub list_key: String,
    /// Papers in that part.
    pub n_papers: u32,
    /// Windows that share the hosts' pace.
    pub share: u32,
    /// The place in the part from which to go on.
    pub next: u32,
    /// True when no paper of this round is left.
    pub done: bool,
    /// Places of papers to take again; empty in the first round, which takes them all.
    pub only: Vec<u32>,
    /// Places of papers of this round that could not be had for now.
    pub held_back: Vec<u32>,
    /// How many of them have their metadata kept.
    pub metadata_kept: u32,
    /// The first of them with the evidence.
    pub evidence: Vec<FailedPaper>,
    /// What became of all other papers, over all rounds.
    pub settled: ScrapeSummary,
    /// Why the machine gave the window up, in Step Functions' words; absent when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StepError>,
}

/// What Step Functions says of a call that failed for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StepError {
    /// The function's `errorType`, or a name such as `Lambda.Unknown`.
    pub error: String,
    /// The function's error, JSON.
    #[serde(default)]
    pub cause: String,
}

/// What a run did. Every paper found is counted once among `stored`, `already`, `metadata_only`,
/// except one that only appears in `failed`; a paper whose PDF was held back for now is in
/// `metadata_only` and, with the evidence, in `failed`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrapeSummary {
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
    /// What went wrong, paper by paper: the first of them.
    pub failed: Vec<FailedPaper>,
    /// How many more went wrong; each is in the log.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed_not_listed: usize,
    /// Where the next run goes on; `None` when the list was read to its end.
    pub cursor: Option<String>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl ScrapeSummary {
    /// Adds another summary's counts, and its failures while there are fewer than `most`.
    pub fn absorb(&mut self, other: &Self, most: usize) {
        self.found += other.found;
        self.stored += other.stored;
        self.queued += other.queued;
        self.already += other.already;
        self.metadata_only += other.metadata_only;
        for failed in &other.failed {
            self.add_failed(failed.clone(), most);
        }
        self.failed_not_listed += other.failed_not_listed;
    }

    /// The counts of this summary that an earlier one of the same papers does not have; failures are
    /// counted and not listed.
    pub fn beyond(&self, earlier: &Self) -> Self {
        Self {
            source: self.source.clone(),
            found: self.found.saturating_sub(earlier.found),
            stored: self.stored.saturating_sub(earlier.stored),
            queued: self.queued.saturating_sub(earlier.queued),
            already: self.already.saturating_sub(earlier.already),
            metadata_only: self.metadata_only.saturating_sub(earlier.metadata_only),
            failed: Vec::new(),
            failed_not_listed: self.n_failed().saturating_sub(earlier.n_failed()),
            cursor: None,
        }
    }

    /// Adds a failure to the list while it has fewer than `most` entries, and counts it after that.
    pub fn add_failed(&mut self, failed: FailedPaper, most: usize) {
        if self.failed.len() < most {
            self.failed.push(failed);
        } else {
            self.failed_not_listed += 1;
        }
    }

    /// Papers with a problem, listed or not.
    pub fn n_failed(&self) -> usize {
        self.failed.len() + self.failed_not_listed
    }
}

/// A paper that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedPaper {
    /// The source's name of it.
    pub paper: String,
    /// Its title, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Why, with the evidence.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_named_in_its_json() {
        let step: ScrapeStep = serde_json::from_str(
            r#"{"step":"list","request":{"CONFERENCE":"MLSYS","CONFERENCE_YEAR":"2025"}}"#,
        )
        .unwrap();
        let ScrapeStep::List { request } = step else {
            panic!("not a list: {step:?}");
        };
        assert_eq!(request.conference.as_deref(), Some("MLSYS"));
    }

    fn window(n_papers: u32) -> ScrapeWindow {
        ScrapeWindow {
            source: Source::Iclr,
            year: 2025,
            list_key: "_lists/iclr/2025/00/0000.json".to_owned(),
            n_papers,
            share: 2,
            next: 0,
            done: false,
            only: Vec::new(),
            held_back: Vec::new(),
            metadata_kept: 0,
            evidence: Vec::new(),
            settled: ScrapeSummary::default(),
            error: None,
        }
    }

    #[test]
    fn papers_held_back_are_counted_and_taken_again() {
        let mut window = ScrapeWindow {
            next: 5,
            done: true,
            held_back: vec![1, 3],
            metadata_kept: 2,
            ..window(5)
        };
        window.settled.found = 3;
        window.settled.stored = 3;
        let summary = window.summary_so_far();
        assert_eq!((summary.found, summary.stored), (5, 3));
        assert_eq!((summary.metadata_only, summary.n_failed()), (2, 2));
        let again = window.again().unwrap();
        assert_eq!((again.rest(), again.done), (vec![1, 3], false));
        assert_eq!(again.summary_so_far().found, 3);
        assert_eq!(
            ScrapeWindow {
                held_back: Vec::new(),
                ..window
            }
            .again(),
            None
        );
    }

    #[test]
    fn a_window_given_up_goes_on_where_it_was_and_accounts_for_its_papers() {
        let mut window = ScrapeWindow {
            next: 3,
            held_back: vec![0],
            metadata_kept: 1,
            error: Some(StepError {
                error: "Lambda.Unknown".to_owned(),
                cause: String::new(),
            }),
            ..window(5)
        };
        window.settled.found = 2;
        let summary = window.summary_so_far();
        assert_eq!((summary.found, summary.n_failed()), (5, 3));
        let again = window.again().unwrap();
        assert_eq!(again.rest(), [0, 3, 4]);
        assert_eq!(again.error, None);
    }

    #[test]
    fn failures_beyond_the_limit_are_counted() {
        let mut summary = ScrapeSummary::default();
        for n in 0..5 {
            let failed = FailedPaper {
                paper: n.to_string(),
                title: None,
                error: "gone".to_owned(),
            };
            summary.add_failed(failed, 2);
        }
        assert_eq!((summary.failed.len(), summary.n_failed()), (2, 5));
    }

    #[test]
    fn what_step_functions_says_of_a_failed_call_is_read() {
        let error: StepError =
            serde_json::from_str(r#"{"Error":"Lambda.Unknown","Cause":"{}"}"#).unwrap();
        assert_eq!(error.error, "Lambda.Unknown");
    }
}
