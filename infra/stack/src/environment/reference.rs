//! `docs/settings.md`, made from the types of an environment's file and held against what they accept.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use schemars::schema_for;
use serde_json::Value;

use super::Environment;
use super::file::EnvironmentFile;

const INTRODUCTION: &str = "\
# Settings

Every key of a file in `environments/`, made from the types that read it; a test compares. A key that is not known is
an error with its line and the nearest known key, and all values out of range are told together. To write this file
anew: `UPDATE_DOCS=1 cargo test -p annapurna-stack settings_reference`.
";

/// One key as the types describe it.
struct Setting {
    /// `scraper`, `local.model`; empty for the keys above the first table.
    table: String,
    key: String,
    kind: String,
    /// `; optional`, and beside which choice of `backend` it stands.
    need: String,
    /// What a number must lie between, both included.
    range: Option<(f64, f64)>,
    description: String,
}

fn settings() -> Vec<Setting> {
    let schema = schema_for!(EnvironmentFile).to_value();
    let mut found = Vec::new();
    collect(&schema, &schema, "", &mut found);
    found
}

/// Adds the keys of one object of the schema, then those of the tables in it.
fn collect(schema: &Value, object: &Value, table: &str, found: &mut Vec<Setting>) {
    let choice = choice(object);
    let mut tables = Vec::new();
    for (key, property) in object["properties"].as_object().into_iter().flatten() {
        if property.get("const").is_some() {
            continue;
        }
        let forms = forms(schema, property);
        let (inner, values): (Vec<&Value>, Vec<&Value>) = forms
            .iter()
            .copied()
            .partition(|form| form.get("properties").is_some());
        if !values.is_empty() {
            found.push(Setting {
                table: table.to_owned(),
                key: key.clone(),
                kind: kind(&values),
                need: need(object, key, choice.as_deref()),
                range: range(&values),
                description: words(property).unwrap_or_default(),
            });
        }
        let dot = if table.is_empty() { "" } else { "." };
        tables.push((format!("{table}{dot}{key}"), inner));
    }
    for (path, inner) in tables {
        let choices: Vec<String> = inner.iter().filter_map(|it| self::choice(it)).collect();
        if !choices.is_empty() {
            found.push(Setting {
                table: path.clone(),
                key: "backend".to_owned(),
                kind: choices.join(", "),
                need: String::new(),
                range: None,
                description: "Which of these it is; each has keys of its own.".to_owned(),
            });
        }
        for table in inner {
            collect(schema, table, &path, found);
        }
    }
}

/// The word that chooses this table among several: `backend = "openai"`.
fn choice(table: &Value) -> Option<String> {
    let value = table["properties"].get("backend")?.get("const")?;
    Some(format!("`{value}`"))
}

/// Whether a key must be there, and beside which choice.
fn need(object: &Value, key: &str, choice: Option<&str>) -> String {
    let required = object["required"].as_array();
    let required = required.is_some_and(|keys| keys.iter().any(|it| it == key));
    let optional = if required { "" } else { "; optional" };
    choice.map_or(optional.to_owned(), |it| format!("{optional}; with {it}"))
}

fn range(values: &[&Value]) -> Option<(f64, f64)> {
    let of = |form: &&Value| Some((form["minimum"].as_f64()?, form["maximum"].as_f64()?));
    values.iter().find_map(of)
}

/// What a property may be, references resolved: one form, or each alternative but `null`.
fn forms<'a>(schema: &'a Value, property: &'a Value) -> Vec<&'a Value> {
    if let Some(name) = property["$ref"].as_str() {
        let definition = schema.pointer(name.trim_start_matches('#')).unwrap();
        return forms(schema, definition);
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(alternatives) = property[key].as_array() {
            return alternatives
                .iter()
                .filter(|it| it["type"] != "null")
                .flat_map(|it| forms(schema, it))
                .collect();
        }
    }
    vec![property]
}

