//! How far a scrape is, learnt from the events of its execution.
//!
//! In: events in their order. Out: what has become of the papers. Only what the function answers counts,
//! and when the machine waits; everything else in a history is the machine's own business.

use std::collections::BTreeMap;

use annapurna_contract::scrape::{ScrapePlan, ScrapeSummary, ScrapeWindow};
use aws_sdk_sfn::types::HistoryEvent;
use chrono::{DateTime, Duration, Utc};

/// What is known of a scrape.
#[derive(Debug, Default)]
pub(super) struct Progress {
    source: String,
    /// Every window of every round as it was last seen.
    windows: BTreeMap<String, ScrapeWindow>,
    /// The sum at the end of the last round.
    round: Option<ScrapeSummary>,
    n_held_back: usize,
    wait_seconds: u64,
    waits_since: Option<DateTime<Utc>>,
    last_event: i64,
}

impl Progress {
    /// The newest event known.
    pub(super) const fn last_event(&self) -> i64 {
        self.last_event
    }

    /// Takes in an event.
    pub(super) fn learn(&mut self, event: &HistoryEvent) {
        self.last_event = self.last_event.max(event.id());
        match event.r#type().as_str() {
            "WaitStateEntered" => {
                let at = event.timestamp();
                self.waits_since = DateTime::from_timestamp(at.secs(), 0);
            }
            "WaitStateExited" => self.waits_since = None,
            _ => self.learn_answer(answer(event).unwrap_or_default()),
        }
    }

    /// Takes in what the function answered: a plan or a window.
    fn learn_answer(&mut self, answer: &str) {
        if let Ok(plan) = serde_json::from_str::<ScrapePlan>(answer) {
            self.n_held_back = plan.windows.iter().map(|it| it.rest().len()).sum();
            self.wait_seconds = plan.wait_seconds;
            self.source = plan.source;
            self.round = plan.summary;
            let windows = plan.windows.into_iter();
            self.windows
                .extend(windows.map(|it| (it.list_key.clone(), it)));
        } else if let Ok(window) = serde_json::from_str::<ScrapeWindow>(answer) {
            self.round = None;
            self.windows.insert(window.list_key.clone(), window);
        }
    }

    /// Papers of the whole list; 0 before it was read.
    pub(super) fn n_papers(&self) -> usize {
        self.windows.values().map(|it| it.n_papers as usize).sum()
    }

    /// Papers that the next round takes again.
    pub(super) const fn n_held_back(&self) -> usize {
        self.n_held_back
    }

    /// What has become of the papers so far.
    pub(super) fn summary(&self) -> ScrapeSummary {
        let so_far = || {
            let plan = ScrapePlan {
                source: self.source.clone(),
                windows: self.windows.values().cloned().collect(),
                round: 0,
                again: false,
                wait_seconds: 0,
                summary: None,
            };
            plan.summary_so_far()
        };
        self.round.clone().unwrap_or_else(so_far)
    }

    /// The counts in a line.
    pub(super) fn line(&self) -> String {
        let summary = self.summary();
        let n_done = self.windows.values().filter(|it| it.done).count();
        format!(
            "{} stored, {} already there, {} metadata only, {} failed; {n_done} of {} windows",
            summary.stored,
            summary.already,
            summary.metadata_only,
            summary.n_failed(),
            self.windows.len()
        )
    }

    /// When the machine takes papers again, while it waits for that.
    pub(super) fn again_at(&self) -> Option<DateTime<Utc>> {
        let seconds = i64::try_from(self.wait_seconds).ok()?;
        self.waits_since?
            .checked_add_signed(Duration::try_seconds(seconds)?)
    }
}

/// What the function answered in this event. Step Functions has an event of its own for a task that
/// names a function; the emulator takes the one of all tasks.
fn answer(event: &HistoryEvent) -> Option<&str> {
    let own = event
        .lambda_function_succeeded_event_details()
        .and_then(|it| it.output());
    own.or_else(|| event.task_succeeded_event_details()?.output())
}

