//! PMLR's volumes, papers and bibliographies: any bytes give papers, or words for a log.

#![no_main]

use annapurna_paper_sources::sources::bibtex;
use annapurna_paper_sources::sources::pmlr::{parse_details, parse_volume};
use annapurna_paper_sources_fuzz::{check_address, check_list, hosts, url};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let hosts = hosts();
    let page = url("https://proceedings.mlr.press/v235/");
    let entries = bibtex::parse(&String::from_utf8_lossy(body));
    if let Ok(mut volume) = parse_volume(body, &page, &hosts) {
        let entries = entries.into_iter().map(|entry| (entry.key.clone(), entry));
        volume.add(&entries.collect());
        check_list(&volume.listed, &hosts);
    }
    if let Ok(details) = parse_details(body, &page, &hosts) {
        details
            .pdf_urls
            .iter()
            .for_each(|pdf| check_address(pdf, &hosts));
    }
});
