//! Who the server runs as: it refuses root, and shares its process limit with no other service.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use annapurna_users::{ClaimedUser, Claims, UserRange};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::home::walk;
use crate::{LocalError, tool};

/// User ids for the search servers of environments, a thousandth of which a machine never sees at once:
/// above what systemd gives containers (to 1,879,048,191), below what it keeps for foreign file systems
/// (from 2,147,352,576), and in no `/etc/subuid` as distributions make it. The kernel counts the
/// processes of each user against that user's limit, so a server must share its user with nothing else;
/// the agent's programs have ids of a range of their own.
pub const USERS: UserRange = UserRange::new(2_100_000_000, 2_100_999_999);
/// The same for a container that has 65,536 users only: neither Debian nor systemd gives these away.
pub const FEW_USERS: UserRange = UserRange::new(65_520, 65_529);

const UNSHARE: [&str; 3] = ["--user", "--map-user=65534", "--map-group=65534"];

/// Who the server runs as; held until the server runs.
#[derive(Debug)]
pub(super) enum Identity {
    /// The person who started it.
    Caller,
    /// A user and a group of one number, which need no entry in the system's lists; it owns the server's data.
    Own(ClaimedUser),
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
        let path = match closed {
            Some(path) => path,
            None => match own_user(&Claims::of_this_machine(), &[USERS, FEW_USERS], data)? {
                Some(user) => return Ok(Self::Own(user)),
                None => data.to_owned(),
            },
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
    pub(super) fn user(&self) -> Option<(u32, u32)> {
        match self {
            Self::Own(user) => Some((user.number(), user.number())),
            Self::Caller | Self::Namespace => None,
        }
    }

    /// Makes the server the owner of its folder, whoever it ran as before.
    pub(super) fn give(&self, folder: &Path) -> Result<(), LocalError> {
        let owner = match self {
            Self::Caller => return Ok(()),
            Self::Own(user) => user.number(),
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
    pub(super) fn wrap(&self, program: PathBuf, args: Vec<OsString>) -> (PathBuf, Vec<OsString>) {
        match self {
            Self::Caller | Self::Own(_) => return (program, args),
            Self::Namespace => {}
        }
        let mut wrapped = UNSHARE.map(OsString::from).to_vec();
        wrapped.push(program.into());
        wrapped.extend(args);
        ("unshare".into(), wrapped)
    }
}

/// A user for the server with this folder: the same each time, unless somebody else has it now. `None` when this
/// process's user namespace has none of the ranges.
fn own_user(
    claims: &Claims,
    ranges: &[UserRange],
    data: &Path,
) -> Result<Option<ClaimedUser>, LocalError> {
    let Some(range) = ranges.iter().find(|range| range.is_mapped()) else {
        return Ok(None);
    };
    let real = fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
    let hash = Sha256::digest(real.as_os_str().as_encoded_bytes());
    let start = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    let claimed = claims.claim(*range, 1, start);
    Ok(claimed.map_err(LocalError::NoUser)?.pop())
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

    /// Numbers for a test alone, whose claims nobody else sees.
    const THREE: UserRange = UserRange::new(59_900, 59_902);

    #[test]
    fn each_folder_has_a_user_of_its_own_and_keeps_it() {
        let locks = tempfile::tempdir().unwrap();
        let claims = Claims::below(locks.path());
        let user = |path: &str| {
            own_user(&claims, &[THREE], Path::new(path))
                .unwrap()
                .unwrap()
        };
        let first = user("/srv/a");
        let number = first.number();
        // Two at once, even of one folder, never meet.
        assert_ne!(user("/srv/a").number(), number);
        drop(first);
        assert_eq!(user("/srv/a").number(), number);
    }

    #[test]
    fn a_server_for_which_no_user_is_free_is_told_so() {
        let locks = tempfile::tempdir().unwrap();
        let claims = Claims::below(locks.path());
        let _all = claims.claim(THREE, 3, 0).unwrap();
        let error = own_user(&claims, &[THREE], Path::new("/srv/a")).unwrap_err();
        let hint = error.hint().unwrap();
        let LocalError::NoUser(cause) = error else {
            panic!("{error}");
        };
        assert!(cause.to_string().contains("59900-59902"), "{cause}");
        assert!(hint.contains("destroy local"), "{hint}");
    }

    #[test]
    fn a_container_without_such_numbers_has_no_user_to_give() {
        let locks = tempfile::tempdir().unwrap();
        let claims = Claims::below(locks.path());
        assert!(
            own_user(&claims, &[], Path::new("/srv/a"))
                .unwrap()
                .is_none()
        );
    }
}
