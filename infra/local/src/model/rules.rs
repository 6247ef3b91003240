//! The judge's offline rules: they count words. Transparent rather than clever.
//!
//! In: a paper, and how similar the nearest known one is. Out: an [`Assessment`] by the judge's rubric, whose reason
//! names the words that counted. Relevance comes from the weights of the words of the topic less twice those of other
//! fields, fit from the words of what one NeuronCore does not have, novelty from the nearest known paper. The words were
//! chosen by reading papers, the labelled ones among them, so what `infra judge eval` says of the rules is how they
//! are and not how well words could do.

mod terms;

use annapurna_contract::model::PaperText;
use annapurna_contract::normalize_title;
use annapurna_contract::rubric::{Assessment, Scores};
use annapurna_contract::text::first_chars;

use terms::{AGAINST_FIT, AGAINST_RELEVANCE, FOR_RELEVANCE};

/// What a word against relevance counts more than one for it.
const AGAINST: u32 = 2;
/// A known paper that is so near is the same one in other words.
const SAME: f64 = 0.95;
/// Words that a reason names of each kind.
const NAMED: usize = 5;
/// Characters of the title that a reason begins with.
const TITLE: usize = 40;

/// Judges `paper` by its title, abstract and body; `nearest` is the similarity of the nearest known paper.
pub(super) fn judge(paper: &PaperText, nearest: Option<f64>) -> Assessment {
    let text = format!("{}\n{}\n{}", paper.title, paper.abstract_text, paper.body);
    let text = normalize_title(&text);
    let (of_topic, other, heavy) = (
        Found::of(&text, FOR_RELEVANCE),
        Found::of(&text, AGAINST_RELEVANCE),
        Found::of(&text, AGAINST_FIT),
    );
    let weight = of_topic.weight.saturating_sub(AGAINST * other.weight);
    let scores = Scores {
        relevance: match weight {
            0 => 1,
            1..=3 => 3,
            4..=11 => 7,
            _ => 9,
        },
        novelty: match nearest {
            Some(similarity) if similarity >= SAME => 3,
            Some(_) => 7,
            None => 8,
        },
        fit: match heavy.weight {
            0 => 8,
            1 => 7,
            2 => 6,
            3 => 5,
            4..=5 => 3,
            _ => 2,
        },
    };
    let is_title_only = paper.abstract_text.trim().is_empty() && paper.body.trim().is_empty();
    let confidence = if is_title_only { 4 } else { 7 };
    let reason = format!(
        "offline rules, `{}`: of the topic {}; of other fields {}; not on one core {}. Its longest words: {}.",
        first_chars(paper.title.trim(), TITLE),
        of_topic.in_words(),
        other.in_words(),
        heavy.in_words(),
        longest_words(&text),
    );
    Assessment {
        reason,
        scores,
        confidence,
        decision: scores.decision(confidence),
    }
}

/// The terms of a table that a text has.
struct Found {
    terms: Vec<(&'static str, u32)>,
    weight: u32,
}

impl Found {
    fn of(text: &str, table: &[(&'static str, u32)]) -> Self {
        let terms = table.iter().filter(|(term, _)| contains_term(text, term));
        let terms: Vec<(&'static str, u32)> = terms.copied().collect();
        let weight = terms.iter().map(|(_, weight)| weight).sum();
        Self { terms, weight }
    }

    /// Its heaviest terms with their weights.
    fn in_words(&self) -> String {
        if self.terms.is_empty() {
            return "no term occurs".to_owned();
        }
        let named = self.terms.iter().take(NAMED);
        let named: Vec<String> = named
            .map(|(term, weight)| format!("{term} ({weight})"))
            .collect();
        let more = match self.terms.len().saturating_sub(NAMED) {
            0 => String::new(),
            n_more => format!(" and {n_more} more"),
        };
        format!("{}{more}", named.join(", "))
    }
}

/// The three longest words of a text, which tell it from others.
fn longest_words(text: &str) -> String {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.sort_unstable_by_key(|word| (std::cmp::Reverse(word.chars().count()), *word));
    words.dedup();
    words.truncate(3);
    words.join(", ")
}

/// Whether `term`, or its plural with `s`, stands in `text` as whole words. `text` is normalised.
pub(super) fn contains_term(text: &str, term: &str) -> bool {
    text.match_indices(term).any(|(start, _)| {
        let starts_word = start == 0 || text[..start].ends_with(' ');
        let rest = &text[start + term.len()..];
        let rest = rest.strip_prefix('s').unwrap_or(rest);
        starts_word && (rest.is_empty() || rest.starts_with(' '))
    })
}

#[cfg(test)]
mod tests {
    use annapurna_contract::Decision;

    use super::*;

    fn paper(title: &str, abstract_text: &str) -> PaperText {
        PaperText {
            title: title.to_owned(),
            abstract_text: abstract_text.to_owned(),
            body: String::new(),
        }
    }

    #[test]
    fn terms_match_whole_words_and_their_plural_only() {
        assert!(contains_term(
            "large language models learn",
            "language model"
        ));
        assert!(contains_term("llms", "llm"));
        assert!(!contains_term("transformerless design", "transformer"));
        assert!(!contains_term("an inattention study", "attention"));
    }

    #[test]
    fn terms_are_written_as_normalised_text_once_and_in_order_of_weight() {
        for table in [FOR_RELEVANCE, AGAINST_RELEVANCE, AGAINST_FIT] {
            for pair in table.windows(2) {
                assert!(pair[0].1 >= pair[1].1, "{pair:?}");
            }
            for (index, (term, _)) in table.iter().enumerate() {
                assert_eq!(&normalize_title(term), term);
                assert!(
                    !table[..index].iter().any(|(other, _)| other == term),
                    "{term}"
                );
            }
        }
    }

    #[test]
    fn the_reason_names_the_terms_that_counted() {
        let attention = paper(
            "Attention Is All You Need",
            "The Transformer, based on self-attention.",
        );
        let answer = judge(&attention, None);
        assert_eq!(answer.decision, Decision::Accept, "{answer:?}");
        assert_eq!(
            answer.reason,
            "offline rules, `Attention Is All You Need`: of the topic self attention (4), transformer (4), attention \
             (1); of other fields no term occurs; not on one core no term occurs. Its longest words: transformer, \
             attention, based."
        );
    }

    #[test]
    fn each_criterion_can_fail_a_paper() {
        let decide = |title: &str, text: &str, nearest| {
            let answer = judge(&paper(title, text), nearest);
            (answer.decision, answer.scores.weakest().to_string())
        };
        let trains = "We train a transformer language model.";
        let reject = |by: &str| (Decision::Reject, by.to_owned());
        assert_eq!(
            decide("Pair programming in schools", "We watched.", None),
            reject("relevance")
        );
        assert_eq!(
            decide("Regret of bandits", "Minimax regret of a bandit.", None),
            reject("relevance")
        );
        assert_eq!(
            decide(
                "A robot",
                &format!("{trains} It moves a robotic arm."),
                None
            ),
            reject("fit")
        );
        assert_eq!(decide("Again", trains, Some(0.96)), reject("novelty"));
        assert_eq!(decide("Like it", trains, Some(0.9)).0, Decision::Accept);
        assert_eq!(
            decide("A transformer language model", " ", None).0,
            Decision::Undecided
        );
    }
}
