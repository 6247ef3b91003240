//! Who the server runs as: it refuses root, and shares its process limit with no other service.

use std::ffi::OsString;
use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::home::walk;
use crate::{LocalError, tool};

/// User ids for the search servers of environments, a thousandth of which a machine never sees at once:
/// above what systemd gives containers (to 1,879,048,191), below what it keeps for foreign file systems
/// (from 2,147,352,576), and in no `/etc/subuid` as distributions make it. The kernel counts the
/// processes of each user against that user's limit, so a server must share its user with nothing else;
/// the agent's programs have ids of a range of their own.
pub const USERS: RangeInclusive<u32> = 2_100_000_000..=2_100_999_999;
/// The same for a container that has 65,536 users only: neither Debian nor systemd gives these away.
pub const FEW_USERS: RangeInclusive<u32> = 65_520..=65_529;

const UNSHARE: [&str; 3] = ["--user", "--map-user=65534", "--map-group=65534"];

/// Who the server runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// The person who started it.
    Caller,
    /// A user and a group of this number, which need no entry in the system's lists; it owns the server's data.
    Own(u32),
    /// Root who looks like nobody, in a user namespace: for a folder that other users may not enter,
    /// like one below `/root`.
    Namespace,
}

impl Identity {
    /// For a server whose data is in `data` and that reads `others`; all of them exist.
    pub(super) async fn choose(data: &Path, others: [&Path; 2]) -> Result<Self, LocalError> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(Self::Caller);
        }
        let closed = std::iter::once(data)
            .chain(others)
            .find_map(closed_to_others);
        let number = own_number(data, |number| {
            is_mapped("/proc/self/uid_map", number) && is_mapped("/proc/self/gid_map", number)
        });
        let path = match (closed, number) {
            (None, Some(number)) => return Ok(Self::Own(number)),
            (Some(path), _) => path,
            (None, None) => data.to_owned(),
        };
        let mut attempt = Command::new("unshare");
        attempt.args(UNSHARE).arg("true");
        let works = tool::run(
            "making a user namespace",
            &mut attempt,
            Duration::from_secs(10),
        )
        .await;
        works
            .map(|_| Self::Namespace)
            .map_err(|_| LocalError::Closed { path })
    }

    /// User and group id that the process is started with; `None` for the caller's.
    pub(super) fn user(self) -> Option<(u32, u32)> {
        match self {
            Self::Own(number) => Some((number, number)),
            Self::Caller | Self::Namespace => None,
        }
    }

    /// Makes the server the owner of its folder, whoever it ran as before.
    pub(super) fn give(self, folder: &Path) -> Result<(), LocalError> {
        let owner = match self {
            Self::Caller => return Ok(()),
            Self::Own(number) => number,
            Self::Namespace => 0,
        };
        walk(folder, &mut |path, meta| {
            if meta.uid() == owner && meta.gid() == owner {
                return Ok(());
            }
            lchown(path, Some(owner), Some(owner))
        })
    }

    /// The program and the arguments that run `program` with `args` so.
    pub(super) fn wrap(self, program: PathBuf, args: Vec<OsString>) -> (PathBuf, Vec<OsString>) {
        if self != Self::Namespace {
            return (program, args);
        }
        let mut wrapped = UNSHARE.map(OsString::from).to_vec();
        wrapped.push(program.into());
        wrapped.extend(args);
        ("unshare".into(), wrapped)
    }
}

/// The number for a server with this folder, the same each time; `None` when this process may use none of
/// the ranges. Two folders have the same number once in a million, of the few of a
/// small container once in ten.
fn own_number(data: &Path, is_usable: impl Fn(u32) -> bool) -> Option<u32> {
    let real = fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
    let hash = Sha256::digest(real.as_os_str().as_encoded_bytes());
    let hash = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    [USERS, FEW_USERS]
        .into_iter()
        .map(|range| range.start() + hash % (range.end() - range.start() + 1))
        .find(|number| is_usable(*number))
}

/// Whether a user namespace has this number. Systems without such namespaces have every number.
fn is_mapped(map: &str, number: u32) -> bool {
    fs::read_to_string(map).map_or(true, |map| has_number(&map, number))
}

/// A map has lines of three numbers: the first inside, the first outside, how many.
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

/// The first folder on the way to `path` that other users may not enter, or `path` itself when they may
/// not read it.
fn closed_to_others(path: &Path) -> Option<PathBuf> {
    let mode = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.mode());
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if mode(&real) & 0o005 != 0o005 {
        return Some(real);
    }
    let mut above: Vec<&Path> = real.ancestors().skip(1).collect();
    above.reverse();
    above
        .into_iter()
        .find(|folder| mode(folder) & 0o001 == 0)
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::set_mode;

    #[test]
    fn a_closed_folder_on_the_way_is_found() {
        let folder = tempfile::tempdir().unwrap();
        set_mode(folder.path(), 0o700).unwrap();
        let inside = folder.path().join("a/b");
        fs::create_dir_all(&inside).unwrap();
        let found = closed_to_others(&inside).unwrap();
        assert_eq!(found, fs::canonicalize(folder.path()).unwrap());
    }

    #[test]
    fn each_folder_has_a_number_of_its_own_and_keeps_it() {
        let number = |path: &str| own_number(Path::new(path), |_| true).unwrap();
        assert_eq!(number("/srv/a"), number("/srv/a"));
        assert_ne!(number("/srv/a"), number("/srv/b"));
        assert!(USERS.contains(&number("/srv/a")));
    }

    #[test]
    fn a_container_with_few_users_gives_one_of_its_own() {
        let rootless = "         0       1000          1\n         1     100000      65536\n";
        let number = own_number(Path::new("/srv/a"), |number| has_number(rootless, number));
        assert!(FEW_USERS.contains(&number.unwrap()));
        assert_eq!(own_number(Path::new("/srv/a"), |_| false), None);
        let everyone = "         0          0 4294967295\n";
        assert!(has_number(everyone, *USERS.end()));
        assert!(!has_number("", 0));
    }
}
