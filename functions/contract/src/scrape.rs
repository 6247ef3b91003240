//! What the state machine `ScrapeConference` and its function say to each other.
//!
//! The machine is `list → take every window, a few at a time → summarize`, and again from the windows
//! on while papers are held back. It decides nothing: each step hands the function a [`ScrapeStep`]
//! and gets back the value of the next one. A window is taken in several calls, each of which stops
//! before its deadline, or where a site holds it off, and answers the window as far as it came. What a
//! window carries is bounded, so that the whole state stays below the 256 KiB that Step Functions
//! allows (source: Step Functions quotas, "task, state, or execution").

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

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

/// Failures that a plan's summary lists.
pub const MOST_FAILURES_OF_PLAN: usize = 20;
/// Failures that a window lists of the papers it settled, and again of those held back.
pub const MOST_FAILURES_OF_WINDOW: usize = 1;
/// Bytes of a failure's text in a window or a plan; the whole of it is in the log.
const ERROR_BYTES: usize = 400;
/// Bytes of its title.
const TITLE_BYTES: usize = 100;
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

impl ScrapeWindow {
    /// A window of which nothing is taken yet, alone at its hosts.
    pub fn new(source: Source, year: u16, list_key: String, n_papers: u32) -> Self {
        Self {
            source,
            year,
            list_key,
            n_papers,
            share: 1,
            next: 0,
            done: n_papers == 0,
            blocked: false,
            rest_seconds: 0,
            n_blocked: 0,
            only: Vec::new(),
            held_back: Vec::new(),
            metadata_kept: 0,
            evidence: Vec::new(),
            settled: ScrapeSummary::default(),
            error: None,
        }
    }

    /// Places of this round that are not taken yet, in the order they are to be taken.
    pub fn rest(&self) -> Vec<u32> {
        let n_taken = usize::try_from(self.next).unwrap_or(usize::MAX);
        if self.only.is_empty() {
            return (self.next..self.n_papers).collect();
        }
        self.only.iter().copied().skip(n_taken).collect()
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
        if n_left == 0 {
            return;
        }
        let (source, year) = (self.source.name(), self.year);
        let failed = FailedPaper {
            paper: format!("{source} {year}, {n_left} papers of {}", self.list_key),
            title: None,
            error: format!("not taken: {} {}", error.error, error.cause),
        };
        summary.found += n_left;
        summary.add_failed(failed.cut(), MOST_FAILURES_OF_PLAN);
        summary.failed_not_listed += n_left - 1;
    }

    /// The window for the next round: what is left and what was held back; `None` when nothing is.
    ///
    /// A window that was given up is taken from its other end: one paper that ends every call must not
    /// keep those behind it from being taken.
    pub fn again(&self) -> Option<Self> {
        let mut only = if self.done { Vec::new() } else { self.rest() };
        if self.error.is_some() {
            only.reverse();
        }
        only.extend(&self.held_back);
        (!only.is_empty()).then(|| Self {
            only,
            next: 0,
            done: false,
            blocked: false,
            rest_seconds: 0,
            n_blocked: 0,
            held_back: Vec::new(),
            metadata_kept: 0,
            evidence: Vec::new(),
            error: None,
            ..self.clone()
        })
    }
}

/// Papers of a window at most: a number that is none of ours must not fill the memory.
const MOST_PAPERS: u32 = 100_000;

fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let n_papers = u32::deserialize(deserializer)?;
    if n_papers <= MOST_PAPERS {
        return Ok(n_papers);
    }
    Err(D::Error::custom(format!(
        "n_papers must be at most {MOST_PAPERS}, got {n_papers}"
    )))
}

/// Lists of numbers as runs, `0-199,305`: the places of a window's papers mostly follow each other.
mod runs {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::MOST_PAPERS;

