//! Why a command stopped, in the words of the person who ran it.

use std::path::PathBuf;

use annapurna_cloud::{ObjectError, QueueError, reason};
use annapurna_local::LocalError;
use annapurna_runtime::search::SearchError;
use annapurna_stack::environment::EnvironmentError;
use annapurna_stack::outputs::MissingOutput;
use annapurna_stack::pipeline::StackError;
use annapurna_stack::validate::Violation;
use aws_sdk_cloudformation::config::http::HttpResponse;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};

/// One variant per thing a person can act on.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The environment's file.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The stack breaks rules of AWS.
    #[error("the stack of `{environment}` breaks {} rule(s):\n{}", violations.len(), lines(violations))]
    Violations {
        /// The environment.
        environment: String,
        /// All of them.
        violations: Vec<Violation>,
    },
    /// The settings make no stack.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The folder with `environments/` is not above the working directory.
    #[error("no Annapurna project in {} or above it", from.display())]
    NoProject {
        /// Where the search began.
        from: PathBuf,
    },
    /// The credentials are of another account than the environment's.
    #[error("environment `{environment}` may only touch {}, but the credentials are of account {actual}", expected.as_deref().map_or_else(|| "the account in its file, which names none".to_owned(), |it| format!("account {it}")))]
    WrongAccount {
        /// The environment.
        environment: String,
        /// What its file says.
        expected: Option<String>,
        /// What STS says.
        actual: String,
    },
    /// An AWS call failed.
    #[error("cannot {doing}: {reason}")]
    Aws {
        /// What was being done.
        doing: String,
        /// Code and message of the service, or of the connection.
        reason: String,
    },
    /// CloudFormation undid the deployment.
    #[error("stack `{stack}` rolled back: `{resource}` failed, {reason}")]
    RolledBack {
        /// The stack.
        stack: String,
        /// Logical id of the first failure.
        resource: String,
        /// Its reason.
        reason: String,
    },
    /// CloudFormation refused the change set.
    #[error("the change set of stack `{stack}` failed: {reason}")]
    ChangeSet {
        /// The stack.
        stack: String,
        /// Why.
        reason: String,
    },
    /// A new stack finds something there that its template would delete with the stack.
    #[error("the change set of stack `{stack}` failed: {reason}")]
    Unretained {
        /// The stack.
        stack: String,
        /// CloudFormation's words, with the resources.
        reason: String,
    },
    /// A wait ended without what it waited for.
    #[error("{what} did not come to an end within {limit_secs} s")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// The limit.
        limit_secs: u64,
    },
    /// The environment has no stack.
    #[error("environment `{environment}` is not deployed")]
    NotDeployed {
        /// The environment.
        environment: String,
    },
    /// The stack is deployed and lacks an output.
    #[error(transparent)]
    MissingOutput(#[from] MissingOutput),
    /// A build failed; the compiler has said why.
    #[error("cannot build {what}")]
    Build {
        /// What.
        what: String,
        /// What to do.
        hint: String,
    },
    /// A file.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A service of the local environment.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// An object of the pipeline.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A queue of the pipeline.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The index.
    #[error(transparent)]
    Index(#[from] SearchError),
    /// A field of the index has another type than the record.
    #[error("index `{index}` cannot take the paper record: {}", fields.join(", "))]
    IndexConflict {
        /// The index.
        index: String,
        /// Field by field.
        fields: Vec<String>,
    },
    /// The request itself is wrong.
    #[error("{problem}")]
    Usage {
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// A function answered with an error.
    #[error("{function} failed: {reason}")]
    FunctionFailed {
        /// The environment.
        environment: String,
        /// Its name.
        function: String,
        /// Its own words.
        reason: String,
    },
    /// A scrape ended without its papers.
    #[error("{execution} failed: {reason}")]
    ScrapeFailed {
        /// The environment.
        environment: String,
        /// The execution.
        execution: String,
        /// Its first cause.
        reason: String,
    },
    /// Ctrl-C while following what runs by itself.
    #[error("no longer followed; {execution} goes on")]
    GoesOn {
        /// The execution.
        execution: String,
        /// The command that follows it again.
        again: String,
    },
    /// Not everything of the sample arrived.
    #[error("{arrived} of {expected} sample papers have results")]
    SampleIncomplete {
        /// How many did.
        arrived: usize,
        /// How many should.
        expected: usize,
        /// Where the others are.
        waiting: Vec<String>,
    },
    /// The terminal.
    #[error("cannot write to the terminal")]
    Terminal(#[from] std::io::Error),
    /// JSON.
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

fn lines(violations: &[Violation]) -> String {
    violations
        .iter()
        .map(|it| format!("  {it}"))
        .collect::<Vec<_>>()
        .join("\n")
}

impl CommandError {
    /// A failed call of an AWS SDK, with the service's own code and message.
    pub fn aws<E>(doing: impl Into<String>) -> impl FnOnce(SdkError<E, HttpResponse>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let doing = doing.into();
        move |error| Self::Aws {
            doing,
            reason: reason(&error),
        }
    }

    /// A failed call on a file.
    pub fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }

    /// The one next step worth trying, when there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Environment(error) => environment_hint(error),
            Self::NoProject { .. } => Some(
                "run it inside a clone of Annapurna, or name the folder with --project".to_owned(),
            ),
            Self::WrongAccount {
                environment,
                expected,
                actual,
            } => Some(match expected {
                Some(_) => "sign in to that account, or choose another environment".to_owned(),
                None => format!(
                    "if account {actual} is meant, write `account = \"{actual}\"` into environments/{environment}.toml"
                ),
            }),
            Self::Aws { reason, .. } if reason.contains("credentials") => {
                Some("sign in first: `aws sso login`, or set AWS_PROFILE".to_owned())
            }
            Self::RolledBack { .. } => Some(
                "the previous state is in place; correct the cause and deploy again".to_owned(),
            ),
            Self::TimedOut { .. } => {
                Some("run the same command again: it goes on from there".to_owned())
            }
            Self::NotDeployed { environment } => {
                Some(format!("deploy it: cargo infra deploy {environment}"))
            }
            Self::MissingOutput(_) => Some(
                "another version of this program deployed it; deploy the environment again"
                    .to_owned(),
            ),
            Self::Build { hint, .. } | Self::Usage { hint, .. } => Some(hint.clone()),
            Self::Local(error) => error.hint(),
            Self::IndexConflict { index, .. } => Some(format!(
                "reindex `{index}` into a new index with the new mapping, then deploy again"
            )),
            Self::FunctionFailed {
                environment,
                function,
                ..
            } => Some(format!(
                "read its logs: cargo infra logs {environment} {function}"
            )),
            Self::ScrapeFailed { environment, .. } => Some(format!(
                "correct the cause and start it again: what is there is not loaded twice; its log: cargo infra logs {environment} PapersScraper --since 1h"
            )),
            Self::GoesOn { again, .. } => Some(format!("follow it again: {again}")),
            Self::SampleIncomplete { waiting, .. } => {
                Some(format!("still on their way: {}", waiting.join(", ")))
            }
            Self::Interrupted => {
                Some("run the same command again: it goes on from there".to_owned())
            }
            Self::Aws { .. }
            | Self::Violations { .. }
            | Self::Stack(_)
            | Self::ChangeSet { .. }
            | Self::Unretained { .. }
            | Self::File { .. }
            | Self::Object(_)
            | Self::Queue(_)
            | Self::Index(_)
            | Self::Terminal(_)
            | Self::Json(_) => None,
        }
    }

    /// 1: what was asked for was tried and failed. 2: the request is wrong. 3: AWS, or a service of the
    /// environment, refused or undid it. 130: interrupted.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Environment(_)
            | Self::Violations { .. }
            | Self::Stack(_)
            | Self::NoProject { .. }
            | Self::WrongAccount { .. }
            | Self::NotDeployed { .. }
            | Self::MissingOutput(_)
            | Self::Build { .. }
            | Self::File { .. }
            | Self::Usage { .. }
            | Self::Terminal(_)
            | Self::Json(_) => 2,
            Self::Aws { .. }
            | Self::RolledBack { .. }
            | Self::ChangeSet { .. }
            | Self::Unretained { .. }
            | Self::TimedOut { .. }
            | Self::Local(_)
            | Self::Object(_)
            | Self::Queue(_)
            | Self::Index(_)
            | Self::IndexConflict { .. }
            | Self::FunctionFailed { .. }
            | Self::SampleIncomplete { .. } => 3,
            Self::ScrapeFailed { .. } => 1,
            Self::Interrupted | Self::GoesOn { .. } => 130,
        }
    }
}

fn environment_hint(error: &EnvironmentError) -> Option<String> {
    match error {
        EnvironmentError::Unknown { known, .. } => {
            Some(format!("known environments: {}", known.join(", ")))
        }
        EnvironmentError::Malformed { nearest, .. } => nearest
            .as_ref()
            .map(|nearest| format!("did you mean `{nearest}`?")),
        EnvironmentError::Unreadable { .. } | EnvironmentError::Invalid { .. } => None,
    }
}
