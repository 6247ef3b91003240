//! A program as the rules look at it: every expression and statement with what surrounds it.

use std::collections::HashMap;

use ruff_python_ast::{
    ElifElseClause, ExceptHandler, Expr, ExprCall, Stmt, StmtClassDef, StmtFunctionDef, StmtIf,
    StmtTry,
    visitor::{self, Visitor},
};
use ruff_source_file::LineIndex;
use ruff_text_size::{Ranged, TextRange};

use crate::constant::{self, Constant};
use crate::finding::{Finding, Rule};
use crate::scope::{Bound, MODULE, Opener, Scoped, Scopes, bound_in, walk_expr, walk_stmt};

/// Attributes of attributes that a name is followed through, and values of values.
const MOST_STEPS: usize = 12;

/// Bindings of one name that are looked at: what a name is does not take more.
const MOST_BINDINGS: usize = 32;

/// What surrounds a node.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) scope: usize,
    /// The function it is in, as a place in [`Program::bodies`]; 0: none.
    pub(crate) body: usize,
    /// The innermost loop of that function, as a place in [`Program::loops`].
    pub(crate) innermost: Option<usize>,
    /// Nothing ever comes here.
    pub(crate) is_dead: bool,
    /// Under an `if` that asks for a remainder, so not in every step.
    pub(crate) is_rare: bool,
    /// Where an `ImportError` is caught.
    pub(crate) may_miss: bool,
    /// What says a type.
    pub(crate) is_annotation: bool,
}

/// A node and its place.
#[derive(Debug)]
pub(crate) struct At<'a, N> {
    pub(crate) node: &'a N,
    pub(crate) place: Place,
}

/// A function, or the module outside of functions.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    pub(crate) function: Option<&'a StmtFunctionDef>,
    /// The class whose method it is.
    pub(crate) class: Option<&'a StmtClassDef>,
}

/// A `for`, a `while`, or a comprehension.
#[derive(Debug)]
pub(crate) struct Loop<'a> {
    /// What it goes through; `None`: a `while`.
    pub(crate) iter: Option<&'a Expr>,
    pub(crate) place: Place,
}

/// All of a program.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    lines: LineIndex,
    pub(crate) scopes: Scopes<'a>,
    pub(crate) exprs: Vec<At<'a, Expr>>,
    pub(crate) stmts: Vec<At<'a, Stmt>>,
    pub(crate) bodies: Vec<Body<'a>>,
    pub(crate) loops: Vec<Loop<'a>>,
    by_function: HashMap<TextRange, usize>,
}

impl<'a> Program<'a> {
    pub(crate) fn of(code: &'a str, body: &'a [Stmt], scopes: Scopes<'a>) -> Self {
        let module = Body {
            function: None,
            class: None,
        };
        let program = Self {
            lines: LineIndex::from_source_text(code),
            scopes,
            exprs: Vec::new(),
            stmts: Vec::new(),
            bodies: vec![module],
            loops: Vec::new(),
            by_function: HashMap::new(),
        };
        let mut walk = Walk {
            program,
            place: Place::default(),
            outer: Vec::new(),
            class: None,
        };
        walk.visit_body(body);
        walk.program
    }

    /// A finding about a place of the program.
    pub(crate) fn finding(
        &self,
        rule: Rule,
        at: &impl Ranged,
        message: impl Into<String>,
    ) -> Finding {
        Finding {
            rule,
            line: u32::try_from(self.lines.line_index(at.start()).get()).ok(),
            message: message.into(),
        }
    }

    /// Calls, each with its place.
    pub(crate) fn calls(&self) -> impl Iterator<Item = (&'a ExprCall, Place)> {
        self.exprs.iter().filter_map(|at| match at.node {
            Expr::Call(call) => Some((call, at.place)),
            _ => None,
        })
    }

    /// The dotted path of what an expression names, through imports and other names: `torch.nn.Linear`. A name that
    /// nothing binds is Python's own and its path.
    pub(crate) fn path(&self, expr: &Expr, scope: usize) -> Option<String> {
        let mut attributes = Vec::new();
        let mut at = expr;
        for _ in 0..MOST_STEPS {
            match at {
                Expr::Attribute(it) => {
                    attributes.push(it.attr.as_str());
                    at = &it.value;
                }
                // `getattr(os, "system")` is `os.system`.
                Expr::Call(call) if is_named(&call.func, "getattr") => {
                    let [of, Expr::StringLiteral(name)] = &*call.arguments.args else {
                        return None;
                    };
                    attributes.push(name.value.to_str());
                    at = of;
                }
                Expr::Name(name) => {
                    let Some(bound) = self.scopes.lookup(name.id.as_str(), scope) else {
                        return Some(joined(name.id.as_str(), &attributes));
                    };
                    if let Some(path) = bound.iter().take(MOST_BINDINGS).find_map(imported) {
                        return Some(joined(path, &attributes));
                    }
                    let [Bound::Value(value)] = bound else {
                        return None;
                    };
                    at = value;
                }
                _ => return None,
            }
        }
        None
    }

