//! Reads the numbers a program reports: lines `METRICS: {"training_loss": 0.02}` on its output.
//!
//! The text is the program's and hostile. Whatever is no JSON object, or too much, is counted and left
//! out; nothing here fails. Python writes `NaN` and `Infinity`, which JSON does not know: they become
//! `null`, and are remembered: a program whose last word is one of them has failed, as has one that reports an
//! accuracy of 9 ([`Metrics::impossible`]).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use annapurna_contract::text::escaped;
use serde_json::{Map, Value};

/// How a line of numbers begins.
const MARKER: &str = "METRICS:";
/// Longest line that is read, bytes.
const MAX_LINE: usize = 64 * 1024;
/// Most lines that are read.
const MAX_LINES: usize = 10_000;
/// Most names after merging.
const MAX_NAMES: usize = 256;
/// Longest name of a metric, bytes; a longer one is left out.
const MAX_NAME: usize = 256;
/// Most of a name in a message, characters.
const SHOWN_NAME: usize = 80;
/// Longest JSON after merging, bytes. The index refuses documents far larger.
const MAX_TOTAL: usize = 256 * 1024;

/// What a program reported.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Metrics {
    /// Names and values; a later line replaces what an earlier one said.
    pub(crate) values: Map<String, Value>,
    /// Lines or names that could not be taken.
    pub(crate) ignored: usize,
    /// Names whose value has a NaN or an infinity in it.
    not_finite: BTreeSet<String>,
}

impl Metrics {
    /// Reads a program's standard output.
    pub(crate) fn parse(stdout: &[u8]) -> Self {
        let mut metrics = Self::default();
        let mut total = 0;
        let text = String::from_utf8_lossy(stdout);
        let reports = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(MARKER));
        for (count, report) in reports.enumerate() {
            match parse_report(report).filter(|_| count < MAX_LINES) {
                Some(report) => metrics.merge(report, &mut total),
                None => metrics.ignored += 1,
            }
        }
        metrics
    }

    /// `total` is the size of everything kept, in bytes of JSON.
    fn merge(&mut self, report: ReportLine, total: &mut usize) {
        for (name, value) in report.values {
            let size = name.len() + value.to_string().len() + 4;
            let replaced = self
                .values
                .get(&name)
                .map_or(0, |old| name.len() + old.to_string().len() + 4);
            let is_new = replaced == 0;
            let too_much = name.len() > MAX_NAME
                || *total - replaced + size > MAX_TOTAL
                || (is_new && self.values.len() >= MAX_NAMES);
            if too_much {
                self.ignored += 1;
                continue;
            }
            *total = *total - replaced + size;
            match report.has_replaced && has_null(&value) {
                true => self.not_finite.insert(name.clone()),
                false => self.not_finite.remove(&name),
            };
            self.values.insert(name, value);
        }
    }

    /// Why what the program said last of something cannot be; `None` where all of it can.
    pub(crate) fn impossible(&self) -> Option<String> {
        if let Some(name) = self.not_finite.first() {
            let name = escaped(name, SHOWN_NAME);
            return Some(format!("METRICS: {name} is not a finite number"));
        }
        self.values.iter().find_map(|(name, value)| {
            let value = value.as_f64()?;
            let range = range_of(name)?;
            let name = escaped(name, SHOWN_NAME);
            (!range.0.contains(&value))
                .then(|| format!("METRICS: {name} is {value}, and it is {}", range.1))
        })
    }
}

/// What a metric can be, by the end of its name: as `dataset_loader.evaluate` gives it.
fn range_of(name: &str) -> Option<(RangeInclusive<f64>, &'static str)> {
    let name = name.to_ascii_lowercase();
    if name.ends_with("accuracy") {
        Some((0.0..=1.0, "from 0 to 1"))
    } else if name.ends_with("perplexity") {
        // Rounding may bring one of 1 a little lower.
        Some((0.999..=f64::MAX, "at least 1"))
    } else {
        None
    }
}

/// One line of numbers.
struct ReportLine {
    values: Map<String, Value>,
    /// Whether something in it became `null`.
    has_replaced: bool,
}

