//! IDX, the format of MNIST and Fashion-MNIST.
//!
//! Two zero bytes, the type (8 is an unsigned byte), how many dimensions, each as a big-endian 32-bit number, and the
//! bytes. Source: yann.lecun.com/exdb/mnist, "File formats for the MNIST database".

use crate::half::Pictures;

const UNSIGNED_BYTE: u8 = 8;

/// The dimensions and the bytes of a file; else what is wrong.
fn read(bytes: &[u8], dimensions: u8) -> Result<(Vec<usize>, &[u8]), String> {
    let expected = [0, 0, UNSIGNED_BYTE, dimensions];
    let (magic, mut rest) = bytes.split_at_checked(4).ok_or("it ends early")?;
    if magic != expected {
        return Err(format!("it begins with {magic:?}, not with {expected:?}"));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let (size, after) = rest.split_first_chunk::<4>().ok_or("it ends early")?;
        shape.push(u32::from_be_bytes(*size) as usize);
        rest = after;
    }
    let told = shape
        .iter()
        .try_fold(1_usize, |all, it| all.checked_mul(*it));
    match told {
        Some(told) if told == rest.len() => Ok((shape, rest)),
        _ => Err(format!("{shape:?} go with {} bytes", rest.len())),
    }
}

/// Pictures of 28 × 28 with their labels, each of an own file.
pub(crate) fn pictures(images: &[u8], labels: &[u8]) -> Result<Pictures, String> {
    let (shape, pixels) = read(images, 3).map_err(|problem| format!("pictures: {problem}"))?;
    let (n_labels, labels) = read(labels, 1).map_err(|problem| format!("labels: {problem}"))?;
    if shape[1..] != [28, 28] {
        return Err(format!("the pictures are {} × {}", shape[1], shape[2]));
    }
    if shape[0] != n_labels[0] {
        return Err(format!("{} pictures, {} labels", shape[0], n_labels[0]));
    }
    Ok(Pictures {
        pixels: pixels.to_vec(),
        labels: labels.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(shape: &[u32], bytes: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, 8, u8::try_from(shape.len()).unwrap()];
        shape.iter().for_each(|it| file.extend(it.to_be_bytes()));
        file.extend(bytes);
        file
    }

    #[test]
    fn pictures_and_labels_are_read_and_what_does_not_fit_is_refused() {
        let (images, labels) = (file(&[2, 28, 28], &[7; 2 * 784]), file(&[2], &[3, 9]));
        let read = pictures(&images, &labels).unwrap();
        assert_eq!((read.pixels.len(), read.labels), (2 * 784, vec![3, 9]));
        for (images, labels, expected) in [
            (&images[..20], &labels[..], "pictures"),
            (&images, &labels[..9], "labels"),
            (&images, &file(&[3], &[1, 2, 3]), "2 pictures, 3 labels"),
            (&file(&[1, 2, 2], &[0; 4]), &labels, "2 × 2"),
            (&labels, &images, "begins with"),
            (&file(&[u32::MAX; 3], &[0]), &labels, "go with 1 bytes"),
        ] {
            let problem = pictures(images, labels).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
        assert!(pictures(&[0, 0, 8], &[]).is_err());
    }
}
