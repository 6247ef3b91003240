//! The local cloud: ministack, an AWS emulator that others maintain, as a child process.
//!
//! In: where OpenSearch listens, region and account. Out: one address that answers for every service.
//! What is deliberately absent: any knowledge of the stack, and a second emulator; another one is used
//! by naming its address in the environment file.
//!
//! What was found out about it (1.5.33), and what follows:
//! - Everything in its environment reaches the functions, so it gets only what is listed in
//!   [`environment`]. It replaces credentials, region and `AWS_ENDPOINT_URL` for each function itself;
//!   with `AUTH=true` a function gets a session of its role.
//! - `AUTH=true` enforces IAM policies. It accepts the access key id [`ROOT_ACCESS_KEY`] (or a 12-digit
//!   account id) as that account's root, and unknown keys and unsigned requests get 403. It does *not*
//!   check signatures: any secret is accepted with a known key. It therefore listens on loopback only.
//! - `AWS_ACCESS_KEY_ID` in its own environment would become a second root key, and its token would be
//!   demanded of every caller; neither is set.
//! - It writes its state on SIGTERM only, and objects in S3 at once. `scripts/emulate.py`, which runs it,
//!   saves the state after each change, so that a kill undoes a second or two; and nothing is saved in the
//!   middle of a stack's operation, so that one is undone whole. An object changes together with what S3
//!   says of it, whatever is killed when. What the objects and the index know more than the state is for
//!   `infra`'s reconciliation.
//! - Its CloudFormation refuses instances and forgets a function's VPC, dead-letter target and reserved
//!   concurrency. `scripts/resources.py` adds both, so that it takes the whole template of an environment in AWS,
//!   and lets a test refuse a launch for want of quota or capacity. What no template of ours can hold, because
//!   `synth` refuses it, is not refused a second time here.
//! - It forgets the sessions of roles when it ends; who holds one must get another.
//! - Function code is unpacked in `TMPDIR`, which is in the environment's folder.
//! - Functions that wait for work are its children and outlive it when it ends. They stay in its session,
//!   so [`stop`] finds and ends them.
//! - It removes containers with its label from any Docker it finds; `DOCKER_HOST` names a socket that
//!   does not exist, so a person's Docker is never touched.
//! - MQTT and SFTP servers, which would listen on every interface, are off.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::home::{make_folder, write_whole};
use crate::process::{self, ServiceSpec, Spawn, variable};
use crate::python::Venv;
use crate::{Home, LocalError};

/// One program: what is added to ministack, and then what runs it.
const EMULATE: &str = concat!(
    include_str!("scripts/resources.py"),
    include_str!("scripts/emulate.py")
);

/// The service's name: `logs/emulator.log`, `run/emulator.json`.
pub const SERVICE: &str = "emulator";
/// The access key id of the account's root.
pub const ROOT_ACCESS_KEY: &str = "test";
/// Its secret. The emulator does not check it; SDKs need one.
pub const ROOT_SECRET_KEY: &str = "test";
/// The account id unless the options name another.
pub const ACCOUNT_ID: &str = "000000000000";

const START_LIMIT: Duration = Duration::from_secs(90);
/// Ports that are tried, where one after the other is taken while the emulator starts.
const PORTS: u32 = 4;
/// It ends its connections and writes its state, S3's index of objects included.
const STOP_GRACE: Duration = Duration::from_secs(60);

/// What the emulator is told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmulatorOptions {
    /// `host:port` that it returns as the endpoint of every OpenSearch domain.
    pub search_endpoint: Option<String>,
    /// The region of requests that name none.
    pub region: String,
    /// 12 digits.
    pub account_id: String,
}

impl Default for EmulatorOptions {
    fn default() -> Self {
        Self {
            search_endpoint: None,
            region: "us-east-1".to_owned(),
            account_id: ACCOUNT_ID.to_owned(),
        }
    }
}

/// Where an emulator listens that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emulator {
    /// `http://127.0.0.1:PORT`.
    pub endpoint_url: String,
}

impl Emulator {
    fn on(port: u16) -> Self {
        Self {
            endpoint_url: format!("http://127.0.0.1:{port}"),
        }
    }

    /// Whether it is the one of this folder that listens there, and it is ready.
    async fn answers(&self, home: &Home) -> bool {
        let mark = format!("{}/_annapurna/emulator", self.endpoint_url);
        let said = process::answer(&mark).await;
        said.is_some_and(|said| said == mark_of(home))
            && process::answers(&format!("{}/_ministack/health", self.endpoint_url)).await
    }
}

