//! `{name}_pytorch.pt`, which the project before this one kept in its bucket: pictures and classes as torch saved them.
//!
//! A zip archive with a pickle, which [`pickle`](crate::pickle) reads without running it, and each tensor's numbers in a
//! file. The dictionary is `train_data`, `train_labels`, `test_data`, `test_labels`; pictures are floats from 0 to 1, or bytes.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::ZipArchive;

use crate::archive::read_limited;
use crate::error::DatasetError;
use crate::half::Pictures;
use crate::pickle::{self, Tensor, Value};

/// Bytes of the pickle: it holds no numbers of pictures.
const PICKLE_LIMIT: u64 = 1 << 20;
/// Numbers of one tensor; CIFAR's pictures are 153,600,000.
const MOST_NUMBERS: u64 = 1 << 28;

type Archive = ZipArchive<BufReader<File>>;

/// Both halves.
pub(crate) fn pictures(path: &Path) -> Result<[Pictures; 2], DatasetError> {
    let wrong = |problem: String| DatasetError::format(path, problem);
    let file = File::open(path).map_err(DatasetError::file(path))?;
    let mut archive =
        ZipArchive::new(BufReader::new(file)).map_err(|error| wrong(error.to_string()))?;
    let is_pickle = |name: &std::borrow::Cow<'_, str>| name.ends_with("/data.pkl");
    let pickled = archive.file_names().filter_map(Result::ok).find(is_pickle);
    let pickled = pickled.map(std::borrow::Cow::into_owned);
    let pickled = pickled.ok_or_else(|| wrong("it has no `data.pkl`".to_owned()))?;
    let root = pickled.trim_end_matches("data.pkl").to_owned();
    let member = archive
        .by_name(&pickled)
        .map_err(|error| wrong(error.to_string()))?;
    let bytes = read_limited(member, PICKLE_LIMIT).map_err(wrong)?;
    let content = pickle::read(&bytes).map_err(wrong)?;
    let mut half = |part: &str| -> Result<Pictures, String> {
        let pixels = tensor(&content, &format!("{part}_data"))?;
        let labels = tensor(&content, &format!("{part}_labels"))?;
        Ok(Pictures {
            pixels: numbers(&mut archive, &root, pixels, 255.0)?,
            labels: numbers(&mut archive, &root, labels, 1.0)?,
        })
    };
    Ok([half("train").map_err(wrong)?, half("test").map_err(wrong)?])
}

fn tensor<'a>(content: &'a Value, name: &str) -> Result<&'a Tensor, String> {
    let Value::Dict(entries) = content else {
        return Err("it is no dictionary".to_owned());
    };
    let of_name = |key: &Value| matches!(key, Value::Text(text) if **text == *name);
    match entries.iter().find(|(key, _)| of_name(key)) {
        Some((_, Value::Tensor(tensor))) => Ok(tensor),
        Some(_) => Err(format!("`{name}` is no tensor")),
        None => Err(format!("it has no `{name}`")),
    }
}

/// A tensor's numbers as bytes; floats are multiplied by `scale`.
fn numbers(
    archive: &mut Archive,
    root: &str,
    tensor: &Tensor,
    scale: f32,
) -> Result<Vec<u8>, String> {
    let count = tensor
        .shape
        .iter()
        .try_fold(1_u64, |all, it| all.checked_mul(*it));
    let count = count.filter(|it| *it <= MOST_NUMBERS);
    let count = count.ok_or_else(|| format!("a tensor of {:?} is too large", tensor.shape))?;
    if tensor.stride != contiguous(&tensor.shape) {
        return Err("a tensor's numbers are not in order".to_owned());
    }
    let width = match &*tensor.storage {
        "torch FloatStorage" => 4,
        "torch LongStorage" => 8,
        "torch ByteStorage" => 1,
        other => return Err(format!("numbers of the type `{other}` are not read")),
    };
    let member = format!("{root}data/{}", tensor.key);
    let mut member = archive
        .by_name(&member)
        .map_err(|error| format!("`{member}`: {error}"))?;
    let mut skipped = tensor.offset.saturating_mul(width);
    let mut chunk = vec![0; 1 << 16];
    while skipped > 0 {
        let n = skipped.min(chunk.len() as u64) as usize;
        member
            .read_exact(&mut chunk[..n])
            .map_err(|error| error.to_string())?;
        skipped -= n as u64;
    }
    let mut bytes = Vec::new();
    let mut left = count;
    while left > 0 {
        let n = left.min(chunk.len() as u64 / width) as usize;
        let part = &mut chunk[..n * width as usize];
        member.read_exact(part).map_err(|error| error.to_string())?;
        for number in part.chunks_exact(width as usize) {
            bytes.push(byte(number, scale)?);
        }
        left -= n as u64;
    }
    Ok(bytes)
}

/// The stride of a tensor whose last dimension's numbers lie side by side.
fn contiguous(shape: &[u64]) -> Vec<u64> {
    let mut stride: Vec<u64> = Vec::new();
    let mut step = 1_u64;
    for size in shape.iter().rev() {
        stride.push(step);
        step = step.saturating_mul(*size);
    }
    stride.reverse();
    stride
}

fn byte(number: &[u8], scale: f32) -> Result<u8, String> {
    let beyond = || "a number is beyond its range".to_owned();
    match number {
        [byte] => Ok(*byte),
        [a, b, c, d] => {
            let scaled = (f32::from_le_bytes([*a, *b, *c, *d]) * scale).round();
            // Also false of what is no number.
            if (0.0..=255.0).contains(&scaled) {
                Ok(scaled as u8)
            } else {
                Err(beyond())
            }
        }
        other => {
            let whole: [u8; 8] = other.try_into().map_err(|_| beyond())?;
            u8::try_from(i64::from_le_bytes(whole)).map_err(|_| beyond())
        }
    }
}
