//! The environment variables of every function, generic over the value.
//!
//! A function reads `JudgeConfig<String>` from its environment; `infra` builds `JudgeConfig<Expr>`
//! with references to resources. Both are the same struct, so a variable that nobody sets does not
//! compile, and one that nobody reads cannot be set.
//!
//! ```
//! let set = annapurna_contract::AgentConfig {
//!     testing_queue_url: "https://sqs.us-east-1.amazonaws.com/1/code-testing.fifo",
//!     code_bucket: "papers-code-artifacts",
//!     outputs_bucket: "papers-test-outputs",
//!     datasets_bucket: "datasets-for-all-papers",
//! };
//! assert_eq!(set.into_variables().len(), 4);
//! ```
//!
//! The same without `outputs_bucket`:
//!
//! ```compile_fail,E0063
//! let set = annapurna_contract::AgentConfig {
//!     testing_queue_url: "https://sqs.us-east-1.amazonaws.com/1/code-testing.fifo",
//!     code_bucket: "papers-code-artifacts",
//!     datasets_bucket: "datasets-for-all-papers",
//! };
//! assert_eq!(set.into_variables().len(), 4);
//! ```

use crate::backend::Backend;
use crate::paper_host::PerHost;

/// `CONFERENCE` of the scraper whose event must name a source.
pub const ANY_SOURCE: &str = "ANY";
/// `TRAINIUM_ENDPOINT` where the agent takes batches from `code-testing.fifo` and nobody calls it.
pub const AGENT_PULLS: &str = "queue";
/// What a variable of the tester says that names a resource which its environment does not have: no variable
/// may be empty.
pub const NO_RESOURCE: &str = "none";

/// Why a function cannot start.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// Variables that are absent or empty.
    #[error("environment variables not set: {}", .0.join(", "))]
    Missing(Vec<&'static str>),
    /// A variable whose text is not of its kind.
    #[error("{name} must be {expected}, got `{value}`")]
    Invalid {
        /// Its name, such as `BATCH_SIZE`.
        name: &'static str,
        /// What it holds, in words.
        expected: &'static str,
        /// Its text as it is set.
        value: String,
    },
}

/// Reads a number out of a variable that is already known to be set.
///
/// # Errors
///
/// [`ConfigError::Invalid`] when the text is not a number of type `T`.
pub fn number<T: std::str::FromStr>(name: &'static str, value: &str) -> Result<T, ConfigError> {
    value.trim().parse().map_err(|_| ConfigError::Invalid {
        name,
        expected: "a number",
        value: value.to_owned(),
    })
}

/// Reads a [`Backend`] out of a variable that is already known to be set.
///
/// # Errors
///
/// [`ConfigError::Invalid`] when the text is none of its words.
pub fn backend(name: &'static str, value: &str) -> Result<Backend, ConfigError> {
    value.trim().parse().map_err(|_| ConfigError::Invalid {
        name,
        expected: "xla, torch-neuron, cuda, cpu or auto",
        value: value.to_owned(),
    })
}

