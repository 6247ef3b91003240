//! OpenReview's notes, of either API: any JSON gives papers, notes that are none, and broken ones.

#![no_main]

use annapurna_contract::Source;
use annapurna_paper_sources::sources::listed::Edition;
use annapurna_paper_sources::sources::openreview::group::group_of;
use annapurna_paper_sources::sources::openreview::note::{Entry, Reader};
use annapurna_paper_sources::sources::openreview::page::parse;
use annapurna_paper_sources_fuzz::{check, hosts};
use libfuzzer_sys::fuzz_target;

/// One year of each API, and one whose decisions are replies.
const YEARS: [u16; 3] = [2019, 2023, 2025];

fuzz_target!(|body: &[u8]| {
    let Ok(page) = parse(body, 0, 1000) else {
        return;
    };
    let hosts = hosts();
    for year in YEARS {
        let edition = Edition {
            source: Source::Iclr,
            year,
        };
        let group = group_of(edition).unwrap();
        let reader = Reader {
            edition,
            group: &group,
            list: &group.lists[0],
            hosts: &hosts,
        };
        for (index, note) in page.notes.iter().enumerate() {
            if let Entry::Paper(paper) = reader.read(note.clone(), index as u64) {
                check(&paper, &hosts);
            }
        }
    }
});
