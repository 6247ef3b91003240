//! The line `METRICS: {…}`: there, about method and baseline, and of numbers that were computed.

use annapurna_contract::text::one_line;
use ruff_python_ast::{Expr, FStringPart, InterpolatedStringElement, Stmt};
use ruff_text_size::Ranged;

use crate::finding::{Finding, Rule};
use crate::missing;
use crate::program::{Place, Program};
use crate::reach::Reach;
use crate::rules::evaluation::MEASURED;
use crate::scope::Bound;

/// What the line begins with.
const LINE: &str = "METRICS:";
/// What of a key says that its value is a result.
const RESULTS: [&str; 10] = [
    "accuracy",
    "acc",
    "loss",
    "perplexity",
    "ppl",
    "error",
    "score",
    "f1",
    "auc",
    "bleu",
];

pub(crate) fn look(program: &Program<'_>, reach: &Reach) -> Vec<Finding> {
    let words = words(program, reach);
    let prints = program.calls().any(|(call, place)| {
        reach.is_live(place)
            && program
                .called(call, place)
                .is_some_and(|path| path == "print" || path == "sys.stdout.write")
    });
    let has_line = prints && words.iter().any(|word| word.trim_start().starts_with(LINE));
    if !has_line {
        let message = "print one line `METRICS: ` and behind it, by `json.dumps`, an object with keys \
`method_…` and `baseline_…`";
        return vec![missing(Rule::Metrics, message)];
    }
    let mut found = Vec::new();
    for name in MEASURED {
        if !has_key(&words, name) {
            let message = format!("METRICS has no key that begins with `{name}_`");
            found.push(missing(Rule::Metrics, message));
        }
    }
    found.extend(invented(program, reach));
    found
}

/// A key that begins with the name, or one that is put together with it: `f"{name}_accuracy"`.
fn has_key(words: &[&str], name: &str) -> bool {
    let prefix = format!("{name}_");
    let is_key = |word: &&str| {
        word.starts_with(&prefix) || word.contains(&format!("\"{prefix}")) || *word == prefix
    };
    let is_put_together = words.contains(&name)
        && words.iter().any(|word| {
            let rest = word.strip_prefix('_').unwrap_or("");
            RESULTS.iter().any(|result| rest.contains(result))
        });
    words.iter().any(is_key) || is_put_together
}

/// Every word in what is reached, also the parts of f-strings.
pub(crate) fn words<'a>(program: &Program<'a>, reach: &Reach) -> Vec<&'a str> {
    let mut words = Vec::new();
    let live = program.exprs.iter().filter(|at| reach.is_live(at.place));
    for at in live {
        match at.node {
            Expr::StringLiteral(it) => words.push(it.value.to_str()),
            Expr::FString(it) => {
                for part in it.value.iter() {
                    match part {
                        FStringPart::Literal(it) => words.push(it.as_str()),
                        FStringPart::FString(it) => {
                            words.extend(it.elements.iter().filter_map(|element| match element {
                                InterpolatedStringElement::Literal(it) => Some(&*it.value),
                                InterpolatedStringElement::Interpolation(_) => None,
                            }));
                        }
                    }
                }
            }
            _ => {}
        }
    }
    words
}

/// Results that stand in the program.
fn invented(program: &Program<'_>, reach: &Reach) -> Vec<Finding> {
    let mut found = Vec::new();
    for at in program.exprs.iter().filter(|at| reach.is_live(at.place)) {
        match at.node {
            Expr::Dict(it) => {
                for item in &it.items {
                    let Some(Expr::StringLiteral(key)) = &item.key else {
                        continue;
                    };
                    let key = key.value.to_str();
                    if is_result(key) && stands(program, &item.value, at.place) {
                        found.push(told(program, &item.value, key));
                    }
                }
            }
            Expr::StringLiteral(it) => {
                let word = it.value.to_str();
                if let Some(key) = key_with_number(word) {
                    found.push(told(program, at.node, key));
                }
            }
            _ => {}
        }
    }
    for at in program.stmts.iter().filter(|at| reach.is_live(at.place)) {
        if let Stmt::Assign(it) = at.node
            && let [Expr::Subscript(target)] = it.targets.as_slice()
            && let Expr::StringLiteral(key) = &*target.slice
            && is_result(key.value.to_str())
            && stands(program, &it.value, at.place)
        {
            found.push(told(program, at.node, key.value.to_str()));
        }
    }
    found
}

fn told(program: &Program<'_>, at: &impl Ranged, key: &str) -> Finding {
    let message = format!(
        "`{}` is a number that stands in the program: print what `evaluate` or the training gave",
        one_line(key, 60)
    );
    program.finding(Rule::InventedMetrics, at, message)
}

/// `method_accuracy` and the like; `method_epochs` may stand in the program.
fn is_result(key: &str) -> bool {
    let Some((name, rest)) = key.split_once('_') else {
        return false;
    };
    MEASURED.contains(&name) && rest.split('_').any(|part| RESULTS.contains(&part))
}

/// Whether a value is a number of the program's text, also through names, `round` and `float`.
fn stands(program: &Program<'_>, value: &Expr, place: Place) -> bool {
    let mut at = value;
    for _ in 0..8 {
        match at {
            Expr::Call(call) => {
                let path = program.called(call, place);
                let is_same = path.is_some_and(|path| {
                    ["round", "float", "abs", "min", "max"].contains(&path.as_str())
                });
                match call.arguments.args.first() {
                    Some(first) if is_same => at = first,
                    _ => return false,
                }
            }
            Expr::Name(name) => {
                // Every value that the name ever has stands in the program.
                let bound = program.scopes.lookup(name.id.as_str(), place.scope);
                let bound = bound.unwrap_or(&[]);
                return !bound.is_empty()
                    && bound.iter().all(|it| match it {
                        Bound::Value(value) => is_number(program, value, place),
                        _ => false,
                    });
            }
            _ => return is_number(program, at, place),
        }
    }
    false
}

fn is_number(program: &Program<'_>, value: &Expr, place: Place) -> bool {
    let constant = program.constant(value, place.scope);
    constant.is_some_and(|it| it.is_number())
}

/// The key of a result behind which a number stands, in a word: `{"method_accuracy": 0.99}`.
fn key_with_number(word: &str) -> Option<&str> {
    let mut parts = word.split(['"', '\'']);
    parts.next()?;
    let parts: Vec<&str> = parts.collect();
    parts.windows(2).find_map(|pair| {
        let value = pair[1].trim_start().strip_prefix(':')?.trim_start();
        let is_number = value.starts_with(|it: char| it.is_ascii_digit() || it == '.');
        (is_result(pair[0]) && is_number).then_some(pair[0])
    })
}
