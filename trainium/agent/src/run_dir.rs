//! The folder of one run: made fresh, measured while the program writes into it, removed after it.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::chown;

use crate::users::ProgramUser;

/// More files than this are refused like too many bytes: each costs an inode.
const MAX_ENTRIES: u64 = 100_000;

/// A run's folder. Dropping it removes it with all the program wrote.
#[derive(Debug)]
pub struct RunFiles {
    root: tempfile::TempDir,
}

impl RunFiles {
    /// Makes a folder below `runs`, writable for the program's user.
    ///
    /// # Errors
    ///
    /// When the disk is full or `runs` is not ours.
    pub(crate) fn create(runs: &Path, owner: Option<ProgramUser>) -> io::Result<Self> {
        let root = tempfile::Builder::new().prefix("run-").tempdir_in(runs)?;
        // The program's user must pass, and must not see.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o711))?;
        let run = Self { root };
        for folder in [run.work(), run.tmp()] {
            fs::create_dir(&folder)?;
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
            if let Some(owner) = owner {
                chown(&folder, Some(owner.uid()), Some(owner.gid()))?;
            }
        }
        Ok(run)
    }

    /// The program's working and home folder: `/program` in bubblewrap, this path under Landlock.
    pub(crate) fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.path().join("tmp")
    }

    /// Whether the program wrote more than `limit` bytes, or so that it cannot be measured.
    pub(crate) fn is_over(&self, limit: u64) -> bool {
        let mut used = Used::default();
        [self.work(), self.tmp()]
            .iter()
            .any(|folder| measure(folder, limit, &mut used).is_err())
    }
}

impl Drop for RunFiles {
    fn drop(&mut self) {
        if let Err(error) = remove(self.root.path()) {
            tracing::warn!(folder = %self.root.path().display(), %error, "a run's folder stays behind");
        }
    }
}

#[derive(Default)]
struct Used {
    bytes: u64,
    entries: u64,
}

/// The program took more than it may.
struct Over;

fn measure(folder: &Path, limit: u64, used: &mut Used) -> Result<(), Over> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => return Err(Over),
    };
    for entry in entries.flatten() {
        // A file that went away meanwhile takes no room.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        used.entries += 1;
        used.bytes += metadata.blocks() * 512;
        if used.bytes > limit || used.entries > MAX_ENTRIES {
            return Err(Over);
        }
        if metadata.is_dir() {
            measure(&entry.path(), limit, used)?;
        }
    }
    Ok(())
}

/// Removes a folder even if a program took away its own permission to look into parts of it.
///
/// # Errors
///
/// When something in it is not ours.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => {
            unlock(folder);
            fs::remove_dir_all(folder)
        }
    }
}

fn unlock(folder: &Path) {
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // The entry's own type: what a link points to is not ours to change.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            unlock(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_measured_by_its_blocks() {
        let runs = tempfile::tempdir().unwrap();
        let run = RunFiles::create(runs.path(), None).unwrap();
        fs::create_dir(run.work().join("deep")).unwrap();
        fs::write(run.work().join("deep/file"), vec![1; 100_000]).unwrap();
        fs::write(run.tmp().join("file"), vec![1; 100_000]).unwrap();
        assert!(run.is_over(150_000));
        assert!(!run.is_over(300_000));
    }

    #[test]
    fn nothing_stays_behind_and_links_are_not_followed() {
        let runs = tempfile::tempdir().unwrap();
        let precious = runs.path().join("precious");
        fs::create_dir(&precious).unwrap();
        let run = RunFiles::create(runs.path(), None).unwrap();
        let root = run.root.path().to_owned();
        std::os::unix::fs::symlink(&precious, run.work().join("link")).unwrap();
        fs::create_dir_all(run.work().join("shut/inner")).unwrap();
        fs::set_permissions(run.work().join("shut"), fs::Permissions::from_mode(0o000)).unwrap();
        drop(run);
        assert!(!root.exists());
        assert!(precious.exists());
    }
}
