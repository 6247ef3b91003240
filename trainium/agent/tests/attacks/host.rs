//! What of the machine a program must not change, and what of it a program must not reach.
//!
//! Each look gives lines, and what a later look has more is what a program left or changed. Other programs of
//! the machine come and go meanwhile, so only what is the agent's, its slots' users', or bears a name of the
//! table counts, besides what nobody changes while tests run.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::agent::{Agent, Place};
use crate::processes::Processes;

/// What the names begin with of everything that programs of the table make.
const NAMES: [&str; 2] = ["annapurna-attack", "annapurna-left"];
/// Keys of System V objects that programs of the table make, as `/proc/sysvipc` writes them.
const KEYS: std::ops::RangeInclusive<i64> = 0x0A77_AC00..=0x0A77_ACFF;
/// Settings that no program may change.
const SETTINGS: [&str; 5] = [
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/domainname",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/vm/overcommit_memory",
    "/proc/swaps",
];
/// Folders in which anybody may leave something.
const OPEN: [&str; 6] = [
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/dev/mqueue",
    "/run",
    "/run/lock",
];

/// Sockets that wait for a program that gets out, and where to look for what it left.
#[derive(Debug)]
pub(crate) struct Host {
    folder: PathBuf,
    tcp: TcpListener,
    udp: UdpSocket,
    unix: UnixListener,
    named: UnixListener,
    /// Nobody listens there, unless a program can be reached from outside.
    closed: u16,
    was_reached: Arc<AtomicBool>,
    /// Names of the groups below which runs have theirs.
    groups: BTreeSet<String>,
    /// The clock's time less that of the clock that nobody sets.
    began: (SystemTime, Instant),
}

