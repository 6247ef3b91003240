//! What the state machine `ScrapeConference` and its function say to each other.
//!
//! The machine is `list → take every window, a few at a time → summarize`, and again from the windows
//! on while papers are held back. It decides nothing: each step hands the function a [`ScrapeStep`]
//! and gets back the value of the next one. A window is taken in several calls, each of which stops
//! before its deadline, or where a site holds it off, and answers the window as far as it came. What a
//! window carries is bounded, so that the whole state stays below the 256 KiB that Step Functions
//! allows (source: Step Functions quotas, "task, state, or execution").

mod error_type;
mod request;
mod since;
mod summary;
mod window;

use serde::{Deserialize, Serialize};

use crate::events::ScraperEvent;

pub use error_type::ScrapeErrorType;
pub use request::{
    FIRST_YEAR, LAST_YEAR, MOST_PAPERS_OF_ARXIV, MOST_PAPERS_OF_SCRAPE, ScrapeDefaults,
    ScrapeRequest, ScrapeRequestError, ScrapedPapers, SourceChoice,
};
pub use since::Since;
pub use summary::{FailedPaper, RepeatedPaper, ScrapeSummary};
pub use window::{ScrapeWindow, StepError};

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
    /// Rounds in a row that settled no paper.
    pub fruitless: u32,
    /// Papers settled up to the end of the last round.
    pub settled: usize,
    /// Where the list goes on after these papers; `None` when they are all.
    #[serde(default)]
    pub cursor: Option<String>,
    /// True when the windows are to be taken again after `wait_seconds`: papers were held back.
    pub again: bool,
    /// How long to wait before the next round, seconds.
    pub wait_seconds: u64,
    /// Everything so far; `None` before the first round has ended.
    pub summary: Option<ScrapeSummary>,
}

/// Failures that a plan's summary lists, and repeats as well.
pub(crate) const MOST_FAILURES_OF_PLAN: usize = 20;
/// Failures that a window lists of the papers it settled, and again of those held back; and repeats.
pub const MOST_FAILURES_OF_WINDOW: usize = 1;
/// Windows of a plan.
pub const MOST_WINDOWS: usize = 40;

impl ScrapePlan {
    /// What has become of the papers of all windows up to now.
    pub fn summary_so_far(&self) -> ScrapeSummary {
        let mut total = ScrapeSummary {
            source: self.source.clone(),
            cursor: self.cursor.clone(),
            ..ScrapeSummary::default()
        };
        for window in &self.windows {
            total.absorb(&window.summary_so_far(), MOST_FAILURES_OF_PLAN);
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Source;

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

    /// Step Functions hands a state from step to step, 256 KiB at most, and the map's results are all in it.
    #[test]
    fn the_largest_state_fits_into_step_functions() {
        let failed = || {
            FailedPaper {
                paper: "p".repeat(40),
                title: Some("\"é".repeat(300)),
                error: "\"\\u{1b}".repeat(300),
            }
            .cut()
        };
        let key = "_lists/iclr/2025/00/0000.json".to_owned();
        let mut window = ScrapeWindow::new(Source::Iclr, 2025, key, 5000);
        window.only = (0..5000).step_by(2).collect();
        window.held_back = (0..5000).skip(1).step_by(50).collect();
        window.evidence = vec![failed(); MOST_FAILURES_OF_WINDOW];
        window.settled.failed = vec![failed(); MOST_FAILURES_OF_WINDOW];
        let repeat = || {
            RepeatedPaper {
                paper: "p".repeat(40),
                title: "\"é".repeat(300),
                repeats: "\"é".repeat(300),
            }
            .cut()
        };
        window.settled.repeats = vec![repeat(); MOST_FAILURES_OF_WINDOW];
        window.later = window.only.split_off(100);
        window.later.truncate(100);
        // The function cuts what it says to the machine.
        window.error = Some(StepError {
            error: "StoreUnavailable".to_owned(),
            cause: "\\\"".repeat(400),
        });
        let plan = ScrapePlan {
            source: "BOTH".to_owned(),
            windows: vec![window; MOST_WINDOWS],
            round: 3,
            fruitless: 1,
            settled: 0,
            cursor: None,
            again: true,
            wait_seconds: 1,
            summary: Some(ScrapeSummary {
                failed: vec![failed(); MOST_FAILURES_OF_PLAN],
                repeats: vec![repeat(); MOST_FAILURES_OF_PLAN],
                ..ScrapeSummary::default()
            }),
        };
        let n_bytes = serde_json::to_string(&plan).unwrap().len();
        assert!(n_bytes < 256 * 1024, "{n_bytes} bytes");
    }
}
