//! cargo-lambda, which builds for Lambda and trn1, and zig, with which it links for another processor.
//!
//! In: the folder of our own tools. Out: ours, installed after a person agreed, or else the one on `PATH` if it has its
//! zig: a compiler of another version makes other bytes. Everything that a build is told is in `infra`; here is only where the program is.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

use crate::python::{BUILD, Venv};
use crate::{Home, LocalError, Progress, tool};

/// For a question that it answers at once; its first start reads 35 MB from disk.
const QUICK: Duration = Duration::from_secs(30);

/// The versions of ours, as `requirements-build.txt` has them.
pub const CARGO_LAMBDA: &str = "1.9.2";
/// Of its zig.
pub const ZIG: &str = "0.17.1";

/// What installing our own brings, for the person who is asked.
pub const INSTALLS: &str = "cargo-lambda 1.9.2 and zig 0.17.1 into a virtual environment of the project \
     (115 MB to download, 470 MB on disk)";

/// One that can build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CargoLambda {
    /// Its own words: name, version, commit and day.
    pub version: String,
    /// Version of its zig.
    pub zig: String,
    /// The folder of ours; `None` when it is on `PATH` anyway.
    folder: Option<PathBuf>,
}

impl CargoLambda {
    /// The first that can build: ours in `home`, then the one on `PATH`.
    pub async fn find(home: &Home) -> Option<Self> {
        if let Some(venv) = Venv::find(home, &BUILD)
            && let Some(ours) = Self::probe(Some(venv.bin())).await
        {
            return Some(ours);
        }
        Self::probe(None).await
    }

    /// Installs ours into `home`, unless it is there.
    ///
    /// # Errors
    ///
    /// Without a fitting Python, when a package cannot be had, and when what was installed does not run here.
    pub async fn install(home: &Home, progress: &dyn Progress) -> Result<Self, LocalError> {
        let venv = Venv::ensure(home, &BUILD, progress).await?;
        let folder = venv.bin();
        let absent = LocalError::Absent {
            what: "a cargo-lambda with its zig that runs on this machine",
            path: folder.join("cargo-lambda"),
        };
        Self::probe(Some(folder)).await.ok_or(absent)
    }

    /// The variable `PATH` with which cargo finds it, and it its zig.
    ///
    /// # Errors
    ///
    /// When the folder's name has a colon, which no `PATH` can hold.
    pub fn path(&self) -> Result<OsString, LocalError> {
        search_path(self.folder.clone())
    }

    async fn probe(folder: Option<PathBuf>) -> Option<Self> {
        let path = search_path(folder.clone()).ok()?;
        // As cargo calls it.
        let ask = async |arguments: &[&str]| {
            let mut program = Command::new("cargo-lambda");
            program.arg("lambda").args(arguments).env("PATH", &path);
            tool::run("cargo-lambda", &mut program, QUICK).await.ok()
        };
        let version = ask(&["--version"]).await?;
        // Without zig it would ask a person, or install one with pip wherever that installs.
        let system = ask(&["system", "--output-format", "json"]).await?;
        Some(Self {
            version: version.trim().to_owned(),
            zig: zig(&system)?,
            folder,
        })
    }
}

fn search_path(folder: Option<PathBuf>) -> Result<OsString, LocalError> {
    let inherited = std::env::var_os("PATH").into_iter();
    let others = inherited.flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let place = folder.clone().unwrap_or_else(|| PathBuf::from("PATH"));
    std::env::join_paths(folder.into_iter().chain(others))
        .map_err(std::io::Error::other)
        .map_err(LocalError::file("put into PATH", place))
}

/// The version of the zig that `cargo lambda system` names; `None` where it lists ways to install one.
fn zig(system: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct System {
        zig: Zig,
    }
    #[derive(Deserialize)]
    struct Zig {
        version: Option<String>,
    }
    serde_json::from_str::<System>(system).ok()?.zig.version
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn one_without_zig_cannot_build() {
        let with =
            r#"{"zig": {"command": "python3 -m ziglang", "version": "0.17.1"}, "config": {}}"#;
        assert_eq!(zig(with).as_deref(), Some("0.17.1"));
        let without = r#"{"zig": {"install_options": ["pip3 install ziglang"]}, "config": {}}"#;
        assert_eq!(zig(without), None);
        assert_eq!(zig("error: no such command: `lambda`"), None);
    }

    #[test]
    fn the_versions_are_those_that_are_installed() {
        let required = include_str!("../requirements-build.txt");
        for (name, version) in [("cargo-lambda", CARGO_LAMBDA), ("ziglang", ZIG)] {
            assert!(
                required.contains(&format!("\n{name}=={version} ")),
                "{name}"
            );
            assert!(INSTALLS.contains(version), "{name}");
        }
    }

    #[tokio::test]
    async fn ours_builds_even_where_another_is_on_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let on_path = CargoLambda::find(&home).await;
        assert!(on_path.is_none_or(|it| it.folder.is_none()));
        let bin = Venv::pretended(&home, &BUILD).bin();
        let program = bin.join("cargo-lambda");
        let text = "#!/bin/sh\ncase \"$2\" in --version) echo ours ;; \
                    *) echo '{\"zig\": {\"version\": \"1\"}}' ;; esac\n";
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let ours = CargoLambda::find(&home).await.unwrap();
        assert_eq!((ours.version.as_str(), ours.zig.as_str()), ("ours", "1"));
        assert_eq!(ours.folder, Some(bin));
    }

    #[test]
    fn ours_goes_before_what_is_on_the_path() {
        let ours = PathBuf::from("/ours/bin");
        let path = search_path(Some(ours.clone())).unwrap();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        assert_eq!(folders[0], ours);
        let inherited = std::env::var_os("PATH").unwrap();
        let others: Vec<PathBuf> = std::env::split_paths(&inherited).collect();
        assert_eq!(folders[1..], others);
        assert!(search_path(Some(PathBuf::from("/a:b"))).is_err());
    }
}
