//! The services that `infra` runs on this machine, by the words that commands have for them.

use annapurna_local::{Home, emulator, opensearch, process};

use super::agent::AGENT;
use super::{MODEL, PAPER_SITE};

/// A service of a local environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The emulator; the environment may name another cloud.
    Cloud,
    /// OpenSearch; the environment may name another one.
    Search,
    /// What answers for Bedrock.
    Model,
    /// What answers for every paper site.
    Papers,
    /// The agent that runs generated programs.
    Agent,
}

impl Service {
    /// Each once, in the order of `status`.
    pub const ALL: [Self; 5] = [
        Self::Cloud,
        Self::Search,
        Self::Model,
        Self::Papers,
        Self::Agent,
    ];

    /// What runs functions, and what they call while they work. Programs only wait for the agent.
    pub const OF_FUNCTIONS: [Self; 4] = [Self::Cloud, Self::Search, Self::Model, Self::Papers];

    /// Its name in `run` and `logs`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cloud => emulator::SERVICE,
            Self::Search => opensearch::SERVICE,
            Self::Model => MODEL,
            Self::Papers => PAPER_SITE,
            Self::Agent => AGENT,
        }
    }

    /// Its part in `status`.
    pub const fn part(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::Search => "search",
            Self::Model => "model",
            Self::Papers => "papers",
            Self::Agent => "agent",
        }
    }

    /// What a sentence calls it.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Cloud => "the cloud emulator",
            Self::Search => "OpenSearch",
            Self::Model => "the model",
            Self::Papers => "the paper site",
            Self::Agent => "the agent",
        }
    }

    /// Whether it was started and has died since: killed, or gone with the machine's last boot.
    pub fn has_died(self, home: &Home) -> bool {
        process::was_started(home, self.name()) && process::running(home, self.name()).is_none()
    }
}

/// The words for several: `OpenSearch, the model and the agent`.
pub(crate) fn in_words(services: &[Service]) -> String {
    let words: Vec<&str> = services.iter().map(|it| it.in_words()).collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_services_are_one_phrase() {
        use Service::{Agent, Model, Search};
        assert_eq!(in_words(&[Model]), "the model");
        assert_eq!(
            in_words(&[Search, Model, Agent]),
            "OpenSearch, the model and the agent"
        );
    }
}
