//! The system's process table: when a process started and who is in its session.

#[cfg(target_os = "linux")]
mod system {
    use std::{fs, io};

    /// Fields of `/proc/PID/stat` behind the program's name, which may itself contain anything.
    fn fields(pid: i32) -> Option<Vec<String>> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(')')?;
        Some(rest.split_whitespace().map(str::to_owned).collect())
    }

    /// A process that has ended but was not collected yet counts as ended, though not before its last
    /// thread is gone: until then its ports and files are in use.
    fn has_ended(fields: &[String]) -> bool {
        let threads = fields.get(17).and_then(|count| count.parse::<u32>().ok());
        matches!(fields.first().map(String::as_str), Some("Z" | "X"))
            && threads.is_none_or(|count| count <= 1)
    }

    /// `None` also without the boot's id: ticks count from the boot, so they alone may be another process's.
    pub(crate) fn start_mark(pid: i32) -> Option<String> {
        let fields = fields(pid).filter(|fields| !has_ended(fields))?;
        let ticks = fields.get(19)?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(format!("{}+{ticks}", boot.trim()))
    }

    pub(crate) fn session_members(leader: i32) -> io::Result<Vec<i32>> {
        let leader = leader.to_string();
        let members = fs::read_dir("/proc")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                fields(*pid).is_some_and(|fields| {
                    !has_ended(&fields) && fields.get(3).is_some_and(|session| *session == leader)
                })
            })
            .collect();
        Ok(members)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::process::Command;

    fn ps(arguments: &[&str]) -> io::Result<String> {
        let output = Command::new("ps").args(arguments).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub(crate) fn start_mark(pid: i32) -> Option<String> {
        let line = ps(&["-o", "state=,lstart=", "-p", &pid.to_string()]).ok()?;
        let (state, start) = line.trim().split_once(char::is_whitespace)?;
        (!state.starts_with('Z')).then(|| start.trim().to_owned())
    }

    /// By process group: the leader of a session also leads a group, and `ps` tells sessions on no two
    /// systems alike.
    pub(crate) fn session_members(leader: i32) -> io::Result<Vec<i32>> {
        let members = ps(&["-A", "-o", "pid=,pgid=,state="])?
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let pid: i32 = words.next()?.parse().ok()?;
                let group: i32 = words.next()?.parse().ok()?;
                (group == leader && !words.next()?.starts_with('Z')).then_some(pid)
            })
            .collect();
        Ok(members)
    }
}

pub(crate) use system::{session_members, start_mark};
