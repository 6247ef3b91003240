//! Which lines are headings, and what their sections are about.

use crate::paper::SectionKind;
use crate::wire::Line;

/// Most characters of a heading.
const LENGTH: usize = 110;
/// How much larger than the text a heading's font is.
const LARGER: f32 = 1.07;

/// A heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heading {
    /// As printed.
    pub(crate) title: String,
    /// 1 for a section, 2 for what is within it.
    pub(crate) level: usize,
    /// Numbered with a letter, as appendices are.
    pub(crate) lettered: bool,
    pub(crate) kind: Option<SectionKind>,
    /// What follows the heading in its own line.
    pub(crate) rest: String,
}

/// The heading that a line is. `body` is the font size of the paper's text.
pub(crate) fn of(line: &Line, body: f32) -> Option<Heading> {
    let text = line.text.trim();
    if let Some(heading) = run_in_abstract(text) {
        return Some(heading);
    }
    if !line.upright || text.chars().count() > LENGTH || text.ends_with([',', ';']) {
        return None;
    }
    let larger = line.size >= LARGER * body;
    let prominent = larger || line.bold || is_in_capitals(text);
    let (number, words) = numbered(text);
    let words = words.trim();
    let n_letters = words.chars().filter(|c| c.is_alphabetic()).count();
    let begins = words.chars().next().is_some_and(char::is_uppercase);
    if n_letters < 3 || !begins || words.ends_with('.') && words.len() > 40 {
        return None;
    }
    let kind = kind(words);
    let is_heading = match number {
        Some(_) => prominent,
        None if words.contains(|c: char| c.is_ascii_digit()) => false,
        None => {
            is_known(words, line.bold && !larger) && prominent
                || is_certain(words)
                || line.size >= 1.15 * body
        }
    };
    let settings = line.bold && kind == Some(SectionKind::Settings) && words.split(' ').count() < 6;
    (is_heading || settings).then(|| Heading {
        title: text.to_owned(),
        level: number.map_or(1 + usize::from(settings), |number| {
            number.split('.').count()
        }),
        lettered: number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_uppercase())),
        kind,
        rest: String::new(),
    })
}

/// "Abstract. We show", "Abstract—We show".
fn run_in_abstract(text: &str) -> Option<Heading> {
    let rest = ["Abstract", "ABSTRACT"]
        .iter()
        .find_map(|word| text.strip_prefix(word))?;
    let rest = rest.trim_start();
    let said = rest.trim_start_matches(['.', ':', '\u{2014}', '\u{2013}', '-']);
    (rest.is_empty() || said.len() < rest.len()).then(|| Heading {
        title: "Abstract".to_owned(),
        level: 1,
        lettered: false,
        kind: Some(SectionKind::Abstract),
        rest: said.trim().to_owned(),
    })
}

