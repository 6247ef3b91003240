//! aclImdb, the reviews of films: `aclImdb/{train,test}/{pos,neg}/{id}_{rating}.txt`.
//!
//! Source: ai.stanford.edu/~amaas/data/sentiment, README of the archive. Reviews without a label are left out. One of
//! each kind follows one of the other, so that the first of them are a fair part.

use std::path::Path;

use safetensors::Dtype;

use crate::archive::each_of_tar;
use crate::error::DatasetError;
use crate::half::{Half, Named, of_words};
use crate::words::{Vocabulary, words_of};

/// Words of a review that are kept; the median review has about 170.
pub(crate) const LENGTH: usize = 256;
/// Words with a number.
pub(crate) const VOCABULARY: usize = 20_000;

/// A text and whether it praises.
pub(crate) type Review = (String, u8);

/// Both halves.
pub(crate) fn read(path: &Path) -> Result<[Vec<Review>; 2], DatasetError> {
    // By half, then by label: name and text.
    let mut found: [[Vec<(String, String)>; 2]; 2] = Default::default();
    each_of_tar(
        path,
        |name| place(name).is_some(),
        |name, bytes| {
            if let Some((half, label)) = place(name) {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                found[half][label].push((name.to_owned(), text));
            }
            Ok(())
        },
    )?;
    Ok(found.map(|by_label| {
        let [against, for_it] = by_label.map(|mut reviews| {
            reviews.sort();
            reviews.into_iter().map(|(_, text)| text)
        });
        in_turn(against, for_it)
    }))
}

/// Which half and label a member is of.
fn place(name: &str) -> Option<(usize, usize)> {
    let mut parts = name.strip_prefix("aclImdb/")?.split('/');
    let mut which = |of: [&str; 2]| {
        let part = parts.next()?;
        of.iter().position(|it| *it == part)
    };
    let half = which(["train", "test"])?;
    let label = which(["neg", "pos"])?;
    let is_review = parts.next()?.ends_with(".txt") && parts.next().is_none();
    is_review.then_some((half, label))
}

/// One against and one for it, until one kind ends; then the rest of the other.
pub(crate) fn in_turn(
    mut against: impl Iterator<Item = String>,
    mut for_it: impl Iterator<Item = String>,
) -> Vec<Review> {
    let mut reviews = Vec::new();
    loop {
        let pair = [against.next().zip(Some(0)), for_it.next().zip(Some(1))];
        let before = reviews.len();
        reviews.extend(pair.into_iter().flatten());
        if reviews.len() == before {
            return reviews;
        }
    }
}

/// The halves as tensors, and the words.
pub(crate) fn halves(reviews: &[Vec<Review>; 2]) -> Result<([Half; 2], Vec<String>), String> {
    if reviews.iter().any(Vec::is_empty) {
        return Err("it has no reviews to train on, or none to test on".to_owned());
    }
    let trained = reviews[0].iter().flat_map(|(text, _)| words_of(text));
    let vocabulary = Vocabulary::of(trained, VOCABULARY);
    let halves = [
        half(&reviews[0], &vocabulary),
        half(&reviews[1], &vocabulary),
    ];
    Ok((halves, vocabulary.into_words()))
}

fn half(reviews: &[Review], vocabulary: &Vocabulary) -> Half {
    let mut numbers = Vec::with_capacity(reviews.len() * LENGTH);
    let mut text = Vec::new();
    let mut ends = Vec::new();
    for (review, _) in reviews {
        let words = words_of(review).map(|word| vocabulary.number(&word));
        numbers.extend(words.chain(std::iter::repeat(0)).take(LENGTH));
        text.extend_from_slice(review.as_bytes());
        ends.extend((text.len() as u64).to_le_bytes());
    }
    let n = reviews.len();
    let named = |name, dtype, shape: &[usize], bytes| Named {
        name,
        dtype,
        shape: shape.to_vec(),
        bytes,
    };
    let labels = reviews.iter().map(|(_, label)| *label).collect();
    Half {
        tensors: vec![
            named("x", Dtype::I32, &[n, LENGTH], of_words(&numbers)),
            named("y", Dtype::U8, &[n], labels),
            named("text_ends", Dtype::I64, &[n], ends),
            named("text", Dtype::U8, &[text.len()], text),
        ],
        samples: n as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reviews_with_a_label_have_a_place() {
        assert_eq!(place("aclImdb/train/pos/0_9.txt"), Some((0, 1)));
        assert_eq!(place("aclImdb/test/neg/12_1.txt"), Some((1, 0)));
        for other in [
            "aclImdb/train/unsup/0_0.txt",
            "aclImdb/train/labeledBow.feat",
            "../aclImdb/train/pos/0_9.txt",
            "aclImdb/train/pos/../../x.txt",
            "aclImdb/train/pos/a/b.txt",
        ] {
            assert_eq!(place(other), None, "{other}");
        }
    }

    #[test]
    fn kinds_take_turns() {
        let texts = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let turns = in_turn(texts(&["a", "b"]).into_iter(), texts(&["c"]).into_iter());
        let labels: Vec<u8> = turns.iter().map(|(_, label)| *label).collect();
        assert_eq!(labels, [0, 1, 0]);
    }
}
