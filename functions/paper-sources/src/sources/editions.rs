//! Which lists have the papers of which conference and year: the one table.
//!
//! The first list of a row that can be used says which papers there are. The others only add what it
//! leaves out (abstracts, addresses of PDFs), since titles change between a conference and its
//! proceedings and a paper must not become two. Where each fact is from: the sites' recorded answers, and for
//! OpenReview's years its own module.

use std::ops::RangeInclusive;

use annapurna_contract::Source;

use super::listed::{Edition, ListKind};

use ListKind::{OpenReview, Pmlr, Proceedings, VirtualFeed, VirtualPages};

/// A conference, its years, and where they are listed.
type Row = (Source, RangeInclusive<u16>, &'static [ListKind]);

const FUTURE: u16 = u16::MAX;

const TABLE: [Row; 13] = [
    (Source::Iclr, 2013..=2014, &[OpenReview]),
    // 2015 was held at arXiv; of 2016, OpenReview has the workshops only.
    (Source::Iclr, 2017..=2019, &[OpenReview]),
    (
        Source::Iclr,
        2020..=2023,
        &[VirtualFeed, VirtualPages, OpenReview],
    ),
    (
        Source::Iclr,
        2024..=FUTURE,
        &[VirtualFeed, VirtualPages, Proceedings, OpenReview],
    ),
    (Source::Icml, 2013..=2019, &[Pmlr]),
    (
        Source::Icml,
        2020..=2022,
        &[VirtualFeed, VirtualPages, Pmlr],
    ),
    (
        Source::Icml,
        2023..=FUTURE,
        &[VirtualFeed, VirtualPages, Pmlr, OpenReview],
    ),
    (Source::Neurips, 1987..=2019, &[Proceedings]),
    (
        Source::Neurips,
        2020..=2020,
        &[VirtualFeed, VirtualPages, Proceedings],
    ),
    (
        Source::Neurips,
        2021..=FUTURE,
        &[VirtualFeed, VirtualPages, Proceedings, OpenReview],
    ),
    (Source::Mlsys, 2019..=2021, &[Proceedings]),
    (
        Source::Mlsys,
        2022..=2024,
        &[VirtualFeed, VirtualPages, Proceedings],
    ),
    (
        Source::Mlsys,
        2025..=FUTURE,
        &[VirtualFeed, VirtualPages, Proceedings, OpenReview],
    ),
];

/// The last year known to have a list. Later ones are asked for too: this only makes the error useful
/// when they have none.
const fn last_known(source: Source) -> u16 {
    match source {
        Source::Neurips => 2025,
        _ => 2026,
    }
}

/// The lists of an edition, the one that counts first; empty when the conference was not held then.
pub(crate) fn lists_of(edition: Edition) -> &'static [ListKind] {
    TABLE
        .iter()
        .find(|(source, years, _)| *source == edition.source && years.contains(&edition.year))
        .map_or(&[], |(_, _, lists)| lists)
}

/// Whether nobody knew of a list of this edition when the table was made.
pub(crate) fn is_later_than_known(edition: Edition) -> bool {
    edition.year > last_known(edition.source)
}

/// The years a conference is known to have a list of: `2013 to 2014, 2017 to 2026`.
pub(crate) fn known_years(source: Source) -> String {
    let mut spans: Vec<(u16, u16)> = Vec::new();
    for (_, years, _) in TABLE.iter().filter(|row| row.0 == source) {
        let last = (*years.end()).min(last_known(source));
        match spans.last_mut() {
            Some(span) if span.1 + 1 == *years.start() => span.1 = last,
            _ => spans.push((*years.start(), last)),
        }
    }
    let spans: Vec<String> = spans
        .iter()
        .map(|(first, last)| format!("{first} to {last}"))
        .collect();
    spans.join(", ")
}

#[cfg(test)]
mod tests {
    use annapurna_contract::scrape::{FIRST_YEAR, LAST_YEAR};

    use super::*;
    use crate::sources::pmlr;

