//! What a program is to show before it is written, and what was seen of it afterwards.
//!
//! The generator asks for a [`Plan`], then for the program, then for [`Edits`] where something is found, and at last
//! has another model say what of the plan's claims the program holds ([`Fidelity`]). Each is the input of a tool; what
//! types cannot say is checked by a function of the type, whose sentences the model is told.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Tool whose input is a [`Plan`].
pub const PLAN_TOOL: &str = "record_plan";
/// Tool whose input is [`Edits`].
pub const EDITS_TOOL: &str = "record_edits";
/// Tool whose input is a [`Fidelity`].
pub const FIDELITY_TOOL: &str = "record_fidelity";

/// Begins a plan's JSON ([`Plan`]) in a prompt.
pub const PLAN_OPEN: &str = "<plan>";
/// Ends a plan's JSON in a prompt.
pub const PLAN_CLOSE: &str = "</plan>";
/// Begins a program's JSON ([`ShownProgram`]) in a prompt.
pub const PROGRAM_OPEN: &str = "<program>";
/// Ends a program's JSON in a prompt.
pub const PROGRAM_CLOSE: &str = "</program>";

/// Claims of a plan, at least and at most.
const CLAIMS: std::ops::RangeInclusive<usize> = 5..=10;
/// Seeds of a plan at most: each is a run within the program's time.
const MOST_SEEDS: usize = 5;
/// Longest text of a plan's field, characters.
const LONGEST: usize = 1_000;
/// Edits of one answer at most.
const MOST_EDITS: usize = 40;

/// What kind of method a paper has, as far as the experiment differs by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodKind {
    /// Works on pictures.
    Vision,
    /// Works on words in their order.
    Language,
    /// A way to train that any model may use.
    Optimizer,
    /// None of these.
    Other,
}

/// One thing that the paper says and a program can have or lack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Counts from 1.
    pub id: u8,
    /// What it says, in a sentence.
    pub text: String,
    /// The equation, algorithm or section that it comes from.
    pub from: String,
}

/// What is measured on held-out data for method and baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// As the program prints it: `accuracy`, `perplexity`.
    pub name: String,
    /// Which of two values is the better one.
    pub higher_is_better: bool,
}

/// The smallest experiment that could show a paper's claim on one NeuronCore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The claim to test, in a sentence.
    pub claim: String,
    /// What kind of method it is about.
    pub kind: MethodKind,
    /// What a program must have to be the paper's method: five to ten.
    pub claims: Vec<Claim>,
    /// What is trained and compared, in a few sentences.
    pub experiment: String,
    /// One of the data sets that are there.
    pub dataset: String,
    /// What the method is compared with under the same budget: a baseline, or the method without its idea.
    pub baseline: String,
    /// By what the two are compared.
    pub metric: Metric,
    /// One run of method and baseline each.
    pub seeds: Vec<u32>,
    /// Width, depth, batch, steps, in words.
    pub sizes: String,
    /// The data set that the paper itself uses, where it is none of those that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted_dataset: Option<String>,
}

