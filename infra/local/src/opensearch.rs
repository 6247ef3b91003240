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
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::home::{make_folder, write_whole};
use crate::process::{self, ServiceSpec, Spawn, variable};
use crate::{Home, LocalError};

mod artifacts;
mod identity;
mod install;
mod maven;

pub use artifacts::VERSION;
use identity::Identity;
pub use identity::{FEW_USERS, USERS};
pub use install::Distribution;
pub(crate) use install::{ask, is_there};
pub(crate) use maven::{Address, GUIDE, REPOSITORY_VARIABLE};

/// The service's name: `logs/opensearch.log`, `run/opensearch.json`.
pub const SERVICE: &str = "opensearch";

/// Seven seconds on an idle machine; a machine that also builds needs more.
const START_LIMIT: Duration = Duration::from_secs(180);
/// How long a clean shutdown may take.
const STOP_GRACE: Duration = Duration::from_secs(30);

/// Where a server listens that runs.
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

/// Starts the server unless it runs, and waits until it can serve its indices.
pub async fn start(
    home: &Home,
    distribution: &Distribution,
    how: &dyn Spawn,
) -> Result<Search, LocalError> {
    // Who it runs as stays claimed until it answers; from then on its own process keeps others from that user.
    let (search, _identity) = match running(home) {
        Some(search) => (search, None),
        None => launch(home, distribution, how).await?,
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

async fn launch(
    home: &Home,
    distribution: &Distribution,
    how: &dyn Spawn,
) -> Result<(Search, Option<Identity>), LocalError> {
    process::stop(home, SERVICE, Duration::ZERO).await?;
    let port = process::remembered_port(home, SERVICE)?;
    let transport = process::remembered_port(home, "opensearch-transport")?;
    let files = Files {
        java: &distribution.java,
        distribution: &distribution.folder,
        own: home.data().join(SERVICE),
    };
    files.write_configuration(port, transport)?;
    let identity = Identity::choose(&files.own, [files.java, files.distribution]).await?;
    identity.give(&files.own)?;
    let (program, args) = identity.wrap(files.java.to_owned(), files.arguments());
    let spec = ServiceSpec {
        name: SERVICE,
        program,
        args,
        env: vec![
            variable("PATH", "/usr/bin:/bin"),
            variable("HOME", &files.own),
            variable("LANG", "C.UTF-8"),
        ],
        cwd: files.distribution.to_owned(),
        user: identity.user(),
        port: Some(port),
    };
    how.spawn(home, spec)?;
    Ok((Search::on(port), Some(identity)))
}

/// Where the parts of one server are.
struct Files<'a> {
    java: &'a Path,
    distribution: &'a Path,
    own: PathBuf,
}

impl Files<'_> {
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

    /// Everything the distribution's own start script would pass to Java, for a small machine.
    fn arguments(&self) -> Vec<OsString> {
        let setting = |name: &str, path: &Path| {
            let mut argument = OsString::from(name);
            argument.push("=");
            argument.push(path);
            argument
        };
        let mut arguments = [
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
        .map(OsString::from)
        .to_vec();
        arguments.push(setting("-Djava.io.tmpdir", &self.own.join("tmp")));
        arguments.push(setting("-Dopensearch.path.home", self.distribution));
        arguments.push(setting("-Dopensearch.path.conf", &self.configuration()));
        arguments.push("-cp".into());
        arguments.push(self.distribution.join("lib").join("*").into_os_string());
        arguments.push("org.opensearch.bootstrap.OpenSearch".into());
        arguments
    }
}
