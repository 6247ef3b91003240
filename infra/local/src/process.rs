//! Services: processes that outlive the program which starts them, found again by it later.
//!
//! In: a [`ServiceSpec`] with a complete environment; nothing is inherited. Out: `run/NAME.json` with the
//! process id and its start time, `logs/NAME.log`, and a port that stays the same from start to start. The
//! program runs once `run/NAME.json` is there, so a starter that is killed leaves nothing unknown behind.
//! Each service leads a session of its own: a terminal that closes and Ctrl-C do not reach it, and the
//! session is what finds its children again, even when the service itself was killed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::home::{make_folder, write_whole};
use crate::{Home, LocalError, tool};

mod recorded;
mod table;

use recorded::Failure;

/// A log that has grown beyond this is moved aside when its service starts.
const LOG_LIMIT: u64 = 16 << 20;
/// Ports are chosen below the range from which systems take the ports of outgoing connections.
const PORTS: (u16, u16) = (20_000, 31_999);
/// How long SIGKILL may take.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at a process that is to end.
const POLL: Duration = Duration::from_millis(25);

/// A service as it is to be started; nothing of the caller's environment or files is inherited.
#[derive(Debug, Clone)]
pub struct ServiceSpec {
    /// Names the files in `run` and `logs`.
    pub name: &'static str,
    /// A path, or a name that is found on the caller's `PATH`.
    pub program: PathBuf,
    /// Visible to every user of the machine, so never a secret.
    pub args: Vec<OsString>,
    /// Its whole environment: a variable that is not here is not set.
    pub env: Vec<(OsString, OsString)>,
    /// Must exist, and be open to `user`.
    pub cwd: PathBuf,
    /// User and group id to run as; otherwise the caller's.
    pub user: Option<(u32, u32)>,
    /// The port it listens on, to be remembered with it.
    pub port: Option<u16>,
}

/// A service as it was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceState {
    /// [`ServiceSpec::name`].
    pub name: String,
    /// Process id, which is also its session's.
    pub pid: i32,
    /// Tells this process from a later one with the same id: boot and start time, in the system's own form.
    pub start_mark: String,
    /// [`ServiceSpec::port`]; what else listens may have a `run/NAME.port` without a service.
    pub port: Option<u16>,
    /// Seconds since 1970 when it was started.
    pub started_at: u64,
}

/// How the process of a service is started: what starts a service takes one of these.
pub trait Spawn: Sync {
    /// Starts the process, or one that runs it and ends with it.
    fn spawn(&self, home: &Home, spec: ServiceSpec) -> Result<ServiceState, LocalError>;
}

/// The process itself, which outlives the program that starts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detached;

impl Spawn for Detached {
    fn spawn(&self, home: &Home, spec: ServiceSpec) -> Result<ServiceState, LocalError> {
        spawn(home, &spec)
    }
}

/// Starts a service that is not running, after ending what an earlier run of it may have left behind.
pub fn spawn(home: &Home, spec: &ServiceSpec) -> Result<ServiceState, LocalError> {
    make_folder(&home.run())?;
    stop_now(home, spec.name, Duration::ZERO)?;
    let log = open_log(home, spec.name)?;
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.args)
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&spec.cwd)
        .stdin(Stdio::null())
        .stdout(copy_of(&log, home, spec.name)?)
        .stderr(log);
    if let Some((user, group)) = spec.user {
        command.uid(user).gid(group);
    }
    recorded::start(command, |pid| record(home, spec, pid)).map_err(|failure| match failure {
        Failure::Record(error) => error,
        Failure::Start(source) => {
            // It may be on record and has never run; a file that stays names a process that is gone.
            let _ = fs::remove_file(state_file(home, spec.name));
            LocalError::Start {
                what: spec.name.to_owned(),
                program: spec.program.clone(),
                source,
            }
        }
    })
}

