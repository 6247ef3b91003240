//! Recorded answers and PDFs that tests of several crates read.
//!
//! `data/` holds what may be redistributed; `data/LICENCES.md` says whose it is, and `make.py` makes what is
//! ours: equations, damaged files, titles that are hard to keep. Tests that read more,
//! recordings without a licence and papers of their authors, are marked `#[ignore]` and run with
//! `cargo test -- --ignored`, the variable `ANNAPURNA_DATA` naming the folder. A file that is not there
//! fails the test: these functions panic.

#![allow(clippy::panic, reason = "this crate runs in tests only")]

use std::path::{Path, PathBuf};

/// Variable with the folder of recordings that are not in the project.
const OUTSIDE: &str = "ANNAPURNA_DATA";

/// A file of the project: `arxiv/error_400_incorrect_id_format.xml`.
pub fn file(name: &str) -> Vec<u8> {
    read(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("data")
            .join(name),
    )
}

/// A file of the folder that `ANNAPURNA_DATA` names.
pub fn outside(name: &str) -> Vec<u8> {
    read(&outside_folder().join(name))
}

/// The folder that `ANNAPURNA_DATA` names.
pub fn outside_folder() -> PathBuf {
    match std::env::var_os(OUTSIDE) {
        Some(folder) => PathBuf::from(folder),
        None => panic!(
            "{OUTSIDE} names no folder: this test reads recordings that are not in the project"
        ),
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}
