//! Proceedings of NeurIPS, MLSys and ICLR.

use annapurna_contract::Source;
use annapurna_paper_sources::sources::listed::ListError;
use annapurna_paper_sources::sources::proceedings;

use super::{
    CREATIVE, DATASETS, Kind, MAIN, PAPER, PAPER_1990, SITE, Site, YEAR_2021, at, edition, hosts,
    ids, list, problem, titles, urls,
};

#[tokio::test]
async fn the_main_volume_of_neurips_2025_is_followed_once_and_nothing_else_is() {
    let site = Site::of(&[
        ("/paper_files/paper/2025", CREATIVE),
        ("/paper_files/paper/2025/vol38-main-conference", MAIN),
    ]);
    let listed = list(&site, Kind::Proceedings, edition(Source::Neurips, 2025)).await;
    let listed = listed.unwrap();
    assert_eq!(
        site.asked(),
        [
            "/paper_files/paper/2025",
            "/paper_files/paper/2025/vol38-main-conference"
        ]
    );
    assert_eq!(
        titles(&listed.papers),
        [
            "Weaving with Noise",
            "0",
            "Flow of a Net When $W<d$ and $k<n$",
            "k-Nets & Friends: a Study",
            "ThimbleBench",
            "Position: Fixtures Should Be Small",
        ]
    );
    let places: Vec<u64> = listed.papers.iter().map(|paper| paper.place).collect();
    assert_eq!(places, [0, 1, 2, 3, 4, 5]);
    assert_eq!(listed.broken.len(), 1, "the link that leads away");
    let maths = &listed.papers[2];
    assert_eq!(maths.source_id, "a0000000000000000000000000000001");
    assert_eq!(maths.authors, ["Zoë One", "Two, Jr.", "\"Tri\" Three"]);
    assert_eq!(listed.papers[1].authors, Vec::<String>::new());
}

#[test]
fn every_suffix_of_a_paper_s_path_gives_its_pdf() {
    let hosts = hosts(SITE, Source::Neurips);
    let hash = "f0000000000000000000000000000001";
    for (folder, suffix) in [
        ("/paper_files/paper/1987", ""),
        ("/paper/2020", ""),
        ("/paper_files/paper/2022", "-Conference"),
        ("/paper_files/paper/2023", "-Datasets_and_Benchmarks"),
        ("/paper_files/paper/2024", "-Datasets_and_Benchmarks_Track"),
        ("/paper_files/paper/2025", "-Position_Paper_Track"),
        ("/paper_files/paper/2025", "-Creative_AI_Track"),
        ("/paper_files/paper/2021", "-round2"),
        ("/paper_files/paper/2023", "-mlsys2023"),
    ] {
        let href = format!("{folder}/hash/{hash}-Abstract{suffix}.html");
        let body = format!("<html><ul><li><a href='{href}'>T</a> <i>A B</i></ul></html>");
        let book = proceedings::parse_book(body.as_bytes(), &at("/p"), &hosts).unwrap();
        let paper = &book.papers[0];
        assert_eq!(paper.details_url, Some(at(&href)));
        let pdf = at(&format!("{folder}/file/{hash}-Paper{suffix}.pdf"));
        assert_eq!(
            (paper.pdf_urls.as_slice(), ids(&book.papers)),
            ([pdf].as_slice(), vec![hash])
        );
        assert_eq!(paper.authors, ["A B"]);
    }
}

#[tokio::test]
async fn a_book_must_hold_as_many_papers_as_it_says() {
    let short = MAIN.replace("5 papers", "5,823 papers");
    let site = Site::of(&[
        ("/paper_files/paper/2025", CREATIVE),
        ("/paper_files/paper/2025/vol38-main-conference", &short),
    ]);
    let error = list(&site, Kind::Proceedings, edition(Source::Neurips, 2025)).await;
    let problem = problem(error);
    assert!(
        problem.contains("says that it has 5823 papers and lists 5"),
        "{problem}"
    );
    assert_eq!(
        site.asked().len(),
        4,
        "the short page is asked for three times"
    );
}

#[tokio::test]
async fn a_book_that_is_named_must_be_there() {
    let site = Site::of(&[("/paper_files/paper/2025", CREATIVE)]);
    let error = list(&site, Kind::Proceedings, edition(Source::Neurips, 2025)).await;
    assert!(problem(error).contains("vol38-main-conference"));
}

