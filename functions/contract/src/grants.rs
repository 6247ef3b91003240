//! Who may do what to which resource. `infra` turns each grant into one IAM policy statement.
//!
//! A grant names a capability, not IAM actions; the one translation into actions and ARNs is in
//! `infra`. No capability deletes an object, and the bucket of raw papers keeps every version, so the
//! pipeline's roles cannot lose a paper.

use crate::{Bucket, Function, Queue};

/// A capability on one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grant {
    /// Read objects and learn whether one exists (`404` and not `403` needs listing).
    ReadObjects(Bucket),
    /// Create objects, also over old ones; not delete them.
    WriteObjects(Bucket),
    /// Create the judge's verdicts beside the raw papers, and nothing else there.
    WriteVerdicts,
    /// Send to a queue and count what waits in it.
    SendMessages(Queue),
    /// Receive from, extend, and delete from a queue.
    ConsumeMessages(Queue),
    /// Send to a queue's dead-letter queue what can never be read.
    DeadLetterMessages(Queue),
    /// Read documents and search.
    ReadIndex,
    /// Create and update documents.
    WriteIndex,
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
                &[
                    Grant::ReadObjects(Bucket::Papers),
                    Grant::WriteObjects(Bucket::Papers),
                    Grant::SendMessages(Queue::Research),
                ]
            }
            Self::Function(Function::Judge) => &[
                Grant::ReadObjects(Bucket::Papers),
                Grant::WriteVerdicts,
                Grant::ConsumeMessages(Queue::Research),
                Grant::SendMessages(Queue::CodeGeneration),
                Grant::ReadIndex,
                Grant::WriteIndex,
                Grant::InvokeJudgeModel,
                Grant::InvokeEmbeddingModel,
            ],
            Self::Function(Function::Generator) => &[
                Grant::ReadObjects(Bucket::Papers),
                Grant::ReadObjects(Bucket::Code),
                Grant::WriteObjects(Bucket::Code),
                Grant::ConsumeMessages(Queue::CodeGeneration),
                Grant::SendMessages(Queue::CodeGeneration),
                Grant::SendMessages(Queue::CodeEvaluation),
                Grant::ReadIndex,
                Grant::WriteIndex,
                Grant::InvokeGeneratorModel,
            ],
            Self::Function(Function::Tester) => &[
                Grant::ReadObjects(Bucket::Code),
                Grant::ReadObjects(Bucket::Outputs),
                Grant::ConsumeMessages(Queue::CodeEvaluation),
                Grant::DeadLetterMessages(Queue::CodeEvaluation),
                Grant::SendMessages(Queue::CodeTesting),
                Grant::ReadIndex,
                Grant::WriteIndex,
                Grant::RunInstance,
                Grant::ReadAgentToken,
            ],
            Self::Agent => &[
                Grant::ReadObjects(Bucket::Code),
                Grant::ReadObjects(Bucket::Datasets),
                Grant::ReadObjects(Bucket::Outputs),
                Grant::WriteObjects(Bucket::Outputs),
                Grant::ConsumeMessages(Queue::CodeTesting),
            ],
        }
    }
}
