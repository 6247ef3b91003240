//! The Python with torch that the agent runs programs with, and how to get one.
//!
//! In: the setting that names one, or what the machine has. Out: an interpreter and its torch version.
//! Installing is planned first, so that a person can be asked: torch for CPU from PyTorch's own wheel
//! index into the virtual environment, or the distribution's package where that index cannot be
//! reached and this process may install packages.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annapurna_contract::text::chain;
use tokio::process::Command;

use crate::download::{self, Downloader};
use crate::python::{CANDIDATES, Venv};
use crate::{Home, LocalError, Progress, tool};

/// PyTorch's index of wheels without CUDA; the default index has them with CUDA, ten times as large.
const CPU_INDEX: &str = "https://download.pytorch.org/whl/cpu";
/// Has wheels for Python 3.10 to 3.14. numpy is what programs and torch itself exchange arrays with.
const PACKAGES: [&str; 2] = ["torch==2.9.1", "numpy>=2.2,<3"];
const WHEELS_TEXT: &str = "torch 2.9.1 for CPU and numpy into the virtual environment \
     (about 200 MB to download, 800 MB on disk)";
/// Reads the version without importing torch, which takes seconds.
const PROBE: &str = "\
import importlib.util, pathlib, re, sys
found = importlib.util.find_spec('torch')
folder = pathlib.Path(list(found.submodule_search_locations)[0])
text = (folder / 'version.py').read_text()
print(re.search(r\"__version__ = '([^']*)'\", text).group(1), sys.executable)
";
const INSTALL_LIMIT: Duration = Duration::from_secs(3600);
/// For one small page, before a person is asked.
const INDEX_LIMIT: Duration = Duration::from_secs(4);

/// An interpreter that has torch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TorchPython {
    /// The interpreter, which can `import torch`.
    pub path: PathBuf,
    /// `torch.__version__`.
    pub version: String,
}

/// The first Python that has torch: the one the setting names and no other, or else the virtual
/// environment's, then those on the machine.
pub(crate) async fn find(setting: Option<&Path>, venv: Option<&Venv>) -> Option<TorchPython> {
    if let Some(path) = setting {
        return probe(path).await;
    }
    let own = venv.map(Venv::python);
    let candidates = own.into_iter().chain(CANDIDATES.map(PathBuf::from));
    let answers =
        futures::future::join_all(candidates.map(|path| async move { probe(&path).await }));
    answers.await.into_iter().flatten().next()
}

async fn probe(program: &Path) -> Option<TorchPython> {
    let mut command = Command::new(program);
    command.args(["-I", "-c", PROBE]);
    let answer = tool::run("looking for torch", &mut command, Duration::from_secs(20))
        .await
        .ok()?;
    let (version, path) = answer.trim().split_once(' ')?;
    Some(TorchPython {
        path: PathBuf::from(path),
        version: version.to_owned(),
    })
}

/// How torch would be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// From PyTorch's CPU wheel index, into the virtual environment.
    Wheels,
    /// Debian's `python3-torch`, for the whole machine.
    Debian,
}

/// What generated programs run on, and what would be installed for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstallPlan {
    /// The interpreter that is there already.
    pub present: Option<TorchPython>,
    /// How torch comes; `None` when it is there already or cannot be had.
    pub torch: Option<Route>,
    /// Whether Debian's `bubblewrap` is installed.
    pub bubblewrap: bool,
    /// One line for a person per thing, with its size.
    pub lines: Vec<String>,
    /// Why torch does not come from PyTorch's wheel index, and what mends that.
    pub obstacle: Option<String>,
}

impl InstallPlan {
    /// True when there is nothing to install.
    pub fn is_empty(&self) -> bool {
        self.torch.is_none() && !self.bubblewrap
    }

    /// The plan of a person who wants nothing installed.
    pub fn declined(self) -> Self {
        Self {
            present: self.present,
            ..Self::default()
        }
    }

    fn debian_packages(&self) -> Vec<&'static str> {
        let torch = (self.torch == Some(Route::Debian)).then_some("python3-torch");
        let bubblewrap = self.bubblewrap.then_some("bubblewrap");
        torch.into_iter().chain(bubblewrap).collect()
    }
}

