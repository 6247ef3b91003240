//! The virtual sites' lists: any JSON gives papers with titles, in order, each once.

#![no_main]

use std::collections::HashMap;

use annapurna_paper_sources::sources::virtual_feed::{merge, parse_page};
use annapurna_paper_sources_fuzz::{check, hosts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(page) = parse_page(body, true) else {
        return;
    };
    let hosts = hosts();
    let n_records = page.records.len();
    let (entries, broken) = merge(page.records, &hosts);
    assert!(entries.len() + broken.len() <= n_records);
    let mut last = None;
    for entry in entries {
        let paper = entry.into_listed(&hosts, &HashMap::new());
        check(&paper, &hosts);
        assert!(last < Some(paper.place));
        last = Some(paper.place);
    }
});
