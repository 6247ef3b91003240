//! Whether programs train on the device that the environment names. Until one did, the agent takes no batch: they
//! stay in their queue, and the reason is in the log, in `/health` and, on an instance, in a metric with an alarm.
//!
//! Where the backend is `cpu` or `auto`, nothing is to be shown: every machine has a processor.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use annapurna_cloud::Backoff;
use annapurna_contract::names::{AGENT_METRICS, AGENT_REFUSES, QUEUE_DIMENSION};
use annapurna_contract::{
    Backend,
    text::{chain, excerpt},
};
use chrono::Utc;
use serde_json::json;
use tokio::sync::watch;

use crate::executor::Executor;
use crate::program::{Limits, Request};
use crate::python::PythonError;
use crate::runner::{End, Runner};
use crate::sandbox::Sandbox;
use crate::shutdown::Shutdown;

/// What is run; `BACKEND` is put in front.
const SELF_TEST: &str = include_str!("device/self_test.py");
/// Longest self-test. The compiler takes about a minute for the first graph.
const LIMIT: Duration = Duration::from_secs(900);
/// First and longest wait before another try: a driver may come up after the agent.
const WAITS: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(600));
/// How often the metric is said.
const METRIC_EVERY: Duration = Duration::from_secs(60);
/// Bytes of the self-test's own words that a person is told.
const REASON: usize = 500;

/// Whether programs train on this machine's device; clones share what is known.
#[derive(Debug, Clone)]
pub struct Device {
    backend: Backend,
    /// Whether a program may yet train here.
    is_open: bool,
    state: watch::Sender<State>,
}

/// What is known of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// A program has trained on it, or nothing has to be shown.
    Trains,
    /// The first self-test runs.
    Untried,
    /// Why programs do not train on it.
    Fails(String),
}

impl Device {
    /// Nothing is known yet, and nothing has to be of a processor.
    pub fn of(backend: Backend) -> Self {
        let state = if must_be_shown(backend) {
            State::Untried
        } else {
            State::Trains
        };
        Self {
            backend,
            is_open: true,
            state: watch::Sender::new(state),
        }
    }

    /// Refuses for good what a processor alone would do without; `None` where nothing has to be shown.
    pub(crate) fn without_python(backend: Backend, error: &PythonError) -> Option<Self> {
        must_be_shown(backend).then(|| {
            let device = Self {
                is_open: false,
                ..Self::of(backend)
            };
            device.fails(chain(error));
            device
        })
    }

    /// Why no batch is taken.
    pub fn refusal(&self) -> Option<String> {
        let backend = self.backend;
        match &*self.state.borrow() {
            State::Trains => None,
            State::Untried => Some(format!(
                "no batch is taken before a program has trained on the device of backend `{backend}`: the self-test runs"
            )),
            State::Fails(reason) => Some(format!(
                "no batch is taken: programs do not train on the device of backend `{backend}`: {reason}"
            )),
        }
    }

    /// Waits until batches may be taken.
    pub(crate) async fn ready(&self) {
        // The sender is ours, so that this cannot fail while anybody waits.
        let trains = |state: &State| *state == State::Trains;
        let _ = self.state.subscribe().wait_for(trains).await;
    }

    fn trains(&self) {
        self.state.send_replace(State::Trains);
    }

    fn fails(&self, reason: String) {
        self.state.send_replace(State::Fails(reason));
        tracing::error!(
            refused = self.refusal(),
            "the self-test of the device failed"
        );
    }
}

/// Whether there is a device that may be missing.
fn must_be_shown(backend: Backend) -> bool {
    matches!(backend, Backend::Xla | Backend::TorchNeuron | Backend::Cuda)
}

/// Tries until a program has trained, or the agent stops.
pub(crate) async fn prove(executor: Arc<Executor>) {
    let (device, shutdown) = (&executor.device, &executor.shutdown);
    if !device.is_open {
        return;
    }
    let mut waits = Backoff::new(WAITS.0, WAITS.1);
    while device.refusal().is_some() && !shutdown.is_requested() {
        match try_once(&executor).await {
            Ok(()) => {
                tracing::info!(backend = %device.backend, "programs train on the device");
                device.trains();
                return;
            }
            Err(reason) if !shutdown.is_requested() => device.fails(reason),
            Err(_) => return,
        }
        tokio::select! {
            () = tokio::time::sleep(waits.next_wait()) => {}
            () = shutdown.requested() => return,
        }
    }
}

async fn try_once(executor: &Executor) -> Result<(), String> {
    let sandbox = match &executor.sandbox {
        Ok(sandbox) => sandbox.clone(),
        Err(refusal) => return Err(refusal.to_string()),
    };
    let (backend, shutdown) = (executor.device.backend, executor.shutdown.clone());
    let limits = Limits {
        timeout: LIMIT,
        ..executor.limits
    };
    tokio::task::spawn_blocking(move || train(sandbox, backend, limits, &shutdown))
        .await
        .map_err(|error| error.to_string())?
}

/// Runs the self-test as a program of the first place is run. Blocks until it has ended.
fn train(
    sandbox: Sandbox,
    backend: Backend,
    limits: Limits,
    shutdown: &Shutdown,
) -> Result<(), String> {
    let code = self_test(backend);
    let request = Request {
        code: code.as_bytes(),
        slot: 0,
        limits,
        dry_run: false,
    };
    let run = Runner::new(sandbox).run(&request, shutdown);
    let run = run.map_err(|error| chain(&error))?;
    match run.end {
        End::Exited(0) => Ok(()),
        End::Exited(_) => Err(last_line(&run.stderr.bytes)),
        end => Err(format!(
            "the self-test ended with {end:?}: {}",
            last_line(&run.stderr.bytes)
        )),
    }
}

