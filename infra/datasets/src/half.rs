//! One half of a set: its tensors, as they are written.

use std::borrow::Cow;

use safetensors::{Dtype, View};

/// A tensor with a name, in memory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Named {
    pub(crate) name: &'static str,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

impl View for &Named {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// The samples of `train` or `test`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Half {
    pub(crate) tensors: Vec<Named>,
    /// Samples that the loader makes of them.
    pub(crate) samples: u64,
}

/// Pictures with a class each.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Pictures {
    /// Channel, then row, then column, of one picture after the other.
    pub(crate) pixels: Vec<u8>,
    pub(crate) labels: Vec<u8>,
}

impl Pictures {
    /// Pictures of one shape, each with a class below `classes`; else what is wrong.
    pub(crate) fn into_half(self, shape: [usize; 3], classes: u64) -> Result<Half, String> {
        let n = self.labels.len();
        let size: usize = shape.iter().product();
        if n == 0 {
            return Err("it has no picture".to_owned());
        }
        if Some(self.pixels.len()) != n.checked_mul(size) {
            let bytes = self.pixels.len();
            return Err(format!(
                "{n} labels go with {bytes} bytes of pictures, {size} bytes each"
            ));
        }
        if let Some(label) = self.labels.iter().find(|it| u64::from(**it) >= classes) {
            return Err(format!("there is a class {label}, of {classes}"));
        }
        let whole = std::iter::once(n).chain(shape).collect();
        Ok(Half {
            tensors: vec![
                Named {
                    name: "x",
                    dtype: Dtype::U8,
                    shape: whole,
                    bytes: self.pixels,
                },
                Named {
                    name: "y",
                    dtype: Dtype::U8,
                    shape: vec![n],
                    bytes: self.labels,
                },
            ],
            samples: n as u64,
        })
    }
}

/// 32-bit numbers as a tensor's bytes.
pub(crate) fn of_words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
