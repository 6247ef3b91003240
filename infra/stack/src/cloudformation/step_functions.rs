//! `AWS::StepFunctions::*` and the Amazon States Language, JSONPath dialect, as far as it is used here.
//! Sources: CloudFormation template reference; Step Functions developer guide, "Amazon States Language".
//!
//! The definition travels as text, `DefinitionString`, in which `${Name}` stands for what
//! `DefinitionSubstitutions` holds under that name: numbers and truth values stay what they are, and
//! references still make CloudFormation create the function first.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{Error as _, SerializeMap, Serializer};

use super::{Arn, Expr};

/// Every error that a retrier or catcher may name. Source: Amazon States Language, "Errors".
pub(crate) const ALL_ERRORS: &str = "States.ALL";

/// `AWS::StepFunctions::StateMachine`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StateMachine {
    pub(crate) state_machine_name: String,
    pub(crate) state_machine_type: StateMachineType,
    #[serde(rename = "DefinitionString", serialize_with = "as_text")]
    pub(crate) definition: Definition,
    /// What the definition's `${…}` stand for.
    pub(crate) definition_substitutions: BTreeMap<String, Expr>,
    pub(crate) role_arn: Arn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum StateMachineType {
    /// Runs for up to a year, each step once.
    Standard,
}

fn as_text<S: Serializer>(definition: &Definition, serializer: S) -> Result<S::Ok, S::Error> {
    let text = serde_json::to_string(definition).map_err(S::Error::custom)?;
    serializer.serialize_str(&text)
}

/// A state machine, or the part of one that a [`Map`] runs for each item.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Definition {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<&'static str>,
    /// In a map only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) processor_config: Option<ProcessorConfig>,
    pub(crate) start_at: &'static str,
    pub(crate) states: BTreeMap<&'static str, State>,
}

/// Where a map runs its states.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ProcessorConfig {
    pub(crate) mode: ProcessorMode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum ProcessorMode {
    /// In the execution of the machine itself, up to 40 items at once.
    Inline,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "Type")]
