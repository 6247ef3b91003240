//! The files of one run, and how what a program wrote is removed.
//!
//! In the sandbox they are on a file system in memory that only this value keeps: when it is dropped they are gone, however
//! many there are and whatever they are called. The agent reads them below the directory it was handed, never by a
//! path that the program could have turned elsewhere. Without a sandbox they are in a folder of the state folder.

use std::ffi::CStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::unistd::chown;
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2, renameat, unlinkat,
};

use crate::users::ProgramUser;

/// The program's working and home folder below the top of its files.
pub(crate) const WORK: &str = "work";
/// Its folder for temporary files.
pub(crate) const TMP: &str = "tmp";
/// What is left where something could not be removed.
const ASIDE: &str = "aside-";

/// All that a program wrote. Dropping it removes it.
#[derive(Debug)]
pub struct RunFiles {
    top: OwnedFd,
    /// Without a sandbox; removed after `top` is closed.
    _folder: Option<RunFolder>,
}

impl RunFiles {
    /// The files below a directory that the launcher handed over.
    pub(crate) fn handed_over(top: OwnedFd) -> Self {
        Self { top, _folder: None }
    }

    /// The files of a run without a sandbox.
    pub(crate) fn in_folder(folder: RunFolder) -> io::Result<Self> {
        Ok(Self {
            top: File::open(folder.path())?.into(),
            _folder: Some(folder),
        })
    }

    /// Opens something below the program's working folder, as [`Self::open_in`] does.
    ///
    /// # Errors
    ///
    /// As there.
    pub(crate) fn open(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        self.open_in(WORK, path, flags)
    }

    /// Opens something below one of the two folders, [`WORK`] or [`TMP`]: no link is followed, and nothing mounted is
    /// entered.
    ///
    /// # Errors
    ///
    /// When it is not there, not readable, or not below that folder.
    pub(crate) fn open_in(&self, folder: &str, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
        let passed = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat2(&self.top, folder, passed, Mode::empty(), resolve)?;
        // The folder itself has no name below itself.
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        Ok(openat2(&folder, path, flags, Mode::empty(), resolve)?)
    }

    /// Whether there is no room for another block or another file.
    pub(crate) fn are_full(&self) -> bool {
        rustix::fs::fstatvfs(&self.top)
            .is_ok_and(|found| found.f_blocks > 0 && (found.f_bavail == 0 || found.f_favail == 0))
    }
}

/// A folder for one run without a sandbox. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct RunFolder {
    root: tempfile::TempDir,
}

impl RunFolder {
    /// Makes a folder below `runs`, writable for the program's user.
    ///
    /// # Errors
    ///
    /// When the disk is full or `runs` is not ours.
    pub(crate) fn create(runs: &Path, owner: Option<ProgramUser>) -> io::Result<Self> {
        let root = tempfile::Builder::new().prefix("run-").tempdir_in(runs)?;
        // The program's user must pass, and must not see.
        fs::set_permissions(root.path(), Permissions::from_mode(0o711))?;
        for folder in [WORK, TMP] {
            let folder = root.path().join(folder);
            fs::create_dir(&folder)?;
            fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
            if let Some(owner) = owner {
                chown(&folder, Some(owner.uid()), Some(owner.gid()))?;
            }
        }
        Ok(Self { root })
    }

    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        clear(self.root.path());
    }
}

/// Removes a folder of the state folder. What cannot be removed is moved aside and told, so that it is in nobody's way.
pub(crate) fn clear(folder: &Path) {
    let Err(error) = remove(folder) else { return };
    let name = format!("{ASIDE}{:08x}", fastrand::u32(..));
    let aside = folder.with_file_name(name);
    let moved = fs::rename(folder, &aside);
    tracing::warn!(
        folder = %folder.display(), aside = %aside.display(), moved = moved.is_ok(), %error,
        "what a program left cannot be removed"
    );
}

/// Whether [`clear`] left this, which a later start tries again.
pub(crate) fn is_aside(name: &str) -> bool {
    name.starts_with(ASIDE)
}

