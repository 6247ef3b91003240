//! What a run did, as CloudWatch metrics.
//!
//! In: a run's summary. Out: one line of JSON in CloudWatch's embedded metric format, from which
//! CloudWatch Logs makes the metrics; no call to CloudWatch is made. The line goes to standard output
//! as it is, not through `tracing`, which would put it into a field: CloudWatch reads `_aws` at the
//! top only. Lambda passes such a line on unchanged with either log format: text is not wrapped for
//! the runtimes that bring their own program, and what is JSON already is not encoded again.
//!
//! Sources: CloudWatch User Guide, "Specification: Embedded metric format"; Lambda Developer Guide,
//! "Configuring JSON and plain text log formats".

use std::io::{self, Write};

use annapurna_contract::scrape::{ScrapeErrorType, ScrapeSummary, SourceChoice};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

/// Where CloudWatch shows the metrics.
pub const NAMESPACE: &str = "Annapurna/Scrapers";
/// The one dimension of every metric.
pub const DIMENSION: &str = "Source";

/// The line of a run that came to its end. `n_blocked` is the number of documents that sites held
/// back: [`annapurna_paper_sources::http::Http::take_blocked`].
pub fn of_run(summary: &ScrapeSummary, n_blocked: u64, at: DateTime<Utc>) -> Value {
    let metrics = [
        ("Found", count(summary.found)),
        ("Stored", count(summary.stored)),
        ("Queued", count(summary.queued)),
        ("Already", count(summary.already)),
        ("MetadataOnly", count(summary.metadata_only)),
        ("Failed", count(summary.n_failed())),
        ("Blocked", n_blocked),
    ];
    line(&summary.source, &metrics, at)
}

/// The line of a run that failed as a whole; `kind` is kept beside the metric, to search by.
pub fn of_failed_run(
    source: &str,
    kind: ScrapeErrorType,
    n_blocked: u64,
    at: DateTime<Utc>,
) -> Value {
    let mut line = line(source, &[("RunFailed", 1), ("Blocked", n_blocked)], at);
    line["ErrorType"] = json!(kind.name());
    line
}

/// Writes a line to standard output.
///
/// # Errors
///
/// When nothing can be written there.
pub fn emit(line: &Value) -> io::Result<()> {
    write_line(&mut io::stdout().lock(), line)
}

/// One write for the whole line, so that no other line gets into it.
fn write_line(out: &mut impl Write, line: &Value) -> io::Result<()> {
    out.write_all(format!("{line}\n").as_bytes())?;
    out.flush()
}

fn line(source: &str, metrics: &[(&str, u64)], at: DateTime<Utc>) -> Value {
    let definitions: Vec<Value> = metrics
        .iter()
        .map(|(name, _)| json!({"Name": name, "Unit": "Count"}))
        .collect();
    let mut line = Map::new();
    let directive = json!({
        "Namespace": NAMESPACE,
        "Dimensions": [[DIMENSION]],
        "Metrics": definitions,
    });
    let about = json!({"Timestamp": at.timestamp_millis(), "CloudWatchMetrics": [directive]});
    line.insert("_aws".to_owned(), about);
    line.insert(DIMENSION.to_owned(), json!(dimension(source)));
    for (name, value) in metrics {
        line.insert((*name).to_owned(), json!(value));
    }
    Value::Object(line)
}

/// A source's name. Every other value would be a metric of its own, which costs: a typing error in an
/// event must not make one.
fn dimension(source: &str) -> &str {
    match SourceChoice::parse(source) {
        Some(choice) if choice.name() == source => source,
        _ => "UNKNOWN",
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use annapurna_contract::scrape::FailedPaper;

    use super::*;

    fn at() -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_763_800_000_123).unwrap()
    }

    fn names(line: &Value) -> Vec<&str> {
        let metrics = &line["_aws"]["CloudWatchMetrics"][0]["Metrics"];
        let metrics = metrics.as_array().unwrap();
        metrics
            .iter()
            .map(|metric| metric["Name"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn every_metric_that_is_declared_has_its_number_at_the_top() {
        let failed = FailedPaper {
            paper: "1".to_owned(),
            title: None,
            error: "blocked at \n\u{1b}".to_owned(),
        };
        let summary = ScrapeSummary {
            source: "ICLR".to_owned(),
            found: 7,
            stored: 4,
            queued: 5,
            already: 1,
            metadata_only: 2,
            failed: vec![failed],
            failed_not_listed: 2,
            ..ScrapeSummary::default()
        };
        let line = of_run(&summary, 9, at());
        let values: Vec<u64> = names(&line)
            .into_iter()
            .map(|name| line[name].as_u64().unwrap())
            .collect();
        assert_eq!(values, [7, 4, 5, 1, 2, 3, 9]);
        assert_eq!(line["_aws"]["Timestamp"], 1_763_800_000_123_i64);
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "Annapurna/Scrapers");
        assert_eq!(directive["Dimensions"], json!([["Source"]]));
        assert_eq!(line["Source"], "ICLR");
        let mut out = Vec::new();
        write_line(&mut out, &line).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(r#"{"_aws":{"Timestamp":1763800000123"#));
        assert_eq!(text.lines().count(), 1);
        assert!(!text.contains("blocked at"), "papers are not in the line");
    }

    #[test]
    fn a_failed_run_is_counted_with_its_kind_beside_it() {
        let line = of_failed_run("BOTH", ScrapeErrorType::SourceBlocked, 1, at());
        assert_eq!(names(&line), ["RunFailed", "Blocked"]);
        assert_eq!(
            (&line["RunFailed"], &line["Blocked"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(line["ErrorType"], "SourceBlocked");
    }

    #[test]
    fn only_sources_are_values_of_the_dimension() {
        for source in ["ICLR", "ICML", "NEURIPS", "MLSYS", "ARXIV", "BOTH"] {
            assert_eq!(dimension(source), source);
        }
        for other in ["", "CVPR", "iclr"] {
            assert_eq!(dimension(other), "UNKNOWN");
        }
    }
}
