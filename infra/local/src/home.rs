//! Where an environment keeps everything, and who hears about its progress.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::LocalError;

/// The folder of one environment. Nothing of the environment is outside it.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// An environment in `root`; the folder need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = absolute(root.into());
        Self { root }
    }

    /// The folder itself, absolute; [`remove_folder`] of it destroys the environment.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where [`crate::python::Venv`] is.
    pub(crate) fn venv(&self) -> PathBuf {
        self.root.join("venv")
    }

    /// What was fetched, and what was assembled from it.
    pub fn downloads(&self) -> PathBuf {
        self.root.join("downloads")
    }

    /// `NAME.json` and `NAME.port` of each service, `NAME.told` with what it was started with.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// One log file a service.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// What must survive a restart: the emulator's objects and state, the index, the agent's state.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Temporary files of the services.
    pub fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// The file that guards the virtual environment and the downloads against two installers at once.
    pub(crate) fn tools_lock(&self) -> PathBuf {
        self.root.join("tools.lock")
    }
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// Hears what a long step is doing. Implementations decide how to show it.
pub trait Progress: Send + Sync {
    /// Called before and within every long step, with one short line.
    fn note(&self, text: &str);
}

/// Drops every note, for tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn note(&self, _text: &str) {}
}

/// Makes `path` and what is above it, readable for other users whatever the umask says: a service may
/// run as another user than the one who installs it.
pub(crate) fn make_folder(path: &Path) -> Result<(), LocalError> {
    let mut missing: Vec<&Path> = path.ancestors().take_while(|part| !part.exists()).collect();
    missing.reverse();
    fs::create_dir_all(path).map_err(LocalError::file("make the folder", path))?;
    for part in missing {
        set_mode(part, 0o755)?;
    }
    Ok(())
}

/// Sets a file's permission bits.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), LocalError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(LocalError::file("set the permissions of", path))
}

/// Writes a file in one step: a reader sees the old content or the new, never a part.
///
/// # Errors
///
/// When the file, or the one beside it that becomes it, cannot be written.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), LocalError> {
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    fs::write(&partial, content).map_err(LocalError::file("write", &partial))?;
    set_mode(&partial, 0o644)?;
    fs::rename(&partial, path).map_err(LocalError::file("write", path))
}

/// Removes a folder and everything in it; one that is not there is fine.
pub fn remove_folder(path: &Path) -> Result<(), LocalError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(LocalError::file("remove the folder", path)(error))
        }
        _ => Ok(()),
    }
}

/// Calls `visit` for `path` and everything below it; links are not followed.
pub(crate) fn walk(
    path: &Path,
    visit: &mut dyn FnMut(&Path, &fs::Metadata) -> io::Result<()>,
) -> Result<(), LocalError> {
    let meta = fs::symlink_metadata(path).map_err(LocalError::file("look at", path))?;
    visit(path, &meta).map_err(LocalError::file("change", path))?;
    if meta.is_dir() {
        for entry in fs::read_dir(path).map_err(LocalError::file("list", path))? {
            let entry = entry.map_err(LocalError::file("list", path))?;
            walk(&entry.path(), visit)?;
        }
    }
    Ok(())
}
