//! The six sets, each from its publisher's form and from the earlier bucket's.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use annapurna_contract::dataset::{DatasetDescription, Kind};
use annapurna_datasets::{Checking, RECIPES, is_readable, recipe};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_ipc::writer::StreamWriter;
use parquet::arrow::ArrowWriter;

use crate::files::{CIFAR10_NAMES, gz, mnist, record, tar_gz};
use crate::support::{make, refused, tensor, words};

#[test]
fn cifar10_is_made_of_its_binary_version() {
    let folder = tempfile::tempdir().unwrap();
    let batches: Vec<Vec<u8>> = (1..=5).map(|it| record(&[it], it * 10)).collect();
    let test = [record(&[0], 1), record(&[9], 2)].concat();
    let names: Vec<String> = (1..=5)
        .map(|it| format!("cifar-10-batches-bin/data_batch_{it}.bin"))
        .collect();
    let mut members: Vec<(&str, &[u8])> = vec![
        ("cifar-10-batches-bin/", b""),
        ("cifar-10-batches-bin/batches.meta.txt", CIFAR10_NAMES),
        ("cifar-10-batches-bin/readme.html", b"<p>"),
        ("cifar-10-batches-bin/test_batch.bin", &test),
    ];
    // In another order than the numbers', as in the publisher's archive.
    members.extend(
        names
            .iter()
            .map(String::as_str)
            .zip(batches.iter().map(Vec::as_slice))
            .rev(),
    );
    tar_gz(&folder.path().join("cifar-10-binary.tar.gz"), &members);
    let made = make("cifar10", folder.path()).unwrap();
    let description = &made.0;
    assert_eq!((description.train, description.test), (5, 2));
    assert_eq!(description.classes[9], "truck");
    assert_eq!(description.n_classes, Some(10));
    assert_eq!(description.input.shape, [3, 32, 32]);
    let (shape, pixels) = tensor(&made, "train", "x");
    assert_eq!(shape, [5, 3, 32, 32]);
    assert_eq!((pixels[0], pixels[3072], pixels[4 * 3072]), (10, 20, 50));
    assert_eq!(tensor(&made, "train", "y").1, [1, 2, 3, 4, 5]);
    assert_eq!(tensor(&made, "test", "y").1, [0, 9]);
    let read = fs::read(made.1.path().join("dataset.json")).unwrap();
    assert_eq!(
        &DatasetDescription::read("cifar10", &read).unwrap(),
        description
    );
}

#[test]
fn cifar100_keeps_the_fine_label() {
    let folder = tempfile::tempdir().unwrap();
    let names: String = (0..100).map(|it| format!("thing {it}\n")).collect();
    tar_gz(
        &folder.path().join("cifar-100-binary.tar.gz"),
        &[
            ("cifar-100-binary/fine_label_names.txt", names.as_bytes()),
            ("cifar-100-binary/coarse_label_names.txt", b"people\n"),
            ("cifar-100-binary/train.bin", &record(&[4, 99], 7)),
            ("cifar-100-binary/test.bin", &record(&[1, 0], 8)),
        ],
    );
    let made = make("cifar100", folder.path()).unwrap();
    assert_eq!(made.0.n_classes, Some(100));
    assert_eq!(made.0.classes[42], "thing 42");
    assert_eq!(tensor(&made, "train", "y").1, [99]);
    assert_eq!(tensor(&made, "train", "x").1, [7; 3072]);
}

