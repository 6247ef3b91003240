//! Real services for tests: one OpenSearch for all test programs of a run, a private emulator for a test.
//!
//! In: nothing. Out: addresses. Everything is below the build's `target/annapurna-test`, where downloads
//! stay from run to run. A test program holds a lock while it lives; a supervisor ends a service when
//! nobody holds its lock any more, so services end with the tests even when those are killed. Failing to
//! start a service fails the test, so these functions panic.

mod command;
mod recorded;

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use annapurna_local::emulator::{self, EmulatorOptions};
use annapurna_local::home::remove_folder;
use annapurna_local::installation::{self, Installation};
use annapurna_local::opensearch::Distribution;
use annapurna_local::process::{self, ServiceSpec, ServiceState, Spawn};
use annapurna_local::python::Venv;
use annapurna_local::torch::InstallPlan;
use annapurna_local::{Home, LocalError, Silent, lock, opensearch};
pub use command::without_own_settings;
pub use recorded::with_arxiv_feed;
use tokio::sync::OnceCell;

const SUPERVISE: &str = include_str!("supervise.py");
/// Fetching everything on a slow line, by whichever test program comes first.
const GATE_LIMIT: Duration = Duration::from_secs(2400);
/// Test programs follow one another with gaps while the next one is linked.
const SEARCH_PATIENCE_SECONDS: u32 = 20;

/// Ends a service when its lock has been free for a while.
#[derive(Debug, Clone)]
struct Supervision {
    /// The supervisor is a program for its Python.
    venv: Venv,
    lock: PathBuf,
    patience_seconds: u32,
}

impl Supervision {
    fn gate(&self) -> PathBuf {
        self.lock.with_extension("gate")
    }

    /// Holds the lock, shared with others; it is released when the file is dropped.
    fn hold(&self) -> Result<File, LocalError> {
        let file = lock::open(&self.lock)?;
        file.lock_shared()
            .map_err(LocalError::file("lock", &self.lock))?;
        Ok(file)
    }
}

impl Spawn for Supervision {
    /// The supervisor itself runs as the caller, since another user may not be allowed to run the
    /// caller's Python.
    fn spawn(&self, home: &Home, spec: ServiceSpec) -> Result<ServiceState, LocalError> {
        drop(lock::open(&self.gate())?);
        let identity = spec
            .user
            .map_or("-".to_owned(), |(user, group)| format!("{user}:{group}"));
        let mut args: Vec<OsString> = vec![
            "-I".into(),
            "-c".into(),
            SUPERVISE.into(),
            self.lock.clone().into(),
            self.gate().into(),
            self.patience_seconds.to_string().into(),
            identity.into(),
            spec.program.into(),
        ];
        args.extend(spec.args);
        let supervisor = ServiceSpec {
            program: self.venv.python(),
            args,
            user: None,
            ..spec
        };
        process::spawn(home, &supervisor)
    }
}

struct SharedSearch {
    url: String,
    _lock: File,
}

static SEARCH: OnceCell<SharedSearch> = OnceCell::const_new();

/// The address of a real OpenSearch, like `http://127.0.0.1:21234`, shared with every other test.
///
/// # Panics
/// When it cannot be fetched or started.
pub async fn search_url() -> String {
    match SEARCH.get_or_try_init(shared_search).await {
        Ok(search) => search.url.clone(),
        Err(error) => fail("OpenSearch for tests", &error),
    }
}

/// An index name that no other test uses.
pub fn unique_index(prefix: &str) -> String {
    unique(prefix)
}

fn unique(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_nanos());
    format!("{prefix}-{}-{count}-{now}", std::process::id())
}

fn fail(what: &str, error: &LocalError) -> ! {
    let source =
        std::error::Error::source(error).map_or(String::new(), |source| format!(": {source}"));
    let hint = error
        .hint()
        .map_or(String::new(), |hint| format!("\nhint: {hint}"));
    panic!("{what}: {error}{source}{hint}")
}

/// The folder of everything that tests start. Its virtual environment and downloads are what [`tools`]
/// prepared; a service in another folder is started with them.
pub fn test_home() -> Home {
    Home::new(target_folder().join("annapurna-test"))
}

/// The build's folder, found from the running test program; cargo marks it with a file.
fn target_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let marked = program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists());
    // A folder that was there before cargo, such as a restored cache, has no mark. Without `..`: the
    // emulator's functions say their paths without it.
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3);
    let usual = || project.unwrap_or(Path::new("")).join("target");
    marked.map_or_else(usual, Path::to_owned)
}

/// What the emulator and OpenSearch of tests run on.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The emulator's.
    pub venv: Venv,
    /// OpenSearch's.
    pub distribution: Distribution,
}

/// Prepares what tests run on, unless an earlier run did.
///
/// # Panics
/// When it cannot be fetched.
pub async fn tools() -> &'static Tools {
    static TOOLS: OnceCell<Tools> = OnceCell::const_new();
    TOOLS
        .get_or_init(async || {
            let nothing_else = InstallPlan::default();
            match installation::prepare(&test_home(), true, &nothing_else, &Silent).await {
                Ok(Installation {
                    venv,
                    opensearch: Some(distribution),
                    ..
                }) => Tools { venv, distribution },
                Ok(_) => panic!("OpenSearch was wanted and is not there"),
                Err(error) => fail("what tests run on", &error),
            }
        })
        .await
}

