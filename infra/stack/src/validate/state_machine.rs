//! State machines: what Step Functions refuses when the machine is made, or finds out hours later.

use std::collections::BTreeSet;

use super::{Violation, violation};
use crate::cloudformation::step_functions::{ALL_ERRORS, Definition, State, StateMachine, Task};
use crate::cloudformation::{LogicalId, Properties, Template};

/// Every violation of one machine.
pub(super) fn check(template: &Template, id: &LogicalId, machine: &StateMachine) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    check_part(id, &machine.definition, &mut names, &mut found);
    for task in tasks(&machine.definition) {
        found.extend(check_function(template, id, machine, task));
    }
    found
}

/// A definition's own states, then those of its maps.
fn check_part(
    id: &LogicalId,
    part: &Definition,
    names: &mut BTreeSet<&'static str>,
    found: &mut Vec<Violation>,
) {
    let mut say = |problem: String, fix: &str| found.push(violation(id, problem, fix));
    for (name, state) in &part.states {
        if !names.insert(name) {
            let problem = format!("two states are called `{name}`, and names are the machine's");
            say(problem, "give one of them another name");
        }
        for target in state.targets() {
            if !part.states.contains_key(target) {
                let problem = format!("state `{name}` leads to `{target}`, which does not exist");
                say(problem, "add it, or correct the name");
            }
        }
        if let State::Task(task) = state {
            misplaced_wildcards(name, task)
                .into_iter()
                .for_each(|problem| say(problem, "put States.ALL alone into the last entry"));
        }
    }
    let reached = reached(part);
    if !part.states.contains_key(part.start_at) {
        let problem = format!("it starts at `{}`, which does not exist", part.start_at);
        say(problem, "add it, or correct the name");
    }
    for name in part.states.keys().filter(|name| !reached.contains(*name)) {
        let problem = format!("nothing leads to state `{name}`");
        say(problem, "lead to it, or remove it");
    }
    let ends = |name: &&&str| part.states.get(**name).is_some_and(State::is_end);
    if reached.iter().find(ends).is_none() {
        let problem = format!("what starts at `{}` never ends", part.start_at);
        say(problem, "end one of its states");
    }
    for inner in part.inner() {
        check_part(id, inner, names, found);
    }
}

fn reached(part: &Definition) -> BTreeSet<&'static str> {
    let mut reached = BTreeSet::new();
    let mut ahead = vec![part.start_at];
    while let Some(name) = ahead.pop() {
        if let Some(state) = part.states.get(name)
            && reached.insert(name)
        {
            ahead.extend(state.targets());
        }
    }
    reached
}

/// `States.ALL` must be the only error of the last entry. Source: Amazon States Language, "Errors".
fn misplaced_wildcards(name: &str, task: &Task) -> Vec<String> {
    let retried: Vec<&Vec<&str>> = task.retry.iter().map(|it| &it.error_equals).collect();
    let caught: Vec<&Vec<&str>> = task.catch.iter().map(|it| &it.error_equals).collect();
    [("Retry", retried), ("Catch", caught)]
        .into_iter()
        .filter(|(_, entries)| {
            entries.iter().enumerate().any(|(place, errors)| {
                errors.contains(&ALL_ERRORS) && (errors.len() > 1 || place + 1 < entries.len())
            })
        })
        .map(|(field, _)| format!("{field} of state `{name}` has States.ALL among other errors"))
        .collect()
}

fn tasks(part: &Definition) -> Vec<&Task> {
    let own = part.states.values().filter_map(|state| match state {
        State::Task(task) => Some(task),
        _ => None,
    });
    own.chain(part.inner().flat_map(tasks)).collect()
}

