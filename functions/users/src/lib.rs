//! User ids that nobody else has, for what root starts and what must share its user with nothing.
//!
//! The kernel counts processes by user and lets a user signal and debug its own, so two services with one user
//! share a limit and a fate. A number is taken when no account and no group has it, the system knows it, no
//! process runs as it, and nobody else of this machine holds its lock. No account is made; the group has
//! the same number. The agent takes one for each slot and the local OpenSearch one, by this one protocol, so
//! that they never meet.

mod processes;
mod range;

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};

pub use processes::tasks_of;
pub use range::{RangeError, UserRange};

/// One locked file for each number in use. Root's own folder, so nobody else can hold a lock; the same one
/// for everybody of the machine, so it is no setting, and emptied by a start of the machine.
const LOCKS: &str = "/run/annapurna-program-users";

/// Why there is no user.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The others are somebody's, run something, or are locked.
    #[error("of the user ids {range} fewer than {wanted} are free")]
    Exhausted {
        /// All that were looked at.
        range: UserRange,
        /// How many were to be claimed at once.
        wanted: usize,
    },
    /// The folder of the locks is not this process's to write.
    #[error(
        "cannot claim user ids with {}: root needs a /run that it may write, so mount one (in a container \
         `--tmpfs /run`), or start as another user",
        path.display()
    )]
    Locks {
        /// The folder, or a file in it.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
}

/// A user and the group of the same number, held until this is dropped or the process ends in any way. What
/// runs as it holds it as well: nobody is given the number of a running process.
#[derive(Debug)]
pub struct ClaimedUser {
    number: u32,
    _lock: File,
}

impl ClaimedUser {
    /// User and group id.
    pub fn number(&self) -> u32 {
        self.number
    }
}

/// Where claims are written down.
#[derive(Debug, Clone)]
pub struct Claims {
    locks: PathBuf,
}

impl Claims {
    /// Those of everybody on this machine; only root may write there.
    pub fn of_this_machine() -> Self {
        Self::below(Path::new(LOCKS))
    }

    /// Those of a test, in a folder that is made when it is not there.
    pub fn below(locks: &Path) -> Self {
        Self {
            locks: locks.to_owned(),
        }
    }

    /// Takes `count` numbers of the range. It is looked through once, beginning at its `start`th number and from
    /// its end on at its beginning, so whoever comes with the same `start` mostly gets the same numbers.
    ///
    /// # Errors
    ///
    /// [`ClaimError::Exhausted`] and [`ClaimError::Locks`]; then none is held.
    pub fn claim(
        &self,
        range: UserRange,
        count: usize,
        start: u32,
    ) -> Result<Vec<ClaimedUser>, ClaimError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ClaimError::Locks { path, source }
        };
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&self.locks);
        made.map_err(failed(&self.locks))?;
        let mut claimed = Vec::new();
        for number in range.beginning_at(start) {
            if claimed.len() == count {
                break;
            }
            let path = self.locks.join(number.to_string());
            let lock = File::create(&path).map_err(failed(&path))?;
            match lock.try_lock() {
                Ok(()) if is_free(number) => claimed.push(ClaimedUser {
                    number,
                    _lock: lock,
                }),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(failed(&path)(source)),
            }
        }
        if claimed.len() < count {
            return Err(ClaimError::Exhausted {
                range,
                wanted: count,
            });
        }
        Ok(claimed)
    }
}

