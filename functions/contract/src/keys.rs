//! S3 keys. Every part is an id or a constant: text from a paper never becomes a key.

use sha2::{Digest, Sha256};

use crate::spent::Spender;
use crate::{Bucket, PaperId, Source, dataset, normalize_title};

/// Objects of a bucket that are read or written by the same stages, told from its others by their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Objects {
    /// All that the scrapers keep: papers, what sources said of them, parts of lists, aliases and leases.
    Scraped,
    /// The PDFs among it.
    Pdfs,
    /// The judge's verdicts, which lie in the bucket of the papers.
    Verdicts,
    /// What models cost, by day and by paper.
    Spending,
    /// The generated programs, those before the present ones among them.
    Programs,
    /// What is known about each generated program, and who writes one now.
    ProgramMetadata,
    /// The result of each test.
    Results,
    /// All that a test put out, its result among it.
    Outputs,
    /// What programs wrote to standard error, among it.
    StandardErrors,
    /// What a trial put out, its result among it.
    Trials,
    /// Which instances do not start, and why.
    RefusedStarts,
    /// The data sets that programs load, each with its description.
    Datasets,
    /// The descriptions among them.
    DatasetDescriptions,
}

impl Objects {
    /// Where they are.
    pub const fn bucket(self) -> Bucket {
        match self {
            Self::Scraped | Self::Pdfs | Self::Verdicts => Bucket::Papers,
            Self::Spending | Self::Programs | Self::ProgramMetadata => Bucket::Code,
            Self::Results
            | Self::Outputs
            | Self::StandardErrors
            | Self::Trials
            | Self::RefusedStarts => Bucket::Outputs,
            Self::Datasets | Self::DatasetDescriptions => Bucket::Datasets,
        }
    }

    /// Their keys, as IAM matches them: `*` stands for any text.
    pub fn patterns(self) -> Vec<String> {
        let below = |prefix: &str| format!("{prefix}*");
        match self {
            Self::Scraped => {
                let sources = Source::ALL.map(|source| format!("{}/*", source.key_part()));
                let others = [LISTS, DETAILS, ALIASES, LEASES].map(below);
                sources.into_iter().chain(others).collect()
            }
            Self::Pdfs => vec![format!("*{PDF_SUFFIX}")],
            Self::Verdicts => vec![below(VERDICTS_PREFIX)],
            Self::Spending => vec![below(SPENDING_PREFIX)],
            Self::Programs => vec![format!("*{PROGRAM_ENDING}")],
            Self::ProgramMetadata => [METADATA_SUFFIX, CLAIM_SUFFIX]
                .map(|suffix| format!("*{suffix}"))
                .into(),
            Self::Results => vec![format!("*{RESULT_SUFFIX}")],
            Self::Outputs => vec![format!("*{OUTPUTS_FOLDER}*")],
            Self::StandardErrors => vec![format!("*{OUTPUTS_FOLDER}stderr.log")],
            Self::Trials => vec![below(TRIALS)],
            Self::RefusedStarts => vec![REFUSED_STARTS.to_owned()],
            Self::Datasets => [DESCRIPTION_SUFFIX, ".safetensors", VOCABULARY_SUFFIX]
                .map(|ending| format!("*{ending}"))
                .into(),
            Self::DatasetDescriptions => vec![format!("*{DESCRIPTION_SUFFIX}")],
        }
    }
}

const LISTS: &str = "_lists/";
const DETAILS: &str = "_details/";
const ALIASES: &str = "_aliases/";
const LEASES: &str = "_leases/";
const PDF_SUFFIX: &str = ".pdf";
const CODE_SUFFIX: &str = "/code.py";
const METADATA_SUFFIX: &str = "/metadata.json";
const CLAIM_SUFFIX: &str = "/claim.json";
const PROGRAM_ENDING: &str = ".py";
const DESCRIPTION_SUFFIX: &str = "/dataset.json";
const VOCABULARY_SUFFIX: &str = "/vocabulary-*.json";
const OUTPUTS_FOLDER: &str = "/outputs/";

