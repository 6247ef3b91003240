//! PMLR's volumes of ICML.

use annapurna_contract::Source;
use annapurna_paper_sources::sources::pmlr;

use super::{BIBLIOGRAPHY, Kind, PMLR_PAPER, SITE, Site, VOLUME, at, edition, hosts, ids, list};

#[tokio::test]
async fn a_volume_of_icml_takes_its_abstracts_from_one_bibliography() {
    let site = Site::of(&[("/v235/", VOLUME)])
        .with_text("/v235/assets/bib/bibliography.bib", BIBLIOGRAPHY);
    let listed = list(&site, Kind::Pmlr, edition(Source::Icml, 2024))
        .await
        .unwrap();
    assert_eq!(
        site.asked(),
        ["/v235/", "/v235/assets/bib/bibliography.bib"]
    );
    assert_eq!(ids(&listed.papers), ["one24a", "solo24a", "four24a"]);
    assert_eq!(listed.broken.len(), 1, "what leads to none of PMLR's hosts");

    let one = &listed.papers[0];
    assert_eq!(one.title, "Thimbles for $n<m$ & More");
    assert_eq!(one.authors, ["Ada One", "Bo Two, Jr.", "Ondřej Three"]);
    assert_eq!(
        one.forum.as_deref(),
        Some("Thimble_24"),
        "from href, not from onclick"
    );
    let pdf = &one.pdf_urls[0];
    assert_eq!(
        pdf.path(),
        "/pmlr-files/mlresearch/v235/main/assets/one24a/one24a.pdf"
    );
    assert_eq!(
        one.abstract_text, None,
        "its abstract in the bibliography has no end"
    );
    assert_eq!(
        one.details_url.as_ref().unwrap().path(),
        "/v235/one24a.html"
    );

    let solo = &listed.papers[1];
    assert_eq!(
        solo.abstract_text.as_deref(),
        Some(r"The needle of Gödel, when $a<b$ and $\{c\}$, is 5% thinner.")
    );
    assert_eq!(solo.details_url, None, "nothing is missing");
    assert_eq!(solo.pdf_urls[0].path(), "/v235/solo24a.pdf");
    assert_eq!(solo.pdf_urls[0].scheme(), "http");

    let four = &listed.papers[2];
    assert_eq!(four.pdf_urls[0].path(), "/v235/four24a/four24a.pdf");
    assert_eq!(four.authors, ["Dee Four", "Eve Five"]);
    assert!(
        four.details_url.is_some(),
        "the bibliography does not know it"
    );
}

#[tokio::test]
async fn without_a_bibliography_the_papers_own_pages_have_the_abstracts() {
    for site in [
        Site::of(&[("/v28/", VOLUME)]),
        Site::of(&[("/v28/", VOLUME)]).with_text("/v28/assets/bib/bibliography.bib", "soon"),
    ] {
        let listed = list(&site, Kind::Pmlr, edition(Source::Icml, 2013))
            .await
            .unwrap();
        assert!(
            listed
                .papers
                .iter()
                .all(|paper| paper.details_url.is_some())
        );
    }
    let hosts = hosts(SITE, Source::Icml);
    let details = pmlr::parse_details(PMLR_PAPER.as_bytes(), &at("/v235/one24a.html"), &hosts);
    let details = details.unwrap();
    assert_eq!(
        details.abstract_text.as_deref(),
        Some(r"For $n<m$ we show $\{x\}$ with care & the needle of Gödel.")
    );
    assert_eq!(details.authors, ["Ada One", "Ondřej Three"]);
    assert_eq!(details.date.as_deref(), Some("2024-07-08"));
    assert_eq!(details.forum.as_deref(), Some("Thimble_24"));
    assert_eq!(details.pdf_urls.len(), 1);
    assert!(pmlr::parse_details(b"<html>no paper</html>", &at("/p"), &hosts).is_err());
}

#[tokio::test]
async fn a_bibliography_that_is_held_back_is_a_problem_of_the_list() {
    let site = Site::of(&[
        ("/v235/", VOLUME),
        ("/v235/assets/bib/bibliography.bib", "<html>captcha</html>"),
    ]);
    let listed = list(&site, Kind::Pmlr, edition(Source::Icml, 2024))
        .await
        .unwrap();
    assert!(
        listed
            .papers
            .iter()
            .all(|paper| paper.details_url.is_some())
    );
    assert_eq!(listed.problems.len(), 1);
    assert!(
        listed.problems[0].reason.starts_with("blocked at"),
        "{listed:?}"
    );
}

#[test]
fn every_year_of_icml_has_its_volume_and_other_years_have_none() {
    let volume = |source, year| pmlr::volume(edition(source, year));
    let of_2013_to_2025: Vec<Option<u16>> = (2013..=2025)
        .map(|year| volume(Source::Icml, year))
        .collect();
    let expected = [28, 32, 37, 48, 70, 80, 97, 119, 139, 162, 202, 235, 267].map(Some);
    assert_eq!(of_2013_to_2025, expected);
    assert_eq!(volume(Source::Icml, 2012), None);
    assert_eq!(volume(Source::Icml, 2026), None);
    assert_eq!(volume(Source::Iclr, 2024), None);
}
