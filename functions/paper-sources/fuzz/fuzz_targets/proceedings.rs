//! Proceedings' books and papers: any page gives papers, or words for a log.

#![no_main]

use annapurna_paper_sources::sources::proceedings::{parse_book, parse_details};
use annapurna_paper_sources_fuzz::{check, check_address, hosts, url};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let hosts = hosts();
    let page = url("https://proceedings.iclr.cc/paper_files/paper/2025");
    if let Ok(book) = parse_book(body, &page, &hosts) {
        let _ = book.check();
        book.papers.iter().for_each(|paper| check(paper, &hosts));
        book.see_also
            .iter()
            .for_each(|book| check_address(book, &hosts));
    }
    if let Ok(details) = parse_details(body, &page, &hosts) {
        details
            .pdf_urls
            .iter()
            .for_each(|pdf| check_address(pdf, &hosts));
    }
});
