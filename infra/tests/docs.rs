//! The project's own pages, held against the project: what they name is there.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use annapurna_contract::events::ScraperEvent;
use annapurna_contract::scrape::{MOST_PAPERS_OF_ARXIV, MOST_PAPERS_OF_SCRAPE, SourceChoice};
use annapurna_contract::{Function, Source};
use annapurna_stack::plan::SIGNS;
use clap::{CommandFactory, Parser};
use infra::commands::Cli;
use serde_json::Value;

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

/// The tests in the Rust files below a folder, each behind the path of its file, as cargo filters them.
fn tests_below(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let after = text.split("#[test]").skip(1);
            let after = after.chain(text.split("#[tokio::test").skip(1));
            let names = after.map(|it| it.split("fn ").nth(1).unwrap().split('(').next().unwrap());
            found
                .extend(names.map(|name| format!("{}::{name}", path.with_extension("").display())));
        }
    }
}

#[test]
fn every_test_that_a_page_runs_is_there() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let pages = pages();
    let commands = pages.iter().flat_map(|(_, text)| text.lines());
    let commands = commands.flat_map(|line| line.split("cargo test -p ").skip(1));
    let mut n_tests = 0;
    for command in commands {
        let mut words = command.split('`').next().unwrap().split_whitespace();
        let name = words.next().unwrap();
        let package = packages.iter().find(|it| it["name"] == name);
        let package = package.unwrap_or_else(|| panic!("{command}"));
        let mut folder =
            Path::new(package["manifest_path"].as_str().unwrap()).with_file_name("src");
        let mut wanted = None;
        while let Some(word) = words.next().filter(|word| *word != "--") {
            match word {
                "--lib" => {}
                "--test" => folder.set_file_name(format!("tests/{}", words.next().unwrap())),
                name => wanted = Some(name),
            }
        }
        let mut found = Vec::new();
        tests_below(folder.parent().unwrap(), &mut found);
        let begin = folder.display().to_string();
        let is_one = |it: &&String| it.starts_with(&begin) && it.contains(wanted.unwrap_or(""));
        assert!(found.iter().any(|it| is_one(&it)), "{command}");
        n_tests += usize::from(wanted.is_some());
    }
    assert!(n_tests > 3, "{n_tests}");
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--no-deps", "--format-version=1"])
        .current_dir(root())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What each crate of the project depends on, as cargo says it, `None` being the kind of production code.
fn dependencies() -> BTreeMap<String, Vec<(String, Option<String>)>> {
    let metadata = metadata();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let of = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        let all = all.map(|it| (text(&it["name"]).unwrap(), text(&it["kind"])));
        (text(&package["name"]).unwrap(), all.collect())
    };
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(of).collect()
}