    /// The path of what is called.
    pub(crate) fn called(&self, call: &ExprCall, place: Place) -> Option<String> {
        self.path(&call.func, place.scope)
    }

    pub(crate) fn constant(&self, expr: &Expr, scope: usize) -> Option<Constant> {
        constant::of(expr, scope, &self.scopes)
    }

    /// The body of a function that the program defines.
    pub(crate) fn body_of(&self, function: &StmtFunctionDef) -> usize {
        let known = self.by_function.get(&function.range());
        known.copied().unwrap_or(0)
    }

    /// Whether a loop goes round more than once, as far as can be seen.
    pub(crate) fn repeats(&self, innermost: usize) -> bool {
        self.rounds(innermost).is_none_or(|rounds| rounds > 1)
    }

    /// How often a loop goes round, where that stands in the program.
    pub(crate) fn rounds(&self, innermost: usize) -> Option<i64> {
        let it = &self.loops[innermost];
        self.length(it.iter?, it.place.scope)
    }

    /// How many values an iterable gives, where it says so itself.
    pub(crate) fn length(&self, iter: &Expr, scope: usize) -> Option<i64> {
        constant::length(iter, scope, &self.scopes)
    }
}

fn imported<'p>(bound: &'p Bound<'_>) -> Option<&'p str> {
    match bound {
        Bound::Import(path) => Some(path),
        _ => None,
    }
}

fn joined(first: &str, attributes: &[&str]) -> String {
    let mut path = first.to_owned();
    for attribute in attributes.iter().rev() {
        path.push('.');
        path.push_str(attribute);
    }
    path
}

/// Whether an expression is this bare name.
pub(crate) fn is_named(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::Name(it) if it.id.as_str() == name)
}

struct Walk<'a> {
    program: Program<'a>,
    place: Place,
    outer: Vec<(Place, Option<&'a StmtClassDef>)>,
    /// The class whose body is visited.
    class: Option<&'a StmtClassDef>,
}

impl<'a> Walk<'a> {
    fn inside(&mut self, place: Place, visit: impl FnOnce(&mut Self)) {
        let outside = std::mem::replace(&mut self.place, place);
        visit(self);
        self.place = outside;
    }

    fn visit_dead_if(&mut self, is_dead: bool, body: &'a [Stmt]) {
        let is_dead = is_dead || self.place.is_dead;
        self.inside(
            Place {
                is_dead,
                ..self.place
            },
            |it| it.visit_body(body),
        );
    }

    fn new_loop(&mut self, iter: Option<&'a Expr>) -> Place {
        self.program.loops.push(Loop {
            iter,
            place: self.place,
        });
        Place {
            innermost: Some(self.program.loops.len() - 1),
            is_rare: false,
            ..self.place
        }
    }

    fn visit_if(&mut self, stmt: &'a StmtIf) {
        self.visit_expr(&stmt.test);
        let truth = self.truth(&stmt.test);
        let is_rare = asks_for_remainder(&stmt.test) || self.place.is_rare;
        let place = Place {
            is_rare,
            ..self.place
        };
        self.inside(place, |it| {
            it.visit_dead_if(truth == Some(false), &stmt.body)
        });
        for clause in &stmt.elif_else_clauses {
            let ElifElseClause { test, body, .. } = clause;
            test.iter().for_each(|test| self.visit_expr(test));
            self.visit_dead_if(truth == Some(true), body);
        }
    }

    fn truth(&self, test: &Expr) -> Option<bool> {
        let constant = self.program.constant(test, self.place.scope)?;
        Some(constant.is_true())
    }

    fn visit_try(&mut self, stmt: &'a StmtTry) {
        let may_miss = stmt.handlers.iter().any(catches_a_missing_module);
        let place = Place {
            may_miss: may_miss || self.place.may_miss,
            ..self.place
        };
        self.inside(place, |it| it.visit_body(&stmt.body));
        for handler in &stmt.handlers {
            self.visit_except_handler(handler);
        }
        self.visit_body(&stmt.orelse);
        self.visit_body(&stmt.finalbody);
    }

