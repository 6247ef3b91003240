//! Reads the table: a program a file, its expectations in the comments it begins with.
//!
//! - `# expect: STATUS`, or several with `or`: the status it must end with
//! - `# tries: …`: what it is about
//! - `# time: SECONDS`: its limit, where the usual one is too long to wait for
//! - `# runs: N`: so many times one after the other, for what an earlier run could leave
//! - `# each: WORD …`: once for each word, which it finds in `EACH`
//! - `# result: FIELD=JSON`: what a field of the result must be
//! - `# says: …`: what `error_message` must contain
//! - `# shares: processor`: the neighbour must get its part of the processors meanwhile
//! - `# plots: NAME …`: the plots that are published, and no others

use std::fs;
use std::path::Path;

use serde_json::Value;

/// Limit of a program that does not say its own, seconds.
const TIME: u32 = 30;
/// The closed set of `TestResult.status`.
const STATUSES: [&str; 7] = [
    "success",
    "program_error",
    "timeout",
    "memory_limit",
    "output_limit",
    "disk_limit",
    "denied",
];

/// A program and what must become of it.
#[derive(Debug)]
pub(crate) struct Attack {
    /// `memory/heap`, with the word of `each` behind it.
    pub(crate) name: String,
    /// What it begins with, and the program itself.
    pub(crate) code: String,
    /// Any of these statuses is right.
    pub(crate) expect: Vec<String>,
    /// Seconds.
    pub(crate) time: u32,
    pub(crate) runs: u32,
    /// A field of the result and its value.
    pub(crate) result: Option<(String, Value)>,
    pub(crate) says: Option<String>,
    pub(crate) shares_processor: bool,
    /// Names, sorted; `None` where it does not matter.
    pub(crate) plots: Option<Vec<String>>,
}

/// The folder with this file and the programs.
pub(crate) fn read(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// Every program whose name has `part` in it, by name.
pub(crate) fn attacks(part: &str) -> Vec<Attack> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks");
    let entries = |folder: &Path| fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<String> = entries(&folder)
        .filter(|entry| entry.path().is_dir())
        .flat_map(|subject| {
            let subject_name = subject.file_name().into_string().unwrap();
            entries(&subject.path())
                .map(move |file| format!("{subject_name}/{}", file.file_name().to_string_lossy()))
        })
        .collect();
    names.sort();
    assert!(names.len() >= 60, "{} programs", names.len());
    let attacks = names.iter().flat_map(|file| parse(file, &read(file)));
    let attacks: Vec<Attack> = attacks
        .filter(|attack| attack.name.contains(part))
        .collect();
    assert!(!attacks.is_empty(), "no program is called `{part}`");
    attacks
}

fn parse(file: &str, code: &str) -> Vec<Attack> {
    let header: Vec<(&str, &str)> = code
        .lines()
        .map_while(|line| line.strip_prefix("# ")?.split_once(": "))
        .collect();
    let known = [
        "expect", "tries", "time", "runs", "each", "result", "says", "shares", "plots",
    ];
    for (key, _) in &header {
        assert!(known.contains(key), "{file}: `{key}` is none of {known:?}");
    }
    let value = |key: &str| {
        header
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    };
    assert!(value("tries").is_some(), "{file}: `tries` is missing");
    let words: Vec<&str> = value("each").map_or_else(|| vec![""], |each| each.split(' ').collect());
    let attack = |word: &&str| {
        let value = |key: &str| value(key).map(|value| value.replace("EACH", word));
        let common = read("common.py");
        Attack {
            name: format!("{} {word}", file.trim_end_matches(".py"))
                .trim_end()
                .to_owned(),
            code: format!("EACH = {word:?}\n{common}\n{code}"),
            expect: expectations(file, &value("expect").expect("`expect` is there")),
            time: value("time").map_or(TIME, |seconds| seconds.parse().unwrap()),
            runs: value("runs").map_or(1, |runs| runs.parse().unwrap()),
            result: value("result").map(|text| {
                let (field, json) = text.split_once('=').expect("FIELD=JSON");
                (field.to_owned(), serde_json::from_str(json).unwrap())
            }),
            says: value("says"),
            shares_processor: value("shares").is_some(),
            plots: value("plots").map(|names| names.split(' ').map(str::to_owned).collect()),
        }
    };
    words.iter().map(attack).collect()
}

fn expectations(file: &str, text: &str) -> Vec<String> {
    let words: Vec<String> = text.split(" or ").map(str::to_owned).collect();
    for word in &words {
        assert!(
            STATUSES.contains(&word.as_str()),
            "{file}: `{word}` is none of {STATUSES:?}"
        );
    }
    words
}
