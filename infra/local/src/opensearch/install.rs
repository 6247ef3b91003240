//! How the server's files come: fetched from a Maven repository, checked, assembled.
//!
//! What was fetched stays until everything is there, so an interrupted download goes on with the next file.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::artifacts::{ARTIFACTS, Artifact, MODULES, Place, VERSION};
use super::maven::{Address, Repository};
use crate::home::{make_folder, remove_folder, walk, write_whole};
use crate::python::Venv;
use crate::{Home, LocalError, Progress, lock};

const FETCH_LIMIT: Duration = Duration::from_secs(1800);

/// The server's complete files and the Java that it runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    pub(super) folder: PathBuf,
    pub(super) java: PathBuf,
}

impl Distribution {
    /// Fetches, checks and assembles the server unless that is done; interrupted, it goes on where it was.
    pub(crate) async fn ensure(
        home: &Home,
        venv: &Venv,
        progress: &dyn Progress,
    ) -> Result<Self, LocalError> {
        let distribution = Self {
            folder: folder(home),
            java: venv.java()?,
        };
        if is_there(home) {
            return Ok(distribution);
        }
        let _lock = lock::exclusive(&home.tools_lock(), FETCH_LIMIT).await?;
        if is_there(home) {
            return Ok(distribution);
        }
        progress.note(&format!("fetching OpenSearch {VERSION} (85 MB)"));
        let files = fetch(home, Address::of_venv(venv)?, progress).await?;
        progress.note("unpacking OpenSearch");
        let home = home.clone();
        tokio::task::spawn_blocking(move || assemble(&home, &files))
            .await
            .map_err(|error| LocalError::file("unpack", "OpenSearch")(io::Error::other(error)))??;
        Ok(distribution)
    }
}

/// The assembled server. Its name contains what it is made of, so another list of artifacts is another
/// folder; it appears only when it is complete.
fn folder(home: &Home) -> PathBuf {
    let mut hash = Sha256::new();
    for artifact in &ARTIFACTS {
        hash.update(artifact.sha256);
    }
    let id = hex::encode(&hash.finalize()[..4]);
    home.downloads().join(format!("opensearch-{VERSION}-{id}"))
}

fn repository(home: &Home) -> PathBuf {
    home.downloads().join("maven")
}

/// Whether the server's files are there.
pub(crate) fn is_there(home: &Home) -> bool {
    folder(home).exists()
}

/// Asks for the first of the server's files and takes nothing.
///
/// # Errors
///
/// What would stand in the way of a download.
pub(crate) async fn ask(address: Address) -> Result<(), LocalError> {
    Repository::at(address)?.has(&ARTIFACTS[0]).await
}

/// Fetches every artifact that is not there yet, each checked.
async fn fetch(
    home: &Home,
    address: Address,
    progress: &dyn Progress,
) -> Result<Vec<(&'static Artifact, PathBuf)>, LocalError> {
    let folder = repository(home);
    make_folder(&folder)?;
    let maven = Repository::at(address)?;
    let mut files = Vec::new();
    for artifact in &ARTIFACTS {
        let file = folder.join(artifact.file_name());
        if !file.exists() || digest(&file)? != artifact.sha256 {
            maven.fetch(artifact, &file).await?;
        }
        files.push((artifact, file));
        progress.note(&format!(
            "fetched {} of {} files of OpenSearch",
            files.len(),
            ARTIFACTS.len()
        ));
    }
    Ok(files)
}

fn digest(file: &Path) -> Result<String, LocalError> {
    let mut content = File::open(file).map_err(LocalError::file("open", file))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count =
            io::Read::read(&mut content, &mut buffer).map_err(LocalError::file("read", file))?;
        if count == 0 {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(&buffer[..count]);
    }
}

fn assemble(home: &Home, files: &[(&Artifact, PathBuf)]) -> Result<(), LocalError> {
    let target = folder(home);
    let partial = target.with_extension("partial");
    let unpacked = home.downloads().join("unpacked.partial");
    remove_folder(&partial)?;
    remove_folder(&unpacked)?;
    for (artifact, file) in files {
        match artifact.place {
            Place::Distribution => {
                unpack(file, &unpacked)?;
                let inner = unpacked.join(format!("opensearch-{VERSION}"));
                fs::rename(&inner, &partial).map_err(LocalError::file("move", &inner))?;
            }
            Place::Plugin(name) => unpack(file, &partial.join("plugins").join(name))?,
            Place::Module(name) => {
                let module = partial.join("modules").join(name);
                make_folder(&module)?;
                let nameless =
                    || LocalError::file("name", file)(io::ErrorKind::InvalidInput.into());
                let jar = module.join(file.file_name().ok_or_else(nameless)?);
                fs::copy(file, &jar).map_err(LocalError::file("copy", file))?;
            }
        }
    }
    for module in &MODULES {
        let own = partial.join("modules").join(module.name);
        write_whole(
            &own.join("plugin-descriptor.properties"),
            module.descriptor().as_bytes(),
        )?;
        write_whole(
            &own.join("plugin-security.policy"),
            module.policy.as_bytes(),
        )?;
    }
    make_readable(&partial)?;
    fs::rename(&partial, &target).map_err(LocalError::file("move", &partial))?;
    remove_folder(&unpacked)?;
    remove_folder(&repository(home))
}

fn unpack(archive: &Path, folder: &Path) -> Result<(), LocalError> {
    let wrong = |source| LocalError::Archive {
        path: archive.to_owned(),
        source,
    };
    let file = File::open(archive).map_err(LocalError::file("open", archive))?;
    let mut zip = zip::ZipArchive::new(file).map_err(wrong)?;
    zip.extract(folder).map_err(wrong)
}

fn make_readable(folder: &Path) -> Result<(), LocalError> {
    walk(folder, &mut |path, meta| {
        let mode = if meta.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_of_the_domains_version() {
        let domain = annapurna_contract::names::ENGINE_VERSION.strip_prefix("OpenSearch_");
        assert_eq!(VERSION.rsplit_once('.').map(|(version, _)| version), domain);
    }

    #[test]
    fn every_artifact_has_a_digest_and_a_place_of_its_own() {
        let mut names: Vec<String> = ARTIFACTS.iter().map(Artifact::file_name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ARTIFACTS.len());
        for artifact in &ARTIFACTS {
            assert_eq!(artifact.sha256.len(), 64, "{artifact}");
        }
        assert_eq!(
            ARTIFACTS[0].path(),
            "org/opensearch/distribution/integ-test-zip/opensearch/3.3.0/opensearch-3.3.0.zip"
        );
    }
}
