//! Users of the programs where the agent is root: numbers that nobody else has, one a slot.
//!
//! The kernel counts processes by user and lets a user signal and debug its own, so a program shares its user
//! with nothing: no other slot, agent, service or person. A number is taken from a range that distributions
//! leave alone, and only when no account and no group has it, no process runs as it, and no other agent of
//! this machine holds its lock. No account is made; the group has the same number.

use std::fmt;
use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::unistd::{Gid, Group, Uid, User};

use crate::processes;

/// One locked file for each number in use. Root's own folder, so nobody else can hold a lock; the same one
/// for every agent of the machine, so it is no setting, and emptied by a start of the machine.
const LOCKS: &str = "/run/annapurna-program-users";

/// A user that programs of one slot run as, and the group of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProgramUser(pub(crate) u32);

impl ProgramUser {
    pub(crate) fn uid(self) -> Uid {
        Uid::from_raw(self.0)
    }

    pub(crate) fn gid(self) -> Gid {
        Gid::from_raw(self.0)
    }
}

/// The numbers that may be taken, written `FIRST-LAST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserRange {
    first: u32,
    last: u32,
}

impl UserRange {
    /// What no systemd, no Debian and no Fedora gives to anybody, and what a container with 65,536 users has.
    /// Source: systemd's documentation "Users, Groups, UIDs and GIDs on systemd Systems", its summary.
    pub const UNASSIGNED: Self = Self {
        first: 60_706,
        last: 61_183,
    };
    /// Root, the two ways to write `nobody`, and what system calls read as "no change".
    const SPECIAL: [u32; 4] = [0, 65_534, 65_535, u32::MAX];

    fn len(self) -> u32 {
        self.last - self.first + 1
    }

    /// Each number once, beginning with any.
    fn beginning_anywhere(self) -> impl Iterator<Item = u32> {
        let start = fastrand::u32(0..self.len());
        (0..self.len()).map(move |step| self.first + (start + step) % self.len())
    }
}

impl fmt::Display for UserRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for UserRange {
    type Err = UsersError;

    fn from_str(text: &str) -> Result<Self, UsersError> {
        let refused = || UsersError::Range(text.to_owned());
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

/// Why the programs have no users of their own.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    #[error(
        "a range of user ids is FIRST-LAST without 0, 65534 and 65535, such as {usual}, got `{0}`",
        usual = UserRange::UNASSIGNED
    )]
    Range(String),
    #[error(
        "of the user ids {range} fewer than {wanted} are free, and every slot needs its own: set AGENT_RUN_AS to a larger range"
    )]
    Exhausted { range: UserRange, wanted: usize },
    #[error(
        "cannot claim user ids for the programs with {}: an agent of root needs a /run that it may write, so \
         mount one (in a container `--tmpfs /run`), or start the agent as another user",
        path.display()
    )]
    Locks {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The users of an agent's slots, held until this is dropped or the agent ends in any way.
#[derive(Debug, Default)]
pub struct ProgramUsers {
    claimed: Vec<(ProgramUser, File)>,
}

impl ProgramUsers {
    /// `count` users for as many slots; none where the agent is not root and could not become them.
    ///
    /// # Errors
    ///
    /// [`UsersError::Exhausted`] and [`UsersError::Locks`].
    pub fn claim(range: UserRange, count: usize) -> Result<Self, UsersError> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(Self::default());
        }
        Self::claim_below(Path::new(LOCKS), range, count)
    }

    fn claim_below(locks: &Path, range: UserRange, count: usize) -> Result<Self, UsersError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| UsersError::Locks { path, source }
        };
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(locks);
        made.map_err(failed(locks))?;
        let mut claimed = Vec::new();
        for number in range.beginning_anywhere() {
            if claimed.len() == count {
                break;
            }
            let path = locks.join(number.to_string());
            let lock = File::create(&path).map_err(failed(&path))?;
            match lock.try_lock() {
                Ok(()) if is_free(number) => claimed.push((ProgramUser(number), lock)),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(failed(&path)(source)),
            }
        }
        if claimed.len() < count {
            let wanted = count;
            return Err(UsersError::Exhausted { range, wanted });
        }
        Ok(Self { claimed })
    }

    /// The user of a slot; `None` where programs run as the agent's own.
    pub(crate) fn of_slot(&self, slot: usize) -> Option<ProgramUser> {
        self.claimed.get(slot).map(|(user, _)| *user)
    }

    /// Whether programs have users of their own.
    pub(crate) fn are_claimed(&self) -> bool {
        !self.claimed.is_empty()
    }
}

