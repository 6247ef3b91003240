//! Builds the functions and the agent, packs them, and puts into S3 what is not there yet.
//!
//! A zip's key holds its SHA-256, and the same binary always makes the same zip, so an unchanged
//! function has an unchanged key: a plan names exactly the functions whose code changed.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::UNIX_EPOCH;

use annapurna_stack::environment::{Architecture, Environment};
use annapurna_stack::parameters::{Parameter, function_packages};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::process::Command;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::cloud::Cloud;
use crate::error::CommandError;

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

/// Builds and packs what the environment deploys. Cargo writes its own progress to standard error.
///
/// # Errors
///
/// [`CommandError::Build`] when a crate does not compile or a tool is missing.
pub async fn build(root: &Path, environment: &Environment) -> Result<Assets, CommandError> {
    let binaries = match environment.local() {
        Some(_) => build_for_this_machine(root).await?,
        None => build_for_lambda(root, environment.architecture()).await?,
    };
    let folder = target_folder(root)
        .await?
        .join("annapurna")
        .join(&environment.name);
    let is_local = environment.local().is_some();
    // Packing hashes and compresses tens of megabytes: not on the thread that watches for Ctrl-C.
    let root = root.to_owned();
    let packed = tokio::task::spawn_blocking(move || pack_all(&root, &folder, &binaries, is_local));
    packed.await.map_err(|_| CommandError::Interrupted)?
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

async fn build_for_this_machine(root: &Path) -> Result<BTreeMap<String, PathBuf>, CommandError> {
    let mut cargo = cargo(root);
    cargo.args(["build", "--message-format=json-render-diagnostics"]);
    for package in function_packages().into_iter().chain([AGENT]) {
        cargo.args(["--package", package]);
    }
    let output = cargo.stderr(Stdio::inherit()).output().await;
    let output = output.map_err(CommandError::file("run", "cargo"))?;
    if !output.status.success() {
        return Err(CommandError::Build {
            what: "the functions and the agent".to_owned(),
            hint: "correct what the compiler reports above".to_owned(),
        });
    }
    Ok(executables(&String::from_utf8_lossy(&output.stdout)))
}

/// Binaries by name, from cargo's messages.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
        .filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path)))
        .collect()
}

/// The agent runs on trn1, which is x86-64; the functions on what the environment says.
async fn build_for_lambda(
    root: &Path,
    architecture: Architecture,
) -> Result<BTreeMap<String, PathBuf>, CommandError> {
    let functions = function_packages();
    cargo_lambda(root, architecture, &functions).await?;
    cargo_lambda(root, Architecture::X86_64, &[AGENT]).await?;
    let folder = target_folder(root).await?.join("lambda");
    let binaries = functions.iter().chain([&AGENT]).map(|package| {
        (
            (*package).to_owned(),
            folder.join(package).join("bootstrap"),
        )
    });
    Ok(binaries.collect())
}

async fn cargo_lambda(
    root: &Path,
    architecture: Architecture,
    packages: &[&str],
) -> Result<(), CommandError> {
    let mut cargo = cargo(root);
    cargo.args(["lambda", "build", "--release", "--locked"]);
    cargo.arg(match architecture {
        Architecture::Arm64 => "--arm64",
        Architecture::X86_64 => "--x86-64",
    });
    for package in packages {
        cargo.args(["--package", package]);
    }
    let status = cargo
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .status()
        .await;
    let status = status.map_err(CommandError::file("run", "cargo"))?;
    if status.success() {
        return Ok(());
    }
    Err(CommandError::Build {
        what: format!("{} for {}", packages.join(", "), architecture.name()),
        hint:
            "cargo-lambda is needed for AWS: pip install cargo-lambda; otherwise correct what the \
               compiler reports above"
                .to_owned(),
    })
}

/// Cargo as a person would start it: without the variables that an outer cargo sets for what it runs,
/// which would rebuild crates that read them.
fn cargo(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(root)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_outer = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
        ]
        .iter()
        .any(|prefix| text.starts_with(prefix));
        if is_outer {
            command.env_remove(&name);
        }
    }
    command
}

