//! Who may do what to which resource. `infra` turns each grant into one IAM policy statement.
//!
//! A grant names a capability, not IAM actions; the one translation into actions and ARNs is in
//! `infra`. No capability deletes an object, and the bucket of raw papers keeps every version, so the
//! pipeline's roles cannot lose a paper.

use crate::keys::Objects;
use crate::{Function, Queue};

/// A capability on one resource, no wider than the calls that somebody makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grant {
    /// Read objects and learn whether one exists (`404` and not `403` needs listing).
    ReadObjects(Objects),
    /// Create objects, also over old ones; not delete them.
    WriteObjects(Objects),
    /// Send to a queue.
    SendMessages(Queue),
    /// Count what waits in a queue.
    CountMessages(Queue),
    /// Have Lambda receive and delete a queue's messages on the function's behalf.
    BeInvokedBy(Queue),
    /// Say how long a message of a queue stays hidden.
    HoldMessages(Queue),
    /// Receive from, extend, and delete from a queue.
    TakeMessages(Queue),
    /// Find a queue's dead-letter queue and send there what can never be read.
    DeadLetterMessages(Queue),
    /// Read documents and search.
    ReadIndex,
    /// Set fields of a document, whether or not it is there.
    UpsertDocuments,
    /// Write a document in place of the version that was read.
    ReplaceDocuments,
    /// Write a part of a paper's document in the index of states, over the version that was read.
    KeepStates,
    /// Ask the model that judges.
    InvokeJudgeModel,
    /// Ask the model that writes programs.
    InvokeGeneratorModel,
    /// Ask the model that makes vectors.
    InvokeEmbeddingModel,
    /// See, start and stop the instance.
    RunInstance,
    /// Read the token of an agent that is called at an address.
    ReadAgentToken,
}

/// Whose role gets the grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// A function's execution role.
    Function(Function),
    /// The role of the machine that runs generated programs.
    Agent,
}

impl Principal {
    /// Everything this principal may do, besides writing its own logs.
    pub const fn grants(self) -> &'static [Grant] {
        match self {
            Self::Function(Function::Scraper(_) | Function::ArxivAlias | Function::AnyScraper) => {
                SCRAPER
            }
            Self::Function(Function::Judge) => JUDGE,
            Self::Function(Function::Generator) => GENERATOR,
            Self::Function(Function::Tester) => TESTER,
            Self::Agent => AGENT,
        }
    }
}

const SCRAPER: &[Grant] = &[
    Grant::ReadObjects(Objects::Scraped),
    Grant::WriteObjects(Objects::Scraped),
    Grant::SendMessages(Queue::Research),
];

const JUDGE: &[Grant] = &[
    Grant::ReadObjects(Objects::Pdfs),
    Grant::ReadObjects(Objects::Verdicts),
    Grant::WriteObjects(Objects::Verdicts),
    Grant::ReadObjects(Objects::Spending),
    Grant::WriteObjects(Objects::Spending),
    Grant::BeInvokedBy(Queue::Research),
    Grant::HoldMessages(Queue::Research),
    Grant::SendMessages(Queue::Research),
    Grant::SendMessages(Queue::CodeGeneration),
    Grant::ReadIndex,
    Grant::UpsertDocuments,
    Grant::KeepStates,
    Grant::InvokeJudgeModel,
    Grant::InvokeEmbeddingModel,
];

const GENERATOR: &[Grant] = &[
    Grant::ReadObjects(Objects::Pdfs),
    Grant::ReadObjects(Objects::Programs),
    Grant::ReadObjects(Objects::ProgramMetadata),
    Grant::ReadObjects(Objects::DatasetDescriptions),
    Grant::ReadObjects(Objects::Spending),
    Grant::WriteObjects(Objects::Spending),
    Grant::WriteObjects(Objects::Programs),
    Grant::WriteObjects(Objects::ProgramMetadata),
    Grant::BeInvokedBy(Queue::CodeGeneration),
    Grant::HoldMessages(Queue::CodeGeneration),
    Grant::SendMessages(Queue::CodeGeneration),
    Grant::SendMessages(Queue::CodeEvaluation),
    Grant::ReadIndex,
    Grant::UpsertDocuments,
    Grant::ReplaceDocuments,
    Grant::KeepStates,
    Grant::InvokeGeneratorModel,
    Grant::InvokeJudgeModel,
];

const TESTER: &[Grant] = &[
    Grant::ReadObjects(Objects::Programs),
    Grant::ReadObjects(Objects::Results),
    Grant::ReadObjects(Objects::StandardErrors),
    Grant::ReadObjects(Objects::RefusedStarts),
    Grant::WriteObjects(Objects::RefusedStarts),
    Grant::TakeMessages(Queue::CodeEvaluation),
    Grant::DeadLetterMessages(Queue::CodeEvaluation),
    Grant::SendMessages(Queue::CodeGeneration),
    Grant::SendMessages(Queue::CodeTesting),
    Grant::CountMessages(Queue::CodeTesting),
    Grant::ReadIndex,
    Grant::ReplaceDocuments,
    Grant::KeepStates,
    Grant::RunInstance,
    Grant::ReadAgentToken,
];

const AGENT: &[Grant] = &[
    Grant::ReadObjects(Objects::Programs),
    Grant::ReadObjects(Objects::Datasets),
    Grant::ReadObjects(Objects::Results),
    Grant::WriteObjects(Objects::Outputs),
    Grant::ReadObjects(Objects::Trials),
    Grant::WriteObjects(Objects::Trials),
    Grant::TakeMessages(Queue::CodeTesting),
];
