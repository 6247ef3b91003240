//! The data sets of the bucket, kept in a folder that programs read.
//!
//! A program has no network and may build a data set's name as it runs, so every set of the bucket is there before a
//! program starts, whatever the program says. A set is `{name}/dataset.json` and the files that it names. A file is
//! fetched under another name, compared with the SHA-256 that its description gives, and only then gets its own, which
//! holds a part of that digest; the description is written last, and each by a rename. So a program never sees a set that
//! is half fetched or of two versions, whenever the agent is killed. Files of earlier versions stay until the agent
//! starts again or their room is needed, since a program that runs may have read the earlier description.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use annapurna_cloud::{ObjectStore, Retry, Saved};
use annapurna_contract::dataset::{self, DatasetDescription};
use annapurna_contract::keys;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::shutdown::Shutdown;
use crate::store::{self, StoreError};

/// After so long the bucket is looked at again before a program starts. A program that was written for a new set comes
/// later than this: it waits at least for its batch.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// After so long a bucket that could not be seen is looked at again for a person's program: where there is none, each look
/// takes seconds.
const TRY_AGAIN: Duration = Duration::from_secs(300);
/// Bytes that all sets may have together; those beyond it, by name, are left out.
const CACHE_LIMIT: u64 = 32 << 30;
const DESCRIPTION: &str = "dataset.json";
/// The ending of what is not whole.
const PARTIAL: &str = "partial";

/// The folder of data sets.
#[derive(Debug)]
pub struct Datasets {
    folder: PathBuf,
    bucket: String,
    store: Arc<dyn ObjectStore>,
    retry: Retry,
    limit: u64,
    /// Held while the folder is changed: two programs must not fetch one file into another.
    looked: Mutex<Looked>,
}

/// When the bucket was looked at.
#[derive(Debug, Default)]
struct Looked {
    well: Option<Instant>,
    in_vain: Option<Instant>,
}

/// Whether a program may start with the sets as they were seen last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Its result is kept: a bucket that cannot be seen is no reason for the program to fail.
    Certain,
    /// A person tries it out, perhaps where there is no bucket.
    AsTheyAre,
}

/// Why the data sets could not be prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatasetsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot keep the data set `{name}`")]
    Disk {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("the file `{file}` of the data set `{name}` is not in its bucket")]
    Incomplete { name: String, file: String },
    #[error(
        "the file `{file}` of the data set `{name}` has the SHA-256 {actual}, its description says {expected}"
    )]
    Digest {
        name: String,
        file: String,
        expected: String,
        actual: String,
    },
}

impl DatasetsError {
    fn disk(name: &str) -> impl Fn(io::Error) -> Self + '_ {
        move |source| Self::Disk {
            name: name.to_owned(),
            source,
        }
    }
}

impl Datasets {
    /// Keeps the data sets of `bucket` in `folder`.
    pub fn new(folder: PathBuf, bucket: String, store: Arc<dyn ObjectStore>, retry: Retry) -> Self {
        Self {
            folder,
            bucket,
            store,
            retry,
            limit: CACHE_LIMIT,
            looked: Mutex::default(),
        }
    }

