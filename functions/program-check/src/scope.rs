//! Which names a program binds, and where: Python's scopes, before any rule looks at a name.
//!
//! A scope is a module, class, function, lambda or comprehension. Other walks go through a program in the same order by
//! [`walk_stmt`] and [`walk_expr`], which tell them where a scope opens and closes.

use std::collections::{HashMap, HashSet};

use ruff_python_ast::{
    Comprehension, ExceptHandler, Expr, ExprContext, ExprLambda, Parameters, Pattern, Stmt,
    StmtClassDef, StmtFunctionDef,
    visitor::{self, Visitor},
};
use ruff_text_size::{Ranged, TextRange};

/// The module's own scope.
pub(crate) const MODULE: usize = 0;

/// What opens a scope.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Opener<'a> {
    Function(&'a StmtFunctionDef),
    Class(&'a StmtClassDef),
    Lambda(&'a ExprLambda),
    Comprehension {
        range: TextRange,
        /// What the outermost `for` goes through.
        first: Option<&'a Expr>,
        is_async: bool,
        is_generator: bool,
    },
}

impl Opener<'_> {
    pub(crate) fn range(&self) -> TextRange {
        match self {
            Self::Function(it) => it.range(),
            Self::Class(it) => it.range(),
            Self::Lambda(it) => it.range(),
            Self::Comprehension { range, .. } => *range,
        }
    }
}

/// A walk that is told of scopes.
pub(crate) trait Scoped<'a>: Visitor<'a> {
    /// Until [`Scoped::close`], what is visited is inside.
    fn open(&mut self, opener: Opener<'a>);
    fn close(&mut self);
}

/// Visits what is below a statement, each part in the scope that Python evaluates it in.
pub(crate) fn walk_stmt<'a, V: Scoped<'a>>(walk: &mut V, stmt: &'a Stmt) {
    match stmt {
        Stmt::FunctionDef(it) => {
            it.decorator_list
                .iter()
                .for_each(|each| walk.visit_decorator(each));
            if let Some(parameters) = &it.type_params {
                walk.visit_type_params(parameters);
            }
            walk.visit_parameters(&it.parameters);
            if let Some(returns) = &it.returns {
                walk.visit_annotation(returns);
            }
            walk.open(Opener::Function(it));
            walk.visit_body(&it.body);
            walk.close();
        }
        Stmt::ClassDef(it) => {
            it.decorator_list
                .iter()
                .for_each(|each| walk.visit_decorator(each));
            if let Some(parameters) = &it.type_params {
                walk.visit_type_params(parameters);
            }
            if let Some(arguments) = &it.arguments {
                walk.visit_arguments(arguments);
            }
            walk.open(Opener::Class(it));
            walk.visit_body(&it.body);
            walk.close();
        }
        _ => visitor::walk_stmt(walk, stmt),
    }
}

/// Visits what is below an expression, each part in the scope that Python evaluates it in.
pub(crate) fn walk_expr<'a, V: Scoped<'a>>(walk: &mut V, expr: &'a Expr) {
    match expr {
        Expr::Lambda(it) => {
            if let Some(parameters) = &it.parameters {
                walk.visit_parameters(parameters);
            }
            walk.open(Opener::Lambda(it));
            walk.visit_expr(&it.body);
            walk.close();
        }
        Expr::ListComp(it) => comprehension(walk, expr, &it.generators, &[&it.elt]),
        Expr::SetComp(it) => comprehension(walk, expr, &it.generators, &[&it.elt]),
        Expr::Generator(it) => comprehension(walk, expr, &it.generators, &[&it.elt]),
        Expr::DictComp(it) => match &it.key {
            Some(key) => comprehension(walk, expr, &it.generators, &[key, &it.value]),
            None => comprehension(walk, expr, &it.generators, &[&it.value]),
        },
        _ => visitor::walk_expr(walk, expr),
    }
}

/// The first iterable is evaluated outside, all else inside.
fn comprehension<'a, V: Scoped<'a>>(
    walk: &mut V,
    expr: &'a Expr,
    generators: &'a [Comprehension],
    elements: &[&'a Expr],
) {
    if let Some(first) = generators.first() {
        walk.visit_expr(&first.iter);
    }
    walk.open(Opener::Comprehension {
        range: expr.range(),
        first: generators.first().map(|it| &it.iter),
        is_async: generators.iter().any(|it| it.is_async),
        is_generator: expr.is_generator_expr(),
    });
    for (index, each) in generators.iter().enumerate() {
        if index > 0 {
            walk.visit_expr(&each.iter);
        }
        walk.visit_expr(&each.target);
        each.ifs.iter().for_each(|it| walk.visit_expr(it));
    }
    elements.iter().for_each(|it| walk.visit_expr(it));
    walk.close();
}

/// What a name is bound to at one place.
#[derive(Debug, Clone)]
pub(crate) enum Bound<'a> {
    /// A module, or what is in one, by its dotted path.
    Import(String),
    Function(&'a StmtFunctionDef),
    Class(&'a StmtClassDef),
    /// `name = value`.
    Value(&'a Expr),
    Parameter,
    /// By a loop, a `with`, a part of a tuple and so on.
    Other,
}

/// The names of one scope.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    /// `None`: the module.
    pub(crate) opener: Option<Opener<'a>>,
    pub(crate) parent: usize,
    pub(crate) names: HashMap<&'a str, Vec<Bound<'a>>>,
    /// Names declared `global` here, with the declaration.
    pub(crate) globals: HashMap<&'a str, TextRange>,
    /// Names declared `nonlocal` here, with the declaration.
    pub(crate) nonlocals: HashMap<&'a str, TextRange>,
}

impl<'a> Scope<'a> {
    fn new(opener: Option<Opener<'a>>, parent: usize) -> Self {
        Self {
            opener,
            parent,
            names: HashMap::new(),
            globals: HashMap::new(),
            nonlocals: HashMap::new(),
        }
    }

    pub(crate) fn is_class(&self) -> bool {
        matches!(self.opener, Some(Opener::Class(_)))
    }

    pub(crate) fn is_function(&self) -> bool {
        matches!(self.opener, Some(Opener::Function(_) | Opener::Lambda(_)))
    }

    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        let bound = self.names.get(name).into_iter().flatten();
        bound.into_iter().any(|it| matches!(it, Bound::Parameter))
    }
}

/// All scopes of a program.
#[derive(Debug)]
pub(crate) struct Scopes<'a> {
    all: Vec<Scope<'a>>,
    by_range: HashMap<TextRange, usize>,
    /// `from … import *`, which may bind anything.
    pub(crate) stars: Vec<TextRange>,
}

impl<'a> Scopes<'a> {
    /// Those of a module.
    pub(crate) fn of(body: &'a [Stmt]) -> Self {
        let scopes = Self {
            all: vec![Scope::new(None, MODULE)],
            by_range: HashMap::new(),
            stars: Vec::new(),
        };
        let mut collector = Collector {
            scopes,
            current: MODULE,
        };
        collector.visit_body(body);
        collector.scopes
    }

    pub(crate) fn get(&self, scope: usize) -> &Scope<'a> {
        &self.all[scope]
    }

    /// The scope that a node opens.
    pub(crate) fn opened_by(&self, opener: &Opener<'_>) -> usize {
        let known = self.by_range.get(&opener.range());
        known.copied().unwrap_or(MODULE)
    }

    /// What a name means where it is read; `None`: nothing in the program binds it.
    pub(crate) fn lookup(&self, name: &str, scope: usize) -> Option<&[Bound<'a>]> {
        let mut at = scope;
        loop {
            let here = &self.all[at];
            if here.globals.contains_key(name) {
                return self.all[MODULE].names.get(name).map(Vec::as_slice);
            }
            let is_seen = at == scope || !here.is_class();
            if is_seen && let Some(bound) = here.names.get(name) {
                return Some(bound);
            }
            if at == MODULE {
                return None;
            }
            at = here.parent;
        }
    }

    /// Whether a function around this scope binds the name.
    pub(crate) fn is_bound_around(&self, name: &str, scope: usize) -> bool {
        let mut at = self.all[scope].parent;
        while at != MODULE {
            let here = &self.all[at];
            if !here.is_class() && here.names.contains_key(name) && !here.globals.contains_key(name)
            {
                return true;
            }
            at = here.parent;
        }
        false
    }

    /// All that the program defines by `def`, wherever it is.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &'a StmtFunctionDef> {
        self.all.iter().filter_map(|scope| match scope.opener {
            Some(Opener::Function(it)) => Some(it),
            _ => None,
        })
    }
}

