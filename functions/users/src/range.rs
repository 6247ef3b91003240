//! Ranges of user ids, and which of them a user namespace has.

use std::fmt;
use std::fs;
use std::str::FromStr;

/// Numbers that may be taken, both ends included, written `FIRST-LAST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserRange {
    first: u32,
    last: u32,
}

/// A text that is no [`UserRange`].
#[derive(Debug, thiserror::Error)]
#[error(
    "a range of user ids is FIRST-LAST without 0, 65534 and 65535, such as {usual}, got `{0}`",
    usual = UserRange::UNASSIGNED
)]
pub struct RangeError(String);

impl UserRange {
    /// What no systemd, no Debian and no Fedora gives to anybody, and what a container with 65,536 users has.
    /// Source: systemd's documentation "Users, Groups, UIDs and GIDs on systemd Systems", its summary.
    pub const UNASSIGNED: Self = Self::new(60_706, 61_183);
    /// Root, the two ways to write `nobody`, and what system calls read as "no change".
    const SPECIAL: [u32; 4] = [0, 65_534, 65_535, u32::MAX];

    /// `first` to `last`, which is not less.
    pub const fn new(first: u32, last: u32) -> Self {
        assert!(
            first <= last,
            "a range of user ids ends where it begins, or later"
        );
        Self { first, last }
    }

    /// Whether the number is one of them.
    pub fn contains(self, number: u32) -> bool {
        (self.first..=self.last).contains(&number)
    }

    /// Whether this process's user namespace has them.
    pub fn is_mapped(self) -> bool {
        is_mapped(self.first) && is_mapped(self.last)
    }

    /// How many there are: not all that a `u32` counts, since [`u32::MAX`] itself is no user.
    fn len(self) -> u64 {
        u64::from(self.last - self.first) + 1
    }

    /// Each number once, the `start`th first; a `start` beyond the last is counted from the first on.
    pub(crate) fn beginning_at(self, start: u32) -> impl Iterator<Item = u32> {
        let from_start = u64::from(start) % self.len();
        // It stays below `last`.
        let begin = self.first + u32::try_from(from_start).unwrap_or(0);
        (begin..=self.last).chain(self.first..begin)
    }
}

impl fmt::Display for UserRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for UserRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let refused = || RangeError(text.to_owned());
        let (first, last) = text.split_once('-').ok_or_else(refused)?;
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| refused());
        let (first, last) = (number(first)?, number(last)?);
        let has_special = Self::SPECIAL
            .iter()
            .any(|special| (first..=last).contains(special));
        if first > last || has_special {
            return Err(refused());
        }
        Ok(Self { first, last })
    }
}

/// Whether this process's user namespace has the number, as a user and as a group. Systems without such
/// namespaces have every number.
pub(crate) fn is_mapped(number: u32) -> bool {
    ["/proc/self/uid_map", "/proc/self/gid_map"]
        .into_iter()
        .all(|map| fs::read_to_string(map).map_or(true, |map| has_number(&map, number)))
}

/// A map has lines of three numbers: the first inside, the first outside, how many.
/// Source: user_namespaces(7).
fn has_number(map: &str, number: u32) -> bool {
    map.lines().any(|line| {
        let mut words = line.split_whitespace().map(str::parse::<u64>);
        match (words.next(), words.nth(1)) {
            (Some(Ok(first)), Some(Ok(count))) => {
                (first..first.saturating_add(count)).contains(&u64::from(number))
            }
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_two_ends_and_nobody_of_note_between_them() {
        let parsed: UserRange = "60706-61183".parse().unwrap();
        assert_eq!(parsed, UserRange::UNASSIGNED);
        assert_eq!(parsed.to_string(), "60706-61183");
        for refused in [
            "nobody",
            "7",
            "0-9",
            "9-1",
            "65000-66000",
            "1-4294967295",
            "-5-7",
        ] {
            let error = refused.parse::<UserRange>().unwrap_err().to_string();
            assert!(error.ends_with(&format!("got `{refused}`")), "{error}");
        }
    }

    #[test]
    fn each_number_comes_once_wherever_it_begins() {
        let range = UserRange::new(7, 9);
        let from = |start| range.beginning_at(start).collect::<Vec<u32>>();
        assert_eq!(from(0), [7, 8, 9]);
        assert_eq!(from(2), [9, 7, 8]);
        assert_eq!(from(u32::MAX), [7, 8, 9]);
        assert_eq!(
            UserRange::new(5, 5).beginning_at(3).collect::<Vec<_>>(),
            [5]
        );
    }

    #[test]
    fn a_container_with_few_users_lacks_the_others() {
        let rootless = "         0       1000          1\n         1     100000      65536\n";
        assert!(has_number(rootless, 65_529));
        assert!(!has_number(rootless, 2_100_000_000));
        assert!(has_number(
            "         0          0 4294967295\n",
            2_100_999_999
        ));
        assert!(!has_number("", 0));
    }
}
