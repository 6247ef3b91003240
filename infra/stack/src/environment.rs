//! `environments/*.toml` as types: the file as written, and the checked settings the rest sees.
//!
//! A key that is not known is an error with its file, line and the nearest known key; a value
//! outside its range names the key and the range. Nothing here calls AWS.

use std::path::Path;
use std::time::Duration;

use annapurna_contract::Backend;

use self::file::EnvironmentFile;
use self::problems::Problems;

mod agent;
mod alarms;
mod error;
mod file;
mod hosts;
mod image;
mod models;
mod problems;
mod settings;

pub(crate) use self::alarms::Subscriber;
pub use crate::cloudformation::lambda::Architecture;
pub use error::EnvironmentError;
pub use models::{ModelsSettings, NamedModel};
pub(crate) use settings::IDLE_STOP_MINUTES;
use settings::{GeneratorSettings, JudgeSettings, TestingSettings};
pub use settings::{
    InstanceImage, LocalSandbox, LocalSettings, ModelSettings, ScraperSettings, SearchSettings,
    TrainiumSettings,
};

/// What the name of the instances' stack has behind that of the environment's.
const INSTANCES_SUFFIX: &str = "-trainium";

/// The checked settings of one environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// The file's name without `.toml`, such as `prod`; the stack is called after it.
    pub name: String,
    /// Whether it is in AWS or on this machine, with what only that place has.
    pub place: Place,
    /// AWS region of every resource, such as `us-east-1`.
    pub region: String,
    /// Before every name but the buckets' suffix: empty, or such as `dev-`.
    pub(crate) name_prefix: String,
    /// Behind every bucket's name, since those are global: empty, or such as `-lab`.
    pub(crate) bucket_suffix: String,
    /// In the scrapers' User-Agent: where a site can complain.
    pub(crate) contact: String,
    /// Days, one of `RETENTION_DAYS`.
    pub(crate) log_retention_days: u32,
    /// Keep buckets and the search domain when the stack is destroyed.
    pub(crate) retain_data: bool,
    /// The stack is kept from being deleted and what it holds from being replaced, and its name is asked for.
    pub protected: bool,
    /// What the scrapers take where an event leaves it open; `scrape` reads the year.
    pub scraper: ScraperSettings,
    /// What models may cost.
    pub models: ModelsSettings,
    pub(crate) judge: JudgeSettings,
    pub(crate) generator: GeneratorSettings,
    pub(crate) testing: TestingSettings,
    /// Who is told of an alarm; only where [`Self::has_alarms`].
    pub(crate) subscribers: Vec<Subscriber>,
    /// What the account may cost in a month, US dollars, where somebody should be told of more.
    pub(crate) monthly_budget_usd: Option<u32>,
    /// The index: a domain of the stack, whose host `deploy` and `status` read, or an address.
    pub search: SearchSettings,
    /// The instances; `None` where the agent is a process of this machine.
    pub trainium: Option<TrainiumSettings>,
}

/// Where the resources of an environment are, and what reaching them takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In an AWS account, with the caller's own credentials.
    Aws {
        /// The only account this environment may touch.
        account: Option<String>,
        /// Named profile of the AWS configuration.
        profile: Option<String>,
        /// What the functions are built for; `arm64` where the file says nothing.
        architecture: Architecture,
    },
    /// On this machine, against an emulator: no account is touched.
    Local(LocalSettings),
}

impl Environment {
    /// Reads `NAME.toml` of a folder.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError`], with the names there are when this one is none.
    pub fn load(folder: &Path, name: &str) -> Result<Self, EnvironmentError> {
        let known = known_environments(folder);
        if !known.iter().any(|known| known == name) {
            return Err(EnvironmentError::Unknown {
                name: name.to_owned(),
                known,
            });
        }
        let path = folder.join(format!("{name}.toml"));
        let text =
            std::fs::read_to_string(&path).map_err(|source| EnvironmentError::Unreadable {
                path: path.clone(),
                source,
            })?;
        Self::parse(name, &path, &text)
    }

