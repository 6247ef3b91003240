//! What a person is answered.

use annapurna_contract::keys;
use serde::{Deserialize, Serialize};

use crate::Metadata;

/// The outcome of a request, paper by paper.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
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
    /// 32 hexadecimal digits.
    pub paper_id: String,
    /// The paper's title, text of strangers.
    pub title: String,
    /// Key of the program.
    pub s3_code_key: String,
    /// Whether it was written from the paper's text, or only from its abstract, since the text was not there.
    pub from_full_text: bool,
}

/// A paper without a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The paper, as it was asked for.
    pub paper_id: String,
    /// Why, with its causes, in one line.
    pub error: String,
}

impl Answer {
    pub(crate) fn new(action: String, requested: usize) -> Self {
        Self {
            action,
            requested,
            ..Self::default()
        }
    }
}

impl Program {
    pub(crate) fn of(metadata: Metadata) -> Self {
        Self {
            s3_code_key: keys::code(&metadata.paper_id),
            paper_id: metadata.paper_id.into(),
            title: metadata.paper_title,
            from_full_text: metadata.from_full_text,
        }
    }
}
