//! Sets of a person's own.

use std::fs;
use std::path::Path;

use annapurna_contract::dataset::{DatasetDescription, Kind};
use annapurna_datasets::own;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};

fn added(folder: &Path) -> Result<DatasetDescription, String> {
    let made = own("mine", folder, "my set", "mine").map_err(|error| error.to_string())?;
    let written = tempfile::tempdir().unwrap();
    made.write(written.path())
        .map_err(|error| error.to_string())
}

fn tables(train: &str, test: &str) -> Result<DatasetDescription, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("train.csv"), train).unwrap();
    fs::write(folder.path().join("test.csv"), test).unwrap();
    added(folder.path())
}

#[test]
fn a_table_has_its_target_in_the_last_column() {
    let table = tables("a,b,class\n1.5,-2,0\n3,4,2\n", "0,0,1\n").unwrap();
    assert_eq!((table.kind, table.n_classes), (Kind::Tabular, Some(3)));
    assert_eq!(
        (table.input.shape, table.input.range),
        (vec![2], (-2.0, 4.0))
    );
    assert_eq!((table.train, table.test), (2, 1));
    let prices = tables("1,2.5\n2,3\n", "1,0.5\n").unwrap();
    assert_eq!((prices.kind, prices.n_classes), (Kind::Regression, None));
    assert_eq!(prices.target.dtype, "float32");
}

#[test]
fn a_table_that_is_none_is_refused_with_its_line() {
    for (train, expected) in [
        ("1,2\nx,3\n", "line 2"),
        ("", "no line of numbers"),
        ("1\n2\n", "no line of numbers"),
        ("1,2\n1,2,3\n", "fields"),
        ("nan,1\n", "no number"),
    ] {
        let problem = tables(train, "1,2\n").unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    }
    let problem = tables("1,2,0\n", "1,0\n").unwrap_err();
    assert!(problem.contains("other shapes"), "{problem}");
}

fn pair(folder: &Path, part: &str, x: (Dtype, &[usize], &[u8]), y: (Dtype, &[usize], &[u8])) {
    let view = |(dtype, shape, bytes): (Dtype, &[usize], _)| {
        TensorView::new(dtype, shape.to_vec(), bytes).unwrap()
    };
    let tensors = [("x", view(x)), ("y", view(y))];
    serialize_to_file(tensors, None, &folder.join(format!("{part}.safetensors"))).unwrap();
}

#[test]
fn pictures_and_words_are_told_by_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    for part in ["train", "test"] {
        pair(
            folder.path(),
            part,
            (Dtype::U8, &[2, 1, 2, 2], &[0, 9, 0, 0, 1, 1, 255, 1]),
            (Dtype::U8, &[2], &[0, 4]),
        );
    }
    let pictures = added(folder.path()).unwrap();
    assert_eq!((pictures.kind, pictures.n_classes), (Kind::Images, Some(5)));
    assert_eq!(pictures.input.range, (0.0, 1.0));
    let numbers: Vec<u8> = [3_i32, 1, 0, 7]
        .iter()
        .flat_map(|it| it.to_le_bytes())
        .collect();
    for part in ["train", "test"] {
        pair(
            folder.path(),
            part,
            (Dtype::I32, &[2, 2], &numbers),
            (Dtype::U8, &[2], &[0, 1]),
        );
    }
    let words = added(folder.path()).unwrap();
    assert_eq!((words.kind, words.vocabulary), (Kind::Text, Some(8)));
}

#[test]
fn tensors_that_do_not_go_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    pair(
        folder.path(),
        "train",
        (Dtype::U8, &[2, 1, 1, 1], &[1, 2]),
        (Dtype::U8, &[1], &[0]),
    );
    assert!(
        added(folder.path())
            .unwrap_err()
            .contains("`x` has 2 samples, `y` has 1")
    );
    pair(
        folder.path(),
        "train",
        (Dtype::U8, &[1, 2], &[1, 2]),
        (Dtype::U8, &[1], &[0]),
    );
    assert!(
        added(folder.path())
            .unwrap_err()
            .contains("test.safetensors")
    );
    pair(
        folder.path(),
        "test",
        (Dtype::U8, &[1, 2], &[1, 2]),
        (Dtype::U8, &[1], &[0]),
    );
    assert!(
        added(folder.path())
            .unwrap_err()
            .contains("neither pictures")
    );
    fs::write(
        folder.path().join("train.safetensors"),
        b"\xff\xff\xff\xff\xff\xff\xff\xff{}",
    )
    .unwrap();
    assert!(
        added(folder.path())
            .unwrap_err()
            .contains("not as it should be")
    );
    assert!(
        own("My-Set", folder.path(), "", "")
            .unwrap_err()
            .to_string()
            .contains("My-Set")
    );
}
