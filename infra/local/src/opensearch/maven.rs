//! A Maven repository as a place of files: one address for a file's coordinates, one client for all.
//!
//! In: coordinates and the digest that was written down for them. Out: the file, whole and checked, or what stood in
//! the way. The repository is Maven Central, or what [`REPOSITORY_VARIABLE`] names. The client trusts what the
//! system trusts, or the PEM file in SSL_CERT_FILE, and takes HTTPS_PROXY and NO_PROXY.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use annapurna_contract::text::chain;
use reqwest::{Client, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::artifacts::Artifact;
use crate::LocalError;
use crate::download::{self, Downloader};

/// Names a mirror of Maven Central: the address under which `org/opensearch/…` is found.
pub(crate) const REPOSITORY_VARIABLE: &str = "ANNAPURNA_MAVEN_URL";
const CENTRAL: &str = "https://repo.maven.apache.org/maven2";
/// Attempts for one file; a connection that breaks is the usual reason for another.
const ATTEMPTS: u32 = 3;

/// A repository with the client that asks it.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    base: String,
    client: Client,
}

/// Why one attempt gave no file.
enum Failure {
    /// What the client said; another attempt may go better.
    Said(String),
    /// Another attempt would say the same.
    Final(LocalError),
}

impl Repository {
    /// The one that the environment variables name.
    pub(super) fn of_variables() -> Result<Self, LocalError> {
        let named = std::env::var(REPOSITORY_VARIABLE).ok();
        let base = named.filter(|url| !url.is_empty());
        Ok(Self {
            base: base.unwrap_or_else(|| CENTRAL.to_owned()),
            client: download::client(Downloader::Maven, "OpenSearch")?,
        })
    }

    /// Asks for a file and takes none of it: whether a download of it would begin.
    pub(super) async fn has(&self, artifact: &Artifact) -> Result<(), LocalError> {
        match self.open(artifact).await {
            Ok(_) => Ok(()),
            Err(Failure::Said(said)) => Err(failed(artifact, &said)),
            Err(Failure::Final(error)) => Err(error),
        }
    }

    /// Writes the artifact to `file`, which appears only when it is whole and what was pinned.
    pub(super) async fn fetch(&self, artifact: &Artifact, file: &Path) -> Result<(), LocalError> {
        let mut attempt = 1;
        loop {
            match self.attempt(artifact, file).await {
                Ok(()) => return Ok(()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Said(said)) if attempt == ATTEMPTS => {
                    return Err(failed(artifact, &said));
                }
                Err(Failure::Said(_)) => attempt += 1,
            }
            tokio::time::sleep(Duration::from_secs(u64::from(attempt))).await;
        }
    }

    async fn attempt(&self, artifact: &Artifact, file: &Path) -> Result<(), Failure> {
        let mut answer = self.open(artifact).await?;
        let partial = file.with_extension("partial");
        let of_file = |error| Failure::Final(LocalError::file("write", &partial)(error));
        let mut content = File::create(&partial).map_err(of_file)?;
        let mut hash = Sha256::new();
        while let Some(bytes) = answer
            .chunk()
            .await
            .map_err(|error| Failure::Said(chain(&error)))?
        {
            hash.update(&bytes);
            content.write_all(&bytes).map_err(of_file)?;
        }
        let actual = hex::encode(hash.finalize());
        if actual != artifact.sha256 {
            return Err(Failure::Final(download::wrong_digest(
                Downloader::Maven,
                &artifact.to_string(),
                artifact.sha256,
                &actual,
            )));
        }
        fs::rename(&partial, file).map_err(of_file)
    }

    async fn open(&self, artifact: &Artifact) -> Result<Response, Failure> {
        let url = format!("{}/{}", self.base.trim_end_matches('/'), artifact.path());
        let answer = self.client.get(&url).send().await;
        let answer = answer.map_err(|error| Failure::Said(chain(&error)))?;
        let status = answer.status();
        let said = format!("HTTP status {status} for url ({url})");
        match status {
            StatusCode::OK => Ok(answer),
            status if status.is_server_error() => Err(Failure::Said(said)),
            _ => Err(Failure::Final(failed(artifact, &said))),
        }
    }
}

fn failed(artifact: &Artifact, said: &str) -> LocalError {
    download::failed(Downloader::Maven, Some(&artifact.to_string()), said, None)
}