pub(crate) enum State {
    /// Calls a function.
    Task(Task),
    /// Runs states for each item of a list.
    Map(Map),
    /// Goes one way or the other.
    Choice(Choice),
    Wait(Wait),
    Pass(Pass),
    /// Ends with success.
    Succeed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Next(&'static str),
    End,
}

impl Serialize for After {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Next(state) => map.serialize_entry("Next", state)?,
            Self::End => map.serialize_entry("End", &true)?,
        }
        map.end()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Task {
    /// The function's ARN, as `${Name}`.
    pub(crate) resource: String,
    /// What it is called with; a key that ends in `.$` has a path for its value.
    pub(crate) parameters: BTreeMap<&'static str, &'static str>,
    /// Seconds until the call counts as lost.
    pub(crate) timeout_seconds: u32,
    /// When it is called again; the first that names the error decides.
    pub(crate) retry: Vec<Retry>,
    /// What follows an error that no repetition healed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) catch: Vec<Catch>,
    #[serde(flatten)]
    pub(crate) after: After,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Map {
    /// Path of the list in the input.
    pub(crate) items_path: &'static str,
    /// Path where the list of results is put.
    pub(crate) result_path: &'static str,
    /// Items at once; 0 for as many as there are.
    pub(crate) max_concurrency: u32,
    pub(crate) item_processor: Definition,
    #[serde(flatten)]
    pub(crate) after: After,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Choice {
    /// The first that holds decides.
    pub(crate) choices: Vec<Rule>,
    pub(crate) default: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Rule {
    /// Path of a truth value.
    pub(crate) variable: &'static str,
    pub(crate) boolean_equals: bool,
    pub(crate) next: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Wait {
    /// Path of the number of seconds.
    pub(crate) seconds_path: &'static str,
    #[serde(flatten)]
    pub(crate) after: After,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Pass {
    /// The part of what it got that it passes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) input_path: Option<&'static str>,
    #[serde(flatten)]
    pub(crate) after: After,
}

/// When and how often a task that failed runs again.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Retry {
    /// Names of errors, or [`ALL_ERRORS`] alone.
    pub(crate) error_equals: Vec<&'static str>,
    /// Repetitions; 0 for none.
    pub(crate) max_attempts: u32,
    /// How they are spread; absent where there are none.
    #[serde(flatten)]
    pub(crate) pace: Option<Pace>,
}

/// The pauses between repetitions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Pace {
    /// Seconds before the first repetition.
    pub(crate) interval_seconds: u32,
    /// What each pause is multiplied with.
    pub(crate) backoff_rate: f64,
    /// Seconds that no pause exceeds.
    pub(crate) max_delay_seconds: u32,
    pub(crate) jitter_strategy: JitterStrategy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum JitterStrategy {
    /// Anything from nothing to the pause.
    Full,
}

/// What follows errors that no repetition healed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Catch {
    /// Names of errors, or [`ALL_ERRORS`] alone.
    pub(crate) error_equals: Vec<&'static str>,
    /// Path in the state's input where the error is put.
    pub(crate) result_path: &'static str,
    pub(crate) next: &'static str,
}

impl Definition {
    /// The definitions that maps of this one run.
    pub(crate) fn inner(&self) -> impl Iterator<Item = &Self> {
        self.states.values().filter_map(|state| match state {
            State::Map(map) => Some(&map.item_processor),
            _ => None,
        })
    }
}

impl State {
    /// The states it may lead to.
    pub(crate) fn targets(&self) -> Vec<&'static str> {
        let next = |after: &After| match after {
            After::Next(state) => Some(*state),
            After::End => None,
        };
        match self {
            Self::Task(task) => {
                let caught = task.catch.iter().map(|it| it.next);
                next(&task.after).into_iter().chain(caught).collect()
            }
            Self::Map(map) => next(&map.after).into_iter().collect(),
            Self::Choice(choice) => {
                let chosen = choice.choices.iter().map(|it| it.next);
                chosen.chain([choice.default]).collect()
            }
            Self::Wait(wait) => next(&wait.after).into_iter().collect(),
            Self::Pass(pass) => next(&pass.after).into_iter().collect(),
            Self::Succeed => Vec::new(),
        }
    }

    /// Whether the machine, or the map's run of an item, can end here.
    pub(crate) fn is_end(&self) -> bool {
        let after = match self {
            Self::Task(task) => task.after,
            Self::Map(map) => map.after,
            Self::Wait(wait) => wait.after,
            Self::Pass(pass) => pass.after,
            Self::Choice(_) => return false,
            Self::Succeed => return true,
        };
        after == After::End
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn states_render_as_the_states_language_has_them() {
        let task = State::Task(Task {
            resource: "${Judge}".to_owned(),
            parameters: BTreeMap::from([("step", "list"), ("request.$", "$")]),
            timeout_seconds: 60,
            retry: vec![Retry {
                error_equals: vec!["Wrong"],
                max_attempts: 0,
                pace: None,
            }],
            catch: Vec::new(),
            after: After::Next("Done"),
        });
        assert_eq!(
            serde_json::to_value(&task).unwrap(),
            json!({"Type": "Task", "Resource": "${Judge}", "TimeoutSeconds": 60, "Next": "Done",
                "Parameters": {"step": "list", "request.$": "$"},
                "Retry": [{"ErrorEquals": ["Wrong"], "MaxAttempts": 0}]})
        );
        assert_eq!(
            serde_json::to_value(State::Succeed).unwrap(),
            json!({"Type": "Succeed"})
        );
        let pass = State::Pass(Pass {
            input_path: Some("$.summary"),
            after: After::End,
        });
        assert_eq!(
            serde_json::to_value(pass).unwrap(),
            json!({"Type": "Pass", "InputPath": "$.summary", "End": true})
        );
    }
}
