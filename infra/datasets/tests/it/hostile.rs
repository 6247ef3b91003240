//! Files that somebody made to harm, or that are damaged: each is refused with what is wrong, and nothing is written.

use std::fs;
use std::path::Path;

use crate::files::{CIFAR10_NAMES, gz, idx, mnist, record, tar_gz};
use crate::support::refused;

fn cifar(members: &[(&str, &[u8])]) -> String {
    let folder = tempfile::tempdir().unwrap();
    tar_gz(&folder.path().join("cifar-10-binary.tar.gz"), members);
    refused("cifar10", folder.path())
}

#[test]
fn paths_that_lead_elsewhere_are_names_that_nobody_wants() {
    let record = record(&[1], 1);
    let problem = cifar(&[
        ("../cifar-10-batches-bin/test_batch.bin", &record),
        ("/etc/cifar-10-batches-bin/test_batch.bin", &record),
        ("cifar-10-batches-bin/../test_batch.bin", &record),
    ]);
    assert!(problem.contains("is missing"), "{problem}");
}

#[test]
fn records_that_are_cut_doubled_or_of_no_class_are_refused() {
    let name = |it: u8| format!("cifar-10-batches-bin/data_batch_{it}.bin");
    let names: Vec<String> = (1..=5).map(name).collect();
    let whole = record(&[1], 1);
    let archive = |first: &[u8], extra: &[(&str, &[u8])]| {
        let mut members: Vec<(&str, &[u8])> = vec![
            ("cifar-10-batches-bin/batches.meta.txt", CIFAR10_NAMES),
            ("cifar-10-batches-bin/test_batch.bin", &whole),
        ];
        members.extend(names.iter().map(|it| (it.as_str(), whole.as_slice())));
        members[2].1 = first;
        members.extend(extra);
        cifar(&members)
    };
    assert!(archive(&whole[1..], &[]).contains("no records"));
    assert!(archive(&record(&[10], 1), &[]).contains("class 10"));
    let twice = [("cifar-10-batches-bin/test_batch.bin", whole.as_slice())];
    assert!(archive(&whole, &twice).contains("twice"));
}

#[test]
fn what_unpacks_without_end_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    mnist(folder.path(), 1, ".gz");
    let bomb = vec![0; (256 << 20) + 1];
    gz(&folder.path().join("train-images-idx3-ubyte.gz"), &bomb);
    let problem = refused("mnist", folder.path());
    assert!(problem.contains("unpacks to more than"), "{problem}");
}

#[test]
fn a_torch_file_that_would_run_something_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hostile_pytorch.pt");
    fs::copy(fixture, folder.path().join("mnist_pytorch.pt")).unwrap();
    let problem = refused("mnist", folder.path());
    assert!(problem.contains("posix system"), "{problem}");
}

#[test]
fn noise_is_refused_in_every_format() {
    for (name, file) in [
        ("cifar10", "cifar-10-binary.tar.gz"),
        ("cifar10", "cifar10_pytorch.pt"),
        ("imdb", "aclImdb_v1.tar.gz"),
        ("wikitext2", "wikitext-2-raw-v1.zip"),
        ("wikitext2", "train-00000-of-00001.parquet"),
        ("imdb", "train/data-00000-of-00001.arrow"),
    ] {
        for length in [0, 7, 5000] {
            let folder = tempfile::tempdir().unwrap();
            let noise: Vec<u8> = (0..length).map(|it| (it * 7 % 251) as u8).collect();
            for file in [file.to_owned(), file.replace("train", "test")] {
                let path = folder.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, &noise).unwrap();
            }
            let problem = refused(name, folder.path());
            assert!(
                problem.contains("not as it should be"),
                "{file} {length}: {problem}"
            );
        }
    }
}

#[test]
fn pictures_of_another_shape_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    mnist(folder.path(), 2, "");
    fs::write(
        folder.path().join("t10k-images-idx3-ubyte"),
        idx(&[1, 2, 2], &[0; 4]),
    )
    .unwrap();
    assert!(refused("mnist", folder.path()).contains("2 × 2"));
}
