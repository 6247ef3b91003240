//! What CPython's compiler refuses is refused, and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use annapurna_test_needs::needs;
use ruff_python_ast::PythonVersion;
use serde::Deserialize;

use crate::scope::Scopes;
use crate::{in_own_thread, parsed, syntax};

/// What `data/test_syntax.py` made of CPython's own tests, with CPython's answers.
#[derive(Deserialize)]
struct Cases {
    refused: Vec<String>,
    taken: Vec<String>,
}

fn cases() -> Cases {
    serde_json::from_str(include_str!("../../tests/data/test_syntax.json")).unwrap()
}

/// Why this Python would not compile it.
fn errors(code: &str, version: PythonVersion) -> Vec<String> {
    let look = || {
        let body = match parsed(code, version) {
            Ok(body) => body,
            Err(found) => return found.iter().map(ToString::to_string).collect(),
        };
        let scopes = Scopes::of(&body);
        let found = syntax::semantic_errors(&body, code, &scopes, version);
        found.into_iter().map(|(_, message)| message).collect()
    };
    in_own_thread(look).unwrap()
}

#[test]
fn every_construct_that_cpython_refuses_in_its_own_tests_is_refused() {
    let Cases { refused, .. } = cases();
    assert!(refused.len() > 350, "{}", refused.len());
    let passed: Vec<&String> = refused
        .iter()
        .filter(|code| errors(code, PythonVersion::PY310).is_empty())
        .collect();
    assert!(
        passed.is_empty(),
        "{} of {}: {passed:#?}",
        passed.len(),
        refused.len()
    );
}

#[test]
fn what_cpython_takes_in_its_own_tests_is_taken() {
    let Cases { taken, .. } = cases();
    assert!(taken.len() > 90, "{}", taken.len());
    for code in &taken {
        let errors = errors(code, PythonVersion::PY310);
        assert!(errors.is_empty(), "{code}\n{errors:?}");
    }
}

/// The version of a Python of the machine that has this module, and the module's folder.
fn module(name: &str) -> Option<(PythonVersion, PathBuf)> {
    let pythons = ["python3", "/usr/bin/python3"];
    pythons.iter().find_map(|python| module_of(python, name))
}

fn module_of(python: &str, name: &str) -> Option<(PythonVersion, PathBuf)> {
    let say = format!(
        "import sys, os, {name}; print(sys.version_info[1], os.path.dirname({name}.__file__))"
    );
    let output = Command::new(python).args(["-c", &say]).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    let (minor, folder) = said.trim().split_once(' ')?;
    let minor = minor.parse().ok()?;
    Some((PythonVersion { major: 3, minor }, folder.into()))
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        // Tests and lib2to3's data have files that are wrong on purpose.
        if path.is_dir()
            && !["test", "tests", "lib2to3", "site-packages", "idle_test"].contains(&&*name)
        {
            files_below(&path, found);
        } else if name.ends_with(".py") {
            found.push(path);
        }
    }
}

fn none_is_refused((version, folder): (PythonVersion, PathBuf)) {
    let mut files = Vec::new();
    files_below(&folder, &mut files);
    assert!(files.len() > 300, "{} in {}", files.len(), folder.display());
    for file in files {
        // A few are not UTF-8 on purpose.
        let Ok(code) = std::fs::read_to_string(&file) else {
            continue;
        };
        let errors = errors(&code, version);
        assert!(errors.is_empty(), "{}: {errors:?}", file.display());
    }
}

#[test]
fn no_file_of_pythons_own_library_is_refused() {
    if let Some(library) = needs(module("os"), "a python3", "install python3") {
        none_is_refused(library);
    }
}

#[test]
fn no_file_of_torch_is_refused() {
    let remedy = "install it for python3 (Debian: python3-torch)";
    if let Some(torch) = needs(module("torch"), "torch", remedy) {
        none_is_refused(torch);
    }
}
