//! Where an agent may make control groups for its runs.
//!
//! Root makes a group of its own: on v1 below the one it is in, on v2 at the top of what it sees. The unit of the
//! instance's agent and a scope of a person's own service manager lend the group that they run in (`Delegate=yes`): the
//! agent moves into a leaf of it, because the kernel lets a group have processes or limits for groups below it, not
//! both. For everybody else there is no place, and no program is run.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::cgroup::{Base, Group, GroupLimits, remove, remove_empty};

/// What an agent's own groups begin with.
const OURS: &str = "annapurna-";
/// What the group of a run begins with.
const RUN: &str = "run-";
/// Set for an agent that was started again in a scope of its own, so that it does not ask for one for ever.
const IN_SCOPE: &str = "ANNAPURNA_IN_SCOPE";

/// Why there are no groups for runs.
#[derive(Debug, thiserror::Error)]
pub enum NoGroups {
    /// Nobody lent one.
    #[error("no control group was lent to this user")]
    NotLent,
    /// The kernel has no such hierarchy, or nobody mounted it.
    #[error("this machine has no control groups for {0}")]
    Missing(&'static str),
    /// The kernel refused.
    #[error("cannot make a control group in {}", folder.display())]
    Refused {
        /// Where.
        folder: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel does not say where this process is.
    #[error("cannot read {0}")]
    Unreadable(&'static str, #[source] io::Error),
}

impl NoGroups {
    /// What mends it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotLent => {
                "be root, or a user to whom systemd lends one: where `systemd-run --user` works (log in anew, or \
                 `loginctl enable-linger`), or in a unit with `Delegate=yes`"
            }
            Self::Missing(_) => "mount /sys/fs/cgroup with them",
            Self::Refused { .. } | Self::Unreadable(..) => {
                "let this user make control groups there, or be root"
            }
        }
    }
}

/// The place of one agent's groups. The last clone removes what is left of it.
#[derive(Debug, Clone)]
pub struct Groups(Arc<Place>);

#[derive(Debug)]
struct Place {
    base: Base,
    /// The files into which a process writes `0` to leave a run's group again.
    exits: Vec<PathBuf>,
    /// Whether the base is the agent's own, to be removed when it ends.
    own: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.own {
            for folder in self.base.folders() {
                // The kernel takes a moment after the last process. A later start of the same agent removes what does
                // not go now.
                let _ = remove_empty(folder);
            }
        }
    }
}

impl Groups {
    /// Makes the place for the agent of `state_dir`, which names it, and removes what an earlier one left there.
    ///
    /// # Errors
    ///
    /// [`NoGroups`].
    pub fn claim(state_dir: &Path) -> Result<Self, NoGroups> {
        let digest = hex::encode(Sha256::digest(state_dir.as_os_str().as_encoded_bytes()));
        let name = format!("{OURS}{}", &digest[..12]);
        let place = Seen::now()?.place(&name)?;
        let groups = Self(Arc::new(place));
        groups.remove_leftovers();
        Ok(groups)
    }

    /// Makes the group of a run in a slot.
    ///
    /// # Errors
    ///
    /// When the kernel refuses it or one of its limits.
    pub fn make(&self, slot: usize, limits: &GroupLimits) -> io::Result<Group> {
        let name = format!("{RUN}{slot}-{:08x}", fastrand::u32(..));
        Group::make(&self.0.base, &name, limits)
    }

    /// The files into which a process writes `0` to leave a run's group again.
    pub fn exits(&self) -> &[PathBuf] {
        &self.0.exits
    }

    fn remove_leftovers(&self) {
        for folder in self.0.base.folders() {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let left = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(RUN));
            for entry in left {
                if let Err(error) = remove(&entry.path()) {
                    tracing::warn!(group = %entry.path().display(), %error, "what an earlier agent left does not end");
                }
            }
        }
    }
}

