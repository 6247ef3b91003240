//! The checked settings: what the rest of the program sees of an environment's file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use annapurna_contract::Backend;
use annapurna_contract::config::AGENT_PULLS;
use serde::Deserialize;

use super::hosts::ScraperHosts;
use crate::constructs::function::FunctionSize;

/// What generated programs train on, on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LocalBackend {
    /// What torch sees: a GPU, else the processor.
    #[default]
    Auto,
    /// A GPU; without one nothing is run.
    Cuda,
    /// The processor, also where there is a GPU.
    Cpu,
}

/// What keeps generated programs from the rest of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LocalSandbox {
    /// bubblewrap, in a control group of the program's own; where they do not hold, nothing is run.
    #[default]
    Bubblewrap,
    /// Nothing: programs can do whatever you can.
    None,
}

impl LocalSandbox {
    /// As the file and the agent write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bubblewrap => "bubblewrap",
            Self::None => "none",
        }
    }
}

/// What generated programs train on, on the instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TrainiumBackend {
    /// PyTorch/XLA, for trn1.
    #[default]
    Xla,
    /// PyTorch's own device `neuron`, for trn2 and trn3.
    TorchNeuron,
}

impl From<LocalBackend> for Backend {
    fn from(backend: LocalBackend) -> Self {
        match backend {
            LocalBackend::Auto => Self::Auto,
            LocalBackend::Cuda => Self::Cuda,
            LocalBackend::Cpu => Self::Cpu,
        }
    }
}

impl From<TrainiumBackend> for Backend {
    fn from(backend: TrainiumBackend) -> Self {
        match backend {
            TrainiumBackend::Xla => Self::Xla,
            TrainiumBackend::TorchNeuron => Self::TorchNeuron,
        }
    }
}

/// What only the local environment has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LocalSettings {
    /// Address of an emulator that runs elsewhere; absent: one of its own is started.
    pub endpoint_url: Option<String>,
    /// Interpreter of the generated programs; absent: the first Python found that has torch.
    pub python: Option<PathBuf>,
    /// What programs train on, which the generator writes them for and the agent offers; absent: `auto`, which is what
    /// torch sees, a GPU or else the processor.
    #[serde(default)]
    pub(crate) backend: LocalBackend,
    /// What keeps generated programs from the rest of this machine; absent: `bubblewrap`. `none` is for a machine that
    /// allows no sandbox.
    #[serde(default)]
    pub sandbox: LocalSandbox,
    /// What answers for Bedrock; absent: the offline rules.
    #[serde(default)]
    pub model: ModelSettings,
}

