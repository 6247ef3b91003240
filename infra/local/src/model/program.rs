//! The generator's offline rules: a plan, a program that really trains, and what of the plan is in it.
//!
//! In: a paper. Out: one of three experiments (pictures, words, an optimiser), chosen by the paper's words, with its
//! identity as seed. Nothing of a paper enters a program, except its title, as an escaped string literal. The claims are
//! those of the experiment and not the paper's, and say so. What a program has of them is told by the marks that the
//! experiments carry (`# Claim 1.`), so a claim whose code is gone with its mark is missing; code that is wrong under
//! its mark is what only a model sees.

use annapurna_contract::model::{GeneratedProgram, PaperText};
use annapurna_contract::plan::{
    Claim, ClaimSeen, ClaimState, Edits, Fidelity, MethodKind, Metric, Plan,
};
use annapurna_contract::{PaperId, normalize_title};

use super::rules::contains_term;

/// What every program begins and ends with.
const HEAD: &str = include_str!("programs/head.py");
const TAIL: &str = include_str!("programs/tail.py");

/// An experiment that the rules know.
struct Experiment {
    kind: MethodKind,
    /// Words of a paper that choose it.
    words: &'static [&'static str],
    /// What stands between head and tail.
    part: &'static str,
    dataset: &'static str,
    metric: (&'static str, bool),
    claim: &'static str,
    method: &'static str,
    baseline: &'static str,
    /// What each mark says, in their order.
    claims: &'static [&'static str],
    sizes: &'static str,
}

/// The experiments; the first one of whose words occurs, else the last.
const EXPERIMENTS: [Experiment; 3] = [
    Experiment {
        kind: MethodKind::Language,
        words: &[
            "language model",
            "llm",
            "attention",
            "transformer",
            "token",
            "text",
        ],
        part: include_str!("programs/language.py"),
        dataset: "synthetic_tokens",
        metric: ("perplexity", false),
        claim: "attention to the words so far predicts the next one better than how often each word occurs",
        method: "one layer of causal self-attention",
        baseline: "a model of how often each word occurs",
        claims: &[
            "each place has a learned vector that is added to its word's",
            "queries, keys and values are linear maps of the same input",
            "no word sees a later one",
            "scores are divided by the root of the width",
            "the values, weighted by a softmax of the scores, are added to the input",
            "the baseline's scores are the same whatever the words so far are",
        ],
        sizes: "width 32, 64 words, batches of 64, 2 epochs of 2,048 samples",
    },
    Experiment {
        kind: MethodKind::Vision,
        words: &[
            "convolution",
            "convolutional",
            "cnn",
            "image",
            "vision",
            "visual",
            "object detection",
        ],
        part: include_str!("programs/vision.py"),
        dataset: "synthetic_images",
        metric: ("accuracy", true),
        claim: "weights that are shared over places find a shape wherever it is",
        method: "two convolutions and a maximum over all places",
        baseline: "a perceptron on the pixels",
        claims: &[
            "the first layer is a convolution over the colours",
            "a second convolution sees the first one's output",
            "each convolution is followed by a rectifier and a pooling by two",
            "the class is told from the maximum over all places",
            "the baseline shares no weights between places",
        ],
        sizes: "16 and 32 channels, batches of 64, 4 epochs of 2,048 samples",
    },
    Experiment {
        kind: MethodKind::Optimizer,
        words: &[],
        part: include_str!("programs/optimizer.py"),
        dataset: "synthetic",
        metric: ("accuracy", true),
        claim: "steps by adaptive moments get further than plain gradient steps of the same rate",
        method: "adaptive moments, written out",
        baseline: "stochastic gradient descent with the same rate",
        claims: &[
            "both moments begin at zero",
            "the first moment is a running mean of the gradients",
            "the second moment is a running mean of the squared gradients",
            "both moments are corrected for their beginning at zero",
            "the step is against the first moment, divided by the root of the second plus a small number",
            "the baseline trains the same model from the same start",
        ],
        sizes: "a perceptron of 64 and 32, batches of 64, 10 epochs of 2,048 samples",
    },
];

/// Words that make the last experiment one about an optimiser.
const OPTIMIZERS: [&str; 8] = [
    "optimizer",
    "optimization",
    "sgd",
    "adam",
    "stochastic gradient",
    "gradient descent",
    "momentum",
    "learning rate",
];

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

/// Where a claim of the rules comes from.
const FROM: &str = "the offline rules' experiment, not the paper";

/// Characters of a title that the program keeps.
const MAX_TITLE_CHARS: usize = 300;

