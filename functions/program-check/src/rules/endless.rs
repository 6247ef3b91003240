//! Loops that nothing ends, and those whose end nobody waits for.

use std::collections::BTreeSet;

use ruff_python_ast::{
    Expr, ExprContext, Stmt, helpers,
    statement_visitor::{StatementVisitor, walk_stmt},
};

use crate::finding::{Finding, Rule};
use crate::program::{EXITS, Place, Program, changes};
use crate::reach::Reach;

/// Rounds of a loop that no program has the time for.
const MOST_ROUNDS: i64 = 100_000_000;
/// Iterables without an end.
const WITHOUT_END: [&str; 3] = ["itertools.count", "itertools.cycle", "itertools.repeat"];

pub(crate) fn look(program: &Program<'_>, reach: &Reach) -> Vec<Finding> {
    let live = program.stmts.iter().filter(|at| reach.is_live(at.place));
    let found = live.filter_map(|at| {
        let message = match at.node {
            Stmt::While(it) => without_end(program, &it.test, at.place, &it.body)?,
            Stmt::For(it) => {
                let rounds = program.length(&it.iter, at.place.scope);
                if rounds.is_some_and(|rounds| rounds > MOST_ROUNDS) {
                    "this loop has more rounds than a program has time for"
                } else if is_endless(program, &it.iter, at.place)
                    && !leaves(program, &it.body, at.place)
                {
                    "this loop goes through what has no end: leave it with `break`"
                } else {
                    return None;
                }
            }
            _ => return None,
        };
        Some(program.finding(Rule::Endless, at.node, message))
    });
    found.collect()
}

fn without_end(
    program: &Program<'_>,
    test: &Expr,
    place: Place,
    body: &[Stmt],
) -> Option<&'static str> {
    if leaves(program, body, place) {
        return None;
    }
    if let Some(constant) = program.constant(test, place.scope) {
        let is_true = constant.is_true();
        return is_true.then_some("this loop has no end: give it a condition or a `break`");
    }
    let names = names_alone(test)?;
    let is_shared = |name: &&str| {
        // Another function may change it.
        program.stmts.iter().any(|at| match at.node {
            Stmt::Global(it) => it.names.iter().any(|of| of.as_str() == *name),
            Stmt::Nonlocal(it) => it.names.iter().any(|of| of.as_str() == *name),
            _ => false,
        })
    };
    if names.iter().any(is_shared) || changes(&names, body) {
        return None;
    }
    Some("nothing in this loop changes what its condition asks for")
}

/// The names of a condition that has nothing else but constants; anything else may change by itself.
fn names_alone(test: &Expr) -> Option<Vec<&str>> {
    let may_change = helpers::any_over_expr(test, |it| {
        matches!(
            it,
            Expr::Call(_)
                | Expr::Attribute(_)
                | Expr::Subscript(_)
                | Expr::Named(_)
                | Expr::Await(_)
                | Expr::Yield(_)
        )
    });
    if may_change {
        return None;
    }
    let mut names = BTreeSet::new();
    collect(test, &mut names);
    Some(names.into_iter().collect())
}

fn collect<'a>(test: &'a Expr, names: &mut BTreeSet<&'a str>) {
    match test {
        Expr::Name(it) if it.ctx == ExprContext::Load => {
            names.insert(it.id.as_str());
        }
        Expr::BoolOp(it) => it.values.iter().for_each(|it| collect(it, names)),
        Expr::BinOp(it) => {
            collect(&it.left, names);
            collect(&it.right, names);
        }
        Expr::UnaryOp(it) => collect(&it.operand, names),
        Expr::Compare(it) => {
            collect(&it.left, names);
            it.comparators.iter().for_each(|it| collect(it, names));
        }
        _ => {}
    }
}

fn is_endless(program: &Program<'_>, iter: &Expr, place: Place) -> bool {
    let Expr::Call(call) = iter else { return false };
    let path = program.called(call, place);
    let n_arguments = call.arguments.args.len();
    if let Some(path) = path {
        let is_bounded = path == "itertools.repeat" && n_arguments > 1;
        if WITHOUT_END.contains(&path.as_str()) && !is_bounded {
            return true;
        }
        // `enumerate(count())`.
        if path == "enumerate" {
            let first = call.arguments.args.first();
            return first.is_some_and(|first| is_endless(program, first, place));
        }
    }
    // A generator of the program that never ends.
    let Expr::Name(name) = &*call.func else {
        return false;
    };
    let bound = program.scopes.lookup(name.id.as_str(), place.scope);
    bound.into_iter().flatten().any(|it| match it {
        crate::scope::Bound::Function(function) => function.body.iter().any(|stmt| match stmt {
            Stmt::While(it) => {
                let is_true = matches!(&*it.test, Expr::BooleanLiteral(it) if it.value);
                is_true && !leaves_by(program, &it.body, place, false)
            }
            _ => false,
        }),
        _ => false,
    })
}

/// Whether anything in a loop's body leaves the loop.
fn leaves(program: &Program<'_>, body: &[Stmt], place: Place) -> bool {
    leaves_by(program, body, place, true)
}

/// A generator gives what it has and waits: with `yields` that is leaving, too.
fn leaves_by(program: &Program<'_>, body: &[Stmt], place: Place, yields: bool) -> bool {
    let mut search = Exits {
        program,
        place,
        yields,
        n_loops: 0,
        found: false,
    };
    search.visit_body(body);
    search.found
}

struct Exits<'p, 'a> {
    program: &'p Program<'a>,
    place: Place,
    yields: bool,
    n_loops: usize,
    found: bool,
}

impl<'n> StatementVisitor<'n> for Exits<'_, '_> {
    fn visit_stmt(&mut self, stmt: &'n Stmt) {
        match stmt {
            Stmt::Return(_) | Stmt::Raise(_) => self.found = true,
            Stmt::Break(_) => self.found |= self.n_loops == 0,
            Stmt::FunctionDef(_) | Stmt::ClassDef(_) => {}
            Stmt::For(_) | Stmt::While(_) => {
                self.n_loops += 1;
                walk_stmt(self, stmt);
                self.n_loops -= 1;
            }
            Stmt::Expr(it) => {
                self.found |= self.yields && has_yield(&it.value);
                if let Expr::Call(call) = &*it.value {
                    let path = self.program.called(call, self.place);
                    self.found |= path.is_some_and(|path| EXITS.contains(&path.as_str()));
                }
            }
            Stmt::Assign(it) => {
                self.found |= self.yields && has_yield(&it.value);
            }
            _ => walk_stmt(self, stmt),
        }
    }
}

fn has_yield(expr: &Expr) -> bool {
    helpers::any_over_expr(expr, |it| matches!(it, Expr::Yield(_) | Expr::YieldFrom(_)))
}
