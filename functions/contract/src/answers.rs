//! What a person is answered by the generator and the tester, paper by paper.

use serde::{Deserialize, Serialize};

use crate::Spent;
use crate::plan::Fidelity;

/// The outcome of a request for programs. Other actions of the generator answer without these fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GeneratorAnswer {
    /// The action asked for.
    pub action: String,
    /// How many papers the action named or found.
    pub requested: usize,
    /// Those papers, in the order in which they were taken.
    pub chosen: Vec<Chosen>,
    /// Papers that have a program now.
    pub generated: Vec<Program>,
    /// Papers that had one: no model was asked.
    pub already: Vec<Program>,
    /// Papers without one, and why.
    pub failed: Vec<Failed>,
}

/// What the examining model sees in a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examined {
    /// Each claim with its state.
    pub fidelity: Fidelity,
    /// What the examination took.
    pub spent: Spent,
}

/// A paper that a request means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// Its id, or what was given as one.
    pub paper_id: String,
    /// Its title, text of strangers; `None` where the request named the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// A paper with a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its id: what [`crate::PaperId`] is.
    pub paper_id: String,
    /// The paper's title, text of strangers.
    pub title: String,
    /// Key of the program.
    pub s3_code_key: String,
    /// Whether it was written from the paper's text, or only from its abstract, since the text was not there.
    pub from_full_text: bool,
}

/// What a collection of the tester did. Its other actions answer without these fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Collected {
    /// Papers whose result is in the index now.
    pub collected: Vec<String>,
    /// Papers whose result is not, and why.
    pub failed: Vec<Failed>,
}

/// A paper for which what was asked could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The paper, as it was asked for.
    pub paper_id: String,
    /// Why, with its causes, in one line.
    pub error: String,
}

impl GeneratorAnswer {
    /// Papers that have a program, new or not.
    pub fn n_done(&self) -> usize {
        self.generated.len() + self.already.len()
    }
}
