//! The checked settings: what the rest of the program sees of an environment's file.

use std::path::PathBuf;

use serde::Deserialize;

use super::hosts::ScraperHosts;
use crate::constructs::function::FunctionSize;

/// What only the local environment has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LocalSettings {
    /// Address of an emulator that runs elsewhere; absent: one of its own is started.
    pub endpoint_url: Option<String>,
    /// Interpreter of the generated programs; absent: the first Python found that has torch.
    pub python: Option<PathBuf>,
    /// What answers for Bedrock; absent: the offline rules.
    #[serde(default)]
    pub model: ModelSettings,
}

/// What answers for Bedrock locally.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, tag = "backend", rename_all = "kebab-case")]
pub enum ModelSettings {
    /// Transparent rules; no model.
    #[default]
    OfflineRules,
    /// An OpenAI-compatible server: Ollama, llama.cpp, vLLM.
    #[serde(rename = "openai")]
    OpenAi {
        /// Address of the server, such as `http://127.0.0.1:11434/v1`.
        #[serde(rename = "base-url")]
        base_url: String,
        /// Name of the model at that server.
        model: String,
        /// Name of the environment variable that holds the server's key; absent: none is sent.
        #[serde(rename = "api-key-variable")]
        api_key_variable: Option<String>,
        /// The embeddings model's name there, 1024 dimensions; absent: hashed bags of words.
        #[serde(rename = "embeddings-model")]
        embeddings_model: Option<String>,
    },
    /// The real Bedrock, with the user's own credentials.
    Bedrock {
        /// Region whose Bedrock is called.
        region: String,
        /// Named profile of your AWS configuration; absent: the default credentials.
        profile: Option<String>,
    },
}

/// The scrapers' settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScraperSettings {
    /// Size of every scraper.
    pub(crate) size: FunctionSize,
    /// Conference year when an event names none.
    pub conference_year: u32,
    /// Papers of one run when an event names no number.
    pub(crate) max_papers: u32,
    /// arXiv's search query.
    pub(crate) arxiv_query: String,
    /// Least time between two requests to one host.
    pub(crate) request_interval_ms: u32,
    /// How long until a scrape takes papers again that were held back.
    pub(crate) retake_after_secs: u32,
    /// Whether the schedules of the scrapers run.
    pub(crate) scheduled: bool,
    /// Other hosts than the sources' own.
    pub(crate) hosts: ScraperHosts,
}

/// The judge's settings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JudgeSettings {
    /// Size.
    pub(crate) size: FunctionSize,
    /// Model or inference profile.
    pub(crate) model: String,
    /// Embedding model.
    pub(crate) embedding_model: String,
    /// What is relevant.
    pub(crate) topic: String,
    /// Cosine similarity from which a paper counts as known.
    pub(crate) duplicate_similarity: f64,
}

/// The generator's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GeneratorSettings {
    /// Size.
    pub(crate) size: FunctionSize,
    /// Model or inference profile.
    pub(crate) model: String,
}

/// Testing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestingSettings {
    /// Size of the tester.
    pub(crate) size: FunctionSize,
    /// Programs of a batch.
    pub(crate) batch_size: u32,
    /// Seconds the oldest program waits for its batch to fill.
    pub(crate) max_wait_secs: u32,
    /// Limit of one program.
    pub(crate) program_timeout_secs: u32,
    /// How programs reach the agent.
    pub(crate) trainium_endpoint: TrainiumEndpoint,
}

/// How programs reach the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TrainiumEndpoint {
    /// The agent takes batches from `code-testing.fifo`; no port is open.
    Queue,
    /// The tester calls the agent's API at this base URL and waits for the answer.
    Address(String),
}

impl TrainiumEndpoint {
    pub(super) const QUEUE: &str = "queue";

    /// As the tester's variable `TRAINIUM_ENDPOINT` says it.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Queue => Self::QUEUE,
            Self::Address(address) => address,
        }
    }
}

/// Where the index is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchSettings {
    /// An OpenSearch that is already there.
    Url(String),
    /// A domain of the stack.
    Domain {
        /// Node type.
        instance_type: String,
        /// Data nodes.
        instance_count: u32,
        /// GiB a node.
        volume_gib: u32,
    },
}

/// The instance.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainiumSettings {
    /// Instance type, such as `trn1.2xlarge`.
    pub(crate) instance_type: String,
    /// US dollars an hour, on demand, as text so that it stays exact.
    pub(crate) hourly_price_usd: String,
    /// Public SSM parameter that names the AMI.
    pub(crate) image_parameter: String,
    /// Root volume, GiB; paid for while the instance is stopped, too.
    #[cfg_attr(test, schemars(range(min = 75, max = 16_384)))]
    pub(crate) volume_gib: u32,
    /// Subnet of the instance; with `vpc-id`, or neither for the default ones.
    pub(crate) subnet_id: Option<String>,
    /// VPC of the subnet.
    pub(crate) vpc_id: Option<String>,
}