#[test]
fn idx_is_read_packed_unpacked_and_where_torchvision_puts_it() {
    for (name, below, ending) in [
        ("mnist", "", ".gz"),
        ("mnist", "", ""),
        ("mnist", "mnist/MNIST/raw", ""),
        ("fashion_mnist", "fashion_mnist/FashionMNIST/raw", ".gz"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        mnist(&folder.path().join(below), 20, ending);
        let made = make(name, folder.path()).unwrap();
        assert_eq!((made.0.train, made.0.test), (20, 1), "{below} {ending}");
        let (shape, pixels) = tensor(&made, "train", "x");
        assert_eq!(shape, [20, 1, 28, 28]);
        assert_eq!((pixels[0], pixels[784], pixels[19 * 784]), (0, 25, 225));
        assert_eq!(tensor(&made, "train", "y").1[11], 1);
    }
}

#[test]
fn what_torch_saved_is_read_without_running_it() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mnist_pytorch.pt");
    fs::create_dir(folder.path().join("mnist")).unwrap();
    fs::copy(fixture, folder.path().join("mnist/mnist_pytorch.pt")).unwrap();
    let made = make("mnist", folder.path()).unwrap();
    assert_eq!((made.0.train, made.0.test), (2, 1));
    let (shape, pixels) = tensor(&made, "train", "x");
    assert_eq!(shape, [2, 1, 28, 28]);
    // The fixture's first picture is 0, 1, … 255, 0, … and its second the same in negative.
    assert_eq!((pixels[0], pixels[255], pixels[256]), (0, 255, 0));
    assert_eq!((pixels[784], pixels[785]), (255, 254));
    assert_eq!(tensor(&made, "train", "y").1, [3, 9]);
    assert_eq!(tensor(&made, "test", "y").1, [7]);
}

fn reviews(half: &str) -> Vec<(String, Vec<u8>)> {
    let review = |label: &str, id: u8, text: &str| {
        (
            format!("aclImdb/{half}/{label}/{id}_7.txt"),
            text.as_bytes().to_vec(),
        )
    };
    vec![
        review("pos", 0, "Good good<br />film"),
        review("pos", 1, "good FILM"),
        review("neg", 0, "bad film, très bad"),
        review("unsup", 0, "not wanted"),
    ]
}

#[test]
fn imdb_is_made_of_its_archive_with_texts_and_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let mut members = reviews("train");
    members.extend(reviews("test"));
    members.push(("aclImdb/imdb.vocab".to_owned(), b"x".to_vec()));
    let members: Vec<(&str, &[u8])> = members
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_slice()))
        .collect();
    tar_gz(&folder.path().join("aclImdb_v1.tar.gz"), &members);
    let made = make("imdb", folder.path()).unwrap();
    assert_eq!((made.0.train, made.0.test, made.0.kind), (3, 3, Kind::Text));
    assert_eq!(tensor(&made, "train", "y").1, [0, 1, 1]);
    let (shape, x) = tensor(&made, "train", "x");
    assert_eq!(shape, [3, 256]);
    let vocabulary = fs::read(made.1.path().join(&made.0.files["vocabulary"].name)).unwrap();
    let vocabulary: Vec<String> = serde_json::from_slice(&vocabulary).unwrap();
    assert_eq!(vocabulary[..5], ["<pad>", "<unk>", "<eos>", "film", "good"]);
    let first: Vec<&str> = words(&x)[..5]
        .iter()
        .map(|it| vocabulary[*it as usize].as_str())
        .collect();
    assert_eq!(first, ["bad", "film", "très", "bad", "<pad>"]);
    let (_, text) = tensor(&made, "train", "text");
    assert!(
        String::from_utf8(text)
            .unwrap()
            .starts_with("bad film, très badGood good<br />")
    );
    assert_eq!(
        tensor(&made, "train", "text_ends").1[..8],
        19_i64.to_le_bytes()
    );
}

fn lines() -> Vec<String> {
    let paragraph = |n: usize| format!(" the cat {} sat on the mat .", ["of", "and", "to"][n % 3]);
    (0..60).map(paragraph).chain([String::new()]).collect()
}

