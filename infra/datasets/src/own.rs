//! A person's own set: `train` and `test` as safetensors with the tensors `x` and `y`, or as CSV whose last column is the
//! target.
//!
//! What a program is told of it is read off the numbers: bytes `[n, channels, height, width]` are pictures, whole numbers
//! `[n, length]` are words, floats `[n, length]` are a table.

use std::collections::BTreeMap;
use std::path::Path;

use annapurna_contract::dataset::{DatasetDescription, Kind, Tensor, check_name};
use safetensors::{Dtype, SafeTensors};

use crate::archive::read_whole;
use crate::error::DatasetError;
use crate::half::{Half, Named};
use crate::made::Made;

/// Makes the set `name` of what is in `folder`.
///
/// # Errors
///
/// [`DatasetError`]: the files are missing, damaged, or do not go together.
pub fn own(
    name: &str,
    folder: &Path,
    description: &str,
    licence: &str,
) -> Result<Made, DatasetError> {
    check_name(name).map_err(DatasetError::Own)?;
    let [train, test] = ["train", "test"].map(|part| half(name, folder, part));
    let (train, test) = (train?, test?);
    let wrong = |problem: String| DatasetError::format(folder, problem);
    let (kind, input, target) = told(&train, &test).map_err(wrong)?;
    let is_class = kind != Kind::Regression;
    let description = DatasetDescription {
        name: name.to_owned(),
        description: description.to_owned(),
        kind,
        n_classes: is_class.then_some(target.range.1 as u64 + 1),
        classes: Vec::new(),
        vocabulary: (kind == Kind::Text).then_some(input.range.1 as u64 + 1),
        input,
        target,
        train: train.samples,
        test: test.samples,
        licence: licence.to_owned(),
        source: "added by a person".to_owned(),
        files: BTreeMap::new(),
    };
    Ok(Made {
        description,
        train,
        test,
        words: Vec::new(),
    })
}

/// What the numbers of both halves say of the set; else why they do not go together.
fn told(train: &Half, test: &Half) -> Result<(Kind, Tensor, Tensor), String> {
    let [x, y] = train.tensors.as_slice() else {
        return Err("it is no pair of tensors".to_owned());
    };
    let same = |(one, other): (&Named, &Named)| {
        one.dtype == other.dtype && one.shape[1..] == other.shape[1..]
    };
    if !train.tensors.iter().zip(&test.tensors).all(same) {
        return Err("`train` and `test` have other shapes or types".to_owned());
    }
    let both = |index: usize| -> Result<(f64, f64), String> {
        let (one, other) = (range(&train.tensors[index])?, range(&test.tensors[index])?);
        Ok((one.0.min(other.0), one.1.max(other.1)))
    };
    let kind = kind(x, y)?;
    let (of_x, of_y) = (both(0)?, both(1)?);
    if kind != Kind::Regression && of_y.0 < 0.0 {
        return Err(format!("a class is {}: the first is 0", of_y.0));
    }
    let (dtype, of_x) = match kind {
        Kind::Images => ("float32", (0.0, 1.0)),
        Kind::Text => ("int64", of_x),
        _ => ("float32", of_x),
    };
    let tensor = |named: &Named, dtype: &str, range| Tensor {
        shape: named.shape[1..].iter().map(|it| *it as u64).collect(),
        dtype: dtype.to_owned(),
        range,
    };
    let of_target = match kind {
        Kind::Regression => "float32",
        _ => "int64",
    };
    Ok((kind, tensor(x, dtype, of_x), tensor(y, of_target, of_y)))
}

fn kind(x: &Named, y: &Named) -> Result<Kind, String> {
    let is_class = y.shape.len() == 1 && y.dtype != Dtype::F32;
    match (x.dtype, x.shape.len()) {
        (Dtype::U8, 4) if is_class => Ok(Kind::Images),
        (Dtype::I32 | Dtype::I64, 2) if is_class => Ok(Kind::Text),
        (Dtype::F32, 2) if is_class => Ok(Kind::Tabular),
        (Dtype::F32, 2) => Ok(Kind::Regression),
        (dtype, _) => Err(format!(
            "`x` of {dtype:?} {:?} with `y` of {:?} {:?} is neither pictures (U8 [n, channels, height, width]), words \
             (I32 or I64 [n, length]) nor a table (F32 [n, length])",
            x.shape, y.dtype, y.shape
        )),
    }
}

