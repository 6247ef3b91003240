//! What the kernel says about the processes below one process, and how all of them are ended.
//!
//! A program may fork, leave its group and its session; it cannot leave its tree, because the
//! supervisor at its root adopts orphans (see [`crate::launch`]).

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// Memory and processor time of a tree's processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Measured {
    /// Sum of the resident memory of all processes, bytes. Shared pages count once a process.
    pub(crate) resident_bytes: u64,
    /// Processor time of all processes that are there and of those that they waited for.
    pub(crate) cpu: Duration,
}

struct Process {
    parent: u32,
    resident_pages: u64,
    cpu_ticks: u64,
}

/// What the processes below `root` use, without `root` itself.
pub(crate) fn measure_below(root: u32) -> Measured {
    let processes = all();
    let page = system_value(SysconfVar::PAGE_SIZE, 4096);
    let ticks = system_value(SysconfVar::CLK_TCK, 100);
    let mut measured = Measured::default();
    for process in descendants(&processes, root)
        .iter()
        .filter_map(|pid| processes.get(pid))
    {
        measured.resident_bytes += process.resident_pages * page;
        measured.cpu += Duration::from_millis(process.cpu_ticks * 1000 / ticks);
    }
    measured
}

fn system_value(name: SysconfVar, usual: u64) -> u64 {
    let value = sysconf(name).ok().flatten();
    value
        .and_then(|value| u64::try_from(value).ok())
        .filter(|value| *value > 0)
        .unwrap_or(usual)
}

/// Kills every process below `root`, not `root` itself. Says how many there were.
pub(crate) fn kill_below(root: u32) -> usize {
    let below = descendants(&all(), root);
    for pid in &below {
        // One that has ended meanwhile is what we want; the kernel's numbers stay below 2^22.
        if let Ok(pid) = i32::try_from(*pid) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    below.len()
}

fn descendants(processes: &HashMap<u32, Process>, root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (pid, process) in processes {
        children.entry(process.parent).or_default().push(*pid);
    }
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        // Removing keeps this finite even if a pid was reused while we were reading.
        for child in children.remove(&pid).into_iter().flatten() {
            found.push(child);
            next.push(child);
        }
    }
    found
}

fn all() -> HashMap<u32, Process> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, parse_stat(&stat)?))
        })
        .collect()
}

/// Fields 4 (parent), 14 to 17 (processor time) and 24 (resident pages); the name before them may hold anything. Source: proc(5).
fn parse_stat(stat: &str) -> Option<Process> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // The first of these is field 3.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Process {
        parent: u32::try_from(field(4)?).ok()?,
        resident_pages: field(24)?,
        cpu_ticks: field(14)? + field(15)? + field(16)? + field(17)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_be_called_anything() {
        let fields: Vec<String> = (4..=52).map(|field| field.to_string()).collect();
        let stat = format!("7 (a) b (c) S {}", fields.join(" "));
        let process = parse_stat(&stat).unwrap();
        assert_eq!((process.parent, process.resident_pages), (4, 24));
        assert_eq!(process.cpu_ticks, 14 + 15 + 16 + 17);
        assert!(parse_stat("7 (a").is_none());
    }

    #[test]
    fn grandchildren_are_counted_and_killed() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "sleep 600 & sleep 600 & wait"])
            .spawn()
            .unwrap();
        let pid = child.id();
        // A process that is just being made, or that begins its program, has no memory for a moment.
        while descendants(&all(), pid).len() < 2 || measure_below(pid).resident_bytes == 0 {
            assert!(
                child.try_wait().unwrap().is_none(),
                "it waits for its children"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(kill_below(pid), 2);
        child.wait().unwrap();
        assert_eq!(measure_below(pid), Measured::default());
    }
}
