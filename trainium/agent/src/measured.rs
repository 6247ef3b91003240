//! What the harness in the program's process saw of it.
//!
//! `measuring.py` leaves it as a file in the program's working folder, where the program can write whatever it likes: a
//! link, a pipe, a gigabyte, numbers that never were. So it is read like every other file of a program, and as a claim of
//! the harness at most: it never says how the run ended.

use annapurna_contract::{Evaluation, Measured};

use crate::plots::read_regular;
use crate::run_dir::RunFiles;

/// The file's name in the program's working folder.
pub(crate) const MEASURED_FILE: &str = ".measured.json";
/// The variable that names it to the program.
pub(crate) const MEASURED_VARIABLE: &str = "MEASURED_FILE";
/// Largest report that is read, bytes; the harness writes a third of it at most.
const MAX_REPORT: u64 = 128 * 1024;
/// Most of each list, as `measuring.py` has it.
const MAX_DATASETS: usize = 16;
const MAX_OPTIMIZERS: usize = 16;
const MAX_LOSSES: usize = 64;
const MAX_EVALUATIONS: usize = 64;
/// Longest name, characters.
const MAX_NAME: usize = 40;

/// The report of a run; `None` where there is none that can be read.
pub(crate) fn read(files: &RunFiles) -> Option<Measured> {
    let bytes = read_regular(files, MEASURED_FILE.as_ref(), MAX_REPORT)?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Option<Measured> {
    let mut measured: Measured = serde_json::from_slice(bytes).ok()?;
    measured.datasets.retain(|name| is_name(name));
    measured.datasets.truncate(MAX_DATASETS);
    measured.optimizers.truncate(MAX_OPTIMIZERS);
    for training in &mut measured.optimizers {
        training.losses.truncate(MAX_LOSSES);
    }
    measured.evaluations.retain(is_measurement);
    measured.evaluations.truncate(MAX_EVALUATIONS);
    Some(measured)
}

fn is_name(name: &str) -> bool {
    let fits = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.');
    !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(fits)
}

/// Whether an evaluation says what can be: `evaluate` writes no other.
fn is_measurement(found: &Evaluation) -> bool {
    let names = [&found.name, &found.dataset, &found.split];
    let accuracy = found.accuracy.is_none_or(|it| (0.0..=1.0).contains(&it));
    names.into_iter().all(|it| is_name(it)) && accuracy
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parsed(report: &Value) -> Option<Measured> {
        parse(report.to_string().as_bytes())
    }

    #[test]
    fn a_report_is_cut_to_what_the_harness_writes() {
        let evaluation = |name: &str, accuracy: f64| json!({"name": name, "dataset": "mnist", "split": "test", "samples": 9, "accuracy": accuracy});
        let report = json!({
            "datasets": ["mnist", "a b", "", "x".repeat(41)],
            "batches": 3, "steps": 3,
            "optimizers": vec![json!({"steps": 3, "losses": vec![0.5; 1_000]}); 100],
            "evaluations": [evaluation("method", 0.5), evaluation("\u{1b}[2J", 0.5), evaluation("method", 9.0)],
        });
        let measured = parsed(&report).unwrap();
        assert_eq!(measured.datasets, ["mnist"]);
        assert_eq!((measured.batches, measured.samples), (3, 0));
        assert_eq!(measured.optimizers.len(), MAX_OPTIMIZERS);
        assert_eq!(measured.optimizers[0].losses.len(), MAX_LOSSES);
        assert_eq!(measured.evaluations.len(), 1);
    }

    #[test]
    fn what_is_no_report_is_none() {
        for report in [
            "",
            "{",
            "null",
            "{\"steps\": -1}",
            "{\"steps\": 1e999}",
            "{\"optimizers\": [{\"steps\": 1, \"losses\": [NaN]}]}",
            "{\"status\": \"success\", \"steps\": \"many\"}",
        ] {
            assert_eq!(parse(report.as_bytes()), None, "{report}");
        }
        let deep = format!("{{\"datasets\": {}", "[".repeat(50_000));
        assert_eq!(parse(deep.as_bytes()), None);
        let null = json!({"optimizers": [{"steps": 1, "losses": [null, 1.0]}]});
        let losses = &parsed(&null).unwrap().optimizers[0].losses;
        assert_eq!(losses, &[None, Some(1.0)]);
    }
}
