//! The file as written. Unknown keys are errors, so a misspelt key is never ignored; each table is
//! checked into the settings of `super::settings`.

use annapurna_contract::scrape::{LAST_YEAR, MOST_PAPERS_OF_SCRAPE};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};

use super::alarms::AlarmsFile;
use super::hosts::{self, ScraperHosts};
use super::models::ModelsFile;
use super::problems::Problems;
use super::settings::{
    GeneratorSettings, JudgeSettings, LocalSettings, MOST_INSTANCES, ModelSettings,
    ScraperSettings, SearchSettings, TestingSettings, TrainiumEndpoint, TrainiumSettings,
};
use super::{Architecture, Environment, Place};
use crate::constructs::limits::RETENTION_DAYS;

/// The first year in which every list of ICLR and ICML begins; an event may name an earlier one.
const FIRST_DEFAULT_YEAR: u32 = 2013;

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct EnvironmentFile {
    /// AWS region of everything, such as `us-east-1`.
    region: String,
    /// The only AWS account this environment may touch, 12 digits. Without it every deploy to AWS is
    /// refused. Not with `[local]`.
    account: Option<String>,
    /// Named profile of your AWS configuration; absent: the default credentials.
    profile: Option<String>,
    /// Processor of the functions; absent: `arm64`, and in `[local]` this machine's.
    architecture: Option<Architecture>,
    /// Before the name of every function, queue and bucket: at most 12 characters of `a-z 0-9 -`, such as
    /// `dev-`.
    #[serde(default)]
    name_prefix: String,
    /// Behind the name of every bucket, since those are global: at most 30 characters of `a-z 0-9 -`.
    #[serde(default)]
    bucket_suffix: String,
    /// Goes into the User-Agent of the scrapers' requests: an address at which a site can complain.
    contact: String,
    /// Days that logs are kept: one of the numbers that CloudWatch Logs takes, such as 7, 30, 90.
    log_retention_days: u32,
    /// Whether `destroy` leaves buckets and search domain behind. The bucket of raw papers always stays in AWS.
    retain_data: bool,
    /// Whether the stack refuses to be deleted, its data to be replaced, and `deploy` and `destroy` ask for the name.
    /// Not with `[local]`.
    #[serde(default)]
    protected: bool,
    /// The index: this table, or the address of an OpenSearch that is there already.
    search: SearchFile,
    /// The seven functions that take papers from their sites.
    scraper: ScraperFile,
    /// Which models are asked, and what they may cost.
    #[serde(default)]
    models: ModelsFile,
    /// The function that keeps the relevant and new papers.
    judge: JudgeFile,
    /// The function that writes a program for each accepted paper.
    generator: GeneratorFile,
    /// Batches of programs and their limits.
    testing: TestingFile,
    /// Alarms of what starts by itself; without it they go to a topic that nobody is subscribed to.
    alarms: Option<AlarmsFile>,
    /// The instances that run the programs. Not with `[local]`, where the agent is a process of this machine.
    trainium: Option<TrainiumSettings>,
    /// Makes it an environment on this machine, without an AWS account.
    local: Option<LocalSettings>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ScraperFile {
    /// Memory of each scraper function, MiB.
    #[cfg_attr(test, schemars(range(min = 128, max = 10_240)))]
    memory_mib: u32,
    /// Longest run of a scraper function, seconds.
    #[cfg_attr(test, schemars(range(min = 1, max = 900)))]
    timeout_secs: u32,
    /// The year when an event names none.
    #[cfg_attr(test, schemars(range(min = FIRST_DEFAULT_YEAR, max = LAST_YEAR)))]
    conference_year: u32,
    /// Papers of one call when an event names no number.
    #[cfg_attr(test, schemars(range(min = 1, max = MOST_PAPERS_OF_SCRAPE)))]
    max_papers: u32,
    /// What is taken of arXiv when nothing is searched for, in the syntax of arXiv's API: `cat:cs.LG`.
    arxiv_query: String,
    /// Least time between two requests to one host, milliseconds. arXiv has three seconds of its own.
    #[cfg_attr(test, schemars(range(min = 0, max = 60_000)))]
    request_interval_ms: u32,
    /// How long until papers that a site held back are taken again, seconds.
    #[cfg_attr(test, schemars(range(min = 1, max = 604_800)))]
    retake_after_secs: u32,
    /// Whether scrapes start by themselves: arXiv Tuesday to Saturday, each conference twice a year.
    scheduled: bool,
    /// Base URLs in place of the public sites: a mirror, a proxy, a recorded site. `{conference}` stands for
    /// `iclr` where one site serves one conference.
    #[serde(default)]
    #[cfg_attr(test, schemars(schema_with = "hosts::schema"))]
    hosts: ScraperHosts,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct JudgeFile {
    /// Memory of the function, MiB.
    #[cfg_attr(test, schemars(range(min = 128, max = 10_240)))]
    memory_mib: u32,
    /// Longest run of the function, seconds. Its queue's visibility timeout is six times this.
    #[cfg_attr(test, schemars(range(min = 1, max = 900)))]
    timeout_secs: u32,
    /// Bedrock model or inference profile that judges; `docs/costs.md` has those that the program knows. Absent: that of
    /// `models.preset`.
    model: Option<String>,
    /// Bedrock model of the vectors by which near-duplicates are found; 1024 dimensions.
    embedding_model: String,
    /// What is relevant, in words: it stands in the prompt.
    topic: String,
    /// Cosine similarity from which a paper counts as known; from 0.85 on the model is shown what it resembles.
    #[cfg_attr(test, schemars(range(min = 0.5, max = 1.0)))]
    duplicate_similarity: f64,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct GeneratorFile {
    /// Memory of the function, MiB.
    #[cfg_attr(test, schemars(range(min = 128, max = 10_240)))]
    memory_mib: u32,
    /// Longest run of the function, seconds. Its queue's visibility timeout is six times this.
    #[cfg_attr(test, schemars(range(min = 1, max = 900)))]
    timeout_secs: u32,
    /// Bedrock model or inference profile that writes the programs; as the judge's.
    model: Option<String>,
    /// How long an accepted paper waits for a PDF that its site holds back, seconds, before its program is written
    /// from the abstract; 0: not at all. A schedule looks every minute whose wait is over.
    #[cfg_attr(test, schemars(range(min = 0, max = 604_800)))]
    wait_for_text_secs: u32,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TestingFile {
    /// Memory of the tester function, MiB.
    #[cfg_attr(test, schemars(range(min = 128, max = 10_240)))]
    memory_mib: u32,
    /// Longest run of the tester function, seconds.
    #[cfg_attr(test, schemars(range(min = 1, max = 900)))]
    timeout_secs: u32,
    /// Programs of a batch.
    #[cfg_attr(test, schemars(range(min = 1, max = 10)))]
    batch_size: u32,
    /// How long the oldest program waits for its batch to fill, seconds.
    #[cfg_attr(test, schemars(range(min = 0, max = 43_200)))]
    max_wait_secs: u32,
    /// Longest run of one generated program, seconds.
    #[cfg_attr(test, schemars(range(min = 1, max = 3600)))]
    program_timeout_secs: u32,
    /// How programs reach the agent: `queue`, where it takes them itself and no port is open (so it is where the key
    /// is absent), or the address of its API, which the tester then calls. The functions are in no VPC, so an address
    /// must be reachable from the internet. The call lasts as long as a program: `timeout-secs` must be 90 s more than
    /// `program-timeout-secs`, and batches are as small as fits into it, as many programs at a time as the agent
    /// says that it has places for (`AGENT_SLOTS`; one on a Neuron device).
    trainium_endpoint: Option<String>,
    /// Name of the SSM parameter whose value is the agent's `AGENT_TOKEN`, which an agent demands that listens on more
    /// than loopback: `/annapurna/dev/agent-token`. You make it, as a `SecureString` with the account's key `aws/ssm`;
    /// the tester reads it at each call. Only with an address, and with https. Absent: no token is sent, so a proxy
    /// must add it.
    trainium_token_parameter: Option<String>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct DomainFile {
    /// Node type of the search domain, such as `r7g.large.search`.
    instance_type: String,
    /// Data nodes; with more than one, the index has a replica.
    #[cfg_attr(test, schemars(range(min = 1, max = 10)))]
    instance_count: u32,
    /// Volume of each node, GiB.
    #[cfg_attr(test, schemars(range(min = 10, max = 1000)))]
    volume_gib: u32,
}

/// `search = "https://…"`, or a `[search]` table.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(untagged))]
enum SearchFile {
    Url(String),
    Domain(DomainFile),
}

impl<'de> Deserialize<'de> for SearchFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UrlOrTable;
        impl<'de> Visitor<'de> for UrlOrTable {
            type Value = SearchFile;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an OpenSearch address or a [search] table")
            }
            fn visit_str<E: de::Error>(self, url: &str) -> Result<SearchFile, E> {
                Ok(SearchFile::Url(url.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SearchFile, A::Error> {
                DomainFile::deserialize(MapAccessDeserializer::new(map)).map(SearchFile::Domain)
            }
        }
        deserializer.deserialize_any(UrlOrTable)
    }
}

impl EnvironmentFile {
    /// The settings, with a default in place of each value that is a problem.
    pub(super) fn check(self, name: &str, problems: &mut Problems) -> Environment {
        self.check_own_values(name, problems);
        self.check_place(problems);
        let search = check_search(self.search, problems);
        if let Some(trainium) = &self.trainium {
            check_trainium(trainium, problems);
        }
        let has_alarms = self.scraper.scheduled;
        let alarms = self.alarms.map(|it| it.check(has_alarms, problems));
        let alarms = alarms.unwrap_or_default();
        let place = match self.local {
            Some(local) => Place::Local(check_local(local, problems)),
            None => check_aws(self.account, self.profile, self.architecture, problems),
        };
        let asked = match &place {
            Place::Local(LocalSettings {
                model: ModelSettings::Bedrock { region, .. },
                ..
            }) => region,
            Place::Local(_) | Place::Aws { .. } => &self.region,
        };
        let judge = self.judge.check(&self.models, asked, problems);
        let generator = self.generator.check(&self.models, asked, problems);
        Environment {
            name: name.to_owned(),
            place,
            region: self.region,
            name_prefix: self.name_prefix,
            bucket_suffix: self.bucket_suffix,
            contact: self.contact,
            log_retention_days: self.log_retention_days,
            retain_data: self.retain_data,
            protected: self.protected,
            scraper: self.scraper.check(problems),
            models: self.models.check(problems),
            judge,
            generator,
            testing: self.testing.check(problems),
            subscribers: alarms.subscribers,
            monthly_budget_usd: alarms.monthly_budget_usd,
            search,
            trainium: self.trainium,
        }
    }

    /// What goes with `[local]`, and what in AWS with what else.
    fn check_place(&self, problems: &mut Problems) {
        if self.local.is_some() {
            problems.require(self.account.is_none(), "account does not go with [local]");
            problems.require(
                self.trainium.is_none(),
                "[trainium] does not go with [local]",
            );
            problems.require(!self.protected, "protected does not go with [local]");
        } else {
            problems.require(
                self.retain_data || !self.protected,
                "protected needs retain-data = true",
            );
        }
    }

    /// The environment's name, and the keys above the first table that have rules of their own.
    fn check_own_values(&self, name: &str, problems: &mut Problems) {
        problems.require(
            !name.ends_with(super::INSTANCES_SUFFIX),
            format!(
                "an environment's name must not end in `{}`",
                super::INSTANCES_SUFFIX
            ),
        );
        problems.name_part("name-prefix", &self.name_prefix, 12);
        problems.name_part("bucket-suffix", &self.bucket_suffix, 30);
        problems.require(!self.contact.trim().is_empty(), "contact must not be empty");
        problems.require(
            RETENTION_DAYS.contains(&self.log_retention_days),
            format!(
                "log-retention-days must be one of {RETENTION_DAYS:?}, got {}",
                self.log_retention_days
            ),
        );
    }
}

fn check_local(local: LocalSettings, problems: &mut Problems) -> LocalSettings {
    if let Some(url) = &local.endpoint_url {
        problems.address("local.endpoint-url", url);
    }
    local
}

fn check_aws(
    account: Option<String>,
    profile: Option<String>,
    architecture: Option<Architecture>,
    problems: &mut Problems,
) -> Place {
    let is_account = |id: &String| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit());
    problems.require(
        account.as_ref().is_none_or(is_account),
        "account must be the 12 digits of an AWS account",
    );
    Place::Aws {
        account,
        profile,
        architecture: architecture.unwrap_or(Architecture::Arm64),
    }
}

fn check_search(search: SearchFile, problems: &mut Problems) -> SearchSettings {
    match search {
        SearchFile::Url(url) => {
            problems.address("search", &url);
            SearchSettings::Url(url)
        }
        SearchFile::Domain(domain) => SearchSettings::Domain {
            instance_type: domain.instance_type,
            instance_count: problems.range("search.instance-count", domain.instance_count, 1, 10),
            volume_gib: problems.range("search.volume-gib", domain.volume_gib, 10, 1000),
        },
    }
}

fn check_trainium(trainium: &TrainiumSettings, problems: &mut Problems) {
    problems.range("trainium.volume-gib", trainium.volume_gib, 75, 16_384);
    problems.range("trainium.instances", trainium.instances, 0, MOST_INSTANCES);
    super::image::check(trainium, problems);
    problems.range(
        "trainium.idle-stop-minutes",
        trainium.idle_stop_minutes,
        5,
        1440,
    );
    if let Some(id) = &trainium.instance_id {
        problems.require(
            is_instance(id),
            format!("trainium.instance-id must be such as i-0123456789abcdef0, got `{id}`"),
        );
        problems.require(
            trainium.instances == 0,
            "trainium.instance-id goes with trainium.instances = 0 only",
        );
    }
    let price: Option<f64> = trainium.hourly_price_usd.parse().ok();
    problems.require(
        price.is_some_and(|price| price.is_finite() && price >= 0.0),
        format!(
            "trainium.hourly-price-usd must be a price, got `{}`",
            trainium.hourly_price_usd
        ),
    );
    problems.require(
        trainium.subnet_id.is_some() == trainium.vpc_id.is_some(),
        "trainium.subnet-id and trainium.vpc-id go together",
    );
}

/// `i-` and 8 or 17 hexadecimal digits. Source: EC2 user guide, "resource IDs".
fn is_instance(id: &str) -> bool {
    let digits = id.strip_prefix("i-").unwrap_or("");
    let is_hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    matches!(digits.len(), 8 | 17) && digits.bytes().all(is_hexadecimal)
}

impl ScraperFile {
    fn check(self, problems: &mut Problems) -> ScraperSettings {
        hosts::check(&self.hosts, problems);
        ScraperSettings {
            size: problems.size("scraper", self.memory_mib, self.timeout_secs),
            conference_year: problems.range(
                "scraper.conference-year",
                self.conference_year,
                FIRST_DEFAULT_YEAR,
                u32::from(LAST_YEAR),
            ),
            max_papers: problems.range(
                "scraper.max-papers",
                self.max_papers,
                1,
                MOST_PAPERS_OF_SCRAPE,
            ),
            arxiv_query: self.arxiv_query,
            request_interval_ms: problems.range(
                "scraper.request-interval-ms",
                self.request_interval_ms,
                0,
                60_000,
            ),
            // At most a week: a source that is back after that is a new scrape's.
            retake_after_secs: problems.range(
                "scraper.retake-after-secs",
                self.retake_after_secs,
                1,
                604_800,
            ),
            scheduled: self.scheduled,
            hosts: self.hosts,
        }
    }
}

impl JudgeFile {
    fn check(self, models: &ModelsFile, region: &str, problems: &mut Problems) -> JudgeSettings {
        problems.require(
            (0.5..=1.0).contains(&self.duplicate_similarity),
            format!(
                "judge.duplicate-similarity must be 0.5 to 1, got {}",
                self.duplicate_similarity
            ),
        );
        JudgeSettings {
            size: problems.size("judge", self.memory_mib, self.timeout_secs),
            model: models.chosen(self.model, "judge.model", region, problems),
            embedding_model: self.embedding_model,
            topic: self.topic,
            duplicate_similarity: self.duplicate_similarity,
        }
    }
}

impl GeneratorFile {
    fn check(
        self,
        models: &ModelsFile,
        region: &str,
        problems: &mut Problems,
    ) -> GeneratorSettings {
        GeneratorSettings {
            size: problems.size("generator", self.memory_mib, self.timeout_secs),
            model: models.chosen(self.model, "generator.model", region, problems),
            // At most a week: a PDF that is held back for longer may not come at all.
            wait_for_text_secs: problems.range(
                "generator.wait-for-text-secs",
                self.wait_for_text_secs,
                0,
                604_800,
            ),
        }
    }
}

impl TestingFile {
    fn check(self, problems: &mut Problems) -> TestingSettings {
        let trainium_endpoint = super::agent::check_endpoint(
            self.trainium_endpoint,
            self.trainium_token_parameter,
            problems,
        );
        if matches!(trainium_endpoint, TrainiumEndpoint::Address { .. }) {
            super::agent::check_time(self.timeout_secs, self.program_timeout_secs, problems);
        }
        TestingSettings {
            size: problems.size("testing", self.memory_mib, self.timeout_secs),
            batch_size: problems.range("testing.batch-size", self.batch_size, 1, 10),
            // The dispatcher looks once a minute, and each look counts as a receive of at most 1,000.
            max_wait_secs: problems.range("testing.max-wait-secs", self.max_wait_secs, 0, 43_200),
            program_timeout_secs: problems.range(
                "testing.program-timeout-secs",
                self.program_timeout_secs,
                1,
                3_600,
            ),
            trainium_endpoint,
        }
    }
}
