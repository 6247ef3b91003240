//! `environments/*.toml` as types: the file as written, and the checked settings the rest sees.
//!
//! A key that is not known is an error with its file, line and the nearest known key; a value
//! outside its range names the key and the range. Nothing here calls AWS.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};

use crate::constructs::function::FunctionSize;
use crate::constructs::limits::{FunctionTimeout, MemoryMib, OutOfRange, RETENTION_DAYS};

/// Why an environment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// No file of that name.
    #[error("no environment called `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The file is there but cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("cannot use {}:{line}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
        /// The known key nearest to an unknown one.
        nearest: Option<String>,
    },
    /// Values outside their ranges, all of them.
    #[error("cannot use {}:\n  {}", path.display(), problems.join("\n  "))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// One sentence each.
        problems: Vec<String>,
    },
}

/// The checked settings of one environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// The file's name without `.toml`.
    pub name: String,
    /// Where its resources are.
    pub place: Place,
    /// AWS region.
    pub region: String,
    /// Before every name but the buckets' suffix: empty, or such as `dev-`.
    pub name_prefix: String,
    /// Behind every bucket name.
    pub bucket_suffix: String,
    /// For the scrapers' User-Agent.
    pub contact: String,
    /// Days logs are kept.
    pub log_retention_days: u32,
    /// Keep buckets and the search domain when the stack is destroyed.
    pub retain_data: bool,
    /// The scrapers.
    pub scraper: ScraperSettings,
    /// The judge.
    pub judge: JudgeSettings,
    /// The generator.
    pub generator: GeneratorSettings,
    /// Testing.
    pub testing: TestingSettings,
    /// The index.
    pub search: SearchSettings,
    /// The instance; `None` where the agent is a process of this machine.
    pub trainium: Option<TrainiumSettings>,
}

/// Where an environment's resources are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In an AWS account.
    Aws {
        /// The only account this environment may touch.
        account: Option<String>,
        /// Named profile of the AWS configuration.
        profile: Option<String>,
        /// Processor of the functions.
        architecture: Architecture,
    },
    /// On this machine.
    Local(LocalSettings),
}

/// Processor of the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Architecture {
    /// Graviton.
    #[serde(rename = "arm64")]
    Arm64,
    /// Intel and AMD.
    #[serde(rename = "x86_64")]
    X86_64,
}

impl Architecture {
    /// Lambda's word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }

    /// This machine's.
    pub const fn host() -> Self {
        if cfg!(target_arch = "aarch64") {
            Self::Arm64
        } else {
            Self::X86_64
        }
    }
}

/// What only the local environment has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LocalSettings {
    /// Another emulator, or a shared one; absent: one of its own.
    pub endpoint_url: Option<String>,
    /// Interpreter with torch for generated programs; absent: the first found.
    pub python: Option<PathBuf>,
    /// What answers for Bedrock.
    #[serde(default)]
    pub model: ModelSettings,
}

/// What answers for Bedrock locally.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, tag = "backend", rename_all = "kebab-case")]
pub enum ModelSettings {
    /// Transparent rules; no model.
    #[default]
    OfflineRules,
    /// An OpenAI-compatible server: Ollama, llama.cpp, vLLM.
    #[serde(rename = "openai")]
    OpenAi {
        /// Such as `http://127.0.0.1:11434/v1`.
        #[serde(rename = "base-url")]
        base_url: String,
        /// The model's name there.
        model: String,
        /// Environment variable that holds the key.
        #[serde(rename = "api-key-variable")]
        api_key_variable: Option<String>,
        /// The embeddings model's name there.
        #[serde(rename = "embeddings-model")]
        embeddings_model: Option<String>,
    },
    /// The real Bedrock, with the user's own credentials.
    Bedrock {
        /// Region.
        region: String,
        /// Named profile.
        profile: Option<String>,
    },
}

