//! Whether method and baseline are measured on held-out data by the loader's own `evaluate`.
//!
//! `evaluate(predict, split="test", dataset=NAME, name="method")`: the loader counts, so that a number is one of the
//! harness and not of the program.

use std::collections::BTreeSet;

use ruff_python_ast::{Expr, ExprCall};

use crate::constant::Constant;
use crate::finding::{Finding, Rule};
use crate::missing;
use crate::program::{Place, Program};
use crate::reach::Reach;
use crate::rules::metrics::words;

const EVALUATE: &str = "dataset_loader.evaluate";
/// What is measured, by the word of `name`.
pub(crate) const MEASURED: [&str; 2] = ["baseline", "method"];

pub(crate) fn look(program: &Program<'_>, reach: &Reach) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut measured = BTreeSet::new();
    let mut is_called = false;
    for (call, place) in program.calls() {
        if program.called(call, place).as_deref() != Some(EVALUATE) || !reach.is_live(place) {
            continue;
        }
        is_called = true;
        if !is_held_out(program, call, place) {
            let message =
                "`evaluate` measures on the data that trained: leave out `split` or give \"test\"";
            found.push(program.finding(Rule::Evaluation, call, message));
        }
        measured.extend(named(program, reach, call, place));
    }
    if !is_called {
        let own = program.scopes.functions();
        let own = own.into_iter().find(|it| it.name.as_str() == "evaluate");
        let message = "measure by `from dataset_loader import evaluate`: `evaluate(predict, dataset=NAME, \
name=\"baseline\")` and `evaluate(predict, dataset=NAME, name=\"method\")`";
        found.push(match own {
            Some(own) => program.finding(Rule::Evaluation, own, message),
            None => missing(Rule::Evaluation, message),
        });
        return found;
    }
    for name in MEASURED {
        if !measured.contains(name) {
            let message = format!(
                "the {name} is not measured: call `evaluate(predict, dataset=NAME, name=\"{name}\")`"
            );
            found.push(missing(Rule::Evaluation, message));
        }
    }
    found
}

fn is_held_out(program: &Program<'_>, call: &ExprCall, place: Place) -> bool {
    let Some(split) = call.arguments.find_argument_value("split", 1) else {
        return true;
    };
    match program.constant(split, place.scope) {
        Some(Constant::Text(split)) => split != "train" && split != "training",
        _ => true,
    }
}

/// What a call measures: the word that it gives, else those of the two that the program's words have.
fn named(program: &Program<'_>, reach: &Reach, call: &ExprCall, place: Place) -> Vec<&'static str> {
    let of = |word: &str| MEASURED.into_iter().find(|name| *name == word);
    let Some(argument) = call.arguments.find_argument_value("name", 3) else {
        return vec!["method"];
    };
    match program.constant(argument, place.scope) {
        Some(Constant::Text(word)) => of(&word).into_iter().collect(),
        Some(_) => Vec::new(),
        None => {
            let words = words(program, reach);
            let has = |name: &&str| words.iter().any(|word| word == name);
            MEASURED.into_iter().filter(has).collect()
        }
    }
}

/// Whether it evaluates without gradients or by the loader.
pub(crate) fn has_evaluation(program: &Program<'_>, reach: &Reach) -> bool {
    program.exprs.iter().any(|at| match at.node {
        Expr::Attribute(it) if reach.is_live(at.place) => {
            matches!(it.attr.as_str(), "eval" | "no_grad" | "inference_mode")
        }
        Expr::Call(call) => program.called(call, at.place).as_deref() == Some(EVALUATE),
        _ => false,
    })
}
