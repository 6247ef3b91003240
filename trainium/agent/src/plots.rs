//! Finds the image files a program left in its working folder.
//!
//! The folder is hostile: names with line breaks, links to other files, pipes, a million files. Only
//! regular files are read, below the descriptor of the run's files and without following a link, and every name is
//! made safe before it becomes a key.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, OFlags};

use crate::run_dir::RunFiles;

/// Most files taken.
const MAX_FILES: usize = 20;
/// Largest file taken, bytes.
const MAX_FILE: u64 = 10 * 1024 * 1024;
/// Largest sum of all files, bytes.
const MAX_TOTAL: u64 = 50 * 1024 * 1024;
/// Folders below the working folder that are looked into.
const MAX_DEPTH: usize = 4;
/// Most directory entries looked at.
const MAX_ENTRIES: usize = 10_000;
/// Longest name, bytes, before a number is added.
const MAX_NAME: usize = 80;

/// An image file that becomes an object below `{paper_id}/outputs/plots/`.
#[derive(Debug, PartialEq, Eq)]
pub struct Plot {
    /// Only `A-Z a-z 0-9 . _ -`, unique among the run's plots.
    pub name: String,
    /// The media type that goes with the name's ending.
    pub content_type: &'static str,
    /// Its content as the program wrote it; nothing here looks whether it is an image.
    pub bytes: Vec<u8>,
}

/// The image files of a run, by path, as far as the limits allow.
pub fn collect(files: &RunFiles) -> Vec<Plot> {
    let mut plots = Vec::new();
    let mut names = BTreeSet::new();
    let mut total = 0;
    for path in image_files(files) {
        if plots.len() == MAX_FILES {
            break;
        }
        let Some(content_type) = content_type(&path) else {
            continue;
        };
        let Some(bytes) = read_regular(files, &path, MAX_FILE.min(MAX_TOTAL - total)) else {
            continue;
        };
        total += bytes.len() as u64;
        let name = unique(safe_name(&path.to_string_lossy()), &mut names);
        plots.push(Plot {
            name,
            content_type,
            bytes,
        });
    }
    plots
}

fn content_type(path: &Path) -> Option<&'static str> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "png" => Some("image/png"),
        "jpg" | "jpeg" => Some("image/jpeg"),
        // A browser runs the scripts in one that calls itself an image.
        "svg" => Some("application/octet-stream"),
        "pdf" => Some("application/pdf"),
        _ => None,
    }
}

/// Paths below the working folder with an image's ending, sorted, so the same files always give the same plots.
fn image_files(files: &RunFiles) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut seen = 0;
    let mut folders = vec![(PathBuf::new(), 0)];
    while let Some((current, depth)) = folders.pop() {
        let Ok(folder) = files
            .open(&current, OFlags::DIRECTORY)
            .and_then(|fd| Ok(Dir::new(fd)?))
        else {
            continue;
        };
        for entry in folder.flatten() {
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            seen += 1;
            if seen > MAX_ENTRIES {
                break;
            }
            let path = current.join(OsStr::from_bytes(name));
            // The entry's own type: a link to a folder or a file is a link and left alone.
            match entry.file_type() {
                FileType::Directory if depth < MAX_DEPTH => folders.push((path, depth + 1)),
                FileType::RegularFile if content_type(&path).is_some() => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// Reads a file that is regular, has one name only and is not larger than `limit`.
pub(crate) fn read_regular(files: &RunFiles, path: &Path, limit: u64) -> Option<Vec<u8>> {
    let file = File::from(files.open(path, OFlags::empty()).ok()?);
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.nlink() != 1 || metadata.len() == 0 || metadata.len() > limit
    {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// `a/b c.png` becomes `a_b_c.png`; the ending survives a cut.
fn safe_name(path: &str) -> String {
    let safe: String = path
        .chars()
        .map(|c| match c {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | '-' => c,
            _ => '_',
        })
        .collect();
    // A leading dot would make `.` or `..` of what other tools may unpack as a path.
    let safe = safe.replace("..", "__");
    let kept = safe.len().saturating_sub(MAX_NAME);
    let name = &safe[kept..];
    name.strip_prefix('.')
        .map_or_else(|| name.to_owned(), |rest| format!("_{rest}"))
}

fn unique(name: String, taken: &mut BTreeSet<String>) -> String {
    let (stem, ending) = name.rsplit_once('.').unwrap_or((&name, ""));
    let mut candidate = name.clone();
    let mut number = 1;
    while !taken.insert(candidate.clone()) {
        number += 1;
        candidate = format!("{stem}-{number}.{ending}");
    }
    candidate
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::run_dir::{RunFolder, WORK};

    /// The files of a run without a sandbox, and its working folder.
    fn files() -> (tempfile::TempDir, RunFiles, PathBuf) {
        let runs = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(runs.path(), None).unwrap();
        let work = folder.path().join(WORK);
        (runs, RunFiles::in_folder(folder).unwrap(), work)
    }

    fn names(files: &RunFiles) -> Vec<String> {
        collect(files).into_iter().map(|plot| plot.name).collect()
    }

    #[test]
    fn hostile_names_become_safe_and_stay_apart() {
        let (_runs, files, folder) = files();
        fs::create_dir(folder.join("sub")).unwrap();
        for name in [
            "loss a.png",
            "loss\nb.PNG",
            "loss:b.PNG",
            "sub/x.svg",
            "é.jpg",
            ".png",
            "..png",
            "a.txt",
        ] {
            fs::write(folder.join(name), "x").unwrap();
        }
        assert_eq!(
            names(&files),
            [
                "__png",
                "loss_b.PNG",
                "loss_a.png",
                "loss_b-2.PNG",
                "sub_x.svg",
                "_.jpg"
            ]
        );
    }

    #[test]
    fn links_pipes_and_empty_files_are_left_alone() {
        let (_runs, files, folder) = files();
        let at = |name: &str| folder.join(name);
        symlink("/etc/passwd", at("link.png")).unwrap();
        symlink("/etc", at("folder.png")).unwrap();
        symlink("/", at("root")).unwrap();
        nix::unistd::mkfifo(&at("pipe.png"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(at("empty.png"), "").unwrap();
        fs::write(at("real.pdf"), "%PDF").unwrap();
        fs::hard_link(at("real.pdf"), at("same.pdf")).unwrap();
        assert_eq!(collect(&files), []);
        fs::remove_file(at("same.pdf")).unwrap();
        assert_eq!(names(&files), ["real.pdf"]);
    }

    #[test]
    fn number_and_size_are_limited() {
        let (_runs, files, folder) = files();
        for number in 0..30 {
            fs::write(folder.join(format!("{number:02}.png")), "x").unwrap();
        }
        let large = fs::File::create(folder.join("0.png")).unwrap();
        large.set_len(MAX_FILE + 1).unwrap();
        let found = names(&files);
        assert_eq!(found.len(), MAX_FILES);
        assert!(!found.contains(&"0.png".to_owned()));
    }
}
