//! The names a person may type into the aws CLI. `prod` and `local` use them bare; other environments
//! put a prefix before them, and buckets a suffix behind them (S3 names are global).

use serde::{Deserialize, Serialize};

/// The index that holds every accepted paper.
pub const INDEX: &str = "research-papers-v2";
/// The index that holds the state of every paper that was judged, beside [`INDEX`].
pub const STATUS_INDEX: &str = "research-papers-status";
/// The version of the search domain, as CloudFormation calls it. `local` runs an OpenSearch of the same one.
pub const ENGINE_VERSION: &str = "OpenSearch_3.3";
/// The `Name` tag of the instances that run generated programs.
pub const INSTANCE_NAME: &str = "PapersCodeTester-Trainium";
/// The value of [`PURPOSE_TAG`] of those instances.
pub const INSTANCE_PURPOSE: &str = "PapersCodeTester";
/// The tag by which, together with [`ENVIRONMENT_TAG`], the tester finds its instances and may start and stop them.
pub const PURPOSE_TAG: &str = "Purpose";
/// The tag with the environment's name, such as `prod`: another's instances, and one made by hand, have another or none.
pub const ENVIRONMENT_TAG: &str = "Environment";

/// The topic that alarms and the budget are told to.
pub const ALARM_TOPIC: &str = "PipelineAlarms";
/// The queue of events of schedules and of S3 that no repetition healed.
pub const FAILED_EVENTS: &str = "failed-events";
/// Namespace of the metrics that an agent on an instance says.
pub const AGENT_METRICS: &str = "Annapurna";
/// The metric that is 1 while an agent takes no batch because its device does not train, else 0.
pub const AGENT_REFUSES: &str = "AgentRefuses";
/// The dimension of an agent's metrics: the name of the queue it takes batches from.
pub const QUEUE_DIMENSION: &str = "Queue";

/// The buckets of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// Raw papers and everything the sources and the judge said about them. Never deleted.
    Papers,
    /// Generated programs and their metadata.
    Code,
    /// What the programs printed, measured and plotted.
    Outputs,
    /// Data sets the programs load.
    Datasets,
}

impl Bucket {
    /// Every bucket, in stack order.
    pub const ALL: [Self; 4] = [Self::Papers, Self::Code, Self::Outputs, Self::Datasets];

    /// The bare name, without the environment's prefix and suffix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Papers => "llm-research-papers",
            Self::Code => "papers-code-artifacts",
            Self::Outputs => "papers-test-outputs",
            Self::Datasets => "datasets-for-all-papers",
        }
    }
}

/// The index of states that belongs to an index of papers: `NAME-status` beside `NAME-v2`, and beside `NAME`.
pub fn status_index(papers: &str) -> String {
    let is_version = |end: &str| !end.is_empty() && end.bytes().all(|it| it.is_ascii_digit());
    let name = match papers.rsplit_once("-v") {
        Some((name, version)) if is_version(version) => name,
        _ => papers,
    };
    format!("{name}-status")
}

/// The FIFO queues between the stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Queue {
    /// Scrapers to judge: [`crate::ResearchMessage`].
    Research,
    /// Judge to generator: [`crate::CodeGenerationMessage`].
    CodeGeneration,
    /// Generator to tester: [`crate::CodeEvaluationMessage`]; programs gather here until a batch is due.
    CodeEvaluation,
    /// Tester to agent: [`crate::CodeTestingMessage`], one message a batch.
    CodeTesting,
}

impl Queue {
    /// Every queue, in the order a paper passes them.
    pub const ALL: [Self; 4] = [
        Self::Research,
        Self::CodeGeneration,
        Self::CodeEvaluation,
        Self::CodeTesting,
    ];

    /// The bare name without its `.fifo` ending.
    pub const fn stem(self) -> &'static str {
        match self {
            Self::Research => "researchQueue",
            Self::CodeGeneration => "code-generation",
            Self::CodeEvaluation => "code-evaluation",
            Self::CodeTesting => "code-testing",
        }
    }

    /// The queue's name: the stem and `.fifo`.
    pub fn name(self) -> String {
        format!("{}.fifo", self.stem())
    }

    /// The name of the queue that takes what fails too often.
    pub fn dead_letter_name(self) -> String {
        format!("{}-dlq.fifo", self.stem())
    }
}

/// Where papers come from. The wire form is the one users send: `ICLR`, `NEURIPS`, `ARXIV`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Source {
    /// International Conference on Learning Representations.
    Iclr,
    /// International Conference on Machine Learning.
    Icml,
    /// Conference on Neural Information Processing Systems, which was called NIPS until 2018.
    #[serde(alias = "NIPS")]
    Neurips,
    /// Conference on Machine Learning and Systems.
    Mlsys,
    /// The arXiv preprint server.
    Arxiv,
}