    /// Whether the list is one of that year's; PMLR has volumes of some years only.
    fn has(edition: Edition, kind: ListKind) -> bool {
        let has_it = kind != Pmlr || pmlr::volume(edition).is_some();
        has_it && lists_of(edition).contains(&kind)
    }

    /// A list as `docs/scraping.md` names it, with its years where they are not all of the conference's.
    fn in_words(source: Source, kind: ListKind) -> String {
        let years = (FIRST_YEAR..=last_known(source)).map(|year| Edition { source, year });
        let held: Vec<_> = years.filter(|it| !lists_of(*it).is_empty()).collect();
        let of_list: Vec<_> = held.iter().filter(|it| has(**it, kind)).collect();
        let (first, last) = (of_list[0].year, of_list[of_list.len() - 1].year);
        let begins_later = first > held[0].year;
        match (begins_later, last < last_known(source)) {
            (false, false) => kind.name().to_owned(),
            (true, false) => format!("{} ({first} on)", kind.name()),
            (false, true) => format!("{} (to {last})", kind.name()),
            (true, true) => format!("{} ({first} to {last})", kind.name()),
        }
    }

    /// The row of a conference in `docs/scraping.md`.
    fn row(source: Source) -> String {
        let newest = Edition {
            source,
            year: last_known(source),
        };
        // The site's pages stand in for its feed.
        let lists = lists_of(newest).iter().filter(|it| **it != VirtualPages);
        let lists: Vec<String> = lists.map(|kind| in_words(source, *kind)).collect();
        format!("| {} | {} |", known_years(source), lists.join(", "))
    }

    #[test]
    fn the_page_has_each_conference_with_its_years_and_lists() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/scraping.md");
        let page = std::fs::read_to_string(page).unwrap();
        let (_, section) = page.split_once("\n## Sources\n").unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
        let told: Vec<(Option<Source>, &str)> = rows
            .map(|row| {
                let (name, rest) = row[1..].split_once('|').unwrap();
                (Source::parse(name), rest)
            })
            .collect();
        let (arxiv, conferences) = told.split_last().unwrap();
        assert_eq!(arxiv.0, Some(Source::Arxiv));
        let known = &Source::ALL[..4];
        assert_eq!(conferences.len(), known.len());
        for (source, (told, rest)) in known.iter().zip(conferences) {
            assert_eq!(*told, Some(*source));
            assert_eq!(format!("|{rest}"), row(*source), "{source:?}");
        }
    }

    fn lists(source: Source, year: u16) -> &'static [ListKind] {
        lists_of(Edition { source, year })
    }

    #[test]
    fn every_year_has_one_row_at_most_and_the_errors_name_them() {
        for source in &Source::ALL[..4] {
            for year in FIRST_YEAR..=LAST_YEAR {
                let rows = TABLE
                    .iter()
                    .filter(|row| row.0 == *source && row.1.contains(&year));
                assert!(rows.count() <= 1, "{source:?} {year}");
            }
        }
        assert_eq!(known_years(Source::Iclr), "2013 to 2014, 2017 to 2026");
        assert_eq!(known_years(Source::Icml), "2013 to 2026");
        assert_eq!(known_years(Source::Neurips), "1987 to 2025");
        assert_eq!(known_years(Source::Mlsys), "2019 to 2026");
        assert_eq!(known_years(Source::Arxiv), "");
    }

    #[test]
    fn the_first_year_that_may_be_asked_for_is_the_tables() {
        let first = TABLE.iter().map(|(_, years, _)| *years.start()).min();
        assert_eq!(first, Some(FIRST_YEAR));
    }

    #[test]
    fn a_year_that_was_not_held_has_no_list() {
        assert!(lists(Source::Iclr, 2015).is_empty());
        assert!(lists(Source::Mlsys, 2018).is_empty());
        assert!(lists(Source::Arxiv, 2025).is_empty());
        assert_eq!(lists(Source::Icml, 2017), [Pmlr]);
    }
}
