//! What CPython refuses to compile.
//!
//! Ruff's parser finds what its grammar refuses and what an older Python does not know; its semantic checker what
//! CPython's compiler refuses of a tree that could be parsed, given what surrounds each node. What both leave out, and
//! CPython's `symtable.c` and `compile.c` do not, is at the end.

use std::cell::RefCell;

use ruff_python_ast::{
    ExceptHandler, Expr, ExprContext, Keyword, PythonVersion, Stmt, StmtTry,
    visitor::{self, Visitor},
};
use ruff_python_parser::semantic_errors::{
    LazyImportContext, SemanticSyntaxChecker, SemanticSyntaxContext, SemanticSyntaxError,
};
use ruff_text_size::{Ranged, TextRange};

use crate::scope::{MODULE, Opener, Scoped, Scopes, walk_expr, walk_stmt};

/// Blocks within blocks, at most. Source: `CO_MAXBLOCKS` of CPython, one fewer from 3.12 on.
const MOST_BLOCKS: usize = 20;

/// A sentence and where it applies.
pub(crate) type Error = (TextRange, String);

/// Every error of a module that could be parsed.
pub(crate) fn semantic_errors(
    body: &[Stmt],
    code: &str,
    scopes: &Scopes<'_>,
    version: PythonVersion,
) -> Vec<Error> {
    let mut walk = Walk {
        checker: SemanticSyntaxChecker::new(),
        around: Around {
            found: RefCell::default(),
            version,
            code,
            scopes,
            stack: vec![MODULE],
            loops: vec![false],
            blocks: 0,
            future_annotations: has_future_annotations(body),
        },
    };
    walk.visit_body(body);
    walk.around.found.into_inner()
}

fn has_future_annotations(body: &[Stmt]) -> bool {
    body.iter().any(|stmt| match stmt {
        Stmt::ImportFrom(it) => {
            it.module.as_deref() == Some("__future__")
                && it
                    .names
                    .iter()
                    .any(|name| name.name.as_str() == "annotations")
        }
        _ => false,
    })
}

struct Walk<'a, 's> {
    checker: SemanticSyntaxChecker,
    around: Around<'a, 's>,
}

/// What surrounds the node that is looked at.
struct Around<'a, 's> {
    found: RefCell<Vec<Error>>,
    version: PythonVersion,
    code: &'a str,
    scopes: &'s Scopes<'a>,
    /// Open scopes, the innermost last.
    stack: Vec<usize>,
    /// For each of them, whether the node is in a loop of it.
    loops: Vec<bool>,
    blocks: usize,
    future_annotations: bool,
}

impl<'a> Around<'a, '_> {
    fn current(&self) -> usize {
        self.stack.last().copied().unwrap_or(MODULE)
    }

    /// Open scopes from the innermost on, without the module.
    fn openers(&self) -> impl Iterator<Item = Opener<'a>> {
        let inner = self.stack.iter().rev();
        inner.filter_map(|scope| self.scopes.get(*scope).opener)
    }

    fn report(&self, range: TextRange, message: impl Into<String>) {
        self.found.borrow_mut().push((range, message.into()));
    }

    fn set_loop(&mut self, is_loop: bool) -> bool {
        self.loops
            .last_mut()
            .is_some_and(|it| std::mem::replace(it, is_loop))
    }
}

impl SemanticSyntaxContext for Around<'_, '_> {
    fn future_annotations_or_stub(&self) -> bool {
        self.future_annotations
    }

    fn lazy_import_context(&self) -> Option<LazyImportContext> {
        None
    }

    fn python_version(&self) -> PythonVersion {
        self.version
    }

    fn source(&self) -> &str {
        self.code
    }

    fn global(&self, name: &str) -> Option<TextRange> {
        let scope = self.scopes.get(self.current());
        scope.globals.get(name).copied()
    }

    fn has_nonlocal_binding(&self, name: &str) -> bool {
        self.scopes.is_bound_around(name, self.current())
    }

    fn in_async_context(&self) -> bool {
        for opener in self.openers() {
            match opener {
                Opener::Class(_) | Opener::Lambda(_) => return false,
                Opener::Function(it) => return it.is_async,
                Opener::Comprehension { .. } => {}
            }
        }
        false
    }

    fn in_await_allowed_context(&self) -> bool {
        let mut openers = self.openers();
        let first = openers.find(|it| !matches!(it, Opener::Comprehension { .. }));
        matches!(first, Some(Opener::Function(_) | Opener::Lambda(_)))
    }

    fn in_yield_allowed_context(&self) -> bool {
        let first = self.openers().next();
        matches!(first, Some(Opener::Function(_) | Opener::Lambda(_)))
    }

    fn in_sync_comprehension(&self) -> bool {
        let mut openers = self
            .openers()
            .take_while(|it| matches!(it, Opener::Comprehension { .. }));
        openers.any(|it| {
            matches!(
                it,
                Opener::Comprehension {
                    is_async: false,
                    is_generator: false,
                    ..
                }
            )
        })
    }

    fn in_class_body_comprehension(&self) -> bool {
        let mut openers = self.openers();
        let first = openers.find(|it| !matches!(it, Opener::Comprehension { .. }));
        matches!(first, Some(Opener::Class(_)))
    }

    fn in_module_scope(&self) -> bool {
        self.current() == MODULE
    }

    fn in_function_scope(&self) -> bool {
        self.scopes.get(self.current()).is_function()
    }

    fn in_generator_context(&self) -> bool {
        self.openers().any(|it| {
            matches!(
                it,
                Opener::Comprehension {
                    is_generator: true,
                    ..
                }
            )
        })
    }

    fn in_notebook(&self) -> bool {
        false
    }

    fn report_semantic_error(&self, error: SemanticSyntaxError) {
        self.report(error.range, error.to_string());
    }

