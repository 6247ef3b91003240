//! How far a scrape is, learnt from the events of its execution.
//!
//! In: events in their order. Out: what has become of the papers, and what is waited for. Only what the
//! function answers counts, why it could not read the list, and when the machine waits; everything else in
//! a history is the machine's own business.

use std::collections::BTreeMap;

use annapurna_contract::scrape::{ScrapeErrorType, ScrapePlan, ScrapeSummary, ScrapeWindow};
use annapurna_stack::scrape_machine;
use aws_sdk_sfn::types::HistoryEvent;
use chrono::{DateTime, Duration, Utc};

use super::executions;
use crate::ui;

/// What is known of a scrape.
#[derive(Debug, Default)]
pub(super) struct Progress {
    source: String,
    /// Where the list goes on after these papers.
    cursor: Option<String>,
    /// Every window of every round as it was last seen.
    windows: BTreeMap<String, ScrapeWindow>,
    /// The sum at the end of the last round.
    round: Option<ScrapeSummary>,
    n_held_back: usize,
    wait_seconds: u64,
    waits_since: Option<DateTime<Utc>>,
    /// Until when a window leaves its site alone, by the window.
    rests: BTreeMap<String, DateTime<Utc>>,
    /// True as soon as the list was read.
    is_listed: bool,
    n_list_failures: u32,
    /// Why the list could not be read the last time.
    delay: Option<String>,
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
        let at = DateTime::from_timestamp(event.timestamp().secs(), 0);
        match event.r#type().as_str() {
            // Windows wait, too.
            "WaitStateEntered" if is_wait_for_round(event) => self.waits_since = at,
            // The windows come after the wait.
            "MapStateEntered" => self.waits_since = None,
            _ => {
                if let Some(answer) = answer(event) {
                    self.learn_answer(answer, at);
                }
                self.learn_failure(event);
            }
        }
    }

    /// Takes in what the function answered: a plan or a window.
    fn learn_answer(&mut self, answer: &str, at: Option<DateTime<Utc>>) {
        if let Ok(plan) = serde_json::from_str::<ScrapePlan>(answer) {
            self.is_listed = true;
            self.delay = None;
            self.n_held_back = plan.windows.iter().map(|it| it.remaining().len()).sum();
            self.wait_seconds = plan.wait_seconds;
            self.source = plan.source;
            self.cursor = plan.cursor;
            self.round = plan.summary;
            self.rests.clear();
            let windows = plan.windows.into_iter();
            self.windows
                .extend(windows.map(|it| (it.list_key.clone(), it)));
        } else if let Ok(window) = serde_json::from_str::<ScrapeWindow>(answer) {
            self.round = None;
            let until = at.and_then(|at| later(at, window.rest_seconds));
            match until.filter(|_| window.blocked && !window.done) {
                Some(until) => self.rests.insert(window.list_key.clone(), until),
                None => self.rests.remove(&window.list_key),
            };
            self.windows.insert(window.list_key.clone(), window);
        }
    }

    /// Takes in that the list could not be read. A window's failure is the machine's own business.
    fn learn_failure(&mut self, event: &HistoryEvent) {
        let Some((error, cause)) = failure(event).filter(|_| !self.is_listed) else {
            return;
        };
        self.n_list_failures += 1;
        let within = scrape_machine::list_again_within(self.n_list_failures, error);
        self.delay = within.map(|seconds| {
            let what = if error == ScrapeErrorType::SourceBlocked.name() {
                "the site holds us off"
            } else {
                "the list could not be read"
            };
            format!(
                "{what} ({}); trying again within {} min",
                ui::one_line(&executions::plain(error, cause), 300),
                seconds.div_ceil(60)
            )
        });
    }

    /// Why the list is waited for; `None` once it was read.
    pub(super) fn delay(&self) -> Option<&str> {
        self.delay.as_deref()
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
                fruitless: 0,
                settled: 0,
                cursor: self.cursor.clone(),
                again: false,
                wait_seconds: 0,
                summary: None,
            };
            plan.summary_so_far()
        };
        self.round.clone().unwrap_or_else(so_far)
    }

    /// The counts in a line, and what rests `now`.
    pub(super) fn line(&self, now: DateTime<Utc>) -> String {
        let summary = self.summary();
        let n_done = self.windows.values().filter(|it| it.done).count();
        format!(
            "{} stored, {} already there, {} metadata only, {} failed; {n_done} of {} windows{}",
            summary.stored,
            summary.already,
            summary.metadata_only,
            summary.n_failed(),
            self.windows.len(),
            self.resting(now)
        )
    }

    fn resting(&self, now: DateTime<Utc>) -> String {
        let rests = || self.rests.values().filter(|until| **until > now);
        let Some(until) = rests().max() else {
            return String::new();
        };
        let until = until.format("%H:%M:%S UTC");
        match rests().count() {
            1 => format!("; held off by the site: 1 window rests until {until}"),
            n_resting => format!("; held off by the site: {n_resting} windows rest until {until}"),
        }
    }

    /// When the machine takes papers again, while it waits for that.
    pub(super) fn again_at(&self) -> Option<DateTime<Utc>> {
        later(self.waits_since?, self.wait_seconds)
    }
}

fn later(at: DateTime<Utc>, seconds: u64) -> Option<DateTime<Utc>> {
    let seconds = i64::try_from(seconds).ok()?;
    at.checked_add_signed(Duration::try_seconds(seconds)?)
}