/// What the kernel says of this process's groups.
struct Seen {
    /// `/proc/self/mountinfo`.
    mounts: String,
    /// `/proc/self/cgroup`.
    own: String,
}

impl Seen {
    fn now() -> Result<Self, NoGroups> {
        let read = |file: &'static str| {
            fs::read_to_string(file).map_err(|error| NoGroups::Unreadable(file, error))
        };
        Ok(Self {
            mounts: read("/proc/self/mountinfo")?,
            own: read("/proc/self/cgroup")?,
        })
    }

    fn place(&self, name: &str) -> Result<Place, NoGroups> {
        match self.v1("memory") {
            Some(memory) => self.place_v1(name, memory),
            None => self.place_v2(name),
        }
    }

    fn place_v1(&self, name: &str, memory: PathBuf) -> Result<Place, NoGroups> {
        let pids = self.v1("pids").ok_or(NoGroups::Missing("processes"))?;
        let (cpu, cpuacct) = (self.v1("cpu"), self.v1("cpuacct"));
        let home = Base::V1 {
            memory,
            pids,
            cpu,
            cpuacct,
        };
        let base = home.below(name);
        make(&base)?;
        Ok(Place {
            exits: entrances(&home),
            base,
            own: true,
        })
    }

    fn place_v2(&self, name: &str) -> Result<Place, NoGroups> {
        let (top, own) = self.v2().ok_or(NoGroups::Missing("anything"))?;
        if is_lent(&own) {
            let leaf = own.join("annapurna-agent");
            enter(&leaf).map_err(refused(&leaf))?;
            offer_controllers(&own)?;
            return Ok(Place {
                base: Base::V2(own),
                exits: vec![leaf.join("cgroup.procs")],
                own: false,
            });
        }
        if !nix::unistd::geteuid().is_root() {
            return Err(NoGroups::NotLent);
        }
        offer_controllers(&top)?;
        let base = Base::V2(top.join(name));
        make(&base)?;
        for folder in base.folders() {
            offer_controllers(folder)?;
        }
        Ok(Place {
            base,
            exits: vec![own.join("cgroup.procs")],
            own: true,
        })
    }

    /// The group of this process in the hierarchy of a v1 controller.
    fn v1(&self, controller: &str) -> Option<PathBuf> {
        let own = self.own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let controllers = fields.next()?;
            let path = fields.next()?;
            controllers
                .split(',')
                .any(|name| name == controller)
                .then_some(path)
        })?;
        let mount = self
            .mounts("cgroup")
            .find(|mount| mount.options.split(',').any(|option| option == controller))?;
        Some(mount.group(own))
    }

    /// The top of v2's hierarchy as far as it is seen, and the group of this process.
    fn v2(&self) -> Option<(PathBuf, PathBuf)> {
        let own = self.own.lines().find_map(|line| line.strip_prefix("0::"))?;
        let mount = self.mounts("cgroup2").next()?;
        Some((mount.at.into(), mount.group(own)))
    }

    fn mounts<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = Mount<'a>> {
        self.mounts.lines().filter_map(move |line| {
            let (left, right) = line.split_once(" - ")?;
            let mut left = left.split(' ').skip(3);
            let (root, at) = (left.next()?, left.next()?);
            let mut right = right.split(' ');
            (right.next()? == kind).then_some(())?;
            let options = right.nth(1).unwrap_or_default();
            Some(Mount { root, at, options })
        })
    }
}

/// A line of mountinfo. Source: proc(5).
struct Mount<'a> {
    root: &'a str,
    at: &'a str,
    options: &'a str,
}

impl Mount<'_> {
    /// Where the group `own` is; what lies outside of what is mounted is the mount itself.
    fn group(&self, own: &str) -> PathBuf {
        let at = PathBuf::from(self.at);
        match Path::new(own).strip_prefix(self.root) {
            Ok(below) if !own.contains("..") => at.join(below),
            _ => at,
        }
    }
}