#[tokio::test]
async fn a_year_without_proceedings_is_absent() {
    let site = Site::default();
    for (source, year, n_asked) in [
        (Source::Neurips, 2026, 1),
        (Source::Neurips, 1986, 1),
        (Source::Mlsys, 2018, 1),
        (Source::Iclr, 2023, 1),
        (Source::Icml, 2024, 1),
    ] {
        let error = list(&site, Kind::Proceedings, edition(source, year)).await;
        assert!(matches!(error, Err(ListError::Absent { .. })), "{error:?}");
        assert_eq!(
            site.asked().len(),
            n_asked,
            "only the first is asked for at all"
        );
    }
}

#[tokio::test]
async fn the_data_sets_papers_of_neurips_2021_are_apart_and_count_anew() {
    let site = Site::of(&[
        ("/paper_files/paper/2021", YEAR_2021),
        ("/datasets-benchmarks/paper/2021", DATASETS),
    ]);
    let listed = list(&site, Kind::Proceedings, edition(Source::Neurips, 2021)).await;
    let listed = listed.unwrap();
    let hash = "d0000000000000000000000000000001";
    assert_eq!(
        ids(&listed.papers),
        [hash, &format!("{hash}-round1"), &format!("{hash}-round2")]
    );
    assert_eq!(listed.papers[1].title, "A Set of Thimbles");
    assert_eq!(listed.papers[1].authors, ["Ada One", "Bo Two"]);

    let without = Site::of(&[("/paper_files/paper/2021", YEAR_2021)]);
    let listed = list(&without, Kind::Proceedings, edition(Source::Neurips, 2021)).await;
    assert_eq!(listed.unwrap().papers.len(), 1);
}

#[test]
fn an_abstract_keeps_its_formulas_and_its_unknown_words() {
    let hosts = hosts(SITE, Source::Neurips);
    let details = proceedings::parse_details(PAPER.as_bytes(), &at("/p"), &hosts).unwrap();
    let expected = "We train when $W<d$. If a<b and c>d then, for $1<p\\le2$ and $k<n$, our \
        <projektor> turns <seam, thread, knot> into words; every R&D team — even \"small\" ones — can. \
        Code: <https://example.org/thimble>. See H2O.";
    assert_eq!(details.abstract_text.as_deref(), Some(expected));
    assert_eq!(details.authors, ["Zoë One", "\"Tri\" Three"]);
    assert_eq!(details.date.as_deref(), Some("2025-12-02"));
    let file =
        "http://127.0.0.1:9/paper_files/paper/2025/file/a0000000000000000000000000000001-Paper";
    assert_eq!(
        urls(&details.pdf_urls),
        [
            format!("{file}-Cited.pdf"),
            format!("{file}-Conference.pdf")
        ],
        "the cited one wins, the supplement and the other host are none"
    );
}

#[test]
fn pages_of_before_2022_have_single_quotes_and_only_a_year() {
    let hosts = hosts(SITE, Source::Neurips);
    let page = at("/paper/1990/hash/x.html");
    let details = proceedings::parse_details(PAPER_1990.as_bytes(), &page, &hosts).unwrap();
    assert_eq!(
        details.abstract_text.as_deref(),
        Some("Nets were small then.")
    );
    assert_eq!(details.authors, ["Ann Elder", "Ben Younger, Jr."]);
    assert_eq!(details.date, None);
    assert_eq!(
        urls(&details.pdf_urls),
        ["http://127.0.0.1:9/paper/1990/file/e0000000000000000000000000000001-Paper.pdf"]
    );
}

#[test]
fn a_page_without_an_abstract_has_none_and_a_page_of_no_paper_is_refused() {
    let hosts = hosts(SITE, Source::Neurips);
    let read = |body: &str| proceedings::parse_details(body.as_bytes(), &at("/p"), &hosts);
    let title = "<html><h1 class='paper-title'>T</h1><section>";
    for nothing in [
        "",
        "<p class='paper-abstract'> </section>",
        "<p class='paper-abstract'>Abstract Missing</p></section>",
        "<h2>Abstract</h2></section><footer class='x'>imprint</footer>",
    ] {
        let details = read(&format!("{title}{nothing}</html>")).unwrap();
        assert_eq!(details.abstract_text, None, "{nothing}");
    }
    assert!(read("<html><h1>We are sorry</h1></html>").is_err());
    assert!(read(&PAPER[..PAPER.len() - 30]).is_err(), "cut short");
}
