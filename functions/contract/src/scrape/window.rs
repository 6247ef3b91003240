//! A part of a list, and how far it has been taken.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::MOST_FAILURES_OF_PLAN;
use super::summary::{FailedPaper, ScrapeSummary};
use crate::Source;

/// A part of a list, and how far it has been taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrapeWindow {
    /// Whose list it is: one source's, also where a scrape takes both conferences.
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
    /// True when a site holds us off and all else is done: the next call comes after `rest_seconds`.
    pub blocked: bool,
    /// How long to leave the site alone, seconds.
    pub rest_seconds: u64,
    /// Calls in a row that ended at such a site with hardly a paper.
    pub n_blocked: u32,
    /// Places in the part of this round's papers, in their order; empty in the first round, which
    /// takes them all.
    #[serde(with = "runs")]
    pub only: Vec<u32>,
    /// Places of this round's papers that a site holds off: taken when all others are, and it has rested.
    #[serde(with = "runs", default)]
    pub later: Vec<u32>,
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
            later: Vec::new(),
            held_back: Vec::new(),
            metadata_kept: 0,
            evidence: Vec::new(),
            settled: ScrapeSummary::default(),
            error: None,
        }
    }

    /// Places of this round that are not taken yet, in the order they are to be taken; without
    /// [`ScrapeWindow::later`].
    pub fn remaining(&self) -> Vec<u32> {
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
        let n_left = self.remaining().len() + self.later.len();
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
        let mut only = if self.done {
            Vec::new()
        } else {
            self.remaining()
        };
        only.extend(&self.later);
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
            later: Vec::new(),
            held_back: Vec::new(),
            metadata_kept: 0,
            evidence: Vec::new(),
            error: None,
            ..self.clone()
        })
    }
}

/// Papers of a window at most: a number that is none of ours must not fill the memory.
const LARGEST_WINDOW: u32 = 100_000;

fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let n_papers = u32::deserialize(deserializer)?;
    if n_papers <= LARGEST_WINDOW {
        return Ok(n_papers);
    }
    Err(D::Error::custom(format!(
        "n_papers must be at most {LARGEST_WINDOW}, got {n_papers}"
    )))
}

/// Lists of numbers as runs, `0-199,305`: the places of a window's papers mostly follow each other.
mod runs {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::LARGEST_WINDOW;

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
                    .filter(|number| *number < LARGEST_WINDOW)
            };
            let (Some(first), Some(last)) = (number(first), number(last)) else {
                return Err(D::Error::custom(format!(
                    "expected runs such as `0-9,12`, got `{run}`"
                )));
            };
            numbers.extend(first..=last);
            if numbers.len() > LARGEST_WINDOW as usize {
                return Err(D::Error::custom(format!(
                    "more than {LARGEST_WINDOW} places"
                )));
            }
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!((again.remaining(), again.done), (vec![1, 3], false));
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
            later: vec![1],
            held_back: vec![0],
            metadata_kept: 1,
            error: Some(StepError {
                error: "Lambda.Unknown".to_owned(),
                cause: String::new(),
            }),
            ..window(5)
        };
        window.settled.found = 1;
        let summary = window.summary_so_far();
        assert_eq!((summary.found, summary.n_failed()), (5, 4));
        let again = window.again().unwrap();
        assert_eq!(again.remaining(), [1, 4, 3, 0]);
        assert!(again.later.is_empty());
        assert_eq!(again.error, None);
        let whole = ScrapeWindow {
            error: window.error,
            ..self::window(6)
        };
        assert_eq!(
            whole.again().unwrap().remaining(),
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

    #[test]
    fn what_step_functions_says_of_a_failed_call_is_read() {
        let error: StepError =
            serde_json::from_str(r#"{"Error":"Lambda.Unknown","Cause":"{}"}"#).unwrap();
        assert_eq!(error.error, "Lambda.Unknown");
    }
}
