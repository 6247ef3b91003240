//! What a program imports: modules that every instance has, and none that leads outside.

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
    for at in &program.stmts {
        let mut imported: Vec<(String, TextRange)> = Vec::new();
        match at.node {
            Stmt::Import(it) => {
                let names = it.names.iter();
                imported.extend(names.map(|alias| (alias.name.to_string(), alias.range)));
            }
            Stmt::ImportFrom(it) if it.level > 0 => {
                let message = "the program is one file: it has nothing beside it to import";
                found.push(program.finding(Rule::Imports, &it.range, message));
            }
            Stmt::ImportFrom(it) => {
                let module = it.module.as_ref().map_or("", |module| module.as_str());
                let names = it.names.iter();
                imported.extend(names.map(|name| (format!("{module}.{}", name.name), name.range)));
            }
            _ => {}
        }
        for (path, range) in imported {
            if let Some((rule, message)) = refused(&path, at.place.may_miss, backend) {
                found.push(program.finding(rule, &range, message));
                break;
            }
        }
    }
    found
}

fn refused(path: &str, may_miss: bool, backend: Backend) -> Option<(Rule, String)> {
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
