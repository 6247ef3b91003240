//! What became of the papers of a scrape.

use serde::{Deserialize, Serialize};

/// Bytes of a failure's text in a window or a plan; the whole of it is in the log.
const ERROR_BYTES: usize = 400;
/// Bytes of its title.
const TITLE_BYTES: usize = 100;

/// What a run did. Every paper found is counted once among `stored`, `already`, `metadata_only`,
/// except one that only appears in `failed`; a paper whose PDF was held back for now is in
/// `metadata_only` and, with the evidence, in `failed`. What is edited at its source is `already`, and
/// among `queued` since the judge was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrapeSummary {
    /// The source, or `BOTH`.
    pub source: String,
    /// Papers this run took from the list.
    pub found: usize,
    /// PDFs this run wrote.
    pub stored: usize,
    /// Messages this run sent.
    pub queued: usize,
    /// Papers whose PDF was there before.
    pub already: usize,
    /// Papers without a PDF so far.
    pub metadata_only: usize,
    /// Papers passed over since an earlier call or scrape had them: they are none of the `MAX_PAPERS`. A direct call
    /// has looked at them again, and they are among those found; a whole scrape leaves them out, but those that
    /// were edited or wait for their PDF.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub known: usize,
    /// What went wrong, paper by paper: the first of them.
    pub failed: Vec<FailedPaper>,
    /// How many more went wrong; each is in the log.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed_not_listed: usize,
    /// Entries that say again what another entry says: the same paper under another title or another name.
    /// What the list itself says twice is not in `found`; what is known from before is.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeated: usize,
    /// The first of them, each with the paper that it repeats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<RepeatedPaper>,
    /// Where the next run goes on; `None` when the list was read to its end.
    pub cursor: Option<String>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl ScrapeSummary {
    /// Adds another summary's counts, and its failures while there are fewer than `most`.
    pub(crate) fn absorb(&mut self, other: &Self, most: usize) {
        self.found += other.found;
        self.stored += other.stored;
        self.queued += other.queued;
        self.already += other.already;
        self.metadata_only += other.metadata_only;
        self.known += other.known;
        for failed in &other.failed {
            self.add_failed(failed.clone(), most);
        }
        self.failed_not_listed += other.failed_not_listed;
        let n_free = most.saturating_sub(self.repeats.len());
        self.repeats
            .extend(other.repeats.iter().take(n_free).cloned());
        self.repeated += other.repeated;
    }

    /// The counts of this summary that an earlier one of the same papers does not have; failures and
    /// repeats are counted and not listed.
    pub fn beyond(&self, earlier: &Self) -> Self {
        Self {
            source: self.source.clone(),
            found: self.found.saturating_sub(earlier.found),
            stored: self.stored.saturating_sub(earlier.stored),
            queued: self.queued.saturating_sub(earlier.queued),
            already: self.already.saturating_sub(earlier.already),
            metadata_only: self.metadata_only.saturating_sub(earlier.metadata_only),
            known: self.known.saturating_sub(earlier.known),
            failed: Vec::new(),
            failed_not_listed: self.n_failed().saturating_sub(earlier.n_failed()),
            repeated: self.repeated.saturating_sub(earlier.repeated),
            repeats: Vec::new(),
            cursor: None,
        }
    }

    /// Adds a failure to the list while it has fewer than `most` entries, and counts it after that.
    pub fn add_failed(&mut self, failed: FailedPaper, most: usize) {
        if self.failed.len() < most {
            self.failed.push(failed);
        } else {
            self.failed_not_listed += 1;
        }
    }

    /// Counts a repeat, and lists it while the list has fewer than `most` entries.
    pub fn add_repeat(&mut self, repeat: RepeatedPaper, most: usize) {
        self.repeated += 1;
        if self.repeats.len() < most {
            self.repeats.push(repeat);
        }
    }

    /// Papers with a problem, listed or not.
    pub fn n_failed(&self) -> usize {
        self.failed.len() + self.failed_not_listed
    }
}

impl FailedPaper {
    /// The failure with its texts cut to a window's or plan's measure.
    pub fn cut(mut self) -> Self {
        cut(&mut self.error, ERROR_BYTES);
        if let Some(title) = &mut self.title {
            cut(title, TITLE_BYTES);
        }
        self
    }
}

impl RepeatedPaper {
    /// The repeat with its texts cut to a window's or plan's measure.
    pub fn cut(mut self) -> Self {
        cut(&mut self.title, TITLE_BYTES);
        cut(&mut self.repeats, 2 * TITLE_BYTES);
        self
    }
}

/// Cuts a text between two characters.
fn cut(text: &mut String, n_bytes: usize) {
    if text.len() <= n_bytes {
        return;
    }
    text.truncate(text.floor_char_boundary(n_bytes));
    text.push('…');
}

/// A paper that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedPaper {
    /// The source's name of it.
    pub paper: String,
    /// Its title, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Why, with the evidence.
    pub error: String,
}

/// An entry of a list that says again what another entry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatedPaper {
    /// The source's name of the entry.
    pub paper: String,
    /// Its title there.
    pub title: String,
    /// The entry that it repeats, with its title, for a person.
    pub repeats: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_beyond_the_limit_are_counted() {
        let mut summary = ScrapeSummary::default();
        for n in 0..5 {
            let failed = FailedPaper {
                paper: n.to_string(),
                title: None,
                error: "gone".to_owned(),
            };
            summary.add_failed(failed, 2);
        }
        assert_eq!((summary.failed.len(), summary.n_failed()), (2, 5));
    }

    #[test]
    fn repeats_beyond_the_limit_are_counted_and_an_answer_without_any_says_nothing_of_them() {
        let mut summary = ScrapeSummary::default();
        let bare = serde_json::to_string(&summary).unwrap();
        assert!(!bare.contains("repeat"), "{bare}");
        for n in 0..5 {
            let repeat = RepeatedPaper {
                paper: n.to_string(),
                title: "Adam".to_owned(),
                repeats: "ICLR 2015 `7`: Adam".to_owned(),
            };
            summary.add_repeat(repeat, 2);
        }
        let mut total = summary.clone();
        total.absorb(&summary, 3);
        assert_eq!((total.repeats.len(), total.repeated), (3, 10));
        assert_eq!(total.beyond(&summary).repeated, 5);
    }
}
