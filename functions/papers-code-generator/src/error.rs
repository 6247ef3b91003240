//! Why a paper has no program, in words for logs and people.

use annapurna_contract::paper_id::NotAPaperId;
use annapurna_contract::{PaperId, events};
use annapurna_program_check::CODE_LIMIT;
use annapurna_runtime::FunctionError;

use crate::select::NoMatch;

/// Why a paper has no program.
pub type GeneratorError = FunctionError<NoProgram>;

/// What of an event, a paper or a model's answer leaves a paper without a program.
#[derive(Debug, thiserror::Error)]
pub enum NoProgram {
    /// The event is neither a batch of messages nor one of the actions.
    #[error("event is neither SQS records nor an action")]
    Event(#[source] serde_json::Error),
    /// A request for what is known of a paper names none.
    #[error("`get_paper_info` needs `paper_id` or `title`")]
    WhichPaper,
    /// The index has no such paper.
    #[error("paper `{0}` is not in the index")]
    NoPaper(PaperId),
    /// The judge writes title and text at once, so this document is not its.
    #[error("paper `{0}` has no title in the index: send it to the judge again")]
    NoTitle(PaperId),
    /// No paper of the index is one that a person asked for.
    #[error(transparent)]
    NoMatch(#[from] NoMatch),
    /// What was asked for is not a paper's id.
    #[error(transparent)]
    NotAPaperId(#[from] NotAPaperId),
    /// What the model wrote cannot be run, or it wrote nothing.
    #[error("no program for paper `{paper_id}`: {}; ask with `force` to have one written again", findings.join("; "))]
    Refused {
        /// The paper it is about.
        paper_id: PaperId,
        /// What was found.
        findings: Vec<String>,
    },
    /// Another run has been writing the paper's program all the time that this one had.
    #[error("the program of paper `{0}` is being written by another run")]
    UnderWay(PaperId),
    /// Something of ours has no JSON form, or is not what we wrote.
    #[error("metadata of paper `{paper_id}`")]
    Metadata {
        /// The paper it is about.
        paper_id: PaperId,
        /// What serde found, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// A program to examine is longer than any that is run.
    #[error("the program has {0} bytes, at most {CODE_LIMIT} are examined")]
    TooLong(usize),
    /// The function's time is nearly over.
    #[error("no time left in this run; ask again for this paper")]
    NoTime,
}

/// The `errorType` that a caller is told of an error.
pub fn error_type(error: &GeneratorError) -> &'static str {
    match error {
        GeneratorError::Own(
            NoProgram::Event(_)
            | NoProgram::WhichPaper
            | NoProgram::NoMatch(_)
            | NoProgram::TooLong(_)
            | NoProgram::NotAPaperId(_),
        ) => events::INVALID_REQUEST,
        _ => "GeneratorError",
    }
}

pub(crate) fn not_an_event(source: serde_json::Error) -> GeneratorError {
    GeneratorError::Own(NoProgram::Event(source))
}

pub(crate) fn not_an_id(error: NotAPaperId) -> GeneratorError {
    GeneratorError::Own(error.into())
}
