//! Pages that are damaged, or large.

use annapurna_contract::Source;
use annapurna_paper_sources::sources::{bibtex, pmlr, proceedings, virtual_pages};

use super::{
    BIBLIOGRAPHY, CREATIVE, DATASETS, EVENT, EVENT_2023, MAIN, PAPER, PAPER_1990, PAPERS,
    PMLR_PAPER, SITE, VOLUME, YEAR_2021, at, edition, hosts,
};

/// Every page with every reader.
fn read_all(body: &[u8]) {
    let hosts = hosts(SITE, Source::Iclr);
    let page = at("/virtual/2025/papers.html");
    let _ = proceedings::parse_book(body, &page, &hosts);
    let _ = proceedings::parse_details(body, &page, &hosts);
    let _ = pmlr::parse_volume(body, &page, &hosts);
    let _ = pmlr::parse_details(body, &page, &hosts);
    let _ = virtual_pages::parse_list(body, &page, &hosts, edition(Source::Iclr, 2025));
    let _ = virtual_pages::parse_details(body, &page, &hosts);
    bibtex::parse(&String::from_utf8_lossy(body));
}

const ALL: [&str; 12] = [
    CREATIVE,
    MAIN,
    DATASETS,
    YEAR_2021,
    PAPER,
    PAPER_1990,
    VOLUME,
    BIBLIOGRAPHY,
    PMLR_PAPER,
    PAPERS,
    EVENT,
    EVENT_2023,
];

#[test]
fn damaged_pages_never_panic() {
    let mut state = 1_u64;
    let mut next = |limit: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    let pieces: [&[u8]; 10] = [
        b"<",
        b">",
        b"\"",
        b"'",
        b"&",
        b"\\",
        b"{",
        b"}",
        b"\xc3",
        b"\xe2\x8b\x85",
    ];
    for document in ALL {
        for _ in 0..60 {
            let mut bytes = document.as_bytes().to_vec();
            for _ in 0..8 {
                let place = next(bytes.len());
                let piece = pieces[next(pieces.len())];
                match next(3) {
                    0 => bytes[place] = next(256) as u8,
                    1 => drop(bytes.splice(place..place, piece.iter().copied())),
                    _ => drop(
                        bytes.splice(place..(place + 20).min(bytes.len()), piece.iter().copied()),
                    ),
                }
            }
            read_all(&bytes);
        }
    }
}

#[test]
fn pages_cut_anywhere_never_panic() {
    for document in ALL {
        for end in (0..document.len()).step_by(29) {
            // Behind its end a page is read; before it, it is refused. Both are gone through.
            read_all(&document.as_bytes()[..end]);
            read_all(&[&document.as_bytes()[..end], b"</html>"].concat());
        }
    }
}

#[test]
fn a_page_of_one_piece_without_end_is_read_to_its_end() {
    for piece in [
        "<",
        "<div>",
        "<a x=\"",
        "<a x='<b y=\"",
        "<!--",
        "<script>",
        "</",
        "&",
        "<p>",
        "<b and ",
    ] {
        let body = format!("<html>{}</html>", piece.repeat(10_000));
        read_all(body.as_bytes());
        let hosts = hosts(SITE, Source::Iclr);
        let book = proceedings::parse_book(body.as_bytes(), &at("/p"), &hosts);
        assert!(book.map_or(true, |book| book.papers.is_empty()), "{piece}");
    }
}

#[test]
fn a_whole_year_of_6000_papers_is_one_book() {
    let paper = |number: usize| {
        format!(
            "<li class='conference'><a href='/paper_files/paper/2025/hash/{number:032x}-Abstract-\
             Conference.html'>Title {number} for $n<m$</a> <span class='paper-authors'>A, B, C</span></li>\n"
        )
    };
    let papers: String = (0..6000).map(paper).collect();
    let body = format!(
        "<html><span class='paper-count'>6000 papers</span><ul class='paper-list'>{papers}</ul></html>"
    );
    let hosts = hosts(SITE, Source::Neurips);
    let book = proceedings::parse_book(body.as_bytes(), &at("/p"), &hosts).unwrap();
    book.check().unwrap();
    assert_eq!((book.papers.len(), book.broken.len()), (6000, 0));
}