fn is_wait_for_round(event: &HistoryEvent) -> bool {
    let details = event.state_entered_event_details();
    details.is_some_and(|it| it.name() == scrape_machine::WAIT)
}

/// Error and cause of a call that failed. Step Functions has an event for each stage at which a call of a
/// function can fail; the emulator takes the one of all tasks.
fn failure(event: &HistoryEvent) -> Option<(&str, Option<&str>)> {
    macro_rules! said_by {
        ($($details:ident)*) => {
            [$(event.$details().map(|it| (it.error(), it.cause())),)*]
        };
    }
    let said = said_by![
        lambda_function_failed_event_details
        lambda_function_timed_out_event_details
        lambda_function_schedule_failed_event_details
        lambda_function_start_failed_event_details
        task_failed_event_details
    ];
    let (error, cause) = said.into_iter().flatten().next()?;
    Some((error.unwrap_or("States.TaskFailed"), cause))
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
        HistoryEventType, LambdaFunctionFailedEventDetails, LambdaFunctionSucceededEventDetails,
        StateEnteredEventDetails, TaskSucceededEventDetails,
    };

    use super::*;

    fn window(name: &str, found: usize, done: bool) -> ScrapeWindow {
        ScrapeWindow {
            next: u32::try_from(found).unwrap(),
            done,
            settled: ScrapeSummary {
                found,
                stored: found,
                ..ScrapeSummary::default()
            },
            ..ScrapeWindow::new(Source::Iclr, 2025, name.to_owned(), 100)
        }
    }

    fn plan(windows: Vec<ScrapeWindow>, summary: Option<ScrapeSummary>) -> ScrapePlan {
        ScrapePlan {
            source: "ICLR".to_owned(),
            again: summary.is_some(),
            windows,
            round: 0,
            fruitless: 0,
            settled: 0,
            cursor: None,
            wait_seconds: 30,
            summary,
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_408_200, 0).unwrap()
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

    fn entered(id: i64, kind: HistoryEventType, state: &str) -> HistoryEvent {
        let details = StateEnteredEventDetails::builder().name(state).build();
        event(id, kind)
            .state_entered_event_details(details.unwrap())
            .build()
            .unwrap()
    }

    fn failed(id: i64, error: &str, message: &str) -> HistoryEvent {
        let cause = serde_json::json!({"errorType": error, "errorMessage": message});
        let details = LambdaFunctionFailedEventDetails::builder()
            .error(error)
            .cause(cause.to_string())
            .build();
        event(id, HistoryEventType::LambdaFunctionFailed)
            .lambda_function_failed_event_details(details)
            .build()
            .unwrap()
    }

    #[test]
    fn a_list_that_is_waited_for_says_why_and_how_long() {
        let mut progress = Progress::default();
        progress.learn(&failed(
            3,
            "SourceBlocked",
            "429 of\u{1b}[2J export.arxiv.org",
        ));
        progress.learn(&failed(
            5,
            "SourceBlocked",
            "429 of\u{1b}[2J export.arxiv.org",
        ));
        assert_eq!(
            progress.delay(),
            Some(
                "the site holds us off (429 of [2J export.arxiv.org (SourceBlocked)); trying again within 2 min"
            )
        );
        progress.learn(&answered(7, &plan(vec![window("a", 0, false)], None)));
        assert_eq!(progress.delay(), None);
        progress.learn(&failed(9, "SourceBlocked", "a window's"));
        assert_eq!(progress.delay(), None);
    }

    #[test]
    fn a_list_that_is_not_tried_again_is_not_waited_for() {
        let mut progress = Progress::default();
        progress.learn(&failed(3, "SourceRefused", "no list of 2031"));
        assert_eq!(progress.delay(), None);
    }

    #[test]
    fn windows_that_rest_are_counted_until_they_go_on() {
        let mut progress = Progress::default();
        let blocked = |name| ScrapeWindow {
            blocked: true,
            rest_seconds: 90,
            ..window(name, 3, false)
        };
        let list = plan(vec![window("a", 0, false), window("b", 0, false)], None);
        progress.learn(&answered(3, &list));
        progress.learn(&answered(5, &blocked("a")));
        progress.learn(&answered(6, &blocked("b")));
        progress.learn(&entered(7, HistoryEventType::WaitStateEntered, "Rest"));
        assert_eq!(progress.again_at(), None, "only a window waits");
        let line = progress.line(now());
        assert!(
            line.ends_with("; held off by the site: 2 windows rest until 04:31:30 UTC"),
            "{line}"
        );
        progress.learn(&answered(9, &window("a", 100, true)));
        assert!(progress.line(now()).contains("1 window rests until"));
        let later = now() + Duration::seconds(91);
        assert!(!progress.line(later).contains("rest"));
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
            progress.line(now()),
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
        progress.learn(&entered(5, HistoryEventType::WaitStateEntered, "Wait"));
        assert_eq!(progress.n_held_back(), 2);
        let at = progress.again_at().unwrap();
        assert_eq!(at.timestamp(), 1_795_408_230);
        progress.learn(&entered(7, HistoryEventType::MapStateEntered, "Windows"));
        assert_eq!(progress.again_at(), None);
    }

    #[test]
    fn an_answer_of_another_shape_is_passed_over() {
        let mut progress = Progress::default();
        progress.learn(&answered(1, &"nonsense"));
        assert_eq!(progress.n_papers(), 0);
    }
}
