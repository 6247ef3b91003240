//! Builds the functions and the agent, packs them, and puts into S3 what is not there yet.
//!
//! A zip's key holds its SHA-256, and the same binary always makes the same zip, so an unchanged
//! function has an unchanged key: a plan names exactly the functions whose code changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use annapurna_local::Home;
use annapurna_stack::environment::Environment;
use annapurna_stack::parameters::{Parameter, function_packages};

use crate::error::CommandError;

mod build;
mod pack;
mod publish;
mod same_bytes;
mod turn;

pub use publish::AssetsBucket;
pub(crate) use publish::bucket_name;
pub(crate) use turn::Turn;

use build::{Built, build_for_lambda, build_for_this_machine};
pub(crate) use build::{NO_CARGO_LAMBDA, how_to_get_cargo_lambda};
use pack::pack;

/// The agent's crate, and its binary.
const AGENT: &str = "trainium-agent";
/// Files beside the agent's binary in its bundle, relative to `trainium/`.
const AGENT_FOLDERS: [&str; 2] = ["python", "host"];

/// A zip with code, as it is on this machine and as it is called in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zip {
    /// A file below `target/annapurna`.
    pub path: PathBuf,
    /// Its key in the bucket of assets.
    pub key: String,
}

/// Everything that a deployment carries besides its template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assets {
    /// By the name of the crate, which several functions may share.
    pub functions: BTreeMap<&'static str, Zip>,
    /// The agent's bundle; `None` where the agent is a process of this machine.
    pub agent_bundle: Option<Zip>,
    /// The agent's binary for this machine; `None` in AWS.
    pub agent_binary: Option<PathBuf>,
    /// What of the tools that built it is not the project's version, for people: somebody else's deploy of the same code
    /// would change every function.
    pub differences: Vec<String>,
}

impl Assets {
    /// The template's parameters that name the code.
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let functions = self
            .functions
            .iter()
            .map(|(package, zip)| (Parameter::CodeKey(package).name(), zip.key.clone()));
        let agent = self
            .agent_bundle
            .iter()
            .map(|zip| (Parameter::AgentKey.name(), zip.key.clone()));
        functions.chain(agent).collect()
    }
}

/// Builds and packs what the environment deploys. Cargo writes its own progress to standard error. `tools` is where
/// our own cargo-lambda is, if there is one; what is for AWS needs one.
///
/// # Errors
///
/// [`CommandError::Build`] when a crate does not compile or a tool is missing.
pub async fn build(
    root: &Path,
    environment: &Environment,
    tools: &Home,
) -> Result<Assets, CommandError> {
    let Built {
        binaries,
        target_directory,
        differences,
    } = match environment.local() {
        Some(_) => build_for_this_machine(root).await?,
        None => build_for_lambda(root, environment, tools).await?,
    };
    let folder = target_directory.join("annapurna").join(&environment.name);
    let is_local = environment.local().is_some();
    // Packing hashes and compresses tens of megabytes: not on the thread that watches for Ctrl-C.
    let root = root.to_owned();
    let packed = tokio::task::spawn_blocking(move || pack_all(&root, &folder, &binaries, is_local));
    let packed = packed.await.map_err(|_| CommandError::Interrupted)??;
    Ok(Assets {
        differences,
        ..packed
    })
}

fn pack_all(
    root: &Path,
    folder: &Path,
    binaries: &BTreeMap<String, PathBuf>,
    is_local: bool,
) -> Result<Assets, CommandError> {
    let binary = |package: &str| {
        binaries
            .get(package)
            .cloned()
            .ok_or_else(|| CommandError::Build {
                what: format!("`{package}`: cargo made no binary of this name"),
                hint: "keep a function's binary named after its crate".to_owned(),
            })
    };
    let mut functions = BTreeMap::new();
    for package in function_packages() {
        let files = vec![("bootstrap".to_owned(), binary(package)?)];
        functions.insert(
            package,
            pack(folder, package, &format!("functions/{package}"), &files)?,
        );
    }
    let agent = binary(AGENT)?;
    if is_local {
        return Ok(Assets {
            functions,
            agent_bundle: None,
            agent_binary: Some(agent),
            differences: Vec::new(),
        });
    }
    let mut files = vec![(AGENT.to_owned(), agent)];
    for name in AGENT_FOLDERS {
        files.extend(files_below(&root.join("trainium").join(name), name)?);
    }
    let bundle = pack(folder, AGENT, AGENT, &files)?;
    Ok(Assets {
        functions,
        agent_bundle: Some(bundle),
        agent_binary: None,
        differences: Vec::new(),
    })
}

fn files_below(folder: &Path, name: &str) -> Result<Vec<(String, PathBuf)>, CommandError> {
    let entries = std::fs::read_dir(folder).map_err(CommandError::file("read", folder))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(CommandError::file("read", folder))?;
        let path = entry.path();
        if path.is_file() {
            let file_name = entry.file_name().into_string();
            let file_name = file_name.map_err(|name| CommandError::Build {
                what: format!(
                    "the agent's bundle: the name {} is not UTF-8",
                    name.display()
                ),
                hint: format!("rename or remove it in {}", folder.display()),
            })?;
            files.push((format!("{name}/{file_name}"), path));
        }
    }
    files.sort();
    Ok(files)
}
