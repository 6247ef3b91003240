//! Whether a page is a paper's own, told by the titles of both.
//!
//! Sites mix up pages, and an abstract that is another paper's is worse than none. Titles of one paper
//! differ all the same: as LaTeX and as characters, with ligatures and hyphens, with and without a
//! subtitle, before and after an edit.

use std::collections::BTreeSet;

use annapurna_contract::{normalize_title, share_an_author};

use super::bibtex::{person_name, prose};

/// Whether two titles are of one paper.
///
/// They are when they have the same letters and digits, formulas and what no keyboard has aside; when
/// one is the other without its subtitle; or when the lists of authors share a person and the titles
/// their numbers and most of their words, which is a title that was edited.
pub(super) fn are_one(one: (&str, &[String]), other: (&str, &[String])) -> bool {
    let (first, second) = (Title::of(one.0), Title::of(other.0));
    let may_be_written_by_same =
        one.1.is_empty() || other.1.is_empty() || share_an_author(one.1, other.1);
    first.letters == second.letters
        || (first.plain == second.plain && first.plain.chars().count() >= LEAST_LETTERS)
        || (may_be_written_by_same
            && (first.is_main_part_of(&second) || second.is_main_part_of(&first)))
        || (share_an_author(one.1, other.1) && first.was_edited_to(&second))
}

/// Letters that tell a title without its formulas.
const LEAST_LETTERS: usize = 10;

struct Title {
    /// Letters and digits alone: `pre-training` is `pretraining`.
    letters: String,
    /// The same without formulas, commands of LaTeX and words with other than ASCII characters.
    plain: String,
    /// What stands before the first colon or dash; empty without one.
    main: String,
    words: BTreeSet<String>,
}

impl Title {
    fn of(title: &str) -> Self {
        let text = prose(title).and_then(|text| person_name(&text));
        let text = text.unwrap_or_default();
        let folded = normalize_title(&without_commands(&text));
        let main = [": ", " - ", " – ", " — ", "? "]
            .iter()
            .filter_map(|mark| text.find(mark))
            .min()
            .map_or("", |end| &text[..end]);
        // Before folding makes an `l` of `ℓ`.
        let without = without_formulas(&text).to_lowercase();
        let plain = without.split(|c: char| !c.is_alphanumeric());
        Self {
            letters: folded.replace(' ', ""),
            plain: plain.filter(|word| word.is_ascii()).collect(),
            main: normalize_title(&without_commands(main)).replace(' ', ""),
            words: folded.split(' ').map(str::to_owned).collect(),
        }
    }

    /// Whether the other title is this one and a subtitle.
    fn is_main_part_of(&self, longer: &Self) -> bool {
        !longer.main.is_empty() && self.letters == longer.main && self.words.len() > 2
    }

    /// The numbers are the same, and three quarters of the words. With less, two papers of one author are
    /// taken for each other: `… for Black-Box Optimization`, twice in one year of ICML.
    fn was_edited_to(&self, other: &Self) -> bool {
        let n_common = self.words.intersection(&other.words).count();
        let n_words = self.words.len() + other.words.len();
        self.numbers() == other.numbers() && 8 * n_common >= 3 * n_words
    }

    /// What tells the parts of a series apart.
    fn numbers(&self) -> Vec<&String> {
        let is_number = |word: &&String| {
            let is_roman = word.chars().all(|c| matches!(c, 'i' | 'v' | 'x'));
            is_roman || word.contains(|c: char| c.is_ascii_digit())
        };
        self.words.iter().filter(is_number).collect()
    }
}

/// `emph` of `\emph{x}` is no word of a title.
fn without_commands(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.trim_start_matches(|c: char| c.is_ascii_alphabetic()));
    }
    kept
}

/// A title without what stands between two `$`.
fn without_formulas(text: &str) -> String {
    match text.matches('$').count() % 2 {
        0 => text.split('$').step_by(2).collect::<Vec<_>>().join(" "),
        _ => without_commands(text),
    }
}

#[cfg(test)]
mod tests {
    use annapurna_contract::text::clean;
    use annapurna_contract::{PerHost, Source};

    use super::*;
    use crate::sites::Sites;
    use crate::sources::hosts::Hosts;

    fn are_one_title(one: &str, other: &str) -> bool {
        are_one((one, &[]), (other, &[]))
    }

    #[test]
    fn one_title_is_written_in_many_ways() {
        for (one, other) in [
            ("On Thimbles", "ON  THIMBLES."),
            ("Efficient Pre-training", "Eﬃcient pretraining"),
            ("The Needle of G\\\"odel", "The Needle of Gödel"),
            ("{BERT} and \\emph{Pins}", "BERT and Pins"),
            ("$\\ell_1$-norm Needles for All", "ℓ1-norm Needles for All"),
            ("$\\alpha$-Thimbles Are Needles", "α-Thimbles are needles"),
            (
                "All Thimbles Are Round",
                "All Thimbles Are Round: A Study of Two Hands",
            ),
            ("0", "0"),
        ] {
            assert!(are_one_title(one, other), "{one} / {other}");
            assert!(are_one_title(other, one), "{other} / {one}");
        }
    }

