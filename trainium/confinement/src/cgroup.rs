//! A control group of its own for each run: the kernel's limits of memory and processes, an equal share of the
//! processors, what the run took, and an end for all of it at once.
//!
//! Both interfaces of the kernel are known: one hierarchy for everything (v2), and one a controller (v1). Where the
//! groups may be made is [`crate::place`]'s business. An own room and not the crate `cgroups-rs`: that knows
//! neither lent subtrees nor `cgroup.kill` nor the event of memory running out, brings D-Bus, and what is needed is a
//! dozen files. Source of their names: the kernel's `cgroup-v1/memory.rst` and `cgroup-v2.rst`.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFlags, eventfd};

/// Tasks of a run's group that are not the program's: bubblewrap, PID 1, and the supervisor while it starts them.
const OUR_TASKS: u64 = 4;
/// Memory of TCP sockets, which v1 counts apart and for the loopback of the program's own network only, bytes.
const TCP_BYTES: u64 = 64 << 20;
/// A run's share of the processors, the same for each: the kernel's own number for one that nobody chose, said so that
/// nothing above a run decides it. The number of v1 (`cpu.shares`) and that of v2 (`cpu.weight`).
const CPU_SHARES: &str = "1024";
const CPU_WEIGHT: &str = "100";
/// How often and how long the kernel is asked to remove a group whose last process is just ending.
const REMOVE_ATTEMPTS: u32 = 200;
const REMOVE_PAUSE: Duration = Duration::from_millis(5);

/// What the kernel holds a run to.
#[derive(Debug, Clone, Copy)]
pub struct GroupLimits {
    /// All memory: also files without a disk, sockets' buffers and what the kernel keeps for the run.
    pub memory_bytes: u64,
    /// Processes and threads of the program.
    pub processes: u64,
}

/// What a run took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Processor time of all its processes together.
    pub cpu: Duration,
    /// The most memory that they had at a time, bytes.
    pub peak_memory_bytes: u64,
}

/// The folders below which an agent's runs have their groups, in each hierarchy the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// One folder a controller; processors and their time may be missing.
    V1 {
        memory: PathBuf,
        pids: PathBuf,
        cpu: Option<PathBuf>,
        cpuacct: Option<PathBuf>,
    },
    V2(PathBuf),
}

impl Base {
    /// Its folders, each once: controllers may share a hierarchy.
    pub(crate) fn folders(&self) -> Vec<&Path> {
        let mut folders: Vec<&Path> = match self {
            Self::V1 {
                memory,
                pids,
                cpu,
                cpuacct,
            } => [Some(memory), Some(pids), cpu.as_ref(), cpuacct.as_ref()]
                .into_iter()
                .flatten()
                .map(PathBuf::as_path)
                .collect(),
            Self::V2(folder) => vec![folder],
        };
        folders.sort_unstable();
        folders.dedup();
        folders
    }

    /// The group `name` below each folder.
    pub(crate) fn below(&self, name: &str) -> Self {
        let join = |folder: &PathBuf| folder.join(name);
        match self {
            Self::V1 {
                memory,
                pids,
                cpu,
                cpuacct,
            } => Self::V1 {
                memory: join(memory),
                pids: join(pids),
                cpu: cpu.as_ref().map(join),
                cpuacct: cpuacct.as_ref().map(join),
            },
            Self::V2(folder) => Self::V2(join(folder)),
        }
    }
}

/// One run's group, empty yet. Dropping it ends what is in it and removes it.
#[derive(Debug)]
pub struct Group {
    at: Base,
}

impl Group {
    /// Makes the group `name` below `base` with its limits set.
    ///
    /// # Errors
    ///
    /// When the kernel refuses the group or one of its limits.
    pub(crate) fn make(base: &Base, name: &str, limits: &GroupLimits) -> io::Result<Self> {
        let group = Self {
            at: base.below(name),
        };
        for folder in group.at.folders() {
            fs::create_dir(folder)?;
        }
        group.limit(limits)?;
        Ok(group)
    }

    fn limit(&self, limits: &GroupLimits) -> io::Result<()> {
        let bytes = limits.memory_bytes.to_string();
        let tasks = (limits.processes + OUR_TASKS).to_string();
        match &self.at {
            Base::V1 {
                memory, pids, cpu, ..
            } => {
                set(memory, "memory.limit_in_bytes", &bytes)?;
                // Both together, so that what is swapped out counts; missing without accounting of swap.
                set_where_known(memory, "memory.memsw.limit_in_bytes", &bytes)?;
                set_where_known(
                    memory,
                    "memory.kmem.tcp.limit_in_bytes",
                    &TCP_BYTES.to_string(),
                )?;
                if let Some(cpu) = cpu {
                    set(cpu, "cpu.shares", CPU_SHARES)?;
                }
                set(pids, "pids.max", &tasks)
            }
            Base::V2(folder) => {
                set(folder, "memory.max", &bytes)?;
                set_where_known(folder, "memory.swap.max", "0")?;
                set(folder, "memory.oom.group", "1")?;
                // Missing where a service manager lends no processors.
                set_where_known(folder, "cpu.weight", CPU_WEIGHT)?;
                set(folder, "pids.max", &tasks)
            }
        }
    }

