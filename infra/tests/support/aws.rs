//! The built program on an AWS environment, whose AWS is the emulator behind a proxy.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a failed step fails the test; each test uses its part"
)]

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annapurna_local::emulator::{EmulatorOptions, ROOT_ACCESS_KEY, ROOT_SECRET_KEY};
use annapurna_local_testing::{TestEmulator, test_emulator, without_own_settings};
use annapurna_stack::environment::Environment;
use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use infra::cloud::Cloud;
use infra::engine::Engine;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

#[path = "../preflight/account.rs"]
mod account;
#[path = "faults.rs"]
pub mod faults;
#[path = "run.rs"]
mod run;
#[path = "../aws/services.rs"]
mod services;

use account::Account;
use faults::Faults;
pub use run::Run;

pub const ACCOUNT: &str = "000000000000";
/// Of one run of the program, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(900);
const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Stands in for cargo and cargo-lambda: says where the target folder is, and puts a file in the place of each
/// package's binary.
const CARGO: &str = r#"#!/bin/sh
case "$1 $2" in
    "metadata "*)
        printf '{"workspace_root": "%s", "target_directory": "%s/target", "packages": []}' "$PWD" "$PWD"
        exit ;;
    "lambda --version") echo "cargo-lambda 0.0.0 (a stand-in)"; exit ;;
    "lambda system") echo '{"zig": {"version": "0.0.0"}}'; exit ;;
