//! What `/proc` tells of the agent's processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

/// One process of the machine.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) parent: u32,
    pub(crate) user: u32,
    pub(crate) name: String,
}

/// Every process of the machine, by its id.
#[derive(Debug)]
pub(crate) struct Processes(BTreeMap<u32, Process>);

impl Processes {
    pub(crate) fn look() -> Self {
        let ids = fs::read_dir("/proc").unwrap().flatten();
        let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Self(ids.filter_map(|pid| Some((pid, read(pid)?))).collect())
    }

    fn is_below(&self, pid: u32, above: u32) -> bool {
        let mut seen = BTreeSet::new();
        let mut current = pid;
        while let Some(process) = self.0.get(&current).filter(|_| seen.insert(current)) {
            if process.parent == above {
                return true;
            }
            current = process.parent;
        }
        false
    }

    /// What the agent started, and what its slots' users have: a line for each.
    pub(crate) fn of(&self, agent: Option<u32>, users: &[u32]) -> BTreeSet<String> {
        let mine = |pid: &u32, process: &Process| {
            users.contains(&process.user) || agent.is_some_and(|agent| self.is_below(*pid, agent))
        };
        let found = self.0.iter().filter(|(pid, process)| mine(pid, process));
        // The children that the neighbour has all the time live shorter than a look takes.
        found
            .filter(|(_, process)| process.name != "neighbour")
            .map(|(pid, process)| {
                format!("process {pid} ({}) of user {}", process.name, process.user)
            })
            .collect()
    }

    /// The neighbour's own process, once it is there.
    pub(crate) fn neighbour(&self, agent: u32) -> Option<u32> {
        let is_neighbour = |pid: &u32| {
            self.0
                .get(pid)
                .is_some_and(|process| process.name == "neighbour")
        };
        let mut found = self.0.iter().filter(|(pid, process)| {
            is_neighbour(pid) && !is_neighbour(&process.parent) && self.is_below(**pid, agent)
        });
        found.next().map(|(pid, _)| *pid)
    }
}

fn read(pid: u32) -> Option<Process> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()
    };
    Some(Process {
        parent: field("PPid:")?.parse().ok()?,
        user: field("Uid:")?.parse().ok()?,
        name: field("Name:").unwrap_or_default().to_owned(),
    })
}

/// Processor time of a process's first thread; `None` when it is gone.
pub(crate) fn processor_time(pid: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    let nanos = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}
