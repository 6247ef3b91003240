//! Why a command stopped, in the words of the person who ran it.

mod credentials;
mod exit_code;
mod finding;
mod hint;
mod obstacle;

use std::path::PathBuf;

use annapurna_cloud::{ObjectError, QueueError, reason};
use annapurna_contract::text::safe;
use annapurna_datasets::DatasetError;
use annapurna_local::LocalError;
use annapurna_runtime::search::SearchError;
use annapurna_stack::cloudformation::NoFacts;
use annapurna_stack::environment::EnvironmentError;
use annapurna_stack::outputs::MissingOutput;
use annapurna_stack::pipeline::StackError;
use annapurna_stack::validate::Violation;
use aws_sdk_cloudformation::config::http::HttpResponse;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};

use crate::local::service::{Service, in_words};

pub use credentials::CredentialsReport;
use credentials::is_of_credentials;
pub use finding::Finding;
use finding::{lines, refusal};
pub use obstacle::Obstacle;

/// One variant per thing a person can act on.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The environment's file is missing, is no TOML or breaks a rule.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The stack breaks rules of AWS.
    #[error("the stack of `{environment}` breaks {} rule(s):\n{}", violations.len(), lines(violations))]
    Violations {
        /// Its name, without `.toml`.
        environment: String,
        /// Every one that was found, not only the first.
        violations: Vec<Violation>,
    },
    /// Each setting is allowed, and together they make no stack.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// Of a resource type in the template is not known what this program asks.
    #[error(transparent)]
    Facts(#[from] NoFacts),
    /// The folder with `environments/` is not above the working directory.
    #[error("no Annapurna project in {} or above it", from.display())]
    NoProject {
        /// The folder in which the search began.
        from: PathBuf,
    },
    /// The credentials are of another account than the environment's.
    #[error(
        "environment `{environment}` may only touch account {expected}, but the credentials are of account {actual}"
    )]
    WrongAccount {
        /// Its name, without `.toml`.
        environment: String,
        /// The account in its file, 12 digits.
        expected: String,
        /// The account of the credentials, as STS says.
        actual: String,
    },
    /// The environment's file names no account, and what changes something needs one.
    #[error("environments/{environment}.toml names no `account`")]
    NoAccount {
        /// Its name, without `.toml`.
        environment: String,
    },
    /// The SDK found nothing to sign requests with.
    #[error(
        "no AWS credentials: tried the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, then the profile of ~/.aws that `profile` in the environment's file or AWS_PROFILE names, or `default`, then a role of this machine"
    )]
    NoCredentials {
        /// Every way that was tried, in the SDK's words.
        #[source]
        source: CredentialsReport,
    },
    /// An AWS call failed.
    #[error("cannot {doing}: {reason}")]
    Aws {
        /// A verb with its object, such as `describe stack `annapurna-dev``.
        doing: String,
        /// Code and message of the service, or of the connection.
        reason: String,
    },
    /// An AWS call failed for a reason that passes, after all its tries.
    #[error("cannot {doing}: {obstacle} ({reason})")]
    Passing {
        /// A verb with its object, such as `describe stack `annapurna-dev``.
        doing: String,
        /// What stands in the way.
        obstacle: Obstacle,
        /// Code and message of the service, or of the connection.
        reason: String,
    },
    /// CloudFormation undid the deployment.
    #[error("stack `{stack}` rolled back: {cause}")]
    RolledBack {
        /// Its name in CloudFormation, such as `annapurna-prod`.
        stack: String,
        /// The first failure that is no consequence of another: which resource, and CloudFormation's words.
        cause: String,
    },
    /// CloudFormation refused the deployment before it changed anything.
    #[error(
        "stack `{stack}` was left as it was, since the deployment would fail:\n{}",
        lines(findings)
    )]
    Refused {
        /// Its name in CloudFormation, such as `annapurna-prod`.
        stack: String,
        /// Everything that was found.
        findings: Vec<Finding>,
    },
    /// An update could be neither finished nor undone.
    #[error(
        "stack `{stack}` could be neither updated nor brought back, and takes no update:\n{}",
        lines(failures)
    )]
    Stuck {
        /// Its name in CloudFormation, such as `annapurna-prod`.
        stack: String,
        /// Each resource that could not be brought back, with CloudFormation's words.
        failures: Vec<String>,
    },
    /// Something of a stack outlived its deletion.
    #[error("stack `{stack}` is not deleted:\n{}", lines(failures))]
    NotDeleted {
        /// Its name in CloudFormation, such as `annapurna-prod`.
        stack: String,
        /// Each resource that could not be deleted, with CloudFormation's words.
        failures: Vec<String>,
    },
    /// Somebody else works on the stack.
    #[error("stack `{stack}` is {status}, begun {who}")]
    Busy {
        /// Its name in CloudFormation, such as `annapurna-prod`.
        stack: String,
        /// CloudFormation's word, such as `UPDATE_IN_PROGRESS`.
        status: String,
        /// Who began it, and when.
        who: String,
    },
    /// The pipeline is deployed, and the stack of its instances is not as wanted.
    #[error("the pipeline of `{environment}` is deployed, its instances are not: {problem}")]
    Instances {
        /// As commands take it, such as `prod`.
        environment: String,
        /// Why, in EC2's words where it refused.
        problem: String,
        /// What to do, where it is known.
        hint: Option<String>,
    },
    /// CloudFormation refused the change set.
    #[error(
        "the change set of stack `{stack}` failed:{}",
        refusal(reason, findings)
    )]
    ChangeSet {
        /// Its name in CloudFormation, such as `annapurna-prod`.
        stack: String,
        /// CloudFormation's words.
        reason: String,
        /// What it found, where it says so.
        findings: Vec<Finding>,
    },
    /// A new stack finds something there that its template would delete with the stack.
    #[error("the change set of stack `{stack}` failed: {}", safe(reason))]
    Unretained {
        /// Its name in CloudFormation, such as `annapurna-prod`.
        stack: String,
        /// CloudFormation's words, with the resources.
        reason: String,
    },
    /// A wait ended without what it waited for.
    #[error("{what} did not come to an end within {limit_secs} s")]
    TimedOut {
        /// Such as `stack `annapurna-dev``.
        what: String,
        /// The limit that was reached, seconds.
        limit_secs: u64,
    },
    /// The environment has no stack.
    #[error("environment `{environment}` is not deployed")]
    NotDeployed {
        /// Its name, which the hint puts into a command.
        environment: String,
    },
    /// Services of this machine have died; what they stored is there.
    #[error("stopped in `{environment}`: {}", in_words(services))]
    Stopped {
        /// Its name, which the hint puts into a command.
        environment: String,
        /// Each that has died.
        services: Vec<Service>,
    },
    /// The stack is deployed and lacks an output.
    #[error(transparent)]
    MissingOutput(#[from] MissingOutput),
    /// A build failed; the compiler has said why.
    #[error("cannot build {what}")]
    Build {
        /// The crates, or what of them could not be packed.
        what: String,
        /// The whole hint.
        hint: String,
    },
    /// A file or program of this machine.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// A verb that goes before the path, such as `read`.
        doing: &'static str,
        /// The file, or the program's name.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// A service of the local environment, or what it runs on.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// An object of the pipeline could not be read or written.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A queue of the pipeline could not be asked, or took no message.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The index did not answer, or refused.
    #[error(transparent)]
    Index(#[from] SearchError),
    /// A field of the index has another type than the record.
    #[error("index `{index}` cannot take the paper record: {}", fields.join(", "))]
    IndexConflict {
        /// Its name, for the hint.
        index: String,
        /// Each field with its type there and the type it should have.
        fields: Vec<String>,
    },
    /// The request itself is wrong.
    #[error("{problem}")]
    Usage {
        /// The whole message.
        problem: String,
        /// The whole hint, with a command where there is one.
        hint: String,
    },
    /// A function answered with an error.
    #[error("{function} failed: {reason}")]
    FunctionFailed {
        /// For the hint, whose command reads its logs.
        environment: String,
        /// Its name without the environment's prefix.
        function: String,
        /// Its own words.
        reason: String,
    },
    /// A function says that the request is wrong.
    #[error("{function} refuses the request: {reason}")]
    InvalidRequest {
        /// Of a function without the environment's prefix, or of an execution.
        function: String,
        /// The function's own words, with what it takes.
        reason: String,
    },
    /// A function answered, and nothing of what was asked is done.
    #[error(
        "{function} did nothing of what was asked: {n_failed} paper(s) failed, the first since {reason}"
    )]
    NothingDone {
        /// For the hint, whose command reads its logs.
        environment: String,
        /// Its name without the environment's prefix.
        function: String,
        /// Papers in the answer's `failed`.
        n_failed: usize,
        /// The function's own words about the first.
        reason: String,
    },
    /// A program that was tested did not succeed: whose it was, and why, one line in the agent's words.
    #[error("the program of paper {0} did not succeed: {1}")]
    ProgramFailed(String, String),
    /// A batch is in no queue any more, and has no result.
    #[error("batch {batch_id} is gone without a result")]
    BatchGone {
        /// For the hint, whose command counts the dead letters.
        environment: String,
        /// `person-…` or `trial-…`.
        batch_id: String,
    },
    /// A scrape ended without its papers.
    #[error("{execution} failed: {reason}")]
    ScrapeFailed {
        /// For the hint, whose command reads the function's log.
        environment: String,
        /// The execution's name.
        execution: String,
        /// Error and cause in plain words.
        reason: String,
    },
    /// Ctrl-C while following what runs by itself.
    #[error("no longer followed; {execution} goes on")]
    GoesOn {
        /// Name of the execution of `ScrapeConference`.
        execution: String,
        /// The command that follows it again.
        again: String,
    },
    /// Not everything of the sample arrived.
    #[error("{arrived} of {expected} sample papers have results")]
    SampleIncomplete {
        /// Papers with a result.
        arrived: usize,
        /// Papers of the sample.
        expected: usize,
        /// The titles of the others, each with its stage.
        waiting: Vec<String>,
    },
    /// A data set cannot be made of what is there.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A publisher's file did not come.
    #[error("{url} did not come: {reason}")]
    Download {
        /// Where it is.
        url: String,
        /// The server's or the system's own words.
        reason: String,
    },
    /// Standard output or error cannot be written, or standard input not be read.
    #[error("cannot write to the terminal")]
    Terminal(#[from] std::io::Error),
    /// A value has no JSON form.
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
    /// The person who was asked said no.
    #[error("declined; {left}")]
    Declined {
        /// What is as it is because of that.
        left: String,
        /// The command that goes on from there, where something was done before the question.
        again: Option<String>,
    },
    /// There is a question and no terminal to ask it on.
    #[error("nobody can be asked \"{question}\": standard input is no terminal")]
    NobodyToAsk {
        /// The whole question.
        question: String,
        /// The option that answers it.
        flag: String,
    },
    /// Ctrl-C: what was begun is safe to go on with.
    #[error("interrupted")]
    Interrupted,
}

