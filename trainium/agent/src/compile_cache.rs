//! What the Neuron compiler made, kept across runs and starts of the agent: each graph takes it minutes otherwise.
//!
//! A program's cache is among its own files, counted and limited as they are, and begins with copies of two folders
//! that it may only read: the seed, which the agent's own self-test compiled, and what this very program (same SHA-256)
//! compiled before. What is in it afterwards is kept for that program alone: a compiled graph is a program for the
//! device, and nothing can tell a hostile one. The compiler names graphs itself, below its version
//! (`neuronxcc-VERSION/MODULE_…/model.neff`), so a new version finds none of an old one's.
//! Source: Neuron documentation, "Neuron Persistent Cache".

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use annapurna_contract::Backend;
use rustix::fs::{Dir, FileType, OFlags};
use sha2::{Digest, Sha256};

use crate::device;
use crate::run_dir::{RunFiles, TMP};

/// The cache in a program's folder for temporary files.
pub(crate) const FOLDER: &str = "neuron-compile-cache";
/// What a killed compiler leaves, for which the next one would wait for ever.
const LOCK: &str = "lock";
/// Folders in each other: the compiler's version, the graph.
const MAX_DEPTH: usize = 4;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
struct Most {
    /// Of one program, bytes; a small model's graphs are a few megabytes.
    bytes: u64,
    /// Of one program; four a graph.
    files: usize,
    /// Of all programs together, bytes; the root volume has 512 GiB.
    all_bytes: u64,
}

const MOST: Most = Most {
    bytes: 256 << 20,
    files: 2_000,
    all_bytes: 16 << 30,
};

/// The folders of graphs; clones are of the same folders.
#[derive(Debug, Clone)]
pub(crate) struct CompileCache {
    programs: PathBuf,
    /// On the same file system, and emptied at each start of the agent.
    scratch: PathBuf,
    /// The folder of the self-test among them.
    seed: String,
    most: Most,
}

impl CompileCache {
    /// Below the agent's folder; `scratch` is one of it that is emptied when the agent starts.
    pub(crate) fn below(state_dir: &Path, scratch: PathBuf, backend: Backend) -> Self {
        Self {
            programs: state_dir.join("compiled"),
            scratch,
            seed: name(device::self_test(backend).as_bytes()),
            most: MOST,
        }
    }

    /// The folders that a program begins with, as far as they are there; the seed is the last.
    pub(crate) fn offered(&self, code: &[u8]) -> Vec<PathBuf> {
        let mut names = vec![name(code), self.seed.clone()];
        names.dedup();
        let folders = names.into_iter().map(|name| self.programs.join(name));
        folders.filter(|folder| folder.is_dir()).collect()
    }

