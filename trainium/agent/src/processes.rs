//! What the kernel says about the processes below one process, and how all of them are ended.
//!
//! A program may fork, leave its group and its session; it cannot leave its tree, because the
//! supervisor at its root adopts orphans (see [`crate::launch`]).

use std::collections::HashMap;
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// Memory and number of a tree's processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Sum of the resident memory of all processes, bytes. Shared pages count once a process.
    pub(crate) resident_bytes: u64,
    /// Processes; threads do not count.
    pub(crate) processes: u64,
}

struct Process {
    parent: u32,
    resident_pages: u64,
}

/// What the processes below `root` use, without `root` itself.
pub(crate) fn usage_below(root: u32) -> Usage {
    let processes = all();
    let page = sysconf(SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .unwrap_or(4096);
    let page = u64::try_from(page).unwrap_or(4096);
    let below = descendants(&processes, root);
    let pages: u64 = below
        .iter()
        .filter_map(|pid| processes.get(pid))
        .map(|process| process.resident_pages)
        .sum();
    Usage {
        resident_bytes: pages * page,
        processes: below.len() as u64,
    }
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

/// Fields 4 (parent) and 24 (resident pages); the name before them may hold anything. Source: proc(5).
fn parse_stat(stat: &str) -> Option<Process> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    Some(Process {
        parent: fields.nth(1)?.parse().ok()?,
        resident_pages: fields.nth(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_be_called_anything() {
        let fields: Vec<String> = (5..=52).map(|field| field.to_string()).collect();
        let stat = format!("7 (a) b (c) S 3 {}", fields.join(" "));
        let process = parse_stat(&stat).unwrap();
        assert_eq!((process.parent, process.resident_pages), (3, 24));
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
        let mut usage = Usage::default();
        while usage.processes < 2 || usage.resident_bytes == 0 {
            assert!(
                child.try_wait().unwrap().is_none(),
                "it waits for its children"
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
            usage = usage_below(pid);
        }
        assert_eq!(usage.processes, 2);
        assert!(usage.resident_bytes > 0);
        assert_eq!(kill_below(pid), 2);
        child.wait().unwrap();
        assert_eq!(usage_below(pid), Usage::default());
    }
}
