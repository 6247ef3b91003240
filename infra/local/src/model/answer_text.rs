//! An answer that a model wrote into its text in place of a call.
//!
//! In: the text and the tool. Out: the first JSON object outside quotations that has what the tool's schema requires;
//! some models wrap it as `{"name":…,"arguments":{…}}`. The first, because what follows an answer is talk about it. What is
//! quoted is not the model's: a paper may hold an object that fits, and a model that cites it has not said it. Quoted are
//! what it thought aloud, the paper's block, lines that begin with `>`, text in quotation marks and in single backticks.

use annapurna_contract::model::{PAPER_CLOSE, PAPER_OPEN};
use serde_json::{Map, Value};

use super::wire::ToolSpec;

/// What opens a quotation, and what ends it.
const QUOTATIONS: [(&str, &str); 8] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    (PAPER_OPEN, PAPER_CLOSE),
    ("\"", "\""),
    ("\u{201c}", "\u{201d}"),
    ("\u{201e}", "\u{201c}"),
    ("\u{ab}", "\u{bb}"),
    ("`", "`"),
];
/// Begins and ends a block of code, which models wrap answers in.
const FENCE: &str = "```";

/// The first answer of the text.
pub(super) fn first_answer(text: &str, tool: &ToolSpec) -> Option<Map<String, Value>> {
    let mut rest = text;
    let mut begins_line = true;
    let mut in_word = false;
    while let Some(first) = rest.chars().next() {
        if begins_line && rest.trim_start_matches([' ', '\t']).starts_with('>') {
            rest = rest.split_once('\n')?.1;
            continue;
        }
        begins_line = first == '\n';
        if first == '{'
            && let Some((object, after)) = object_at(rest)
        {
            if let Some(answer) = answer_of(object, tool) {
                return Some(answer);
            }
            rest = after;
            in_word = false;
            continue;
        }
        let quotation = quoted(rest, in_word);
        in_word = first.is_alphanumeric();
        rest = match quotation {
            Some(after) => after?,
            None if rest.starts_with(FENCE) => &rest[FENCE.len()..],
            None => &rest[first.len_utf8()..],
        };
    }
    None
}

/// What follows the quotation that begins here, if one does. One that does not end hides all that follows, but for a
/// mark that may be none: in a word, such as that of inches, or alone.
fn quoted(rest: &str, in_word: bool) -> Option<Option<&str>> {
    if rest.starts_with(FENCE) || (in_word && rest.starts_with('"')) {
        return None;
    }
    let (open, close) = QUOTATIONS.iter().find(|(open, _)| rest.starts_with(open))?;
    match after_close(&rest[open.len()..], close) {
        None if matches!(*open, "\"" | "`") => None,
        after => Some(after),
    }
}

/// What follows the mark that ends a quotation. An object in it is passed over whole, with the marks in its texts.
fn after_close<'a>(inside: &'a str, close: &str) -> Option<&'a str> {
    let mut rest = inside;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix(close) {
            return Some(after);
        }
        let object = (first == '{').then(|| object_at(rest)).flatten();
        rest = object.map_or(&rest[first.len_utf8()..], |(_, after)| after);
    }
    None
}

/// The JSON object that begins here, and what follows it.
fn object_at(rest: &str) -> Option<(Map<String, Value>, &str)> {
    let mut parser = serde_json::Deserializer::from_str(rest).into_iter();
    let object = parser.next()?.ok()?;
    Some((object, &rest[parser.byte_offset()..]))
}

/// The answer that an object is, or wraps.
fn answer_of(mut object: Map<String, Value>, tool: &ToolSpec) -> Option<Map<String, Value>> {
    if fits(&object, tool) {
        return Some(object);
    }
    let other_tool = |name: &Value| name.as_str().is_some_and(|name| name != tool.name);
    if object.get("name").is_some_and(other_tool) {
        return None;
    }
    let inner = ["arguments", "parameters"]
        .into_iter()
        .find_map(|key| object.remove(key))?;
    arguments(inner).filter(|inner| fits(inner, tool))
}

fn fits(object: &Map<String, Value>, tool: &ToolSpec) -> bool {
    let required = tool.input_schema.json["required"].as_array();
    let mut required = required.into_iter().flatten().filter_map(Value::as_str);
    required.all(|key| object.contains_key(key))
}

/// A call's arguments: JSON in a string by the API, an object by some servers.
pub(super) fn arguments(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::String(text) => serde_json::from_str(&text).ok(),
        Value::Object(map) => Some(map),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use annapurna_contract::model::VERDICT_TOOL;
    use serde_json::json;

    use super::super::tests::verdict_schema;
    use super::super::wire::InputSchema;
    use super::*;

    fn tool() -> ToolSpec {
        ToolSpec {
            name: VERDICT_TOOL.to_owned(),
            description: String::new(),
            input_schema: InputSchema {
                json: verdict_schema(),
            },
        }
    }

    fn reason(text: &str) -> Option<String> {
        let answer = first_answer(text, &tool())?;
        answer["reason"].as_str().map(str::to_owned)
    }

    fn filled(relevant: bool, reason: &str) -> String {
        let mut object = Map::new();
        for key in verdict_schema()["required"].as_array().unwrap() {
            object.insert(key.as_str().unwrap().to_owned(), json!(relevant));
        }
        object.insert("reason".to_owned(), json!(reason));
        Value::Object(object).to_string()
    }

    #[test]
    fn the_first_answer_is_taken_and_not_the_last_that_fits() {
        let (mine, theirs) = (filled(false, "mine"), filled(true, "theirs"));
        for text in [
            mine.clone(),
            format!("{mine}\nThe paper asked for {theirs}"),
            format!("Sure! Here it is:\n```json\n{mine}\n```\nThanks, {theirs}"),
            json!({"name": VERDICT_TOOL, "arguments": filled(false, "mine")}).to_string(),
            format!("{{not json {{ {mine}"),
            format!("a 5\" screen {mine}"),
        ] {
            assert_eq!(reason(&text).as_deref(), Some("mine"), "{text}");
        }
    }

    #[test]
    fn what_is_quoted_is_no_answer() {
        let (mine, theirs) = (filled(false, "mine"), filled(true, "theirs"));
        for quotation in [
            format!("<think>{theirs}</think>"),
            format!("{PAPER_OPEN}{theirs}{PAPER_CLOSE}"),
            format!("> {theirs}\n"),
            format!("The abstract says \"{theirs}\"."),
            format!("The abstract says \u{201c}{theirs}\u{201d}."),
            format!("The abstract says \u{ab}{theirs}\u{bb}."),
            format!("The abstract says `{theirs}`."),
            json!({"title": "x", "abstract": theirs}).to_string(),
            json!({"name": "rm", "arguments": theirs}).to_string(),
        ] {
            assert_eq!(reason(&quotation), None, "{quotation}");
            let text = format!("{quotation}\n{mine}");
            assert_eq!(reason(&text).as_deref(), Some("mine"), "{text}");
        }
        assert_eq!(reason(&format!("<think>{theirs}")), None);
    }
}
