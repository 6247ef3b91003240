//! Whether a program trains: a loss goes backwards and an optimiser steps, in a loop that something reaches.

use ruff_python_ast::{Expr, ExprCall, Stmt};

use crate::finding::{Finding, Rule};
use crate::missing;
use crate::program::{Place, Program};
use crate::reach::Reach;

/// What computes gradients, besides the method `backward`.
const BACKWARD: [&str; 2] = ["torch.autograd.grad", "torch.autograd.backward"];
/// What steps an optimiser, besides the method `step`.
const STEP: [&str; 1] = ["torch_xla.core.xla_model.optimizer_step"];

pub(crate) fn look(program: &Program<'_>, reach: &Reach) -> Vec<Finding> {
    let mut found = empty_steps(program);
    if !imports_torch(program) {
        found.push(missing(Rule::Training, "the program does not import torch"));
    }
    for (what, is_it) in [
        (
            "`backward()`",
            is_backward as fn(&Program<'_>, &ExprCall, Place) -> bool,
        ),
        ("an optimiser's `step()`", is_step),
    ] {
        let calls: Vec<(&ExprCall, Place)> = program
            .calls()
            .filter(|(call, place)| is_it(program, call, *place))
            .collect();
        if calls
            .iter()
            .any(|(_, place)| reach.is_repeated(program, *place))
        {
            continue;
        }
        let live = calls.iter().find(|(_, place)| reach.is_live(*place));
        found.push(match (live, calls.first()) {
            (Some((call, _)), _) => {
                let message = format!("{what} is called once: train in a loop over batches");
                program.finding(Rule::Training, *call, message)
            }
            (None, Some((call, _))) => {
                let message = format!("nothing reaches this call of {what}: call what trains");
                program.finding(Rule::Training, *call, message)
            }
            (None, None) => {
                let message = format!(
                    "the program never calls {what}: train with a loss and a `torch.optim.Optimizer` or a class made of it"
                );
                missing(Rule::Training, message)
            }
        });
    }
    found
}

/// Whether this call computes gradients.
pub(crate) fn is_backward(program: &Program<'_>, call: &ExprCall, place: Place) -> bool {
    let is_method = attribute(call) == Some("backward");
    let path = program.called(call, place);
    is_method || path.is_some_and(|path| BACKWARD.contains(&path.as_str()))
}

/// Whether this call steps an optimiser.
fn is_step(program: &Program<'_>, call: &ExprCall, place: Place) -> bool {
    let path = program.called(call, place);
    if path.is_some_and(|path| STEP.contains(&path.as_str())) {
        return true;
    }
    match (attribute(call), &*call.func) {
        (Some("optimizer_step"), _) => true,
        // `scheduler.step()` changes a rate and no parameter.
        (Some("step"), Expr::Attribute(it)) => !is_scheduler(program, &it.value, place),
        _ => false,
    }
}

fn attribute(call: &ExprCall) -> Option<&str> {
    match &*call.func {
        Expr::Attribute(it) => Some(it.attr.as_str()),
        _ => None,
    }
}

fn is_scheduler(program: &Program<'_>, expr: &Expr, place: Place) -> bool {
    let name = match expr {
        Expr::Name(it) => it.id.as_str(),
        Expr::Attribute(it) => it.attr.as_str(),
        _ => return false,
    };
    let made = |name: &str| {
        let bound = program.scopes.lookup(name, place.scope);
        bound.into_iter().flatten().any(|it| match it {
            crate::scope::Bound::Value(Expr::Call(call)) => program
                .called(call, place)
                .is_some_and(|path| path.starts_with("torch.optim.lr_scheduler.")),
            _ => false,
        })
    };
    name.to_lowercase().contains("sched") || made(name)
}

/// Methods that would train and do nothing.
fn empty_steps(program: &Program<'_>) -> Vec<Finding> {
    let names = [
        "step",
        "backward",
        "optimizer_step",
        "train_step",
        "training_step",
    ];
    let functions = program.scopes.functions();
    let empty = functions.filter(|it| names.contains(&it.name.as_str()) && does_nothing(&it.body));
    empty
        .map(|it| {
            let message = format!("`{}` does nothing: write what trains", it.name);
            program.finding(Rule::Training, it, message)
        })
        .collect()
}

fn does_nothing(body: &[Stmt]) -> bool {
    body.iter().all(|stmt| match stmt {
        Stmt::Pass(_) => true,
        Stmt::Expr(it) => it.value.is_string_literal_expr() || it.value.is_ellipsis_literal_expr(),
        Stmt::Return(it) => it
            .value
            .as_ref()
            .is_none_or(|value| value.is_none_literal_expr() || value.is_number_literal_expr()),
        _ => false,
    })
}

fn imports_torch(program: &Program<'_>) -> bool {
    program.stmts.iter().any(|at| match at.node {
        Stmt::Import(it) => it.names.iter().any(|name| is_torch(name.name.as_str())),
        Stmt::ImportFrom(it) => {
            it.level == 0
                && it
                    .module
                    .as_ref()
                    .is_some_and(|module| is_torch(module.as_str()))
        }
        _ => false,
    })
}

fn is_torch(module: &str) -> bool {
    crate::modules::is_below(module, "torch")
}
