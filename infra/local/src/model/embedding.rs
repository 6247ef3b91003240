//! Offline embeddings: hashed bags of words, in place of Titan Text Embeddings V2.
//!
//! In: a text. Out: a vector of length one. Words and pairs of neighbouring words are hashed to a
//! dimension and a sign; a word weighs `1 + ln(count)`, a pair half of that, so that an edit here and
//! there moves a text little. Similar means "the same words", nothing deeper.

use std::collections::BTreeMap;

use annapurna_contract::normalize_title;
use sha2::{Digest, Sha256};

/// Words that say nothing about a paper.
const STOP_WORDS: &[&str] = &[
    "a", "also", "an", "and", "are", "as", "at", "be", "been", "both", "but", "by", "can", "do",
    "for", "from", "has", "have", "how", "in", "into", "is", "it", "its", "may", "more", "most",
    "not", "of", "on", "or", "our", "paper", "show", "such", "than", "that", "the", "their",
    "then", "there", "these", "they", "this", "to", "used", "using", "was", "we", "were", "when",
    "where", "which", "while", "with",
];

/// Embeds `text` in `dimensions` dimensions; the zero vector only when `dimensions` is 0.
pub(super) fn embed(text: &str, dimensions: usize) -> Vec<f64> {
    let mut vector = vec![0.0; dimensions];
    for (feature, count) in features(text) {
        let share = if feature.contains(' ') { 0.5 } else { 1.0 };
        add_feature(&mut vector, &feature, share * (1.0 + f64::from(count).ln()));
    }
    if vector.iter().all(|value| *value == 0.0) {
        // Features that cancel out would leave a vector without a direction, which an index refuses.
        add_feature(&mut vector, text, 1.0);
    }
    normalize(&mut vector);
    vector
}

/// Scales `vector` to length one; a zero vector stays as it is.
pub(super) fn normalize(vector: &mut [f64]) {
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value /= length);
    }
}

/// Words and pairs of words of `text` with their counts, in an order that never changes.
fn features(text: &str) -> BTreeMap<String, u32> {
    let text = normalize_title(text);
    let mut words: Vec<&str> = text
        .split(' ')
        .filter(|word| !STOP_WORDS.contains(word))
        .collect();
    if words.is_empty() {
        words = text.split(' ').collect();
    }
    let pairs = words.windows(2).map(|pair| pair.join(" "));
    let mut counts = BTreeMap::new();
    for feature in words.iter().map(ToString::to_string).chain(pairs) {
        *counts.entry(feature).or_default() += 1;
    }
    counts
}

fn add_feature(vector: &mut [f64], feature: &str, weight: f64) {
    let hash = Sha256::digest(feature);
    let index = hash
        .iter()
        .take(4)
        .fold(0_usize, |index, byte| (index << 8) | usize::from(*byte));
    let sign = if hash[4] & 1 == 0 { 1.0 } else { -1.0 };
    // A vector without dimensions takes no feature.
    let place = index.checked_rem(vector.len());
    if let Some(value) = place.and_then(|place| vector.get_mut(place)) {
        *value += sign * weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADAM: &str = "We introduce Adam, an algorithm for first-order gradient-based optimization of \
        stochastic objective functions, based on adaptive estimates of lower-order moments. The method is \
        straightforward to implement, is computationally efficient, has little memory requirements, is \
        invariant to diagonal rescaling of the gradients, and is well suited for problems that are large in \
        terms of data and/or parameters.";
    const ATTENTION: &str = "The dominant sequence transduction models are based on complex recurrent or \
        convolutional neural networks that include an encoder and a decoder. We propose a new simple network \
        architecture, the Transformer, based solely on attention mechanisms, dispensing with recurrence and \
        convolutions entirely.";

    fn cosine(one: &str, other: &str) -> f64 {
        let (one, other) = (embed(one, 1024), embed(other, 1024));
        one.iter().zip(&other).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn the_same_text_has_the_same_vector() {
        assert!((cosine(ADAM, ADAM) - 1.0).abs() < 1e-9);
        assert!((cosine(ADAM, &ADAM.to_uppercase()) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn near_copies_are_close() {
        let copy = ADAM
            .replace("We introduce", "This paper introduces")
            .replace("is well suited", "is suited");
        let similarity = cosine(ADAM, &copy);
        assert!(similarity > 0.95, "{similarity}");
    }

    #[test]
    fn different_abstracts_are_far_apart() {
        let similarity = cosine(ADAM, ATTENTION);
        assert!(similarity < 0.3, "{similarity}");
    }

    #[test]
    fn every_text_has_a_vector_of_length_one() {
        for text in ["0", "the", "???", "深度学习", "a b", " "] {
            for dimensions in [1, 256, 1024] {
                let vector = embed(text, dimensions);
                let length: f64 = vector.iter().map(|value| value * value).sum();
                assert!((length - 1.0).abs() < 1e-9, "{text}: {length}");
            }
        }
    }
}
