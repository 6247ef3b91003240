//! The virtual sites' pages: any page gives papers, or words for a log.

#![no_main]

use annapurna_paper_sources::sources::virtual_pages::{parse_details, parse_list};
use annapurna_paper_sources_fuzz::{EDITION, check_address, check_list, hosts, url};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let hosts = hosts();
    let page = url("https://iclr.cc/virtual/2025/papers.html");
    if let Ok(listed) = parse_list(body, &page, &hosts, EDITION) {
        check_list(&listed, &hosts);
    }
    if let Ok(details) = parse_details(body, &page, &hosts) {
        details
            .pdf_urls
            .iter()
            .for_each(|pdf| check_address(pdf, &hosts));
    }
});