/// Whether the number is nobody's. Programs may live a moment longer than the lock of who started them.
fn is_free(number: u32) -> bool {
    // A system that cannot say has not said that the number is free.
    let no_account = matches!(User::from_uid(Uid::from_raw(number)), Ok(None));
    let no_group = matches!(Group::from_gid(Gid::from_raw(number)), Ok(None));
    no_account && no_group && range::is_mapped(number) && tasks_of(number) == 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::sync::Barrier;

    use annapurna_test_needs::needs;

    use super::*;

    const FOUR: UserRange = UserRange::new(60_000, 60_003);

    fn numbers(users: &[ClaimedUser]) -> Vec<u32> {
        let mut numbers: Vec<u32> = users.iter().map(ClaimedUser::number).collect();
        numbers.sort_unstable();
        numbers
    }

    fn claims() -> (tempfile::TempDir, Claims) {
        let folder = tempfile::tempdir().unwrap();
        let claims = Claims::below(folder.path());
        (folder, claims)
    }

    #[test]
    fn two_never_share_a_user_and_a_number_comes_back() {
        let (_folder, claims) = claims();
        let one = claims.claim(FOUR, 2, 3).unwrap();
        assert_eq!(numbers(&one), [60_000, 60_003]);
        let other = claims.claim(FOUR, 2, 3).unwrap();
        assert_eq!(numbers(&other), [60_001, 60_002]);
        let error = claims.claim(FOUR, 1, 0).unwrap_err().to_string();
        assert_eq!(error, "of the user ids 60000-60003 fewer than 1 are free");
        drop(one);
        assert_eq!(
            numbers(&claims.claim(FOUR, 2, 3).unwrap()),
            [60_000, 60_003]
        );
    }

    #[test]
    fn whoever_does_not_get_all_holds_none() {
        let (_folder, claims) = claims();
        assert!(claims.claim(FOUR, 5, 0).is_err());
        assert_eq!(claims.claim(FOUR, 4, 0).unwrap().len(), 4);
    }

    #[test]
    fn all_at_once_get_one_each_and_one_more_gets_none() {
        let (_folder, claims) = claims();
        let (begin, end) = (Barrier::new(5), Barrier::new(5));
        let taken = std::thread::scope(|scope| {
            let claimers: Vec<_> = (0..5)
                .map(|_| {
                    scope.spawn(|| {
                        begin.wait();
                        let mine = claims.claim(FOUR, 1, 0);
                        // Nobody gives back before everybody has asked.
                        end.wait();
                        mine.map(|mine| mine[0].number())
                    })
                })
                .collect();
            let joined = claimers.into_iter().map(|claimer| claimer.join().unwrap());
            joined.collect::<Vec<_>>()
        });
        let mut numbers: Vec<u32> = taken.iter().flatten().copied().collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [60_000, 60_001, 60_002, 60_003]);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named_with_what_to_do() {
        // Not even root makes a folder there.
        let nowhere = Claims::below(Path::new("/proc/annapurna-program-users"));
        let said = nowhere.claim(FOUR, 1, 0).unwrap_err().to_string();
        assert!(
            said.contains("/proc/annapurna-program-users") && said.contains("--tmpfs /run"),
            "{said}"
        );
    }

    #[test]
    fn a_number_with_an_account_is_left_alone() {
        let (_folder, claims) = claims();
        let daemon = User::from_name("daemon").unwrap().unwrap().uid.as_raw();
        let error = claims.claim(UserRange::new(daemon, daemon), 1, 0);
        assert!(
            matches!(error, Err(ClaimError::Exhausted { .. })),
            "{error:?}"
        );
    }

    #[test]
    fn a_number_that_a_process_runs_as_is_left_alone() {
        let is_root = nix::unistd::geteuid().is_root();
        if needs(is_root.then_some(()), "root", "run the tests as root").is_none() {
            return;
        }
        let (_folder, claims) = claims();
        let alone = UserRange::new(59_990, 59_990);
        let user = claims.claim(alone, 1, 0).unwrap();
        let mut sleeper = Command::new("sleep")
            .arg("600")
            .uid(59_990)
            .gid(59_990)
            .spawn()
            .unwrap();
        // The lock may go as soon as the process is there.
        drop(user);
        let error = claims.claim(alone, 1, 0);
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert!(
            matches!(error, Err(ClaimError::Exhausted { .. })),
            "{error:?}"
        );
        assert!(claims.claim(alone, 1, 0).is_ok());
    }
}
