//! Where a set's files come from, and how they get here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use annapurna_cloud::{ObjectStore, S3, Saved};
use annapurna_contract::text::chain;
use annapurna_datasets::{Recipe, is_readable};
use reqwest::StatusCode;
use reqwest::header::RANGE;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;

use crate::commands::{Context, Target};
use crate::error::CommandError;

/// Largest file that is fetched, bytes: an earlier bucket's pictures of CIFAR are 740 MB.
const LIMIT: u64 = 2 << 30;
/// Tries of one file; each goes on where the one before it ended.
const TRIES: u32 = 5;
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// Without a byte for so long, a connection is given up.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// What `--from` names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Nothing: each file is at its publisher's.
    Publisher,
    Folder(PathBuf),
    /// The files are below it; without the slash at its end.
    Address(String),
    /// A bucket with the layout of the project before this one, and what its keys begin with.
    Bucket(String, String),
}

impl Source {
    pub(super) fn parse(from: Option<&str>) -> Result<Self, CommandError> {
        let Some(from) = from else {
            return Ok(Self::Publisher);
        };
        if from.starts_with("http://") || from.starts_with("https://") {
            return Ok(Self::Address(from.trim_end_matches('/').to_owned()));
        }
        if let Some(place) = from.strip_prefix("s3://") {
            let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
            return Ok(Self::Bucket(
                bucket.to_owned(),
                prefix.trim_end_matches('/').to_owned(),
            ));
        }
        if Path::new(from).is_dir() {
            return Ok(Self::Folder(PathBuf::from(from)));
        }
        Err(CommandError::Usage {
            problem: format!("`{from}` is no folder of this machine"),
            hint: "name a folder, an http(s) address or s3://BUCKET/PREFIX; without --from the publishers' files \
                   are fetched"
                .to_owned(),
        })
    }

    /// The folder in which the set's files are, once they are there.
    pub(super) async fn fetch(
        &self,
        cx: &Context,
        target: &Target,
        recipe: &Recipe,
        downloads: &Path,
    ) -> Result<PathBuf, CommandError> {
        if let Self::Folder(folder) = self {
            return Ok(folder.clone());
        }
        std::fs::create_dir_all(downloads).map_err(CommandError::file("make", downloads))?;
        match self {
            Self::Bucket(bucket, prefix) => {
                let store = S3::new(&target.cloud.config);
                for key in keys(target, bucket, prefix, recipe.name).await? {
                    let below = key.strip_prefix(prefix).unwrap_or(&key);
                    copy(
                        cx,
                        &store,
                        (bucket, &key),
                        downloads,
                        below.trim_start_matches('/'),
                    )
                    .await?;
                }
            }
            Self::Publisher | Self::Address(_) | Self::Folder(_) => {
                for file in recipe.files {
                    let url = match self {
                        Self::Address(base) if base.ends_with(file.name) => base.clone(),
                        Self::Address(base) => format!("{base}/{}", file.name),
                        _ => file.url.to_owned(),
                    };
                    download(cx, &url, &downloads.join(file.name)).await?;
                }
            }
        }
        Ok(downloads.to_owned())
    }
}

/// The keys of a set's files.
async fn keys(
    target: &Target,
    bucket: &str,
    prefix: &str,
    name: &str,
) -> Result<Vec<String>, CommandError> {
    let begin = match prefix {
        "" => format!("{name}/"),
        prefix => format!("{prefix}/{name}/"),
    };
    let request = target
        .cloud
        .s3
        .list_objects_v2()
        .bucket(bucket)
        .prefix(&begin);
    let mut pages = request.into_paginator().send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CommandError::aws(format!("list s3://{bucket}/{begin}")))?;
        for object in page.contents() {
            let size = object.size().and_then(|it| u64::try_from(it).ok());
            let is_small = size.is_some_and(|it| it <= LIMIT);
            keys.extend(
                object
                    .key()
                    .filter(|key| is_small && is_readable(key))
                    .map(str::to_owned),
            );
        }
    }
    Ok(keys)
}