/// What this machine lacks and could get, without changing anything. `present` is what [`find`] found.
///
/// A setting that names an interpreter is the user's choice; nothing is planned for torch then.
pub async fn plan(setting: Option<&Path>, present: Option<TorchPython>) -> InstallPlan {
    let debian = may_use_apt();
    let mut plan = InstallPlan {
        bubblewrap: debian && tool::find_program("bwrap").is_none(),
        ..InstallPlan::default()
    };
    if setting.is_none() && present.is_none() {
        match index_answers().await {
            Ok(()) => plan.torch = Some(Route::Wheels),
            Err(error) => {
                plan.torch = debian.then_some(Route::Debian);
                plan.obstacle = Some(match error.hint() {
                    Some(hint) => format!("{error}; {hint}"),
                    None => error.to_string(),
                });
            }
        }
    }
    plan.present = present;
    if plan.torch == Some(Route::Wheels) {
        plan.lines.push(WHEELS_TEXT.to_owned());
    }
    let packages = plan.debian_packages();
    if !packages.is_empty() {
        plan.lines.push(format!(
            "Debian packages {} with apt-get for the whole machine ({})",
            packages.join(", "),
            apt_size(&packages).await
        ));
    }
    plan
}

/// Installs what was planned and gives back the interpreter with torch, when there is one then.
pub(crate) async fn install(
    home: &Home,
    venv: &Venv,
    plan: &InstallPlan,
    progress: &dyn Progress,
) -> Result<Option<TorchPython>, LocalError> {
    if plan.torch == Some(Route::Wheels) {
        progress.note("installing torch for CPU (about 200 MB)");
        let args = ["--index-url", CPU_INDEX].into_iter().chain(PACKAGES);
        let args = args.map(OsStr::new);
        venv.pip_install(home, Downloader::Torch, args, INSTALL_LIMIT)
            .await?;
    }
    let packages = plan.debian_packages();
    if !packages.is_empty() {
        progress.note("reading Debian's package lists");
        tool::run("apt-get update", apt().arg("update"), INSTALL_LIMIT).await?;
        progress.note(&format!(
            "installing {} with apt-get",
            packages.join(" and ")
        ));
        let mut install = apt();
        install
            .args(["install", "--yes", "--no-install-recommends"])
            .args(&packages);
        tool::run("apt-get install", &mut install, INSTALL_LIMIT).await?;
    }
    match plan.torch {
        Some(_) => Ok(find(None, Some(venv)).await),
        None => Ok(plan.present.clone()),
    }
}

/// Asks PyTorch's index for its page of torch.
pub(crate) async fn index_answers() -> Result<(), LocalError> {
    let url = format!("{CPU_INDEX}/torch/");
    let failed = |said: &str| download::failed(Downloader::Torch, Some("torch"), said, None);
    let client = download::client(Downloader::Torch, "torch")?;
    match client.head(url).timeout(INDEX_LIMIT).send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(failed(&format!(
            "its wheel index answers {}",
            answer.status()
        ))),
        Err(error) => Err(failed(&chain(&error))),
    }
}

/// Debian or a relative of it, and this process may install packages.
pub(crate) fn may_use_apt() -> bool {
    let is_debian = |release: String| {
        release
            .lines()
            .filter(|line| line.starts_with("ID=") || line.starts_with("ID_LIKE="))
            .any(|line| line.contains("debian"))
    };
    nix::unistd::geteuid().is_root()
        && tool::find_program("apt-get").is_some()
        && fs::read_to_string("/etc/os-release").is_ok_and(is_debian)
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C");
    command
}

/// What apt-get itself says it would need, from the lists the machine has.
async fn apt_size(packages: &[&str]) -> String {
    let mut ask = apt();
    ask.args(["install", "--assume-no", "--no-install-recommends"])
        .args(packages);
    let output =
        tokio::time::timeout(Duration::from_secs(20), ask.kill_on_drop(true).output()).await;
    let text = match output {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).into_owned(),
        _ => String::new(),
    };
    sizes(&text).unwrap_or_else(|| "size known after `apt-get update`".to_owned())
}

fn sizes(text: &str) -> Option<String> {
    let download = text.lines().find_map(|line| {
        line.strip_prefix("Need to get ")?
            .split(" of archives")
            .next()
    })?;
    let disk = text.lines().find_map(|line| {
        line.strip_prefix("After this operation, ")?
            .split(" of additional")
            .next()
    })?;
    let download = download.rsplit('/').next().unwrap_or(download);
    Some(format!("{download} to download, {disk} on disk"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_are_what_apt_says() {
        let text = "The following NEW packages will be installed:\n  bubblewrap\n\
                    Need to get 12.3 MB/45.6 MB of archives.\n\
                    After this operation, 150 MB of additional disk space will be used.\n";
        assert_eq!(sizes(text).unwrap(), "45.6 MB to download, 150 MB on disk");
        assert_eq!(sizes("E: Unable to locate package"), None);
    }

    #[tokio::test]
    async fn a_setting_that_names_no_torch_is_not_replaced_by_another() {
        assert_eq!(
            find(Some(Path::new("/nonexistent/python")), None).await,
            None
        );
    }
}