    /// Brings the folder up to date with the bucket.
    ///
    /// # Errors
    ///
    /// [`DatasetsError`]: the program could fail for no fault of its own, so it must not start.
    pub(crate) async fn prepare(
        &self,
        need: Need,
        shutdown: &Shutdown,
    ) -> Result<(), DatasetsError> {
        let mut looked = self.looked.lock().await;
        let within = |at: Option<Instant>, time| at.is_some_and(|at| at.elapsed() < time);
        let in_vain = need == Need::AsTheyAre && within(looked.in_vain, TRY_AGAIN);
        if within(looked.well, LOOK_AGAIN) || in_vain {
            return Ok(());
        }
        let once = Retry {
            attempts: 1,
            ..self.retry
        };
        let retry = if need == Need::Certain {
            self.retry
        } else {
            once
        };
        if looked.well.is_none() {
            self.remove_strays().map_err(DatasetsError::disk("*"))?;
        }
        match self.update(retry, shutdown).await {
            Ok(()) => looked.well = Some(Instant::now()),
            Err(DatasetsError::Store(StoreError::Object(error))) if need == Need::AsTheyAre => {
                tracing::warn!(%error, "the data sets are as they were seen last");
                looked.in_vain = Some(Instant::now());
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn update(&self, retry: Retry, shutdown: &Shutdown) -> Result<(), DatasetsError> {
        let list = || self.store.folders(&self.bucket);
        let folders = store::read(retry, shutdown, list).await?;
        let (mut there, mut bytes) = (BTreeSet::new(), 0_u64);
        for name in folders {
            if dataset::check_name(&name).is_err() {
                continue;
            }
            let key = keys::dataset_description(&name);
            let limit = dataset::DESCRIPTION_LIMIT;
            let read = || self.store.get(&self.bucket, &key, limit);
            let Some(json) = store::read(retry, shutdown, read).await? else {
                continue;
            };
            let description = match DatasetDescription::read(&name, &json) {
                Ok(description) => description,
                Err(error) => {
                    tracing::error!(dataset = name, %error, "programs cannot load it");
                    continue;
                }
            };
            bytes = bytes.saturating_add(description.bytes());
            if bytes > self.limit {
                let limit = self.limit;
                tracing::error!(
                    dataset = name,
                    limit,
                    "no room for it; programs cannot load it"
                );
                continue;
            }
            self.make_room(bytes).map_err(DatasetsError::disk(&name))?;
            self.fetch(&description, &json, retry, shutdown).await?;
            there.insert(name);
        }
        self.forget_others(&there).map_err(DatasetsError::disk("*"))
    }

    async fn fetch(
        &self,
        description: &DatasetDescription,
        json: &[u8],
        retry: Retry,
        shutdown: &Shutdown,
    ) -> Result<(), DatasetsError> {
        let name = &description.name;
        let folder = self.folder.join(name);
        let on_disk = DatasetsError::disk(name);
        fs::create_dir_all(&folder).map_err(&on_disk)?;
        readable(&folder, 0o755).map_err(&on_disk)?;
        for file in description.files.values() {
            let path = folder.join(&file.name);
            if fs::metadata(&path).is_ok_and(|it| it.len() == file.bytes) {
                continue;
            }
            let partial = path.with_extension(PARTIAL);
            let key = keys::dataset_file(name, file);
            let save = || self.store.save(&self.bucket, &key, None, &partial);
            if store::read(retry, shutdown, save).await? == Saved::Missing {
                return Err(DatasetsError::Incomplete {
                    name: name.clone(),
                    file: file.name.clone(),
                });
            }
            let read = partial.clone();
            let actual = tokio::task::spawn_blocking(move || sha256_of(&read)).await;
            let actual = actual.map_err(io::Error::other).and_then(|it| it);
            let actual = actual.map_err(&on_disk)?;
            if actual != file.sha256 {
                fs::remove_file(&partial).map_err(&on_disk)?;
                return Err(DatasetsError::Digest {
                    name: name.clone(),
                    file: file.name.clone(),
                    expected: file.sha256.clone(),
                    actual,
                });
            }
            readable(&partial, 0o644).map_err(&on_disk)?;
            fs::rename(&partial, &path).map_err(&on_disk)?;
            tracing::info!(
                dataset = name,
                file = file.name,
                bytes = file.bytes,
                "fetched"
            );
        }
        replace(&folder.join(DESCRIPTION), json).map_err(&on_disk)
    }

    /// Takes the descriptions of sets away that the bucket has no more; their files go as strays do.
    fn forget_others(&self, there: &BTreeSet<String>) -> io::Result<()> {
        for set in entries(&self.folder)? {
            let name = set.file_name().map(|it| it.to_string_lossy().into_owned());
            if name.is_some_and(|name| !there.contains(&name)) {
                remove(&set.join(DESCRIPTION))?;
            }
        }
        Ok(())
    }

    /// Removes strays where they and `bytes` together are more than may be kept.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut kept = 0;
        for set in entries(&self.folder)? {
            for file in entries(&set)? {
                kept += fs::symlink_metadata(file)?.len();
            }
        }
        if kept.saturating_add(bytes) > self.limit.saturating_mul(2) {
            self.remove_strays()?;
        }
        Ok(())
    }

    /// Removes what no description names.
    fn remove_strays(&self) -> io::Result<()> {
        for set in entries(&self.folder)? {
            if !set.is_dir() {
                remove(&set)?;
                continue;
            }
            let name = set.file_name().unwrap_or_default().to_string_lossy();
            let json = fs::read(set.join(DESCRIPTION)).ok();
            let description = json.and_then(|json| DatasetDescription::read(&name, &json).ok());
            let mut named: BTreeSet<String> = BTreeSet::new();
            if let Some(description) = description {
                named.insert(DESCRIPTION.to_owned());
                named.extend(description.files.into_values().map(|file| file.name));
            }
            for file in entries(&set)? {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                if !named.contains(name.as_ref()) {
                    remove(&file)?;
                }
            }
        }
        Ok(())
    }
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|it| it.path())).collect(),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn readable(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Writes a file that is there whole or not at all, unless it is there already.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let partial = path.with_extension(PARTIAL);
    fs::write(&partial, bytes)?;
    readable(&partial, 0o644)?;
    fs::rename(&partial, path)
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex::encode(digest.finalize())),
            n => digest.update(&chunk[..n]),
        }
    }
}