impl Host {
    pub(crate) fn watch(place: &Place) -> Self {
        let folder = place.path().to_owned();
        fs::write(folder.join("secret"), "secret").unwrap();
        let tcp = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let udp = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
        let unix = UnixListener::bind(folder.join("socket")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(folder.join("socket"), mode).unwrap();
        let address = SocketAddr::from_abstract_name(abstract_name()).unwrap();
        let named = UnixListener::bind_addr(&address).unwrap();
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        unix.set_nonblocking(true).unwrap();
        named.set_nonblocking(true).unwrap();
        let closed = TcpListener::bind(("127.0.0.1", 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let host = Self {
            folder,
            tcp,
            udp,
            unix,
            named,
            closed,
            was_reached: Arc::default(),
            groups: BTreeSet::new(),
            began: (SystemTime::now(), Instant::now()),
        };
        host.knock();
        host
    }

    /// Asks again and again, until the test ends, whether somebody listens now.
    fn knock(&self) {
        let (port, reached) = (self.closed, Arc::clone(&self.was_reached));
        std::thread::spawn(move || {
            loop {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    reached.store(true, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
    }

    /// What a program is told, so that it can try to reach it.
    pub(crate) fn told(&self, agent: &Agent, neighbour: u32) -> Value {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        json!({
            "agent": agent.pid(),
            "neighbour": neighbour,
            "http": agent.port,
            "other_user": agent.users.first().copied().unwrap_or(65_534),
            "folder": self.folder,
            "state": self.folder.join("state"),
            "secret": self.folder.join("secret"),
            "unix": self.folder.join("socket"),
            "abstract": abstract_name(),
            "tcp": self.tcp.local_addr().unwrap().port(),
            "udp": self.udp.local_addr().unwrap().port(),
            "closed": self.closed,
            "now": now.as_secs_f64(),
        })
    }

    /// What was reached since the last call.
    pub(crate) fn reached(&self) -> Vec<String> {
        let mut reached = Vec::new();
        let mut say = |what: &str, happened: bool| {
            if happened {
                reached.push(format!("it reached {what}"));
            }
        };
        let waits = |kind: Option<ErrorKind>| kind == Some(ErrorKind::WouldBlock);
        say(
            "a port",
            !waits(self.tcp.accept().err().map(|error| error.kind())),
        );
        say(
            "a socket's file",
            !waits(self.unix.accept().err().map(|error| error.kind())),
        );
        say(
            "an abstract socket",
            !waits(self.named.accept().err().map(|error| error.kind())),
        );
        let mut buffer = [0; 64];
        let packet = self.udp.recv(&mut buffer);
        say(
            "a port by UDP",
            packet.is_ok_and(|size| buffer[..size].starts_with(b"annapurna")),
        );
        say(
            "whoever knocks",
            self.was_reached.swap(false, Ordering::Relaxed),
        );
        let clock = self.began.0.elapsed().unwrap_or_default();
        let true_time = self.began.1.elapsed();
        say(
            "the clock",
            clock.abs_diff(true_time) > Duration::from_secs(2),
        );
        reached
    }

    /// Learns below which groups the agent's runs have theirs, from one that runs: where its group differs from the
    /// agent's, the one above it. Other agents of the machine have others.
    pub(crate) fn follow(&mut self, agent: u32, program: u32) {
        let groups = |pid| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let (agents, programs) = (groups(agent), groups(program));
        let agents: BTreeSet<&str> = agents.lines().collect();
        let own = programs.lines().filter(|line| !agents.contains(line));
        let above = own.filter_map(|line| line.rsplit('/').nth(1));
        self.groups
            .extend(above.filter(|name| !name.is_empty()).map(str::to_owned));
        assert!(!self.groups.is_empty(), "no group of its own: {programs}");
    }

    /// Groups of the agent and of its runs, in every hierarchy.
    fn control_groups(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut folders = vec![(PathBuf::from("/sys/fs/cgroup"), 0)];
        while let Some((folder, depth)) = folders.pop() {
            for path in entries(&folder).filter(|path| path.is_dir() && !path.is_symlink()) {
                let mut parts = path.iter().filter_map(|part| part.to_str());
                if parts.any(|part| self.groups.contains(part)) {
                    found.insert(format!("control group {}", path.display()));
                }
                if depth < 7 {
                    folders.push((path, depth + 1));
                }
            }
        }
        found
    }

    /// Everything that is to be as it was, of an agent and the users of its slots.
    pub(crate) fn look(&self, agent: Option<u32>, users: &[u32]) -> BTreeSet<String> {
        let mut seen = Processes::look().of(agent, users);
        seen.extend(self.control_groups());
        seen.extend(system_v());
        seen.extend(lines("/proc/net/unix", |line| {
            line.ends_with("@annapurna-attack")
        }));
        seen.extend(lines("/proc/keys", |line| line.contains(NAMES[0])));
        let folder = self.folder.to_string_lossy();
        seen.extend(lines("/proc/self/mountinfo", |line| {
            line.contains(&*folder)
        }));
        seen.extend(keyrings(users));
        seen.extend(
            OPEN.iter()
                .flat_map(|folder| left_in(folder.as_ref(), users)),
        );
        seen.extend(below(&self.folder.join("state"), 2));
        seen.extend(
            entries("/".as_ref())
                .chain(entries(&self.folder))
                .filter_map(core),
        );
        seen.extend(loops());
        seen.extend(SETTINGS.map(|path| format!("{path}: {:?}", fs::read_to_string(path).ok())));
        seen.extend(agent.into_iter().flat_map(own_limits));
        seen
    }
}

/// What a program that may change another process's limits would change of the agent.
fn own_limits(agent: u32) -> [String; 4] {
    ["limits", "oom_score_adj", "loginuid", "coredump_filter"].map(|name| {
        let text = fs::read_to_string(format!("/proc/{agent}/{name}")).ok();
        format!("the agent's {name}: {text:?}")
    })
}

fn abstract_name() -> String {
    format!("annapurna-attack-host-{}", std::process::id())
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

/// Paths down to a depth. What programs have in their own folders is deeper.
fn below(folder: &Path, depth: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in entries(folder) {
        found.insert(format!("file {}", path.display()));
        if depth > 1 && path.is_dir() {
            found.extend(below(&path, depth - 1));
        }
    }
    found
}

fn core(path: PathBuf) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    (name == "core" || name.starts_with("core.")).then(|| format!("file {}", path.display()))
}

/// What in a folder that all may write is of the slots' users, or has a name of the table.
fn left_in(folder: &Path, users: &[u32]) -> BTreeSet<String> {
    let is_left = |path: &PathBuf| {
        let owner = path.symlink_metadata().map(|metadata| metadata.uid());
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        owner.is_ok_and(|owner| users.contains(&owner)) || NAMES.iter().any(|known| name == *known)
    };
    let left = entries(folder).filter(is_left);
    left.map(|path| format!("file {}", path.display()))
        .collect()
}

fn lines(path: &str, is_wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let wanted = text.lines().filter(|line| is_wanted(line));
    wanted.map(|line| format!("{path}: {line}")).collect()
}

/// Users with keys, among those of the slots.
fn keyrings(users: &[u32]) -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/key-users").unwrap_or_default();
    let users: Vec<String> = users.iter().map(|user| format!("{user}:")).collect();
    let of_slots = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let of_slots = of_slots.filter(|user| users.iter().any(|known| known == user));
    of_slots
        .map(|user| format!("keys of user {user}"))
        .collect()
}

fn system_v() -> BTreeSet<String> {
    let kinds = ["shm", "sem", "msg"].map(|kind| (kind, format!("/proc/sysvipc/{kind}")));
    let mut found = BTreeSet::new();
    for (kind, path) in kinds {
        let text = fs::read_to_string(path).unwrap_or_default();
        let keys = text
            .lines()
            .filter_map(|line| line.split_whitespace().next()?.parse().ok());
        let ours = keys.filter(|key: &i64| KEYS.contains(key));
        found.extend(ours.map(|key| format!("System V {kind} {key:#x}")));
    }
    found
}

fn loops() -> BTreeSet<String> {
    let devices = entries("/sys/block".as_ref());
    let used = devices.filter(|device| device.join("loop/backing_file").exists());
    used.map(|device| format!("loop device {}", device.display()))
        .collect()
}