/// Fills the scopes.
struct Collector<'a> {
    scopes: Scopes<'a>,
    current: usize,
}

impl<'a> Collector<'a> {
    fn bind(&mut self, name: &'a str, bound: Bound<'a>) {
        let scope = &mut self.scopes.all[self.current];
        // What is `global` or `nonlocal` here is bound in the scope it belongs to.
        let owner = if scope.globals.contains_key(name) {
            MODULE
        } else if scope.nonlocals.contains_key(name) {
            return;
        } else {
            self.current
        };
        let names = &mut self.scopes.all[owner].names;
        names.entry(name).or_default().push(bound);
    }

    /// `:=` binds in the function around a comprehension.
    fn bind_outside_comprehensions(&mut self, name: &'a str, bound: Bound<'a>) {
        let inside = self.current;
        while matches!(
            self.scopes.all[self.current].opener,
            Some(Opener::Comprehension { .. })
        ) {
            self.current = self.scopes.all[self.current].parent;
        }
        self.bind(name, bound);
        self.current = inside;
    }

    fn bind_parameters(&mut self, parameters: &'a Parameters) {
        for parameter in parameters {
            self.bind(parameter.name().as_str(), Bound::Parameter);
        }
    }

    fn import(&mut self, stmt: &'a Stmt) {
        if let Stmt::Import(it) = stmt {
            for alias in &it.names {
                let path = alias.name.as_str();
                match &alias.asname {
                    Some(name) => self.bind(name.as_str(), Bound::Import(path.to_owned())),
                    None => {
                        let first = path.split('.').next().unwrap_or(path);
                        self.bind(first, Bound::Import(first.to_owned()));
                    }
                }
            }
        }
        if let Stmt::ImportFrom(it) = stmt {
            let module = it.module.as_ref().map_or("", |module| module.as_str());
            let dots = ".".repeat(it.level as usize);
            for alias in &it.names {
                if alias.name.as_str() == "*" {
                    self.scopes.stars.push(it.range());
                    continue;
                }
                let name = alias.asname.as_ref().unwrap_or(&alias.name);
                let path = format!("{dots}{module}.{}", alias.name);
                self.bind(name.as_str(), Bound::Import(path));
            }
        }
    }
}