    /// Checks a file's text. `path` is only named in errors.
    ///
    /// # Errors
    ///
    /// [`EnvironmentError::Malformed`] or [`EnvironmentError::Invalid`].
    pub(crate) fn parse(name: &str, path: &Path, text: &str) -> Result<Self, EnvironmentError> {
        let file: EnvironmentFile = toml::from_str(text)
            .map_err(|error| EnvironmentError::malformed(path, text, &error))?;
        let mut problems = Problems::default();
        let environment = file.check(name, &mut problems);
        models::check(&environment, &mut problems);
        if problems.0.is_empty() {
            Ok(environment)
        } else {
            Err(EnvironmentError::Invalid {
                path: path.to_owned(),
                problems: problems.0,
            })
        }
    }

    /// CloudFormation's name of the stack, such as `annapurna-prod`.
    pub fn stack_name(&self) -> String {
        format!("annapurna-{}", self.name)
    }

    /// The name of the environment one of whose stacks has this name.
    pub fn of_stack(stack: &str) -> &str {
        let name = stack.strip_prefix("annapurna-").unwrap_or(stack);
        name.strip_suffix(INSTANCES_SUFFIX).unwrap_or(name)
    }

    /// CloudFormation's name of the stack of its instances, such as `annapurna-prod-trainium`.
    pub fn instances_stack_name(&self) -> String {
        format!("{}{INSTANCES_SUFFIX}", self.stack_name())
    }

    /// The name of something that takes the environment's prefix.
    pub fn named(&self, name: &str) -> String {
        format!("{}{name}", self.name_prefix)
    }

    /// What stands behind every bucket's name.
    pub fn bucket_suffix(&self) -> &str {
        &self.bucket_suffix
    }

    /// Whether the sites would be told the placeholder of the file, and not at whom to complain.
    pub fn contact_is_a_placeholder(&self) -> bool {
        self.contact.starts_with("set-contact-in-")
    }

    /// A bucket's name among all buckets of AWS: prefix, own name, suffix.
    pub fn bucket_name(&self, bucket: annapurna_contract::Bucket) -> String {
        format!(
            "{}{}{}",
            self.name_prefix,
            bucket.name(),
            self.bucket_suffix
        )
    }

    /// What is relevant, a sentence: it stands in the judge's prompt.
    pub fn topic(&self) -> &str {
        &self.judge.topic
    }

    /// Model or inference profile that judges.
    pub fn judge_model(&self) -> &str {
        &self.judge.model
    }

    /// How long a paper waits for a text that is to come before it gets its program; zero: not at all.
    pub fn wait_for_text(&self) -> Duration {
        Duration::from_secs(self.generator.wait_for_text_secs.into())
    }

    /// Whether the agent takes batches from `code-testing.fifo`; else the tester calls it at an address.
    pub fn agent_pulls(&self) -> bool {
        self.testing.trainium_endpoint == settings::TrainiumEndpoint::Queue
    }

    /// Its settings as a local environment; `None` in AWS.
    pub fn local(&self) -> Option<&LocalSettings> {
        match &self.place {
            Place::Local(local) => Some(local),
            Place::Aws { .. } => None,
        }
    }

    /// What generated programs train on. Where the agent is somebody else's machine, what torch sees there.
    pub fn backend(&self) -> Backend {
        match (&self.place, &self.trainium) {
            (Place::Local(local), _) => local.backend(),
            (Place::Aws { .. }, Some(trainium)) => trainium.backend(),
            (Place::Aws { .. }, None) => Backend::Auto,
        }
    }

    /// Where the journals of the instances go.
    pub fn agent_log_group(&self) -> String {
        format!("/annapurna/{}", self.named("trainium-agent"))
    }

    /// Whether anything of it has an alarm: where scrapes start by themselves, nobody sees one fail.
    pub fn has_alarms(&self) -> bool {
        self.scraper.scheduled
    }

    /// Whether its alarms go to nobody that its file names; `doctor` says so.
    pub fn alarms_tell_nobody(&self) -> bool {
        self.has_alarms() && self.subscribers.is_empty()
    }

    /// What the functions are built for: the file's word in AWS, this machine's processor in `local`.
    pub fn architecture(&self) -> Architecture {
        match &self.place {
            Place::Aws { architecture, .. } => *architecture,
            Place::Local(_) => Architecture::host(),
        }
    }
}

/// The environments of a folder, by name.
fn known_environments(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let path = entry.path();
            let is_toml = path
                .extension()
                .is_some_and(|extension| extension == "toml");
            is_toml.then(|| path.file_stem()?.to_str().map(str::to_owned))?
        })
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