/// A heading's number without its last point, and its words: `3.2`, `A`, `IV`.
fn numbered(text: &str) -> (Option<&str>, &str) {
    let Some((first, words)) = text.split_once(' ') else {
        return (None, text);
    };
    let number = first.trim_end_matches(['.', ':']);
    let roman =
        number.len() < 6 && number.chars().all(|c| "IVX".contains(c)) && first.ends_with('.');
    let mut parts = number.split('.');
    let head = parts.next().unwrap_or_default();
    let is_digits = |part: &str| {
        (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_letter = head.len() == 1 && head.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_number = (is_digits(head) || is_letter) && parts.all(is_digits);
    if roman && !number.is_empty() || is_number {
        (Some(number), words)
    } else {
        (None, text)
    }
}

fn is_in_capitals(text: &str) -> bool {
    let letters = || text.chars().filter(|c| c.is_alphabetic());
    letters().count() >= 5 && letters().all(char::is_uppercase)
}

/// Words that are headings wherever they stand alone.
fn is_certain(words: &str) -> bool {
    let words = words.trim_end_matches([':', '.']).to_lowercase();
    matches!(
        words.as_str(),
        "abstract" | "references" | "bibliography" | "introduction"
    ) || words.starts_with("acknowledg") && words.split(' ').count() < 4
}

/// Titles that sections without a number have. Where they are not larger than the text, those that heads of
/// tables have too are none.
fn is_known(words: &str, only_bold: bool) -> bool {
    use SectionKind::{Experiments, Method, Settings};
    let kind = kind(words);
    let is_head = only_bold && matches!(kind, Some(Experiments | Method | Settings));
    words.split(' ').count() <= 6 && kind.is_some() && !is_head
}

/// Parts of titles, by what they say of the section whatever else they have; the first counts.
const CERTAIN: [(SectionKind, &[&str]); 5] = [
    (SectionKind::References, &["references", "bibliography"]),
    (SectionKind::Abstract, &["abstract"]),
    (
        SectionKind::Statements,
        &[
            "acknowledg",
            "ethic",
            "broader impact",
            "impact statement",
            "reproducibility",
            "checklist",
            "author contribution",
            "funding",
        ],
    ),
    (SectionKind::Background, &["problem"]),
    (
        SectionKind::Settings,
        &[
            "hyperparameter",
            "hyper-parameter",
            "implementation",
            "training detail",
            "training and evaluation detail",
            "training set",
            "training procedure",
            "training regime",
            "training config",
            "setup",
            "set-up",
            "experimental detail",
            "experiment detail",
            "setting",
            "optimizer",
            "optimiser",
            "configuration",
            "architecture detail",
            "model detail",
            "hardware",
        ],
    ),
];

/// Parts of titles that say what the section is about unless another stands before them.
const PARTS: [(SectionKind, &[&str]); 7] = [
    (SectionKind::Introduction, &["introduction"]),
    (
        SectionKind::Related,
        &["related", "prior work", "previous work"],
    ),
    (
        SectionKind::Background,
        &["background", "preliminaries", "notation"],
    ),
    (
        SectionKind::Proofs,
        &["proof", "lemma", "theorem", "derivation", "convergence"],
    ),
    (
        SectionKind::Experiments,
        &[
            "experiment",
            "evaluation",
            "result",
            "ablation",
            "analys",
            "benchmark",
            "empirical",
            "comparison",
            "performance",
            "case stud",
            "dataset",
            "qualitative",
        ],
    ),
    (
        SectionKind::Conclusion,
        &[
            "conclusion",
            "concluding",
            "discussion",
            "limitation",
            "future work",
            "summary",
        ],
    ),
    (
        SectionKind::Method,
        &[
            "method",
            "approach",
            "algorithm",
            "architecture",
            "framework",
            "proposed",
        ],
    ),
];

/// What a title says of its section.
pub(crate) fn kind(words: &str) -> Option<SectionKind> {
    let words = words.trim_end_matches([':', '.']).to_lowercase();
    if words == "training" {
        return Some(SectionKind::Settings);
    }
    if ["appendix", "appendices", "supplement"]
        .iter()
        .any(|word| words.starts_with(word))
    {
        return Some(SectionKind::Appendix);
    }
    let first = |parts: &&[&str]| parts.iter().filter_map(|part| words.find(part)).min();
    let certain = CERTAIN.iter().find(|(_, parts)| first(parts).is_some());
    let found = PARTS
        .iter()
        .filter_map(|(kind, parts)| Some((first(parts)?, *kind)));
    let earliest = || found.min_by_key(|(place, _)| *place).map(|(_, kind)| kind);
    certain.map(|(kind, _)| *kind).or_else(earliest)
}

/// The title of the algorithm whose box begins with this line.
pub(crate) fn algorithm(line: &Line) -> Option<String> {
    let text = line.text.trim();
    let rest = text.strip_prefix("Algorithm ")?;
    let words = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let begins = words.trim_start().starts_with([':', '(', '.']);
    let named = words.trim_start().starts_with(char::is_uppercase);
    let is_box = words.len() < rest.len() && (line.bold || begins || named || words.is_empty());
    (is_box && text.chars().count() <= 2 * LENGTH).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, size: f32, bold: bool) -> Line {
        Line {
            text: text.to_owned(),
            x: 72.0,
            y: 400.0,
            size,
            bold,
            upright: true,
        }
    }

    #[test]
    fn numbered_and_known_titles_are_headings() {
        for (text, level, kind) in [
            ("1 Introduction", 1, Some(SectionKind::Introduction)),
            ("3.2.1 Scaled Dot-Product Attention", 3, None),
            ("5. Experiments", 1, Some(SectionKind::Experiments)),
            ("A.1 Hyperparameters", 2, Some(SectionKind::Settings)),
            ("IV. RESULTS", 1, Some(SectionKind::Experiments)),
            ("Related Work", 1, Some(SectionKind::Related)),
        ] {
            let heading = of(&line(text, 12.0, true), 10.0).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((heading.level, heading.kind), (level, kind), "{text}");
        }
        assert!(of(&line("References", 10.0, false), 10.0).is_some());
        assert_eq!(
            kind("FlashAttention: Algorithm, Analysis, and Extensions"),
            Some(SectionKind::Method)
        );
        assert_eq!(kind("Evaluation method"), Some(SectionKind::Experiments));
        assert_eq!(kind("Experimental setup"), Some(SectionKind::Settings));
    }

    #[test]
    fn sentences_lists_and_numbers_are_none() {
        for text in [
            "1 The first of our contributions is",
            "We compare with related work",
            "0.5 0.7",
            "3 x 3",
            "A simple method",
            "Method 128 256 512",
        ] {
            assert_eq!(of(&line(text, 10.0, false), 10.0), None, "{text}");
        }
    }

    #[test]
    fn an_abstract_may_begin_in_the_line_of_its_heading() {
        let heading = of(&line("Abstract\u{2014}We show", 9.0, false), 10.0).unwrap();
        assert_eq!(
            (heading.title.as_str(), heading.rest.as_str()),
            ("Abstract", "We show")
        );
        assert_eq!(
            of(&line("Abstract reasoning is hard", 9.0, false), 10.0),
            None
        );
    }

    #[test]
    fn an_algorithm_has_a_box_and_a_sentence_about_it_has_none() {
        assert!(algorithm(&line("Algorithm 1: Adam, our method", 10.0, false)).is_some());
        assert!(algorithm(&line("Algorithm 2 Training", 10.0, true)).is_some());
        assert!(algorithm(&line("Algorithm 1 shows that", 10.0, false)).is_none());
    }
}