/// The paper itself, in [`crate::Bucket::Papers`].
pub fn paper_pdf(source: Source, year: u16, paper: &PaperId) -> String {
    format!("{}/{year}/{paper}{PDF_SUFFIX}", source.key_part())
}

/// Everything the source said about the paper, beside its PDF.
pub fn paper_source_record(source: Source, year: u16, paper: &PaperId) -> String {
    format!("{}/{year}/{paper}.json", source.key_part())
}

/// A part of a conference's list, for one window of its scrape; `digest` is that of the whole list.
pub fn list_part(source: Source, year: u16, digest: &str, part: usize) -> String {
    format!("{}{digest}/{part:04}.json", list_prefix(source, year))
}

/// Where the parts of a conference's lists are.
pub fn list_prefix(source: Source, year: u16) -> String {
    format!("{LISTS}{}/{year}/", source.key_part())
}

/// What a source said of one paper before its abstract was known: `page`, what the paper's own page said,
/// or `list`, what the list said while the page could not be had. `digest` is that of the source's name of
/// the paper.
pub fn paper_details(source: Source, year: u16, digest: &str, kind: &str) -> String {
    format!("{DETAILS}{}/{year}/{digest}.{kind}.json", source.key_part())
}

/// The id of the paper that a source knows by this name; arXiv's is the id without a version. A conference
/// may give a name again in another year, arXiv never does.
pub fn id_alias(source: Source, year: u16, source_id: &str) -> String {
    let name = match source {
        Source::Arxiv => source_id.to_owned(),
        _ => format!("{year}/{source_id}"),
    };
    format!("{ALIASES}ids/{}/{}.json", source.key_part(), digest(&name))
}

/// The ids of the papers that have, or had, a title; of all sources.
pub fn title_alias(title: &str) -> String {
    format!("{ALIASES}titles/{}.json", digest(&normalize_title(title)))
}

/// 128 bits of a SHA-256: what a stranger wrote is never in a key.
fn digest(text: &str) -> String {
    let mut digits = hex::encode(Sha256::digest(text));
    digits.truncate(32);
    digits
}

/// Who may send requests to a host now, where only one run may at a time.
pub fn host_lease(host: &str) -> String {
    format!("{LEASES}{host}.json")
}

/// Where the verdicts are in [`crate::Bucket::Papers`].
pub const VERDICTS_PREFIX: &str = "verdicts/";

/// The judge's verdict with its reason, in [`crate::Bucket::Papers`].
pub fn verdict(paper: &PaperId) -> String {
    format!("{VERDICTS_PREFIX}{paper}.json")
}

/// Where the counters of what models cost are in [`crate::Bucket::Code`].
const SPENDING_PREFIX: &str = "_spent/";

/// What a stage spent on models on a day, `YYYY-MM-DD` of UTC, in [`crate::Bucket::Code`]: a [`crate::Spent`].
pub fn spent_on_day(day: &str, spender: Spender) -> String {
    format!("{SPENDING_PREFIX}days/{day}/{}.json", spender.as_str())
}

/// What a stage spent on models for a paper, in [`crate::Bucket::Code`]: a [`crate::Spent`].
pub fn spent_on_paper(paper: &PaperId, spender: Spender) -> String {
    format!("{SPENDING_PREFIX}papers/{paper}/{}.json", spender.as_str())
}

/// The paper's present program, in [`crate::Bucket::Code`].
pub fn code(paper: &PaperId) -> String {
    format!("{paper}{CODE_SUFFIX}")
}

/// A program that the paper has or had, by its SHA-256, beside the present one: what is tested is read here, so a newer
/// program never takes the place of the one that a message means.
pub fn code_version(paper: &PaperId, sha256: &str) -> String {
    format!("{paper}/{sha256}{PROGRAM_ENDING}")
}

/// Until when somebody writes the paper's program, in [`crate::Bucket::Code`].
pub fn code_claim(paper: &PaperId) -> String {
    format!("{paper}{CLAIM_SUFFIX}")
}

/// What is known about the generated program, in [`crate::Bucket::Code`].
pub fn code_metadata(paper: &PaperId) -> String {
    format!("{paper}{METADATA_SUFFIX}")
}