macro_rules! function_config {
    (
        $(#[$struct_doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident = $variable:literal,)* }
        $($(#[$hosts_doc:meta])* $hosts:ident for each paper host)?
    ) => {
        $(#[$struct_doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name<V> {
            $($(#[$field_doc])* pub $field: V,)*
            $($(#[$hosts_doc])* pub $hosts: PerHost<V>,)?
        }

        impl<V> $name<V> {
            /// Each variable with its value.
            pub fn into_variables(self) -> Vec<(&'static str, V)> {
                let variables = [$(($variable, self.$field)),*].into_iter();
                $(let hosts = self.$hosts.into_pairs();
                let variables = variables.chain(hosts.map(|(host, value)| (host.variable(), value)));)?
                variables.collect()
            }
        }

        impl $name<String> {
            /// Reads the process environment.
            ///
            /// # Errors
            ///
            /// [`ConfigError::Missing`] names every variable that is absent or empty.
            pub fn from_env() -> Result<Self, ConfigError> {
                Self::from_lookup(|name| std::env::var(name).ok())
            }

            /// Reads any source of variables.
            ///
            /// # Errors
            ///
            /// [`ConfigError::Missing`] names every variable that is absent or empty.
            pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
                let mut missing = Vec::new();
                let mut value = |name: &'static str| {
                    let value = lookup(name).filter(|value| !value.trim().is_empty());
                    if value.is_none() {
                        missing.push(name);
                    }
                    value
                };
                $(let $field = value($variable);)*
                $(let $hosts = PerHost::new(|host| value(host.variable())).complete();)?
                match ($($field,)* $($hosts,)?) {
                    ($(Some($field),)* $(Some($hosts),)?) => Ok(Self { $($field,)* $($hosts,)? }),
                    _ => Err(ConfigError::Missing(missing)),
                }
            }
        }
    };
}

function_config! {
    /// Variables of the six `PaperScraper_…` and `PapersScraper`.
    ScraperConfig {
        /// The source this function scrapes; [`ANY_SOURCE`] when the event must name one.
        conference = "CONFERENCE",
        /// Conference year when the event names none.
        conference_year = "CONFERENCE_YEAR",
        /// Papers of one run when the event names no number.
        max_papers = "MAX_PAPERS",
        /// Bucket of the raw papers.
        bucket_name = "BUCKET_NAME",
        /// URL of `researchQueue.fifo`, to which new papers go.
        queue_url = "QUEUE_URL",
        /// Who runs this, for the User-Agent: an e-mail address or a page.
        contact = "CONTACT",
        /// arXiv's search query when the event has no `search_term`: `cat:cs.LG`.
        arxiv_query = "ARXIV_QUERY",
        /// Least time between two requests to one host, milliseconds; arXiv's own three seconds are kept besides.
        request_interval_ms = "REQUEST_INTERVAL_MS",
        /// Seconds until a scrape takes papers again that were held back.
        retake_after = "RETAKE_AFTER_SECONDS",
    }
    /// Where the paper sites are.
    hosts for each paper host
}

function_config! {
    /// Variables of `PapersJudge`.
    JudgeConfig {
        /// The index's endpoint: `https://…`, or a host that means the same.
        opensearch_endpoint = "OPENSEARCH_ENDPOINT",
        /// The index's name, or its alias: `research-papers-v2`.
        opensearch_index = "OPENSEARCH_INDEX",
        /// Bucket of the raw papers, which also keeps every verdict.
        bucket_name = "BUCKET_NAME",
        /// URL of `code-generation.fifo`, to which accepted papers go.
        queue_url = "QUEUE_URL",
        /// URL of `researchQueue.fifo`, where a message waits while the model is throttled.
        research_queue_url = "RESEARCH_QUEUE_URL",
        /// Model or inference profile of the relevance question.
        bedrock_model_id = "BEDROCK_MODEL_ID",
        /// Model of the abstract's vector.
        embedding_model_id = "EMBEDDING_MODEL_ID",
        /// Endpoint of Bedrock's runtime. The SDK reads this variable itself.
        bedrock_endpoint = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        /// What is relevant, in a sentence.
        topic = "RELEVANCE_TOPIC",
        /// Cosine similarity, 0 to 1, from which a paper counts as already known.
        duplicate_similarity = "DUPLICATE_SIMILARITY",
        /// Bucket of the programs, which also keeps what models cost.
        code_bucket = "CODE_BUCKET",
        /// US dollars that models may cost for one paper, all stages together.
        budget_per_paper = "BUDGET_PER_PAPER_USD",
        /// US dollars that models may cost on one day of UTC, all stages together.
        budget_per_day = "BUDGET_PER_DAY_USD",
    }
}

function_config! {
    /// Variables of `PapersCodeGenerator`.
    GeneratorConfig {
        /// The index's endpoint: `https://…`, or a host that means the same.
        opensearch_endpoint = "OPENSEARCH_ENDPOINT",
        /// The index's name, or its alias: `research-papers-v2`.
        opensearch_index = "OPENSEARCH_INDEX",
        /// Model or inference profile that writes programs.
        bedrock_model_id = "BEDROCK_MODEL_ID",
        /// Model or inference profile that says what a program has of its plan: the one that judges.
        examiner_model_id = "EXAMINER_MODEL_ID",
        /// Endpoint of Bedrock's runtime. The SDK reads this variable itself.
        bedrock_endpoint = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        /// What programs train on: a word of [`Backend`].
        device_backend = "DEVICE_BACKEND",
        /// Bucket of the raw papers.
        bucket_name = "BUCKET_NAME",
        /// Bucket of the programs.
        code_bucket = "CODE_BUCKET",
        /// Bucket of the data sets, whose descriptions the model is shown.
        datasets_bucket = "DATASETS_BUCKET",
        /// URL of `code-evaluation.fifo`, to which programs go.
        code_queue_url = "CODE_QUEUE_URL",
        /// URL of `code-generation.fifo`, which gets a paper again whose wait for its text is over.
        generation_queue_url = "GENERATION_QUEUE_URL",
        /// Seconds that a paper waits for its text, from its `ingested_at` on; `0`: no paper waits.
        wait_for_text = "WAIT_FOR_TEXT_SECONDS",
        /// US dollars that models may cost for one paper, all stages together.
        budget_per_paper = "BUDGET_PER_PAPER_USD",
        /// US dollars that models may cost on one day of UTC, all stages together.
        budget_per_day = "BUDGET_PER_DAY_USD",
    }
}

function_config! {
    /// Variables of `PapersCodeTester`.
    TesterConfig {
        /// The index's endpoint: `https://…`, or a host that means the same.
        opensearch_endpoint = "OPENSEARCH_ENDPOINT",
        /// The index's name, or its alias: `research-papers-v2`.
        opensearch_index = "OPENSEARCH_INDEX",
        /// Bucket of the programs.
        code_bucket = "CODE_BUCKET",
        /// Bucket of the outputs.
        outputs_bucket = "OUTPUTS_BUCKET",
        /// URL of `code-evaluation.fifo`, where programs wait for a batch.
        evaluation_queue_url = "EVALUATION_QUEUE_URL",
        /// URL of `code-testing.fifo`, to which batches go.
        testing_queue_url = "TESTING_QUEUE_URL",
        /// URL of `code-generation.fifo`, to which a program goes back that failed.
        generation_queue_url = "GENERATION_QUEUE_URL",
        /// [`AGENT_PULLS`], or the `http(s)://` address at which the agent is called.
        trainium_endpoint = "TRAINIUM_ENDPOINT",
        /// SSM parameter (`SecureString`) with the token of the agent at that address; [`NO_RESOURCE`] where
        /// it demands none. The token itself is in no variable.
        trainium_token_parameter = "TRAINIUM_TOKEN_PARAMETER",
        /// Value of the tag `Purpose` of the instances to start for batches; [`NO_RESOURCE`] where the agent is a
        /// process.
        trainium_purpose = "TRAINIUM_PURPOSE",
        /// Value of their tag `Environment`; [`NO_RESOURCE`] where the agent is a process.
        trainium_environment = "TRAINIUM_ENVIRONMENT",
        /// The one instance to start in place of those with the tags; [`NO_RESOURCE`] where the tags say.
        trainium_instance_id = "TRAINIUM_INSTANCE_ID",
        /// Programs of one batch, 1 to 10.
        batch_size = "BATCH_SIZE",
        /// Seconds the oldest program may wait for its batch to fill.
        max_wait = "MAX_WAIT_SECONDS",
        /// Wall-clock limit of one program, seconds.
        trainium_timeout = "TRAINIUM_TIMEOUT",
        /// Minutes without work after which an instance stops itself; the tester stops one that does not.
        idle_stop_minutes = "IDLE_STOP_MINUTES",
        /// Price of an hour of the instance, US dollars; `0` locally.
        hourly_price_usd = "HOURLY_PRICE_USD",
    }
}

function_config! {
    /// Variables of the agent on the instance; its options have others besides.
    AgentConfig {
        /// URL of `code-testing.fifo`, from which batches are taken.
        testing_queue_url = "TESTING_QUEUE_URL",
        /// Bucket of the programs.
        code_bucket = "CODE_BUCKET",
        /// Bucket of the outputs.
        outputs_bucket = "OUTPUTS_BUCKET",
        /// Bucket of the data sets.
        datasets_bucket = "DATASETS_BUCKET",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PaperHost;

    #[test]
    fn every_missing_variable_is_named_at_once() {
        let error = AgentConfig::from_lookup(|name| {
            (name == "CODE_BUCKET").then(|| "papers-code-artifacts".to_owned())
        })
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment variables not set: TESTING_QUEUE_URL, OUTPUTS_BUCKET, DATASETS_BUCKET"
        );
    }

    #[test]
    fn a_host_without_an_address_is_missed_as_any_variable_is() {
        let without = |missing: &'static str| {
            ScraperConfig::from_lookup(|name| (name != missing).then(|| name.to_owned()))
        };
        let error = without("DATASETS_PROCEEDINGS_URL").unwrap_err();
        let expected = ConfigError::Missing(vec!["DATASETS_PROCEEDINGS_URL"]);
        assert_eq!(error, expected);
        let config = without("").unwrap();
        assert_eq!(config.hosts[PaperHost::Pmlr], "PMLR_URL");
        assert!(
            config
                .into_variables()
                .contains(&("PMLR_URL", "PMLR_URL".to_owned()))
        );
    }

    #[test]
    fn what_one_side_sets_the_other_reads() {
        let built = AgentConfig {
            testing_queue_url: "q".to_owned(),
            code_bucket: "c".to_owned(),
            outputs_bucket: "o".to_owned(),
            datasets_bucket: "d".to_owned(),
        };
        let variables = built.clone().into_variables();
        let read = AgentConfig::from_lookup(|name| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.clone())
        });
        assert_eq!(read, Ok(built));
    }

    #[test]
    fn a_number_that_is_none_is_refused_with_its_variable() {
        let error = number::<u32>("BATCH_SIZE", "ten").unwrap_err();
        assert_eq!(error.to_string(), "BATCH_SIZE must be a number, got `ten`");
    }
}
