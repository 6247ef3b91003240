//! Makes sets of small files and reads what was written.

use std::fs;
use std::path::Path;

use annapurna_contract::dataset::DatasetDescription;
use annapurna_datasets::{Checking, DatasetError, recipe};
use safetensors::SafeTensors;

/// Makes the set of a folder and gives its description with the folder it was written to.
pub(crate) fn make(
    name: &str,
    folder: &Path,
) -> Result<(DatasetDescription, tempfile::TempDir), DatasetError> {
    let made = recipe(name)?.make(folder, Checking::Any)?;
    let written = tempfile::tempdir().unwrap();
    let description = made.write(written.path())?;
    Ok((description, written))
}

/// What is wrong with a folder's files, and its cause.
pub(crate) fn refused(name: &str, folder: &Path) -> String {
    make(name, folder).unwrap_err().to_string()
}

/// Shape and bytes of a tensor that was written.
pub(crate) fn tensor(
    (description, folder): &(DatasetDescription, tempfile::TempDir),
    part: &str,
    name: &str,
) -> (Vec<usize>, Vec<u8>) {
    let bytes = fs::read(folder.path().join(&description.files[part].name)).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = read.tensor(name).unwrap();
    (tensor.shape().to_vec(), tensor.data().to_vec())
}

pub(crate) fn words(bytes: &[u8]) -> Vec<i32> {
    let words = bytes.chunks_exact(4);
    words
        .map(|it| i32::from_le_bytes(it.try_into().unwrap()))
        .collect()
}
