//! Packs binaries into zips whose names are their content's SHA-256.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::Zip;
use crate::error::CommandError;

/// A file's name in the zip, its length in bytes, and when it changed, in nanoseconds since 1970.
type Input = (String, u64, i128);

/// What a zip was made of, so that an unchanged binary is not packed again.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Packed {
    inputs: Vec<Input>,
    sha256: String,
}

pub(super) fn pack(
    folder: &Path,
    name: &str,
    key_prefix: &str,
    files: &[(String, PathBuf)],
) -> Result<Zip, CommandError> {
    std::fs::create_dir_all(folder).map_err(CommandError::file("make", folder))?;
    let path = folder.join(format!("{name}.zip"));
    let note = folder.join(format!("{name}.json"));
    let inputs = files.iter().map(input).collect::<Result<Vec<_>, _>>()?;
    let known: Option<Packed> = std::fs::read(&note)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    let sha256 = match known.filter(|known| known.inputs == inputs && path.is_file()) {
        Some(known) => known.sha256,
        None => {
            let bytes = zip_of(files)?;
            let sha256 = hex::encode(Sha256::digest(&bytes));
            std::fs::write(&path, bytes).map_err(CommandError::file("write", &path))?;
            let packed = serde_json::to_vec(&Packed {
                inputs,
                sha256: sha256.clone(),
            })?;
            std::fs::write(&note, packed).map_err(CommandError::file("write", &note))?;
            sha256
        }
    };
    Ok(Zip {
        path,
        key: format!("{key_prefix}/{sha256}.zip"),
    })
}

/// # Errors
///
/// Also when the system does not say when the file changed: an old zip could not be told from a new one.
fn input((name, path): &(String, PathBuf)) -> Result<Input, CommandError> {
    let metadata = std::fs::metadata(path).map_err(CommandError::file("read", path))?;
    let modified = metadata.modified();
    let modified = modified.map_err(CommandError::file("learn the age of", path))?;
    let nanos = match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => i128::try_from(after.as_nanos()),
        Err(before) => i128::try_from(before.duration().as_nanos()).map(|nanos| -nanos),
    };
    let nanos = nanos.map_err(std::io::Error::other);
    let nanos = nanos.map_err(CommandError::file("learn the age of", path))?;
    Ok((name.clone(), metadata.len(), nanos))
}

/// A zip that depends on its files' names and content only: no times, fixed permissions.
fn zip_of(files: &[(String, PathBuf)]) -> Result<Vec<u8>, CommandError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1))
        .unix_permissions(0o755)
        .last_modified_time(zip::DateTime::default());
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, path) in files {
        let content = std::fs::read(path).map_err(CommandError::file("read", path))?;
        let written = archive
            .start_file(name.as_str(), options)
            .map_err(std::io::Error::other)
            .and_then(|()| archive.write_all(&content));
        written.map_err(CommandError::file("pack", path))?;
    }
    let archive = archive.finish().map_err(std::io::Error::other);
    Ok(archive
        .map_err(CommandError::file("pack", "a zip"))?
        .into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_make_the_same_zip() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bootstrap");
        std::fs::write(&file, "binary").unwrap();
        let files = vec![("bootstrap".to_owned(), file.clone())];
        let first = zip_of(&files).unwrap();
        std::fs::write(&file, "binary").unwrap();
        assert_eq!(zip_of(&files).unwrap(), first);
        std::fs::write(&file, "another").unwrap();
        assert_ne!(zip_of(&files).unwrap(), first);
    }

    #[test]
    fn a_changed_binary_has_another_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("judge");
        std::fs::write(&file, "one").unwrap();
        let files = vec![("bootstrap".to_owned(), file.clone())];
        let first = pack(folder.path(), "judge", "functions/judge", &files).unwrap();
        assert_eq!(
            pack(folder.path(), "judge", "functions/judge", &files).unwrap(),
            first
        );
        std::fs::write(&file, "other").unwrap();
        assert_ne!(
            pack(folder.path(), "judge", "functions/judge", &files)
                .unwrap()
                .key,
            first.key
        );
    }
}