async fn target_folder(root: &Path) -> Result<PathBuf, CommandError> {
    #[derive(Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let mut cargo = cargo(root);
    cargo.args(["metadata", "--format-version=1", "--no-deps"]);
    let output = cargo
        .output()
        .await
        .map_err(CommandError::file("run", "cargo"))?;
    let metadata: Result<Metadata, _> = serde_json::from_slice(&output.stdout);
    metadata
        .map(|it| it.target_directory)
        .map_err(|_| CommandError::Build {
            what: "the workspace: cargo metadata failed".to_owned(),
            hint: crate::ui::one_line(&String::from_utf8_lossy(&output.stderr), 300),
        })
}

/// A file's name in the zip, its length in bytes, and when it changed, in nanoseconds since 1970.
type Input = (String, u64, i128);

/// What a zip was made of, so that an unchanged binary is not packed again.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Packed {
    inputs: Vec<Input>,
    sha256: String,
}

fn pack(
    folder: &Path,
    name: &str,
    key_prefix: &str,
    files: &[(String, PathBuf)],
) -> Result<Zip, CommandError> {
    std::fs::create_dir_all(folder).map_err(CommandError::file("make", folder))?;
    let path = folder.join(format!("{name}.zip"));
    let note = folder.join(format!("{name}.json"));
    let inputs = files.iter().map(input).collect::<Result<Vec<_>, _>>()?;
    let known: Option<Packed> = std::fs::read(&note)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    let sha256 = match known.filter(|known| known.inputs == inputs && path.is_file()) {
        Some(known) => known.sha256,
        None => {
            let bytes = zip_of(files)?;
            let sha256 = hex::encode(Sha256::digest(&bytes));
            std::fs::write(&path, bytes).map_err(CommandError::file("write", &path))?;
            let packed = serde_json::to_vec(&Packed {
                inputs,
                sha256: sha256.clone(),
            })?;
            std::fs::write(&note, packed).map_err(CommandError::file("write", &note))?;
            sha256
        }
    };
    Ok(Zip {
        path,
        key: format!("{key_prefix}/{sha256}.zip"),
    })
}

/// # Errors
///
/// Also when the system does not say when the file changed: an old zip could not be told from a new one.
fn input((name, path): &(String, PathBuf)) -> Result<Input, CommandError> {
    let metadata = std::fs::metadata(path).map_err(CommandError::file("read", path))?;
    let modified = metadata.modified();
    let modified = modified.map_err(CommandError::file("learn the age of", path))?;
    let nanos = match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => i128::try_from(after.as_nanos()),
        Err(before) => i128::try_from(before.duration().as_nanos()).map(|nanos| -nanos),
    };
    let nanos = nanos.map_err(std::io::Error::other);
    let nanos = nanos.map_err(CommandError::file("learn the age of", path))?;
    Ok((name.clone(), metadata.len(), nanos))
}

/// A zip that depends on its files' names and content only: no times, fixed permissions.
fn zip_of(files: &[(String, PathBuf)]) -> Result<Vec<u8>, CommandError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1))
        .unix_permissions(0o755)
        .last_modified_time(zip::DateTime::default());
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, path) in files {
        let content = std::fs::read(path).map_err(CommandError::file("read", path))?;
        let written = archive
            .start_file(name.as_str(), options)
            .map_err(std::io::Error::other)
            .and_then(|()| archive.write_all(&content));
        written.map_err(CommandError::file("pack", path))?;
    }
    let archive = archive.finish().map_err(std::io::Error::other);
    Ok(archive
        .map_err(CommandError::file("pack", "a zip"))?
        .into_inner())
}

/// The name of the bucket of assets: one an account and region, shared by its environments.
pub fn bucket_name(account: &str, region: &str) -> String {
    format!("annapurna-assets-{account}-{region}")
}