async fn shared_search() -> Result<SharedSearch, LocalError> {
    let home = test_home();
    let tools = tools().await;
    let supervision = Supervision {
        venv: tools.venv.clone(),
        lock: home.root().join("search.lock"),
        patience_seconds: SEARCH_PATIENCE_SECONDS,
    };
    let _gate = lock::exclusive(&supervision.gate(), GATE_LIMIT).await?;
    let lock = supervision.hold()?;
    if opensearch::running(&home).is_none() {
        process::stop(&home, opensearch::SERVICE, Duration::ZERO).await?;
        remove_folder(&home.data().join(opensearch::SERVICE))?;
    }
    let search = opensearch::start(&home, &tools.distribution, &supervision).await?;
    Ok(SharedSearch {
        url: search.url,
        _lock: lock,
    })
}

/// An emulator of a test's own, with empty data. Dropping it ends it and its functions and removes its
/// folder; when the test is killed, its supervisor ends it.
#[derive(Debug)]
pub struct TestEmulator {
    /// `http://127.0.0.1:PORT`; credentials are [`emulator::ROOT_ACCESS_KEY`] and its secret.
    pub endpoint_url: String,
    home: Home,
    options: EmulatorOptions,
    supervision: Supervision,
    _lock: File,
}

/// Starts an emulator for one test.
///
/// # Panics
/// When it cannot be installed or started.
pub async fn test_emulator(options: &EmulatorOptions) -> TestEmulator {
    match private_emulator(options).await {
        Ok(emulator) => emulator,
        Err(error) => fail("an emulator for a test", &error),
    }
}

impl TestEmulator {
    /// Its folder: logs, state, objects.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The Python that it runs on, which has botocore.
    pub fn python(&self) -> PathBuf {
        self.supervision.venv.python()
    }

    /// Stops it as `infra` does and starts it again with what it saved, at the same address.
    ///
    /// # Panics
    /// When it does not stop or start.
    pub async fn restart(&mut self) {
        let again = async {
            emulator::stop(&self.home).await?;
            emulator::start(
                &self.home,
                &self.supervision.venv,
                &self.options,
                &self.supervision,
            )
            .await
        };
        match again.await {
            Ok(emulator) => self.endpoint_url = emulator.endpoint_url,
            Err(error) => fail("restarting a test's emulator", &error),
        }
    }
}

impl Drop for TestEmulator {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next test's emulator.
        let _ = discard(&self.home);
    }
}

/// Ends a test's emulator without waiting for it to save anything.
fn discard(home: &Home) -> Result<(), LocalError> {
    process::stop_now(home, emulator::SERVICE, Duration::ZERO)?;
    remove_folder(home.root())
}

async fn private_emulator(options: &EmulatorOptions) -> Result<TestEmulator, LocalError> {
    let tools = tools().await;
    let folder = test_home().root().join("emulators");
    let gate = lock::exclusive(&folder.join("all.gate"), GATE_LIMIT).await?;
    discard_orphans(&folder)?;
    let home = Home::new(folder.join(unique("emulator")));
    let supervision = Supervision {
        venv: tools.venv.clone(),
        lock: home.root().join("test.lock"),
        patience_seconds: 1,
    };
    let lock = supervision.hold()?;
    drop(gate);
    let emulator = emulator::start(&home, &supervision.venv, options, &supervision).await?;
    Ok(TestEmulator {
        endpoint_url: emulator.endpoint_url,
        home,
        options: options.clone(),
        supervision,
        _lock: lock,
    })
}

/// Removes what tests left behind that were killed: folders whose lock nobody holds.
fn discard_orphans(folder: &Path) -> Result<(), LocalError> {
    let entries = std::fs::read_dir(folder).map_err(LocalError::file("list", folder))?;
    for entry in entries {
        let root = entry.map_err(LocalError::file("list", folder))?.path();
        let is_orphan =
            File::open(root.join("test.lock")).is_ok_and(|lock| lock.try_lock().is_ok());
        if is_orphan {
            discard(&Home::new(root))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_supervised_service_ends_when_nobody_holds_its_lock() {
        let tools = super::tools().await;
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let supervision = Supervision {
            venv: tools.venv.clone(),
            lock: home.root().join("test.lock"),
            patience_seconds: 0,
        };
        let lock = supervision.hold().unwrap();
        let spec = ServiceSpec {
            name: "nap",
            program: "/bin/sleep".into(),
            args: vec!["600".into()],
            env: Vec::new(),
            cwd: "/".into(),
            user: None,
            port: None,
        };
        supervision.spawn(&home, spec).unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(process::running(&home, "nap").is_some());
        drop(lock);
        for _ in 0..600 {
            if process::running(&home, "nap").is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        process::stop_now(&home, "nap", Duration::ZERO).unwrap();
        panic!("the service outlived its users");
    }

    #[test]
    fn index_names_differ() {
        assert_ne!(unique_index("a"), unique_index("a"));
    }
}
