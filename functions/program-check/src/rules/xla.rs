//! What makes a program slow or wrong on XLA alone: shapes that change, waiting for the device, steps without an end.
//!
//! XLA compiles a graph for each shape, which takes minutes on a NeuronCore. Source: AWS Neuron documentation, "PyTorch
//! NeuronX developer guide": lazy tensors, `mark_step`, recompilation.

use std::collections::HashSet;

use ruff_python_ast::{Expr, ExprCall};

use crate::finding::{Finding, Rule};
use crate::missing;
use crate::program::{Place, Program};
use crate::reach::Reach;
use crate::rules::training::is_backward;

/// What ends a step, by the last part of its path.
const END_A_STEP: [&str; 7] = [
    "mark_step",
    "optimizer_step",
    "sync",
    "step",
    "MpDeviceLoader",
    "ParallelLoader",
    "compile",
];
/// Whose shape depends on the numbers.
const SHAPE_BY_NUMBERS: [&str; 5] = [
    "nonzero",
    "unique",
    "masked_select",
    "argwhere",
    "unique_consecutive",
];
/// What waits for the device.
const WAIT: [&str; 4] = ["item", "cpu", "tolist", "numpy"];

pub(crate) fn look(program: &Program<'_>, reach: &Reach) -> Vec<Finding> {
    let mut found = Vec::new();
    let steps = loops_that_train(program, reach);
    for (call, place) in program.calls().filter(|(_, place)| reach.is_live(*place)) {
        let path = program.called(call, place);
        let path = path.as_deref().unwrap_or("");
        if is_ragged(program, path, call, place) {
            let message =
                "give this loader `drop_last=True`: a last batch of another size is compiled anew";
            found.push(program.finding(Rule::StaticShapes, call, message));
        }
        let Expr::Attribute(it) = &*call.func else {
            continue;
        };
        let name = it.attr.as_str();
        if SHAPE_BY_NUMBERS.contains(&name) && !path.starts_with("numpy.") {
            let message = format!(
                "the shape of `{name}` depends on the numbers, and each is compiled anew: use `torch.where` or a mask"
            );
            found.push(program.finding(Rule::StaticShapes, call, message));
        }
        let is_in_step = place.innermost.is_some_and(|it| steps.contains(&it));
        if WAIT.contains(&name) && call.arguments.is_empty() && is_in_step && !place.is_rare {
            let message = format!(
                "`.{name}()` waits for the device in each step: add up tensors and read them after the loop"
            );
            found.push(program.finding(Rule::HostReads, call, message));
        }
    }
    if !ends_steps(program, reach) {
        let message = "end each step with `xm.mark_step()` (or `xm.optimizer_step(optimizer)`)";
        found.push(missing(Rule::MarkStep, message));
    }
    found
}

/// A loader that shuffles and leaves its last batch as it comes.
fn is_ragged(program: &Program<'_>, path: &str, call: &ExprCall, place: Place) -> bool {
    let is_on = |name: &str| {
        let value = call.arguments.find_keyword(name).map(|it| &it.value);
        value.is_some_and(|value| {
            let constant = program.constant(value, place.scope);
            constant.is_none_or(|it| it.is_true())
        })
    };
    let is_given = call.arguments.keywords.iter().all(|it| it.arg.is_some());
    path == "torch.utils.data.DataLoader" && is_given && is_on("shuffle") && !is_on("drop_last")
}

/// The innermost loops in which a loss goes backwards, also by a function that they call.
fn loops_that_train(program: &Program<'_>, reach: &Reach) -> HashSet<usize> {
    let mut bodies = HashSet::new();
    let mut loops = HashSet::new();
    for (call, place) in program.calls() {
        if is_backward(program, call, place) && reach.is_live(place) {
            match place.innermost {
                Some(innermost) => {
                    loops.insert(innermost);
                }
                None => {
                    bodies.insert(place.body);
                }
            }
        }
    }
    for (call, place) in program.calls() {
        let Some(innermost) = place.innermost else {
            continue;
        };
        let name = match &*call.func {
            Expr::Name(it) => it.id.as_str(),
            Expr::Attribute(it) => it.attr.as_str(),
            _ => continue,
        };
        let trains = bodies.iter().any(|body| {
            let function = program.bodies[*body].function;
            function.is_some_and(|it| it.name.as_str() == name)
        });
        if trains {
            loops.insert(innermost);
        }
    }
    loops
}

fn ends_steps(program: &Program<'_>, reach: &Reach) -> bool {
    program.calls().any(|(call, place)| {
        let path = program.called(call, place);
        let path = path.as_deref().unwrap_or("");
        let last = path.rsplit('.').next().unwrap_or("");
        let ends = path.starts_with("torch_xla") && END_A_STEP.contains(&last);
        // `xla.mark_step()` of a module that was handed on.
        let is_handed_on = match &*call.func {
            Expr::Attribute(it) => matches!(it.attr.as_str(), "mark_step" | "optimizer_step"),
            _ => false,
        };
        (ends || is_handed_on)
            && (reach.is_repeated(program, place)
                || path.ends_with("Loader") && reach.is_live(place))
    })
}