/// The folder of a test's outputs, in [`crate::Bucket::Outputs`].
pub fn outputs_prefix(paper: &PaperId) -> String {
    format!("{paper}{OUTPUTS_FOLDER}")
}

/// Where trials put out what they do, in [`crate::Bucket::Outputs`]; its keys do not end as [`RESULT_SUFFIX`] says.
pub const TRIALS: &str = "_trials/";

/// The folder of a paper's outputs in a trial, by the name of its batch
/// ([`crate::CodeTestingMessage::is_named_as_a_trial`]).
pub fn trial_prefix(batch_id: &str, paper: &PaperId) -> String {
    format!("{TRIALS}{batch_id}/{paper}/")
}

/// The folder of what a paper's program prints in a batch that is told live: among the trials, which the bucket forgets.
pub fn live_prefix(batch_id: &str, paper: &PaperId) -> String {
    format!("{}live/", trial_prefix(batch_id, paper))
}

/// A part ([`crate::LivePart`]) in that folder, counted from 0.
pub fn live_part_in(prefix: &str, number: u32) -> String {
    format!("{prefix}{number:06}.json")
}

/// The result ([`crate::TestResult`]) in a folder of outputs, written after everything else in it.
pub fn result_in(prefix: &str) -> String {
    format!("{prefix}result.json")
}

/// What is said of a data set, in [`crate::Bucket::Datasets`]; its presence says that the set is there.
pub fn dataset_description(name: &str) -> String {
    format!("{name}{DESCRIPTION_SUFFIX}")
}

/// A file of a data set, beside its description.
pub fn dataset_file(name: &str, file: &dataset::File) -> String {
    format!("{name}/{}", file.name)
}

/// The instances whose start EC2 refused at the tester's last look, a list of [`crate::RefusedStart`], in
/// [`crate::Bucket::Outputs`].
pub const REFUSED_STARTS: &str = "_instances/refused-starts.json";

/// The key ending that tells the collector a test has finished; the S3 notification filters by it.
pub const RESULT_SUFFIX: &str = "/outputs/result.json";

/// The test's result ([`crate::TestResult`]), written after every other output.
pub fn result(paper: &PaperId) -> String {
    format!("{paper}{RESULT_SUFFIX}")
}

/// The paper a result key belongs to; `None` when the key is not one of ours.
pub fn paper_of_result(key: &str) -> Option<PaperId> {
    let id = key.strip_suffix(RESULT_SUFFIX)?;
    PaperId::try_from(id.to_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_source_and_a_title_have_one_key_each() {
        let arxiv = |year| id_alias(Source::Arxiv, year, "2511.90001");
        assert_eq!(arxiv(2025), arxiv(2026), "an id of arXiv is one for good");
        let feed = |year| id_alias(Source::Iclr, year, "7");
        assert_ne!(feed(2025), feed(2026), "a feed may count from 1 each year");
        assert_ne!(feed(2025), id_alias(Source::Icml, 2025, "7"));
        assert_eq!(
            title_alias("Memory-Eﬃcient  Nets"),
            title_alias("memory-efficient nets")
        );
        let hostile = id_alias(Source::Iclr, 2025, "../../verdicts/x");
        assert!(hostile.starts_with("_aliases/ids/iclr/") && !hostile.contains(".."));
        assert_eq!(hostile.len(), "_aliases/ids/iclr/.json".len() + 32);
    }

    #[test]
    fn a_result_key_leads_back_to_its_paper() {
        let theirs = PaperId::try_from("6-j63JkBP8oloYi_8CJH".to_owned()).unwrap();
        for paper in [PaperId::of("Adam", None), theirs] {
            assert_eq!(paper_of_result(&result(&paper)), Some(paper));
        }
        let paper = PaperId::of("Adam", None);
        assert_eq!(paper_of_result("../x/outputs/result.json"), None);
        assert_eq!(result(&paper), result_in(&outputs_prefix(&paper)));
        let trial = result_in(&trial_prefix("trial-1", &paper));
        assert!(!trial.ends_with(RESULT_SUFFIX), "nobody is told of {trial}");
    }
}
