//! Finds the image files a program left in its working folder.
//!
//! The folder is hostile: names with line breaks, links to other files, pipes, a million files. Only
//! regular files are read, links are never followed, and every name is made safe before it becomes a key.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

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
    below(&files.work())
}

fn below(folder: &Path) -> Vec<Plot> {
    let mut plots = Vec::new();
    let mut names = BTreeSet::new();
    let mut total = 0;
    for path in image_files(folder) {
        if plots.len() == MAX_FILES {
            break;
        }
        let Some(content_type) = content_type(&path) else {
            continue;
        };
        let Some(bytes) = read_regular(&path, MAX_FILE.min(MAX_TOTAL - total)) else {
            continue;
        };
        total += bytes.len() as u64;
        let relative = path.strip_prefix(folder).unwrap_or(&path);
        let name = unique(safe_name(&relative.to_string_lossy()), &mut names);
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

/// Paths with an image's ending, sorted, so the same folder always gives the same plots.
fn image_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut seen = 0;
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((current, depth)) = folders.pop() {
        let Ok(entries) = fs::read_dir(&current) else {
            continue;
        };
        for entry in entries.flatten() {
            seen += 1;
            if seen > MAX_ENTRIES {
                break;
            }
            // The entry's own type: a link to a folder or a file is a link and left alone.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => {
                    folders.push((entry.path(), depth + 1));
                }
                Ok(kind) if kind.is_file() && content_type(&entry.path()).is_some() => {
                    found.push(entry.path());
                }
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// Reads a file that is regular, has one name only and is not larger than `limit`.
fn read_regular(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .ok()?;
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
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        below(folder).into_iter().map(|plot| plot.name).collect()
    }

    #[test]
    fn hostile_names_become_safe_and_stay_apart() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
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
            fs::write(folder.path().join(name), "x").unwrap();
        }
        assert_eq!(
            names(folder.path()),
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
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        symlink("/etc/passwd", at("link.png")).unwrap();
        symlink("/etc", at("folder.png")).unwrap();
        symlink("/", at("root")).unwrap();
        nix::unistd::mkfifo(&at("pipe.png"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(at("empty.png"), "").unwrap();
        fs::write(at("real.pdf"), "%PDF").unwrap();
        fs::hard_link(at("real.pdf"), at("same.pdf")).unwrap();
        assert_eq!(below(folder.path()), []);
        fs::remove_file(at("same.pdf")).unwrap();
        assert_eq!(names(folder.path()), ["real.pdf"]);
    }

    #[test]
    fn number_and_size_are_limited() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..30 {
            fs::write(folder.path().join(format!("{number:02}.png")), "x").unwrap();
        }
        let large = fs::File::create(folder.path().join("0.png")).unwrap();
        large.set_len(MAX_FILE + 1).unwrap();
        let found = names(folder.path());
        assert_eq!(found.len(), MAX_FILES);
        assert!(!found.contains(&"0.png".to_owned()));
    }
}
