//! A real agent with two slots, and the place that it works in.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use annapurna_contract::PaperId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bucket::Bucket;
use crate::lent::Lent;

/// Longest wait for the agent to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait for an answer about a program after its own time.
const ANSWER: Duration = Duration::from_secs(40);

/// Folders of an agent, which its user may use and no program may see.
#[derive(Debug)]
pub(crate) struct Place {
    folder: TempDir,
    /// The agent's user; `None` for the tests' own.
    pub(crate) user: Option<u32>,
    pub(crate) bucket: Bucket,
    /// Control groups that were lent to that user.
    lent: Option<Lent>,
}

impl Place {
    pub(crate) async fn make(user: Option<u32>, lent: Option<Lent>) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("annapurna-attacks-")
            .tempdir()
            .unwrap();
        let place = Self {
            folder,
            user,
            bucket: Bucket::start().await,
            lent,
        };
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // Another user may be unable to reach the tests' own folder.
        fs::copy(env!("CARGO_BIN_EXE_trainium-agent"), place.binary()).unwrap();
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python");
        fs::create_dir(place.path().join("python")).unwrap();
        for module in ["dataset_loader.py", "measuring.py"] {
            let copy = place.path().join("python").join(module);
            fs::copy(python.join(module), copy).unwrap();
        }
        fs::create_dir(place.state()).unwrap();
        if let Some(user) = user {
            chown(place.state(), Some(user), Some(user)).unwrap();
        }
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path().join("agent.log")
    }

    fn binary(&self) -> PathBuf {
        self.path().join("trainium-agent")
    }

    fn command(&self) -> Command {
        let mut command = match &self.lent {
            None => Command::new(self.binary()),
            Some(lent) => {
                let mut command = Command::new("sh");
                command.args(lent.entered(&self.binary()));
                command
            }
        };
        let limits = "--slots 2 --memory-mib 512 --disk-mib 64 --processes 128 --output-mib 1";
        command
            .args(["--listen", "127.0.0.1:0", "--python", "/usr/bin/python3"])
            .args(limits.split(' '))
            .arg("--state-dir")
            .arg(self.state())
            .current_dir(self.path())
            // The queue is a closed port: what comes, comes by HTTP.
            .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
            .env("AWS_ENDPOINT_URL_S3", &self.bucket.endpoint)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMIexamplekeyonly")
            .env("AWS_CONFIG_FILE", "/nonexistent")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
            .env(
                "TESTING_QUEUE_URL",
                "http://127.0.0.1:1/1/code-testing.fifo",
            )
            .envs(["CODE_BUCKET", "OUTPUTS_BUCKET", "DATASETS_BUCKET"].map(|name| (name, "bucket")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(
                fs::File::options()
                    .create(true)
                    .append(true)
                    .open(self.log())
                    .unwrap(),
            );
        if let Some(user) = self.user {
            command.env("HOME", self.state());
            if self.lent.is_none() {
                command.uid(user).gid(user);
            }
        }
        command
    }
}

/// A running agent.
#[derive(Debug)]
pub(crate) struct Agent {
    child: Child,
    client: reqwest::Client,
    pub(crate) port: u16,
    /// Users of its slots; empty where it is not root.
    pub(crate) users: Vec<u32>,
}

impl Agent {
    pub(crate) async fn start(place: &Place) -> Self {
        let mut child = place.command().spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (say, said) = mpsc::channel();
        let log = place.log();
        // The pipe must be read on, or the agent stops at a full one.
        std::thread::spawn(move || {
            use std::io::Write;
            let mut log = fs::File::options().append(true).open(log).unwrap();
            for line in lines.map_while(Result::ok) {
                let _ = writeln!(log, "{line}");
                let line = serde_json::from_str::<Value>(&line).ok();
                if let Some(started) = line.filter(|line| line["message"] == "started") {
                    let _ = say.send(started);
                }
            }
        });
        let Ok(started) = tokio::task::block_in_place(|| said.recv_timeout(PATIENCE)) else {
            let _ = child.kill();
            panic!(
                "it does not start: {}",
                fs::read_to_string(place.log()).unwrap()
            );
        };
        let (_, port) = started["address"]
            .as_str()
            .unwrap()
            .rsplit_once(':')
            .unwrap();
        let users = started["users"].as_str().unwrap_or_default().split(' ');
        Self {
            child,
            client: reqwest::Client::new(),
            port: port.parse().unwrap(),
            users: users.filter_map(|user| user.parse().ok()).collect(),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) async fn health(&self) -> reqwest::Result<Value> {
        let request = self.client.get(self.url("/health"));
        request
            .timeout(Duration::from_secs(10))
            .send()
            .await?
            .json()
            .await
    }

    /// Runs a program and gives its result, or the refusal to run it. Its outputs go to the bucket.
    pub(crate) async fn execute(
        &self,
        code: &str,
        time: u32,
        name: &str,
    ) -> reqwest::Result<Value> {
        let paper = PaperId::of(name, None);
        let body =
            json!({"code": code, "timeout": time, "paper_id": paper, "s3_code_key": "program.py"});
        let request = self.client.post(self.url("/execute")).json(&body);
        let patience = Duration::from_secs(time.into()) + ANSWER;
        request.timeout(patience).send().await?.json().await
    }

    /// Whether it ended by itself, or by what a program did.
    pub(crate) fn is_gone(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()));
        status.is_ok_and(|status| status.contains("State:\tZ"))
    }

    /// Asks it to stop and waits for that.
    pub(crate) async fn stop(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < PATIENCE, "it does not stop");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(status.success(), "{status}");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