/// Removes a folder however deep it is, with two descriptors: what is in a folder of it is moved to its top first.
fn remove(folder: &Path) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = match rustix::fs::open(folder, flags, Mode::empty()) {
        Ok(top) => top,
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut moved = 0_u64;
    loop {
        let names = names(&top)?;
        if names.is_empty() {
            break;
        }
        for (name, kind) in names {
            if kind != FileType::Directory {
                unlinkat(&top, &name, AtFlags::empty())?;
                continue;
            }
            open_to_us(&top, &name)?;
            let inner = openat(&top, &name, flags, Mode::empty())?;
            empty_into(&inner, &top, &mut moved)?;
            unlinkat(&top, &name, AtFlags::REMOVEDIR)?;
        }
    }
    fs::remove_dir(folder)
}

/// Removes the files of `folder` and moves its folders to `top`.
fn empty_into(folder: &OwnedFd, top: &OwnedFd, moved: &mut u64) -> io::Result<()> {
    for (name, kind) in names(folder)? {
        if kind != FileType::Directory {
            unlinkat(folder, &name, AtFlags::empty())?;
        } else if unlinkat(folder, &name, AtFlags::REMOVEDIR).is_err() {
            // Moving a folder changes it.
            open_to_us(folder, &name)?;
            loop {
                *moved += 1;
                // A program may have chosen this very name.
                match renameat(folder, &name, top, format!("moved-{moved}")) {
                    Err(rustix::io::Errno::NOTEMPTY | rustix::io::Errno::EXIST) => {}
                    Err(rustix::io::Errno::NOTDIR) => {}
                    done => break done?,
                }
            }
        }
    }
    Ok(())
}

/// A program may take away its own permission to look into a folder.
fn open_to_us(parent: &OwnedFd, name: &CStr) -> io::Result<()> {
    rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
    Ok(())
}

fn names(folder: impl AsFd) -> io::Result<Vec<(std::ffi::CString, FileType)>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push((name.to_owned(), entry.file_type()));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(runs: &tempfile::TempDir) -> (RunFolder, OwnedFd) {
        let folder = RunFolder::create(runs.path(), None).unwrap();
        let top = File::open(folder.path()).unwrap().into();
        (folder, top)
    }

    #[test]
    fn nothing_stays_behind_and_links_are_not_followed() {
        let runs = tempfile::tempdir().unwrap();
        let precious = runs.path().join("precious");
        fs::create_dir(&precious).unwrap();
        let (folder, _) = top(&runs);
        let root = folder.path().to_owned();
        let work = root.join(WORK);
        std::os::unix::fs::symlink(&precious, work.join("link")).unwrap();
        fs::create_dir_all(work.join("shut/inner")).unwrap();
        fs::create_dir_all(root.join("moved-1/deep/er")).unwrap();
        fs::write(work.join("shut/inner/file"), "x").unwrap();
        fs::set_permissions(work.join("shut"), Permissions::from_mode(0o000)).unwrap();
        drop(folder);
        assert!(!root.exists());
        assert!(precious.exists());
    }

    #[test]
    fn folders_deeper_than_any_path_or_number_of_descriptors_are_removed() {
        let runs = tempfile::tempdir().unwrap();
        let (folder, top) = top(&runs);
        let root = folder.path().to_owned();
        let mut current = top;
        for _ in 0..5_000 {
            rustix::fs::mkdirat(&current, "nested", Mode::RWXU).unwrap();
            current = openat(&current, "nested", OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        drop(folder);
        assert!(!root.exists());
    }

    #[test]
    fn what_cannot_be_removed_is_moved_aside() {
        let runs = tempfile::tempdir().unwrap();
        let file = runs.path().join("runs");
        fs::write(&file, "no folder").unwrap();
        clear(&file);
        assert!(!file.exists());
        let left: Vec<_> = fs::read_dir(runs.path()).unwrap().flatten().collect();
        assert!(is_aside(&left[0].file_name().to_string_lossy()));
    }

    #[test]
    fn only_what_is_below_the_working_folder_is_opened() {
        let runs = tempfile::tempdir().unwrap();
        let (folder, _) = top(&runs);
        let work = folder.path().join(WORK);
        fs::write(work.join("file"), "x").unwrap();
        std::os::unix::fs::symlink("file", work.join("link")).unwrap();
        std::os::unix::fs::symlink("/", work.join("root")).unwrap();
        let files = RunFiles::in_folder(folder).unwrap();
        let opens = |path: &str| files.open(path.as_ref(), OFlags::empty()).is_ok();
        assert!(opens("file"));
        for path in ["link", "root/etc/passwd", "../tmp", "/etc/passwd"] {
            assert!(!opens(path), "{path}");
        }
    }
}
