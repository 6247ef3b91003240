//! Which functions are reached from the module, and which of them in a loop.
//!
//! A function is reached where its name is mentioned in what is reached: called, handed on, or kept. A method is reached
//! with its attribute, a class's own methods and `forward` with the class. That is more than what Python would run, so
//! nothing that runs is taken for dead.

use std::collections::HashMap;

use ruff_python_ast::{Expr, ExprContext, StmtClassDef};

use crate::program::{OUTSIDE, Place, Program};
use crate::scope::Bound;

/// Methods besides `__…__` that torch calls itself.
const CALLED_BY_TORCH: [&str; 4] = ["forward", "backward", "setup_context", "step"];

/// Functions of one name that are looked at.
const MOST_BINDINGS: usize = 64;

/// What is reached.
#[derive(Debug)]
pub(crate) struct Reach {
    bodies: Vec<How>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct How {
    is_reached: bool,
    is_repeated: bool,
}

impl Reach {
    pub(crate) fn of(program: &Program<'_>) -> Self {
        let mut search = Search {
            program,
            mentions: mentions(program),
            methods: methods(program),
            bodies: vec![How::default(); program.bodies.len()],
            todo: Vec::new(),
        };
        search.mark(
            OUTSIDE,
            How {
                is_reached: true,
                is_repeated: false,
            },
        );
        while let Some(body) = search.todo.pop() {
            search.follow(body);
        }
        Self {
            bodies: search.bodies,
        }
    }

    /// Whether anything comes to this place.
    pub(crate) fn is_live(&self, place: Place) -> bool {
        !place.is_dead && self.bodies[place.body].is_reached
    }

    /// Whether it comes more than once.
    pub(crate) fn is_repeated(&self, program: &Program<'_>, place: Place) -> bool {
        self.is_live(place) && (self.bodies[place.body].is_repeated || is_in_loop(program, place))
    }
}

fn is_in_loop(program: &Program<'_>, place: Place) -> bool {
    let mut at = place.innermost;
    while let Some(innermost) = at {
        if program.repeats(innermost) {
            return true;
        }
        at = program.loops[innermost].place.innermost;
    }
    false
}

/// The expressions of each body that may name a function.
fn mentions(program: &Program<'_>) -> Vec<Vec<usize>> {
    let mut mentions = vec![Vec::new(); program.bodies.len()];
    for (index, at) in program.exprs.iter().enumerate() {
        let is_name = match at.node {
            Expr::Name(it) => it.ctx == ExprContext::Load,
            Expr::Attribute(it) => it.ctx == ExprContext::Load,
            _ => false,
        };
        if is_name && !at.place.is_dead && !at.place.is_annotation {
            mentions[at.place.body].push(index);
        }
    }
    mentions
}

/// Methods by their name.
fn methods<'a>(program: &Program<'a>) -> HashMap<&'a str, Vec<usize>> {
    let mut methods: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, body) in program.bodies.iter().enumerate() {
        if let (Some(function), Some(_)) = (body.function, body.class) {
            methods
                .entry(function.name.as_str())
                .or_default()
                .push(index);
        }
    }
    methods
}

struct Search<'p, 'a> {
    program: &'p Program<'a>,
    mentions: Vec<Vec<usize>>,
    methods: HashMap<&'a str, Vec<usize>>,
    bodies: Vec<How>,
    todo: Vec<usize>,
}

impl Search<'_, '_> {
    fn mark(&mut self, body: usize, how: How) {
        let known = self.bodies[body];
        let now = How {
            is_reached: true,
            is_repeated: known.is_repeated || how.is_repeated,
        };
        if now != known {
            self.bodies[body] = now;
            self.todo.push(body);
        }
    }

    fn follow(&mut self, body: usize) {
        let program = self.program;
        for index in std::mem::take(&mut self.mentions[body]) {
            let at = &program.exprs[index];
            let how = How {
                is_reached: true,
                is_repeated: self.bodies[body].is_repeated || is_in_loop(program, at.place),
            };
            match at.node {
                Expr::Name(it) => {
                    let bound = program.scopes.lookup(it.id.as_str(), at.place.scope);
                    for bound in bound.into_iter().flatten().take(MOST_BINDINGS) {
                        match bound {
                            Bound::Function(it) => self.mark(program.body_of(it), how),
                            Bound::Class(it) => self.mark_class(it, how),
                            _ => {}
                        }
                    }
                }
                Expr::Attribute(it) => {
                    let named = self.methods.get(it.attr.as_str()).cloned();
                    for method in named.into_iter().flatten() {
                        self.mark(method, how);
                    }
                }
                _ => {}
            }
            self.mentions[body].push(index);
        }
    }

    fn mark_class(&mut self, class: &StmtClassDef, how: How) {
        for body in 0..self.program.bodies.len() {
            let it = &self.program.bodies[body];
            let is_its = it.class.is_some_and(|of| of.range == class.range);
            let Some(function) = it.function.filter(|_| is_its) else {
                continue;
            };
            let name = function.name.as_str();
            if name.starts_with("__") || CALLED_BY_TORCH.contains(&name) {
                self.mark(body, how);
            }
        }
    }
}
