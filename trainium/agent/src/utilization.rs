//! How busy the NeuronCores were while a program ran, by AWS's own monitor where the image has it.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

/// Where the Deep Learning AMI Neuron has it. It says a line of JSON every five seconds.
/// Source: Neuron documentation, "Neuron Monitor User Guide".
const MONITOR: &str = "/opt/aws/neuron/bin/neuron-monitor";

/// One line, as far as it is read here.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    neuron_runtime_data: Vec<RuntimeData>,
}

#[derive(Deserialize)]
struct RuntimeData {
    report: Report,
}

#[derive(Deserialize)]
struct Report {
    neuroncore_counters: Option<Counters>,
}

#[derive(Deserialize)]
struct Counters {
    /// By the core's number.
    #[serde(default)]
    neuroncores_in_use: BTreeMap<String, Core>,
}

#[derive(Deserialize)]
struct Core {
    /// Percent, of the time since the line before.
    neuroncore_utilization: f64,
}

/// A monitor that runs beside a program. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Utilization {
    running: Option<(Child, JoinHandle<Option<f64>>)>,
}

impl Utilization {
    /// Begins to look, where programs have a Neuron device and the image a monitor.
    pub(crate) fn watch(is_neuron: bool) -> Self {
        if is_neuron {
            Self::of(Command::new(MONITOR))
        } else {
            Self { running: None }
        }
    }

    fn of(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let started = command.stderr(Stdio::null()).kill_on_drop(true).spawn();
        let running = match started {
            Ok(mut child) => child.stdout.take().map(|said| {
                let lines = BufReader::new(said).lines();
                (child, tokio::spawn(mean(lines)))
            }),
            Err(error) => {
                tracing::info!(%error, "the utilisation of the cores is not known");
                None
            }
        };
        Self { running }
    }

    /// The mean of all cores that were in use while they were, percent; `None` when none was, or nobody looked.
    pub(crate) async fn mean(self) -> Option<f64> {
        let (mut child, reading) = self.running?;
        // Its pipe closes with it, and the reading ends.
        if let Err(error) = child.kill().await {
            tracing::warn!(%error, "cannot end neuron-monitor");
            return None;
        }
        reading.await.unwrap_or(None)
    }
}

async fn mean(mut lines: Lines<BufReader<ChildStdout>>) -> Option<f64> {
    let (mut sum, mut number) = (0.0, 0_u32);
    while let Ok(Some(line)) = lines.next_line().await {
        // A line that is cut off or of another version says nothing.
        let Ok(said) = serde_json::from_str::<Said>(&line) else {
            continue;
        };
        let counters = said.neuron_runtime_data.into_iter();
        let counters = counters.filter_map(|it| it.report.neuroncore_counters);
        for core in counters.flat_map(|it| it.neuroncores_in_use.into_values()) {
            sum += core.neuroncore_utilization.clamp(0.0, 100.0);
            number += 1;
        }
    }
    (number > 0).then(|| sum / f64::from(number))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What a monitor that says these lines makes of the cores.
    async fn of(lines: &str) -> Option<f64> {
        let said = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(said.path(), lines).unwrap();
        let script = format!("cat '{}'; exec sleep 600", said.path().display());
        let mut monitor = Command::new("sh");
        monitor.args(["-c", &script]);
        let watched = Utilization::of(monitor);
        tokio::time::sleep(Duration::from_millis(500)).await;
        watched.mean().await
    }

    #[tokio::test]
    async fn cores_in_use_count_and_idle_reports_do_not() {
        let busy = |core: &str, percent: f64| {
            format!(
                r#"{{"neuron_runtime_data": [{{"pid": 7, "error": "", "report": {{"neuroncore_counters": {{"period": 5.0,
                "neuroncores_in_use": {{"{core}": {{"neuroncore_utilization": {percent}, "flops": 1}}}}, "error": ""}}}}}}],
                "system_data": {{}}}}"#
            )
            .replace('\n', " ")
        };
        let idle = r#"{"neuron_runtime_data": [], "system_data": {"vcpu_usage": {"period": 5.0}}}"#;
        let (calm, hot) = (busy("0", 40.0), busy("0", 60.0));
        let cut = "{\"neuron_run";
        let lines = [idle, calm.as_str(), hot.as_str(), cut, idle].join("\n");
        assert_eq!(of(&lines).await, Some(50.0));
        assert_eq!(of(idle).await, None);
        assert_eq!(of("").await, None);
    }

    #[tokio::test]
    async fn without_a_monitor_nothing_is_known_and_nothing_fails() {
        assert_eq!(
            Utilization::of(Command::new("/no/such/monitor"))
                .mean()
                .await,
            None
        );
        assert_eq!(Utilization::watch(false).mean().await, None);
    }
}
