//! What the configured Python is: version, torch, and the folders it needs to be readable in a sandbox.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use annapurna_contract::text::escaped;
use serde::Deserialize;
use tokio::process::Command;

/// Importing torch from a cold disk takes tens of seconds.
const PROBE_LIMIT: Duration = Duration::from_secs(180);

/// Isolated (`-I`): the sandbox has no user site and no PYTHON* variables either, so both see the same.
const PROBE: &str = r"
import json, os, platform, sys
torch = error = None
try:
    import torch as module
    torch = str(module.__version__)
except BaseException as problem:
    error = f'{type(problem).__name__}: {problem}'
folders = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]
folders += [path for path in sys.path if os.path.isdir(path)]
print('PROBE:' + json.dumps({'executable': sys.executable, 'version': platform.python_version(),
      'torch': torch, 'torch_error': error, 'folders': folders}))
";

/// An interpreter that answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Interpreter {
    /// Absolute path, as the interpreter itself gives it; in a virtual environment a link.
    pub executable: PathBuf,
    pub(crate) version: String,
    /// `torch.__version__`; `None` without torch.
    pub torch: Option<String>,
    /// Why torch could not be imported: the exception's type and text.
    pub(crate) torch_error: Option<String>,
    /// The prefixes of the installation and the folders of `sys.path`.
    folders: Vec<PathBuf>,
}

/// Why there is no interpreter.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    #[error("cannot run `{python}`: set AGENT_PYTHON to a Python 3.9 or newer")]
    Start {
        python: String,
        #[source]
        source: std::io::Error,
    },
    #[error("`{python}` did not answer within {} s", PROBE_LIMIT.as_secs())]
    Silent { python: String },
    #[error("`{python}` does not answer like Python 3: {answer}")]
    Strange { python: String, answer: String },
}

impl Interpreter {
    /// One that was looked for and is not there; nothing can be run with it.
    pub(crate) fn missing(python: &str) -> Self {
        Self {
            executable: PathBuf::from(python),
            version: String::new(),
            torch: None,
            torch_error: None,
            folders: Vec::new(),
        }
    }

    /// Asks `python` once what it is.
    ///
    /// # Errors
    ///
    /// [`PythonError`] when it cannot be started or does not answer; a missing torch is no error.
    pub async fn probe(python: &str) -> Result<Self, PythonError> {
        let mut command = Command::new(python);
        command
            .args(["-I", "-c", PROBE])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(PROBE_LIMIT, command.output())
            .await
            .map_err(|_| PythonError::Silent {
                python: python.to_owned(),
            })?
            .map_err(|source| PythonError::Start {
                python: python.to_owned(),
                source,
            })?;
        let said = String::from_utf8_lossy(&output.stdout);
        said.lines()
            .find_map(|line| serde_json::from_str(line.strip_prefix("PROBE:")?).ok())
            .ok_or_else(|| PythonError::Strange {
                python: python.to_owned(),
                answer: last_line(&output.stderr),
            })
    }

    /// Folders the interpreter reads and every link on the way to its binary, parents before children,
    /// without what `known` already covers.
    pub(crate) fn paths_outside(&self, known: &[&str]) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self
            .folders
            .iter()
            .filter(|folder| folder.components().count() > 2)
            .cloned()
            .collect();
        paths.extend(links(&self.executable));
        paths.sort();
        paths.dedup();
        let mut kept: Vec<PathBuf> = Vec::new();
        for path in paths {
            let covered = known.iter().any(|folder| path.starts_with(folder))
                || kept.iter().any(|folder| path.starts_with(folder));
            if !covered {
                kept.push(path);
            }
        }
        kept
    }
}

/// The path itself and what each link on the way says.
fn links(executable: &Path) -> Vec<PathBuf> {
    let mut hops = vec![executable.to_owned()];
    let mut current = executable.to_owned();
    while let Ok(target) = current.read_link() {
        let next = current.parent().unwrap_or(Path::new("/")).join(target);
        // A loop of links cannot be executed; the limit only keeps this finite.
        if hops.len() > 16 {
            break;
        }
        current = normal(&next);
        hops.push(current.clone());
    }
    hops
}

/// Removes `..` and `.` from a path without asking the file system.
fn normal(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            std::path::Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean
}

fn last_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    escaped(line.unwrap_or("no answer"), 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_environment_brings_its_folders_and_links() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("venv/bin")).unwrap();
        std::fs::create_dir_all(at("tools")).unwrap();
        std::os::unix::fs::symlink("../../tools/python", at("venv/bin/python")).unwrap();
        std::os::unix::fs::symlink("/usr/bin/python3", at("tools/python")).unwrap();
        let interpreter = Interpreter {
            executable: at("venv/bin/python"),
            version: "3.11.2".to_owned(),
            torch: None,
            torch_error: None,
            folders: vec![at("venv"), at("venv/lib"), "/usr".into(), "/".into()],
        };
        assert_eq!(
            interpreter.paths_outside(&["/usr"]),
            [at("tools/python"), at("venv")]
        );
    }

    #[tokio::test]
    async fn what_is_no_python_is_named() {
        let error = Interpreter::probe("/no/such/python").await.unwrap_err();
        assert!(error.to_string().contains("`/no/such/python`"));
        assert!(error.to_string().contains("AGENT_PYTHON"));
        let error = Interpreter::probe("true").await.unwrap_err();
        assert!(error.to_string().contains("does not answer like Python 3"));
    }
}