/// Copies an object into the folder, at a path that its key gives and that cannot lead elsewhere.
async fn copy(
    cx: &Context,
    store: &S3,
    (bucket, key): (&str, &str),
    downloads: &Path,
    below: &str,
) -> Result<(), CommandError> {
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    if !below.split('/').all(is_plain) {
        return Ok(());
    }
    let path = downloads.join(below);
    if path.is_file() {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(downloads);
    std::fs::create_dir_all(folder).map_err(CommandError::file("make", folder))?;
    let partial = partial(&path);
    let step = cx.ui.begin(format!("Copying s3://{bucket}/{key}"));
    let saved = store.save(bucket, key, None, &partial).await?;
    drop(step);
    if saved != Saved::Missing {
        std::fs::rename(&partial, &path).map_err(CommandError::file("rename", &partial))?;
    }
    Ok(())
}

fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// Fetches a file unless it is here, going on where an earlier try ended.
async fn download(cx: &Context, url: &str, path: &Path) -> Result<(), CommandError> {
    if path.is_file() {
        return Ok(());
    }
    let failed = |reason: String| CommandError::Download {
        url: url.to_owned(),
        reason,
    };
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_LIMIT)
        .read_timeout(SILENCE_LIMIT)
        .build()
        .map_err(|error| failed(chain(&error)))?;
    let partial = partial(path);
    let mut last = String::new();
    for _ in 0..TRIES {
        match attempt(cx, &client, url, &partial).await {
            Ok(()) => {
                return std::fs::rename(&partial, path)
                    .map_err(CommandError::file("rename", &partial));
            }
            Err(Attempt::Over(reason)) => return Err(failed(reason)),
            Err(Attempt::CutOff(reason)) => last = reason,
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(failed(last))
}

/// How a try ended that did not bring the whole file.
enum Attempt {
    /// Another try goes on from here.
    CutOff(String),
    Over(String),
}

async fn attempt(
    cx: &Context,
    client: &reqwest::Client,
    url: &str,
    partial: &Path,
) -> Result<(), Attempt> {
    let cut_off = |error: reqwest::Error| Attempt::CutOff(chain(&error.without_url()));
    let on_disk = |error: std::io::Error| Attempt::Over(format!("{}: {error}", partial.display()));
    let here = std::fs::metadata(partial).map_or(0, |it| it.len());
    let mut request = client.get(url);
    if here > 0 {
        request = request.header(RANGE, format!("bytes={here}-"));
    }
    let mut answer = request.send().await.map_err(cut_off)?;
    let goes_on = answer.status() == StatusCode::PARTIAL_CONTENT;
    match answer.status() {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => {}
        // Nothing comes after what is here: the whole file is.
        StatusCode::RANGE_NOT_SATISFIABLE if here > 0 => return Ok(()),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(Attempt::CutOff(format!("HTTP status {status}")));
        }
        status => return Err(Attempt::Over(format!("HTTP status {status}"))),
    }
    let mut bytes = if goes_on { here } else { 0 };
    let total = answer.content_length().map(|rest| bytes + rest);
    let mut file = match goes_on {
        true => OpenOptions::new().append(true).open(partial).await,
        false => File::create(partial).await,
    }
    .map_err(on_disk)?;
    let shown = usize::try_from(total.unwrap_or(0)).unwrap_or(usize::MAX);
    let step = cx.ui.begin_counted(format!("Fetching {url}, bytes"), shown);
    while let Some(chunk) = answer.chunk().await.map_err(cut_off)? {
        bytes += chunk.len() as u64;
        if bytes > LIMIT {
            return Err(Attempt::Over(format!("it has more than {LIMIT} bytes")));
        }
        file.write_all(&chunk).await.map_err(on_disk)?;
        step.reached(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    file.flush().await.map_err(on_disk)?;
    match total {
        Some(total) if bytes != total => {
            Err(Attempt::CutOff(format!("{bytes} of {total} bytes came")))
        }
        _ => Ok(()),
    }
}
