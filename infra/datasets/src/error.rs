//! Why a set cannot be made.

use std::io;
use std::path::{Path, PathBuf};

/// One variant per thing a person can act on.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The set is none that has a recipe.
    #[error("no data set `{0}` can be imported")]
    Unknown(String),
    /// The folder has none of the forms in which the set is read.
    #[error("{} has none of what `{name}` is made from: {wanted}", folder.display())]
    Missing {
        /// The set.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// The forms that are read.
        wanted: String,
    },
    /// A file cannot be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why, in the system's words.
        #[source]
        source: io::Error,
    },
    /// A file is not in the format that its name says.
    #[error("{} is not as it should be: {problem}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What is wrong, with the place where it is known.
        problem: String,
    },
    /// A file is not the one that its publisher gave out.
    #[error("{} has the digest {actual}, its publisher's has {expected}", path.display())]
    Digest {
        /// Which.
        path: PathBuf,
        /// The publisher's.
        expected: String,
        /// What it has.
        actual: String,
    },
    /// The form can only be read by running what is in it.
    #[error("{} is a pickle, which can only be read by running it: give {instead}", path.display())]
    Pickle {
        /// Which.
        path: PathBuf,
        /// The same set without one.
        instead: &'static str,
    },
    /// What a person says of the own set cannot be.
    #[error("{0}")]
    Own(String),
}

impl DatasetError {
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::File {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn format(path: &Path, problem: impl ToString) -> Self {
        Self::Format {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }
}
