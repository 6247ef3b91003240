//! What the state machine `ScrapeConference` does, as a value.
//!
//! ```text
//! List ─▶ Windows ─────────────────────────────▶ Summarize ─▶ Again? ──▶ Finished
//!            │ each: Take ─▶ Done? ─▶ Taken          ▲           │
//!            │        ▲        │                     │           ▼
//!            ▲        └────────┘  Take ✗─▶ GivenUp   │          Wait
//!            └──────────────────────────────────────────────────┘
//! ```
//!
//! Every task calls the one function with a [`ScrapeStep`](annapurna_contract::scrape::ScrapeStep). A
//! task names the function itself and not `states:::lambda:invoke`: its answer then is the next state's
//! input as it is, without an envelope to open, and errors have the same names either way.

use std::collections::BTreeMap;

use annapurna_contract::scrape::WINDOWS_AT_ONCE;

use crate::cloudformation::step_functions::{
    After, Catch, Choice, Definition, Map, Pace, Pass, ProcessorConfig, Retry, Rule, State, Task,
    Wait,
};
use crate::constructs::limits::FunctionTimeout;

/// Time that Lambda may take on top of the function's own before a call counts as lost, seconds.
const MARGIN_SECONDS: u32 = 60;
/// Errors of the function that the same call meets again.
const FINAL_ERRORS: [&str; 3] = ["InvalidRequest", "InvalidSettings", "InvalidStep"];
/// The source says something else than a list, or has none; it hardly says better a moment later.
const REFUSED: &str = "SourceRefused";
const ALL_ERRORS: &str = "States.ALL";
/// Pauses of 5 s to 10 minutes, 20 minutes together: a window that is given up after that is taken
/// again in the next round, so they need not outlast a blocked afternoon.
const PATIENT: Pace = Pace {
    interval_seconds: 5,
    backoff_rate: 2.0,
    max_delay_seconds: 600,
    jitter_strategy: "FULL",
};

/// The machine of a function, named by `resource`, that may run for `timeout`.
pub fn definition(resource: &str, timeout: FunctionTimeout) -> Definition {
    let step = |name: &'static str, field: &'static str| Task {
        resource: resource.to_owned(),
        parameters: BTreeMap::from([("step", name), (field, "$")]),
        timeout_seconds: timeout.get() + MARGIN_SECONDS,
        retry: retries(),
        catch: Vec::new(),
        after: After::End,
    };
    let windows = Map {
        items_path: "$.windows",
        result_path: "$.windows",
        max_concurrency: WINDOWS_AT_ONCE,
        item_processor: window(step("window", "window.$")),
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
            ("List", then(step("list", "request.$"), "Windows")),
            ("Windows", State::Map(windows)),
            ("Summarize", then(step("summarize", "plan.$"), "Again?")),
            ("Again?", when("$.again", "Wait", "Finished")),
            (
                "Wait",
                State::Wait(Wait {
                    seconds_path: "$.wait_seconds",
                    after: After::Next("Windows"),
                }),
            ),
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
        processor_config: Some(ProcessorConfig { mode: "INLINE" }),
        start_at: "Take",
        states: BTreeMap::from([
            ("Take", State::Task(take)),
            ("Done?", when("$.done", "Taken", "Take")),
            ("Taken", State::Succeed),
            ("GivenUp", pass(None)),
        ]),
    }
}

fn when(variable: &'static str, next: &'static str, otherwise: &'static str) -> State {
    State::Choice(Choice {
        choices: vec![Rule {
            variable,
            boolean_equals: true,
            next,
        }],
        default: otherwise,
    })
}

fn pass(input_path: Option<&'static str>) -> State {
    State::Pass(Pass {
        input_path,
        after: After::End,
    })
}

/// Everything is tried again but what cannot end otherwise: what Lambda calls `Lambda.…`, a lost call
/// (`States.Timeout`), a function that ran out of time or memory (`Sandbox.Timedout`, `Runtime.…`) and
/// what the function itself says of a source. Naming those that end it, instead of those that do not,
/// leaves out no name that AWS adds. Source: Step Functions developer guide, "Handling errors" and
/// "Handle Lambda service exceptions".
fn retries() -> Vec<Retry> {
    vec![
        Retry {
            error_equals: FINAL_ERRORS.to_vec(),
            max_attempts: 0,
            pace: None,
        },
        Retry {
            error_equals: vec![REFUSED],
            max_attempts: 1,
            pace: Some(PATIENT),
        },
        Retry {
            error_equals: vec![ALL_ERRORS],
            max_attempts: 8,
            pace: Some(PATIENT),
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
}
