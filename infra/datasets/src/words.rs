//! Words and their numbers: the most frequent words of what is trained on, the rest is one.

use std::collections::HashMap;

/// Fills a text that is too short.
pub(crate) const PADDING: &str = "<pad>";
/// Stands for every word without a number of its own.
pub(crate) const UNKNOWN: &str = "<unk>";
/// Ends a line.
pub(crate) const END: &str = "<eos>";

/// The numbers of words; the more frequent a word, the smaller.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    numbers: HashMap<String, u32>,
    words: Vec<String>,
}

impl Vocabulary {
    /// The `size` most frequent of `words`, those of equal number by the alphabet, after the three signs.
    pub(crate) fn of(words: impl Iterator<Item = String>, size: usize) -> Self {
        let mut counts: HashMap<String, u64> = HashMap::new();
        words.for_each(|word| *counts.entry(word).or_insert(0) += 1);
        let signs = [PADDING, UNKNOWN, END].map(str::to_owned);
        counts.retain(|word, _| !signs.contains(word));
        let mut counted: Vec<(String, u64)> = counts.into_iter().collect();
        counted.sort_by(|one, other| (other.1, &one.0).cmp(&(one.1, &other.0)));
        let frequent = counted.into_iter().map(|(word, _)| word);
        let words: Vec<String> = signs.into_iter().chain(frequent).take(size).collect();
        let numbered = words.iter().zip(0..).map(|(word, it)| (word.clone(), it));
        Self {
            numbers: numbered.collect(),
            words,
        }
    }

    pub(crate) fn number(&self, word: &str) -> u32 {
        self.numbers.get(word).copied().unwrap_or(1)
    }

    pub(crate) fn into_words(self) -> Vec<String> {
        self.words
    }
}

/// The words of a text in small letters; what is between them is left out, and so are the line breaks of HTML.
pub(crate) fn words_of(text: &str) -> impl Iterator<Item = String> {
    let text = text.to_lowercase().replace("<br />", " ");
    let words: Vec<String> = text
        .split(|it: char| !it.is_alphanumeric() && it != '\'')
        .map(|word| word.trim_matches('\''))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    words.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_words_have_small_numbers_and_rare_ones_are_unknown() {
        let text = "b a b c a b <pad>".split(' ').map(str::to_owned);
        let vocabulary = Vocabulary::of(text, 5);
        assert_eq!(vocabulary.number("b"), 3);
        assert_eq!(vocabulary.number("a"), 4);
        assert_eq!(vocabulary.number("c"), 1);
        assert_eq!(vocabulary.number(PADDING), 0);
        assert_eq!(vocabulary.into_words(), [PADDING, UNKNOWN, END, "b", "a"]);
    }

    #[test]
    fn a_review_is_words_in_small_letters() {
        let words: Vec<String> = words_of("It's GREAT!<br />'Très' good,ok").collect();
        assert_eq!(words, ["it's", "great", "très", "good", "ok"]);
    }
}