fn check_function(
    template: &Template,
    id: &LogicalId,
    machine: &StateMachine,
    task: &Task,
) -> Option<Violation> {
    let name = task
        .resource
        .strip_prefix("${")
        .and_then(|it| it.strip_suffix('}'));
    let Some(arn) = name.and_then(|name| machine.definition_substitutions.get(name)) else {
        let problem = format!("a task calls `{}`, for which nothing stands", task.resource);
        return Some(violation(
            id,
            problem,
            "add the function to the machine's functions",
        ));
    };
    let function = arn
        .dependencies()
        .first()
        .and_then(|id| template.resource(id));
    match function.map(|it| &it.properties) {
        Some(Properties::Function(function)) if task.timeout_seconds <= function.timeout => {
            let problem = format!(
                "a task gives its function {} s, which runs for up to {} s: a second call would run beside it",
                task.timeout_seconds, function.timeout
            );
            let fix = format!("set the task's timeout above {} s", function.timeout);
            Some(violation(id, problem, fix))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cloudformation::step_functions::{After, Catch, Pass, Retry, StateMachineType};
    use crate::cloudformation::{Arn, Expr, Resource};

    fn task(after: After) -> Task {
        Task {
            resource: "${Scraper}".to_owned(),
            parameters: BTreeMap::new(),
            timeout_seconds: 61,
            retry: Vec::new(),
            catch: Vec::new(),
            after,
        }
    }

    fn pass(after: After) -> State {
        State::Pass(Pass {
            input_path: None,
            after,
        })
    }

    fn problems(start_at: &'static str, states: Vec<(&'static str, State)>) -> Vec<String> {
        let mut template = Template::new("test");
        let function = super::super::tests::function(60);
        template.add(LogicalId::new("Scraper"), Resource::new(function));
        let arn = Expr::attribute(&LogicalId::new("Scraper"), "Arn");
        let machine = StateMachine {
            state_machine_name: "M".to_owned(),
            state_machine_type: StateMachineType::Standard,
            definition: Definition {
                comment: None,
                processor_config: None,
                start_at,
                states: states.into_iter().collect(),
            },
            definition_substitutions: BTreeMap::from([("Scraper".to_owned(), arn)]),
            role_arn: Arn::account_root(),
        };
        template.add(LogicalId::new("Machine"), Resource::new(machine));
        let found = super::super::violations(&template);
        found.into_iter().map(|it| it.problem).collect()
    }

    #[test]
    fn a_sound_machine_has_no_violation() {
        let states = vec![
            ("A", State::Task(task(After::Next("B")))),
            ("B", State::Succeed),
        ];
        assert_eq!(problems("A", states), [""; 0]);
    }

    #[test]
    fn a_state_that_is_not_there_or_not_reached_is_named() {
        let states = vec![
            ("A", pass(After::Next("Nowhere"))),
            ("Alone", pass(After::End)),
        ];
        assert_eq!(
            problems("A", states),
            [
                "state `A` leads to `Nowhere`, which does not exist",
                "nothing leads to state `Alone`",
                "what starts at `A` never ends",
            ]
        );
        let found = problems("Nowhere", vec![("A", pass(After::End))]);
        assert!(found.contains(&"it starts at `Nowhere`, which does not exist".to_owned()));
    }

    #[test]
    fn a_circle_never_ends() {
        let states = vec![("A", pass(After::Next("B"))), ("B", pass(After::Next("A")))];
        assert_eq!(problems("A", states), ["what starts at `A` never ends"]);
    }

    #[test]
    fn a_task_outlasts_its_function_and_calls_one_that_is_named() {
        let impatient = Task {
            timeout_seconds: 60,
            ..task(After::End)
        };
        let found = problems("A", vec![("A", State::Task(impatient))]);
        assert!(found[0].contains("gives its function 60 s"), "{found:?}");
        let stranger = Task {
            resource: "${Other}".to_owned(),
            ..task(After::End)
        };
        let found = problems("A", vec![("A", State::Task(stranger))]);
        assert!(found[0].contains("`${Other}`"), "{found:?}");
    }

    #[test]
    fn every_error_stands_alone_and_last() {
        let retry = |errors: &[&'static str]| Retry {
            error_equals: errors.to_vec(),
            max_attempts: 1,
            pace: None,
        };
        let wrong = Task {
            retry: vec![retry(&["States.ALL"]), retry(&["Other"])],
            catch: vec![Catch {
                error_equals: vec!["Other", "States.ALL"],
                result_path: "$.error",
                next: "A",
            }],
            ..task(After::End)
        };
        let found = problems("A", vec![("A", State::Task(wrong))]);
        assert_eq!(
            found,
            [
                "Retry of state `A` has States.ALL among other errors",
                "Catch of state `A` has States.ALL among other errors",
            ]
        );
    }
}
