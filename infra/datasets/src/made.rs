//! A set in memory, and its way into a folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use annapurna_contract::dataset::{DatasetDescription, File};
use sha2::{Digest, Sha256};

use crate::error::DatasetError;
use crate::half::Half;

/// A set that was made and is not written yet.
#[derive(Debug)]
pub struct Made {
    /// Without its files.
    pub(crate) description: DatasetDescription,
    pub(crate) train: Half,
    pub(crate) test: Half,
    /// The words by number; empty where there are none.
    pub(crate) words: Vec<String>,
}

impl Made {
    /// Writes the set's files into `folder`, which is made, and the description last. What else is there stays.
    ///
    /// # Errors
    ///
    /// [`DatasetError`] when the folder cannot be written or the set breaks a rule of descriptions.
    pub fn write(self, folder: &Path) -> Result<DatasetDescription, DatasetError> {
        fs::create_dir_all(folder).map_err(DatasetError::file(folder))?;
        let mut files = BTreeMap::new();
        for (part, half) in [("train", &self.train), ("test", &self.test)] {
            let partial = folder.join(format!("{part}.part"));
            let tensors = half.tensors.iter().map(|it| (it.name, it));
            safetensors::serialize_to_file(tensors, None, &partial)
                .map_err(|error| DatasetError::format(&partial, error))?;
            let file = keep(folder, &partial, part, "safetensors")?;
            files.insert(part.to_owned(), file);
        }
        if !self.words.is_empty() {
            let partial = folder.join("vocabulary.part");
            let words = serde_json::to_vec(&self.words)
                .map_err(|error| DatasetError::format(&partial, error))?;
            fs::write(&partial, words).map_err(DatasetError::file(&partial))?;
            let file = keep(folder, &partial, "vocabulary", "json")?;
            files.insert("vocabulary".to_owned(), file);
        }
        let description = DatasetDescription {
            files,
            train: self.train.samples,
            test: self.test.samples,
            ..self.description
        };
        description
            .check()
            .map_err(|error| DatasetError::Own(error.to_string()))?;
        let path = folder.join("dataset.json");
        let json = serde_json::to_vec_pretty(&description)
            .map_err(|error| DatasetError::format(&path, error))?;
        fs::write(&path, json).map_err(DatasetError::file(&path))?;
        Ok(description)
    }
}

/// Gives a written file the name that its bytes have.
fn keep(folder: &Path, partial: &Path, part: &str, ending: &str) -> Result<File, DatasetError> {
    let (sha256, bytes) = digest_of(partial)?;
    let file = File::of(part, ending, sha256, bytes);
    let path = folder.join(&file.name);
    fs::rename(partial, &path).map_err(DatasetError::file(&path))?;
    Ok(file)
}

/// SHA-256 of a file, hexadecimal, and its bytes.
///
/// # Errors
///
/// [`DatasetError::File`].
pub fn digest_of(path: &Path) -> Result<(String, u64), DatasetError> {
    let mut file = fs::File::open(path).map_err(DatasetError::file(path))?;
    let (mut digest, mut bytes) = (Sha256::new(), 0);
    let mut chunk = vec![0; 1 << 16];
    loop {
        match file.read(&mut chunk).map_err(DatasetError::file(path))? {
            0 => return Ok((hex::encode(digest.finalize()), bytes)),
            n => {
                digest.update(&chunk[..n]);
                bytes += n as u64;
            }
        }
    }
}
