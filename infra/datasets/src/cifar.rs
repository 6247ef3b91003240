//! The binary version of CIFAR-10 and CIFAR-100: records of one or two labels and 3,072 bytes, the red ones first.
//!
//! Source: cs.toronto.edu/~kriz/cifar.html, "Binary version". Of CIFAR-100's two labels the second, fine one is kept. The
//! version for Python is a pickle.

use std::collections::BTreeMap;
use std::path::Path;

use crate::archive::each_of_tar;
use crate::error::DatasetError;
use crate::half::Pictures;

/// Channels, height and width.
pub(crate) const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;

/// How one of the two is packed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packing {
    pub(crate) folder: &'static str,
    pub(crate) train: &'static [&'static str],
    pub(crate) test: &'static str,
    /// Where the classes' names are.
    pub(crate) names: &'static str,
    /// Labels before the pixels; the last is the class.
    pub(crate) labels: usize,
}

pub(crate) const CIFAR10: Packing = Packing {
    folder: "cifar-10-batches-bin",
    train: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
    ],
    test: "test_batch.bin",
    names: "batches.meta.txt",
    labels: 1,
};

pub(crate) const CIFAR100: Packing = Packing {
    folder: "cifar-100-binary",
    train: &["train.bin"],
    test: "test.bin",
    names: "fine_label_names.txt",
    labels: 2,
};

/// Both halves and the classes' names.
pub(crate) fn read(
    path: &Path,
    packing: Packing,
) -> Result<(Pictures, Pictures, Vec<String>), DatasetError> {
    let mut members: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let own = |name: &str| {
        let (folder, file) = name.split_once('/')?;
        let wanted = [packing.test, packing.names];
        let is_wanted = wanted.contains(&file) || packing.train.contains(&file);
        (folder == packing.folder && is_wanted).then(|| file.to_owned())
    };
    each_of_tar(
        path,
        |name| own(name).is_some(),
        |name, bytes| {
            if let Some(file) = own(name)
                && members.insert(file, bytes).is_some()
            {
                return Err("it is there twice".to_owned());
            }
            Ok(())
        },
    )?;
    let mut take = |name: &str| {
        let missing = || DatasetError::format(path, format!("`{name}` is missing"));
        members.remove(name).ok_or_else(missing)
    };
    let mut train = Pictures::default();
    for name in packing.train {
        add(&mut train, &take(name)?, packing.labels)
            .map_err(|problem| DatasetError::format(path, format!("`{name}`: {problem}")))?;
    }
    let mut test = Pictures::default();
    add(&mut test, &take(packing.test)?, packing.labels)
        .map_err(|problem| DatasetError::format(path, format!("`{}`: {problem}", packing.test)))?;
    let names = String::from_utf8_lossy(&take(packing.names)?).into_owned();
    let names = names.lines().map(str::trim).filter(|it| !it.is_empty());
    Ok((train, test, names.map(str::to_owned).collect()))
}

fn add(pictures: &mut Pictures, bytes: &[u8], labels: usize) -> Result<(), String> {
    let record = labels + PIXELS;
    let records = bytes.chunks_exact(record);
    if !records.remainder().is_empty() {
        let length = bytes.len();
        return Err(format!("{length} bytes are no records of {record}"));
    }
    for record in records {
        let (labels, pixels) = record.split_at(labels);
        pictures.labels.extend(labels.last());
        pictures.pixels.extend_from_slice(pixels);
    }
    Ok(())
}