esac
while [ $# -gt 0 ]; do
    if [ "$1" = --package ]; then
        mkdir -p "target/lambda/$2"
        [ -e "target/lambda/$2/bootstrap" ] || printf '#!/bin/sh\n# %s\nexec sleep 60\n' "$2" > "target/lambda/$2/bootstrap"
    fi
    shift
done
"#;

/// A project with the environments `dev` and `prod`, each with the emulator's account, without an instance and
/// with the address of an index.
pub struct AwsProject {
    pub faults: Faults,
    pub emulator: TestEmulator,
    folder: TempDir,
}

impl AwsProject {
    pub async fn new() -> Self {
        let emulator = test_emulator(&EmulatorOptions::default()).await;
        let canned = Account::ready();
        let all = services::listen(&emulator.endpoint_url, &canned.url).await;
        let faults = Faults::before(&all).await;
        let project = Self {
            faults,
            emulator,
            folder: tempfile::tempdir().unwrap(),
        };
        let root = project.root();
        std::fs::create_dir_all(root.join("environments")).unwrap();
        std::fs::write(root.join("Cargo.toml"), "[workspace]\n").unwrap();
        symlink(Path::new(OURS).join("trainium"), root.join("trainium")).unwrap();
        let tools = project.folder.path().join("bin");
        std::fs::create_dir(&tools).unwrap();
        for name in ["cargo", "cargo-lambda"] {
            std::fs::write(tools.join(name), CARGO).unwrap();
            let mode = PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(tools.join(name), mode).unwrap();
        }
        let index = index().await;
        for name in ["dev", "prod"] {
            let text = std::fs::read_to_string(format!("{OURS}/environments/{name}.toml")).unwrap();
            project.write(name, &with_index(&text, &index));
        }
        project
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    fn path(&self, environment: &str) -> PathBuf {
        self.root().join(format!("environments/{environment}.toml"))
    }

    fn write(&self, environment: &str, text: &str) {
        std::fs::write(self.path(environment), text).unwrap();
    }

    /// Replaces a line's text, which must be there, in an environment's file.
    pub fn edit(&self, environment: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(environment)).unwrap();
        assert!(text.contains(from), "`{from}` is not in {environment}.toml");
        self.write(environment, &text.replacen(from, to, 1));
    }

    /// The clients of an environment, at the emulator itself.
    pub async fn cloud(&self) -> Cloud {
        let folder = Path::new(OURS).join("environments");
        let local = Environment::load(&folder, "local").unwrap();
        Cloud::connect(&local, Some(&self.emulator.endpoint_url)).await
    }

    /// The engine of an environment's stack, at the emulator itself.
    pub async fn engine(&self, environment: &str) -> Engine {
        Engine::new(&self.cloud().await, format!("annapurna-{environment}"))
    }

    /// Queues, at the emulator itself.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
        let root = Credentials::new(ROOT_ACCESS_KEY, ROOT_SECRET_KEY, None, None, "test");
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&self.emulator.endpoint_url)
            .credentials_provider(root);
        aws_sdk_sqs::Client::from_conf(config.build())
    }

    /// The program, whose AWS is the proxy.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_infra"));
        self.prepare(&mut command);
        command.args(args);
        command
    }

    /// Gives a command what the program needs, and the arguments that name this project.
    fn prepare(&self, command: &mut Command) {
        without_own_settings(command.as_std_mut());
        let path = std::env::var("PATH").unwrap();
        let tools = self.folder.path().join("bin");
        command
            .current_dir(self.root())
            .env("PATH", format!("{}:{path}", tools.display()))
            .env("HOME", self.folder.path())
            .env("AWS_ENDPOINT_URL", &self.faults.url)
            .env("AWS_ACCESS_KEY_ID", ROOT_ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", ROOT_SECRET_KEY)
            .env("ANNAPURNA_STATE", self.folder.path().join("state"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
    }

    /// Runs a command to its end.
    pub async fn infra(&self, args: &[&str]) -> Run {
        run(self.command(args)).await
    }

    /// Starts a command, which ends with the returned value.
    pub fn start(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.kill_on_drop(true).spawn().unwrap()
    }

    /// Runs a command on a terminal, where `keys` are pressed when it shows `question`, and those behind a `|` when it
    /// shows it again. What it wrote is in `stdout`.
    pub async fn on_a_terminal(&self, args: &[&str], question: &str, keys: &str) -> Run {
        let mut command = Command::new(self.emulator.python());
        self.prepare(&mut command);
        command
            .args(["-c", include_str!("terminal.py"), question, keys])
            .arg(env!("CARGO_BIN_EXE_infra"))
            .args(args);
        run(command).await
    }
}

async fn run(mut command: Command) -> Run {
    let ended = timeout(LIMIT, command.kill_on_drop(true).output()).await;
    let output = ended.unwrap_or_else(|_| panic!("it did not end within {LIMIT:?}: {command:?}"));
    Run::of(&output.unwrap())
}

/// An environment's file with the emulator's account, a contact and this index, and without an instance.
fn with_index(text: &str, index: &str) -> String {
    let account = "# account = \"<12 digits>\"";
    assert!(text.contains(account));
    let ours = format!("account = \"{ACCOUNT}\"\nsearch = \"{index}\"");
    let text = text.replace(account, &ours);
    let contact = text.lines().find(|line| line.starts_with("contact = "));
    let text = text.replace(contact.unwrap(), "contact = \"papers@example.org\"");
    let mut kept = Vec::new();
    let mut skipped = false;
    for line in text.lines() {
        if line.starts_with('[') {
            skipped = ["[search]", "[trainium]"].contains(&line);
        }
        if !skipped {
            kept.push(line);
        }
    }
    kept.join("\n")
}

/// As much of OpenSearch as a deploy asks: each index that was put is there.
async fn answer(
    State(made): State<Arc<Mutex<BTreeMap<String, String>>>>,
    method: Method,
    uri: Uri,
    body: String,
) -> (StatusCode, String) {
    let index = uri.path().split('/').nth(1).unwrap_or_default().to_owned();
    let mut made = made.lock().unwrap();
    if method == Method::PUT {
        made.insert(index, body);
        return (StatusCode::OK, r#"{"acknowledged": true}"#.to_owned());
    }
    match made.get(&index) {
        Some(body) => (StatusCode::OK, format!("{{\"{index}\": {body}}}")),
        None => (
            StatusCode::NOT_FOUND,
            r#"{"error": {"type": "index_not_found_exception"}, "status": 404}"#.to_owned(),
        ),
    }
}

/// The address of indexes that are not there until they are made.
async fn index() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(Arc::default());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}
