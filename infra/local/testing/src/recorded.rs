//! A recorded feed of arXiv as a paper site's papers.

use annapurna_local::paper_site::PaperSite;

/// Puts the entries of a recorded Atom feed on `site`, as they are and in their order; they have `pdfs` in turn.
///
/// # Panics
/// When the feed has no entries, or one has no id.
pub fn with_arxiv_feed(
    site: PaperSite,
    feed: &str,
    pdfs: impl IntoIterator<Item = Vec<u8>>,
) -> PaperSite {
    let entries: Vec<&str> = feed
        .split("<entry>")
        .skip(1)
        .filter_map(|piece| Some(piece.split_once("</entry>")?.0))
        .collect();
    assert!(!entries.is_empty(), "the feed has no entries");
    let pdfs: Vec<Vec<u8>> = pdfs.into_iter().collect();
    let papers = entries.into_iter().zip(pdfs.into_iter().cycle());
    papers.fold(site, |site, (entry, pdf)| {
        let id = bare_id(entry).unwrap_or_else(|| panic!("an entry without an id: {entry}"));
        site.with_arxiv_paper(id, format!("  <entry>{entry}</entry>\n"), pdf)
    })
}

/// `2104.12255` of an entry with `<id>http://arxiv.org/abs/2104.12255v1</id>`.
fn bare_id(entry: &str) -> Option<&str> {
    let (_, rest) = entry.split_once("<id>")?;
    let (id, _) = rest.split_once("</id>")?;
    let (_, id) = id.split_once("/abs/")?;
    let id = id.trim();
    let without_version = id.trim_end_matches(|digit: char| digit.is_ascii_digit());
    Some(without_version.strip_suffix('v').unwrap_or(id))
}
