//! arXiv's feeds: any bytes are a feed, arXiv's own error, or an error of ours.

#![no_main]

use annapurna_paper_sources::sources::atom::{Answer, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    if let Ok(Answer::Feed(feed)) = parse(body) {
        for entry in &feed.entries {
            let _ = (entry.pdf_link(), entry.page_link());
        }
    }
});
