//! Removing an environment from this machine.
//!
//! However it is cut off, what the environment stored is there as a whole or gone as a whole, and a mark says that the
//! removal was begun: services that it has stopped look like ones that were never started.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use annapurna_local::home::{remove_folder, write_whole};
use annapurna_local::{Home, LocalError, Progress};

use super::stop;

/// What a removal has left that did not come to its end, or is still at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remains {
    /// Every paper, with the index and the state of the cloud, in this folder.
    Papers(PathBuf),
    /// Nothing that was stored; downloads, logs and the like, in this folder.
    Rest(PathBuf),
}

impl Remains {
    /// `None` when no removal was begun, or it took all.
    pub(crate) fn of(home: &Home) -> Option<Self> {
        if !mark(home).exists() {
            return None;
        }
        Some(match home.data().exists() {
            true => Self::Papers(home.data()),
            false => Self::Rest(home.root().to_owned()),
        })
    }

    /// What is there, and what a person can do with it.
    pub(crate) fn in_words(&self, environment: &str) -> String {
        let (destroy, deploy) = ("cargo infra destroy", "cargo infra deploy");
        let begun = format!("a destroy of `{environment}` was begun and has not come to its end: ");
        begun
            + &match self {
                Self::Papers(folder) => format!(
                    "every paper is still in {}; `{destroy} {environment}` removes them, `{deploy} {environment}` \
                     brings everything back",
                    folder.display()
                ),
                Self::Rest(folder) => format!(
                    "its papers are gone, and what else it had is in {}; `{destroy} {environment}` removes it, \
                     `{deploy} {environment}` begins anew with it",
                    folder.display()
                ),
            }
    }
}

/// Writes down that the environment is to go, before anything of it does.
///
/// # Errors
///
/// When the mark cannot be written.
pub(crate) fn begin(home: &Home) -> Result<(), LocalError> {
    write_whole(&mark(home), b"")
}

/// Stops everything, the agent first and the index last, and removes the environment's folder.
///
/// # Errors
///
/// When a process cannot be ended or a file not removed.
pub(crate) async fn finish(home: &Home, progress: &dyn Progress) -> Result<(), LocalError> {
    stop(home, progress).await?;
    condemn(home)?;
    remove_rest(home)?;
    remove_folder(home.root())?;
    // The folder of all environments goes with its last one; it stays while it holds another.
    let _ = home.root().parent().map(fs::remove_dir);
    Ok(())
}

/// Removes everything but the mark, which says for as long as anything is there that it is to go.
fn remove_rest(home: &Home) -> Result<(), LocalError> {
    let (root, mark) = (home.root(), mark(home));
    let list = LocalError::file("list", root);
    let entries: Vec<_> = fs::read_dir(root)
        .and_then(Iterator::collect)
        .map_err(list)?;
    for path in entries
        .iter()
        .map(fs::DirEntry::path)
        .filter(|it| *it != mark)
    {
        if path.is_dir() && !path.is_symlink() {
            remove_folder(&path)?;
        } else {
            fs::remove_file(&path).map_err(LocalError::file("remove", &path))?;
        }
    }
    Ok(())
}

/// Keeps what a removal has left, since the environment is deployed again.
///
/// # Errors
///
/// When what was half removed cannot be removed.
pub(crate) fn call_off(home: &Home) -> Result<(), LocalError> {
    remove_folder(&condemned(home))?;
    let mark = mark(home);
    match fs::remove_file(&mark) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(LocalError::file("remove", &mark)(error))
        }
        _ => Ok(()),
    }
}

/// Takes all that is stored out of the environment in one step: files are removed one after the other.
fn condemn(home: &Home) -> Result<(), LocalError> {
    let (data, condemned) = (home.data(), condemned(home));
    if !data.exists() {
        return Ok(());
    }
    // An earlier removal may have left something there.
    remove_folder(&condemned)?;
    fs::rename(&data, &condemned).map_err(LocalError::file("move aside", &data))
}

fn mark(home: &Home) -> PathBuf {
    in_root(home, "removal-begun")
}

fn condemned(home: &Home) -> PathBuf {
    in_root(home, "data-to-remove")
}

fn in_root(home: &Home, name: impl AsRef<Path>) -> PathBuf {
    home.root().join(name)
}

#[cfg(test)]
mod tests {
    use annapurna_local::Silent;

    use super::*;

    /// An environment with a paper, and the folder around it.
    fn environment() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("state/local"));
        fs::create_dir_all(home.data().join("objects")).unwrap();
        fs::write(home.data().join("objects/paper.pdf"), "%PDF").unwrap();
        fs::create_dir_all(home.downloads()).unwrap();
        (folder, home)
    }

    #[tokio::test]
    async fn nothing_is_left_in_the_end() {
        let (folder, home) = environment();
        begin(&home).unwrap();
        finish(&home, &Silent).await.unwrap();
        assert_eq!(Remains::of(&home), None);
        assert!(!folder.path().join("state").exists());
    }

    #[tokio::test]
    async fn the_mark_outlives_everything_else() {
        let (folder, home) = environment();
        // Before and after the mark, in whatever order they are listed.
        for name in ["aaa", "downloads", "run", "tools.lock.d", "zzz"] {
            fs::create_dir_all(home.root().join(name).join("deep")).unwrap();
            fs::write(home.root().join(name).join("deep/file"), "x").unwrap();
        }
        fs::write(home.root().join("tools.lock"), "").unwrap();
        let elsewhere = folder.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, home.root().join("link")).unwrap();
        begin(&home).unwrap();
        condemn(&home).unwrap();
        remove_rest(&home).unwrap();
        let left: Vec<_> = fs::read_dir(home.root()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(
            Remains::of(&home),
            Some(Remains::Rest(home.root().to_owned()))
        );
        assert!(elsewhere.exists());
        finish(&home, &Silent).await.unwrap();
        assert_eq!(Remains::of(&home), None);
    }

    #[test]
    fn one_that_is_cut_off_before_the_papers_go_is_called_off_with_all_of_them() {
        let (_folder, home) = environment();
        begin(&home).unwrap();
        let remains = Remains::of(&home).unwrap();
        assert_eq!(remains, Remains::Papers(home.data()));
        let said = remains.in_words("local");
        for part in ["every paper", "infra destroy local", "infra deploy local"] {
            assert!(said.contains(part), "{said}");
        }
        call_off(&home).unwrap();
        assert_eq!(Remains::of(&home), None);
        let paper = fs::read(home.data().join("objects/paper.pdf"));
        assert_eq!(paper.unwrap(), b"%PDF");
    }

    #[tokio::test]
    async fn one_that_is_cut_off_while_the_papers_go_leaves_none_to_a_new_environment() {
        let (_folder, home) = environment();
        begin(&home).unwrap();
        condemn(&home).unwrap();
        let remains = Remains::of(&home).unwrap();
        assert_eq!(remains, Remains::Rest(home.root().to_owned()));
        assert!(remains.in_words("local").contains("papers are gone"));
        call_off(&home).unwrap();
        assert!(!condemned(&home).exists() && !home.data().exists());
        assert!(home.downloads().exists());
        // A second removal of a second life, after one that was cut off as well.
        fs::create_dir_all(condemned(&home)).unwrap();
        fs::create_dir_all(home.data()).unwrap();
        finish(&home, &Silent).await.unwrap();
        assert!(!home.root().exists());
    }
}
