//! A paper, and what a model is shown of it.

use annapurna_contract::text::first_chars;

use crate::{furniture, sections, wire::Page};

/// Stands where a section was cut.
const CUT: &str = " [cut]";
/// Fewest characters of a section worth showing.
const WORTH: usize = 200;

/// A paper's text without headers, footers and stamps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paper {
    /// In the paper's order; what stands before the first heading has an empty title.
    pub sections: Vec<Section>,
    /// Pages that the file has, also those that were not read.
    pub n_pages: usize,
}

/// A heading and what follows it until the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// As printed, with its number.
    pub title: String,
    /// What it is about.
    pub kind: SectionKind,
    /// Words broken at line ends are joined; paragraphs are parted by an empty line.
    pub text: String,
}

/// What a section is about, by its title and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SectionKind {
    /// Title and authors.
    Front,
    /// The paper's abstract.
    Abstract,
    /// The first section.
    Introduction,
    /// Preliminaries and notation.
    Background,
    /// Other people's work.
    Related,
    /// What the paper proposes.
    Method,
    /// An algorithm in its own box.
    Algorithm,
    /// Hyper-parameters, training and implementation details.
    Settings,
    /// Experiments, results, ablations.
    Experiments,
    /// Discussion, limitations, conclusion.
    Conclusion,
    /// Proofs.
    Proofs,
    /// Of the appendix, none of the others.
    Appendix,
    /// Thanks, ethics and reproducibility statements, check lists.
    Statements,
    /// The bibliography.
    References,
}

impl SectionKind {
    /// The lower, the earlier it gets its room; `None` is never shown to a model.
    fn rank(self) -> Option<u8> {
        match self {
            Self::Front | Self::Abstract => Some(0),
            Self::Method | Self::Algorithm => Some(1),
            Self::Settings => Some(2),
            Self::Experiments => Some(3),
            Self::Introduction => Some(4),
            Self::Background => Some(5),
            Self::Conclusion => Some(6),
            Self::Appendix => Some(7),
            Self::Related => Some(8),
            Self::Proofs => Some(9),
            Self::Statements | Self::References => None,
        }
    }
}

impl Paper {
    /// The whole text in the paper's order, the bibliography included. Empty when the file has no text layer.
    pub fn text(&self) -> String {
        let parts = self
            .sections
            .iter()
            .map(|section| section.shown(&section.text));
        parts.collect::<Vec<_>>().join("\n\n").trim().to_owned()
    }

    /// What a model is shown: at most `limit` characters, in the paper's order. Where it does not all fit,
    /// sections get their room by what they say of the method and its settings; the bibliography and
    /// statements get none.
    pub fn for_model(&self, limit: usize) -> String {
        let mut order: Vec<usize> = (0..self.sections.len()).collect();
        order.retain(|&place| self.sections[place].kind.rank().is_some());
        order.sort_by_key(|&place| self.sections[place].kind.rank());
        let mut shown: Vec<Option<String>> = vec![None; self.sections.len()];
        let mut left = limit;
        for place in order {
            let section = &self.sections[place];
            let between = if left == limit { 0 } else { 2 };
            let whole = section.shown(&section.text);
            let n_characters = whole.chars().count() + between;
            if n_characters <= left {
                left -= n_characters;
                shown[place] = Some(whole);
            } else if left >= WORTH || left == limit {
                let room = left.saturating_sub(between + CUT.len());
                shown[place] = Some(format!("{}{CUT}", first_chars(&whole, room)));
                break;
            }
        }
        let shown: Vec<String> = shown.into_iter().flatten().collect();
        first_chars(shown.join("\n\n").trim(), limit).to_owned()
    }
}

impl Section {
    /// Its title and this text.
    fn shown(&self, text: &str) -> String {
        match (self.title.is_empty(), text.is_empty()) {
            (true, _) => text.to_owned(),
            (false, true) => format!("## {}", self.title),
            (false, false) => format!("## {}\n{text}", self.title),
        }
    }
}

/// The paper that these pages are.
pub(crate) fn paper_of(mut pages: Vec<Page>, n_pages: usize) -> Paper {
    furniture::remove(&mut pages);
    let sections = sections::of(&pages);
    Paper { sections, n_pages }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(title: &str, kind: SectionKind, text: &str) -> Section {
        Section {
            title: title.to_owned(),
            kind,
            text: text.to_owned(),
        }
    }

    fn paper() -> Paper {
        let sections = vec![
            section("", SectionKind::Front, "A title"),
            section(
                "1 Introduction",
                SectionKind::Introduction,
                &"i".repeat(1_000),
            ),
            section("2 Our method", SectionKind::Method, &"m".repeat(1_000)),
            section("References", SectionKind::References, &"r".repeat(1_000)),
            section("A Details", SectionKind::Settings, &"s".repeat(500)),
        ];
        Paper {
            sections,
            n_pages: 12,
        }
    }

    #[test]
    fn what_fits_is_shown_whole_without_the_bibliography() {
        let shown = paper().for_model(100_000);
        assert!(
            shown.starts_with("A title\n\n## 1 Introduction\ni"),
            "{shown}"
        );
        assert!(shown.ends_with("## A Details\n".to_owned().as_str()) || shown.ends_with('s'));
        assert!(!shown.contains("References"));
        assert!(paper().text().contains("References"));
    }

    #[test]
    fn where_it_does_not_fit_the_method_and_its_settings_come_first() {
        for limit in [1_600, 1_700, 1_750, 2_000, 2_500] {
            let shown = paper().for_model(limit);
            assert!(
                shown.chars().count() <= limit,
                "{limit}: {}",
                shown.chars().count()
            );
            assert_eq!(shown.matches('m').count(), 1_000 + 1, "{limit}");
            assert!(shown.matches('s').count() >= 500, "{limit}");
        }
        let shown = paper().for_model(1_900);
        let place = |part: &str| shown.find(part).unwrap();
        assert!(place("## 1 Introduction") < place("[cut]"));
        assert!(
            place("[cut]") < place("## 2 Our method"),
            "the paper's order stays"
        );
    }

    #[test]
    fn the_first_section_is_cut_where_even_it_does_not_fit() {
        for limit in 0..40 {
            assert!(paper().for_model(limit).chars().count() <= limit);
        }
    }
}
