//! The data sets that programs may use: those of the bucket, as they are described there, and those that the loader makes.
//!
//! What is not in the bucket is not offered, since a program that loads it cannot succeed. A description that cannot be
//! read is passed over; a bucket that cannot be seen is an error, for a program written without it would be the worse.

use std::sync::Arc;
use std::time::{Duration, Instant};

use annapurna_cloud::{ObjectError, ObjectStore, S3};
use annapurna_contract::dataset::{self, DatasetDescription, Kind};
use annapurna_contract::keys;
use tokio::sync::Mutex;
use tracing::warn;

/// So long what was seen counts.
const SEEN_FOR: Duration = Duration::from_secs(60);

/// The bucket, with what was seen in it.
#[derive(Debug, Clone)]
pub(crate) struct Datasets {
    objects: S3,
    bucket: String,
    seen: Arc<Mutex<Option<Seen>>>,
}

/// What was there, and when it was seen.
#[derive(Debug)]
struct Seen {
    at: Instant,
    catalogue: Arc<Catalogue>,
}

impl Datasets {
    pub(crate) fn new(objects: S3, bucket: String) -> Self {
        Self {
            objects,
            bucket,
            seen: Arc::default(),
        }
    }

    /// What is there now, or was a minute ago.
    ///
    /// # Errors
    ///
    /// [`ObjectError`] when the bucket cannot be read.
    pub(crate) async fn catalogue(&self) -> Result<Arc<Catalogue>, ObjectError> {
        let mut seen = self.seen.lock().await;
        if let Some(seen) = &*seen
            && seen.at.elapsed() < SEEN_FOR
        {
            return Ok(Arc::clone(&seen.catalogue));
        }
        let catalogue = Arc::new(self.look().await?);
        *seen = Some(Seen {
            at: Instant::now(),
            catalogue: Arc::clone(&catalogue),
        });
        Ok(catalogue)
    }

    async fn look(&self) -> Result<Catalogue, ObjectError> {
        let mut sets = Vec::new();
        for name in self.objects.folders(&self.bucket).await? {
            if dataset::check_name(&name).is_err() {
                continue;
            }
            let key = keys::dataset_description(&name);
            let limit = dataset::DESCRIPTION_LIMIT;
            let Some(json) = self.objects.get(&self.bucket, &key, limit).await? else {
                continue;
            };
            match DatasetDescription::read(&name, &json) {
                Ok(description) => sets.push(description),
                Err(reason) => warn!(dataset = name, %reason, "not offered to the model"),
            }
        }
        sets.extend(dataset::synthetic());
        Ok(Catalogue(sets))
    }
}

/// The sets that are offered.
#[derive(Debug, Clone)]
pub(crate) struct Catalogue(pub(crate) Vec<DatasetDescription>);

impl Catalogue {
    /// What `load_dataset` is given.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.0.iter().map(|set| set.name.as_str()).collect()
    }

    /// What the model is told of them.
    pub(crate) fn in_words(&self) -> String {
        let told = self.0.iter();
        let told = told.map(|set| format!("  - {}; {}", set.for_model(), scores(set)));
        told.collect::<Vec<_>>().join("\n")
    }

    /// The set that a paper wants, unless it is one of these by another spelling.
    pub(crate) fn wish(&self, wanted: Option<&str>) -> Option<String> {
        let wish = dataset::wish(wanted?)?;
        let letters = |name: &str| name.replace(['-', '_'], "");
        let is_here = |name: &&str| letters(name) == letters(&wish);
        (!self.names().iter().any(is_here)).then_some(wish)
    }
}

/// What `predict(x)` gives `evaluate` for a batch of a set.
fn scores(set: &DatasetDescription) -> String {
    let size = |number: Option<u64>, what: &str| {
        number.map_or_else(|| what.to_owned(), |number| number.to_string())
    };
    let shape = match set.kind {
        Kind::Images | Kind::Text | Kind::Tabular => {
            format!(
                "[batch, {}], a score of each class",
                size(set.n_classes, "classes")
            )
        }
        Kind::Language => {
            let length = size(set.input.shape.first().copied(), "length");
            let words = size(set.vocabulary, "words");
            format!("[batch, {length}, {words}], a score of each word that may come next")
        }
        Kind::Regression => "[batch], the number itself".to_owned(),
    };
    format!("predict(x) returns float32 {shape}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_offered_is_a_wish() {
        let catalogue = Catalogue(dataset::synthetic().into());
        assert_eq!(
            catalogue.wish(Some("ImageNet")).as_deref(),
            Some("imagenet")
        );
        for none in [
            None,
            Some("none"),
            Some("Synthetic"),
            Some("synthetic-images"),
        ] {
            assert_eq!(catalogue.wish(none), None, "{none:?}");
        }
    }
}