    fn in_loop_context(&self) -> bool {
        self.loops.last().copied().unwrap_or(false)
    }

    fn is_bound_parameter(&self, name: &str) -> bool {
        self.scopes.get(self.current()).has_parameter(name)
    }
}

impl<'a> Scoped<'a> for Walk<'a, '_> {
    fn open(&mut self, opener: Opener<'a>) {
        self.around
            .stack
            .push(self.around.scopes.opened_by(&opener));
        self.around.loops.push(false);
    }

    fn close(&mut self) {
        self.around.stack.pop();
        self.around.loops.pop();
    }
}

impl<'a> Walk<'a, '_> {
    /// The body of a loop is inside it, its condition and its `else` are not.
    fn visit_loop(&mut self, heads: &[&'a Expr], body: &'a [Stmt], orelse: &'a [Stmt]) {
        heads.iter().for_each(|head| self.visit_expr(head));
        let outside = self.around.set_loop(true);
        self.visit_body(body);
        self.around.set_loop(outside);
        self.visit_body(orelse);
    }

    fn visit_parts(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::For(it) => self.visit_loop(&[&it.iter, &it.target], &it.body, &it.orelse),
            Stmt::While(it) => self.visit_loop(&[&it.test], &it.body, &it.orelse),
            Stmt::Try(it) => self.visit_try(stmt, it),
            _ => walk_stmt(self, stmt),
        }
    }

    fn enter_blocks(&mut self, stmt: &Stmt, n_blocks: usize) {
        let before = self.around.blocks;
        self.around.blocks += n_blocks;
        if before <= MOST_BLOCKS && self.around.blocks > MOST_BLOCKS {
            self.around
                .report(stmt.range(), "too many statically nested blocks");
        }
    }

    /// A handler is two blocks, its exception's and its name's; a `finally` is one around all else.
    fn visit_try(&mut self, stmt: &'a Stmt, parts: &'a StmtTry) {
        let outside = self.around.blocks;
        let finally = usize::from(!parts.finalbody.is_empty());
        let part = |walk: &mut Self, n_blocks: usize, body: &'a [Stmt]| {
            walk.around.blocks = outside;
            walk.enter_blocks(stmt, n_blocks);
            walk.visit_body(body);
        };
        let handled = usize::from(!parts.handlers.is_empty());
        part(self, finally + handled, &parts.body);
        for handler in &parts.handlers {
            let ExceptHandler::ExceptHandler(it) = handler;
            it.type_.iter().for_each(|it| self.visit_expr(it));
            part(self, finally + 2, &it.body);
        }
        part(self, finally, &parts.orelse);
        part(self, 1, &parts.finalbody);
    }

    /// What neither the parser nor the checker says of a statement.
    fn look(&self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Nonlocal(it) => {
                let scope = self.around.scopes.get(self.around.current());
                for name in &it.names {
                    if scope.has_parameter(name) {
                        let message = format!("name `{name}` is parameter and nonlocal");
                        self.around.report(it.range(), message);
                    }
                    if scope.globals.contains_key(name.as_str()) {
                        let message = format!("name `{name}` is nonlocal and global");
                        self.around.report(it.range(), message);
                    }
                }
            }
            Stmt::AnnAssign(it) => {
                if let Expr::Name(name) = &*it.target
                    && self.nonlocal(name.id.as_str()).is_some()
                {
                    let message = format!("annotated name `{}` can't be nonlocal", name.id);
                    self.around.report(it.range(), message);
                }
            }
            Stmt::Expr(it) if it.value.is_starred_expr() => {
                let message = "can't use starred expression here";
                self.around.report(it.range(), message);
            }
            Stmt::Try(it) => {
                let last = it.handlers.len().saturating_sub(1);
                for (index, handler) in it.handlers.iter().enumerate() {
                    let ExceptHandler::ExceptHandler(handler) = handler;
                    if handler.type_.is_none() && index < last {
                        let message = "default `except:` must be last";
                        self.around.report(handler.range(), message);
                    }
                }
            }
            _ => {}
        }
    }

    fn nonlocal(&self, name: &str) -> Option<TextRange> {
        let scope = self.around.scopes.get(self.around.current());
        scope.nonlocals.get(name).copied()
    }
}

impl<'a> Visitor<'a> for Walk<'a, '_> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        self.checker.visit_stmt(stmt, &self.around);
        self.look(stmt);
        let outside = self.around.blocks;
        if matches!(stmt, Stmt::FunctionDef(_) | Stmt::ClassDef(_)) {
            self.around.blocks = 0;
        }
        if matches!(stmt, Stmt::For(_) | Stmt::While(_) | Stmt::With(_)) {
            self.enter_blocks(stmt, 1);
        }
        self.visit_parts(stmt);
        self.around.blocks = outside;
    }

    fn visit_keyword(&mut self, keyword: &'a Keyword) {
        if keyword.arg.as_deref() == Some("__debug__") {
            self.around
                .report(keyword.range(), "cannot assign to `__debug__`");
        }
        visitor::walk_keyword(self, keyword);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        self.checker.visit_expr(expr, &self.around);
        if let Expr::Attribute(it) = expr
            && it.ctx != ExprContext::Load
            && it.attr.as_str() == "__debug__"
        {
            self.around
                .report(it.range(), "cannot assign to `__debug__`");
        }
        if let Expr::Name(name) = expr
            && let Some(declared) = self.nonlocal(name.id.as_str())
            && name.range().start() < declared.start()
        {
            let how = match name.ctx {
                ExprContext::Load => "used",
                _ => "assigned to",
            };
            let message = format!("name `{}` is {how} prior to nonlocal declaration", name.id);
            self.around.report(name.range(), message);
        }
        walk_expr(self, expr);
    }
}