fn half(name: &str, folder: &Path, part: &str) -> Result<Half, DatasetError> {
    let tensors = folder.join(format!("{part}.safetensors"));
    let table = folder.join(format!("{part}.csv"));
    if tensors.is_file() {
        let bytes = read_whole(&tensors)?;
        return of_tensors(&bytes).map_err(|problem| DatasetError::format(&tensors, problem));
    }
    if table.is_file() {
        let bytes = read_whole(&table)?;
        return of_table(&bytes).map_err(|problem| DatasetError::format(&table, problem));
    }
    Err(DatasetError::Missing {
        name: name.to_owned(),
        folder: folder.to_owned(),
        wanted: format!("`{part}.safetensors` or `{part}.csv`"),
    })
}

fn of_tensors(bytes: &[u8]) -> Result<Half, String> {
    let read = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let named = |name: &'static str| -> Result<Named, String> {
        let tensor = read.tensor(name).map_err(|error| error.to_string())?;
        if tensor.shape().is_empty() {
            return Err(format!("`{name}` is a single number"));
        }
        Ok(Named {
            name,
            dtype: tensor.dtype(),
            shape: tensor.shape().to_vec(),
            bytes: tensor.data().to_vec(),
        })
    };
    let tensors = vec![named("x")?, named("y")?];
    let [n, n_targets] = [&tensors[0], &tensors[1]].map(|it| it.shape[0]);
    if n != n_targets || n == 0 {
        return Err(format!("`x` has {n} samples, `y` has {n_targets}"));
    }
    Ok(Half {
        tensors,
        samples: n as u64,
    })
}

/// A table of numbers; the first line is a head where it holds no numbers.
fn of_table(bytes: &[u8]) -> Result<Half, String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(bytes);
    let (mut x, mut targets, mut width) = (Vec::new(), Vec::new(), 0);
    for (line, record) in reader.records().enumerate() {
        let record = record.map_err(|error| error.to_string())?;
        let numbers: Result<Vec<f32>, _> = record.iter().map(|it| it.trim().parse()).collect();
        let numbers = match numbers {
            Ok(numbers) => numbers,
            Err(_) if line == 0 => continue,
            Err(error) => return Err(format!("line {}: {error}", line + 1)),
        };
        if let Some((target, features)) = numbers.split_last() {
            width = features.len();
            targets.push(*target);
            x.extend(features.iter().flat_map(|it| it.to_le_bytes()));
        }
    }
    let n = targets.len();
    if n == 0 || width == 0 {
        return Err("it has no line of numbers and a target".to_owned());
    }
    let x = Named {
        name: "x",
        dtype: Dtype::F32,
        shape: vec![n, width],
        bytes: x,
    };
    Ok(Half {
        tensors: vec![x, targets_of(&targets)],
        samples: n as u64,
    })
}

/// Classes where all are whole numbers from 0, else numbers to be predicted.
fn targets_of(targets: &[f32]) -> Named {
    let is_class = |it: &f32| it.fract() == 0.0 && (0.0..1e6).contains(it);
    let (dtype, bytes) = if targets.iter().all(is_class) {
        let classes = targets.iter().flat_map(|it| (*it as i32).to_le_bytes());
        (Dtype::I32, classes.collect())
    } else {
        let numbers = targets.iter().flat_map(|it| it.to_le_bytes());
        (Dtype::F32, numbers.collect())
    };
    Named {
        name: "y",
        dtype,
        shape: vec![targets.len()],
        bytes,
    }
}

/// Smallest and largest number; an error where one is no number.
fn range(named: &Named) -> Result<(f64, f64), String> {
    let wide = |bytes: &[u8]| -> f64 {
        match (named.dtype, bytes) {
            (Dtype::U8, [it]) => f64::from(*it),
            (Dtype::I32, [a, b, c, d]) => f64::from(i32::from_le_bytes([*a, *b, *c, *d])),
            (Dtype::F32, [a, b, c, d]) => f64::from(f32::from_le_bytes([*a, *b, *c, *d])),
            (Dtype::I64, [a, b, c, d, e, f, g, h]) => {
                i64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as f64
            }
            _ => f64::NAN,
        }
    };
    let width = match named.dtype {
        Dtype::U8 => 1,
        Dtype::I64 => 8,
        Dtype::I32 | Dtype::F32 => 4,
        other => {
            return Err(format!(
                "`{}` is of the type {other:?}, which is not read",
                named.name
            ));
        }
    };
    let mut range = (f64::INFINITY, f64::NEG_INFINITY);
    for number in named.bytes.chunks_exact(width).map(wide) {
        if !number.is_finite() {
            return Err(format!("`{}` has a value that is no number", named.name));
        }
        range = (range.0.min(number), range.1.max(number));
    }
    Ok(range)
}