fn parse_report(report: &str) -> Option<ReportLine> {
    if report.len() > MAX_LINE {
        return None;
    }
    let clean = without_nan(report);
    match serde_json::from_str(&clean) {
        Ok(Value::Object(values)) => Some(ReportLine {
            values,
            has_replaced: clean != report,
        }),
        _ => None,
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.iter().any(has_null),
        Value::Object(values) => values.values().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Replaces Python's `NaN`, `Infinity` and `-Infinity` outside strings by `null`.
fn without_nan(json: &str) -> String {
    let mut clean = String::with_capacity(json.len());
    let mut rest = json;
    let mut in_string = false;
    while let Some(character) = rest.chars().next() {
        let token = ["-Infinity", "Infinity", "NaN"]
            .into_iter()
            .find(|token| !in_string && rest.starts_with(token));
        let taken = match (token, character) {
            (Some(token), _) => {
                clean.push_str("null");
                token.len()
            }
            (None, '\\') if in_string => {
                let escaped = rest.chars().nth(1).map_or(0, char::len_utf8);
                clean.push_str(&rest[..1 + escaped]);
                1 + escaped
            }
            (None, _) => {
                in_string ^= character == '"';
                clean.push(character);
                character.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    clean
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> (Value, usize) {
        let metrics = Metrics::parse(text.as_bytes());
        (Value::Object(metrics.values), metrics.ignored)
    }

    #[test]
    fn a_later_line_replaces_what_an_earlier_one_said() {
        let output = "hello\nMETRICS: {\"loss\": 2, \"epoch\": 1}\n  METRICS: {\"loss\": 0.5}\n";
        assert_eq!(parse(output), (json!({"loss": 0.5, "epoch": 1}), 0));
    }

    #[test]
    fn pythons_nan_and_infinity_become_null_outside_strings() {
        let output = r#"METRICS: {"a": NaN, "b": [-Infinity, Infinity], "NaN \" NaN": "NaN"}"#;
        let expected = json!({"a": null, "b": [null, null], "NaN \" NaN": "NaN"});
        assert_eq!(parse(output), (expected, 0));
    }

    #[test]
    fn the_last_word_must_be_a_number_that_can_be() {
        let impossible = |output: &str| Metrics::parse(output.as_bytes()).impossible();
        let said = |output: &str| impossible(output).unwrap_or_default();
        assert_eq!(
            said("METRICS: {\"loss\": NaN, \"x\": 1}"),
            "METRICS: loss is not a finite number"
        );
        assert!(said("METRICS: {\"curve\": [1, -Infinity]}").contains("curve"));
        assert_eq!(
            said("METRICS: {\"method_accuracy\": 93.4}"),
            "METRICS: method_accuracy is 93.4, and it is from 0 to 1"
        );
        assert!(said("METRICS: {\"Perplexity\": 0.5}").contains("at least 1"));
        for fine in [
            "METRICS: {\"loss\": NaN}\nMETRICS: {\"loss\": 0.5}",
            "METRICS: {\"loss\": null, \"accuracy\": \"NaN\"}",
            "METRICS: {\"accuracy\": 1, \"baseline_accuracy\": 0.0, \"perplexity\": 1}",
            "METRICS: {\"accuracy_gain\": -0.1, \"loss\": -3.5}",
            "METRICS: {\"loss\": NaN, }",
        ] {
            assert_eq!(impossible(fine), None, "{fine}");
        }
    }

    #[test]
    fn garbage_is_counted_and_left_out() {
        let output = "METRICS: \nMETRICS: [1]\nMETRICS: {'a': 1}\nMETRICS: {\"a\": 1e999}\n\
                      METRICS: {\"a\\\nMETRICS:{\"é\":{\"nested\":[1]}}\nMETRICSX: {}";
        assert_eq!(parse(output), (json!({"é": {"nested": [1]}}), 5));
    }

    #[test]
    fn bytes_that_are_no_text_do_not_matter() {
        let metrics = Metrics::parse(b"\xff\xfe\nMETRICS: {\"a\": 1}\n\xc3");
        assert_eq!(metrics.values.len(), 1);
    }

    #[test]
    fn names_and_size_are_limited() {
        let many: String = (0..300)
            .map(|n| format!("METRICS: {{\"m{n}\": {n}}}\n"))
            .collect();
        let metrics = Metrics::parse(many.as_bytes());
        assert_eq!((metrics.values.len(), metrics.ignored), (MAX_NAMES, 44));

        let big = "x".repeat(60_000);
        let output: String = (0..10)
            .map(|n| format!("METRICS: {{\"m{n}\": \"{big}\"}}\n"))
            .collect();
        assert_eq!(Metrics::parse(output.as_bytes()).values.len(), 4);
        let deep = format!("METRICS: {{\"a\": {}", "[".repeat(50_000));
        assert_eq!(Metrics::parse(deep.as_bytes()).ignored, 1);
    }
}
