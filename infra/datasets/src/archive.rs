//! Reads what a stranger packed, with limits: on the bytes of one file, of all files, and on their number.
//!
//! Nothing is unpacked into a folder. A member is looked at by its name, and links, devices and paths that lead
//! elsewhere are names like any other that nobody asked for.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::DatasetError;

/// Bytes of one member: the largest that is wanted, CIFAR-100's `train.bin`, has 153,700,000.
pub(crate) const MEMBER_LIMIT: u64 = 256 << 20;
/// Bytes of all that an archive unpacks to: aclImdb has about 350 MB, most of it in reviews without a label.
const ARCHIVE_LIMIT: u64 = 2 << 30;
/// Members of an archive: aclImdb has about 100,000.
const MOST_MEMBERS: usize = 400_000;

/// A whole file, unpacked where its name ends in `.gz`.
pub(crate) fn read_whole(path: &Path) -> Result<Vec<u8>, DatasetError> {
    let file = File::open(path).map_err(DatasetError::file(path))?;
    let file = BufReader::new(file);
    let bytes = match path.extension().is_some_and(|it| it == "gz") {
        true => read_limited(MultiGzDecoder::new(file), MEMBER_LIMIT),
        false => read_limited(file, MEMBER_LIMIT),
    };
    bytes.map_err(|problem| DatasetError::format(path, problem))
}

/// What a reader gives, or why not.
pub(crate) fn read_limited(reader: impl Read, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = reader.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > limit {
        return Err(format!("it unpacks to more than {limit} bytes"));
    }
    Ok(bytes)
}

/// Hands each plain file of a `.tar.gz` whose name is wanted to `keep`, with its name.
pub(crate) fn each_of_tar(
    path: &Path,
    wanted: impl Fn(&str) -> bool,
    mut keep: impl FnMut(&str, Vec<u8>) -> Result<(), String>,
) -> Result<(), DatasetError> {
    let wrong = |problem: String| DatasetError::format(path, problem);
    let file = File::open(path).map_err(DatasetError::file(path))?;
    let unpacked = MultiGzDecoder::new(BufReader::new(file)).take(ARCHIVE_LIMIT);
    let mut archive = tar::Archive::new(unpacked);
    let members = archive
        .entries()
        .map_err(|error| wrong(error.to_string()))?;
    for (n_seen, member) in members.enumerate() {
        if n_seen == MOST_MEMBERS {
            return Err(wrong(format!("it has more than {MOST_MEMBERS} members")));
        }
        let mut member = member.map_err(|error| wrong(error.to_string()))?;
        let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        if !member.header().entry_type().is_file() || !wanted(&name) {
            continue;
        }
        let told = member.size();
        let bytes = read_limited(&mut member, MEMBER_LIMIT)
            .map_err(|problem| wrong(format!("`{name}`: {problem}")))?;
        if bytes.len() as u64 != told {
            return Err(wrong(format!("`{name}` ends early")));
        }
        keep(&name, bytes).map_err(|problem| wrong(format!("`{name}`: {problem}")))?;
    }
    Ok(())
}

/// One file of a zip archive.
pub(crate) fn of_zip(path: &Path, name: &str) -> Result<Vec<u8>, DatasetError> {
    let wrong = |problem: String| DatasetError::format(path, problem);
    let file = File::open(path).map_err(DatasetError::file(path))?;
    let mut archive =
        zip::ZipArchive::new(BufReader::new(file)).map_err(|error| wrong(error.to_string()))?;
    let member = archive
        .by_name(name)
        .map_err(|error| wrong(format!("`{name}`: {error}")))?;
    read_limited(member, MEMBER_LIMIT).map_err(|problem| wrong(format!("`{name}`: {problem}")))
}