fn assert_wikitext(folder: &Path) {
    let made = make("wikitext2", folder).unwrap();
    assert_eq!(made.0.kind, Kind::Language);
    // 60 paragraphs of 8 words and the end of the line.
    let (shape, tokens) = tensor(&made, "train", "tokens");
    assert_eq!(shape, [540]);
    assert_eq!(made.0.train, 4);
    let vocabulary = fs::read(made.1.path().join(&made.0.files["vocabulary"].name)).unwrap();
    let vocabulary: Vec<String> = serde_json::from_slice(&vocabulary).unwrap();
    let first: Vec<&str> = words(&tokens)[..9]
        .iter()
        .map(|it| vocabulary[*it as usize].as_str())
        .collect();
    assert_eq!(
        first,
        ["the", "cat", "of", "sat", "on", "the", "mat", ".", "<eos>"]
    );
    assert_eq!(made.0.vocabulary, Some(vocabulary.len() as u64));
}

#[test]
fn wikitext2_is_made_of_its_archive() {
    let folder = tempfile::tempdir().unwrap();
    let file = File::create(folder.path().join("wikitext-2-raw-v1.zip")).unwrap();
    let mut archive = zip::ZipWriter::new(file);
    for part in ["train", "valid", "test"] {
        let name = format!("wikitext-2-raw/wiki.{part}.raw");
        archive
            .start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        archive.write_all(lines().join(" \n").as_bytes()).unwrap();
    }
    archive.finish().unwrap();
    assert_wikitext(folder.path());
}

fn batch(texts: &[String], labels: Option<Vec<i64>>) -> RecordBatch {
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    let mut columns = vec![("text", texts)];
    columns.extend(labels.map(|it| ("label", Arc::new(Int64Array::from(it)) as ArrayRef)));
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn wikitext2_is_made_of_parquet_and_of_what_the_library_saves() {
    let folder = tempfile::tempdir().unwrap();
    for part in ["train", "test"] {
        let path = folder.path().join(format!("{part}-00000-of-00001.parquet"));
        let batch = batch(&lines(), None);
        let mut writer =
            ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }
    assert_wikitext(folder.path());
    let folder = tempfile::tempdir().unwrap();
    arrow(folder.path(), "wikitext2", &batch(&lines(), None));
    assert_wikitext(folder.path());
}

fn arrow(folder: &Path, name: &str, batch: &RecordBatch) {
    for part in ["train", "test"] {
        let folder = folder.join(name).join(part);
        fs::create_dir_all(&folder).unwrap();
        let file = File::create(folder.join("data-00000-of-00001.arrow")).unwrap();
        let mut writer = StreamWriter::try_new(file, &batch.schema()).unwrap();
        writer.write(batch).unwrap();
        writer.finish().unwrap();
    }
}

#[test]
fn imdb_is_made_of_what_the_library_saves() {
    let folder = tempfile::tempdir().unwrap();
    let texts = ["bad", "worse", "good"].map(str::to_owned);
    arrow(folder.path(), "imdb", &batch(&texts, Some(vec![0, 0, 1])));
    let made = make("imdb", folder.path()).unwrap();
    assert_eq!(tensor(&made, "test", "y").1, [0, 1, 0]);
}

#[test]
fn a_file_that_is_not_the_publishers_is_refused_unless_any_will_do() {
    let folder = tempfile::tempdir().unwrap();
    mnist(folder.path(), 3, ".gz");
    let strict = recipe("mnist")
        .unwrap()
        .make(folder.path(), Checking::Published);
    let problem = strict.unwrap_err().to_string();
    assert!(
        problem.contains("f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        "{problem}"
    );
    assert!(make("mnist", folder.path()).is_ok());
}

#[test]
fn a_folder_without_the_files_is_told_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for recipe in RECIPES {
        let problem = refused(recipe.name, folder.path());
        assert!(problem.contains(recipe.files[0].name), "{problem}");
        for file in recipe.files {
            assert!(
                file.url.ends_with(file.name) && is_readable(file.name),
                "{}",
                file.url
            );
            assert!([32, 64].contains(&file.digest.len()), "{}", file.digest);
        }
    }
    gz(&folder.path().join("cifar-10-python.tar.gz"), b"");
    let problem = refused("cifar10", folder.path());
    assert!(
        problem.contains("pickle") && problem.contains("cifar-10-binary.tar.gz"),
        "{problem}"
    );
}
