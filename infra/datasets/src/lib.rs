//! Makes the data sets that programs load from the files that their publishers give out.
//!
//! In: a folder with a publisher's files, with the bucket of the project before this one, or with a person's own set.
//! Out: safetensors files with a description, ready to be uploaded. No AWS SDK, network or terminal: fetching is the
//! caller's. The files are strangers': an archive is read as a stream whose sizes are limited and is never unpacked into
//! a folder, so that no path in it means anything; and a pickle is never run (see `torch_file.rs`).

mod archive;
mod cifar;
mod error;
mod half;
mod idx;
mod imdb;
mod made;
mod own;
mod pickle;
mod recipes;
mod tables;
mod torch_file;
mod wikitext;
mod words;

pub use error::DatasetError;
pub use made::{Made, digest_of};
pub use own::own;
pub use recipes::{Checking, PublishedFile, RECIPES, Recipe, is_readable, recipe};