#[test]
fn dependencies_of_crates_point_one_way() {
    let all = dependencies();
    assert!(all.len() > 15, "{all:?}");
    let mut left: BTreeSet<&String> = all.keys().collect();
    loop {
        let needs_another = |name: &String| all[name].iter().any(|(it, _)| left.contains(it));
        let rest: BTreeSet<&String> = left
            .iter()
            .copied()
            .filter(|it| needs_another(it))
            .collect();
        if rest.len() == left.len() {
            break;
        }
        left = rest;
    }
    assert!(left.is_empty(), "a circle: {left:?}");
    let of_tests = |name: &str| name.starts_with("annapurna-") && name.contains("test");
    for (name, dependencies) in all.iter().filter(|(name, _)| !of_tests(name)) {
        let production = dependencies.iter().filter(|(_, kind)| kind.is_none());
        for (dependency, _) in production {
            assert!(!of_tests(dependency), "{name} on {dependency}");
            let is_sdk = dependency.starts_with("aws");
            assert!(
                name != "annapurna-stack" || !is_sdk,
                "{name} on {dependency}"
            );
        }
    }
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
            let end = |letter: char| !letter.is_ascii_lowercase() && letter != '-';
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

/// Reads a command as the program does; two spaces begin a remark.
fn parse(command: &str) {
    let command = command.split("  ").next().unwrap();
    let words = shlex::split(command).unwrap();
    assert_eq!(words[0], "cargo", "{command}");
    if let Err(error) = Cli::try_parse_from(&words[1..]) {
        panic!("{command}: {error}");
    }
}

#[test]
fn every_help_has_examples_and_the_program_takes_each() {
    let mut program = Cli::command();
    program.build();
    let commands = program.get_subcommands();
    let shown = commands.filter(|it| !it.is_hide_set() && it.get_name() != "help");
    let helps: Vec<_> = shown.chain([&program]).collect();
    assert!(helps.len() > 12, "{}", helps.len());
    for command in helps {
        let name = command.get_name();
        let after = command.get_after_help().unwrap_or_else(|| panic!("{name}"));
        let after = after.to_string();
        let (_, examples) = after.split_once("Examples:\n").unwrap();
        let examples: Vec<&str> = examples.lines().map(str::trim).collect();
        assert!(examples.len() > 1, "{name}: {examples:?}");
        examples.iter().for_each(|example| parse(example));
        let of_command = format!("cargo infra {name} ");
        let is_own = |it: &&str| name == "infra" || it.starts_with(&of_command);
        assert!(examples.iter().all(is_own), "{name}: {examples:?}");
    }
}

#[test]
fn every_command_of_a_page_and_of_the_readmes_text_is_taken() {
    let pages = pages();
    let lines = pages.iter().flat_map(|(_, text)| text.lines());
    let in_blocks = lines.filter_map(|line| line.strip_prefix("$ "));
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let in_text = readme.lines().flat_map(quoted);
    let commands: Vec<&str> = in_blocks
        .chain(in_text)
        .filter(|it| it.starts_with("cargo infra "))
        .collect();
    assert!(commands.len() > 25, "{commands:?}");
    commands.iter().for_each(|command| parse(command));
}

#[test]
fn the_readme_builds_visibly_what_its_next_command_would_build_in_silence() {
    let read = |file: &str| std::fs::read_to_string(root().join(file)).unwrap();
    let (readme, cargo) = (read("README.md"), read(".cargo/config.toml"));
    let (_, alias) = cargo.split_once("infra = \"").unwrap();
    let alias = alias.split('"').next().unwrap();
    assert!(readme.contains(&format!("`cargo {alias}`")), "{alias}");
    let package = alias
        .trim_start_matches("run --quiet ")
        .trim_end_matches(" --");
    let commands: Vec<&str> = readme
        .lines()
        .filter_map(|it| it.strip_prefix("$ "))
        .collect();
    assert_eq!(commands[0], format!("cargo build {package}"));
    assert!(commands[1].starts_with("cargo infra "), "{commands:?}");
}

/// Whoever follows the README has deployed, and so has the sample's papers already.
#[test]
fn the_readmes_scrapes_are_of_sources_that_deploy_did_not_push() {
    let pushed = annapurna_local::paper_site::sample_papers().unwrap();
    let pushed: BTreeSet<Source> = pushed.into_iter().map(|paper| paper.source).collect();
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let calls = readme.lines();
    let calls = calls.filter_map(|line| line.strip_prefix("$ cargo infra invoke local "));
    let mut scraped = BTreeSet::new();
    for call in calls {
        let (function, event) = call.split_once(' ').unwrap();
        let event: Value = serde_json::from_str(event.trim_matches('\'')).unwrap();
        let name = match function.strip_prefix("PaperScraper_") {
            Some(name) => name,
            None if function == "PapersScraper" => event["CONFERENCE"].as_str().unwrap(),
            None => continue,
        };
        scraped.insert(Source::parse(name).unwrap());
    }
    assert!(scraped.len() > 1, "{scraped:?}");
    assert!(scraped.is_disjoint(&pushed), "{scraped:?} of {pushed:?}");
}

#[test]
fn help_and_readme_explain_the_signs_of_a_plan_in_the_same_words() {
    let in_a_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut program = Cli::command();
    let plan = program.find_subcommand_mut("plan").unwrap();
    for text in [readme, plan.render_long_help().to_string()] {
        assert!(in_a_line(&text).contains(SIGNS), "{text}");
    }
}

/// The rows of the table below a heading of `docs/scraping.md`, cell by cell.
fn scraping_table(heading: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root().join("docs/scraping.md")).unwrap();
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = |row: &str| {
        row.trim_matches('|')
            .split('|')
            .map(|it| it.trim().to_owned())
            .collect()
    };
    rows.map(cells).collect()
}

