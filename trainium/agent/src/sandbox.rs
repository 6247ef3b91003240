//! How a program is kept from everything that is not its own.
//!
//! One method, used only after a probe has shown that it holds on this machine: bubblewrap, in a control group of the
//! run's own (see [`annapurna_confinement`]). The program sees the system read-only, its own files, and nothing of anyone's home,
//! of the agent's state or of other programs; it has mount, process, network and IPC namespaces of its own. As root the
//! sandbox is made by root and the program becomes its slot's user inside; otherwise it is made in a user namespace. A
//! system call filter and Landlock are layers on top (see [`crate::confine`]).
//!
//! When it does not hold, programs are refused, unless the settings say that nothing shall confine them.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use annapurna_confinement::{Group, Groups, namespaces};
use annapurna_contract::{Backend, Isolation};

use crate::compile_cache::{self, CompileCache};
use crate::launch::{Confinement, InSandbox};
use crate::measured::{MEASURED_FILE, MEASURED_VARIABLE};
use crate::mounts::Mounts;
use crate::program::{DRY_RUN_VARIABLES, PROGRAM_FILE, Request};
use crate::python::Interpreter;
use crate::run_dir::{RunFolder, TMP, WORK};
use crate::users::ProgramUsers;

/// Where the agent's own files are inside bubblewrap's root.
const INSIDE: &str = "/run/annapurna";
/// The program's folder inside bubblewrap's root.
const PROGRAM_FOLDER: &str = "/program";
/// Files and folders that a program may have; each takes about a kilobyte of its memory.
const FILE_COUNT: u64 = 100_000;
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
/// What confines programs.
#[derive(Debug, Clone)]
pub enum Method {
    /// Namespaces, made by this binary, in control groups of this place.
    Bubblewrap(PathBuf, Groups),
    /// Nothing, because the settings say so.
    Unconfined,
}

impl Method {
    /// The word in results, in `/health` and in `check`.
    pub fn isolation(&self) -> Isolation {
        match self {
            Self::Bubblewrap(..) => Isolation::Bubblewrap,
            Self::Unconfined => Isolation::NotConfined,
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

    /// What programs compiled for a Neuron device.
    pub(crate) fn compile_cache(&self) -> Option<CompileCache> {
        let cache = || CompileCache::below(&self.state_dir, self.runs(), self.backend);
        self.backend.is_neuron().then(cache)
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

    /// The command that runs a program, with pipes on its two streams and the control socket as standard input. It is
    /// in `group`, or without a sandbox in `folder`.
    pub(crate) fn command(
        &self,
        group: Option<&Group>,
        folder: Option<&RunFolder>,
        control: OwnedFd,
        request: &Request<'_>,
    ) -> Command {
        let mut command = Command::new(&self.parts.launcher);
        command.args(["launch", "supervise"]);
        if let Method::Bubblewrap(binary, groups) = &self.method {
            for file in group.map(Group::entrances).unwrap_or_default() {
                command.arg("--enter").arg(file);
            }
            for file in groups.exits() {
                command.arg("--leave").arg(file);
            }
            command.arg("--").arg(binary);
            command.args(self.bubblewrap_arguments(request)).arg("--");
            command.arg(format!("{INSIDE}/agent"));
        } else {
            command.arg("--").arg(&self.parts.launcher);
        }
        command
            .args(["launch", "confine"])
            .env_clear()
            .envs(self.environment(&View::of(&self.parts, folder), request.slot))
            .envs(DRY_RUN_VARIABLES.into_iter().filter(|_| request.dry_run))
            .current_dir("/")
            .stdin(Stdio::from(control))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A terminal's Ctrl-C must reach the agent only.
            .process_group(0);
        command
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
            (MEASURED_VARIABLE, view.work.join(MEASURED_FILE).into()),
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
                view.tmp.join(compile_cache::FOLDER).into(),
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

    /// What the launcher is told of a run.
    pub(crate) fn confinement(
        &self,
        folder: Option<&RunFolder>,
        request: &Request<'_>,
    ) -> Confinement {
        let limits = &request.limits;
        let processors =
            std::thread::available_parallelism().map_or(1, |number| number.get() as u64);
        let view = View::of(&self.parts, folder);
        let user = self.parts.users.of_slot(request.slot);
        let sandbox = folder.is_none().then(|| InSandbox {
            file_bytes: limits.disk_bytes,
            file_count: FILE_COUNT,
            shm_bytes: limits.memory_bytes,
            devices: self.parts.devices.clone(),
            compiled: self.compiled(request).map(|(_, inside)| inside).collect(),
        });
        let mut command = vec![self.parts.interpreter.executable.clone()];
        command.extend(["-u", "-B"].map(PathBuf::from));
        command.push(view.work.join(PROGRAM_FILE));
        Confinement {
            command,
            folder: view.work,
            tmp: view.tmp,
            source: PROGRAM_FILE.to_owned(),
            cpu_secs: limits.timeout.as_secs() * processors + 10,
            // The kernel counts a user's tasks: those of a slot's own user, or of a user namespace. Without a sandbox
            // and without root they are also the agent's and everybody's who is the same user.
            processes: match (&sandbox, user) {
                (None, None) => None,
                _ => Some(limits.processes),
            },
            run_as: user.map(|user| user.0),
            sandbox,
        }
    }

    /// The folders of graphs that a program begins with, and where each is inside bubblewrap's root.
    fn compiled(&self, request: &Request<'_>) -> impl Iterator<Item = (PathBuf, PathBuf)> {
        let cache = self.parts.compile_cache();
        let offered = cache.map(|cache| cache.offered(request.code));
        let below = Path::new(INSIDE).join("compiled");
        let inside = move |(at, folder): (usize, _)| (folder, below.join(at.to_string()));
        offered
            .unwrap_or_default()
            .into_iter()
            .enumerate()
            .map(inside)
    }

    fn bubblewrap_arguments(&self, request: &Request<'_>) -> Vec<OsString> {
        let parts = &self.parts;
        let mut mounts = Mounts::default();
        mounts.words("--as-pid-1");
        let namespaces = namespaces(parts.users.are_claimed());
        mounts
            .arguments
            .extend(namespaces.into_iter().map(OsString::from));
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
        // A program's own IPC namespace has settings that its user could change.
        mounts.words("--proc /proc --ro-bind /proc/sys /proc/sys");
        mounts.plain_devices();
        mounts.devices(&parts.devices);
        let inside = Path::new(INSIDE);
        mounts.read_only(&parts.launcher, &inside.join("agent"));
        mounts.read_only(&parts.python_path, &inside.join("python"));
        mounts.read_only(&parts.datasets(), &inside.join("datasets"));
        for (folder, inside) in self.compiled(request) {
            mounts.read_only(&folder, &inside);
        }
        mounts
            .words("--perms 0755 --dir /program --perms 0755 --dir /tmp --chdir / --remount-ro /");
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

impl View {
    fn of(parts: &Parts, folder: Option<&RunFolder>) -> Self {
        match folder {
            None => Self {
                work: PROGRAM_FOLDER.into(),
                tmp: "/tmp".into(),
                python: Path::new(INSIDE).join("python"),
                datasets: Path::new(INSIDE).join("datasets"),
            },
            Some(folder) => Self {
                work: folder.path().join(WORK),
                tmp: folder.path().join(TMP),
                python: parts.python_path.clone(),
                datasets: parts.datasets(),
            },
        }
    }
}