impl fmt::Display for ProgramUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.are_claimed() {
            return f.write_str("the agent's own");
        }
        let numbers: Vec<String> = self
            .claimed
            .iter()
            .map(|(user, _)| user.0.to_string())
            .collect();
        f.write_str(&numbers.join(" "))
    }
}

/// Whether the number is nobody's. The programs of an agent that was killed may live a moment longer than
/// its locks.
fn is_free(number: u32) -> bool {
    // A system that cannot say has not said that the number is free.
    let no_account = matches!(User::from_uid(Uid::from_raw(number)), Ok(None));
    let no_group = matches!(Group::from_gid(Gid::from_raw(number)), Ok(None));
    no_account && no_group && processes::tasks_of(number) == 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use annapurna_test_needs::needs;

    use super::*;

    fn range(first: u32, last: u32) -> UserRange {
        UserRange { first, last }
    }

    fn numbers(users: &ProgramUsers) -> Vec<u32> {
        users.claimed.iter().map(|(user, _)| user.0).collect()
    }

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
    fn two_agents_never_share_a_user_and_a_number_comes_back() {
        let locks = tempfile::tempdir().unwrap();
        let claim = |count| ProgramUsers::claim_below(locks.path(), range(60_000, 60_003), count);
        let one = claim(2).unwrap();
        let other = claim(2).unwrap();
        let mut all = [numbers(&one), numbers(&other)].concat();
        all.sort_unstable();
        assert_eq!(all, [60_000, 60_001, 60_002, 60_003]);
        let error = claim(1).unwrap_err().to_string();
        assert!(
            error.contains("60000-60003") && error.contains("AGENT_RUN_AS"),
            "{error}"
        );
        let freed = numbers(&one);
        drop(one);
        let mut again = numbers(&claim(2).unwrap());
        again.sort_unstable();
        let mut freed = freed;
        freed.sort_unstable();
        assert_eq!(again, freed);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named_with_what_to_do() {
        // Not even root makes a folder there.
        let nowhere = Path::new("/proc/annapurna-program-users");
        let error = ProgramUsers::claim_below(nowhere, range(60_000, 60_003), 1).unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("/proc/annapurna-program-users") && said.contains("--tmpfs /run"),
            "{said}"
        );
    }

    #[test]
    fn a_number_with_an_account_is_left_alone() {
        let locks = tempfile::tempdir().unwrap();
        let daemon = User::from_name("daemon").unwrap().unwrap().uid.as_raw();
        let error = ProgramUsers::claim_below(locks.path(), range(daemon, daemon), 1).unwrap_err();
        assert!(matches!(error, UsersError::Exhausted { .. }), "{error}");
    }

    #[test]
    fn a_number_that_a_process_runs_as_is_left_alone() {
        let is_root = nix::unistd::geteuid().is_root();
        if needs(is_root.then_some(()), "root", "run the tests as root").is_none() {
            return;
        }
        let locks = tempfile::tempdir().unwrap();
        let alone = range(59_990, 59_990);
        let mut sleeper = Command::new("sleep")
            .arg("600")
            .uid(59_990)
            .gid(59_990)
            .spawn()
            .unwrap();
        let error = ProgramUsers::claim_below(locks.path(), alone, 1).unwrap_err();
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert!(matches!(error, UsersError::Exhausted { .. }), "{error}");
        assert!(ProgramUsers::claim_below(locks.path(), alone, 1).is_ok());
    }
}