#[test]
fn what_may_be_asked_is_what_an_event_takes() {
    // Without `..`: a new field does not compile until it is here, and then has to be in the table.
    let event = ScraperEvent {
        max_papers: Some(1),
        conference: Some("ICLR".to_owned()),
        conference_year: Some(2025),
        topic_filter: Some("t".to_owned()),
        search_term: Some("w".to_owned()),
        since: Some("2d".to_owned()),
        cursor: Some("c".to_owned()),
    };
    let event = serde_json::to_value(event).unwrap();
    let fields: BTreeSet<String> = event.as_object().unwrap().keys().cloned().collect();
    let table = scraping_table("What may be asked");
    let told: BTreeSet<String> = table
        .iter()
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    assert_eq!(told, fields);
    assert_eq!(table.len(), fields.len());
}

#[test]
fn what_may_be_asked_is_what_the_command_takes() {
    let table = scraping_table("What may be asked");
    let help = Command::new(env!("CARGO_BIN_EXE_infra"))
        .args(["scrape", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let options: BTreeSet<&str> = table.iter().flat_map(|row| quoted(&row[1])).collect();
    let known = help
        .split_whitespace()
        .filter(|word| word.starts_with("--"));
    let known: BTreeSet<&str> = known
        .map(|word| word.trim_end_matches([',', ';', '.']))
        .collect();
    assert!(options.is_subset(&known), "{options:?}");
    let others = ["--follow", "--json", "--help", "--project", "--state"];
    for option in known.iter().filter(|it| !others.contains(it)) {
        assert!(
            options.contains(option) || !help.contains(&format!("      {option} <")),
            "{option}"
        );
    }
}

#[test]
fn the_sources_and_numbers_that_may_be_asked_are_those_that_are_taken() {
    let table = scraping_table("What may be asked");
    let allowed = |field: &str| {
        let row = table
            .iter()
            .find(|row| row[0].contains(&format!("`{field}`")));
        row.unwrap()[2].clone()
    };
    let sources = allowed("CONFERENCE");
    for name in quoted(&sources) {
        assert!(SourceChoice::parse(name).is_some(), "{name}");
    }
    for source in Source::ALL {
        assert!(
            sources.contains(&format!("`{}`", source.name())),
            "{sources}"
        );
    }
    let numbers = allowed("MAX_PAPERS").replace(',', "");
    assert!(
        numbers.contains(&format!("1 to {MOST_PAPERS_OF_SCRAPE};")),
        "{numbers}"
    );
    assert!(
        numbers.ends_with(&format!("arXiv {MOST_PAPERS_OF_ARXIV}")),
        "{numbers}"
    );
}

/// The variables of the program's own that its code reads, its tests aside. What it tells a process of its own is none.
fn variables(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(variables(&path));
            continue;
        }
        let code = std::fs::read_to_string(&path).unwrap_or_default();
        let literals = code.split("\"ANNAPURNA_").skip(1);
        let names = literals.filter_map(|rest| rest.split('"').next());
        found.extend(names.map(|name| format!("ANNAPURNA_{name}")));
    }
    found.remove(infra::BACKEND_VARIABLE);
    found
}

#[test]
fn each_variable_that_the_program_reads_is_on_its_page() {
    let page = std::fs::read_to_string(root().join("docs/local.md")).unwrap();
    let told: BTreeSet<&str> = quoted(&page).collect();
    let folders = ["infra/src", "infra/local/src"].into_iter();
    let read: BTreeSet<String> = folders.flat_map(|it| variables(&root().join(it))).collect();
    assert!(read.len() >= 4, "{read:?}");
    for name in read {
        assert!(told.contains(name.as_str()), "{name}");
    }
}

#[test]
fn the_functions_that_take_papers_are_the_ones_named() {
    let text = std::fs::read_to_string(root().join("docs/scraping.md")).unwrap();
    let first = text.split("\n\n").nth(1).unwrap();
    let named: BTreeSet<&str> = quoted(first).filter(|it| it.contains("Scraper")).collect();
    let scrapers = Function::ALL
        .into_iter()
        .filter(|it| it.package() == "paper-scraper");
    assert_eq!(named, scrapers.map(Function::name).collect());
    assert!(first.starts_with("Seven functions") && named.len() == 7);
}