/// Starts the emulator unless it runs with these options, and waits until it answers. Where somebody else takes its port
/// before it listens there, such as another environment that is deployed at the same time, it gets another one.
pub async fn start(
    home: &Home,
    venv: &Venv,
    options: &EmulatorOptions,
    how: &dyn Spawn,
) -> Result<Emulator, LocalError> {
    let mut n_tries = 0;
    loop {
        let port = match process::running(home, SERVICE).and_then(|it| it.port) {
            Some(port) if fs::read(told_file(home)).is_ok_and(|told| told == told_by(options)) => {
                port
            }
            _ => {
                stop(home).await?;
                launch(home, venv, options, how)?
            }
        };
        let emulator = Emulator::on(port);
        let answers = async || emulator.answers(home).await;
        n_tries += 1;
        match process::wait_for_answer(home, SERVICE, START_LIMIT, answers).await {
            Ok(()) => return Ok(emulator),
            Err(LocalError::Ended { .. }) if n_tries < PORTS && !process::is_free(port) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The emulator's address when it runs.
pub fn running(home: &Home) -> Option<Emulator> {
    Some(Emulator::on(process::running(home, SERVICE)?.port?))
}

/// Stops the emulator, which then saves its state, and the functions it runs; true when it ran.
pub async fn stop(home: &Home) -> Result<bool, LocalError> {
    process::stop(home, SERVICE, STOP_GRACE).await
}

fn launch(
    home: &Home,
    venv: &Venv,
    options: &EmulatorOptions,
    how: &dyn Spawn,
) -> Result<u16, LocalError> {
    let port = process::remembered_port(home, SERVICE)?;
    for folder in [
        home.tmp(),
        state_folder(home),
        objects_folder(home),
        user_folder(home),
    ] {
        make_folder(&folder)?;
    }
    write_whole(&told_file(home), &told_by(options))?;
    let spec = ServiceSpec {
        name: SERVICE,
        program: venv.python(),
        args: vec![
            "-I".into(),
            "-c".into(),
            EMULATE.into(),
            saves_folder(home).into(),
        ],
        env: environment(home, options, port),
        cwd: user_folder(home),
        user: None,
        port: Some(port),
    };
    how.spawn(home, spec)?;
    Ok(port)
}

/// What the emulator of this folder says of itself.
fn mark_of(home: &Home) -> String {
    hex::encode(Sha256::digest(saves_folder(home).as_os_str().as_bytes()))
}

/// Its whole environment, which is also the base of every function's.
fn environment(home: &Home, options: &EmulatorOptions, port: u16) -> Vec<(OsString, OsString)> {
    let mut variables = vec![
        variable("PATH", "/usr/bin:/bin"),
        variable("LANG", "C.UTF-8"),
        variable("HOME", user_folder(home)),
        variable("TMPDIR", home.tmp()),
        variable("GATEWAY_PORT", port.to_string()),
        variable("BIND_HOST", "127.0.0.1"),
        variable("MINISTACK_HOST", "127.0.0.1"),
        variable("AWS_ENDPOINT_URL", Emulator::on(port).endpoint_url),
        variable("MINISTACK_REGION", &options.region),
        variable("MINISTACK_ACCOUNT_ID", &options.account_id),
        variable("AUTH", "true"),
        variable("PERSIST_STATE", "1"),
        variable("STATE_DIR", state_folder(home)),
        variable("S3_PERSIST", "1"),
        variable("S3_DATA_DIR", objects_folder(home)),
        variable("IOT_MTLS_ENABLED", "0"),
        variable("SFTP_ENABLED", "0"),
    ];
    let mut no_docker = OsString::from("unix://");
    no_docker.push(home.run().join("no-docker.sock"));
    variables.push(("DOCKER_HOST".into(), no_docker));
    if let Some(endpoint) = &options.search_endpoint {
        variables.push(variable("MINISTACK_OPENSEARCH_ENDPOINT", endpoint));
    }
    variables
}

/// What tells an emulator that was started with other options, or by an earlier version of the script.
fn told_by(options: &EmulatorOptions) -> Vec<u8> {
    let script = hex::encode(Sha256::digest(EMULATE));
    format!("{options:?} {script}").into_bytes()
}

fn told_file(home: &Home) -> PathBuf {
    home.run().join("emulator.told")
}

/// The saved state of every service but the objects and the functions' code.
fn saves_folder(home: &Home) -> PathBuf {
    home.data().join("emulator").join("saves")
}

fn state_folder(home: &Home) -> PathBuf {
    home.data().join("emulator").join("state")
}

fn objects_folder(home: &Home) -> PathBuf {
    home.data().join("emulator").join("s3")
}

fn user_folder(home: &Home) -> PathBuf {
    home.data().join("emulator").join("home")
}