/// Whether the group is this process's to divide: it may, and nobody else is in it. Root owns everything, so it is
/// lent to root only where systemd says so.
fn is_lent(own: &Path) -> bool {
    let root = nix::unistd::geteuid().is_root();
    let marked = || {
        ["trusted.delegate", "user.delegate"].iter().any(|name| {
            let mut value = [0; 8];
            rustix::fs::getxattr(own, *name, &mut value[..])
                .is_ok_and(|length| value[..length] == *b"1")
        })
    };
    let may = |file: &str| rustix::fs::access(own.join(file), rustix::fs::Access::WRITE_OK).is_ok();
    if !may("cgroup.procs") || !may("cgroup.subtree_control") || (root && !marked()) {
        return false;
    }
    let me = std::process::id().to_string();
    let members = fs::read_to_string(own.join("cgroup.procs"));
    members.is_ok_and(|text| text.lines().all(|pid| pid == me))
}

fn make(base: &Base) -> Result<(), NoGroups> {
    for folder in base.folders() {
        match fs::create_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(NoGroups::NotLent);
            }
            made => made.map_err(refused(folder))?,
        }
    }
    Ok(())
}

fn enter(leaf: &Path) -> io::Result<()> {
    match fs::create_dir(leaf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::write(leaf.join("cgroup.procs"), "0")
}

fn has(known: &str, controller: &str) -> bool {
    known.split_whitespace().any(|known| known == controller)
}

/// Refuses controllers among which one is missing that no run may be without.
fn require(known: &str) -> Result<(), NoGroups> {
    [("memory", "memory"), ("pids", "processes")]
        .into_iter()
        .find(|(name, _)| !has(known, name))
        .map_or(Ok(()), |(_, what)| Err(NoGroups::Missing(what)))
}

/// The controllers that may be offered to the groups below `folder`.
fn known_controllers(folder: &Path) -> Result<String, NoGroups> {
    let known = fs::read_to_string(folder.join("cgroup.controllers")).map_err(refused(folder))?;
    require(&known).map(|()| known)
}

/// Lets the groups below `folder` have limits. A share of the processors is not lent by every service manager.
fn offer_controllers(folder: &Path) -> Result<(), NoGroups> {
    let known = known_controllers(folder)?;
    let wished = if has(&known, "cpu") {
        "+memory +pids +cpu"
    } else {
        "+memory +pids"
    };
    fs::write(folder.join("cgroup.subtree_control"), wished).map_err(refused(folder))
}

/// Whether an agent that this process starts would find a place for its groups.
///
/// # Errors
///
/// [`NoGroups`].
pub(crate) fn look() -> Result<(), NoGroups> {
    let seen = Seen::now()?;
    let lent = match seen.v1("memory") {
        Some(_) => None,
        None => seen.v2().filter(|(_, own)| is_lent(own)),
    };
    if let Some((_, own)) = lent {
        // This process stays where it is: the agent moves into a leaf of it.
        return known_controllers(&own).map(drop);
    }
    if nix::unistd::geteuid().is_root() || seen.v1("memory").is_some() {
        return try_place(&seen);
    }
    let (top, _) = seen.v2().ok_or(NoGroups::Missing("anything"))?;
    controllers_in_scope(&top).and_then(|known| require(&known))
}

/// Makes a place as an agent would, with one group in it, and removes both.
fn try_place(seen: &Seen) -> Result<(), NoGroups> {
    let name = format!("{OURS}look-{:08x}", fastrand::u32(..));
    let groups = Groups(Arc::new(seen.place(&name)?));
    let limits = GroupLimits {
        memory_bytes: 64 << 20,
        processes: 1,
    };
    let folder = groups.0.base.folders()[0].to_owned();
    let made = groups.make(0, &limits);
    made.map(drop).map_err(refused(&folder))
}

/// What a group that a person's service manager lends may limit, in the kernel's words.
fn controllers_in_scope(top: &Path) -> Result<String, NoGroups> {
    const SAY: &str = r#"cat "$0$(sed -n 's/^0:://p' /proc/self/cgroup)/cgroup.controllers""#;
    let mut scope = scope();
    let asked = scope.args(["sh", "-c", SAY]).arg(top).output();
    match asked {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        _ => Err(NoGroups::NotLent),
    }
}

fn entrances(base: &Base) -> Vec<PathBuf> {
    let folders = base.folders();
    folders.iter().map(|at| at.join("cgroup.procs")).collect()
}

fn refused(folder: &Path) -> impl Fn(io::Error) -> NoGroups + '_ {
    move |source| NoGroups::Refused {
        folder: folder.to_owned(),
        source,
    }
}