/// The scrapers' settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScraperSettings {
    /// Size of every scraper.
    pub size: FunctionSize,
    /// Conference year when an event names none.
    pub conference_year: u32,
    /// Papers of one run when an event names no number.
    pub max_papers: u32,
    /// arXiv's search query.
    pub arxiv_query: String,
    /// Least time between two requests to one host.
    pub request_interval_ms: u32,
    /// How long until a scrape takes papers again that were held back.
    pub retake_after_secs: u32,
    /// Whether the schedules of the scrapers run.
    pub scheduled: bool,
    /// Other hosts than the sources' own.
    pub hosts: ScraperHosts,
}

/// Base URLs that stand in for the sources' own: a mirror, a proxy, a recorded site. One that is absent
/// is the public host, and the paper site where the environment has one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ScraperHosts {
    /// arXiv's API.
    pub arxiv_api: Option<String>,
    /// arXiv's PDFs.
    pub arxiv: Option<String>,
    /// OpenReview's pages and PDFs.
    pub openreview: Option<String>,
    /// OpenReview's API of the older conferences.
    pub openreview_api_v1: Option<String>,
    /// OpenReview's API of the newer conferences.
    pub openreview_api_v2: Option<String>,
    /// The conferences' virtual sites; `{conference}` stands for `iclr`.
    pub virtual_site: Option<String>,
    /// The conferences' proceedings; `{conference}` stands for `iclr`.
    pub proceedings: Option<String>,
    /// The proceedings of data sets' papers; `{conference}` stands for `neurips`.
    pub datasets_proceedings: Option<String>,
    /// PMLR's pages.
    pub pmlr: Option<String>,
    /// PMLR's newer PDFs.
    pub pmlr_files: Option<String>,
}

impl ScraperHosts {
    fn check(&self, problems: &mut Problems) {
        for (key, url) in [
            ("arxiv-api", &self.arxiv_api),
            ("arxiv", &self.arxiv),
            ("openreview", &self.openreview),
            ("openreview-api-v1", &self.openreview_api_v1),
            ("openreview-api-v2", &self.openreview_api_v2),
            ("pmlr", &self.pmlr),
            ("pmlr-files", &self.pmlr_files),
        ] {
            problems.base_url(&format!("scraper.hosts.{key}"), url.as_deref());
        }
        for (key, url) in [
            ("virtual-site", &self.virtual_site),
            ("proceedings", &self.proceedings),
            ("datasets-proceedings", &self.datasets_proceedings),
        ] {
            let one = url.as_ref().map(|url| url.replace("{conference}", "iclr"));
            problems.base_url(&format!("scraper.hosts.{key}"), one.as_deref());
        }
    }
}

/// The judge's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgeSettings {
    /// Size.
    pub size: FunctionSize,
    /// Model or inference profile.
    pub model: String,
    /// Embedding model.
    pub embedding_model: String,
    /// What is relevant.
    pub topic: String,
    /// Cosine similarity from which a paper counts as known.
    pub duplicate_similarity: f64,
}

/// The generator's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratorSettings {
    /// Size.
    pub size: FunctionSize,
    /// Model or inference profile.
    pub model: String,
}

