//! What a person is answered by the generator and the tester, paper by paper.

use serde::{Deserialize, Serialize};

/// The outcome of a request for programs. Other actions of the generator answer without these fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GeneratorAnswer {
    /// The action asked for.
    pub action: String,
    /// How many papers the action named or found.
    pub requested: usize,
    /// Papers that have a program now.
    pub generated: Vec<Program>,
    /// Papers that had one: no model was asked.
    pub already: Vec<Program>,
    /// Papers without one, and why.
    pub failed: Vec<Failed>,
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
