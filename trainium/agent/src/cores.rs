//! Whether a program used a NeuronCore, by what the driver counts, and who else has the device open.
//!
//! The driver counts the executions of each core below `/sys/devices/virtual/neuron_device`; nothing a program prints
//! has a part in it. Source: AWS Neuron documentation, "Neuron Sysfs User Guide" (`neuron_core*/stats/status/success`).
//! `executed_on`, `core_seconds` and with them a run's cost follow from here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Where the driver counts.
const DEVICES: &str = "/sys/devices/virtual/neuron_device";
/// Executions of a core that succeeded since the driver was loaded, below the core's folder.
const EXECUTIONS: &str = "stats/status/success/total";
/// Beginning of the device nodes.
const NODES: &str = "/dev/neuron";
/// Programs of the Neuron tools that look at a device and hold no core of it.
const ONLOOKERS: [&str; 3] = ["neuron-monitor", "neuron-ls", "neuron-top"];

/// How often each core has executed something, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Executions(BTreeMap<String, u64>);

impl Executions {
    /// Reads the driver's counters; none where there is no driver.
    pub(crate) fn now() -> Self {
        Self::below(Path::new(DEVICES))
    }

    fn below(devices: &Path) -> Self {
        let mut counted = BTreeMap::new();
        for device in fs::read_dir(devices).into_iter().flatten().flatten() {
            for core in fs::read_dir(device.path()).into_iter().flatten().flatten() {
                let text = fs::read_to_string(core.path().join(EXECUTIONS)).ok();
                let count = text.and_then(|text| text.trim().parse().ok());
                if let Some(count) = count {
                    let name = format!(
                        "{}/{}",
                        device.file_name().to_string_lossy(),
                        core.file_name().to_string_lossy()
                    );
                    counted.insert(name, count);
                }
            }
        }
        Self(counted)
    }

    /// Seconds of cores that a run of this length had, by the cores that executed something between `self` and
    /// `after`; `None` when none did. Only its own core counts where several programs run at a time.
    pub(crate) fn core_seconds(
        &self,
        after: &Self,
        own: Option<usize>,
        length: Duration,
    ) -> Option<f64> {
        let is_own = |name: &str| match own {
            Some(index) => name.ends_with(&format!("neuron_core{index}")),
            None => true,
        };
        let used = after
            .0
            .iter()
            .filter(|(name, count)| is_own(name) && self.0.get(*name) < Some(*count))
            .count();
        (used > 0).then_some(length.as_secs_f64() * used as f64)
    }
}

/// A process that has a Neuron device open, by its number and its name.
pub(crate) fn holder() -> Option<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|process| {
            let number = process.file_name();
            number.to_string_lossy().bytes().all(|b| b.is_ascii_digit())
        })
        .find_map(|process| {
            let path = process.path();
            let name = fs::read_to_string(path.join("comm")).ok()?;
            let name = name.trim();
            let opened = fs::read_dir(path.join("fd")).ok()?.flatten();
            let mut targets = opened.filter_map(|fd| fs::read_link(fd.path()).ok());
            let holds = targets.any(|target| target.to_string_lossy().starts_with(NODES));
            (holds && !ONLOOKERS.contains(&name))
                .then(|| format!("process {} ({name})", process.file_name().to_string_lossy()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(devices: &Path, core: &str, executions: u64) {
        let file = devices.join(core).join(EXECUTIONS);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, format!("{executions}\n")).unwrap();
    }

    #[test]
    fn a_core_was_used_when_the_driver_counted_executions() {
        let devices = tempfile::tempdir().unwrap();
        let now = || Executions::below(devices.path());
        let length = Duration::from_secs(10);
        assert_eq!(now().core_seconds(&now(), None, length), None);
        count(devices.path(), "neuron0/neuron_core0", 5);
        count(devices.path(), "neuron0/neuron_core1", 0);
        let before = now();
        assert_eq!(before.core_seconds(&now(), None, length), None);
        count(devices.path(), "neuron0/neuron_core1", 3);
        assert_eq!(before.core_seconds(&now(), None, length), Some(10.0));
        assert_eq!(before.core_seconds(&now(), Some(0), length), None);
        assert_eq!(before.core_seconds(&now(), Some(1), length), Some(10.0));
        count(devices.path(), "neuron0/neuron_core0", 6);
        assert_eq!(before.core_seconds(&now(), None, length), Some(20.0));
    }
}