impl CommandError {
    /// A failed call of an AWS SDK, with the service's own code and message.
    pub fn aws<E>(doing: impl Into<String>) -> impl FnOnce(SdkError<E, HttpResponse>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let doing = doing.into();
        move |error| {
            let reason = reason(&error);
            match Obstacle::of(&error) {
                _ if is_of_credentials(&error) => Self::NoCredentials {
                    source: CredentialsReport(reason),
                },
                Some(obstacle) => Self::Passing {
                    doing,
                    obstacle,
                    reason,
                },
                None => Self::Aws { doing, reason },
            }
        }
    }

    /// An answer of AWS without what it was asked for.
    pub(crate) fn lacks(doing: impl Into<String>, what: &str) -> Self {
        Self::Aws {
            doing: doing.into(),
            reason: format!("the answer has no {what}"),
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

    /// Whether the death of a service that was asked may be behind it. What CloudFormation says of a stack, or the index
    /// of its fields, is the answer of one that lives.
    pub(crate) const fn is_of_a_service(&self) -> bool {
        matches!(
            self,
            Self::Aws { .. }
                | Self::Passing { .. }
                | Self::TimedOut { .. }
                | Self::Local(_)
                | Self::Object(_)
                | Self::Queue(_)
                | Self::Index(_)
                | Self::FunctionFailed { .. }
                | Self::NothingDone { .. }
                | Self::ScrapeFailed { .. }
                | Self::SampleIncomplete { .. }
        )
    }

    /// For what a function did, or did not.
    fn where_it_is_logged(&self) -> Option<String> {
        let (Self::FunctionFailed {
            environment,
            function,
            ..
        }
        | Self::NothingDone {
            environment,
            function,
            ..
        }) = self
        else {
            return None;
        };
        Some(hint::logs(environment, function))
    }

    /// The one next step worth trying, when there is one.
    pub fn hint(&self) -> Option<String> {
        let say = |words: &str| Some(words.to_owned());
        match self {
            Self::Environment(error) => hint::environment(error),
            Self::Local(error) => error.hint(),
            Self::Build { hint, .. } | Self::Usage { hint, .. } => say(hint),
            Self::Instances { hint, .. } => hint.clone(),
            Self::NoProject { .. } => say(hint::NO_PROJECT),
            Self::Passing { obstacle, .. } => say(obstacle.hint()),
            Self::RolledBack { cause, .. } => Some(hint::rolled_back(cause)),
            Self::Refused { findings, .. } | Self::ChangeSet { findings, .. } => {
                hint::settings(findings)
            }
            Self::Stuck { stack, .. } => Some(hint::stuck(stack)),
            Self::NotDeleted { .. } => say(hint::NOT_DELETED),
            Self::Busy { .. } => say(hint::BUSY),
            Self::TimedOut { .. } | Self::Interrupted => say(hint::GOES_ON),
            Self::Download { .. } => say(hint::FETCH),
            Self::Dataset(error) => hint::dataset(error),
            Self::MissingOutput(_) => say(hint::OTHER_VERSION),
            Self::WrongAccount { .. } => say(hint::OTHER_ACCOUNT),
            Self::NoAccount { environment } => Some(hint::account(environment)),
            Self::NoCredentials { .. } => say(hint::SIGN_IN),
            Self::NotDeployed { environment } => Some(hint::deploy(environment)),
            Self::Stopped {
                environment,
                services,
            } => Some(hint::start(environment, services)),
            Self::IndexConflict { index, .. } => Some(hint::reindex(index)),
            Self::FunctionFailed { .. } | Self::NothingDone { .. } => self.where_it_is_logged(),
            Self::ScrapeFailed { environment, .. } => Some(hint::scrape_again(environment)),
            Self::BatchGone { environment, .. } => Some(hint::dead_letters(environment)),
            Self::NobodyToAsk { flag, .. } => Some(hint::answer(flag)),
            Self::Declined { again, .. } => again.as_deref().map(hint::go_on),
            Self::GoesOn { again, .. } => Some(hint::follow(again)),
            Self::SampleIncomplete { waiting, .. } => Some(hint::on_their_way(waiting)),
            Self::Aws { .. }
            | Self::ProgramFailed(..)
            | Self::InvalidRequest { .. }
            | Self::Violations { .. }
            | Self::Stack(_)
            | Self::Facts(_)
            | Self::Unretained { .. }
            | Self::File { .. }
            | Self::Object(_)
            | Self::Queue(_)
            | Self::Index(_)
            | Self::Terminal(_)
            | Self::Json(_) => None,
        }
    }
}
