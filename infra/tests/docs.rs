//! The project's own pages, held against the project: what they name is there.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Each page with its path below the project.
fn pages() -> Vec<(PathBuf, String)> {
    let names = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ];
    let mut paths: Vec<PathBuf> = names.iter().map(|name| root().join(name)).collect();
    let docs = std::fs::read_dir(root().join("docs")).unwrap();
    paths.extend(docs.map(|entry| entry.unwrap().path()));
    assert!(paths.len() > 9, "{paths:?}");
    paths
        .into_iter()
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// What stands between backticks, outside of blocks of code.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_readme_is_short() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let n_words = readme.split_whitespace().count();
    assert!(n_words <= 900, "{n_words} words");
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let mut n_links = 0;
    for (path, text) in pages() {
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let file = path.parent().unwrap().join(target);
            assert!(file.exists(), "{}: {target}", path.display());
            n_links += 1;
        }
    }
    assert!(n_links > 15, "{n_links}");
}

#[test]
fn every_place_for_a_change_exists() {
    let text = std::fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let mut n_places = 0;
    for place in rows.flat_map(quoted) {
        // `NAME` and `SERVICE` stand for any; a name without a folder belongs to the cell before it.
        let fixed = place.split(['*']).next().unwrap();
        let fixed = fixed
            .split("NAME")
            .next()
            .unwrap()
            .split("SERVICE")
            .next()
            .unwrap();
        if !fixed.contains('/') || place.starts_with("data/") {
            continue;
        }
        assert!(root().join(fixed).exists(), "{place}");
        n_places += 1;
    }
    assert!(n_places > 30, "{n_places}");
}

#[test]
fn every_command_in_a_page_is_one_of_the_program() {
    let help = Command::new(env!("CARGO_BIN_EXE_infra"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let mut n_commands = 0;
    for (path, text) in pages() {
        for after in text.split("cargo infra ").skip(1) {
            let end = |letter: char| !letter.is_ascii_lowercase();
            let command = after.split(end).next().unwrap();
            let is_one = help
                .lines()
                .any(|line| line.split_whitespace().next() == Some(command));
            // In `cargo infra` as a name, prose follows.
            let is_prose = text.contains(&format!("`cargo infra` {command}"));
            assert!(is_one || is_prose, "{}: {command}", path.display());
            n_commands += 1;
        }
    }
    assert!(n_commands > 25, "{n_commands}");
}
