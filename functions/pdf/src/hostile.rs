//! Files changed by chance, read in this process: whatever comes of it, nothing panics past a page.

use std::time::{Duration, Instant};

use crate::paper::paper_of;
use crate::wire::{Frame, Page};
use crate::{Limits, document};

/// Changed files; each test run reads the same.
const N_FILES: usize = 4_000;
const FILES: [&str; 5] = [
    "pdf/ligatures_one_line.pdf",
    "pdf/image_only_ccitt_fax_scan.pdf",
    "made/equations.pdf",
    "made/damaged_table_is_misplaced.pdf",
    "made/damaged_forms_of_each_other.pdf",
];

/// Bytes changed, or a part cut out, doubled or put elsewhere.
fn change(bytes: &mut Vec<u8>, chance: &mut fastrand::Rng) {
    let start = chance.usize(..bytes.len());
    let end = (start + chance.usize(1..200)).min(bytes.len());
    match chance.u8(..4) {
        0 => drop(bytes.drain(start..end)),
        1 => {
            let part = bytes[start..end].to_vec();
            let place = chance.usize(..bytes.len());
            bytes.splice(place..place, part);
        }
        _ => {
            for _ in 0..chance.usize(1..8) {
                let place = chance.usize(..bytes.len());
                bytes[place] = chance.u8(..);
            }
        }
    }
}

fn read(bytes: Vec<u8>) -> Vec<Page> {
    let limits = Limits {
        pages: 4,
        text: 20_000,
        time: Duration::from_secs(5),
    };
    let mut pages = Vec::new();
    let mut keep = |frame: &Frame| {
        if let Frame::Page(page) = frame {
            pages.push(page.clone());
        }
        Ok(())
    };
    // An error is an answer.
    let _ = document::read(bytes, limits, Instant::now() + limits.time, &mut keep);
    pages
}

#[test]
fn changed_files_are_read_or_refused() {
    let mut chance = fastrand::Rng::with_seed(11);
    let wholes = FILES.map(annapurna_test_data::file);
    let mut n_with_text = 0;
    for round in 0..N_FILES {
        let mut bytes = wholes[round % wholes.len()].clone();
        for _ in 0..chance.usize(1..4) {
            change(&mut bytes, &mut chance);
        }
        let paper = paper_of(read(bytes), 1);
        n_with_text += usize::from(!paper.text().is_empty());
        assert!(paper.for_model(300).chars().count() <= 300);
    }
    assert!(
        n_with_text > N_FILES / 4,
        "{n_with_text} of {N_FILES} had text"
    );
}
