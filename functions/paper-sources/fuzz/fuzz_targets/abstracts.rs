//! The virtual sites' second file: any bytes are abstracts or an error.

#![no_main]

use annapurna_paper_sources::sources::virtual_feed::parse_abstracts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let _ = parse_abstracts(body);
});