    /// Whether what stands behind this statement is reached.
    fn ends(&self, stmt: &Stmt) -> bool {
        match stmt {
            Stmt::Return(_) | Stmt::Raise(_) | Stmt::Break(_) | Stmt::Continue(_) => true,
            Stmt::Expr(it) => match &*it.value {
                Expr::Call(call) => self
                    .program
                    .called(call, self.place)
                    .is_some_and(|path| EXITS.contains(&path.as_str())),
                _ => false,
            },
            _ => false,
        }
    }
}

/// What ends a program.
pub(crate) const EXITS: [&str; 4] = ["sys.exit", "exit", "quit", "os._exit"];

fn asks_for_remainder(test: &Expr) -> bool {
    ruff_python_ast::helpers::any_over_expr(
        test,
        |it| matches!(it, Expr::BinOp(it) if it.op == ruff_python_ast::Operator::Mod),
    )
}

fn catches_a_missing_module(handler: &ExceptHandler) -> bool {
    let ExceptHandler::ExceptHandler(it) = handler;
    let names = |expr: &Expr| {
        let of = [
            "ImportError",
            "ModuleNotFoundError",
            "Exception",
            "BaseException",
        ];
        of.iter().any(|name| is_named(expr, name))
    };
    match it.type_.as_deref() {
        None => true,
        Some(Expr::Tuple(several)) => several.elts.iter().any(names),
        Some(one) => names(one),
    }
}

impl<'a> Scoped<'a> for Walk<'a> {
    fn open(&mut self, opener: Opener<'a>) {
        self.outer.push((self.place, self.class));
        let scope = self.program.scopes.opened_by(&opener);
        match opener {
            Opener::Function(function) => {
                let class = self.class.take();
                self.program.bodies.push(Body {
                    function: Some(function),
                    class,
                });
                let body = self.program.bodies.len() - 1;
                self.program.by_function.insert(function.range(), body);
                self.place = Place {
                    scope,
                    body,
                    ..Place::default()
                };
                return;
            }
            Opener::Class(class) => self.class = Some(class),
            Opener::Comprehension { first, .. } => self.place = self.new_loop(first),
            Opener::Lambda(_) => {}
        }
        self.place.scope = scope;
    }

    fn close(&mut self) {
        if let Some((place, class)) = self.outer.pop() {
            self.place = place;
            self.class = class;
        }
    }
}

impl<'a> Visitor<'a> for Walk<'a> {
    fn visit_body(&mut self, body: &'a [Stmt]) {
        let is_dead = self.place.is_dead;
        for stmt in body {
            self.visit_stmt(stmt);
            self.place.is_dead |= self.ends(stmt);
        }
        self.place.is_dead = is_dead;
    }

    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        self.program.stmts.push(At {
            node: stmt,
            place: self.place,
        });
        match stmt {
            Stmt::If(it) => self.visit_if(it),
            Stmt::Try(it) => self.visit_try(it),
            Stmt::For(it) => {
                self.visit_expr(&it.iter);
                self.visit_expr(&it.target);
                let length = self.program.length(&it.iter, self.place.scope);
                let never = length.is_some_and(|n| n < 1);
                let place = self.new_loop(Some(&it.iter));
                self.inside(place, |walk| walk.visit_dead_if(never, &it.body));
                self.visit_body(&it.orelse);
            }
            Stmt::While(it) => {
                let never = self.truth(&it.test) == Some(false);
                let place = self.new_loop(None);
                self.inside(place, |walk| {
                    walk.visit_expr(&it.test);
                    walk.visit_dead_if(never, &it.body);
                });
                self.visit_body(&it.orelse);
            }
            _ => walk_stmt(self, stmt),
        }
    }

    fn visit_annotation(&mut self, expr: &'a Expr) {
        let place = Place {
            is_annotation: true,
            ..self.place
        };
        self.inside(place, |it| visitor::walk_annotation(it, expr));
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        self.program.exprs.push(At {
            node: expr,
            place: self.place,
        });
        walk_expr(self, expr);
    }
}

/// Whether anything that a loop's condition asks for changes in the loop.
pub(crate) fn changes(names: &[&str], body: &[Stmt]) -> bool {
    let bound = bound_in(body);
    names.iter().any(|name| bound.contains(name))
}

/// The module's own place.
pub(crate) const OUTSIDE: usize = MODULE;
