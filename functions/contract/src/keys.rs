//! S3 keys. Every part is an id or a constant: text from a paper never becomes a key.

use sha2::{Digest, Sha256};

use crate::{PaperId, Source, normalize_title};

/// The paper itself, in [`crate::Bucket::Papers`].
pub fn paper_pdf(source: Source, year: u16, paper: &PaperId) -> String {
    format!("{}/{year}/{paper}.pdf", source.key_part())
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
    format!("_lists/{}/{year}/", source.key_part())
}

/// What a source said of one paper before its abstract was known: `page`, what the paper's own page said,
/// or `list`, what the list said while the page could not be had. `digest` is that of the source's name of
/// the paper.
pub fn paper_details(source: Source, year: u16, digest: &str, kind: &str) -> String {
    format!("_details/{}/{year}/{digest}.{kind}.json", source.key_part())
}

/// The id of the paper that a source knows by this name; arXiv's is the id without a version. A conference
/// may give a name again in another year, arXiv never does.
pub fn id_alias(source: Source, year: u16, source_id: &str) -> String {
    let name = match source {
        Source::Arxiv => source_id.to_owned(),
        _ => format!("{year}/{source_id}"),
    };
    format!("_aliases/ids/{}/{}.json", source.key_part(), digest(&name))
}

/// The ids of the papers that have, or had, a title; of all sources.
pub fn title_alias(title: &str) -> String {
    format!("_aliases/titles/{}.json", digest(&normalize_title(title)))
}

/// 128 bits of a SHA-256: what a stranger wrote is never in a key.
fn digest(text: &str) -> String {
    let mut digits = hex::encode(Sha256::digest(text));
    digits.truncate(32);
    digits
}

/// Who may send requests to a host now, where only one run may at a time.
pub fn host_lease(host: &str) -> String {
    format!("_leases/{host}.json")
}

/// Where the verdicts are in [`crate::Bucket::Papers`].
pub const VERDICTS_PREFIX: &str = "verdicts/";

/// The judge's verdict with its reason, in [`crate::Bucket::Papers`].
pub fn verdict(paper: &PaperId) -> String {
    format!("{VERDICTS_PREFIX}{paper}.json")
}

/// The generated program, in [`crate::Bucket::Code`].
pub fn code(paper: &PaperId) -> String {
    format!("{paper}/code.py")
}

/// What is known about the generated program, in [`crate::Bucket::Code`].
pub fn code_metadata(paper: &PaperId) -> String {
    format!("{paper}/metadata.json")
}

/// The folder of a test's outputs, in [`crate::Bucket::Outputs`].
pub fn outputs_prefix(paper: &PaperId) -> String {
    format!("{paper}/outputs/")
}

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
        let paper = PaperId::of("Adam", None);
        assert_eq!(paper_of_result(&result(&paper)), Some(paper));
        assert_eq!(paper_of_result("../x/outputs/result.json"), None);
    }
}
