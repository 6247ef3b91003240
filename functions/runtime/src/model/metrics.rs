//! What a question to a model took, as CloudWatch metrics.
//!
//! One line of JSON in CloudWatch's embedded metric format, at once on standard output and not through `tracing`, which
//! would put it into a field: CloudWatch reads `_aws` at the top only. Each metric costs (docs/costs.md), so there are
//! three, by stage; tokens, model and paper stand beside them, to search by. No text of a paper or model is in it.
//!
//! Source: CloudWatch User Guide, "Specification: Embedded metric format".

use std::io::{self, Write};

use annapurna_contract::spent::Spender;
use annapurna_contract::{PaperId, Spent};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::ModelError;

const NAMESPACE: &str = "Annapurna/Models";

/// Tells what one question took and whether it was throttled.
pub(super) fn tell(
    spender: Spender,
    model_id: &str,
    paper_id: Option<&PaperId>,
    spent: Spent,
    error: Option<&ModelError>,
) {
    let line = line(spender, model_id, paper_id, spent, error, Utc::now());
    let mut out = io::stdout().lock();
    let told = out
        .write_all(format!("{line}\n").as_bytes())
        .and_then(|()| out.flush());
    if let Err(reason) = told {
        tracing::warn!(%reason, "the metrics of a question are not written");
    }
}

fn line(
    spender: Spender,
    model_id: &str,
    paper_id: Option<&PaperId>,
    spent: Spent,
    error: Option<&ModelError>,
    at: DateTime<Utc>,
) -> Value {
    let throttled = matches!(error, Some(ModelError::Throttled(_)));
    let micro_dollars = u32::try_from(spent.micro_dollars).unwrap_or(u32::MAX);
    json!({
        "_aws": {
            "Timestamp": at.timestamp_millis(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["Stage"]],
                "Metrics": [
                    {"Name": "Calls", "Unit": "Count"},
                    {"Name": "Throttled", "Unit": "Count"},
                    {"Name": "Dollars", "Unit": "None"},
                ],
            }],
        },
        "Stage": spender.as_str(),
        "Calls": spent.calls,
        "Throttled": u32::from(throttled),
        "Dollars": f64::from(micro_dollars) / 1e6,
        "InputTokens": spent.input_tokens,
        "OutputTokens": spent.output_tokens,
        "CacheReadTokens": spent.cache_read_tokens,
        "CacheWriteTokens": spent.cache_write_tokens,
        "ModelId": model_id,
        "PaperId": paper_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Said;

    #[test]
    fn a_line_has_what_it_declares_and_nothing_else_is_a_metric() {
        let spent = Spent {
            calls: 2,
            input_tokens: 1_000,
            micro_dollars: 1_500_000,
            ..Spent::default()
        };
        let throttled = ModelError::Throttled(Said {
            model_id: "m".to_owned(),
            reason: "slow down".to_owned(),
        });
        let paper = PaperId::of("Adam", None);
        let at = DateTime::from_timestamp_millis(1_763_800_000_123).unwrap();
        let line = line(
            Spender::Judge,
            "m",
            Some(&paper),
            spent,
            Some(&throttled),
            at,
        );
        let declared = line["_aws"]["CloudWatchMetrics"][0].clone();
        for metric in declared["Metrics"].as_array().unwrap() {
            assert!(
                line[metric["Name"].as_str().unwrap()].is_number(),
                "{metric}"
            );
        }
        assert_eq!(declared["Dimensions"], json!([["Stage"]]));
        assert_eq!(
            (&line["Stage"], &line["Dollars"]),
            (&json!("judge"), &json!(1.5))
        );
        assert_eq!(
            (&line["Throttled"], &line["PaperId"]),
            (&json!(1), &json!(paper))
        );
        assert!(!line.to_string().contains("slow down"));
    }
}
