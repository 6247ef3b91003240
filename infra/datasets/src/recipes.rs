//! What each of the six sets is made from, and how: the publisher's files with their addresses and digests, and the forms
//! that the bucket of the project before this one has.
//!
//! Digests: MD5 of CIFAR from cs.toronto.edu/~kriz, of MNIST, Fashion-MNIST and aclImdb from torchvision and torchtext,
//! SHA-256 of WikiText-2's archive from its many users. An MD5 says that a file is whole, not that nobody forged it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use annapurna_contract::dataset::{DatasetDescription, Kind, Tensor};
use md5::Md5;
use sha2::{Digest, Sha256};

use crate::archive::{of_zip, read_whole};
use crate::cifar::{self, Packing};
use crate::error::DatasetError;
use crate::half::{Half, Pictures};
use crate::made::Made;
use crate::{idx, imdb, tables, torch_file, wikitext};

/// A file that a publisher gives out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedFile {
    /// Its name.
    pub name: &'static str,
    /// Where it is.
    pub url: &'static str,
    /// Its MD5 (32 digits) or SHA-256 (64), hexadecimal.
    pub digest: &'static str,
}

/// Whether a file must be the publisher's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checking {
    /// Its digest must be the one that is known.
    Published,
    /// Any file in the right format will do.
    Any,
}