/// Writes down a process that waits for it.
fn record(home: &Home, spec: &ServiceSpec, pid: i32) -> Result<ServiceState, LocalError> {
    let process = format!("process {pid}");
    let unseen = || io::Error::other("the system's process table does not have it");
    let state = ServiceState {
        name: spec.name.to_owned(),
        pid,
        start_mark: table::start_mark(pid)
            .ok_or_else(unseen)
            .map_err(LocalError::file("see the start of", process))?,
        port: spec.port,
        started_at: SystemTime::UNIX_EPOCH
            .elapsed()
            .map_or(0, |since| since.as_secs()),
    };
    let file = state_file(home, spec.name);
    let content = serde_json::to_vec(&state).map_err(io::Error::from);
    write_whole(&file, &content.map_err(LocalError::file("write", &file))?)?;
    Ok(state)
}

fn open_log(home: &Home, name: &str) -> Result<File, LocalError> {
    make_folder(&home.logs())?;
    let path = log_file(home, name);
    if fs::metadata(&path).is_ok_and(|meta| meta.len() > LOG_LIMIT) {
        let old = path.with_extension("log.1");
        fs::rename(&path, &old).map_err(LocalError::file("move aside", &path))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(LocalError::file("open", &path))
}

fn copy_of(log: &File, home: &Home, name: &str) -> Result<File, LocalError> {
    log.try_clone()
        .map_err(LocalError::file("open", log_file(home, name)))
}

/// The service's state when it runs: a process with the remembered id *and* start time.
pub fn running(home: &Home, name: &str) -> Option<ServiceState> {
    let state = remembered(home, name)?;
    is_alive(&state).then_some(state)
}

/// Whether the service was started and, since then, not stopped by us: one that does not run has died.
pub fn was_started(home: &Home, name: &str) -> bool {
    remembered(home, name).is_some()
}

fn remembered(home: &Home, name: &str) -> Option<ServiceState> {
    let content = fs::read(state_file(home, name)).ok()?;
    serde_json::from_slice(&content).ok()
}

fn is_alive(state: &ServiceState) -> bool {
    reap(state.pid);
    table::start_mark(state.pid).is_some_and(|mark| mark == state.start_mark)
}

/// Collects a child of this very process that has ended; otherwise it would look alive. A process that
/// is not our child is left alone by the system.
fn reap(pid: i32) {
    let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
}

/// Ends a service and everything in its session; true when there was something to end.
///
/// The service gets SIGTERM alone and `grace` to end by itself, so that it can still use its children;
/// what is left of its session then gets SIGKILL.
pub async fn stop(home: &Home, name: &'static str, grace: Duration) -> Result<bool, LocalError> {
    let home = home.clone();
    tokio::task::spawn_blocking(move || stop_now(&home, name, grace))
        .await
        .map_err(|error| {
            LocalError::file("stop the service in", name)(std::io::Error::other(error))
        })?
}

/// [`stop`] for callers that cannot wait asynchronously.
pub fn stop_now(home: &Home, name: &str, grace: Duration) -> Result<bool, LocalError> {
    let Some(state) = remembered(home, name) else {
        return Ok(false);
    };
    let mut found = false;
    if is_alive(&state) {
        found = true;
        signal(state.pid, Signal::SIGTERM);
        wait_until(grace, || !is_alive(&state));
    }
    found |= end_session(&state)?;
    let file = state_file(home, name);
    fs::remove_file(&file).map_err(LocalError::file("remove", &file))?;
    Ok(found)
}

/// Kills what is left of a session. As long as a member lives, the system gives its number to no other
/// process; a process with that number and another start time therefore means that none is left.
fn end_session(state: &ServiceState) -> Result<bool, LocalError> {
    let is_reused = || table::start_mark(state.pid).is_some_and(|mark| mark != state.start_mark);
    let members = || match is_reused() {
        true => Ok(Vec::new()),
        false => {
            table::session_members(state.pid).map_err(LocalError::file("read", "the process table"))
        }
    };
    if members()?.is_empty() {
        return Ok(false);
    }
    let start = Instant::now();
    while start.elapsed() < KILL_LIMIT {
        reap(state.pid);
        let members = members()?;
        if members.is_empty() {
            return Ok(true);
        }
        for member in members {
            signal(member, Signal::SIGKILL);
        }
        std::thread::sleep(POLL);
    }
    Err(LocalError::Unstoppable {
        service: state.name.clone(),
        pid: state.pid,
    })
}

fn signal(pid: i32, signal: Signal) {
    // A process that has ended meanwhile is what we want anyway.
    let _ = kill(Pid::from_raw(pid), signal);
}

fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if done() {
            return true;
        }
        if start.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(POLL);
    }
}