    #[test]
    fn another_title_is_another_paper() {
        for (one, other) in [
            ("Thimbles", "Needles"),
            ("Thimbles", "Thimbles: A Survey"),
            ("On Thimbles I", "On Thimbles II"),
            ("$\\alpha$", "$\\beta$"),
            ("Learning to Sew", "Learning to Sew Faster"),
            ("", "Thimbles"),
        ] {
            assert!(!are_one_title(one, other), "{one} / {other}");
        }
    }

    #[test]
    fn an_author_vouches_for_an_edited_title_and_not_for_a_series() {
        let (ada, bo) = (["Ada One".to_owned()], ["Bo Two".to_owned()]);
        let (old, new) = (
            "Learning to Sew With Thimbles",
            "Learning to Sew Using Thimbles",
        );
        assert!(are_one((old, &ada), (new, &["A. One".to_owned()])));
        assert!(!are_one((old, &ada), (new, &bo)));
        assert!(!are_one((old, &ada), (new, &[])));
        assert!(!are_one(
            ("On the Thimbles I", &ada),
            ("On the Thimbles II", &ada)
        ));
        let (short, long) = ("All Thimbles Are Round", "All Thimbles Are Round: A Reply");
        assert!(!are_one((short, &ada), (long, &bo)));
    }

    /// A paper of a recorded list: its title, and its authors.
    fn recorded(file: &str) -> Vec<(String, Vec<String>)> {
        let papers = annapurna_test_data::outside(&format!("papers/{file}"));
        let papers: Vec<serde_json::Value> = serde_json::from_slice(&papers).unwrap();
        let paper = |paper: &serde_json::Value| {
            let title = clean(paper["title"].as_str().unwrap());
            let authors = match &paper["authors"] {
                serde_json::Value::Array(names) => names
                    .iter()
                    .map(|name| name.as_str().or(name["fullname"].as_str()).unwrap())
                    .map(str::to_owned)
                    .collect(),
                names => {
                    let names = names.as_str().or(paper["author"].as_str()).unwrap_or("");
                    names.split(';').map(str::to_owned).collect()
                }
            };
            (title, authors)
        };
        papers.iter().map(paper).collect()
    }

    const RECORDED: [&str; 8] = [
        "iclr2018_paperlists_sample.json",
        "nips2018_paperlists_sample.json",
        "icml2019_paperlists_sample.json",
        "iclr_2020_from_virtual_feed.json",
        "iclr_2024_from_virtual_feed.json",
        "icml_2021_from_virtual_feed.json",
        "icml_2023_from_virtual_feed.json",
        "neurips_2020_from_virtual_feed.json",
    ];

    /// Every title of the recorded lists, as the pages of three kinds of sites write it.
    #[test]
    #[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
    fn no_real_title_is_another_on_its_own_page() {
        use super::super::{pmlr, proceedings, virtual_pages};
        let sites = PerHost::new(|host| host.public_address().to_owned());
        let hosts = Hosts::of(Source::Neurips, &Sites::new(sites).unwrap()).unwrap();
        let at = url::Url::parse("https://example.org/p").unwrap();
        let mut n_titles = 0;
        for (title, authors) in RECORDED.into_iter().flat_map(recorded) {
            let written = title
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('"', "&quot;");
            let page = format!(
                "<html><head><meta name=\"citation_title\" content=\"{written}\"></head><body>\
                 <h1 class='event-title'>{written}</h1><h1 class='paper-title'>{written}</h1></body></html>"
            );
            let readers = [
                pmlr::parse_details,
                proceedings::parse_details,
                virtual_pages::parse_details,
            ];
            for read in readers {
                let titles = read(page.as_bytes(), &at, &hosts).unwrap().titles;
                assert!(!titles.is_empty());
                for found in titles {
                    assert!(
                        are_one((&title, &authors), (&found, &[])),
                        "{title} / {found}"
                    );
                }
            }
            n_titles += 1;
        }
        assert_eq!(n_titles, 1260);
    }

    /// Every title against each other of its list.
    #[test]
    #[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
    fn no_real_title_is_taken_for_another() {
        let mut n_pairs = 0;
        let mut taken = Vec::new();
        for papers in RECORDED.map(recorded) {
            for (place, one) in papers.iter().enumerate() {
                for other in &papers[place + 1..] {
                    // A talk and a poster.
                    if normalize_title(&one.0) == normalize_title(&other.0) {
                        continue;
                    }
                    n_pairs += 1;
                    if are_one((&one.0, &one.1), (&other.0, &other.1)) {
                        taken.push((one.0.clone(), other.0.clone()));
                    }
                }
            }
        }
        assert_eq!(taken, Vec::new());
        assert_eq!(n_pairs, 113_455);
    }
}
