//! How a program is kept from everything that is not its own.
//!
//! Two methods, tried in this order and only used after a probe has shown that they hold on this machine:
//!
//! - bubblewrap: own mount, process, network and IPC namespaces. The program sees the system read-only, its
//!   own folder, and nothing of anyone's home, of the agent's state or of other programs. As root the
//!   sandbox is made by root and the program becomes the `--run-as` user inside; otherwise it is made in
//!   a user namespace.
//! - Landlock, where bubblewrap is missing or not allowed: the same files by the kernel's own access
//!   control, no TCP, no signals to others (as far as the kernel has them), and no sockets but local ones
//!   by a system call filter. `/dev/shm` is closed, so data loaders with worker processes fail there.
//!
//! When neither holds, programs are refused; there is no way to run one unconfined.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::launch::{Confinement, LandlockPaths};
use crate::processes;
use crate::python::Interpreter;
use crate::run_dir::{RunAs, RunDir};
use crate::runner::{End, Limits, Request, Runner};
use crate::shutdown::Shutdown;

/// Where the agent's own files are inside bubblewrap's root.
const INSIDE: &str = "/run/annapurna";
/// The program's folder inside bubblewrap's root.
const PROGRAM_FOLDER: &str = "/program";
/// The program's file name. Not `code.py`: that would hide Python's own module `code`.
pub const PROGRAM_FILE: &str = "program.py";
/// The unmapped user, as which programs run in a user namespace.
const NOBODY: &str = "65534";
/// Folders of the system that programs may read.
const SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"];
/// What of `/etc` the dynamic linker, Python and matplotlib read. None of it is secret.
const ETC: [&str; 9] = [
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/matplotlibrc",
    "/etc/mime.types",
    "/etc/python3",
];
/// What of the kernel's folders PyTorch reads to count processors and memory.
const KERNEL: [&str; 6] = [
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system",
];
/// Devices without state.
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

/// Which method the settings ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum IsolationChoice {
    /// bubblewrap where it works, else Landlock
    Auto,
    /// bubblewrap or nothing
    Bubblewrap,
    /// Landlock or nothing
    Landlock,
}

/// A method that holds on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// Namespaces, made by this binary.
    Bubblewrap(PathBuf),
    /// The kernel's own access control.
    Landlock,
}

impl Method {
    /// The word in results, in `/health` and in `check`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bubblewrap(_) => "bubblewrap",
            Self::Landlock => "landlock",
        }
    }
}

/// What every run's sandbox is made from.
#[derive(Debug, Clone)]
pub struct Parts {
    /// This binary.
    pub launcher: PathBuf,
    /// The interpreter of the programs.
    pub interpreter: Interpreter,
    /// Folder with `dataset_loader.py`.
    pub python_path: PathBuf,
    /// The agent's folder; hidden from programs but for the run's own and the data sets.
    pub state_dir: PathBuf,
    /// User to become; `None` when the agent is not root.
    pub run_as: Option<RunAs>,
    /// `/dev/neuron*`.
    pub neuron_devices: Vec<PathBuf>,
    /// Programs at a time.
    pub slots: usize,
}

impl Parts {
    /// Data sets for the programs to read.
    pub fn datasets(&self) -> PathBuf {
        self.state_dir.join("datasets")
    }

    /// The folders of the runs.
    pub fn runs(&self) -> PathBuf {
        self.state_dir.join("runs")
    }
}

/// A sandbox that can be made.
#[derive(Debug, Clone)]
pub struct Sandbox {
    method: Method,
    parts: Parts,
}

