//! Is a generated program worth a run on the device, and what does it do?
//!
//! In: a program and where it would run. Out: every finding at once, or facts about the program. Nothing is run here.
//! Python is parsed by Ruff's own parser, in pure Rust: it is the only one on crates.io that its makers
//! publish with every release, it rejects what CPython rejects and knows the syntax of each version.
//! rustpython-parser is no longer developed, and tree-sitter-python is made to accept broken code.
//! Ruff publishes the crates as internal ones without promises, so their version is pinned exactly.
//! The rules stop accidents and laziness; what a program set on deceiving gets is the sandbox's matter.

mod finding;

use annapurna_contract::Backend;
use annapurna_contract::text::one_line;
use ruff_python_ast::{
    Expr, ExprCall, PythonVersion, Stmt,
    visitor::{self, Visitor},
};
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};
use ruff_source_file::LineIndex;
use ruff_text_size::{Ranged, TextSize};

pub use finding::{Finding, Findings, Rule};

/// Longest program that is stored, bytes; a longer one is asked for again.
pub const CODE_LIMIT: usize = 64 << 10;
/// The oldest Python that runs programs. Source: AWS Neuron documentation, Deep Learning AMI of Ubuntu 22.
const PYTHON: PythonVersion = PythonVersion::PY310;
/// The checking thread's stack: attribute chains nest as deep as the program is long.
const STACK: usize = 256 << 20;
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Lines with anything but white space.
    pub lines_of_code: usize,
    /// It goes backwards and steps an optimiser.
    pub has_training_loop: bool,
    /// It evaluates without gradients.
    pub has_evaluation: bool,
    /// It uses torch.distributed or spawns workers.
    pub uses_distributed_training: bool,
    /// The data sets that it loads.
    pub datasets: Vec<String>,
}

/// Checks a program.
///
/// # Errors
///
/// [`Findings`], as many as can be seen at once.
pub fn check(code: &str, rules: &Rules<'_>) -> Result<Facts, Findings> {
    let length = code.len();
    if length > CODE_LIMIT {
        let message = format!("the program has {length} bytes, at most {CODE_LIMIT} are run");
        return Err(Findings(vec![missing(Rule::Length, message)]));
    }
    let mut findings = match seen_in_own_thread(code) {
        Err(found) => found,
        Ok(seen) => {
            let mut found = seen.misplaced.clone();
            found.extend(lacks(&seen, rules));
            if found.is_empty() {
                return Ok(seen.facts(code));
            }
            found
        }
    };
    findings.truncate(MOST_FINDINGS);
    Err(Findings(findings))
}

/// A finding about what is nowhere.
fn missing(rule: Rule, message: impl Into<String>) -> Finding {
    Finding {
        rule,
        line: None,
        message: message.into(),
    }
}

/// What every program needs and this one lacks.
fn lacks(seen: &Seen, rules: &Rules<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    if !seen.imports("torch") {
        let message = "the program does not import torch";
        found.push(missing(Rule::Training, message));
    }
    let is_there = |name: &&String| rules.datasets.contains(&name.as_str());
    if let Some(other) = seen.loaded.iter().find(|name| !is_there(name)) {
        let message = format!(
            "no data set is called `{}`: load one of {}",
            one_line(other, 80),
            rules.datasets.join(", ")
        );
        found.push(missing(Rule::DataSet, message));
    }
    found
}

/// Parses and looks with a stack of its own, which no program can exhaust.
fn seen_in_own_thread(code: &str) -> Result<Seen, Vec<Finding>> {
    let code = code.to_owned();
    let thread = std::thread::Builder::new()
        .name("python-check".to_owned())
        .stack_size(STACK)
        .spawn(move || see(&code));
    let outcome = thread.map(std::thread::JoinHandle::join);
    match outcome {
        Ok(Ok(seen)) => seen,
        Ok(Err(_)) | Err(_) => Err(vec![missing(Rule::Syntax, "the program cannot be checked")]),
    }
}

