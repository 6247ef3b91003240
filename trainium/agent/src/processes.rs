//! How everything below one process is ended.
//!
//! A program without a sandbox may fork, leave its group and its session; it cannot leave its tree, because the
//! supervisor at its root adopts orphans (see [`crate::launch`]).

use std::collections::HashMap;
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

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

fn descendants(processes: &HashMap<u32, u32>, root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (pid, parent) in processes {
        children.entry(*parent).or_default().push(*pid);
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

fn all() -> HashMap<u32, u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, parent_in(&stat)?))
        })
        .collect()
}

/// Field 4; the name before it may hold anything. Source: proc(5).
fn parent_in(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_be_called_anything() {
        assert_eq!(parent_in("7 (a) b (c) S 4 5 6"), Some(4));
        assert!(parent_in("7 (a").is_none());
    }

    #[test]
    fn grandchildren_are_counted_and_killed() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "sleep 600 & sleep 600 & wait"])
            .spawn()
            .unwrap();
        let pid = child.id();
        while descendants(&all(), pid).len() < 2 {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "it waits for its children");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(kill_below(pid), 2);
        child.wait().unwrap();
        assert_eq!(kill_below(pid), 0);
    }
}