/// The port on 127.0.0.1 for the service: the one it runs on, or had before as long as nobody else took
/// it, or a free one.
pub fn remembered_port(home: &Home, name: &str) -> Result<u16, LocalError> {
    port_where(home, name, is_free)
}

fn port_where(home: &Home, name: &str, is_free: impl Fn(u16) -> bool) -> Result<u16, LocalError> {
    if let Some(port) = running(home, name).and_then(|state| state.port) {
        return Ok(port);
    }
    make_folder(&home.run())?;
    let file = home.run().join(format!("{name}.port"));
    let before = fs::read_to_string(&file)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    if let Some(port) = before.filter(|port| is_free(*port)) {
        return Ok(port);
    }
    let port = free_port_where(is_free)?;
    write_whole(&file, port.to_string().as_bytes())?;
    Ok(port)
}

/// Whether nobody listens on this port of 127.0.0.1 now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A free port on 127.0.0.1. The search starts at a place that differs from call to call, so that two
/// programs rarely meet.
pub(crate) fn any_free_port() -> Result<u16, LocalError> {
    free_port_where(is_free)
}

fn free_port_where(is_free: impl Fn(u16) -> bool) -> Result<u16, LocalError> {
    let (first, last) = PORTS;
    let count = last - first + 1;
    let nanos = SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.subsec_nanos());
    let seed = (nanos / 1000) ^ std::process::id().wrapping_mul(2_654_435_761);
    let offset = u16::try_from(seed % u32::from(count)).unwrap_or(0);
    (0..count)
        .map(|step| first + (offset + step) % count)
        .find(|port| is_free(*port))
        .ok_or(LocalError::NoPort { first, last })
}

/// The end of a service's log, or why it cannot be read; empty when there is none.
pub fn log_tail(home: &Home, name: &str) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log_file(home, name))?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(8192)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => tool::tail(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => format!("(the log cannot be read: {error})"),
    }
}

/// `logs/NAME.log`: both outputs of a service, appended from start to start; up to 16 MiB and one such older.
pub fn log_file(home: &Home, name: &str) -> PathBuf {
    home.logs().join(format!("{name}.log"))
}

fn state_file(home: &Home, name: &str) -> PathBuf {
    home.run().join(format!("{name}.json"))
}

/// Waits until a service that was just started answers, asking `answers` again and again.
pub async fn wait_for_answer(
    home: &Home,
    name: &str,
    limit: Duration,
    answers: impl AsyncFn() -> bool,
) -> Result<(), LocalError> {
    let start = Instant::now();
    loop {
        if answers().await {
            return Ok(());
        }
        if running(home, name).is_none() {
            return Err(LocalError::Ended {
                service: name.to_owned(),
                path: log_file(home, name),
                log: log_tail(home, name),
            });
        }
        if start.elapsed() > limit {
            return Err(LocalError::Timeout {
                what: format!("the first answer of {name}"),
                seconds: limit.as_secs(),
                log: log_tail(home, name),
            });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// True when a GET of `url` on this machine succeeds within a few seconds.
pub async fn answers(url: &str) -> bool {
    answer(url).await.is_some()
}

/// What a GET of `url` on this machine gives within a few seconds; `None` when it does not succeed.
pub(crate) async fn answer(url: &str) -> Option<String> {
    let ask = async {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let answer = client
            .get(url)
            .timeout(Duration::from_secs(5))
            .send()
            .await?;
        answer.error_for_status()?.text().await
    };
    ask.await.ok()
}

/// Name and value of an environment variable.
pub fn variable(name: &str, value: impl AsRef<OsStr>) -> (OsString, OsString) {
    (name.into(), value.as_ref().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Who holds a port is given here and not asked of the machine, where other tests take ports, too.
    #[test]
    fn a_port_is_remembered_until_somebody_else_takes_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let port = port_where(&home, "service", |_| true).unwrap();
        assert_eq!(port_where(&home, "service", |_| true).unwrap(), port);
        let other = port_where(&home, "service", |free| free != port).unwrap();
        assert_ne!(other, port);
        assert_eq!(port_where(&home, "service", |_| true).unwrap(), other);
    }
}