fn kind(values: &[&Value]) -> String {
    let mut words = Vec::new();
    for value in values {
        if let Some(text) = value.get("const") {
            words.push(format!("`{text}`"));
        } else if let Some(options) = value["enum"].as_array() {
            words.extend(options.iter().map(|option| format!("`{option}`")));
        } else {
            words.push(word(&value["type"]).to_owned());
        }
    }
    words.join(", ")
}

/// A type of JSON Schema in plain words; `null` besides means that the key may be absent.
fn word(kind: &Value) -> &'static str {
    let of = |name: &str| {
        kind == name
            || kind
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(|it| it == name))
    };
    match () {
        () if of("string") => "text",
        () if of("boolean") => "true or false",
        () if of("array") => "list of texts",
        () if of("object") => "table of texts",
        () if of("integer") || of("number") => "number",
        () => panic!("a setting of type {kind}"),
    }
}

/// A description on one line.
fn words(property: &Value) -> Option<String> {
    let text = property["description"].as_str()?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn page() -> String {
    let schema = schema_for!(EnvironmentFile).to_value();
    let mut page = INTRODUCTION.to_owned();
    let mut table = None;
    for setting in settings() {
        if table.as_ref() != Some(&setting.table) {
            let title = if setting.table.is_empty() {
                "Above the first table".to_owned()
            } else {
                format!("`[{}]`", setting.table)
            };
            let about = schema["properties"].get(&setting.table).and_then(words);
            let about = about.map_or(String::new(), |it| format!("{it}\n\n"));
            write!(
                page,
                "\n## {title}\n\n{about}| Key | Value | What it is |\n|---|---|---|\n"
            )
            .unwrap();
            table = Some(setting.table.clone());
        }
        let range = setting.range.map_or(String::new(), |(least, most)| {
            format!(", {least} to {most}")
        });
        writeln!(
            page,
            "| `{}` | {}{range}{} | {} |",
            setting.key, setting.kind, setting.need, setting.description
        )
        .unwrap();
    }
    page
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_settings_reference_is_what_the_types_say() {
    let path = project().join("docs/settings.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap();
    assert_eq!(there, page, "write it anew with UPDATE_DOCS=1");
}

#[test]
fn every_setting_of_the_reference_is_described() {
    let settings = settings();
    assert!(settings.len() > 40, "{}", settings.len());
    for setting in settings {
        assert!(
            setting.description.split(' ').count() > 1,
            "{}.{} says nothing",
            setting.table,
            setting.key
        );
    }
}

/// `file` with one key of one table set to another value.
fn with(file: &toml::Table, setting: &Setting, value: f64, whole: bool) -> String {
    let mut file = file.clone();
    let mut table = &mut file;
    for part in setting.table.split('.') {
        table = table[part].as_table_mut().unwrap();
    }
    let value = if whole {
        toml::Value::Integer(value as i64)
    } else {
        toml::Value::Float(value)
    };
    table.insert(setting.key.clone(), value);
    toml::to_string(&file).unwrap()
}

#[test]
fn both_sides_of_every_range_are_as_the_reference_says() {
    let text = std::fs::read_to_string(project().join("environments/prod.toml")).unwrap();
    let file: toml::Table = text.parse().unwrap();
    let mut n_ranges = 0;
    for setting in settings() {
        let Some((least, most)) = setting.range else {
            let is_number = setting.kind == "number" && setting.key != "log-retention-days";
            assert!(!is_number, "{} has no range", setting.key);
            continue;
        };
        let whole = least.fract() == 0.0;
        let step = if whole { 1.0 } else { 0.01 };
        let parse = |value| {
            let text = with(&file, &setting, value, whole);
            Environment::parse("prod", Path::new("prod.toml"), &text)
        };
        for inside in [least, most] {
            assert!(parse(inside).is_ok(), "{} = {inside}", setting.key);
        }
        for outside in [least - step, most + step] {
            assert!(parse(outside).is_err(), "{} = {outside}", setting.key);
        }
        n_ranges += 1;
    }
    assert!(n_ranges > 15, "{n_ranges}");
}
