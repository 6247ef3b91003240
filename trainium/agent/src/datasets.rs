//! The prepared data sets a program names, fetched once from the data sets bucket.
//!
//! A program has no network, so what it may load must be there before it starts: every data set whose name
//! stands in quotes in its text. A data set that the bucket does not have is no error here; the loader
//! tells the program what there is.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use annapurna_cloud::{ObjectStore, Retry, Saved};
use annapurna_contract::keys;
use annapurna_contract::model::{DATASETS, SYNTHETIC};
use tokio::sync::Mutex;

use crate::shutdown::Shutdown;
use crate::store::{self, StoreError};

/// The folder of data sets, `{name}.pt` each, with the object's version beside it.
#[derive(Debug)]
pub struct Datasets {
    folder: PathBuf,
    bucket: String,
    store: Arc<dyn ObjectStore>,
    retry: Retry,
    /// Two programs must not fetch one file into another.
    fetching: Mutex<()>,
}

/// Why the data sets could not be prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatasetsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot keep the data set `{name}`")]
    Disk {
        name: &'static str,
        #[source]
        source: io::Error,
    },
}

impl Datasets {
    /// Keeps the data sets of `bucket` in `folder`.
    pub fn new(folder: PathBuf, bucket: String, store: Arc<dyn ObjectStore>, retry: Retry) -> Self {
        Self {
            folder,
            bucket,
            store,
            retry,
            fetching: Mutex::new(()),
        }
    }

    /// Brings what the program names up to date.
    ///
    /// # Errors
    ///
    /// [`DatasetsError`]: the program could fail for no fault of its own, so it must not start.
    pub(crate) async fn prepare(
        &self,
        code: &str,
        shutdown: &Shutdown,
    ) -> Result<(), DatasetsError> {
        for name in named_in(code) {
            let _one_at_a_time = self.fetching.lock().await;
            self.fetch(name, shutdown).await?;
        }
        Ok(())
    }

    async fn fetch(&self, name: &'static str, shutdown: &Shutdown) -> Result<(), DatasetsError> {
        let at = |ending: &str| self.folder.join(format!("{name}.{ending}"));
        let (file, version, partial) = (at("pt"), at("etag"), at("partial"));
        let known = fs::read_to_string(&version)
            .ok()
            .filter(|etag| file.exists() && !etag.is_empty());
        let key = keys::dataset(name);
        let fetched = store::read(self.retry, shutdown, || {
            self.store
                .save(&self.bucket, &key, known.as_deref(), &partial)
        })
        .await?;
        match fetched {
            Saved::Unchanged => Ok(()),
            Saved::Missing => {
                tracing::warn!(dataset = name, "the data sets bucket does not have it");
                Ok(())
            }
            Saved::Done(etag) => {
                // The version first goes, then comes back: a crash between leaves a file that is fetched again.
                let keep = || {
                    let _ = fs::remove_file(&version);
                    fs::set_permissions(&partial, fs::Permissions::from_mode(0o644))?;
                    fs::rename(&partial, &file)?;
                    fs::write(&version, &etag)
                };
                keep().map_err(|source| DatasetsError::Disk { name, source })
            }
        }
    }
}

/// The data sets whose names stand in quotes in `code`.
fn named_in(code: &str) -> impl Iterator<Item = &'static str> {
    DATASETS.into_iter().filter(move |name| {
        *name != SYNTHETIC
            && ['"', '\''].iter().any(|quote| {
                let quoted = format!("{quote}{name}{quote}");
                code.contains(&quoted)
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_in_quotes_count_and_synthetic_needs_no_file() {
        let code = "# like cifar10\nload_dataset('mnist'); load_dataset(\"imdb\"); load_dataset('synthetic')";
        assert_eq!(named_in(code).collect::<Vec<_>>(), ["mnist", "imdb"]);
    }
}
