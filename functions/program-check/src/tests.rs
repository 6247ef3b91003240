//! The rules, tried out.

mod bad;
mod good;
mod hostile;
mod syntax;

use annapurna_contract::Backend;

use crate::{Report, Rules, look};

/// The program that the others differ from in one place.
const GOOD: &str = include_str!("../tests/programs/good.py");

fn seen(code: &str, backend: Backend) -> Report {
    let rules = Rules {
        datasets: &["mnist", "synthetic", "synthetic_images", "synthetic_tokens"],
        backend,
    };
    look(code, &rules)
}

/// The good program with one place of it changed.
fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replace(from, to)
}

/// The good program with more in front of its training.
fn having(lines: &str) -> String {
    let more: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    with(
        "    torch.manual_seed(SEED)\n",
        &format!("    torch.manual_seed(SEED)\n{more}"),
    )
}

#[test]
fn every_rule_is_on_the_page_of_rules() {
    let page = include_str!("../../../docs/programs.md");
    for rule in crate::Rule::ALL {
        let row = format!("| `{rule}` | {} |", rule.in_words());
        assert!(page.contains(&row), "{row}");
    }
    for module in crate::modules::names(Backend::Xla) {
        assert!(page.contains(&format!("`{module}`")), "{module}");
    }
    assert_eq!(page.matches("\n| `").count(), crate::Rule::ALL.len());
}