fn see(code: &str) -> Result<Seen, Vec<Finding>> {
    if code.contains('\0') {
        let message = "the program contains a NUL character";
        return Err(vec![missing(Rule::Syntax, message)]);
    }
    let options = ParseOptions::from(Mode::Module).with_target_version(PYTHON);
    let parsed = parse_unchecked(code, options);
    let lines = LineIndex::from_source_text(code);
    let finding = |at: TextSize, message: String| Finding {
        rule: Rule::Syntax,
        line: u32::try_from(lines.line_index(at).get()).ok(),
        message: one_line(&message, 200),
    };
    let errors = parsed.errors().iter();
    let mut found: Vec<Finding> = errors
        .map(|error| finding(error.location.start(), error.error.to_string()))
        .collect();
    let unsupported = parsed.unsupported_syntax_errors().iter();
    found.extend(unsupported.map(|error| finding(error.range().start(), error.to_string())));
    if !found.is_empty() {
        return Err(found);
    }
    let mut seen = Seen::default();
    if let Some(module) = parsed.try_into_module() {
        seen.visit_body(module.suite());
    }
    Ok(seen)
}

/// What a walk over a program finds.
#[derive(Debug, Default)]
struct Seen {
    modules: Vec<String>,
    /// Names of called functions and methods, without what they are called on.
    calls: Vec<String>,
    /// Names of decorators and contexts such as `torch.no_grad`.
    names: Vec<String>,
    /// Data sets named in calls of `load_dataset`.
    loaded: Vec<String>,
    /// Statements outside their place.
    misplaced: Vec<Finding>,
    functions: usize,
    loops: usize,
}

impl Seen {
    /// Whether the module or one below it is imported.
    fn imports(&self, module: &str) -> bool {
        let below = format!("{module}.");
        self.modules
            .iter()
            .any(|name| name == module || name.starts_with(&below))
    }

    fn facts(&self, code: &str) -> Facts {
        let called = |names: &[&str]| self.calls.iter().any(|call| names.contains(&call.as_str()));
        let named = |names: &[&str]| self.names.iter().any(|name| names.contains(&name.as_str()));
        Facts {
            lines_of_code: code.lines().filter(|line| !line.trim().is_empty()).count(),
            has_training_loop: called(&["backward"]) && called(&["step", "optimizer_step"]),
            has_evaluation: called(&["eval"]) || named(&["no_grad", "inference_mode"]),
            uses_distributed_training: self.imports("torch.distributed")
                || self.imports("torch_xla.distributed")
                || called(&["init_process_group", "DistributedDataParallel", "spawn"]),
            datasets: self.loaded.clone(),
        }
    }

    fn inside(&mut self, stmt: &Stmt, functions: usize, loops: usize) {
        let outside = (self.functions, self.loops);
        (self.functions, self.loops) = (functions, loops);
        visitor::walk_stmt(self, stmt);
        (self.functions, self.loops) = outside;
    }

    fn call(&mut self, call: &ExprCall) {
        let name = match call.func.as_ref() {
            Expr::Name(name) => name.id.as_str(),
            Expr::Attribute(attribute) => attribute.attr.as_str(),
            _ => return,
        };
        if name == "load_dataset" {
            let named = call.arguments.find_argument_value("name", 0);
            if let Some(Expr::StringLiteral(dataset)) = named {
                self.loaded.push(dataset.value.to_str().to_owned());
            }
        }
        self.calls.push(name.to_owned());
    }
}

