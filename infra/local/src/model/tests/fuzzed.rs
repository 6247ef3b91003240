//! Ten thousand damaged answers of a server, none of which makes the endpoint panic or is taken for what it is not.

use annapurna_contract::model::VERDICT_TOOL;
use serde_json::{Value, json};

use super::super::openai::to_answer;
use super::super::wire::ConverseRequest;
use super::verdict_schema;

const ANSWERS: usize = 10_000;
/// What text of models, papers and JSON has in it, and what parsers trip over.
const PIECES: [&str; 28] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    ":",
    ",",
    "`",
    "```",
    "```json\n",
    "\n",
    "> ",
    "<think>",
    "</think>",
    "<paper>",
    "</paper>",
    "\u{201c}",
    "\u{201d}",
    "\u{ab}",
    "\u{0}",
    "\u{1f600}",
    "null",
    "true",
    "-1e999",
    "\"relevant\": true",
    "{\"name\": \"record_verdict\"",
    "\\ud800",
];

fn request() -> ConverseRequest {
    let tool =
        json!({"toolSpec": {"name": VERDICT_TOOL, "inputSchema": {"json": verdict_schema()}}});
    let request = json!({
        "messages": [],
        "toolConfig": {"tools": [tool], "toolChoice": {"tool": {"name": VERDICT_TOOL}}},
    });
    serde_json::from_value(request).unwrap()
}

fn required() -> Vec<String> {
    let schema = verdict_schema();
    let keys = schema["required"].as_array().unwrap().iter();
    keys.map(|key| key.as_str().unwrap().to_owned()).collect()
}

/// The text with some pieces put in, taken out, doubled, or cut off.
fn damaged(random: &mut fastrand::Rng, text: &str) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for _ in 0..random.usize(0..6) {
        let at = random.usize(0..=characters.len());
        match random.u8(0..5) {
            0 => characters.truncate(at.max(1)),
            1 => {
                let end = (at + random.usize(0..20)).min(characters.len());
                characters.drain(at..end);
            }
            2 => {
                let end = (at + random.usize(0..40)).min(characters.len());
                let again: Vec<char> = characters[at..end].to_vec();
                characters.splice(at..at, again);
            }
            _ => {
                let piece = PIECES[random.usize(0..PIECES.len())];
                characters.splice(at..at, piece.chars());
            }
        }
    }
    characters.into_iter().collect()
}

fn any(random: &mut fastrand::Rng) -> Value {
    match random.u8(0..6) {
        0 => Value::Null,
        1 => json!(random.bool()),
        2 => json!(random.f64()),
        3 => json!(PIECES[random.usize(0..PIECES.len())]),
        4 => json!([PIECES[random.usize(0..PIECES.len())]]),
        _ => json!({PIECES[random.usize(0..PIECES.len())]: random.i64(..)}),
    }
}

fn response(random: &mut fastrand::Rng, texts: &[String]) -> Value {
    let whole = random.usize(0..texts.len());
    let text = damaged(random, &texts[whole]);
    let mut response = match random.u8(0..3) {
        0 => {
            let call = json!({"function": {"name": VERDICT_TOOL, "arguments": text}});
            json!({"choices": [{"message": {"content": null, "tool_calls": [call]}}]})
        }
        _ => json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}),
    };
    if random.u8(0..4) == 0 {
        let places = [
            "/choices",
            "/choices/0",
            "/choices/0/message",
            "/choices/0/message/content",
            "/choices/0/message/tool_calls/0/function/arguments",
        ];
        let place = places[random.usize(0..places.len())];
        if let Some(found) = response.pointer_mut(place) {
            *found = any(random);
        }
    }
    response
}

#[test]
fn ten_thousand_damaged_answers_are_calls_with_all_that_is_asked_or_none() {
    let (request, required) = (request(), required());
    let answer: serde_json::Map<String, Value> = required
        .iter()
        .map(|key| (key.clone(), json!("x")))
        .collect();
    let answer = Value::Object(answer).to_string();
    let texts = [
        answer.clone(),
        format!("<think>Is it?</think>\n```json\n{answer}\n```"),
        format!("The abstract says \"{answer}\", so I answer {answer}"),
        json!({"name": VERDICT_TOOL, "arguments": answer}).to_string(),
        format!("> {answer}\nI cannot help with that."),
    ];
    let mut random = fastrand::Rng::with_seed(11);
    let (mut calls, mut others) = (0, 0);
    for _ in 0..ANSWERS {
        let response = response(&mut random, &texts);
        let Ok(answer) = to_answer(&request, &response) else {
            others += 1;
            continue;
        };
        let body = answer.response(std::time::Duration::ZERO);
        let body: Value = serde_json::from_slice(&body).unwrap();
        let block = &body["output"]["message"]["content"][0];
        let is_call_in_text = response.pointer("/choices/0/message/tool_calls").is_none();
        match block.get("toolUse") {
            Some(call) if is_call_in_text => {
                calls += 1;
                let has = |key: &String| call["input"].get(key).is_some();
                assert!(required.iter().all(has), "{response}: {call}");
            }
            Some(call) => assert!(call["input"].is_object(), "{response}"),
            None => {
                others += 1;
                assert!(block["text"].is_string(), "{response}: {block}");
            }
        }
    }
    // Neither of the two is what everything becomes.
    assert!(
        calls > 200 && others > 200,
        "{calls} calls, {others} others"
    );
}