/// Starts this process again, with the same process id, in a scope that a person's service manager lends. Comes back
/// where that is not needed or not possible; [`Groups::claim`] then says what is missing.
pub fn enter_own_scope() {
    if nix::unistd::geteuid().is_root() || std::env::var_os(IN_SCOPE).is_some() {
        return;
    }
    let own = Seen::now().ok().and_then(|seen| seen.v2());
    if own.is_some_and(|(_, own)| is_lent(&own)) {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut probe = scope();
    probe
        .arg("true")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if probe.status().is_ok_and(|status| status.success()) {
        let mut again = scope();
        again
            .arg(program)
            .args(std::env::args_os().skip(1))
            .env(IN_SCOPE, "1");
        let error = again.exec();
        tracing::warn!(%error, "cannot start again in a scope of its own");
    }
}

fn scope() -> Command {
    let mut command = Command::new("systemd-run");
    command.args([
        "--user",
        "--scope",
        "--quiet",
        "--collect",
        "-p",
        "Delegate=yes",
        "--",
    ]);
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        let user = nix::unistd::getuid();
        command.env("XDG_RUNTIME_DIR", format!("/run/user/{user}"));
    }
    command.stdin(Stdio::inherit());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_limits_of_memory_or_processes_is_none() {
        assert!(require("cpuset cpu io memory pids").is_ok());
        let missing = |known: &str| require(known).unwrap_err().to_string();
        assert!(missing("cpu pids").contains("for memory"));
        assert!(missing("memory").contains("for processes"));
        assert!(missing("").contains("for memory"));
    }

    #[test]
    fn the_own_group_is_found_in_every_layout() {
        let apart = Seen {
            mounts: "30 25 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n\
                     31 25 0:27 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                     32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
                .to_owned(),
            own: "4:memory:/jobs/a\n1:cpu,cpuacct:/docker/abc/x\n0::/\n".to_owned(),
        };
        let at = |path: &str| Some(PathBuf::from(path));
        assert_eq!(apart.v1("memory"), at("/sys/fs/cgroup/memory/jobs/a"));
        assert_eq!(apart.v1("cpuacct"), at("/sys/fs/cgroup/cpu,cpuacct/x"));
        assert_eq!(apart.v1("pids"), None);
        let one = Seen {
            mounts:
                "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
                    .to_owned(),
            own: "0::/system.slice/annapurna-agent.service\n".to_owned(),
        };
        assert_eq!(one.v1("memory"), None);
        let (top, own) = one.v2().unwrap();
        assert_eq!(top, Path::new("/sys/fs/cgroup"));
        assert_eq!(own, top.join("system.slice/annapurna-agent.service"));
        let outside = Seen {
            own: "0::/../other\n".to_owned(),
            ..one
        };
        assert_eq!(outside.v2().unwrap().1, top);
    }

    #[test]
    fn a_machine_without_groups_is_refused_with_what_to_do() {
        let none = Seen {
            mounts: String::new(),
            own: String::new(),
        };
        let error = none.place("annapurna-test").unwrap_err();
        assert!(error.hint().contains("mount /sys/fs/cgroup"), "{error}");
    }
}
