//! The id of a paper: what it was given at first sight, from its title and abstract then. That edits, and
//! other sources, lead to it is the scrapers' work.
//!
//! Ids that we give are 32 hexadecimal digits. Ids that others gave, in an index that was moved here or in a
//! request over HTTP, are taken as they are while they fit everywhere an id goes.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

/// Length of an id of ours in hexadecimal digits: 128 bits of a SHA-256.
const DIGITS: usize = 32;
/// Longest id, characters: as long as the group id of an SQS message may be. Source: SQS API reference,
/// `SendMessage`.
const MOST_CHARACTERS: usize = 128;

/// 1 to 128 characters of `A-Z a-z 0-9 _ -`; one of ours is 32 lower-case hexadecimal digits, derived from the
/// paper's normalised title and abstract.
///
/// Safe in S3 keys, document ids, message groups and file names: no dot, no slash, no space can be in one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PaperId(String);

impl PaperId {
    /// The id of the paper with this title and abstract.
    ///
    /// Case, punctuation, white space and compatibility forms (ligatures) of both are ignored. The
    /// title always takes part, so two papers without an abstract have different ids.
    pub fn of(title: &str, abstract_text: Option<&str>) -> Self {
        let mut hash = Sha256::new();
        hash.update(normalize_title(title));
        hash.update([0]);
        hash.update(normalize_title(abstract_text.unwrap_or_default()));
        let mut digits = hex::encode(hash.finalize());
        digits.truncate(DIGITS);
        Self(digits)
    }

    /// The id of a paper whose title and abstract are those of another one: the source's name of it, as in
    /// `ICLR 2025 7`, tells them apart.
    pub fn of_namesake(title: &str, abstract_text: Option<&str>, name: &str) -> Self {
        let told_apart = format!("{}\0{name}", Self::of(title, abstract_text));
        let mut digits = hex::encode(Sha256::digest(told_apart));
        digits.truncate(DIGITS);
        Self(digits)
    }

    /// The id's characters, as they stand in keys and messages.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PaperId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Text that is not a paper id.
#[derive(Debug, thiserror::Error)]
#[error("a paper id is 1 to {MOST_CHARACTERS} characters of A-Z a-z 0-9 _ -, got `{0}`")]
pub struct NotAPaperId(String);

impl TryFrom<String> for PaperId {
    type Error = NotAPaperId;

    fn try_from(text: String) -> Result<Self, NotAPaperId> {
        let is_id = (1..=MOST_CHARACTERS).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if is_id {
            Ok(Self(text))
        } else {
            Err(NotAPaperId(crate::text::escaped(&text, 80)))
        }
    }
}

impl From<PaperId> for String {
    fn from(id: PaperId) -> Self {
        id.0
    }
}

/// Folds a title to what stays the same between sources: NFKC, lower case, letters and digits only,
/// single spaces between words. A title without any letter or digit keeps its trimmed NFKC form.
pub fn normalize_title(title: &str) -> String {
    let folded: String = title.nfkc().flat_map(char::to_lowercase).collect();
    let words: Vec<&str> = folded
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() {
        folded.trim().to_owned()
    } else {
        words.join(" ")
    }
}

/// SHA-256 of an abstract's normalised text, in hexadecimal: the index field `sha_abstract`.
pub fn sha_abstract(abstract_text: &str) -> String {
    hex::encode(Sha256::digest(normalize_title(abstract_text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_papers_without_an_abstract_do_not_collide() {
        assert_ne!(PaperId::of("Adam", None), PaperId::of("AdamW", None));
        assert_ne!(PaperId::of("0", None), PaperId::of("1", Some("")));
    }

    #[test]
    fn spelling_differences_between_sources_do_not_change_the_id() {
        let one = PaperId::of("Memory-Eﬃcient  Attention", Some("We show\n  that."));
        let other = PaperId::of("Memory-efficient attention", Some("We show that"));
        assert_eq!(one, other);
    }

    #[test]
    fn title_and_abstract_do_not_run_into_each_other() {
        assert_ne!(PaperId::of("a b", Some("c")), PaperId::of("a", Some("b c")));
    }

    #[test]
    fn titles_in_any_script_or_of_symbols_only_are_kept_apart() {
        assert_ne!(PaperId::of("???", None), PaperId::of("!!!", None));
        assert_ne!(PaperId::of("深度学习", None), PaperId::of("机器学习", None));
    }

    #[test]
    fn namesakes_have_ids_of_their_own() {
        let namesake = |name| PaperId::of_namesake("Editorial", None, name);
        assert_ne!(namesake("ICLR 2025 7"), PaperId::of("Editorial", None));
        assert_ne!(namesake("ICLR 2025 7"), namesake("ICLR 2025 8"));
        assert_eq!(namesake("ICLR 2025 7"), namesake("ICLR 2025 7"));
    }

    #[test]
    fn only_ids_are_read_as_ids() {
        let ours = PaperId::of("Adam", None).to_string();
        let longest = "Z".repeat(128);
        for text in [&ours, "6-j63JkBP8oloYi_8CJH", "_", &longest] {
            let id = PaperId::try_from(text.to_owned()).unwrap();
            assert_eq!(id.as_str(), text);
        }
        for text in [
            "",
            "../../etc/passwd",
            "a.b",
            "a/b",
            "a b",
            "a\n",
            "é",
            &"a".repeat(129),
        ] {
            assert!(PaperId::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn an_id_of_ours_is_32_digits() {
        let id = PaperId::of("Adam", None);
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        assert!(id.as_str().len() == 32 && id.as_str().bytes().all(is_digit));
    }
}