    /// The files into which a process writes `0` to join.
    pub fn entrances(&self) -> Vec<PathBuf> {
        let folders = self.at.folders();
        folders.iter().map(|at| at.join("cgroup.procs")).collect()
    }

    /// Kills everything in it. Something that is just forking may survive one call on v1, where the program's PID
    /// namespace ends with its first process anyway.
    pub fn kill(&self) {
        for folder in self.at.folders() {
            end_members(folder);
        }
    }

    /// What becomes readable when memory has run out.
    ///
    /// # Errors
    ///
    /// When the kernel does not tell.
    pub fn watch_memory(&self) -> io::Result<MemoryWatch> {
        match &self.at {
            Base::V1 { memory, .. } => {
                let counter = File::open(memory.join("memory.oom_control"))?;
                let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
                let wish = format!("{} {}", event.as_raw_fd(), counter.as_raw_fd());
                set(memory, "cgroup.event_control", &wish)?;
                Ok(MemoryWatch::Event(event.into()))
            }
            Base::V2(folder) => {
                let counters = File::open(folder.join("memory.events"))?;
                Ok(MemoryWatch::Counters(counters))
            }
        }
    }

    /// Whether the kernel killed something of it because its memory was used up.
    ///
    /// # Errors
    ///
    /// When the kernel does not tell.
    pub fn ran_out_of_memory(&self) -> io::Result<bool> {
        let counters = match &self.at {
            Base::V1 { memory, .. } => fs::read_to_string(memory.join("memory.oom_control"))?,
            Base::V2(folder) => fs::read_to_string(folder.join("memory.events"))?,
        };
        Ok(counter(&counters, "oom_kill").is_some_and(|killed| killed > 0))
    }

    /// What all that ever ran in it took.
    ///
    /// # Errors
    ///
    /// When the kernel does not tell. A kernel before 5.19 has no peak on v2: it is told as 0.
    pub fn usage(&self) -> io::Result<Usage> {
        match &self.at {
            Base::V1 {
                memory, cpuacct, ..
            } => {
                let nanos = match cpuacct {
                    Some(folder) => number(folder, "cpuacct.usage")?,
                    None => 0,
                };
                Ok(Usage {
                    cpu: Duration::from_nanos(nanos),
                    peak_memory_bytes: number(memory, "memory.max_usage_in_bytes")?,
                })
            }
            Base::V2(folder) => {
                let times = fs::read_to_string(folder.join("cpu.stat"))?;
                let peak = folder.join("memory.peak");
                Ok(Usage {
                    cpu: Duration::from_micros(counter(&times, "usage_usec").unwrap_or(0)),
                    peak_memory_bytes: if peak.exists() {
                        number(folder, "memory.peak")?
                    } else {
                        0
                    },
                })
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in self.at.folders() {
            if let Err(error) = remove(folder) {
                tracing::warn!(folder = %folder.display(), %error, "a run's group stays behind until the next start");
            }
        }
    }
}

/// Becomes ready when memory of a group has run out.
#[derive(Debug)]
pub enum MemoryWatch {
    /// Counts how often it did (v1).
    Event(File),
    /// `memory.events`, which is ready again after each change and when it was never read (v2).
    Counters(File),
}

impl MemoryWatch {
    /// What to wait for.
    pub fn flags(&self) -> PollFlags {
        match self {
            Self::Event(_) => PollFlags::IN,
            Self::Counters(_) => PollFlags::PRI,
        }
    }

    /// Whether it did, when it is ready.
    ///
    /// # Errors
    ///
    /// When the kernel does not tell.
    pub fn has_run_out(&self) -> io::Result<bool> {
        match self {
            Self::Event(_) => Ok(true),
            Self::Counters(file) => {
                let mut buffer = [0; 1024];
                let length = file.read_at(&mut buffer, 0)?;
                let text = String::from_utf8_lossy(&buffer[..length]);
                Ok(counter(&text, "oom_kill").is_some_and(|killed| killed > 0))
            }
        }
    }
}

impl AsFd for MemoryWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Event(file) | Self::Counters(file) => file.as_fd(),
        }
    }
}

/// Ends what is in a group and removes it, with the groups below it. One that is not there is removed.
///
/// # Errors
///
/// When something in it does not end.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    let mut attempt = 0;
    loop {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if attempt == REMOVE_ATTEMPTS => return Err(error),
            Ok(()) => return Ok(()),
            Err(_) => {}
        }
        // A group of the kernel's has folders for groups only.
        for entry in fs::read_dir(folder)?.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove(&entry.path())?;
            }
        }
        end_members(folder);
        attempt += 1;
        std::thread::sleep(REMOVE_PAUSE);
    }
}

/// Removes a group that has no process and no group any more, or will have none in a moment.
///
/// # Errors
///
/// When it still has.
pub(crate) fn remove_empty(folder: &Path) -> io::Result<()> {
    for _ in 0..REMOVE_ATTEMPTS {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {}
            Ok(()) | Err(_) => return Ok(()),
        }
        std::thread::sleep(REMOVE_PAUSE);
    }
    fs::remove_dir(folder)
}

