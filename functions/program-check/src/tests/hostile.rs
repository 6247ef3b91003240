//! Programs that are set on ending or holding up the process that checks them.

use std::time::{Duration, Instant};

use annapurna_contract::Backend;

use super::{GOOD, seen};
use crate::{CODE_LIMIT, Rule};

#[test]
fn nesting_and_length_cannot_end_the_process() {
    for code in [
        format!("{}1{}", "(".repeat(30_000), ")".repeat(30_000)),
        format!("import torch\nx = a{}", ".a".repeat(30_000)),
        format!("x = {}1", "not ".repeat(15_000)),
        format!("x = 1{}", "+1".repeat(30_000)),
        format!("x = {}", "[".repeat(60_000)),
        format!("x = {}1{}", "[1 for x in ".repeat(3_000), "]".repeat(3_000)),
        format!("x = {}1", "lambda: ".repeat(8_000)),
        format!("x = f{}", "()".repeat(30_000)),
        "a = a\n".repeat(10_000),
        (0..200)
            .map(|depth| format!("{}if 1:\n", " ".repeat(depth)))
            .collect::<String>()
            + &" ".repeat(200)
            + "x = 1\n",
        "def f(): f()\n".repeat(4_000),
        "while 1: pass\n".repeat(4_000),
    ] {
        let begin = Instant::now();
        let report = seen(&code, Backend::Xla);
        assert!(!report.findings.is_empty());
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "{}",
            &code[..60.min(code.len())]
        );
    }
}

#[test]
fn what_is_too_long_is_not_looked_at() {
    let report = seen(&"x".repeat(CODE_LIMIT + 1), Backend::Cpu);
    assert_eq!(report.findings[0].rule, Rule::Length);
    assert_eq!(report.facts, None);
    assert!(!seen("x = '\0'", Backend::Cpu).findings.is_empty());
}

/// Cuts, repeats and swaps pieces of programs: whatever comes of it, there is an answer.
#[test]
fn four_thousand_mutations_have_an_answer() {
    let mut random = fastrand::Rng::with_seed(11);
    let cases: Vec<char> = include_str!("../../tests/data/test_syntax.json")
        .chars()
        .collect();
    for _ in 0..4_000 {
        let mut code: Vec<char> = GOOD.chars().collect();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..code.len());
            let end = (at + random.usize(..40)).min(code.len());
            let piece: Vec<char> = match random.u8(..4) {
                0 => Vec::new(),
                1 => code[at..end].repeat(random.usize(1..4)),
                2 => {
                    let from = random.usize(..cases.len() - 40);
                    cases[from..from + random.usize(1..40)].to_vec()
                }
                _ => vec![random.char(..)],
            };
            code.splice(at..end, piece);
        }
        let code: String = code.into_iter().collect();
        let report = seen(&code, Backend::Xla);
        let panicked = report
            .findings
            .iter()
            .any(|it| it.message.contains("cannot be checked"));
        assert!(!panicked, "{code}");
    }
}