impl<'a> Scoped<'a> for Collector<'a> {
    fn open(&mut self, opener: Opener<'a>) {
        let scope = Scope::new(Some(opener), self.current);
        self.scopes.all.push(scope);
        self.current = self.scopes.all.len() - 1;
        self.scopes.by_range.insert(opener.range(), self.current);
        match opener {
            Opener::Function(it) => self.bind_parameters(&it.parameters),
            Opener::Lambda(it) => {
                if let Some(parameters) = &it.parameters {
                    self.bind_parameters(parameters);
                }
            }
            Opener::Class(_) | Opener::Comprehension { .. } => {}
        }
    }

    fn close(&mut self) {
        self.current = self.scopes.all[self.current].parent;
    }
}

impl<'a> Visitor<'a> for Collector<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(it) => self.bind(it.name.as_str(), Bound::Function(it)),
            Stmt::ClassDef(it) => self.bind(it.name.as_str(), Bound::Class(it)),
            Stmt::Import(_) | Stmt::ImportFrom(_) => self.import(stmt),
            Stmt::Global(it) => {
                let scope = &mut self.scopes.all[self.current];
                let names = it.names.iter().map(|name| (name.as_str(), it.range()));
                scope.globals.extend(names);
            }
            Stmt::Nonlocal(it) => {
                let scope = &mut self.scopes.all[self.current];
                let names = it.names.iter().map(|name| (name.as_str(), it.range()));
                scope.nonlocals.extend(names);
            }
            Stmt::Assign(it) => {
                for target in &it.targets {
                    if let Expr::Name(name) = target {
                        self.bind(name.id.as_str(), Bound::Value(&it.value));
                    } else {
                        self.visit_expr(target);
                    }
                }
                return self.visit_expr(&it.value);
            }
            Stmt::AnnAssign(it) => {
                if let (Expr::Name(name), Some(value)) = (&*it.target, &it.value) {
                    self.bind(name.id.as_str(), Bound::Value(value));
                    self.visit_expr(&it.annotation);
                    return self.visit_expr(value);
                }
            }
            _ => {}
        }
        walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(name) if name.ctx != ExprContext::Load => {
                self.bind(name.id.as_str(), Bound::Other);
            }
            Expr::Named(it) => {
                if let Expr::Name(name) = &*it.target {
                    self.bind_outside_comprehensions(name.id.as_str(), Bound::Other);
                }
                return self.visit_expr(&it.value);
            }
            _ => {}
        }
        walk_expr(self, expr);
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(it) = handler;
        if let Some(name) = &it.name {
            self.bind(name.as_str(), Bound::Other);
        }
        visitor::walk_except_handler(self, handler);
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        let name = match pattern {
            Pattern::MatchAs(it) => it.name.as_ref(),
            Pattern::MatchStar(it) => it.name.as_ref(),
            Pattern::MatchMapping(it) => it.rest.as_ref(),
            _ => None,
        };
        if let Some(name) = name {
            self.bind(name.as_str(), Bound::Other);
        }
        visitor::walk_pattern(self, pattern);
    }

    fn visit_type_param(&mut self, parameter: &'a ruff_python_ast::TypeParam) {
        self.bind(parameter.name().as_str(), Bound::Other);
        visitor::walk_type_param(self, parameter);
    }
}

/// Every name that a statement or those below it bind, without what they define inside functions.
pub(crate) fn bound_in(body: &[Stmt]) -> HashSet<&str> {
    struct Names<'a>(HashSet<&'a str>);
    impl<'a> Visitor<'a> for Names<'a> {
        fn visit_expr(&mut self, expr: &'a Expr) {
            if let Expr::Name(name) = expr
                && name.ctx != ExprContext::Load
            {
                self.0.insert(name.id.as_str());
            }
            visitor::walk_expr(self, expr);
        }
    }
    let mut names = Names(HashSet::new());
    names.visit_body(body);
    names.0
}
