//! The data sets that a program loads: by the loader, by names that are there, and to be used.

use std::collections::BTreeSet;

use annapurna_contract::text::one_line;
use ruff_python_ast::{Expr, ExprCall, ExprContext, Stmt};
use ruff_text_size::Ranged;

use crate::finding::{Finding, Rule};
use crate::missing;
use crate::program::{Place, Program};
use crate::reach::Reach;

const LOADER: &str = "dataset_loader.load_dataset";

/// What is found, and the sets that are loaded.
pub(crate) fn look(
    program: &Program<'_>,
    reach: &Reach,
    datasets: &[&str],
) -> (Vec<Finding>, Vec<String>) {
    let mut found = Vec::new();
    let mut loaded = BTreeSet::new();
    let calls = program.calls().filter(|(call, place)| {
        reach.is_live(*place) && program.called(call, *place).as_deref() == Some(LOADER)
    });
    let mut n_calls = 0;
    for (call, place) in calls {
        n_calls += 1;
        let names = names(program, reach, (call, place), datasets);
        for name in &names {
            if !datasets.contains(&name.as_str()) {
                let message = format!(
                    "no data set is called `{}`: load one of {}",
                    one_line(name, 80),
                    datasets.join(", ")
                );
                found.push(program.finding(Rule::DataSet, call, message));
            }
        }
        if names.is_empty() {
            let message = "give `load_dataset` the name of the data set as a string";
            found.push(program.finding(Rule::DataSet, call, message));
        }
        if !is_used(program, call) {
            let message = "what `load_dataset` gives is not used: train and evaluate on it";
            found.push(program.finding(Rule::DataSet, call, message));
        }
        loaded.extend(names);
    }
    if n_calls == 0 {
        let message = format!(
            "nothing that is reached calls `load_dataset` of `dataset_loader`: load one of {}",
            datasets.join(", ")
        );
        found.push(missing(Rule::DataSet, message));
    }
    (found, loaded.into_iter().collect())
}

/// The sets that a call may load: the one that it names, else those that the program's words name.
fn names(
    program: &Program<'_>,
    reach: &Reach,
    (call, place): (&ExprCall, Place),
    datasets: &[&str],
) -> Vec<String> {
    let Some(argument) = call.arguments.find_argument_value("name", 0) else {
        return Vec::new();
    };
    if let Some(constant) = program.constant(argument, place.scope) {
        return match constant {
            crate::constant::Constant::Text(name) => vec![name],
            _ => Vec::new(),
        };
    }
    let words = program.exprs.iter().filter_map(|at| match at.node {
        Expr::StringLiteral(it) if !at.place.is_dead && reach.is_live(at.place) => {
            Some(it.value.to_str())
        }
        _ => None,
    });
    let known: BTreeSet<&str> = words.filter(|word| datasets.contains(word)).collect();
    known.into_iter().map(str::to_owned).collect()
}

/// Whether anything is done with what a call gives.
fn is_used(program: &Program<'_>, call: &ExprCall) -> bool {
    let is_it = |value: &Expr| value.is_call_expr() && value.range() == call.range();
    let holder = program.stmts.iter().find_map(|at| match at.node {
        Stmt::Expr(it) if is_it(&it.value) => Some(Vec::new()),
        Stmt::Assign(it) if is_it(&it.value) => Some(it.targets.iter().collect()),
        _ => None,
    });
    let Some(targets) = holder else { return true };
    let mut names = Vec::new();
    for target in targets {
        match target {
            Expr::Name(name) => names.push(name.id.as_str()),
            Expr::Tuple(it) => {
                let of = it.elts.iter().filter_map(Expr::as_name_expr);
                names.extend(of.map(|name| name.id.as_str()));
            }
            // Kept in an object.
            _ => return true,
        }
    }
    program.exprs.iter().any(|at| match at.node {
        Expr::Name(it) => {
            it.ctx == ExprContext::Load && !at.place.is_dead && names.contains(&it.id.as_str())
        }
        _ => false,
    })
}