/// What answers for Bedrock on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, tag = "backend", rename_all = "kebab-case")]
pub enum ModelSettings {
    /// Rules that anybody can read: no model, no cost, the same answer every time.
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

/// What the scrapers take where an event leaves it open, and how politely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScraperSettings {
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

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JudgeSettings {
    pub(crate) size: FunctionSize,
    /// Id of a Bedrock model or inference profile.
    pub(crate) model: String,
    /// Id of a Bedrock model whose vectors have 1024 dimensions.
    pub(crate) embedding_model: String,
    /// What is relevant, as the prompt says it.
    pub(crate) topic: String,
    /// Cosine similarity from which a paper counts as known.
    pub(crate) duplicate_similarity: f64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GeneratorSettings {
    pub(crate) size: FunctionSize,
    /// Id of a Bedrock model or inference profile.
    pub(crate) model: String,
    /// How long a paper waits for its text before its program is written from the abstract.
    pub(crate) wait_for_text_secs: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestingSettings {
    pub(crate) size: FunctionSize,
    /// Programs of a batch, 1 to 10.
    pub(crate) batch_size: u32,
    /// Seconds the oldest program waits for its batch to fill.
    pub(crate) max_wait_secs: u32,
    /// Seconds that one generated program may run.
    pub(crate) program_timeout_secs: u32,
    pub(crate) trainium_endpoint: TrainiumEndpoint,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TrainiumEndpoint {
    /// The agent takes batches from `code-testing.fifo`; no port is open.
    Queue,
    /// The tester calls the agent's API and waits for the answer.
    Address {
        /// Base URL.
        url: String,
        /// Name of the SSM parameter with the bearer token; `None`: no token is sent.
        token_parameter: Option<String>,
    },
}

impl TrainiumEndpoint {
    /// As the tester's variable `TRAINIUM_ENDPOINT` says it.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Queue => AGENT_PULLS,
            Self::Address { url, .. } => url,
        }
    }

    /// Name of the SSM parameter with the agent's token.
    pub(crate) fn token_parameter(&self) -> Option<&str> {
        match self {
            Self::Queue => None,
            Self::Address {
                token_parameter, ..
            } => token_parameter.as_deref(),
        }
    }
}

/// Whether the stack has a domain for the index, or the index is somewhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchSettings {
    /// Address, with its scheme, of an OpenSearch that is already there.
    Url(String),
    /// A domain that the stack makes.
    Domain {
        /// Node type, such as `r7g.large.search`.
        instance_type: String,
        /// Data nodes, 1 to 10; with more than one the index has a replica.
        instance_count: u32,
        /// Volume of each node, GiB, 10 to 1,000.
        volume_gib: u32,
    },
}

/// `[trainium]`: the instances that run the programs in AWS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainiumSettings {
    /// Instance type, such as `trn1.2xlarge`.
    pub instance_type: String,
    /// Instances that run programs, each started when a batch waits and stopped when none does; absent: 1. With 0 the
    /// pipeline waits for an agent at the end of `code-testing.fifo`.
    #[serde(default = "one")]
    #[cfg_attr(test, schemars(range(min = 0, max = MOST_INSTANCES)))]
    pub instances: u32,
    /// An instance of your own that the tester starts and stops in place of the environment's, such as
    /// `i-0123456789abcdef0`; with `instances = 0`.
    pub instance_id: Option<String>,
    /// Minutes without a program to run after which an instance stops itself; absent: 10. The tester stops one that does
    /// not, five minutes later.
    #[serde(default = "idle_stop_minutes")]
    #[cfg_attr(test, schemars(range(min = 5, max = 1440)))]
    pub idle_stop_minutes: u32,
    /// US dollars an hour, on demand, as text so that it stays exact.
    pub(crate) hourly_price_usd: String,
    /// What programs train on, which the generator writes them for and the agent offers: `xla` on a trn1,
    /// `torch-neuron` on a trn2 or trn3. Absent: `xla`.
    #[serde(default)]
    pub(crate) backend: TrainiumBackend,
    /// The AMI of each region, such as `{ us-east-1 = "ami-0123456789abcdef0" }`; `infra ami ENV` prints the line. Where
    /// the environment's region is in it, `image-parameter` is not looked at.
    #[serde(default)]
    pub(crate) image_ids: BTreeMap<String, String>,
    /// SSM parameter that names the AMI where `image-ids` does not.
    pub image_parameter: String,
    /// Root volume, GiB; paid for while the instance is stopped, too. AWS asks for 512 at least.
    #[cfg_attr(test, schemars(range(min = 75, max = 16_384)))]
    pub volume_gib: u32,
    /// Subnet of the instances; with `vpc-id`. Neither: those of the default VPC, in the zones that have the type.
    pub subnet_id: Option<String>,
    /// VPC of the subnet.
    pub vpc_id: Option<String>,
}

/// Where the AMI of an instance is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceImage<'a> {
    /// In the file: it is the same on every day.
    Pinned(&'a str),
    /// In a parameter of Systems Manager, whose value AWS or you may change.
    Parameter(&'a str),
}

impl TrainiumSettings {
    /// What instances of this region are made from.
    pub fn image(&self, region: &str) -> InstanceImage<'_> {
        self.image_ids
            .get(region)
            .map_or(InstanceImage::Parameter(&self.image_parameter), |id| {
                InstanceImage::Pinned(id)
            })
    }

    /// US dollars an hour, on demand, as the environment's file says it.
    pub fn hourly_price_usd(&self) -> &str {
        &self.hourly_price_usd
    }

    /// What programs train on there.
    pub fn backend(&self) -> Backend {
        self.backend.into()
    }
}

impl LocalSettings {
    /// What programs train on here.
    pub fn backend(&self) -> Backend {
        self.backend.into()
    }
}

/// Each is started and paid for on its own; more would be a mistake.
pub(super) const MOST_INSTANCES: u32 = 10;

const fn one() -> u32 {
    1
}

/// Where the environment's file does not say otherwise.
pub(crate) const IDLE_STOP_MINUTES: u32 = 10;

const fn idle_stop_minutes() -> u32 {
    IDLE_STOP_MINUTES
}