    /// Keeps what a run of `code` has in its cache beside the seed's graphs, in place of what was kept of it before.
    ///
    /// # Errors
    ///
    /// When the disk is full or not ours; what was kept before is kept then, or nothing.
    pub(crate) fn keep(&self, code: &[u8], files: &RunFiles) -> io::Result<()> {
        let name = name(code);
        let beside = (name != self.seed).then(|| self.programs.join(&self.seed));
        fs::create_dir_all(&self.programs)?;
        let new = tempfile::Builder::new()
            .prefix("compiled-")
            .tempdir_in(&self.scratch)?;
        if self.copy_from(files, beside.as_deref(), new.path())? == 0 {
            return Ok(());
        }
        let target = self.programs.join(&name);
        match fs::remove_dir_all(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(new.path(), &target)?;
        self.forget_oldest(&name)
    }

    /// Copies the regular files of a run's cache, as far as the limits allow; how many.
    fn copy_from(&self, files: &RunFiles, beside: Option<&Path>, to: &Path) -> io::Result<usize> {
        let (mut n_files, mut left) = (0, self.most.bytes);
        let mut folders = vec![(PathBuf::new(), 0)];
        while let Some((current, depth)) = folders.pop() {
            let below = Path::new(FOLDER).join(&current);
            let opened = files.open_in(TMP, &below, OFlags::DIRECTORY);
            let Ok(folder) = opened.and_then(|folder| Ok(Dir::new(folder)?)) else {
                continue;
            };
            for entry in folder.flatten() {
                let name = entry.file_name().to_bytes();
                if name == b"." || name == b".." || n_files == self.most.files {
                    continue;
                }
                let path = current.join(OsStr::from_bytes(name));
                match entry.file_type() {
                    FileType::Directory if depth < MAX_DEPTH => folders.push((path, depth + 1)),
                    FileType::RegularFile if is_kept(&path, beside) => {
                        n_files += usize::from(copy_file(files, &path, to, &mut left)?);
                    }
                    _ => {}
                }
            }
        }
        Ok(n_files)
    }

    /// Removes the programs that ran longest ago until the rest is not too much. Neither the seed nor `but` is removed.
    fn forget_oldest(&self, but: &str) -> io::Result<()> {
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.programs)? {
            let entry = entry?;
            let bytes = size(&entry.path())?;
            kept.push((entry.metadata()?.modified()?, bytes, entry.path()));
        }
        kept.sort();
        let mut all: u64 = kept.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in kept {
            if all <= self.most.all_bytes {
                break;
            }
            let stays = [but, &self.seed].map(OsStr::new);
            if !stays.contains(&path.file_name().unwrap_or_default()) {
                fs::remove_dir_all(&path)?;
                all -= bytes;
            }
        }
        Ok(())
    }
}

/// What the folder of a program is called.
fn name(code: &[u8]) -> String {
    hex::encode(Sha256::digest(code))
}

fn is_kept(path: &Path, beside: Option<&Path>) -> bool {
    let is_lock = path.extension().is_some_and(|ending| ending == LOCK);
    !is_lock && beside.is_none_or(|beside| !beside.join(path).exists())
}

/// False for what is no longer a regular file, or too large for what is left.
fn copy_file(files: &RunFiles, path: &Path, to: &Path, left: &mut u64) -> io::Result<bool> {
    let below = Path::new(FOLDER).join(path);
    let Ok(source) = files.open_in(TMP, &below, OFlags::empty()) else {
        return Ok(false);
    };
    let source = File::from(source);
    let metadata = source.metadata()?;
    if !metadata.is_file() || metadata.len() > *left {
        return Ok(false);
    }
    let copied = to.join(path);
    if let Some(parent) = copied.parent() {
        fs::create_dir_all(parent)?;
    }
    *left -= io::copy(&mut source.take(metadata.len()), &mut File::create(copied)?)?;
    Ok(true)
}

fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => size(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}

/// Makes a program's cache of the folders it is offered, a later one's files in place of an earlier one's, and gives it
/// to `owner`. In the sandbox, before anything is given up; where there is no room for all of it, the program begins
/// without.
pub(crate) fn begin_with(offered: &[PathBuf], cache: &Path, owner: Option<u32>) {
    let copied = offered.iter().try_for_each(|from| copy_tree(from, cache));
    if copied.and_then(|()| give(cache, owner)).is_err() {
        // Half a graph would be worse than none; what cannot be removed is the program's to overwrite.
        let _ = fs::remove_dir_all(cache);
    }
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let copy = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &copy)?;
        } else {
            io::copy(&mut File::open(entry.path())?, &mut File::create(&copy)?)?;
        }
    }
    Ok(())
}

