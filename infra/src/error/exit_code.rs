//! What the program's exit code says; README has the same in a person's words.

use super::CommandError;

impl CommandError {
    /// 1: what was asked for was tried, and nothing of it came about. 2: the request, the credentials or this
    /// machine are not as needed. 3: AWS, or a service of the environment, refused or undid it. 4: the pipeline is
    /// deployed, its instances are not. 130: a person stopped it.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Environment(_)
            | Self::Violations { .. }
            | Self::Stack(_)
            | Self::NoProject { .. }
            | Self::WrongAccount { .. }
            | Self::NoAccount { .. }
            | Self::NoCredentials { .. }
            | Self::InvalidRequest { .. }
            | Self::NotDeployed { .. }
            | Self::Stopped { .. }
            | Self::MissingOutput(_)
            | Self::Build { .. }
            | Self::File { .. }
            | Self::Usage { .. }
            | Self::Dataset(_)
            | Self::NobodyToAsk { .. }
            | Self::Terminal(_)
            | Self::Facts(_)
            | Self::Json(_) => 2,
            Self::Aws { .. }
            | Self::Passing { .. }
            | Self::RolledBack { .. }
            | Self::Refused { .. }
            | Self::Stuck { .. }
            | Self::NotDeleted { .. }
            | Self::Busy { .. }
            | Self::ChangeSet { .. }
            | Self::Unretained { .. }
            | Self::TimedOut { .. }
            | Self::Local(_)
            | Self::Download { .. }
            | Self::Object(_)
            | Self::Queue(_)
            | Self::Index(_)
            | Self::IndexConflict { .. }
            | Self::FunctionFailed { .. }
            | Self::BatchGone { .. }
            | Self::SampleIncomplete { .. } => 3,
            Self::ScrapeFailed { .. } | Self::NothingDone { .. } | Self::ProgramFailed(..) => 1,
            Self::Instances { .. } => 4,
            Self::Interrupted | Self::Declined { .. } | Self::GoesOn { .. } => 130,
        }
    }
}
