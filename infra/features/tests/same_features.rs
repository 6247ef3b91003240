//! Each selection of crates that a person builds must give shared dependencies the same features, or
//! cargo compiles the AWS SDK once more for it.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const FUNCTIONS_AND_AGENT: [&str; 5] = [
    "paper-scraper",
    "papers-judge",
    "papers-code-generator",
    "papers-code-tester",
    "trainium-agent",
];

/// Every set of features with which a package is built, by package and version.
fn features(selection: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["tree", "--offline", "--prefix", "none", "-f", "{p} [{f}]"])
        .args(selection);
    let output = command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((package, features)) = line.trim_end_matches(" (*)").rsplit_once(" [") else {
            continue;
        };
        found
            .entry(package.to_owned())
            .or_default()
            .insert(features.trim_end_matches(']').to_owned());
    }
    assert!(found.len() > 100, "cargo tree names the dependencies");
    found
}

#[test]
fn every_selection_builds_shared_dependencies_alike() {
    let mut functions = vec!["-e", "normal,build"];
    FUNCTIONS_AND_AGENT
        .iter()
        .for_each(|package| functions.extend(["-p", package]));
    let infra = features(&["-e", "normal,build", "-p", "infra"]);
    let functions = features(&functions);
    let tests = features(&["-e", "normal,build,dev", "--workspace"]);
    // A selection may build a variant of its own besides; it must not lack the one of another.
    let missing = |one: &BTreeMap<String, BTreeSet<String>>,
                   other: &BTreeMap<String, BTreeSet<String>>| {
        one.iter()
            .filter(|(package, sets)| {
                other
                    .get(*package)
                    .is_some_and(|there| there.is_disjoint(sets))
            })
            .map(|(package, sets)| format!("{package}: {sets:?} and {:?}", other[package]))
            .collect::<Vec<String>>()
    };
    for (name, one, other) in [
        ("infra and the functions", &infra, &functions),
        ("infra and the tests", &infra, &tests),
        ("the functions and the tests", &functions, &tests),
    ] {
        let differing = missing(one, other);
        assert!(
            differing.is_empty(),
            "{name} differ; add a line to infra/features/Cargo.toml:\n{}",
            differing.join("\n")
        );
    }
}
