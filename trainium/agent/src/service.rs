//! Puts the agent together and keeps it running until SIGTERM or SIGINT, or until it has been idle for as long as
//! `AGENT_IDLE_STOP_MINUTES` says.
//!
//! On a stop nothing new is taken, the programs that run are killed without a result, their messages are given back,
//! and the process exits. After `kill -9` the programs end by themselves (their
//! supervisor sees the agent go), the message comes back when its visibility ends, and leftovers in the
//! state folder are removed at the next start.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use annapurna_cloud::{Retry, S3, Sqs};
use annapurna_contract::{AgentConfig, ConfigError};
use aws_config::BehaviorVersion;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::datasets::Datasets;
use crate::device::{self, Device};
use crate::executor::{AgentHost, Executor};
use crate::http;
use crate::options::{Options, OptionsError};
use crate::probe::find_sandbox;
use crate::python::{Interpreter, PythonError};
use crate::records::Records;
use crate::run_dir;
use crate::sandbox::Parts;
use crate::shutdown::{Shutdown, ShutdownTrigger};
use crate::slots::Slots;
use crate::suspects::{self, Suspects};
use crate::turns::Turns;
use crate::users::{ProgramUsers, UsersError};
use crate::worker::Worker;

/// Longest wait for programs to be killed and messages to be given back.
const STOP_WAIT: Duration = Duration::from_secs(25);

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Options(#[from] OptionsError),
    #[error(transparent)]
    Users(#[from] UsersError),
    #[error(transparent)]
    Python(#[from] PythonError),
    #[error("cannot use {} as the agent's folder: set AGENT_STATE_DIR to one it may write", path.display())]
    State {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("another agent already works in {}", .0.display())]
    Busy(PathBuf),
    #[error("cannot listen on {address}: set AGENT_LISTEN to a free address")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("cannot read which programs were under way in {}", path.display())]
    Suspects {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot receive signals")]
    Signals(#[source] io::Error),
    #[error("cannot find this binary")]
    Binary(#[source] io::Error),
    #[error("a task of the agent's own failed")]
    Task(#[from] tokio::task::JoinError),
    #[error("the HTTP API stopped")]
    Api(#[source] io::Error),
}

/// Why the agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// A signal asked it to.
    Asked,
    /// No program has run for `AGENT_IDLE_STOP_MINUTES`: the machine is not needed.
    Idle,
}

/// Runs the agent until it is asked to stop, or is idle for long enough.
///
/// # Errors
///
/// [`ServiceError`] when it cannot start; a queue or bucket that cannot be reached is tried for ever.
pub async fn run(options: &Options) -> Result<Ended, ServiceError> {
    let config = AgentConfig::from_env()?;
    let token = options.checked_token()?;
    let (trigger, shutdown) = Shutdown::new();
    let slots = Slots::new(options.slots().into());
    let stopping = stop_in_time(trigger, slots.clone(), options.idle_stop())?;
    let (state_dir, _lock) = claim_state(&options.state_dir)?;
    let found = Interpreter::probe(&options.python).await;
    let (interpreter, device) = match found {
        Ok(interpreter) => (interpreter, Device::of(options.backend)),
        // With a device that must be shown to train, no Python is one more reason to take nothing, and to say so.
        Err(error) => match Device::without_python(options.backend, &error) {
            Some(device) => (Interpreter::missing(&options.python), device),
            None => return Err(error.into()),
        },
    };
    let found = (interpreter, device);
    let executor = executor(options, config, state_dir, found, shutdown.clone(), slots);
    let executor = Arc::new(executor.await?);
    let listener =
        TcpListener::bind(options.listen)
            .await
            .map_err(|source| ServiceError::Listen {
                address: options.listen,
                source,
            })?;
    announce(&executor, listener.local_addr().unwrap_or(options.listen));
    let aws = aws_config().await;
    let worker = Worker {
        queues: Arc::new(Sqs::new(&aws)),
        executor: Arc::clone(&executor),
    };
    let (stop, suspects) = (shutdown.clone(), executor.suspects.clone());
    let api = axum::serve(listener, http::router(executor, token))
        .with_graceful_shutdown(async move { stop.requested().await });
    let work = async {
        let (answered, (), (), ()) = tokio::join!(
            api.into_future(),
            worker.run(),
            device::prove(Arc::clone(&worker.executor)),
            device::tell(Arc::clone(&worker.executor)),
        );
        answered.map_err(ServiceError::Api)
    };
    let too_late = async {
        shutdown.requested().await;
        tokio::time::sleep(STOP_WAIT).await;
    };
    tokio::select! {
        result = work => result?,
        () = too_late => {
            tracing::warn!("stopped before every message was given back");
            suspects.stopped();
        }
    }
    tracing::info!("stopped");
    // It has ended, since nothing else ends the work.
    Ok(stopping.await?.0)
}

async fn aws_config() -> aws_config::SdkConfig {
    aws_config::load_defaults(BehaviorVersion::latest()).await
}

async fn executor(
    options: &Options,
    config: AgentConfig<String>,
    state_dir: PathBuf,
    (interpreter, device): (Interpreter, Device),
    shutdown: Shutdown,
    slots: Slots,
) -> Result<Executor, ServiceError> {
    let devices = device::nodes(options.backend);
    let host = AgentHost {
        instance_type: options.instance_type.clone(),
        python: interpreter.executable.to_string_lossy().into_owned(),
        torch: interpreter.torch.clone(),
        neuron: options.backend.is_neuron() && !devices.is_empty(),
    };
    let suspects = state_dir.join("suspects");
    let suspects =
        Suspects::open(&suspects, suspects::QUIET).map_err(|source| ServiceError::Suspects {
            path: suspects,
            source,
        })?;
    let parts = Parts {
        launcher: std::env::current_exe().map_err(ServiceError::Binary)?,
        interpreter,
        python_path: options.loader_folder()?,
        state_dir,
        users: Arc::new(ProgramUsers::claim(options.run_as, options.slots().into())?),
        backend: options.backend,
        devices,
        slots: options.slots().into(),
    };
    let store = Arc::new(S3::new(&aws_config().await));
    let datasets = Datasets::new(
        parts.datasets(),
        config.datasets_bucket.clone(),
        store.clone(),
        Retry::PATIENT,
    );
    let choice = options.isolation;
    let sandbox = tokio::task::spawn_blocking(move || find_sandbox(choice, &parts)).await?;
    Ok(Executor {
        config,
        store,
        datasets,
        sandbox,
        limits: options.limits(),
        host,
        device,
        slots,
        turns: Turns::default(),
        suspects,
        records: Records::default(),
        retry: Retry::PATIENT,
        shutdown,
    })
}

fn announce(executor: &Executor, address: SocketAddr) {
    let host = &executor.host;
    let users = match &executor.sandbox {
        Ok(sandbox) => Some(sandbox.parts().users.to_string()),
        Err(refusal) => {
            tracing::error!(error = %refusal, "no program will have a result");
            None
        }
    };
    if host.torch.is_none() {
        tracing::warn!("{}", crate::classify::no_torch_message(&host.python));
    }
    tracing::info!(
        %address,
        isolation = executor.isolation().as_str(),
        users,
        python = host.python,
        torch = host.torch,
        neuron = host.neuron,
        refused = executor.device.refusal(),
        slots = executor.slots.total(),
        queue = executor.config.testing_queue_url,
        "started"
    );
}

/// Fires the trigger at a signal, or when no place was taken for `idle`. What the task gives back holds the trigger,
/// so that it lives on; a second signal changes nothing.
fn stop_in_time(
    trigger: ShutdownTrigger,
    slots: Slots,
    idle: Option<Duration>,
) -> Result<JoinHandle<(Ended, ShutdownTrigger)>, ServiceError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServiceError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServiceError::Signals)?;
    Ok(tokio::spawn(async move {
        let is_idle = async {
            match idle {
                Some(limit) => slots.idle(limit).await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            _ = terminate.recv() => Ended::Asked,
            _ = interrupt.recv() => Ended::Asked,
            () = is_idle => Ended::Idle,
        };
        match ended {
            Ended::Asked => {
                tracing::info!("stopping: programs that run are killed, their messages go back")
            }
            Ended::Idle => {
                tracing::info!("stopping: no program has run for AGENT_IDLE_STOP_MINUTES")
            }
        }
        trigger.fire();
        (ended, trigger)
    }))
}

/// Makes the folder ours alone and removes what a killed agent left in it. The lock lasts as long as the
/// returned file.
fn claim_state(path: &Path) -> Result<(PathBuf, File), ServiceError> {
    let failed = |source| ServiceError::State {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(path).map_err(failed)?;
    let lock = File::create(path.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(ServiceError::Busy(path.to_owned())),
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    for entry in fs::read_dir(path).map_err(failed)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == "runs" || name.starts_with("check-") || run_dir::is_aside(&name) {
            tracing::info!(folder = %entry.path().display(), "removing what an earlier agent left");
            run_dir::clear(&entry.path());
        }
    }
    let path = prepare_state(path).map_err(failed)?;
    Ok((path, lock))
}

/// Makes the folders of a state folder and gives its path without links. Programs of another user may
/// pass through it and not look into it.
///
/// # Errors
///
/// When it cannot be written.
pub fn prepare_state(path: &Path) -> io::Result<PathBuf> {
    let path = path.canonicalize()?;
    for (folder, mode) in [("", 0o711), ("runs", 0o711), ("datasets", 0o755)] {
        let folder = path.join(folder);
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode))?;
    }
    Ok(path)
}
