//! How a program is kept from everything that is not its own.
//!
//! Two methods, tried in this order and only used after a probe has shown that they hold on this machine:
//!
//! - bubblewrap: own mount, process, network and IPC namespaces. The program sees the system read-only, its
//!   own folder, and nothing of anyone's home, of the agent's state or of other programs. As root the
//!   sandbox is made by root and the program becomes its slot's user inside; otherwise it is made in a
//!   user namespace.
//! - Landlock, where bubblewrap is missing or not allowed: the same files by the kernel's own access
//!   control, no TCP, no signals to others (as far as the kernel has them), and by a system call filter no
//!   sockets but local ones and nothing of System V or POSIX that outlives the program. `/dev/shm` is closed, so data loaders with worker processes fail there.
//!
//! When neither holds, programs are refused; there is no way to run one unconfined.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use annapurna_contract::{Backend, Isolation};

use crate::launch::{Confinement, LandlockPaths};
use crate::mark::Mark;
use crate::mounts::Mounts;
use crate::program::{DRY_RUN_VARIABLES, PROGRAM_FILE, Request};
use crate::python::Interpreter;
use crate::run_dir::RunFiles;
use crate::users::ProgramUsers;

/// Where the agent's own files are inside bubblewrap's root.
const INSIDE: &str = "/run/annapurna";
/// The program's folder inside bubblewrap's root.
const PROGRAM_FOLDER: &str = "/program";
/// The unmapped user, as which programs run in a user namespace.
const NOBODY: &str = "65534";
/// Tasks that others of the agent's own user may start while a program runs, where the two share it. The
/// program's own number is held by measuring it.
const ROOM_FOR_OTHERS: u64 = 1024;
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
/// Devices that keep nothing and that Python and PyTorch open.
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

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
    pub fn isolation(&self) -> Isolation {
        match self {
            Self::Bubblewrap(_) => Isolation::Bubblewrap,
            Self::Landlock => Isolation::Landlock,
        }
    }
}

/// What every run's sandbox is made from.
#[derive(Debug, Clone)]
pub struct Parts {
    /// This binary, which is also the launcher (see [`crate::launch`]).
    pub launcher: PathBuf,
    /// The interpreter of the programs.
    pub interpreter: Interpreter,
    /// Folder with `dataset_loader.py`, which programs import; read-only for them.
    pub python_path: PathBuf,
    /// The agent's folder; hidden from programs but for the run's own and the data sets.
    pub state_dir: PathBuf,
    /// Users to become, one a slot, when the agent is root.
    pub users: Arc<ProgramUsers>,
    /// What programs train on.
    pub backend: Backend,
    /// Device nodes that programs open: `/dev/neuron0`, GPUs; empty where there is only a processor.
    pub devices: Vec<PathBuf>,
    /// Programs at a time, among whom the processors are divided; at least 1.
    pub slots: usize,
}

impl Parts {
    /// The folder of prepared data sets, which every program may read.
    pub fn datasets(&self) -> PathBuf {
        self.state_dir.join("datasets")
    }

    pub(crate) fn runs(&self) -> PathBuf {
        self.state_dir.join("runs")
    }
}

/// A sandbox that can be made.
#[derive(Debug, Clone)]
pub struct Sandbox {
    method: Method,
    parts: Parts,
}

impl Sandbox {
    /// A sandbox that has not shown yet that it holds; [`crate::probe`] has it show that.
    pub(crate) fn unproven(method: Method, parts: Parts) -> Self {
        Self { method, parts }
    }

    /// The method that was proven to hold here.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// What every run's sandbox is made from.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The same without any device but the processor, for dry runs.
    pub(crate) fn without_devices(&self) -> Self {
        let mut without = self.clone();
        without.parts.devices.clear();
        without.parts.backend = Backend::Cpu;
        without
    }

    /// The command that runs the program in `run`, with pipes on all three streams. Closing its standard
    /// input ends the run.
    ///
    /// # Errors
    ///
    /// When a folder of the agent has a name that is no UTF-8, which the confinement cannot carry.
    pub(crate) fn command(
        &self,
        run: &RunFiles,
        mark: &Mark,
        request: &Request<'_>,
    ) -> serde_json::Result<Command> {
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
        inner.push(serde_json::to_string(&confinement)?.into());
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
            .envs(DRY_RUN_VARIABLES.into_iter().filter(|_| request.dry_run))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A terminal's Ctrl-C must reach the agent only.
            .process_group(0);
        Ok(command)
    }

    fn view(&self, run: &RunFiles) -> View {
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
        let mut variables = vec![
            ("PATH", path),
            ("HOME", view.work.clone().into()),
            // There is no account to look a name up in, and `getpass` and torch's compiler ask for one.
            ("USER", "program".into()),
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
        ];
        // Which of its devices PyTorch/XLA takes. Source: Neuron documentation, "PyTorch NeuronX environment variables".
        let xla = match self.parts.backend {
            Backend::Xla => Some("NEURON"),
            Backend::Cpu => Some("CPU"),
            Backend::TorchNeuron | Backend::Cuda | Backend::Auto => None,
        };
        variables.extend(xla.map(|device| ("PJRT_DEVICE", device.into())));
        variables
    }

    fn confinement(
        &self,
        run: &RunFiles,
        folder: &Path,
        mark: &Mark,
        request: &Request<'_>,
    ) -> Confinement {
        let limits = &request.limits;
        let processors =
            std::thread::available_parallelism().map_or(1, |number| number.get() as u64);
        let landlock = (self.method == Method::Landlock).then(|| self.landlock_paths(run));
        let user = self.parts.users.of_slot(request.slot);
        // The kernel counts a user's tasks, not a program's. A user of the slot's own and a user namespace
        // start at none; the agent's own user has tasks of its own, and may start more.
        let shared = match (user, &self.method) {
            (Some(_), _) | (None, Method::Bubblewrap(_)) => 0,
            (None, Method::Landlock) => {
                annapurna_users::tasks_of(nix::unistd::getuid().as_raw()) + ROOM_FOR_OTHERS
            }
        };
        Confinement {
            mark: mark.as_str().to_owned(),
            folder: folder.to_owned(),
            cpu_secs: limits.timeout.as_secs() * processors + 10,
            file_bytes: limits.disk_bytes,
            processes: limits.processes + shared,
            run_as: user.map(|user| user.0),
            landlock,
        }
    }

    fn landlock_paths(&self, run: &RunFiles) -> LandlockPaths {
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
        if !parts.devices.is_empty() {
            read.extend(["/sys", "/opt/aws"].map(PathBuf::from));
            write.extend(parts.devices.iter().cloned());
        }
        LandlockPaths { read, write }
    }

    fn bubblewrap_arguments(&self, run: &RunFiles, shm_bytes: u64) -> Vec<OsString> {
        let parts = &self.parts;
        let mut mounts = Mounts::default();
        mounts.words("--die-with-parent --new-session --unshare-ipc --unshare-pid --unshare-net");
        mounts.words("--unshare-uts --unshare-cgroup-try --hostname sandbox");
        if parts.users.are_claimed() {
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
        mounts.devices(&parts.devices);
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