/// Kills all processes of one group: at once where the kernel has a file for that (v2, 5.14), else one by one.
fn end_members(folder: &Path) {
    if fs::write(folder.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    let members = fs::read_to_string(folder.join("cgroup.procs"));
    for pid in members.into_iter().flat_map(|text| pids(&text)) {
        // One that has ended meanwhile is what we want.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
    }
}

fn pids(text: &str) -> Vec<nix::unistd::Pid> {
    text.lines()
        .filter_map(|line| line.trim().parse().ok())
        // 0 is a process of a namespace that we do not see, and would mean ourselves.
        .filter(|pid: &i32| *pid > 0)
        .map(nix::unistd::Pid::from_raw)
        .collect()
}

fn set(folder: &Path, file: &str, value: &str) -> io::Result<()> {
    let at = folder.join(file);
    fs::write(&at, value).map_err(|error| {
        let text = format!("cannot write {value} to {}: {error}", at.display());
        io::Error::new(error.kind(), text)
    })
}

fn set_where_known(folder: &Path, file: &str, value: &str) -> io::Result<()> {
    if folder.join(file).exists() {
        set(folder, file, value)
    } else {
        Ok(())
    }
}

fn number(folder: &Path, file: &str) -> io::Result<u64> {
    let text = fs::read_to_string(folder.join(file))?;
    text.trim().parse().map_err(io::Error::other)
}

/// The number after `name` in lines of `name number`.
fn counter(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: GroupLimits = GroupLimits {
        memory_bytes: 1 << 30,
        processes: 64,
    };

    /// A folder in place of the kernel's: files may be made in it, which a group is not removed with.
    fn read(folder: &Path, file: &str) -> String {
        fs::read_to_string(folder.join(file)).unwrap()
    }

    #[test]
    fn one_hierarchy_gets_every_limit_in_one_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().to_owned();
        for file in ["memory.swap.max", "cpu.weight"] {
            fs::write(at.join(file), "").unwrap();
        }
        let group = Group {
            at: Base::V2(at.clone()),
        };
        group.limit(&LIMITS).unwrap();
        assert_eq!(read(&at, "memory.max"), "1073741824");
        assert_eq!(read(&at, "memory.swap.max"), "0");
        assert_eq!(read(&at, "memory.oom.group"), "1");
        assert_eq!(read(&at, "pids.max"), "68");
        assert_eq!(read(&at, "cpu.weight"), "100");
        fs::write(at.join("memory.events"), "low 0\noom 3\noom_kill 0\n").unwrap();
        assert!(!group.ran_out_of_memory().unwrap());
        fs::write(at.join("memory.events"), "low 0\noom 3\noom_kill 2\n").unwrap();
        assert!(group.ran_out_of_memory().unwrap());
        fs::write(at.join("cpu.stat"), "usage_usec 1500\nuser_usec 1\n").unwrap();
        fs::write(at.join("memory.peak"), "4096\n").unwrap();
        let usage = group.usage().unwrap();
        assert_eq!(usage.cpu, Duration::from_micros(1500));
        assert_eq!(usage.peak_memory_bytes, 4096);
        assert_eq!(group.entrances(), [at.join("cgroup.procs")]);
        group.kill();
        assert_eq!(read(&at, "cgroup.kill"), "1");
        // Its drop is for the kernel's own folders.
        std::mem::forget(group);
    }

    #[test]
    fn controllers_apart_get_theirs_each() {
        let folder = tempfile::tempdir().unwrap();
        let part = |name: &str| {
            let part = folder.path().join(name);
            fs::create_dir(&part).unwrap();
            part
        };
        let (memory, pids, cpu) = (part("memory"), part("pids"), part("cpu"));
        let group = Group {
            at: Base::V1 {
                memory: memory.clone(),
                pids: pids.clone(),
                cpu: Some(cpu.clone()),
                cpuacct: Some(cpu.clone()),
            },
        };
        fs::write(memory.join("memory.memsw.limit_in_bytes"), "").unwrap();
        group.limit(&LIMITS).unwrap();
        for file in ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"] {
            assert_eq!(read(&memory, file), "1073741824");
        }
        assert!(!memory.join("memory.kmem.tcp.limit_in_bytes").exists());
        assert_eq!(read(&pids, "pids.max"), "68");
        assert_eq!(read(&cpu, "cpu.shares"), "1024");
        assert_eq!(group.entrances().len(), 3, "each hierarchy once");
        fs::write(memory.join("memory.max_usage_in_bytes"), "7\n").unwrap();
        fs::write(cpu.join("cpuacct.usage"), "2000000\n").unwrap();
        let usage = group.usage().unwrap();
        assert_eq!(
            (usage.cpu, usage.peak_memory_bytes),
            (Duration::from_millis(2), 7)
        );
        std::mem::forget(group);
    }

    #[test]
    fn a_limit_that_cannot_be_set_names_its_file() {
        let group = Group {
            at: Base::V2("/nonexistent/group".into()),
        };
        let error = group.limit(&LIMITS).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/group/memory.max"), "{error}");
        std::mem::forget(group);
    }
}