impl<'a> Visitor<'a> for Seen {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::Import(import) => {
                let names = import.names.iter().map(|alias| alias.name.to_string());
                self.modules.extend(names);
            }
            Stmt::ImportFrom(import) if import.level == 0 => {
                let module = import.module.as_ref().map(ToString::to_string);
                let module = module.unwrap_or_default();
                // `from torch import distributed` imports `torch.distributed`.
                for alias in &import.names {
                    self.modules.push(format!("{module}.{}", alias.name));
                }
                self.modules.push(module);
            }
            Stmt::Return(_) if self.functions == 0 => {
                self.misplaced
                    .push(missing(Rule::Syntax, "`return` outside a function"));
            }
            Stmt::Break(_) | Stmt::Continue(_) if self.loops == 0 => {
                let message = "`break` or `continue` outside a loop";
                self.misplaced.push(missing(Rule::Syntax, message));
            }
            Stmt::FunctionDef(_) => return self.inside(stmt, self.functions + 1, 0),
            Stmt::ClassDef(_) => return self.inside(stmt, 0, 0),
            Stmt::For(_) | Stmt::While(_) => {
                return self.inside(stmt, self.functions, self.loops + 1);
            }
            _ => {}
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Call(call) => self.call(call),
            Expr::Name(name) => self.names.push(name.id.to_string()),
            Expr::Attribute(attribute) => self.names.push(attribute.attr.to_string()),
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
import torch
from dataset_loader import load_dataset

def main():
    train, test = load_dataset("synthetic")
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in train:
        loss = model(x).sum()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        print('METRICS: {"training_loss": 0.1}')

main()
"#;

    fn check_one(code: &str) -> Result<Facts, Findings> {
        let rules = Rules {
            datasets: &["mnist", "synthetic"],
            backend: Backend::Cpu,
        };
        check(code, &rules)
    }

    fn found(code: &str) -> String {
        check_one(code).unwrap_err().to_string()
    }

    #[test]
    fn a_good_programs_facts_are_seen() {
        let facts = check_one(GOOD).unwrap();
        let expected = Facts {
            lines_of_code: 13,
            has_training_loop: true,
            has_evaluation: true,
            uses_distributed_training: false,
            datasets: vec!["synthetic".to_owned()],
        };
        assert_eq!(facts, expected);
    }

    #[test]
    fn words_in_comments_and_strings_are_no_facts() {
        let code = "import torch\n# loss.backward(); optimizer.step()\nprint('torch.distributed no_grad')\n";
        assert_eq!(
            check_one(code).unwrap(),
            Facts {
                lines_of_code: 3,
                ..Facts::default()
            }
        );
    }

    #[test]
    fn distributed_training_is_seen_however_it_is_imported() {
        for import in [
            "import torch.distributed as dist",
            "from torch import distributed",
            "from torch.distributed import init_process_group",
            "import torch\ntorch.nn.parallel.DistributedDataParallel(m)",
        ] {
            let facts = check_one(import).unwrap();
            assert!(facts.uses_distributed_training, "{import}");
        }
    }

    #[test]
    fn what_python_rejects_is_rejected_with_its_line() {
        for (code, expected) in [
            ("import torch\ndef f(:\n  pass", "line 2"),
            ("import torch\nif True:\nprint(1)", "line 3"),
            ("import torch\nprint 'hello'", "line 2"),
            ("import torch\nx = 'open", "line 2"),
            ("import torch\nf(a=1, 2)", "line 2"),
            ("import torch\n\tx = 1", "line 2"),
            ("import torch\nreturn 1", "`return` outside"),
            (
                "import torch\nwhile x:\n  def f():\n    break",
                "outside a loop",
            ),
            ("import torch\ntype X = int", "line 2"),
            ("import torch\0", "NUL"),
        ] {
            let found = found(code);
            assert!(found.contains(expected), "{code}: {found}");
        }
    }

    #[test]
    fn every_finding_is_named_at_once() {
        let code = "from dataset_loader import load_dataset\nload_dataset('imagenet')";
        let Findings(found) = check_one(code).unwrap_err();
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn torch_by_another_name_is_not_torch() {
        assert!(found("import torchvision").contains("import torch"));
        assert!(found("from .torch import x").contains("import torch"));
        assert!(check_one("from torch.nn import Linear").is_ok());
    }

    #[test]
    fn nesting_and_length_cannot_end_the_process() {
        for code in [
            format!("{}1{}", "(".repeat(30_000), ")".repeat(30_000)),
            format!("import torch\nx = a{}", ".a".repeat(30_000)),
            format!("x = {}1", "not ".repeat(15_000)),
            format!("x = 1{}", "+1".repeat(30_000)),
            "x".repeat(CODE_LIMIT + 1),
            format!("x = {}", "[".repeat(60_000)),
        ] {
            let _ = check_one(&code);
        }
    }
}