/// Why nothing confines programs here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("programs cannot be confined on this machine, so none is run: {}", .0.iter().map(|(method, reason)| format!("{method}: {reason}")).collect::<Vec<_>>().join("; "))]
pub struct NoSandbox(pub Vec<(&'static str, String)>);

impl Sandbox {
    /// Tries the methods `choice` allows and takes the first that holds. Blocks for about a second.
    ///
    /// # Errors
    ///
    /// [`NoSandbox`] says of each method why it does not hold.
    pub fn find(choice: IsolationChoice, parts: &Parts) -> Result<Self, NoSandbox> {
        let mut reasons = Vec::new();
        if choice != IsolationChoice::Landlock {
            match find_in_path("bwrap") {
                None => reasons.push(("bubblewrap", "`bwrap` is not installed".to_owned())),
                Some(binary) => match Self::proven(Method::Bubblewrap(binary), parts) {
                    Ok(sandbox) => return Ok(sandbox),
                    Err(reason) => reasons.push(("bubblewrap", reason)),
                },
            }
        }
        if choice != IsolationChoice::Bubblewrap {
            match Self::proven(Method::Landlock, parts) {
                Ok(sandbox) => return Ok(sandbox),
                Err(reason) => reasons.push(("landlock", reason)),
            }
        }
        Err(NoSandbox(reasons))
    }

    /// The method in use.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// What it is made from.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Runs a program that tries what programs must not be able to do.
    fn proven(method: Method, parts: &Parts) -> Result<Self, String> {
        let sandbox = Self {
            method,
            parts: parts.clone(),
        };
        let io = |error: std::io::Error| error.to_string();
        let secret = parts.state_dir.join("probe-secret");
        fs::write(&secret, "secret").map_err(io)?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(io)?;
        let port = listener.local_addr().map_err(io)?.port();
        let code = PROBE_PROGRAM
            .replace("SECRET", &format!("{:?}", secret.to_string_lossy()))
            .replace("PORT", &port.to_string());
        let (_trigger, shutdown) = Shutdown::new();
        let request = Request {
            code: code.as_bytes(),
            slot: 0,
            limits: Limits {
                timeout: Duration::from_secs(60),
                memory_bytes: 1 << 30,
                output_bytes: 1 << 16,
                disk_bytes: 1 << 24,
                processes: 64,
            },
        };
        let run = Runner::new(sandbox.clone()).run(&request, &shutdown);
        let _ = fs::remove_file(&secret);
        let run = run.map_err(|error| crate::launch::chain(&error))?;
        match run.end {
            End::Exited(0) if run.stdout == b"contained\n" => Ok(sandbox),
            End::Sandbox(reason) => Err(reason),
            end => Err(format!(
                "the probe ended with {end:?}: {}",
                String::from_utf8_lossy(&run.stderr).trim().escape_debug()
            )),
        }
    }

    /// The command that runs the program in `run`, with pipes on all three streams. Closing its standard
    /// input ends the run.
    pub fn command(&self, run: &RunDir, mark: &str, request: &Request<'_>) -> Command {
        let view = self.view(run);
        let mut inner: Vec<OsString> = match &self.method {
            Method::Bubblewrap(binary) => {
                let mut inner = vec![binary.into()];
                inner.extend(self.bubblewrap_arguments(run, request.limits.disk_bytes));
                inner.push("--".into());
                inner.push(format!("{INSIDE}/agent").into());
                inner
            }
            Method::Landlock => vec![self.parts.launcher.clone().into()],
        };
        let confinement = self.confinement(run, &view.work, mark, request);
        inner.extend(["launch", "confine", "--spec"].map(OsString::from));
        // Only a path that is no UTF-8 has no JSON form; `confine` refuses the empty text, and says so.
        inner.push(
            serde_json::to_string(&confinement)
                .unwrap_or_default()
                .into(),
        );
        inner.push("--".into());
        inner.push(self.parts.interpreter.executable.clone().into());
        inner.extend(["-u", "-B"].map(OsString::from));
        inner.push(view.work.join(PROGRAM_FILE).into());
        let mut command = Command::new(&self.parts.launcher);
        command
            .args(["launch", "supervise", "--"])
            .args(inner)
            .env_clear()
            .envs(self.environment(&view, request.slot))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A terminal's Ctrl-C must reach the agent only.
            .process_group(0);
        command
    }

    fn view(&self, run: &RunDir) -> View {
        match self.method {
            Method::Bubblewrap(_) => View {
                work: PROGRAM_FOLDER.into(),
                tmp: "/tmp".into(),
                python: Path::new(INSIDE).join("python"),
                datasets: Path::new(INSIDE).join("datasets"),
            },
            Method::Landlock => View {
                work: run.work(),
                tmp: run.tmp(),
                python: self.parts.python_path.clone(),
                datasets: self.parts.datasets(),
            },
        }
    }

    /// All a program gets to know. Nothing of the agent's own environment is in it.
    fn environment(&self, view: &View, slot: usize) -> Vec<(&'static str, OsString)> {
        let mut path = OsString::new();
        if let Some(folder) = self.parts.interpreter.executable.parent() {
            path.push(folder);
            path.push(":");
        }
        path.push("/usr/local/bin:/usr/bin:/bin:/opt/aws/neuron/bin");
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (processors / self.parts.slots).max(1).to_string();
        vec![
            ("PATH", path),
            ("HOME", view.work.clone().into()),
            ("TMPDIR", view.tmp.clone().into()),
            ("LANG", "C.UTF-8".into()),
            ("PYTHONPATH", view.python.clone().into()),
            ("PYTHONUNBUFFERED", "1".into()),
            ("PYTHONDONTWRITEBYTECODE", "1".into()),
            ("PYTHONNOUSERSITE", "1".into()),
            ("DATASETS_DIR", view.datasets.clone().into()),
            ("MPLBACKEND", "Agg".into()),
            ("MPLCONFIGDIR", view.tmp.join("matplotlib").into()),
            ("OMP_NUM_THREADS", threads.into()),
            ("NEURON_RT_VISIBLE_CORES", slot.to_string().into()),
            (
                "NEURON_COMPILE_CACHE_URL",
                view.tmp.join("neuron-compile-cache").into(),
            ),
        ]
    }

    fn confinement(
        &self,
        run: &RunDir,
        folder: &Path,
        mark: &str,
        request: &Request<'_>,
    ) -> Confinement {
        let limits = &request.limits;
        let processors =
            std::thread::available_parallelism().map_or(1, |number| number.get() as u64);
        let landlock = (self.method == Method::Landlock).then(|| self.landlock_paths(run));
        // The kernel counts a user's tasks, not a program's: other programs share the run-as user, and the
        // agent's own user has tasks of its own. A user namespace starts at none.
        let shared = match (self.parts.run_as, &self.method) {
            (Some(_), _) => limits.processes * (self.parts.slots as u64 - 1),
            (None, Method::Landlock) => processes::tasks_of_this_user(),
            (None, Method::Bubblewrap(_)) => 0,
        };
        Confinement {
            mark: mark.to_owned(),
            folder: folder.to_owned(),
            cpu_secs: limits.timeout.as_secs() * processors + 10,
            file_bytes: limits.disk_bytes,
            processes: limits.processes + shared,
            run_as: self.parts.run_as.map(|user| (user.user, user.group)),
            landlock,
        }
    }

    fn landlock_paths(&self, run: &RunDir) -> LandlockPaths {
        let parts = &self.parts;
        let mut read: Vec<PathBuf> = [&SYSTEM[..], &ETC, &KERNEL]
            .concat()
            .into_iter()
            .map(PathBuf::from)
            .collect();
        read.extend(parts.interpreter.paths_outside(&SYSTEM));
        read.extend([parts.python_path.clone(), parts.datasets()]);
        let mut write: Vec<PathBuf> = DEVICES.map(PathBuf::from).to_vec();
        write.extend([run.work(), run.tmp()]);
        if !parts.neuron_devices.is_empty() {
            read.extend(["/sys", "/opt/aws"].map(PathBuf::from));
            write.extend(parts.neuron_devices.iter().cloned());
        }
        LandlockPaths { read, write }
    }

    fn bubblewrap_arguments(&self, run: &RunDir, shm_bytes: u64) -> Vec<OsString> {
        let parts = &self.parts;
        let mut mounts = Mounts::default();
        mounts.words("--die-with-parent --new-session --unshare-ipc --unshare-pid --unshare-net");
        mounts.words("--unshare-uts --unshare-cgroup-try --hostname sandbox");
        if parts.run_as.is_some() {
            // Root makes the mounts; the program's user is taken on inside, which needs these two.
            mounts.words("--cap-drop ALL --cap-add CAP_SETUID --cap-add CAP_SETGID");
        } else {
            mounts.words(&format!("--unshare-user --uid {NOBODY} --gid {NOBODY}"));
        }
        for folder in SYSTEM {
            mounts.system(folder);
        }
        for path in ETC {
            mounts.read_only(path.as_ref(), path.as_ref());
        }
        for path in parts.interpreter.paths_outside(&SYSTEM) {
            mounts.read_only(&path, &path);
        }
        mounts.hide(&parts.state_dir);
        mounts.words("--proc /proc --dev /dev --perms 1777 --size");
        mounts.words(&shm_bytes.to_string());
        mounts.words("--tmpfs /dev/shm");
        mounts.neuron(&parts.neuron_devices);
        mounts.words("--remount-ro /dev");
        let inside = Path::new(INSIDE);
        mounts.read_only(&parts.launcher, &inside.join("agent"));
        mounts.read_only(&parts.python_path, &inside.join("python"));
        mounts.read_only(&parts.datasets(), &inside.join("datasets"));
        mounts.pair("--bind", &run.work(), PROGRAM_FOLDER.as_ref());
        mounts.pair("--bind", &run.tmp(), "/tmp".as_ref());
        mounts.words("--chdir / --remount-ro /");
        mounts.arguments
    }
}

/// Where the program finds things.
struct View {
    work: PathBuf,
    tmp: PathBuf,
    python: PathBuf,
    datasets: PathBuf,
}

/// bubblewrap's arguments, in the order in which it acts on them.
#[derive(Default)]
struct Mounts {
    arguments: Vec<OsString>,
    made: Vec<PathBuf>,
    bound: Vec<PathBuf>,
}

impl Mounts {
    fn words(&mut self, words: &str) {
        self.arguments
            .extend(words.split_whitespace().map(OsString::from));
    }

    fn pair(&mut self, option: &str, from: &Path, to: &Path) {
        self.arguments.push(option.into());
        self.arguments.push(from.into());
        self.arguments.push(to.into());
    }

    /// A folder of the system, which on most distributions is a link into `/usr`.
    fn system(&mut self, folder: &str) {
        match fs::read_link(folder) {
            Ok(target) => self.pair("--symlink", &target, folder.as_ref()),
            Err(_) => self.read_only(folder.as_ref(), folder.as_ref()),
        }
    }

    /// Shows a file or folder that exists. bubblewrap would make missing parents closed to the program.
    fn read_only(&mut self, from: &Path, to: &Path) {
        if !from.exists() {
            return;
        }
        let mut parents: Vec<&Path> = to.ancestors().skip(1).collect();
        parents.reverse();
        for parent in parents.into_iter().skip(1) {
            let covered = self.bound.iter().any(|bound| parent.starts_with(bound));
            if !covered && !self.made.iter().any(|made| made == parent) {
                self.words("--perms 0755 --dir");
                self.arguments.push(parent.into());
                self.made.push(parent.to_owned());
            }
        }
        self.pair("--ro-bind", from, to);
        self.bound.push(to.to_owned());
    }

    /// Covers a folder that an earlier mount shows.
    fn hide(&mut self, folder: &Path) {
        if self.bound.iter().any(|bound| folder.starts_with(bound)) {
            self.arguments.push("--tmpfs".into());
            self.arguments.push(folder.into());
        }
    }

    fn neuron(&mut self, devices: &[PathBuf]) {
        if devices.is_empty() {
            self.read_only(
                "/sys/devices/system".as_ref(),
                "/sys/devices/system".as_ref(),
            );
            return;
        }
        for path in ["/sys", "/opt/aws"] {
            self.read_only(path.as_ref(), path.as_ref());
        }
        for device in devices {
            self.pair("--dev-bind", device, device);
        }
    }
}

/// Prints `contained` only when files, network and user are as they must be.
const PROBE_PROGRAM: &str = r#"
import os, socket, sys
if os.getuid() == 0:
    sys.exit("the program would run as root")
for path in (SECRET, "/etc/shadow", os.path.expanduser("~root/.bashrc")):
    try:
        open(path).read()
    except OSError:
        continue
    sys.exit("the program could read " + path)
for kind, act in ((socket.SOCK_STREAM, "connect"), (socket.SOCK_DGRAM, "connect")):
    try:
        link = socket.socket(socket.AF_INET, kind)
        address = ("127.0.0.1", PORT) if kind == socket.SOCK_STREAM else ("192.0.2.1", 53)
        link.connect(address)
    except OSError:
        continue
    sys.exit("the program could reach the network")
with open("written", "w") as file:
    file.write("x")
print("contained")
"#;

/// The first executable of that name on the agent's `PATH`.
fn find_in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// Reads `length` random bytes from the kernel as hexadecimal text.
///
/// # Errors
///
/// When `/dev/urandom` cannot be read.
pub fn random_hex(length: usize) -> std::io::Result<String> {
    let mut bytes = vec![0; length];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_made_once_and_readable() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        let mut mounts = Mounts::default();
        mounts.read_only(&deep, "/x/y/z".as_ref());
        mounts.read_only(&deep, "/x/y/w".as_ref());
        mounts.read_only(&deep, "/x/y/z/in".as_ref());
        mounts.read_only("/no/such/file".as_ref(), "/q/r".as_ref());
        let words: Vec<String> = mounts
            .arguments
            .iter()
            .map(|word| {
                word.to_string_lossy()
                    .replace(&*deep.to_string_lossy(), "D")
            })
            .collect();
        assert_eq!(
            words.join(" "),
            "--perms 0755 --dir /x --perms 0755 --dir /x/y --ro-bind D /x/y/z --ro-bind D /x/y/w \
             --ro-bind D /x/y/z/in"
        );
    }

    #[test]
    fn the_agents_state_is_hidden_where_a_prefix_would_show_it() {
        let mut mounts = Mounts::default();
        mounts.read_only("/usr".as_ref(), "/usr".as_ref());
        mounts.hide("/usr/share/state".as_ref());
        mounts.hide("/var/lib/state".as_ref());
        let shown = mounts.arguments.len();
        assert_eq!(
            mounts.arguments[shown - 2..],
            ["--tmpfs", "/usr/share/state"]
        );
    }

    #[test]
    fn a_refusal_gives_the_reason_of_each_method() {
        let refusal = NoSandbox(vec![
            ("bubblewrap", "`bwrap` is not installed".to_owned()),
            (
                "landlock",
                "this kernel does not enforce Landlock".to_owned(),
            ),
        ]);
        assert!(refusal.to_string().ends_with(
            "bubblewrap: `bwrap` is not installed; landlock: this kernel does not enforce Landlock"
        ));
    }
}