impl Plan {
    /// What types cannot say of a plan where these data sets are there.
    ///
    /// # Errors
    ///
    /// A sentence for each rule that it breaks, for the model to mend it by.
    pub fn check(&self, datasets: &[&str]) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        let texts = [
            ("claim", &self.claim),
            ("experiment", &self.experiment),
            ("baseline", &self.baseline),
            ("metric.name", &self.metric.name),
            ("sizes", &self.sizes),
        ];
        for (name, text) in texts {
            problems.extend(says_something(name, text));
        }
        if !datasets.contains(&self.dataset.as_str()) {
            let known = datasets.join(", ");
            problems.push(format!("`dataset` must be one of {known}"));
        }
        let n_claims = self.claims.len();
        if !CLAIMS.contains(&n_claims) {
            let (least, most) = (CLAIMS.start(), CLAIMS.end());
            problems.push(format!(
                "`claims` must be {least} to {most}, there are {n_claims}"
            ));
        }
        for (place, claim) in (1..).zip(&self.claims) {
            if usize::from(claim.id) != place {
                problems.push(format!("the id of claim {place} must be {place}"));
            }
            problems.extend(says_something(&format!("claim {place}"), &claim.text));
            if claim.from.trim().is_empty() {
                problems.push(format!("claim {place} must say where it comes from"));
            }
        }
        problems.extend(self.repeated_claim());
        if self.seeds.is_empty() || self.seeds.len() > MOST_SEEDS {
            problems.push(format!("`seeds` must be 1 to {MOST_SEEDS} numbers"));
        }
        none_or(problems)
    }

    fn repeated_claim(&self) -> Option<String> {
        let mut seen = std::collections::HashSet::new();
        let is_new = |claim: &Claim| seen.insert(claim.text.trim().to_lowercase());
        let all_new = self.claims.iter().all(is_new);
        (!all_new).then(|| "two claims say the same".to_owned())
    }
}

/// A sentence where a text is empty, one word only, or longer than anybody reads.
fn says_something(name: &str, text: &str) -> Option<String> {
    let length = text.chars().count();
    if length > LONGEST {
        return Some(format!(
            "`{name}` has {length} characters, at most {LONGEST}"
        ));
    }
    let has_letters = text.chars().any(char::is_alphabetic);
    (!has_letters).then(|| format!("`{name}` says nothing"))
}

fn none_or(problems: Vec<String>) -> Result<(), Vec<String>> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

/// JSON schema of [`Plan`] where these data sets are there.
pub fn plan_schema(datasets: &[&str]) -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    json!({
        "type": "object",
        "properties": {
            "claim": text("the paper's claim to test, in a sentence"),
            "kind": {"type": "string", "enum": ["vision", "language", "optimizer", "other"]},
            "claims": {
                "type": "array",
                "description": "five to ten atomic claims about the method, each of which a program can have or lack",
                "items": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "integer", "description": "1, 2, 3, …"},
                        "text": text("what the paper says, in a sentence"),
                        "from": text("the equation, algorithm or section it comes from"),
                    },
                    "required": ["id", "text", "from"],
                },
            },
            "experiment": text("the smallest experiment that could show the claim"),
            "dataset": {"type": "string", "enum": datasets},
            "baseline": text("what the method is compared with under the same budget"),
            "metric": {
                "type": "object",
                "properties": {
                    "name": text("what is measured on held-out data"),
                    "higher_is_better": {"type": "boolean"},
                },
                "required": ["name", "higher_is_better"],
            },
            "seeds": {"type": "array", "items": {"type": "integer"}},
            "sizes": text("width, depth, batch size, steps"),
            "wanted_dataset": text("the data set that the paper itself uses, if it is none of those; else leave it out"),
        },
        "required": [
            "claim", "kind", "claims", "experiment", "dataset", "baseline", "metric", "seeds", "sizes",
        ],
    })
}

/// Whether a program has what a claim says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimState {
    /// As the paper says it.
    Present,
    /// In a simpler form than the paper's.
    Simplified,
    /// Not at all, or wrongly.
    Missing,
}

impl ClaimState {
    /// The word in tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Simplified => "simplified",
            Self::Missing => "missing",
        }
    }
}

/// What was seen of one claim in a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimSeen {
    /// The claim's number in the plan.
    pub id: u8,
    /// Whether the program has it.
    pub state: ClaimState,
    /// First and last line of the program where it is, counted from 1; `None` where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<(u32, u32)>,
    /// Why, in a sentence.
    pub why: String,
}

/// What a program has of its plan's claims, as another model sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fidelity {
    /// One for each claim of the plan, in its order.
    pub claims: Vec<ClaimSeen>,
}