impl Source {
    /// Each once, in the order in which messages name them.
    pub const ALL: [Self; 5] = [
        Self::Iclr,
        Self::Icml,
        Self::Neurips,
        Self::Mlsys,
        Self::Arxiv,
    ];

    /// The name in events and in the `CONFERENCE` variable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Iclr => "ICLR",
            Self::Icml => "ICML",
            Self::Neurips => "NEURIPS",
            Self::Mlsys => "MLSYS",
            Self::Arxiv => "ARXIV",
        }
    }

    /// The first part of the source's S3 keys.
    pub const fn key_part(self) -> &'static str {
        match self {
            Self::Iclr => "iclr",
            Self::Icml => "icml",
            Self::Neurips => "neurips",
            Self::Mlsys => "mlsys",
            Self::Arxiv => "arxiv",
        }
    }

    /// Reads a source's name in any case, `NIPS` as NeurIPS; `None` for a name that is not a source.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        if name.eq_ignore_ascii_case("NIPS") {
            return Some(Self::Neurips);
        }
        Self::ALL
            .into_iter()
            .find(|source| source.name().eq_ignore_ascii_case(name))
    }
}

/// A Lambda function of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Function {
    /// The scraper of one source.
    Scraper(Source),
    /// The scraper of arXiv again, as users' commands also spell it: Lambda tells `ArXiv` from `arxiv`.
    ArxivAlias,
    /// The scrapers' code without a source of its own: the event names one.
    AnyScraper,
    /// Decides which papers are relevant and novel.
    Judge,
    /// Writes a program for each accepted paper.
    Generator,
    /// Dispatches batches to the agent and collects what it found.
    Tester,
}

impl Function {
    /// Every function, in stack order.
    pub const ALL: [Self; 10] = [
        Self::Scraper(Source::Iclr),
        Self::Scraper(Source::Icml),
        Self::Scraper(Source::Neurips),
        Self::Scraper(Source::Mlsys),
        Self::Scraper(Source::Arxiv),
        Self::ArxivAlias,
        Self::AnyScraper,
        Self::Judge,
        Self::Generator,
        Self::Tester,
    ];

    /// The bare function name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scraper(Source::Iclr) => "PaperScraper_ICLR",
            Self::Scraper(Source::Icml) => "PaperScraper_ICML",
            Self::Scraper(Source::Neurips) => "PaperScraper_NEURIPS",
            Self::Scraper(Source::Mlsys) => "PaperScraper_MLSYS",
            Self::Scraper(Source::Arxiv) => "PaperScraper_ArXiv",
            Self::ArxivAlias => "PaperScraper_arxiv",
            Self::AnyScraper => "PapersScraper",
            Self::Judge => "PapersJudge",
            Self::Generator => "PapersCodeGenerator",
            Self::Tester => "PapersCodeTester",
        }
    }

    /// The crate whose binary is the function's code.
    pub const fn package(self) -> &'static str {
        match self {
            Self::Scraper(_) | Self::ArxivAlias | Self::AnyScraper => "paper-scraper",
            Self::Judge => "papers-judge",
            Self::Generator => "papers-code-generator",
            Self::Tester => "papers-code-tester",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_states_is_beside_that_of_papers() {
        assert_eq!(status_index(INDEX), STATUS_INDEX);
        for (papers, states) in [
            ("papers", "papers-status"),
            ("papers-v12", "papers-status"),
            ("papers-vx", "papers-vx-status"),
            ("papers-v", "papers-v-status"),
        ] {
            assert_eq!(status_index(papers), states);
        }
    }

    #[test]
    fn a_source_is_read_in_any_case() {
        assert_eq!(Source::parse(" neurips"), Some(Source::Neurips));
        assert_eq!(Source::parse("ArXiv"), Some(Source::Arxiv));
        assert_eq!(Source::parse("Nips "), Some(Source::Neurips));
        assert_eq!(
            serde_json::from_str::<Source>("\"NIPS\"").unwrap(),
            Source::Neurips
        );
        assert_eq!(
            serde_json::to_string(&Source::Neurips).unwrap(),
            "\"NEURIPS\""
        );
        assert_eq!(Source::parse("BOTH"), None);
    }

    #[test]
    fn queue_names_end_in_fifo() {
        for queue in Queue::ALL {
            assert!(queue.name().ends_with(".fifo"));
            assert!(queue.dead_letter_name().ends_with("-dlq.fifo"));
        }
    }
}