/// Makes the bucket of assets unless it is there: private, encrypted, versioned as S3 does by default.
///
/// # Errors
///
/// When S3 refuses, such as for a bucket of that name in another account.
pub async fn ensure_bucket(cloud: &Cloud, bucket: &str, region: &str) -> Result<(), CommandError> {
    use aws_sdk_s3::types::{
        BucketLocationConstraint, CreateBucketConfiguration, PublicAccessBlockConfiguration,
    };
    if cloud.s3.head_bucket().bucket(bucket).send().await.is_ok() {
        return Ok(());
    }
    let mut request = cloud.s3.create_bucket().bucket(bucket);
    if region != "us-east-1" {
        let place = CreateBucketConfiguration::builder()
            .location_constraint(BucketLocationConstraint::from(region))
            .build();
        request = request.create_bucket_configuration(place);
    }
    request
        .send()
        .await
        .map_err(CommandError::aws(format!("create bucket `{bucket}`")))?;
    let closed = PublicAccessBlockConfiguration::builder()
        .block_public_acls(true)
        .block_public_policy(true)
        .ignore_public_acls(true)
        .restrict_public_buckets(true)
        .build();
    let request = cloud
        .s3
        .put_public_access_block()
        .bucket(bucket)
        .public_access_block_configuration(closed);
    request.send().await.map_err(CommandError::aws(format!(
        "close bucket `{bucket}` to the public"
    )))?;
    Ok(())
}

/// Uploads a zip unless its key is there; true when it was uploaded.
///
/// # Errors
///
/// When the file cannot be read or S3 refuses.
pub async fn publish(cloud: &Cloud, bucket: &str, zip: &Zip) -> Result<bool, CommandError> {
    if cloud
        .s3
        .head_object()
        .bucket(bucket)
        .key(&zip.key)
        .send()
        .await
        .is_ok()
    {
        return Ok(false);
    }
    let body = tokio::fs::read(&zip.path)
        .await
        .map_err(CommandError::file("read", &zip.path))?;
    let request = cloud
        .s3
        .put_object()
        .bucket(bucket)
        .key(&zip.key)
        .body(body.into());
    request
        .send()
        .await
        .map_err(CommandError::aws(format!("upload {}", zip.key)))?;
    Ok(true)
}

/// Uploads a template that is too large for a request and returns its address.
///
/// # Errors
///
/// When S3 refuses.
pub async fn publish_template(
    cloud: &Cloud,
    bucket: &str,
    region: &str,
    body: &str,
) -> Result<String, CommandError> {
    let key = format!("templates/{}.json", hex::encode(Sha256::digest(body)));
    let content = body.as_bytes().to_vec();
    let request = cloud
        .s3
        .put_object()
        .bucket(bucket)
        .key(&key)
        .body(content.into());
    request
        .send()
        .await
        .map_err(CommandError::aws("upload the template"))?;
    Ok(match cloud.config.endpoint_url() {
        Some(endpoint) => format!("{endpoint}/{bucket}/{key}"),
        None => format!("https://{bucket}.s3.{region}.amazonaws.com/{key}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_make_the_same_zip() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bootstrap");
        std::fs::write(&file, "binary").unwrap();
        let files = vec![("bootstrap".to_owned(), file.clone())];
        let first = zip_of(&files).unwrap();
        std::fs::write(&file, "binary").unwrap();
        assert_eq!(zip_of(&files).unwrap(), first);
        std::fs::write(&file, "another").unwrap();
        assert_ne!(zip_of(&files).unwrap(), first);
    }

    #[test]
    fn a_changed_binary_has_another_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("judge");
        std::fs::write(&file, "one").unwrap();
        let files = vec![("bootstrap".to_owned(), file.clone())];
        let first = pack(folder.path(), "judge", "functions/judge", &files).unwrap();
        assert_eq!(
            pack(folder.path(), "judge", "functions/judge", &files).unwrap(),
            first
        );
        std::fs::write(&file, "other").unwrap();
        assert_ne!(
            pack(folder.path(), "judge", "functions/judge", &files)
                .unwrap()
                .key,
            first.key
        );
    }

    #[test]
    fn binaries_are_found_in_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\nnot json\n\
             {\"reason\":\"compiler-artifact\",\"executable\":\"/t/debug/papers-judge\"}";
        let found = executables(messages);
        assert_eq!(
            found["papers-judge"],
            PathBuf::from("/t/debug/papers-judge")
        );
    }
}