/// Plans the experiment for `paper`; the same paper always gets the same one.
pub(super) fn plan(paper: &PaperText) -> Plan {
    let text = words_of(paper);
    let (experiment, why) = choose(&text);
    let is_optimizer = OPTIMIZERS.iter().any(|word| contains_term(&text, word));
    let kind = match experiment.kind {
        MethodKind::Optimizer if !is_optimizer => MethodKind::Other,
        kind => kind,
    };
    let claims = (1..).zip(experiment.claims);
    let claims = claims.map(|(id, text)| Claim {
        id,
        text: (*text).to_owned(),
        from: FROM.to_owned(),
    });
    let (metric, higher_is_better) = experiment.metric;
    Plan {
        claim: format!("offline rules: {}", experiment.claim),
        kind,
        claims: claims.collect(),
        experiment: format!(
            "offline rules ({why}): train {} and {} on the same data, measure both on held-out data; the \
             paper's own method is not in it",
            experiment.method, experiment.baseline
        ),
        dataset: experiment.dataset.to_owned(),
        baseline: experiment.baseline.to_owned(),
        metric: Metric {
            name: metric.to_owned(),
            higher_is_better,
        },
        seeds: vec![seed(paper)],
        sizes: experiment.sizes.to_owned(),
        wanted_dataset: WANTED
            .iter()
            .find(|name| contains_term(&text, name))
            .map(|name| (*name).to_owned()),
    }
}

/// Writes the program for `paper`, which may ask for a GPU where the environment's rules say so; the same paper always
/// gives the same program.
pub(super) fn generate(paper: &PaperText, may_use_cuda: bool) -> GeneratedProgram {
    let (experiment, why) = choose(&words_of(paper));
    let device = match may_use_cuda {
        true => "\"cuda\" if torch.cuda.is_available() else \"cpu\"",
        false => "\"cpu\"",
    };
    // The title goes in last, so that no text in it is taken for a mark.
    let head = HEAD
        .replacen("\"@SEED@\"", &seed(paper).to_string(), 1)
        .replacen("\"@TITLE@\"", &python_literal(&paper.title), 1);
    GeneratedProgram {
        code: [
            &head,
            experiment.part,
            &TAIL.replace("\"@DEVICE@\"", device),
        ]
        .concat(),
        description: format!(
            "offline rules: {} against {} ({why}); it does not reproduce the paper's method",
            experiment.method, experiment.baseline
        ),
    }
}

/// What a program, its lines numbered and parted by a tab, has of a plan's claims.
pub(super) fn examine(plan: &Plan, numbered: &str) -> Fidelity {
    let lines: Vec<&str> = numbered
        .lines()
        .map(|line| line.split_once('\t').map_or(line, |(_, code)| code))
        .collect();
    let seen = |claim: &Claim| {
        let mark = format!("# Claim {}.", claim.id);
        let found = lines.iter().position(|line| line.trim() == mark);
        let (state, lines) = match found.and_then(|mark| block_after(&lines, mark)) {
            Some(lines) => (ClaimState::Present, Some(lines)),
            None => (ClaimState::Missing, None),
        };
        let why = match state {
            ClaimState::Missing => format!("offline rules: no code under the mark `{mark}`"),
            _ => format!("offline rules: the code under the mark `{mark}`"),
        };
        ClaimSeen {
            id: claim.id,
            state,
            lines,
            why,
        }
    };
    Fidelity {
        claims: plan.claims.iter().map(seen).collect(),
    }
}

/// First and last line, counted from 1, of the code right after a mark, up to the next mark or empty line.
fn block_after(lines: &[&str], mark: usize) -> Option<(u32, u32)> {
    let ends = |line: &&&str| line.trim().is_empty() || line.trim().starts_with("# Claim ");
    let length = lines[mark + 1..]
        .iter()
        .take_while(|line| !ends(line))
        .count();
    let first = u32::try_from(mark + 2).ok()?;
    let last = u32::try_from(mark + 1 + length).ok()?;
    (length > 0).then_some((first, last))
}

/// The rules mend nothing: what they write passes, so what fails is not theirs.
pub(super) fn mend() -> Edits {
    Edits {
        why: "the offline rules mend no program".to_owned(),
        edits: Vec::new(),
    }
}

fn words_of(paper: &PaperText) -> String {
    normalize_title(&format!("{} {}", paper.title, paper.abstract_text))
}

/// The first experiment one of whose words occurs in `text`, else the last, with why.
fn choose(text: &str) -> (&'static Experiment, String) {
    for experiment in &EXPERIMENTS {
        let mut words = experiment.words.iter();
        if let Some(word) = words.find(|word| contains_term(text, word)) {
            return (experiment, format!("the paper says \"{word}\""));
        }
    }
    let last = &EXPERIMENTS[EXPERIMENTS.len() - 1];
    (last, "no word of another experiment".to_owned())
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
