//! The generator's offline rule: fills in a program that really trains a small model.
//!
//! In: a paper. Out: `program.py` with four constants set. Words of the paper choose among the models
//! and optimizers the template has, and its identity sets the seed. Nothing else of a paper enters the
//! program, except its title, as an escaped string literal.

use annapurna_contract::model::{GeneratedProgram, PaperText};
use annapurna_contract::{PaperId, normalize_title};

use super::rules::contains_term;

/// The program; also valid Python as it stands.
const TEMPLATE: &str = include_str!("program.py");

/// A choice of the template and the words that select it.
type Choice = (&'static str, &'static [&'static str]);

/// The template's models, the first match first.
const MODELS: [Choice; 2] = [
    (
        "self_attention",
        &["attention", "transformer", "language model", "llm"],
    ),
    (
        "convolution",
        &["convolution", "convolutional", "cnn", "image", "vision"],
    ),
];
/// The model when no word of [`MODELS`] occurs.
const DEFAULT_MODEL: Choice = ("perceptron", &[]);

/// The template's optimizers besides the default.
const OPTIMIZERS: [Choice; 1] = [(
    "sgd",
    &[
        "sgd",
        "stochastic gradient",
        "gradient descent",
        "momentum",
        "nesterov",
    ],
)];
/// The optimizer when no word of [`OPTIMIZERS`] occurs.
const DEFAULT_OPTIMIZER: Choice = ("adamw", &[]);

/// Data sets that papers name and the pipeline does not import; the first that a paper says is its wish.
const WANTED: [&str; 12] = [
    "imagenet",
    "coco",
    "cityscapes",
    "celeba",
    "svhn",
    "squad",
    "glue",
    "openwebtext",
    "librispeech",
    "gsm8k",
    "mmlu",
    "humaneval",
];

/// Characters of a title that the program keeps.
const MAX_TITLE_CHARS: usize = 300;

/// Writes the program for `paper`; the same paper always gives the same program.
pub(super) fn generate(paper: &PaperText) -> GeneratedProgram {
    let text = normalize_title(&format!("{} {}", paper.title, paper.abstract_text));
    let (model, model_word) = choose(&MODELS, DEFAULT_MODEL, &text);
    let (optimizer, optimizer_word) = choose(&OPTIMIZERS, DEFAULT_OPTIMIZER, &text);
    // The title goes in last, so that no text in it is taken for a marker.
    let code = TEMPLATE
        .replacen("\"@MODEL@\"", &python_literal(model), 1)
        .replacen("\"@OPTIMIZER@\"", &python_literal(optimizer), 1)
        .replacen("\"@SEED@\"", &seed(paper).to_string(), 1)
        .replacen("\"@TITLE@\"", &python_literal(&paper.title), 1);
    GeneratedProgram {
        code,
        dataset: "synthetic".to_owned(),
        wanted_dataset: WANTED
            .iter()
            .find(|name| contains_term(&text, name))
            .map(|name| (*name).to_owned()),
        description: format!(
            "offline rules: trains a small {} ({model_word}) with {optimizer} ({optimizer_word}) on synthetic \
             data; it does not reproduce the paper's method",
            model.replace('_', " "),
        ),
    }
}

/// The first choice one of whose words occurs in `text`, with why it was chosen.
fn choose(choices: &[Choice], default: Choice, text: &str) -> (&'static str, String) {
    for (name, words) in choices {
        if let Some(word) = words.iter().find(|word| contains_term(text, word)) {
            return (name, format!("the paper says \"{word}\""));
        }
    }
    (default.0, "the default".to_owned())
}

/// A seed that torch and Python accept, the same wherever the paper came from.
fn seed(paper: &PaperText) -> u32 {
    let id = PaperId::of(&paper.title, Some(&paper.abstract_text));
    id.as_str().bytes().fold(0, |seed: u32, digit| {
        seed.wrapping_mul(31).wrapping_add(u32::from(digit))
    })
}

/// `text` as a Python string literal of printable ASCII, so that nothing in it can end the literal.
fn python_literal(text: &str) -> String {
    let mut literal = String::from('"');
    for character in text.chars().take(MAX_TITLE_CHARS) {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            ' '..='~' => literal.push(character),
            _ => literal.push_str(&format!("\\U{:08x}", u32::from(character))),
        }
    }
    literal.push('"');
    literal
}
