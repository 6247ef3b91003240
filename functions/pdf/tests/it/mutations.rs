//! Files that were changed by chance: each gives a paper or a clean error.

use annapurna_pdf::{Limits, PdfError, read};

use crate::make::{HELLO, HELVETICA, one_page, packed, page};

/// Readers that are started: the fuller part runs without them, in the crate's own tests.
const N_READERS: usize = 200;

#[tokio::test]
async fn a_changed_file_never_ends_its_reader_by_a_signal() {
    let mut chance = fastrand::Rng::with_seed(11);
    let wholes = [
        page(HELLO),
        one_page(
            "",
            "",
            packed("", HELLO.as_bytes()),
            HELVETICA.into(),
            Vec::new(),
        ),
        annapurna_test_data::file("pdf/ligatures_one_line.pdf"),
        annapurna_test_data::file("made/equations.pdf"),
    ];
    let mut n_read = 0;
    for round in 0..N_READERS {
        let mut bytes = wholes[round % wholes.len()].clone();
        for _ in 0..chance.usize(1..6) {
            let place = chance.usize(..bytes.len());
            bytes[place] = chance.u8(..);
        }
        match read(bytes, Limits::default()).await {
            Ok(_) => n_read += 1,
            Err(PdfError::Encrypted | PdfError::Unreadable { .. }) => {}
            Err(other) => panic!("round {round}: {other}"),
        }
    }
    assert!(
        n_read > N_READERS / 2,
        "{n_read} of {N_READERS} could be read"
    );
}