/// Gives a folder away, what is in it first: after that this process may not look into it any more.
fn give(path: &Path, owner: Option<u32>) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), owner)?;
        }
    }
    chown(path, owner, owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::RunFolder;

    /// A state folder, and the files of one run in it.
    struct Place {
        state: tempfile::TempDir,
        cache: CompileCache,
    }

    impl Place {
        fn new() -> Self {
            let state = tempfile::tempdir().unwrap();
            fs::create_dir(state.path().join("runs")).unwrap();
            let scratch = state.path().join("runs");
            let cache = CompileCache::below(state.path(), scratch, Backend::Xla);
            Self { state, cache }
        }

        /// Has a run of `code` compile these files.
        fn run(&self, code: &[u8], compiled: &[(&str, &str)]) {
            let folder = RunFolder::create(&self.state.path().join("runs"), None).unwrap();
            let below = folder.path().join(TMP).join(FOLDER);
            for (path, content) in compiled {
                fs::create_dir_all(below.join(path).parent().unwrap()).unwrap();
                fs::write(below.join(path), content).unwrap();
            }
            fs::create_dir_all(&below).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", below.join("link")).unwrap();
            self.cache
                .keep(code, &RunFiles::in_folder(folder).unwrap())
                .unwrap();
        }

        /// The files that a program begins with, with their content.
        fn begins_with(&self, code: &[u8]) -> Vec<(String, String)> {
            let cache = self.state.path().join("own");
            begin_with(&self.cache.offered(code), &cache, None);
            let mut found = Vec::new();
            let mut folders = vec![cache.clone()];
            while let Some(folder) = folders.pop() {
                for path in fs::read_dir(folder).into_iter().flatten().flatten() {
                    let path = path.path();
                    if path.is_dir() {
                        folders.push(path);
                    } else {
                        let name = path.strip_prefix(&cache).unwrap().to_str().unwrap();
                        found.push((name.to_owned(), fs::read_to_string(&path).unwrap()));
                    }
                }
            }
            let _ = fs::remove_dir_all(&cache);
            found.sort();
            found
        }
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn a_program_begins_with_the_seed_and_its_own_graphs_and_nobody_elses() {
        let place = Place::new();
        let seed = device::self_test(Backend::Xla);
        assert!(place.begins_with(b"one").is_empty());
        place.run(
            seed.as_bytes(),
            &[("v1/s/model.neff", "seed"), ("v1/s/a.lock", "")],
        );
        let own = [("v1/m/model.neff", "mine"), ("v1/s/model.neff", "hostile")];
        place.run(b"one", &own);
        let both = pairs(&[("v1/m/model.neff", "mine"), ("v1/s/model.neff", "seed")]);
        assert_eq!(place.begins_with(b"one"), both);
        assert_eq!(place.begins_with(b"two"), both[1..]);
        place.run(b"one", &[]);
        assert_eq!(
            place.begins_with(b"one"),
            both,
            "a run without graphs forgets none"
        );
        assert_eq!(
            fs::read_dir(place.state.path().join("runs"))
                .unwrap()
                .count(),
            0
        );
    }

    #[test]
    fn too_much_is_not_kept_and_the_oldest_goes_first() {
        let mut place = Place::new();
        place.cache.most = Most {
            bytes: 6,
            files: 2,
            all_bytes: 9,
        };
        place.run(b"large", &[("a", "1234567")]);
        assert!(place.begins_with(b"large").is_empty());
        place.run(b"many", &[("a", "1"), ("b", "1"), ("c", "1")]);
        assert_eq!(place.begins_with(b"many").len(), 2);
        place.run(device::self_test(Backend::Xla).as_bytes(), &[("s", "12")]);
        place.run(b"next", &[("a", "12345")]);
        assert_eq!(
            place.begins_with(b"many").len(),
            3,
            "all of it is just enough"
        );
        place.run(b"last", &[("a", "123456")]);
        let left = [b"many", b"next", b"last"].map(|code| place.begins_with(code).len());
        assert_eq!(left, [1, 1, 2], "the seed and the newest stay");
    }

    #[test]
    fn without_room_a_program_begins_without_half_a_cache() {
        let place = Place::new();
        place.run(b"one", &[("v1/m/model.neff", "mine")]);
        let blocked = place.state.path().join("blocked");
        fs::create_dir_all(blocked.join("v1/m/model.neff")).unwrap();
        begin_with(&place.cache.offered(b"one"), &blocked, None);
        assert!(!blocked.exists());
    }
}