    pub(super) fn serialize<S: Serializer>(
        numbers: &[u32],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let runs = numbers.chunk_by(|one, next| one.checked_add(1) == Some(*next));
        let run = |run: &[u32]| match run {
            [one] => one.to_string(),
            [first, .., last] => format!("{first}-{last}"),
            [] => String::new(),
        };
        serializer.serialize_str(&runs.map(run).collect::<Vec<_>>().join(","))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u32>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut numbers = Vec::new();
        for run in text.split(',').filter(|run| !run.is_empty()) {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            let number = |text: &str| {
                text.parse::<u32>()
                    .ok()
                    .filter(|number| *number < MOST_PAPERS)
            };
            let (Some(first), Some(last)) = (number(first), number(last)) else {
                return Err(D::Error::custom(format!(
                    "expected runs such as `0-9,12`, got `{run}`"
                )));
            };
            numbers.extend(first..=last);
            if numbers.len() > MOST_PAPERS as usize {
                return Err(D::Error::custom(format!("more than {MOST_PAPERS} places")));
            }
        }
        Ok(numbers)
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
    #[serde(deserialize_with = "few")]
    pub n_papers: u32,
    /// Windows that share the hosts' pace.
    pub share: u32,
    /// Papers of this round that are taken.
    pub next: u32,
    /// True when no paper of this round is left.
    pub done: bool,
    /// True when a site holds us off: the next call comes after `rest_seconds`.
    pub blocked: bool,
    /// How long to leave the site alone, seconds.
    pub rest_seconds: u64,
    /// Calls in a row that ended at such a site with hardly a paper.
    pub n_blocked: u32,
    /// Places in the part of this round's papers, in their order; empty in the first round, which
    /// takes them all.
    #[serde(with = "runs")]
    pub only: Vec<u32>,
    /// Places of papers of this round that could not be had for now.
    #[serde(with = "runs")]
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

impl FailedPaper {
    /// The failure with its texts cut to a window's or plan's measure.
    pub fn cut(mut self) -> Self {
        cut(&mut self.error, ERROR_BYTES);
        if let Some(title) = &mut self.title {
            cut(title, TITLE_BYTES);
        }
        self
    }
}

/// Cuts a text between two characters.
fn cut(text: &mut String, n_bytes: usize) {
    if text.len() <= n_bytes {
        return;
    }
    text.truncate(text.floor_char_boundary(n_bytes));
    text.push('…');
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
        let key = "_lists/iclr/2025/00/0000.json".to_owned();
        ScrapeWindow::new(Source::Iclr, 2025, key, n_papers)
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
        assert_eq!(again.rest(), [4, 3, 0]);
        assert_eq!(again.error, None);
        let whole = ScrapeWindow {
            error: window.error,
            ..self::window(6)
        };
        assert_eq!(
            whole.again().unwrap().rest(),
            [5, 4, 3, 2, 1, 0],
            "from the other end, since one paper may end every call"
        );
    }

    #[test]
    fn places_are_written_as_runs_in_their_order() {
        let mut window = window(400);
        window.only = vec![5, 6, 7, 1, 2, 300];
        let json = serde_json::to_value(&window).unwrap();
        assert_eq!(json["only"], "5-7,1-2,300");
        assert_eq!(json["held_back"], "");
        assert_eq!(
            serde_json::from_value::<ScrapeWindow>(json).unwrap(),
            window
        );
        let many = "0-99999,".repeat(3);
        for bad in ["x", "1-", "0-4294967295", "１", &many] {
            let mut json = serde_json::to_value(&window).unwrap();
            json["only"] = bad.into();
            assert!(
                serde_json::from_value::<ScrapeWindow>(json).is_err(),
                "{bad}"
            );
        }
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
        let mut window = window(5000);
        window.only = (0..5000).step_by(2).collect();
        window.held_back = (0..5000).skip(1).step_by(50).collect();
        window.evidence = vec![failed(); MOST_FAILURES_OF_WINDOW];
        window.settled.failed = vec![failed(); MOST_FAILURES_OF_WINDOW];
        window.only.truncate(100);
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
                ..ScrapeSummary::default()
            }),
        };
        let n_bytes = serde_json::to_string(&plan).unwrap().len();
        assert!(n_bytes < 256 * 1024, "{n_bytes} bytes");
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
