//! The recorded pages.

use annapurna_contract::Source;
use annapurna_paper_sources::sources::{bibtex, pmlr, proceedings, virtual_pages};
use annapurna_test_data::outside;
use url::Url;

use super::{SITE, at, edition, hosts, ids, urls};

#[test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
fn the_recorded_list_of_neurips_2024_is_read_and_known_to_be_a_part() {
    let body = outside("proceedings/neurips2024_year_index_4_of_4493.html");
    let hosts = hosts("https://proceedings.neurips.cc", Source::Neurips);
    let page = Url::parse("https://proceedings.neurips.cc/paper_files/paper/2024").unwrap();
    let book = proceedings::parse_book(&body, &page, &hosts).unwrap();
    assert_eq!(
        (book.papers.len(), book.broken.len(), book.stated),
        (4, 0, Some(4493))
    );
    assert!(book.check().is_err());
    assert!(book.see_also.is_empty());
    let last = &book.papers[3];
    assert_eq!(last.source_id, "017761f94a1cd66d01c041aff85492c4");
    assert_eq!(last.record["track"], "Datasets_and_Benchmarks_Track");
    assert_eq!(
        urls(&last.pdf_urls),
        [
            "https://proceedings.neurips.cc/paper_files/paper/2024/file/017761f94a1cd66d01c041aff85492c4-Paper-Datasets_and_Benchmarks_Track.pdf"
        ]
    );
}

#[test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
fn the_recorded_abstract_with_bare_less_than_signs_is_whole() {
    let body = outside("proceedings/neurips2024_abstract_page_bare_lt.html");
    let hosts = hosts("https://proceedings.neurips.cc", Source::Neurips);
    let page = Url::parse("https://proceedings.neurips.cc/p").unwrap();
    let details = proceedings::parse_details(&body, &page, &hosts).unwrap();
    let text = details.abstract_text.unwrap();
    for part in [
        "when $W<d$.",
        "if a<b and c>d then, for $1<p\\le2$ and $k<n$",
        "called <projektor> that predicts <human, action, object> triplets;",
        "synthetic emphasis stays markup",
        "<https://github.com/synthetic/repo>. Synthetic closing sentence.",
    ] {
        assert!(text.contains(part), "`{part}` in `{text}`");
    }
    assert!(text.ends_with("Synthetic closing sentence."), "{text}");
    assert_eq!(details.authors, ["Synthetic Author 2"]);
    assert_eq!(details.date.as_deref(), Some("2024-12-16"));
    assert_eq!(
        urls(&details.pdf_urls),
        [
            "https://proceedings.neurips.cc/paper_files/paper/2024/file/9062b7d6e522dadf4f7d85d49b60d81e-Paper-Conference.pdf"
        ]
    );
}

#[test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
fn the_recorded_volume_of_icml_2024_is_read() {
    let body = outside("proceedings/pmlr_v235_icml2024_volume_3_of_2610.html");
    let hosts = hosts(SITE, Source::Icml);
    let volume = pmlr::parse_volume(&body, &at("/v235/"), &hosts).unwrap();
    let papers = &volume.listed.papers;
    assert_eq!(ids(papers), ["abad-rocamora24a", "abe24a", "abhyankar24a"]);
    let forums: Vec<Option<&str>> = papers.iter().map(|paper| paper.forum.as_deref()).collect();
    assert_eq!(forums, ["AZWqXfM6z9", "9U29U3cDKq", "wDDGQabYPQ"].map(Some));
    assert_eq!(papers[1].details_url, Some(at("/v235/abe24a.html")));
    assert_eq!(
        papers[1].pdf_urls,
        [at(
            "/pmlr-files/mlresearch/v235/main/assets/abe24a/abe24a.pdf"
        )]
    );
    assert_eq!(
        volume.bibliography,
        Some(at("/v235/assets/bib/bibliography.bib"))
    );

    let body = outside("proceedings/pmlr_v235_paper_page.html");
    let details = pmlr::parse_details(&body, &at("/v235/abe24a.html"), &hosts).unwrap();
    assert_eq!(
        details.abstract_text.as_deref(),
        Some("Synthetic abstract 4")
    );
    assert_eq!(details.authors.len(), 4);
    assert_eq!(details.date.as_deref(), Some("2024-07-08"));
    assert_eq!(details.forum.as_deref(), Some("9U29U3cDKq"));
    assert_eq!(details.pdf_urls, papers[1].pdf_urls);
}

#[test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
fn the_recorded_bibliography_gives_every_paper_an_abstract_and_clean_names() {
    let body = outside("papers/pmlr_v220_neurips2022_competitions.bib");
    let entries = bibtex::parse(&String::from_utf8(body).unwrap());
    assert_eq!(entries.len(), 20);
    let names: Vec<&String> = entries.iter().flat_map(|entry| &entry.authors).collect();
    for name in [
        "Ondřej Podsztavek",
        "Dustin Carrión-Ojeda",
        "Joël Roman Ky",
        "Nico Gürtler",
        "João Henriques",
        "Marc-Alexandre Côté",
        "Tanel Alumäe",
        "Jiří Pihrt",
        "Llorenç Lliso",
        "Petr Šimánek",
    ] {
        let known = names.iter().any(|it| *it == name);
        // Given names of two of these are in another order in the file.
        let family = name.rsplit(' ').next().unwrap();
        assert!(
            known || names.iter().any(|it| it.ends_with(family)),
            "{name}"
        );
    }
    for entry in &entries {
        let text = entry.abstract_text.as_deref().unwrap_or_default();
        assert!(
            !entry.authors.is_empty() && text.len() > 20,
            "{}",
            entry.key
        );
        assert!(!text.contains("\\emph") && !text.contains("<em>"), "{text}");
    }
    assert!(
        names
            .iter()
            .all(|name| !name.contains(['\\', '{', '}', ','])),
        "{names:?}"
    );
}

#[test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
fn the_recorded_pages_of_the_virtual_sites_are_read() {
    let body = outside("virtual/papers_html_list_excerpt.html");
    let hosts = hosts(SITE, Source::Icml);
    let page = at("/virtual/2025/papers.html");
    let icml = edition(Source::Icml, 2025);
    let listed = virtual_pages::parse_list(&body, &page, &hosts, icml).unwrap();
    assert_eq!(
        ids(&listed.papers),
        ["28346", "29033", "43904", "44561", "46533"]
    );
    assert_eq!(
        listed.papers[4].title,
        "In-Context Linear Regression Demystified"
    );

    let body = outside("virtual/neurips2026_event_detail_hero_card.html");
    let details = virtual_pages::parse_details(&body, &page, &hosts).unwrap();
    assert_eq!(details.authors.len(), 8);
    assert_eq!(details.authors[6], "Ali Ebrahimpour-Boroojeny");
    assert_eq!(details.forum.as_deref(), Some("Iee7eL6QV0"));
    let text = details.abstract_text.unwrap();
    assert!(text.starts_with("Agent systems based on") && text.ends_with("environment state."));
}
