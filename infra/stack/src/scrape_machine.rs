//! What the state machine `ScrapeConference` does, as a value.
//!
//! ```text
//! List ─▶ Windows ─────────────────────────────▶ Summarize ─▶ Again? ──▶ Finished
//!            │ each: Take ─▶ Done? ─▶ Taken                      │
//!            │        ▲▲       ││                                ▼
//!            ▲        │└───────┘└─▶ Rest ─┐  Take ✗─▶ GivenUp   Wait
//!            │        └───────────────────┘                      │
//!            └───────────────────────────────────────────────────┘
//! ```
//!
//! Whatever is waited for, no function runs meanwhile: a window whose site holds it off ends its call and
//! rests, papers that a site held back wait for the next round, and a list for the next attempt.
//!
//! Every task calls the one function with a [`ScrapeStep`](annapurna_contract::scrape::ScrapeStep). A
//! task names the function itself and not `states:::lambda:invoke`: its answer then is the next state's
//! input as it is, without an envelope to open, and errors have the same names either way.

use std::collections::BTreeMap;

use annapurna_contract::scrape::{ScrapeErrorType, WINDOWS_AT_ONCE};

use crate::cloudformation::step_functions::{
    ALL_ERRORS, After, Catch, Choice, Definition, JitterStrategy, Map, Pace, Pass, ProcessorConfig,
    ProcessorMode, Retry, Rule, State, Task, Wait,
};
use crate::constructs::limits::FunctionTimeout;

/// Time that Lambda may take on top of the function's own before a call counts as lost, seconds.
const MARGIN_SECONDS: u32 = 60;
/// The state that waits for the next round.
pub const WAIT: &str = "Wait";
/// How often a window is tried again. Pauses of 5 s to 10 minutes, 20 minutes together: a window that is
/// given up after that is taken again in the next round, so they need not outlast a blocked afternoon.
const OF_WINDOW: (u32, Pace) = (
    8,
    Pace {
        interval_seconds: 5,
        backoff_rate: 2.0,
        max_delay_seconds: 600,
        jitter_strategy: JitterStrategy::Full,
    },
);
/// How often the list is tried again. Pauses of a minute to an hour, five hours at most and half of that
/// on average: nothing comes after a list that is given up, and arXiv's 429 can last for hours.
const OF_LIST: (u32, Pace) = (
    10,
    Pace {
        interval_seconds: 60,
        backoff_rate: 2.0,
        max_delay_seconds: 3_600,
        jitter_strategy: JitterStrategy::Full,
    },
);

/// Within how many seconds the list is tried again after `n_failures` in a row, the last of them `error`;
/// `None` when it is not.
pub fn list_again_within(n_failures: u32, error: &str) -> Option<u32> {
    let (max_attempts, pace) = OF_LIST;
    if n_failures == 0 || n_failures > max_attempts || final_errors().any(|known| known == error) {
        return None;
    }
    let doubled = pace.interval_seconds << (n_failures - 1);
    Some(doubled.min(pace.max_delay_seconds))
}

/// The machine of a function, named by `resource`, that may run for `timeout`.
pub(crate) fn definition(resource: &str, timeout: FunctionTimeout) -> Definition {
    let step = |name: &'static str, field: &'static str, patience| Task {
        resource: resource.to_owned(),
        parameters: BTreeMap::from([("step", name), (field, "$")]),
        timeout_seconds: timeout.get() + MARGIN_SECONDS,
        retry: retries(patience),
        catch: Vec::new(),
        after: After::End,
    };
    let windows = Map {
        items_path: "$.windows",
        result_path: "$.windows",
        max_concurrency: WINDOWS_AT_ONCE,
        item_processor: window(step("window", "window.$", OF_WINDOW)),
        after: After::Next("Summarize"),
    };
    let then = |task: Task, next| {
        State::Task(Task {
            after: After::Next(next),
            ..task
        })
    };
    Definition {
        comment: Some("Takes a whole list of papers, window by window, until none is held back"),
        processor_config: None,
        start_at: "List",
        states: BTreeMap::from([
            ("List", then(step("list", "request.$", OF_LIST), "Windows")),
            ("Windows", State::Map(windows)),
            (
                "Summarize",
                then(step("summarize", "plan.$", OF_WINDOW), "Again?"),
            ),
            ("Again?", when(&[("$.again", WAIT)], "Finished")),
            (WAIT, wait("$.wait_seconds", "Windows")),
            ("Finished", pass(Some("$.summary"))),
        ]),
    }
}

/// Takes a window call by call. One that no repetition brings on is passed on with the error in it.
fn window(take: Task) -> Definition {
    let take = Task {
        catch: vec![Catch {
            error_equals: vec![ALL_ERRORS],
            result_path: "$.error",
            next: "GivenUp",
        }],
        after: After::Next("Done?"),
        ..take
    };
    Definition {
        comment: None,
        processor_config: Some(ProcessorConfig {
            mode: ProcessorMode::Inline,
        }),
        start_at: "Take",
        states: BTreeMap::from([
            ("Take", State::Task(take)),
            (
                "Done?",
                when(&[("$.done", "Taken"), ("$.blocked", "Rest")], "Take"),
            ),
            ("Rest", wait("$.rest_seconds", "Take")),
            ("Taken", State::Succeed),
            ("GivenUp", pass(None)),
        ]),
    }
}

/// Goes to the state of the first path that is true.
fn when(paths: &[(&'static str, &'static str)], otherwise: &'static str) -> State {
    let rule = |(variable, next): (_, _)| Rule {
        variable,
        boolean_equals: true,
        next,
    };
    State::Choice(Choice {
        choices: paths.iter().copied().map(rule).collect(),
        default: otherwise,
    })
}

fn wait(seconds_path: &'static str, next: &'static str) -> State {
    State::Wait(Wait {
        seconds_path,
        after: After::Next(next),
    })
}

fn pass(input_path: Option<&'static str>) -> State {
    State::Pass(Pass {
        input_path,
        after: After::End,
    })
}

/// Errors of the function that the same call meets again.
fn final_errors() -> impl Iterator<Item = &'static str> {
    let all = ScrapeErrorType::ALL.into_iter();
    all.filter(|error| error.is_final())
        .map(ScrapeErrorType::name)
}

/// Everything is tried again but what cannot end otherwise: what Lambda calls `Lambda.…`, a lost call
/// (`States.Timeout`), a function that ran out of time or memory (`Sandbox.Timedout`, `Runtime.…`) and
/// what the function itself says of a source. Naming those that end it, instead of those that do not,
/// leaves out no name that AWS adds. Source: Step Functions developer guide, "Handling errors" and
/// "Handle Lambda service exceptions".
fn retries((max_attempts, pace): (u32, Pace)) -> Vec<Retry> {
    vec![
        Retry {
            error_equals: final_errors().collect(),
            max_attempts: 0,
            pace: None,
        },
        Retry {
            error_equals: vec![ALL_ERRORS],
            max_attempts,
            pace: Some(pace),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_this() {
        let definition = definition("${PapersScraper}", FunctionTimeout::new(900));
        insta::assert_json_snapshot!(definition);
    }
    #[test]
    fn a_list_is_tried_again_for_hours_unless_its_error_is_final() {
        let within = |n_failures| list_again_within(n_failures, "SourceBlocked");
        assert_eq!(within(1), Some(60));
        assert_eq!(within(4), Some(480));
        assert_eq!(within(10), Some(3_600));
        assert_eq!((within(0), within(11)), (None, None));
        assert_eq!(list_again_within(1, "SourceRefused"), None);
    }
}