/// Testing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestingSettings {
    /// Size of the tester.
    pub size: FunctionSize,
    /// Programs of a batch.
    pub batch_size: u32,
    /// Seconds the oldest program waits for its batch to fill.
    pub max_wait_secs: u32,
    /// Limit of one program.
    pub program_timeout_secs: u32,
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
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainiumSettings {
    /// Such as `trn1.2xlarge`.
    pub instance_type: String,
    /// US dollars an hour, on demand, as text so that it stays exact.
    pub hourly_price_usd: String,
    /// Public SSM parameter that names the AMI.
    pub image_parameter: String,
    /// GiB of the root volume.
    pub volume_gib: u32,
    /// Subnet; with `vpc-id`, or neither for the default ones.
    pub subnet_id: Option<String>,
    /// VPC of the subnet.
    pub vpc_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct EnvironmentFile {
    region: String,
    account: Option<String>,
    profile: Option<String>,
    architecture: Option<Architecture>,
    #[serde(default)]
    name_prefix: String,
    #[serde(default)]
    bucket_suffix: String,
    contact: String,
    log_retention_days: u32,
    retain_data: bool,
    search: SearchFile,
    scraper: ScraperFile,
    judge: JudgeFile,
    generator: GeneratorFile,
    testing: TestingFile,
    trainium: Option<TrainiumSettings>,
    local: Option<LocalSettings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ScraperFile {
    memory_mib: u32,
    timeout_secs: u32,
    conference_year: u32,
    max_papers: u32,
    arxiv_query: String,
    request_interval_ms: u32,
    retake_after_secs: u32,
    scheduled: bool,
    #[serde(default)]
    hosts: ScraperHosts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct JudgeFile {
    memory_mib: u32,
    timeout_secs: u32,
    model: String,
    embedding_model: String,
    topic: String,
    duplicate_similarity: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct GeneratorFile {
    memory_mib: u32,
    timeout_secs: u32,
    model: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TestingFile {
    memory_mib: u32,
    timeout_secs: u32,
    batch_size: u32,
    max_wait_secs: u32,
    program_timeout_secs: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct DomainFile {
    instance_type: String,
    instance_count: u32,
    volume_gib: u32,
}

/// `search = "https://…"`, or a `[search]` table.
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

/// Collects every problem of a file instead of stopping at the first.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn require(&mut self, holds: bool, problem: impl Into<String>) {
        if !holds {
            self.0.push(problem.into());
        }
    }

    fn take<T>(&mut self, value: Result<T, OutOfRange>, otherwise: T) -> T {
        value.unwrap_or_else(|problem| {
            self.0.push(problem.to_string());
            otherwise
        })
    }

    fn size(&mut self, table: &str, memory_mib: u32, timeout_secs: u32) -> FunctionSize {
        const MEMORY: MemoryMib = MemoryMib::new(128);
        const TIMEOUT: FunctionTimeout = FunctionTimeout::new(1);
        let memory = MemoryMib::checked(format!("{table}.memory-mib"), memory_mib);
        let timeout = FunctionTimeout::checked(format!("{table}.timeout-secs"), timeout_secs);
        FunctionSize {
            memory: self.take(memory, MEMORY),
            timeout: self.take(timeout, TIMEOUT),
        }
    }

    fn range(&mut self, what: &str, value: u32, least: u32, most: u32) -> u32 {
        self.require(
            (least..=most).contains(&value),
            format!("{what} must be {least} to {most}, got {value}"),
        );
        value
    }

    fn address(&mut self, what: &str, value: &str) {
        self.require(
            value.starts_with("https://") || value.starts_with("http://"),
            format!("{what} must begin with https:// or http://, got `{value}`"),
        );
    }

    /// A base URL: http or https, a host, and neither query nor fragment nor a slash at its end.
    fn base_url(&mut self, what: &str, value: Option<&str>) {
        let fits = |value: &str| {
            url::Url::parse(value).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https")
                    && url.has_host()
                    && url.query().is_none()
                    && url.fragment().is_none()
            }) && !value.contains(['{', '}'])
                && !value.ends_with('/')
        };
        if let Some(value) = value.filter(|value| !fits(value)) {
            self.0.push(format!(
                "{what} must be an address such as https://example.org, without a slash at its end, got `{value}`"
            ));
        }
    }

    fn name_part(&mut self, what: &str, value: &str, most: usize) {
        let fits = value.len() <= most
            && value
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        self.require(
            fits,
            format!("{what} must be at most {most} characters of a-z 0-9 -, got `{value}`"),
        );
    }
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
    pub fn parse(name: &str, path: &Path, text: &str) -> Result<Self, EnvironmentError> {
        let file: EnvironmentFile =
            toml::from_str(text).map_err(|error| malformed(path, text, &error))?;
        let mut problems = Problems::default();
        let environment = file.check(name, &mut problems);
        if problems.0.is_empty() {
            Ok(environment)
        } else {
            Err(EnvironmentError::Invalid {
                path: path.to_owned(),
                problems: problems.0,
            })
        }
    }

    /// The stack's name.
    pub fn stack_name(&self) -> String {
        format!("annapurna-{}", self.name)
    }

    /// The name of something that takes the environment's prefix.
    pub fn named(&self, name: &str) -> String {
        format!("{}{name}", self.name_prefix)
    }

    /// A bucket's global name.
    pub fn bucket_name(&self, bucket: annapurna_contract::Bucket) -> String {
        format!(
            "{}{}{}",
            self.name_prefix,
            bucket.name(),
            self.bucket_suffix
        )
    }

    /// Its settings as a local environment; `None` in AWS.
    pub fn local(&self) -> Option<&LocalSettings> {
        match &self.place {
            Place::Local(local) => Some(local),
            Place::Aws { .. } => None,
        }
    }

    /// Processor of the functions.
    pub fn architecture(&self) -> Architecture {
        match &self.place {
            Place::Aws { architecture, .. } => *architecture,
            Place::Local(_) => Architecture::host(),
        }
    }
}

/// The environments of a folder, by name.
pub fn known_environments(folder: &Path) -> Vec<String> {
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

fn malformed(path: &Path, text: &str, error: &toml::de::Error) -> EnvironmentError {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let problem = error.message().to_owned();
    EnvironmentError::Malformed {
        path: path.to_owned(),
        line: text[..start].matches('\n').count() + 1,
        nearest: nearest_key(&problem),
        problem,
    }
}

/// Finds, in serde's "unknown field `x`, expected one of `a`, `b`", the expected key most like `x`.
fn nearest_key(problem: &str) -> Option<String> {
    let rest = problem.strip_prefix("unknown field ")?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    quoted
        .map(|known| (strsim::jaro_winkler(unknown, known), known))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known.to_owned())
}

impl EnvironmentFile {
    fn check(self, name: &str, problems: &mut Problems) -> Environment {
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
        let search = check_search(self.search, problems);
        if let Some(trainium) = &self.trainium {
            check_trainium(trainium, problems);
        }
        let place = match self.local {
            Some(local) => {
                problems.require(self.account.is_none(), "account does not go with [local]");
                problems.require(
                    self.trainium.is_none(),
                    "[trainium] does not go with [local]",
                );
                if let Some(url) = &local.endpoint_url {
                    problems.address("local.endpoint-url", url);
                }
                Place::Local(local)
            }
            None => {
                let is_account =
                    |id: &String| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit());
                problems.require(
                    self.account.as_ref().is_none_or(is_account),
                    "account must be the 12 digits of an AWS account",
                );
                Place::Aws {
                    account: self.account,
                    profile: self.profile,
                    architecture: self.architecture.unwrap_or(Architecture::Arm64),
                }
            }
        };
        Environment {
            name: name.to_owned(),
            place,
            region: self.region,
            name_prefix: self.name_prefix,
            bucket_suffix: self.bucket_suffix,
            contact: self.contact,
            log_retention_days: self.log_retention_days,
            retain_data: self.retain_data,
            scraper: self.scraper.check(problems),
            judge: self.judge.check(problems),
            generator: self.generator.check(problems),
            testing: self.testing.check(problems),
            search,
            trainium: self.trainium,
        }
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

impl ScraperFile {
    fn check(self, problems: &mut Problems) -> ScraperSettings {
        self.hosts.check(problems);
        ScraperSettings {
            size: problems.size("scraper", self.memory_mib, self.timeout_secs),
            conference_year: problems.range(
                "scraper.conference-year",
                self.conference_year,
                2013,
                2100,
            ),
            max_papers: problems.range("scraper.max-papers", self.max_papers, 1, 30_000),
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
    fn check(self, problems: &mut Problems) -> JudgeSettings {
        problems.require(
            (0.5..=1.0).contains(&self.duplicate_similarity),
            format!(
                "judge.duplicate-similarity must be 0.5 to 1, got {}",
                self.duplicate_similarity
            ),
        );
        JudgeSettings {
            size: problems.size("judge", self.memory_mib, self.timeout_secs),
            model: self.model,
            embedding_model: self.embedding_model,
            topic: self.topic,
            duplicate_similarity: self.duplicate_similarity,
        }
    }
}

impl GeneratorFile {
    fn check(self, problems: &mut Problems) -> GeneratorSettings {
        GeneratorSettings {
            size: problems.size("generator", self.memory_mib, self.timeout_secs),
            model: self.model,
        }
    }
}

impl TestingFile {
    fn check(self, problems: &mut Problems) -> TestingSettings {
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../environments")
    }

    fn edited(name: &str, from: &str, to: &str) -> EnvironmentError {
        let path = folder().join(format!("{name}.toml"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} is not in {name}.toml");
        let shown = PathBuf::from(format!("environments/{name}.toml"));
        Environment::parse(name, &shown, &text.replacen(from, to, 1)).unwrap_err()
    }

    #[test]
    fn every_environment_of_the_project_is_valid() {
        let names = known_environments(&folder());
        assert_eq!(names, ["dev", "local", "prod"]);
        for name in names {
            Environment::load(&folder(), &name).unwrap();
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_nearest_key() {
        let error = edited("dev", "timeout-secs", "timeout-sec");
        let EnvironmentError::Malformed {
            line,
            nearest,
            problem,
            ..
        } = error
        else {
            panic!("{error}");
        };
        assert!(line > 1);
        assert!(problem.contains("`timeout-sec`"), "{problem}");
        assert_eq!(nearest.as_deref(), Some("timeout-secs"));
    }

    #[test]
    fn every_value_outside_its_range_is_named_at_once() {
        let path = folder().join("dev.toml");
        let text = std::fs::read_to_string(&path)
            .unwrap()
            .replace("batch-size = 10", "batch-size = 11")
            .replace("duplicate-similarity = 0.95", "duplicate-similarity = 7.0");
        let error = Environment::parse("dev", Path::new("dev.toml"), &text).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("testing.batch-size must be 1 to 10, got 11"),
            "{text}"
        );
        assert!(
            text.contains("judge.duplicate-similarity must be 0.5 to 1, got 7"),
            "{text}"
        );
    }

    #[test]
    fn hosts_are_base_urls_and_only_some_name_the_conference() {
        let hosts = |lines: &str| {
            let path = folder().join("dev.toml");
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.replace("[judge]", &format!("[scraper.hosts]\n{lines}\n[judge]"));
            Environment::parse("dev", Path::new("dev.toml"), &text)
        };
        let good =
            "virtual-site = \"https://{conference}.example.org\"\npmlr = \"http://127.0.0.1:80/p\"";
        let environment = hosts(good).unwrap();
        assert_eq!(environment.scraper.hosts.arxiv, None);
        assert_eq!(
            environment.scraper.hosts.pmlr.as_deref(),
            Some("http://127.0.0.1:80/p")
        );
        for bad in [
            "arxiv = \"arxiv.org\"",
            "arxiv = \"https://arxiv.org/\"",
            "arxiv = \"https://arxiv.org?x=1\"",
            "arxiv = \"file:///etc\"",
            "openreview-api-v1 = \"https://{conference}.example.org\"",
            "proceedings = \"https://{venue}.example.org\"",
        ] {
            let error = hosts(bad).unwrap_err().to_string();
            assert!(error.contains("must be an address"), "{bad}: {error}");
        }
        let unknown = hosts("openreview-api = \"https://a.example\"").unwrap_err();
        assert!(unknown.to_string().contains("unknown field"), "{unknown}");
    }

    #[test]
    fn an_environment_that_is_not_there_lists_what_is() {
        let error = Environment::load(&folder(), "prd").unwrap_err();
        assert!(
            matches!(error, EnvironmentError::Unknown { known, .. } if known == ["dev", "local", "prod"])
        );
        assert!(Environment::load(&folder(), "../environments/dev").is_err());
    }

    #[test]
    fn another_opensearch_is_given_by_its_address() {
        let path = folder().join("local.toml");
        let text = std::fs::read_to_string(path).unwrap();
        let start = text.find("[search]").unwrap();
        let end = start + text[start + 1..].find("\n[").unwrap() + 1;
        let text = format!(
            "search = \"https://search.example.org\"\n{}{}",
            &text[..start],
            &text[end..]
        );
        let environment = Environment::parse("local", Path::new("local.toml"), &text).unwrap();
        assert_eq!(
            environment.search,
            SearchSettings::Url("https://search.example.org".to_owned())
        );
    }
}
