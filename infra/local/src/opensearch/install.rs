//! How the server's files come: fetched from a Maven repository, checked, assembled.
//!
//! The repository is Maven Central, or what the user's jgo settings call `central`
//! (`~/.config/jgo.conf`, section `[repositories]`); proxy and certificates are those of Python's
//! requests.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::artifacts::{ARTIFACTS, Artifact, MODULES, Place, VERSION};
use crate::download::{self, Downloader};
use crate::home::{make_folder, remove_folder, walk, write_whole};
use crate::python::Venv;
use crate::{Home, LocalError, Progress, lock};

const FETCH: &str = include_str!("../scripts/fetch.py");
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
        if distribution.folder.exists() {
            return Ok(distribution);
        }
        let _lock = lock::exclusive(&home.tools_lock(), FETCH_LIMIT).await?;
        if distribution.folder.exists() {
            return Ok(distribution);
        }
        progress.note(&format!("fetching OpenSearch {VERSION} (85 MB)"));
        let files = fetch_checked(home, venv, progress).await?;
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

/// Fetches every artifact. A file that is not what was pinned (an interrupted download, say) is fetched
/// once more before that is an error.
async fn fetch_checked(
    home: &Home,
    venv: &Venv,
    progress: &dyn Progress,
) -> Result<Vec<(&'static Artifact, PathBuf)>, LocalError> {
    make_folder(&repository(home))?;
    let files = fetch(home, venv, progress).await?;
    if remove_wrong(&files)?.is_none() {
        return Ok(files);
    }
    let files = fetch(home, venv, progress).await?;
    match remove_wrong(&files)? {
        None => Ok(files),
        Some((artifact, actual)) => Err(download::wrong_digest(
            Downloader::Maven,
            artifact.coordinates,
            artifact.sha256,
            &actual,
        )),
    }
}

/// Removes the files that are not what was pinned, so that they are fetched again; gives back one of them
/// with the digest that it had.
fn remove_wrong(
    files: &[(&'static Artifact, PathBuf)],
) -> Result<Option<(&'static Artifact, String)>, LocalError> {
    let mut wrong = None;
    for (artifact, file) in files {
        let actual = digest(file)?;
        if actual != artifact.sha256 {
            fs::remove_file(file).map_err(LocalError::file("remove", file))?;
            wrong.get_or_insert((*artifact, actual));
        }
    }
    Ok(wrong)
}

async fn fetch(
    home: &Home,
    venv: &Venv,
    progress: &dyn Progress,
) -> Result<Vec<(&'static Artifact, PathBuf)>, LocalError> {
    let log_path = home.downloads().join("fetch.log");
    let log = File::create(&log_path).map_err(LocalError::file("write", &log_path))?;
    let mut child = Command::new(venv.python())
        .args(["-I", "-c", FETCH])
        .arg(repository(home))
        .args(ARTIFACTS.iter().map(|artifact| artifact.coordinates))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| LocalError::Start {
            what: "fetching OpenSearch".to_owned(),
            program: venv.python(),
            source,
        })?;
    let (files, status) = tokio::time::timeout(FETCH_LIMIT, collect(&mut child, progress))
        .await
        .map_err(|_| LocalError::Timeout {
            what: "OpenSearch's files".to_owned(),
            seconds: FETCH_LIMIT.as_secs(),
            log: String::new(),
        })?
        .map_err(LocalError::file("read the output of", venv.python()))?;
    match ARTIFACTS.get(files.len()) {
        None if status.success() => Ok(ARTIFACTS.iter().zip(files).collect()),
        // The files come in the order asked for: the first that did not come is the one that failed.
        artifact => Err(download::failed(
            Downloader::Maven,
            artifact.map(|artifact| artifact.coordinates),
            &download::read(&log_path)?,
            Some(log_path),
        )),
    }
}

/// The files that the child names, one a line, until it ends.
async fn collect(
    child: &mut Child,
    progress: &dyn Progress,
) -> io::Result<(Vec<PathBuf>, ExitStatus)> {
    let mut files = Vec::new();
    let mut lines = child
        .stdout
        .take()
        .map(|stdout| BufReader::new(stdout).lines());
    while let Some(lines) = &mut lines
        && let Some(line) = lines.next_line().await?
    {
        files.push(PathBuf::from(line));
        progress.note(&format!(
            "fetched {} of {} files of OpenSearch",
            files.len(),
            ARTIFACTS.len()
        ));
    }
    Ok((files, child.wait().await?))
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
    fn every_artifact_has_a_digest_and_four_coordinates() {
        for artifact in &ARTIFACTS {
            assert_eq!(artifact.sha256.len(), 64, "{}", artifact.coordinates);
            assert_eq!(
                artifact.coordinates.split(':').count(),
                4,
                "{}",
                artifact.coordinates
            );
        }
    }
}
