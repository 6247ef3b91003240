//! Whether a reason says something of the paper it is about.
//!
//! A small model answers `][` or a date, repeats the question, or writes what the paper tells it to write; each of these
//! fits the answer's types. A model that has been talked into a reason of its own is not noticed here.

use std::collections::BTreeSet;

use annapurna_contract::{model::PaperText, normalize_title};

/// Least words of a reason, and how many of them must differ.
const LEAST_WORDS: usize = 8;
const LEAST_DIFFERENT: usize = 6;
/// A reason is copied when so many tenths of its words stand elsewhere in one piece, and so many words at least.
const COPIED_TENTHS: usize = 6;
const COPIED_WORDS: usize = 6;
/// Words of the paper's own that a reason must have; fewer where the paper hardly has any.
const OWN_WORDS: usize = 2;

/// Words of four letters and more that stand in any reason about any paper.
const GENERIC: &[&str] = &[
    "about",
    "abstract",
    "accept",
    "accepted",
    "also",
    "approach",
    "available",
    "because",
    "been",
    "concrete",
    "could",
    "criteria",
    "data",
    "decision",
    "deep",
    "does",
    "each",
    "from",
    "good",
    "great",
    "have",
    "implementable",
    "implemented",
    "into",
    "learning",
    "machine",
    "main",
    "method",
    "methods",
    "model",
    "models",
    "more",
    "most",
    "network",
    "networks",
    "neural",
    "novel",
    "novelty",
    "other",
    "paper",
    "problem",
    "propose",
    "proposed",
    "proposes",
    "reason",
    "reject",
    "rejected",
    "relevance",
    "relevant",
    "research",
    "result",
    "results",
    "score",
    "show",
    "shows",
    "small",
    "some",
    "study",
    "such",
    "task",
    "tasks",
    "than",
    "that",
    "their",
    "them",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "title",
    "topic",
    "train",
    "trained",
    "training",
    "trains",
    "using",
    "very",
    "well",
    "were",
    "what",
    "when",
    "which",
    "will",
    "with",
    "without",
    "work",
    "would",
];

/// What is wrong with a reason, in words for the model. `rubric` is what it was asked, without the paper.
pub(crate) fn problems(reason: &str, rubric: &str, paper: &PaperText) -> Vec<String> {
    let reason = normalize_title(reason);
    let words: Vec<&str> = reason.split_whitespace().collect();
    let different: BTreeSet<&str> = words.iter().copied().collect();
    if words.len() < LEAST_WORDS || different.len() < LEAST_DIFFERENT {
        return vec![format!(
            "`reason` must be two or three sentences, got {} words",
            words.len()
        )];
    }
    let text = format!("{}\n{}\n{}", paper.title, paper.abstract_text, paper.body);
    let text = normalize_title(&text);
    let mut problems = Vec::new();
    if is_copied(&words, &normalize_title(rubric)) {
        problems
            .push("`reason` repeats the question: say what decides it in this paper".to_owned());
    }
    if is_copied(&words, &text) {
        problems.push("`reason` is copied from the paper: use words of your own".to_owned());
    }
    if !is_about(&different, &text) {
        problems.push("`reason` could be about any paper: name this paper's method".to_owned());
    }
    problems
}

/// Whether most of the words stand in `text` in one piece.
fn is_copied(words: &[&str], text: &str) -> bool {
    let text = format!(" {text} ");
    let run = (words.len() * COPIED_TENTHS).div_ceil(10).max(COPIED_WORDS);
    let mut runs = words.windows(run);
    runs.any(|run| text.contains(&format!(" {} ", run.join(" "))))
}

/// Whether a reason has words that are the paper's own.
fn is_about(reason: &BTreeSet<&str>, text: &str) -> bool {
    let is_own = |word: &&str| word.chars().count() >= 4 && !GENERIC.contains(word);
    let own: BTreeSet<&str> = text.split_whitespace().filter(is_own).collect();
    // A plural, or a verb's other form, is the same word here.
    let stem = |word: &str| word.chars().take(5).collect::<String>();
    let own: BTreeSet<String> = own.into_iter().map(stem).collect();
    let said = reason.iter().filter(|word| is_own(word));
    let said: BTreeSet<String> = said.map(|word| stem(word)).collect();
    // In another language than the reason's there are none; a title such as `0` has none at all.
    let wanted = match own.iter().filter(|word| word.is_ascii()).count() {
        0 => 0,
        1..=5 => 1,
        _ => OWN_WORDS,
    };
    own.intersection(&said).count() >= wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adam() -> PaperText {
        PaperText {
            title: "Adam: A Method for Stochastic Optimization".to_owned(),
            abstract_text:
                "We introduce Adam, an algorithm for first-order gradient-based optimization of \
                stochastic objective functions, based on adaptive estimates of lower-order moments."
                    .to_owned(),
            body: String::new(),
        }
    }

    fn found(reason: &str) -> String {
        let rubric = "does the paper train or run neural networks, by a concrete method that can be implemented \
            from its description";
        problems(reason, rubric, &adam()).join("; ")
    }

    #[test]
    fn a_reason_about_the_paper_is_one() {
        for reason in [
            "Adam scales each step by estimates of the gradient's moments, which a few lines implement. It fits \
             one core easily.",
            "The optimizer adapts step sizes from first and second moments of stochastic gradients; small \
             networks show whether it helps.",
        ] {
            assert_eq!(found(reason), "", "{reason}");
        }
    }

    #[test]
    fn one_token_a_date_and_an_empty_text_are_none() {
        for reason in [
            "",
            "][",
            "2018-07-30",
            "great",
            "Adam Adam Adam Adam Adam Adam Adam Adam Adam",
            "\u{202e}",
        ] {
            let found = found(reason);
            assert!(
                found.contains("two or three sentences"),
                "{reason}: {found}"
            );
        }
    }

    #[test]
    fn the_question_and_the_papers_own_words_are_none() {
        let question = "Does the paper train or run neural networks, by a concrete method that can be implemented?";
        assert!(found(question).contains("repeats the question"));
        let copied = "We introduce Adam, an algorithm for first-order gradient-based optimization of stochastic \
            objective functions. Good.";
        assert!(found(copied).contains("copied from the paper"));
    }

    #[test]
    fn a_reason_that_fits_any_paper_is_none() {
        let vague = "This paper is very relevant and its novel method trains neural networks well, so accept it.";
        assert!(found(vague).contains("any paper"), "{}", found(vague));
    }

    #[test]
    fn a_paper_in_another_language_or_without_words_can_be_judged() {
        let reason =
            "The title alone says nothing of any method, so nobody can tell what is trained here.";
        for title in ["0", "一种用于训练神经网络的自适应优化方法"] {
            let paper = PaperText {
                title: title.to_owned(),
                abstract_text: String::new(),
                body: String::new(),
            };
            assert_eq!(
                problems(reason, "", &paper),
                Vec::<String>::new(),
                "{title}"
            );
        }
    }
}
