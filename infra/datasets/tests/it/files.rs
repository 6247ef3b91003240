//! Small files in the publishers' formats. `infra/tests` has them imported as well.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test program uses its part, and a failed step fails the test"
)]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

pub fn gz(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut packed = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap();
}

pub fn tar_gz(path: &Path, members: &[(&str, &[u8])]) {
    let mut bytes = Vec::new();
    {
        let mut archive = tar::Builder::new(&mut bytes);
        for (name, content) in members {
            let mut header = tar::Header::new_gnu();
            // Also names that the library would refuse to write.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            archive.append(&header, *content).unwrap();
        }
        archive.finish().unwrap();
    }
    gz(path, &bytes);
}

pub fn idx(shape: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, u8::try_from(shape.len()).unwrap()];
    shape.iter().for_each(|it| file.extend(it.to_be_bytes()));
    file.extend(bytes);
    file
}

/// MNIST's four files; `n` pictures to train on, one to test on, of one grey each: the higher the class, the brighter.
pub fn mnist(folder: &Path, n: u8, ending: &str) {
    let pixels = |n: u8| {
        (0..n)
            .flat_map(|it| [it % 10 * 25; 784])
            .collect::<Vec<u8>>()
    };
    let labels = |n: u8| (0..n).map(|it| it % 10).collect::<Vec<u8>>();
    for (half, n) in [("train", n), ("t10k", 1)] {
        let images = idx(&[n.into(), 28, 28], &pixels(n));
        let classes = idx(&[n.into()], &labels(n));
        let files = [
            ("images-idx3-ubyte", images),
            ("labels-idx1-ubyte", classes),
        ];
        for (name, bytes) in files {
            let path = folder.join(format!("{half}-{name}{ending}"));
            if ending == ".gz" {
                gz(&path, &bytes);
            } else {
                fs::create_dir_all(folder).unwrap();
                fs::write(path, bytes).unwrap();
            }
        }
    }
}

/// A record of CIFAR: its labels, then 3,072 bytes of one value.
pub fn record(labels: &[u8], value: u8) -> Vec<u8> {
    [labels, &[value; 3072]].concat()
}

pub const CIFAR10_NAMES: &[u8] =
    b"airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";

/// Sets of enough samples to learn something from: the brighter a picture, the higher its class; praise says `good`.
pub fn publish_all(folder: &Path) {
    mnist(&folder.join("mnist"), 200, ".gz");
    mnist(&folder.join("fashion_mnist"), 200, ".gz");
    let records = |n: u8, coarse: usize| -> Vec<u8> {
        let one = |it: u8| {
            let labels = [0, it % 10];
            record(&labels[1 - coarse..], it % 10 * 25)
        };
        (0..n).flat_map(one).collect()
    };
    let batches: Vec<(String, Vec<u8>)> = (1..=5)
        .map(|it| {
            (
                format!("cifar-10-batches-bin/data_batch_{it}.bin"),
                records(40, 0),
            )
        })
        .chain([(
            "cifar-10-batches-bin/test_batch.bin".to_owned(),
            records(20, 0),
        )])
        .chain([(
            "cifar-10-batches-bin/batches.meta.txt".to_owned(),
            CIFAR10_NAMES.to_vec(),
        )])
        .collect();
    packed(&folder.join("cifar10/cifar-10-binary.tar.gz"), &batches);
    let names: String = (0..100).map(|it| format!("thing {it}\n")).collect();
    let fine = [
        ("cifar-100-binary/train.bin", records(200, 1)),
        ("cifar-100-binary/test.bin", records(20, 1)),
        ("cifar-100-binary/fine_label_names.txt", names.into_bytes()),
    ];
    let fine = fine.map(|(name, bytes)| (name.to_owned(), bytes));
    packed(&folder.join("cifar100/cifar-100-binary.tar.gz"), &fine);
    let reviews: Vec<(String, Vec<u8>)> = ["train", "test"]
        .into_iter()
        .flat_map(|half| [(half, "pos", "a good film"), (half, "neg", "a bad film")])
        .flat_map(|(half, label, text)| {
            (0..50).map(move |id| {
                let name = format!("aclImdb/{half}/{label}/{id}_7.txt");
                (name, format!("{text}, number {id}").into_bytes())
            })
        })
        .collect();
    packed(&folder.join("imdb/aclImdb_v1.tar.gz"), &reviews);
    let text = " the cat sat on the mat and the dog lay by the door . \n".repeat(400);
    fs::create_dir_all(folder.join("wikitext2")).unwrap();
    let file = File::create(folder.join("wikitext2/wikitext-2-raw-v1.zip")).unwrap();
    let mut archive = zip::ZipWriter::new(file);
    for part in ["train", "valid", "test"] {
        let name = format!("wikitext-2-raw/wiki.{part}.raw");
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file(name, options).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap();
}

fn packed(path: &Path, members: &[(String, Vec<u8>)]) {
    let members: Vec<(&str, &[u8])> = members
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    tar_gz(path, &members);
}