/// How a set is made.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// The set.
    pub name: &'static str,
    /// The publisher's files.
    pub files: &'static [PublishedFile],
    description: &'static str,
    licence: &'static str,
    source: &'static str,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Cifar(Packing, u64),
    /// The folder that torchvision puts the files into, and the classes.
    Idx(&'static str, &'static [&'static str]),
    Imdb,
    Wikitext,
}

const DIGITS: &[&str] = &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const CLOTHES: &[&str] = &[
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

macro_rules! files {
    ($base:literal, $($name:literal $digest:literal),+ $(,)?) => {
        &[$(PublishedFile { name: $name, url: concat!($base, $name), digest: $digest }),+]
    };
}

/// Every set that can be imported; `synthetic` is made by the loader.
pub const RECIPES: [Recipe; 6] = [
    Recipe {
        name: "cifar10",
        files: files!(
            "https://www.cs.toronto.edu/~kriz/",
            "cifar-10-binary.tar.gz" "c32a1d4ab5d03f1284b67883e8d87530",
        ),
        description: "CIFAR-10: small colour pictures of animals and vehicles",
        licence: "none is given; cite Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        source: "https://www.cs.toronto.edu/~kriz/cifar.html",
        form: Form::Cifar(cifar::CIFAR10, 10),
    },
    Recipe {
        name: "cifar100",
        files: files!(
            "https://www.cs.toronto.edu/~kriz/",
            "cifar-100-binary.tar.gz" "03b5dce01913d631647c71ecec9e9cb8",
        ),
        description: "CIFAR-100: small colour pictures of a hundred kinds of things, the fine classes",
        licence: "none is given; cite Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
        source: "https://www.cs.toronto.edu/~kriz/cifar.html",
        form: Form::Cifar(cifar::CIFAR100, 100),
    },
    Recipe {
        name: "mnist",
        files: files!(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "train-images-idx3-ubyte.gz" "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz" "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz" "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz" "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        description: "MNIST: handwritten digits, grey",
        licence: "CC BY-SA 3.0",
        source: "http://yann.lecun.com/exdb/mnist/",
        form: Form::Idx("MNIST", DIGITS),
    },
    Recipe {
        name: "fashion_mnist",
        files: files!(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "train-images-idx3-ubyte.gz" "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz" "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz" "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz" "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        description: "Fashion-MNIST: pieces of clothing, grey",
        licence: "MIT",
        source: "https://github.com/zalandoresearch/fashion-mnist",
        form: Form::Idx("FashionMNIST", CLOTHES),
    },
    Recipe {
        name: "imdb",
        files: files!(
            "https://ai.stanford.edu/~amaas/data/sentiment/",
            "aclImdb_v1.tar.gz" "7c2ac02c03563afcf9b574c7e56c153a",
        ),
        description: "IMDB: reviews of films as word numbers, whether they praise; 0 fills, 1 is every rare word",
        licence: "none is given; cite Maas et al., Learning Word Vectors for Sentiment Analysis, 2011",
        source: "https://ai.stanford.edu/~amaas/data/sentiment/",
        form: Form::Imdb,
    },
    Recipe {
        name: "wikitext2",
        files: files!(
            "https://huggingface.co/datasets/ggml-org/ci/resolve/main/",
            "wikitext-2-raw-v1.zip" "ef7edb566e3e2b2d31b29c1fdb0c89a4cc683597484c3dc2517919c615435a11",
        ),
        description: "WikiText-2: articles of Wikipedia as word numbers, the next word is to be told; 1 is every rare \
                      word, 2 ends a line",
        licence: "CC BY-SA 3.0",
        source: "https://huggingface.co/datasets/Salesforce/wikitext",
        form: Form::Wikitext,
    },
];

/// The recipe of a set.
///
/// # Errors
///
/// [`DatasetError::Unknown`].
pub fn recipe(name: &str) -> Result<&'static Recipe, DatasetError> {
    let found = RECIPES.iter().find(|recipe| recipe.name == name);
    found.ok_or_else(|| DatasetError::Unknown(name.to_owned()))
}

/// Whether a key of a bucket with the earlier layout is something that a recipe reads.
pub fn is_readable(key: &str) -> bool {
    [
        "_pytorch.pt",
        ".arrow",
        "-ubyte",
        "-ubyte.gz",
        ".parquet",
        "-binary.tar.gz",
        "aclImdb_v1.tar.gz",
        "wikitext-2-raw-v1.zip",
    ]
    .iter()
    .any(|ending| key.ends_with(ending))
}

impl Recipe {
    /// Makes the set of what is in `folder`: the publisher's files, or a copy of the earlier bucket.
    ///
    /// # Errors
    ///
    /// [`DatasetError`]: nothing is there, or something is not as it should be.
    pub fn make(&self, folder: &Path, checking: Checking) -> Result<Made, DatasetError> {
        let kitchen = Kitchen {
            recipe: self,
            folder,
            checking,
        };
        match self.form {
            Form::Cifar(packing, classes) => kitchen.cifar(packing, classes),
            Form::Idx(folder, classes) => kitchen.idx(folder, classes),
            Form::Imdb => kitchen.imdb(),
            Form::Wikitext => kitchen.wikitext(),
        }
    }
}

/// One making of a set.
struct Kitchen<'a> {
    recipe: &'a Recipe,
    folder: &'a Path,
    checking: Checking,
}

impl Kitchen<'_> {
    /// The first of these that is there, also below a folder of the set's name.
    fn find(&self, names: &[String]) -> Option<PathBuf> {
        let below = [self.folder.to_owned(), self.folder.join(self.recipe.name)];
        let all = below
            .iter()
            .flat_map(|folder| names.iter().map(|name| folder.join(name)));
        all.into_iter().find(|path| path.is_file())
    }

    /// A publisher's file that is there, and is his.
    fn published(&self, index: usize) -> Result<Option<PathBuf>, DatasetError> {
        let file = self.recipe.files[index];
        let Some(path) = self.find(&[file.name.to_owned()]) else {
            return Ok(None);
        };
        if self.checking == Checking::Published {
            check(&path, file.digest)?;
        }
        Ok(Some(path))
    }

    fn missing(&self, others: &str) -> DatasetError {
        let files: Vec<&str> = self.recipe.files.iter().map(|file| file.name).collect();
        DatasetError::Missing {
            name: self.recipe.name.to_owned(),
            folder: self.folder.to_owned(),
            wanted: format!("{}; {others}", files.join(", ")),
        }
    }

    fn torch_file(&self) -> Option<PathBuf> {
        self.find(&[format!("{}_pytorch.pt", self.recipe.name)])
    }

    fn cifar(&self, packing: Packing, classes: u64) -> Result<Made, DatasetError> {
        let shape = cifar::SHAPE;
        if let Some(path) = self.published(0)? {
            let (train, test, names) = cifar::read(&path, packing)?;
            return self.pictures(&path, [train, test], shape, classes, names);
        }
        if let Some(path) = self.torch_file() {
            let halves = torch_file::pictures(&path)?;
            return self.pictures(&path, halves, shape, classes, Vec::new());
        }
        let python = self.recipe.files[0].name.replace("-binary", "-python");
        let batch = ["cifar-10-batches-py/data_batch_1", "cifar-100-python/train"];
        let pickles: Vec<String> = batch
            .map(str::to_owned)
            .into_iter()
            .chain([python])
            .collect();
        match self.find(&pickles) {
            Some(path) => Err(DatasetError::Pickle {
                path,
                instead: self.recipe.files[0].name,
            }),
            None => Err(self.missing("or an earlier bucket's `*_pytorch.pt`")),
        }
    }

    fn idx(&self, folder: &str, classes: &[&str]) -> Result<Made, DatasetError> {
        let names: Vec<String> = classes.iter().map(|it| (*it).to_owned()).collect();
        let mut files = Vec::new();
        for index in 0..4 {
            let packed = self.published(index)?;
            let plain = self.recipe.files[index].name.trim_end_matches(".gz");
            let raw = ["", ".gz"].map(|ending| format!("{folder}/raw/{plain}{ending}"));
            let others = [vec![plain.to_owned()], raw.into()].concat();
            files.extend(packed.or_else(|| self.find(&others)));
        }
        if let [train, train_labels, test, test_labels] = files.as_slice() {
            let half = |images: &Path, labels: &Path| -> Result<Pictures, DatasetError> {
                let (pixels, classes) = (read_whole(images)?, read_whole(labels)?);
                idx::pictures(&pixels, &classes)
                    .map_err(|problem| DatasetError::format(images, problem))
            };
            let halves = [half(train, train_labels)?, half(test, test_labels)?];
            return self.pictures(train, halves, [1, 28, 28], 10, names);
        }
        match self.torch_file() {
            Some(path) => {
                let halves = torch_file::pictures(&path)?;
                self.pictures(&path, halves, [1, 28, 28], 10, names)
            }
            None => Err(self.missing("also unpacked, or an earlier bucket's `*_pytorch.pt`")),
        }
    }

    fn pictures(
        &self,
        path: &Path,
        [train, test]: [Pictures; 2],
        shape: [usize; 3],
        classes: u64,
        names: Vec<String>,
    ) -> Result<Made, DatasetError> {
        let half = |pictures: Pictures| {
            let half = pictures.into_half(shape, classes);
            half.map_err(|problem| DatasetError::format(path, problem))
        };
        if !names.is_empty() && names.len() as u64 != classes {
            let problem = format!("{} classes have names, of {classes}", names.len());
            return Err(DatasetError::format(path, problem));
        }
        let input = tensor(&shape.map(|it| it as u64), "float32", (0.0, 1.0));
        let target = tensor(&[], "int64", (0.0, classes as f64 - 1.0));
        let (halves, words) = ([half(train)?, half(test)?], Vec::new());
        Ok(self.made(halves, words, |description| DatasetDescription {
            kind: Kind::Images,
            input,
            target,
            n_classes: Some(classes),
            classes: names,
            ..description
        }))
    }

    fn imdb(&self) -> Result<Made, DatasetError> {
        let (path, reviews) = match self.published(0)? {
            Some(path) => (path.clone(), imdb::read(&path)?),
            None => {
                let (path, [train, test]) = self
                    .saved(&["train", "test"])?
                    .ok_or_else(|| self.missing("or an earlier bucket's `train/*.arrow`"))?;
                (path, [labelled(train), labelled(test)])
            }
        };
        let wrong = |problem| DatasetError::format(&path, problem);
        let (halves, words) = imdb::halves(&reviews).map_err(wrong)?;
        let n_words = words.len() as u64;
        Ok(self.made(halves, words, |description| DatasetDescription {
            kind: Kind::Text,
            input: tensor(&[imdb::LENGTH as u64], "int64", (0.0, n_words as f64 - 1.0)),
            target: tensor(&[], "int64", (0.0, 1.0)),
            n_classes: Some(2),
            classes: vec!["against".to_owned(), "for".to_owned()],
            vocabulary: Some(n_words),
            ..description
        }))
    }

    fn wikitext(&self) -> Result<Made, DatasetError> {
        let (path, texts) = match self.published(0)? {
            Some(path) => {
                let text = |part: &str| -> Result<String, DatasetError> {
                    let bytes = of_zip(&path, &format!("wikitext-2-raw/wiki.{part}.raw"))?;
                    Ok(String::from_utf8_lossy(&bytes).into_owned())
                };
                let texts = [text("train")?, text("test")?];
                (path, texts)
            }
            None => {
                let (path, halves) = self
                    .saved(&["train", "test"])?
                    .ok_or_else(|| self.missing("or `train-*.parquet` and `test-*.parquet`, or an earlier bucket's `train/*.arrow`"))?;
                let joined = halves.map(|rows| {
                    let lines = rows.into_iter().map(|(text, _)| text);
                    lines.collect::<Vec<_>>().join("\n")
                });
                (path, joined)
            }
        };
        let wrong = |problem| DatasetError::format(&path, problem);
        let (halves, words) = wikitext::halves(&texts).map_err(wrong)?;
        let n_words = words.len() as u64;
        let window = || {
            tensor(
                &[wikitext::WINDOW as u64],
                "int64",
                (0.0, n_words as f64 - 1.0),
            )
        };
        Ok(self.made(halves, words, |description| DatasetDescription {
            kind: Kind::Language,
            input: window(),
            target: window(),
            vocabulary: Some(n_words),
            ..description
        }))
    }

    /// Both halves as Hugging Face gives them out or its library saves them; one file each, as these sets have.
    fn saved(&self, parts: &[&str; 2]) -> Result<Option<(PathBuf, [Rows; 2])>, DatasetError> {
        let of = |part: &str| {
            self.find(&[
                format!("{part}-00000-of-00001.parquet"),
                format!("wikitext-2-raw-v1/{part}-00000-of-00001.parquet"),
                format!("{part}/data-00000-of-00001.arrow"),
                format!("{part}/dataset.arrow"),
            ])
        };
        let (Some(train), Some(test)) = (of(parts[0]), of(parts[1])) else {
            return Ok(None);
        };
        let rows = [tables::rows(&train)?, tables::rows(&test)?];
        Ok(Some((train, rows)))
    }

    fn made(
        &self,
        [train, test]: [Half; 2],
        words: Vec<String>,
        complete: impl FnOnce(DatasetDescription) -> DatasetDescription,
    ) -> Made {
        let description = DatasetDescription {
            name: self.recipe.name.to_owned(),
            description: self.recipe.description.to_owned(),
            kind: Kind::Images,
            input: tensor(&[], "", (0.0, 0.0)),
            target: tensor(&[], "", (0.0, 0.0)),
            n_classes: None,
            classes: Vec::new(),
            vocabulary: None,
            train: train.samples,
            test: test.samples,
            licence: self.recipe.licence.to_owned(),
            source: self.recipe.source.to_owned(),
            files: BTreeMap::new(),
        };
        Made {
            description: complete(description),
            train,
            test,
            words,
        }
    }
}

type Rows = Vec<(String, Option<i64>)>;

/// The reviews that have a label, one of each kind in turn.
fn labelled(rows: Rows) -> Vec<imdb::Review> {
    let (mut against, mut for_it) = (Vec::new(), Vec::new());
    for (text, label) in rows {
        match label {
            Some(0) => against.push(text),
            Some(1) => for_it.push(text),
            _ => {}
        }
    }
    imdb::in_turn(against.into_iter(), for_it.into_iter())
}

fn tensor(shape: &[u64], dtype: &str, range: (f64, f64)) -> Tensor {
    Tensor {
        shape: shape.to_vec(),
        dtype: dtype.to_owned(),
        range,
    }
}

/// Whether a file is the publisher's: MD5 where the digest has 32 digits, else SHA-256.
fn check(path: &Path, expected: &str) -> Result<(), DatasetError> {
    let actual = match expected.len() {
        32 => digest::<Md5>(path),
        _ => digest::<Sha256>(path),
    };
    let actual = actual.map_err(DatasetError::file(path))?;
    if actual == expected {
        return Ok(());
    }
    Err(DatasetError::Digest {
        path: path.to_owned(),
        expected: expected.to_owned(),
        actual,
    })
}

fn digest<D: Digest>(path: &Path) -> std::io::Result<String> {
    let mut file = BufReader::new(File::open(path)?);
    let mut digest = D::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex::encode(digest.finalize())),
            n => digest.update(&chunk[..n]),
        }
    }
}