/// The program that shows whether programs train on the device of `backend`.
pub(crate) fn self_test(backend: Backend) -> String {
    format!("BACKEND = \"{backend}\"\n{SELF_TEST}")
}

/// What Python says last, which names the exception.
fn last_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    excerpt(line.unwrap_or("it said nothing").as_bytes(), REASON)
}

/// Says each minute whether batches are refused, in CloudWatch's embedded metric format: what comes into a log group in
/// that form becomes a metric. Source: CloudWatch user guide, "Specification: Embedded metric format".
pub(crate) async fn tell(executor: Arc<Executor>) {
    let (device, shutdown) = (&executor.device, &executor.shutdown);
    if !device.backend.is_neuron() {
        return;
    }
    let url = &executor.config.testing_queue_url;
    let queue = url.rsplit('/').next().unwrap_or(url);
    while !shutdown.is_requested() {
        let reason = match &*device.state.borrow() {
            State::Fails(reason) => Some(reason.clone()),
            State::Trains | State::Untried => None,
        };
        let line = metric(queue, reason.as_deref(), Utc::now().timestamp_millis());
        // Standard output is the journal; without one there is nobody to tell.
        let _ = writeln!(io::stdout(), "{line}");
        tokio::select! {
            () = tokio::time::sleep(METRIC_EVERY) => {}
            () = shutdown.requested() => return,
        }
    }
}

/// `at` in milliseconds since 1970.
fn metric(queue: &str, reason: Option<&str>, at: i64) -> serde_json::Value {
    json!({
        "_aws": {
            "Timestamp": at,
            "CloudWatchMetrics": [{
                "Namespace": AGENT_METRICS,
                "Dimensions": [[QUEUE_DIMENSION]],
                "Metrics": [{"Name": AGENT_REFUSES, "Unit": "Count"}],
            }],
        },
        QUEUE_DIMENSION: queue,
        AGENT_REFUSES: u8::from(reason.is_some()),
        "reason": reason,
    })
}

/// The device nodes that a program of this backend opens.
///
/// Of Neuron devices it is the first, which one program has alone, though it sees its first core only: the driver looks
/// memory handles, DMA queues and semaphores up by device and not by process, so that cores of one device are kept apart
/// by the runtime's good will alone. Source: aws-neuronx driver, `neuron_cdev.c`.
pub(crate) fn nodes(backend: Backend) -> Vec<PathBuf> {
    nodes_below(Path::new("/dev"), backend)
}

fn nodes_below(folder: &Path, backend: Backend) -> Vec<PathBuf> {
    match backend {
        Backend::Xla | Backend::TorchNeuron => {
            numbered(folder, "neuron").into_iter().take(1).collect()
        }
        Backend::Cuda | Backend::Auto => {
            let gpus = numbered(folder, "nvidia");
            let shared = ["nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"];
            let shared = shared.map(|name| folder.join(name)).into_iter();
            let shared = shared.filter(|path| !gpus.is_empty() && path.exists());
            gpus.iter().cloned().chain(shared).collect()
        }
        Backend::Cpu => Vec::new(),
    }
}

/// `neuron0` and its like, in order.
fn numbered(folder: &Path, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix(name)?.parse();
            Some((number.ok()?, entry.path()))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// Programs at a time: one where they have a Neuron device, for the reason that [`nodes`] gives.
pub(crate) fn slots(backend: Backend, wanted: u16) -> u16 {
    if backend.is_neuron() { 1 } else { wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_one_neuron_device_or_every_gpu() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "neuron10",
            "neuron2",
            "neuron",
            "neuronx1",
            "nvidia0",
            "nvidiactl",
            "nvidia-caps",
            "null",
        ];
        for name in names {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let of = |backend| {
            let nodes = nodes_below(folder.path(), backend);
            let name = |it: PathBuf| it.file_name().unwrap().to_str().unwrap().to_owned();
            nodes.into_iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(of(Backend::Xla), ["neuron2"]);
        assert_eq!(of(Backend::TorchNeuron), ["neuron2"]);
        assert_eq!(of(Backend::Auto), ["nvidia0", "nvidiactl"]);
        assert!(of(Backend::Cpu).is_empty());
        std::fs::remove_file(folder.path().join("nvidia0")).unwrap();
        assert!(of(Backend::Cuda).is_empty());
    }

    #[tokio::test]
    async fn only_a_device_that_may_be_missing_has_to_be_shown() {
        for backend in [Backend::Cpu, Backend::Auto] {
            let device = Device::of(backend);
            assert_eq!(device.refusal(), None);
            device.ready().await;
        }
        for backend in [Backend::Xla, Backend::TorchNeuron, Backend::Cuda] {
            let device = Device::of(backend);
            let waiting = tokio::time::timeout(Duration::from_millis(50), device.ready());
            assert!(waiting.await.is_err());
            device.fails("no such file".to_owned());
            let reason = device.refusal().unwrap();
            assert!(reason.contains(backend.as_str()) && reason.contains("no such file"));
            device.trains();
            device.ready().await;
        }
    }

    #[test]
    fn the_metric_has_cloudwatchs_form() {
        let line = metric("code-testing.fifo", Some("no torch_xla"), 1_700_000_000_000);
        let declared = &line["_aws"]["CloudWatchMetrics"][0];
        let dimension = declared["Dimensions"][0][0].as_str().unwrap();
        let name = declared["Metrics"][0]["Name"].as_str().unwrap();
        assert_eq!(line[dimension], "code-testing.fifo");
        assert_eq!(line[name], 1);
        assert_eq!(metric("q", None, 0)[name], 0);
    }
}
