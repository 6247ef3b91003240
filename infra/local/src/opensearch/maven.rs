//! A Maven repository as a place of files: one address for a file's coordinates, one client for all.
//!
//! In: coordinates and the digest that was written down for them. Out: the file, whole and checked, or what stood in
//! the way. The repository is what [`REPOSITORY_VARIABLE`] names, or Maven Central, whose address a package knows: the
//! project writes down no registry's. The client trusts what the system trusts, or the PEM file in SSL_CERT_FILE, and
//! takes HTTPS_PROXY and NO_PROXY.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use annapurna_contract::text::chain;
use reqwest::{Client, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::artifacts::Artifact;
use crate::LocalError;
use crate::download::{self, Downloader};
use crate::python::Venv;

/// Names a mirror of Maven Central: the address under which `org/opensearch/…` is found.
pub(crate) const REPOSITORY_VARIABLE: &str = "ANNAPURNA_MAVEN_URL";
/// The package that knows Maven Central's address, as pip takes it.
pub(crate) const GUIDE: &str = "jgo==3.2.0";
/// Where in the package the address stands.
const CONSTANTS: &str = "jgo/constants.py";
/// What is read there, for a person.
const WHAT: &str = "Maven Central's address";
/// Attempts for one file; a connection that breaks is the usual reason for another.
const ATTEMPTS: u32 = 3;

/// A repository with the client that asks it. It has no `Debug`: a mirror's address may have a password in it.
#[derive(Clone)]
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

/// Under what address a repository's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address(String);

impl Address {
    /// The mirror that the variable names, if it does.
    pub(crate) fn named() -> Option<Self> {
        let named = std::env::var(REPOSITORY_VARIABLE).ok();
        named.filter(|url| !url.is_empty()).map(Self)
    }

    /// The mirror that the variable names, or Maven Central as the environment's package knows it.
    ///
    /// # Errors
    ///
    /// When the package is not there or says no address.
    pub(crate) fn of_venv(venv: &Venv) -> Result<Self, LocalError> {
        if let Some(named) = Self::named() {
            return Ok(named);
        }
        let path = venv.packaged(WHAT, CONSTANTS)?;
        let constants = fs::read_to_string(&path).map_err(LocalError::file("read", &path))?;
        Self::in_constants(&constants, &path)
    }

    /// Maven Central, from the package's wheel.
    ///
    /// # Errors
    ///
    /// When it is no wheel, or one that says no address.
    pub(crate) fn of_wheel(wheel: &Path) -> Result<Self, LocalError> {
        let file = File::open(wheel).map_err(LocalError::file("open", wheel))?;
        let of_zip = |source| LocalError::Archive {
            path: wheel.to_owned(),
            source,
        };
        let mut zip = zip::ZipArchive::new(file).map_err(of_zip)?;
        let entry = zip.by_name(CONSTANTS).map_err(of_zip)?;
        let constants = io::read_to_string(entry).map_err(LocalError::file("read", wheel))?;
        Self::in_constants(&constants, wheel)
    }

    fn in_constants(constants: &str, path: &Path) -> Result<Self, LocalError> {
        let address = |line: &str| {
            let said = line.strip_prefix("MAVEN_CENTRAL_URL = \"")?;
            said.strip_suffix('"').map(str::to_owned)
        };
        let found = constants.lines().find_map(address);
        found.map(Self).ok_or_else(|| LocalError::Absent {
            what: WHAT,
            path: path.to_owned(),
        })
    }
}

impl Repository {
    /// The one at this address.
    pub(super) fn at(address: Address) -> Result<Self, LocalError> {
        Ok(Self {
            base: address.0,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A wheel with these constants in it.
    fn wheel(constants: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut zip = zip::ZipWriter::new(file.reopen().unwrap());
        zip.start_file(CONSTANTS, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(constants.as_bytes()).unwrap();
        zip.finish().unwrap();
        file
    }

    #[test]
    fn the_address_is_the_one_that_the_package_has() {
        let constants = "# Maven\nMAVEN_CENTRAL_URL = \"https://central.invalid/m2\"\nOTHER = 1\n";
        let address = Address::of_wheel(wheel(constants).path()).unwrap();
        assert_eq!(address, Address("https://central.invalid/m2".to_owned()));
        let error = Address::of_wheel(wheel("OTHER = 1\n").path()).unwrap_err();
        assert!(matches!(error, LocalError::Absent { .. }), "{error}");
    }
}