#[cfg(test)]
mod tests {
    use annapurna_contract::Source;
    use aws_sdk_sfn::primitives::DateTime as Moment;
    use aws_sdk_sfn::types::{
        HistoryEventType, LambdaFunctionSucceededEventDetails, TaskSucceededEventDetails,
    };

    use super::*;

    fn window(name: &str, found: usize, done: bool) -> ScrapeWindow {
        ScrapeWindow {
            source: Source::Iclr,
            year: 2025,
            list_key: name.to_owned(),
            n_papers: 100,
            share: 2,
            next: u32::try_from(found).unwrap(),
            done,
            only: Vec::new(),
            held_back: Vec::new(),
            metadata_kept: 0,
            evidence: Vec::new(),
            settled: ScrapeSummary {
                found,
                stored: found,
                ..ScrapeSummary::default()
            },
            error: None,
        }
    }

    fn plan(windows: Vec<ScrapeWindow>, summary: Option<ScrapeSummary>) -> ScrapePlan {
        ScrapePlan {
            source: "ICLR".to_owned(),
            again: summary.is_some(),
            windows,
            round: 0,
            wait_seconds: 30,
            summary,
        }
    }

    fn event(id: i64, kind: HistoryEventType) -> aws_sdk_sfn::types::builders::HistoryEventBuilder {
        let at = Moment::from_secs(1_795_408_200);
        HistoryEvent::builder().id(id).r#type(kind).timestamp(at)
    }

    fn answered(id: i64, value: &impl serde::Serialize) -> HistoryEvent {
        let details = LambdaFunctionSucceededEventDetails::builder()
            .output(serde_json::to_string(value).unwrap())
            .build();
        event(id, HistoryEventType::LambdaFunctionSucceeded)
            .lambda_function_succeeded_event_details(details)
            .build()
            .unwrap()
    }

    #[test]
    fn windows_are_counted_as_they_were_last_seen() {
        let mut progress = Progress::default();
        let list = plan(vec![window("a", 0, false), window("b", 0, false)], None);
        progress.learn(&answered(3, &list));
        assert_eq!((progress.n_papers(), progress.summary().found), (200, 0));
        progress.learn(&answered(5, &window("a", 40, false)));
        progress.learn(&answered(7, &window("a", 100, true)));
        // As the emulator says it.
        let details = TaskSucceededEventDetails::builder()
            .resource_type("lambda")
            .resource("arn")
            .output(serde_json::to_string(&window("b", 7, false)).unwrap())
            .build()
            .unwrap();
        let seen = event(9, HistoryEventType::TaskSucceeded).task_succeeded_event_details(details);
        progress.learn(&seen.build().unwrap());
        assert_eq!(progress.summary().stored, 107);
        assert_eq!(progress.last_event(), 9);
        assert_eq!(
            progress.line(),
            "107 stored, 0 already there, 0 metadata only, 0 failed; 1 of 2 windows"
        );
    }

    #[test]
    fn a_wait_says_how_many_and_until_when() {
        let mut progress = Progress::default();
        let held = ScrapeWindow {
            only: vec![3, 9],
            next: 0,
            ..window("a", 98, false)
        };
        progress.learn(&answered(3, &plan(vec![window("a", 0, false)], None)));
        progress.learn(&answered(
            4,
            &plan(vec![held], Some(ScrapeSummary::default())),
        ));
        assert_eq!(progress.again_at(), None);
        let waits = event(5, HistoryEventType::WaitStateEntered)
            .build()
            .unwrap();
        progress.learn(&waits);
        assert_eq!(progress.n_held_back(), 2);
        let at = progress.again_at().unwrap();
        assert_eq!(at.timestamp(), 1_795_408_230);
        let goes_on = event(6, HistoryEventType::WaitStateExited).build().unwrap();
        progress.learn(&goes_on);
        assert_eq!(progress.again_at(), None);
    }

    #[test]
    fn an_answer_of_another_shape_is_passed_over() {
        let mut progress = Progress::default();
        progress.learn(&answered(1, &"nonsense"));
        assert_eq!(progress.n_papers(), 0);
    }
}
