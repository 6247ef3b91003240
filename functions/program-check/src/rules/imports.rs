//! What a program imports: modules that every instance has, and none that leads outside.

use std::collections::HashSet;

use ruff_python_ast::Stmt;
use ruff_text_size::TextRange;

use annapurna_contract::Backend;
use annapurna_contract::text::one_line;

use crate::finding::{Finding, Rule};
use crate::modules::{self, Module};
use crate::program::Program;
use crate::rules::outside;

pub(crate) fn look(program: &Program<'_>, backend: Backend) -> Vec<Finding> {
    let mut found = Vec::new();
    let imports: Vec<(Vec<Imported>, bool)> = program
        .stmts
        .iter()
        .map(|at| (imported(at.node), at.place.may_miss))
        .collect();
    // Where one import of a module is tried, the others come after it.
    let tried: HashSet<&str> = imports
        .iter()
        .filter(|(_, may_miss)| *may_miss)
        .flat_map(|(imported, _)| imported)
        .map(|(path, _)| first(path))
        .collect();
    for (imported, _) in &imports {
        for (path, range) in imported {
            let may_miss = tried.contains(first(path));
            if let Some((rule, message)) = refused(path, may_miss, backend) {
                found.push(program.finding(rule, range, message));
                break;
            }
        }
    }
    found
}

/// A module, or what is taken from one, by its dotted path.
type Imported = (String, TextRange);

fn imported(stmt: &Stmt) -> Vec<Imported> {
    match stmt {
        Stmt::Import(it) => {
            let names = it.names.iter();
            names
                .map(|alias| (alias.name.to_string(), alias.range))
                .collect()
        }
        Stmt::ImportFrom(it) => {
            let module = it.module.as_ref().map_or("", |module| module.as_str());
            let dots = ".".repeat(it.level as usize);
            let names = it.names.iter();
            names
                .map(|name| (format!("{dots}{module}.{}", name.name), name.range))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn first(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}

fn refused(path: &str, may_miss: bool, backend: Backend) -> Option<(Rule, String)> {
    if path.starts_with('.') {
        let message = "the program is one file: it has nothing beside it to import";
        return Some((Rule::Imports, message.to_owned()));
    }
    let name = one_line(path.trim_end_matches(".*"), 80);
    if let Some(refused) = outside::refused(path) {
        return Some(refused);
    }
    match modules::of(path, backend) {
        Module::Outside(rule, why) => Some((rule, format!("`{name}` {why}"))),
        Module::OnInstance => None,
        Module::Unknown if may_miss => None,
        Module::Unknown => Some((
            Rule::Imports,
            format!(
                "`{name}` is not on every instance: do without it, or import it where `ImportError` is caught and \
                 go on without it; torch, numpy and most of the standard library are there"
            ),
        )),
    }
}