impl Fidelity {
    /// What types cannot say: each claim of `plan` once, with lines that a program of `n_lines` lines has.
    ///
    /// # Errors
    ///
    /// A sentence for each rule that it breaks, for the model to mend it by.
    pub fn check(&self, plan: &Plan, n_lines: u32) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        let seen = self.claims.iter().map(|it| it.id);
        if !seen.eq(plan.claims.iter().map(|it| it.id)) {
            let n_claims = plan.claims.len();
            problems.push(format!(
                "mark each claim of the plan once, from 1 to {n_claims}"
            ));
        }
        for claim in &self.claims {
            let id = claim.id;
            problems.extend(says_something(&format!("why of claim {id}"), &claim.why));
            match (claim.state, claim.lines) {
                (ClaimState::Missing, _) => {}
                (_, None) => problems.push(format!("claim {id} is there: in which lines?")),
                (_, Some((first, last))) if first == 0 || first > last || last > n_lines => {
                    problems.push(format!(
                        "the lines of claim {id} must be from 1 to {n_lines}, the first before the last"
                    ));
                }
                _ => {}
            }
        }
        none_or(problems)
    }

    /// How many claims are in a state.
    pub fn count(&self, state: ClaimState) -> usize {
        self.claims.iter().filter(|it| it.state == state).count()
    }
}

/// JSON schema of [`Fidelity`].
pub fn fidelity_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "claims": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "integer"},
                        "why": {"type": "string", "description": "what in the program shows it, in a sentence"},
                        "state": {"type": "string", "enum": ["present", "simplified", "missing"]},
                        "lines": {
                            "type": "array",
                            "items": {"type": "integer"},
                            "description": "first and last line; leave it out where the claim is missing",
                        },
                    },
                    "required": ["id", "why", "state"],
                },
            },
        },
        "required": ["claims"],
    })
}

/// What a model is shown of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownProgram {
    /// The program; where lines are asked for, each with its number and a tab before it.
    pub code: String,
    /// What was found in it, or what it wrote as it failed; empty where nothing is to be mended.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub findings: String,
}

/// A place of a program and what stands there instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// Text that occurs in the program exactly once.
    pub find: String,
    /// What replaces it.
    pub replace: String,
}

/// A program's repair: edits in order, each of what the one before it left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edits {
    /// What was wrong, in a sentence.
    pub why: String,
    /// At least one.
    pub edits: Vec<Edit>,
}

impl Edits {
    /// The program after the edits.
    ///
    /// # Errors
    ///
    /// A sentence for each edit that has no place, or more than one, for the model to mend it by.
    pub fn apply(&self, code: &str) -> Result<String, Vec<String>> {
        if self.edits.is_empty() || self.edits.len() > MOST_EDITS {
            return Err(vec![format!("`edits` must be 1 to {MOST_EDITS}")]);
        }
        let mut edited = code.to_owned();
        let mut problems = Vec::new();
        for (place, edit) in (1..).zip(&self.edits) {
            let n_found = match edit.find.is_empty() {
                true => 0,
                false => edited.matches(&edit.find).count(),
            };
            match n_found {
                1 => edited = edited.replacen(&edit.find, &edit.replace, 1),
                n => problems.push(format!(
                    "what edit {place} is to find occurs {n} times in the program, it must be once"
                )),
            }
        }
        if edited == code && problems.is_empty() {
            problems.push("the edits change nothing".to_owned());
        }
        if problems.is_empty() {
            Ok(edited)
        } else {
            Err(problems)
        }
    }
}

/// JSON schema of [`Edits`].
pub fn edits_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "why": {"type": "string", "description": "what was wrong, in a sentence"},
            "edits": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "find": {
                            "type": "string",
                            "description": "text of the program, with its white space, that occurs exactly once",
                        },
                        "replace": {"type": "string", "description": "what stands there instead"},
                    },
                    "required": ["find", "replace"],
                },
            },
        },
        "required": ["why", "edits"],
    })
}

#[cfg(test)]
mod tests;
