//! Is a generated program worth a run on the device, and what does it do?
//!
//! In: a program and where it would run. Out: every finding at once, or facts about the program. Nothing is run here.
//! Python is parsed by Ruff's own parser, in pure Rust: it is the only one on crates.io that its makers
//! publish with every release, it rejects what CPython rejects and knows the syntax of each version.
//! rustpython-parser is no longer developed, and tree-sitter-python is made to accept broken code.
//! Ruff publishes the crates as internal ones without promises, so their version is pinned exactly.
//! The rules stop accidents and laziness; what a program set on deceiving gets is the sandbox's matter.

mod builtins;
mod constant;
mod finding;
mod modules;
mod program;
mod reach;
mod rules;
mod scope;
mod syntax;

use annapurna_contract::Backend;
use annapurna_contract::text::one_line;
use ruff_python_ast::{Expr, PythonVersion};
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};
use ruff_source_file::LineIndex;
use ruff_text_size::{Ranged, TextSize};

pub use finding::{Finding, Findings, Rule};

use program::Program;
use reach::Reach;
use scope::Scopes;

/// Longest program that is stored, bytes; a longer one is asked for again.
pub const CODE_LIMIT: usize = 64 << 10;
/// The oldest Python that runs programs. Source: AWS Neuron documentation, Deep Learning AMI of Ubuntu 22.
const PYTHON: PythonVersion = PythonVersion::PY310;
/// The checking thread's stack: attribute chains nest as deep as the program is long.
const STACK: usize = 512 << 20;
/// Findings that are named at most.
const MOST_FINDINGS: usize = 20;

/// Where a program would run.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The data sets that are there.
    pub datasets: &'a [&'a str],
    /// What it trains on.
    pub backend: Backend,
}

/// What a program is seen to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Facts {
    /// Lines with anything but white space.
    pub lines_of_code: usize,
    /// It goes backwards and steps an optimiser, in a loop that is reached.
    pub has_training_loop: bool,
    /// It evaluates by the loader or without gradients.
    pub has_evaluation: bool,
    /// It uses torch.distributed.
    pub uses_distributed_training: bool,
    /// The data sets that it loads.
    pub datasets: Vec<String>,
    /// Parameters of the layers whose sizes stand in it; others are not known.
    pub parameters: u64,
}

/// All that is seen of a program.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// What keeps it from its run, in the order of its lines; nothing where it may run.
    pub findings: Vec<Finding>,
    /// What it does; `None` where Python would not compile it.
    pub facts: Option<Facts>,
}

/// Checks a program.
///
/// # Errors
///
/// [`Findings`], as many as can be seen at once: of a program that Python does not compile, only why.
pub fn check(code: &str, rules: &Rules<'_>) -> Result<Facts, Findings> {
    let report = look(code, rules);
    match report.facts {
        Some(facts) if report.findings.is_empty() => Ok(facts),
        _ => Err(Findings(report.findings)),
    }
}

/// Looks at a program, and says what it does also where it may not run.
pub fn look(code: &str, rules: &Rules<'_>) -> Report {
    let length = code.len();
    if length > CODE_LIMIT {
        let message = format!("the program has {length} bytes, at most {CODE_LIMIT} are run");
        return Report {
            findings: vec![missing(Rule::Length, message)],
            facts: None,
        };
    }
    let (mut findings, facts) = match in_own_thread(|| see(code, rules)) {
        Some(Ok((findings, facts))) => (findings, Some(facts)),
        Some(Err(findings)) => (findings, None),
        None => (
            vec![missing(Rule::Syntax, "the program cannot be checked")],
            None,
        ),
    };
    findings.sort_by_key(|it| (it.line.is_none(), it.line, it.rule));
    findings.dedup();
    findings.truncate(MOST_FINDINGS);
    Report { findings, facts }
}

/// A finding about what is nowhere.
fn missing(rule: Rule, message: impl Into<String>) -> Finding {
    Finding {
        rule,
        line: None,
        message: message.into(),
    }
}

/// Looks with a stack of its own, which no program can exhaust; `None` when that panicked or cannot be had.
fn in_own_thread<T: Send>(look: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("python-check".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, look)
            .ok()?
            .join()
            .ok()
    })
}

fn see(code: &str, rules: &Rules<'_>) -> Result<(Vec<Finding>, Facts), Vec<Finding>> {
    let body = parsed(code, PYTHON)?;
    let scopes = Scopes::of(&body);
    let errors = syntax::semantic_errors(&body, code, &scopes, PYTHON);
    if !errors.is_empty() {
        return Err(located(code, errors));
    }
    let program = Program::of(code, &body, scopes);
    let reach = Reach::of(&program);
    let (mut found, datasets) = rules::data::look(&program, &reach, rules.datasets);
    let (sizes, parameters) = rules::size::look(&program, &reach);
    found.extend(sizes);
    found.extend(rules::imports::look(&program, rules.backend));
    found.extend(rules::names::look(&program));
    found.extend(rules::outside::look(&program, rules.backend));
    found.extend(rules::device::look(&program, &reach, rules.backend));
    found.extend(rules::training::look(&program, &reach));
    found.extend(rules::evaluation::look(&program, &reach));
    found.extend(rules::metrics::look(&program, &reach));
    found.extend(rules::endless::look(&program, &reach));
    if rules.backend == Backend::Xla {
        found.extend(rules::xla::look(&program, &reach));
    }
    let facts = Facts {
        lines_of_code: code.lines().filter(|line| !line.trim().is_empty()).count(),
        has_training_loop: rules::training::look(&program, &reach).is_empty(),
        has_evaluation: rules::evaluation::has_evaluation(&program, &reach),
        uses_distributed_training: uses_distributed_training(&program),
        datasets,
        parameters,
    };
    Ok((found, facts))
}

/// The statements of a program, or why there are none.
fn parsed(code: &str, version: PythonVersion) -> Result<ruff_python_ast::Suite, Vec<Finding>> {
    if code.contains('\0') {
        let message = "the program contains a NUL character";
        return Err(vec![missing(Rule::Syntax, message)]);
    }
    let options = ParseOptions::from(Mode::Module).with_target_version(version);
    let parsed = parse_unchecked(code, options);
    let errors = parsed.errors().iter();
    let mut found: Vec<syntax::Error> = errors
        .map(|error| (error.location, error.error.to_string()))
        .collect();
    let unsupported = parsed.unsupported_syntax_errors().iter();
    found.extend(unsupported.map(|error| (error.range(), error.to_string())));
    if !found.is_empty() {
        return Err(located(code, found));
    }
    let module = parsed.try_into_module();
    let module = module.ok_or_else(|| vec![missing(Rule::Syntax, "the program is no module")])?;
    Ok(module.into_suite())
}

fn located(code: &str, errors: Vec<syntax::Error>) -> Vec<Finding> {
    let lines = LineIndex::from_source_text(code);
    let line = |at: TextSize| u32::try_from(lines.line_index(at).get()).ok();
    let found = errors.into_iter().map(|(range, message)| Finding {
        rule: Rule::Syntax,
        line: line(range.start()),
        message: one_line(&message, 200),
    });
    found.collect()
}

fn uses_distributed_training(program: &Program<'_>) -> bool {
    program.exprs.iter().any(|at| {
        matches!(at.node, Expr::Name(_) | Expr::Attribute(_))
            && program.path(at.node, at.place.scope).is_some_and(|path| {
                path.starts_with("torch.distributed")
                    || path.starts_with("torch_xla.distributed")
                    || path.ends_with(".DistributedDataParallel")
            })
    })
}

#[cfg(test)]
mod tests;
