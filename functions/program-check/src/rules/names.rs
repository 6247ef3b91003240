//! Names that nothing binds: the program would stop there.

use std::collections::HashSet;

use annapurna_contract::text::one_line;
use ruff_python_ast::{Expr, ExprContext};

use crate::builtins;
use crate::finding::{Finding, Rule};
use crate::program::{OUTSIDE, Program};
use crate::scope::Bound;

pub(crate) fn look(program: &Program<'_>) -> Vec<Finding> {
    let stars = program.scopes.stars.iter();
    let mut found: Vec<Finding> = stars
        .map(|range| {
            let message = "`import *` hides which names there are: import each by its name";
            program.finding(Rule::Names, range, message)
        })
        .collect();
    if !found.is_empty() {
        return found;
    }
    let are_later = program
        .scopes
        .lookup("annotations", OUTSIDE)
        .into_iter()
        .flatten()
        .any(|it| matches!(it, Bound::Import(path) if path == "__future__.annotations"));
    let mut told = HashSet::new();
    for at in &program.exprs {
        let Expr::Name(name) = at.node else { continue };
        // Python evaluates the types of parameters, and those of a module's and a class's names.
        let is_evaluated = !at.place.is_annotation || (at.place.body == OUTSIDE && !are_later);
        let is_read = name.ctx == ExprContext::Load && is_evaluated;
        let id = name.id.as_str();
        if is_read
            && !builtins::has(id)
            && program.scopes.lookup(id, at.place.scope).is_none()
            && !is_of_class(id, program, at.place.scope)
            && told.insert(id)
        {
            let message = format!("nothing defines the name `{}`", one_line(id, 80));
            found.push(program.finding(Rule::Names, name, message));
        }
    }
    found
}

/// Names that a class's body has.
fn is_of_class(id: &str, program: &Program<'_>, scope: usize) -> bool {
    match id {
        "__class__" => true,
        "__module__" | "__qualname__" => program.scopes.get(scope).is_class(),
        _ => false,
    }
}
