//! WikiText-2, raw: articles with a word between each two spaces, one paragraph a line.
//!
//! Source: the archive of its publisher, `wikitext-2-raw-v1.zip`; the same lines as Parquet at Hugging Face and as Arrow in
//! the bucket of the project before this one.

use safetensors::Dtype;

use crate::half::{Half, Named, of_words};
use crate::words::{END, Vocabulary};

/// Words with a number.
pub(crate) const VOCABULARY: usize = 10_000;
/// Words of one window, where a program asks for no other length.
pub(crate) const WINDOW: usize = 128;

/// The words of some lines in small letters; lines without a word count for nothing.
fn words(lines: &str) -> impl Iterator<Item = String> {
    lines
        .lines()
        .filter(|line| !line.trim().is_empty())
        .flat_map(|line| {
            line.split_whitespace()
                .map(str::to_lowercase)
                .chain([END.to_owned()])
        })
}

/// The halves as tensors, and the words.
pub(crate) fn halves(texts: &[String; 2]) -> Result<([Half; 2], Vec<String>), String> {
    let vocabulary = Vocabulary::of(words(&texts[0]), VOCABULARY);
    let [train, test] = texts.each_ref().map(|text| {
        let numbers: Vec<u32> = words(text).map(|word| vocabulary.number(&word)).collect();
        if numbers.len() <= WINDOW {
            let n = numbers.len();
            return Err(format!(
                "{n} words are no window of {WINDOW} and the next word"
            ));
        }
        Ok(Half {
            samples: ((numbers.len() - 1) / WINDOW) as u64,
            tensors: vec![Named {
                name: "tokens",
                dtype: Dtype::I32,
                shape: vec![numbers.len()],
                bytes: of_words(&numbers),
            }],
        })
    });
    Ok(([train?, test?], vocabulary.into_words()))
}
