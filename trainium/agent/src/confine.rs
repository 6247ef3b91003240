//! The first process inside of a sandbox: makes the program's files, gives everything up, starts the program, and says
//! how it ended.
//!
//! As process 1 of its PID namespace it cannot be signalled from inside, and when it exits the kernel ends everything
//! that the program has left. It is not dumpable, and where the agent is root it is another user than the program, so
//! the program can neither read nor change it. What it says goes over the control socket, which the program does not
//! have (see [`crate::control`]).

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use annapurna_contract::text::chain;
use landlock::{
    ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope, path_beneath_rules,
};
use nix::sys::resource::{Resource, setrlimit};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, mount, mount_bind};
use rustix::process::{
    DumpableBehavior, Signal, WaitOptions, set_dumpable_behavior, set_parent_process_death_signal,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};

use crate::compile_cache;
use crate::control::{self, Said};
use crate::launch::{Confinement, InSandbox};
use crate::run_dir::{TMP, WORK};
use crate::seccomp::{self, FilterError};

/// The newest Landlock interface we ask for; an older kernel gives what it has.
const LANDLOCK_ABI: ABI = ABI::V6;
/// What may be written of devices: bubblewrap shows only those that keep nothing.
const DEVICES: &str = "/dev";
const SHARED_MEMORY: &str = "/dev/shm";

/// Why the program was not started.
#[derive(Debug, thiserror::Error)]
enum ConfineError {
    #[error("the agent says nothing that can be understood")]
    Told(#[source] io::Error),
    #[error("cannot {what}")]
    System {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot mount {}", at.display())]
    Mount {
        at: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error("cannot apply Landlock")]
    Landlock(#[from] landlock::RulesetError),
    #[error("cannot start {}", .program.display())]
    Start {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
}

fn system<E: Into<io::Error>>(what: &'static str) -> impl Fn(E) -> ConfineError {
    move |source| ConfineError::System {
        what,
        source: source.into(),
    }
}

/// Does all of it. Whatever happens is said to the agent; one that is gone does not need to know.
pub(crate) fn run() -> ExitCode {
    let socket = io::stdin().as_fd().try_clone_to_owned();
    let Ok(socket) = socket.map(UnixStream::from) else {
        return ExitCode::FAILURE;
    };
    let said = match begin(&socket) {
        Ok(child) => wait_for(&child),
        Err(error) => Said::Failed(chain(&error)),
    };
    match control::say(&socket, &said, None) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn begin(socket: &UnixStream) -> Result<Child, ConfineError> {
    let (spec, code) = control::take_over(socket).map_err(ConfineError::Told)?;
    // Best effort: the kernel should end the program before anything of ours when memory runs out.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let files = match &spec.sandbox {
        None => write_source(&spec, &spec.folder, &code).map(|()| None)?,
        Some(inside) => Some(make_files(&spec, inside, &code)?),
    };
    set_limits(&spec)?;
    if let Some(inside) = &spec.sandbox {
        give_up(&spec, inside)?;
    }
    let child = start(&spec)?;
    if spec.sandbox.is_some() {
        hold(CapabilitySet::empty())?;
    }
    let files = files.as_ref().map(|files| files.as_fd());
    control::say(socket, &Said::Started, files).map_err(system("tell the agent"))?;
    Ok(child)
}

/// Mounts the program's files, all of one size, and gives the directory that holds them.
fn make_files(
    spec: &Confinement,
    inside: &InSandbox,
    code: &[u8],
) -> Result<OwnedFd, ConfineError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(system("end with the sandbox"))?;
    memory_files(
        SHARED_MEMORY.as_ref(),
        inside.shm_bytes,
        inside.file_count,
        0o1777,
    )?;
    let top = &spec.folder;
    memory_files(top, inside.file_bytes, inside.file_count, 0o711)?;
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let files = rustix::fs::open(top, flags, Mode::empty()).map_err(system("open the files"))?;
    let (work, tmp) = (top.join(WORK), top.join(TMP));
    for folder in [&work, &tmp] {
        fs::create_dir(folder).map_err(system("make a folder"))?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .map_err(system("close a folder"))?;
    }
    write_source(spec, &work, code)?;
    if !inside.compiled.is_empty() {
        let cache = tmp.join(compile_cache::FOLDER);
        compile_cache::begin_with(&inside.compiled, &cache, spec.run_as);
    }
    if spec.run_as.is_some() {
        for folder in [&work, &tmp] {
            chown(folder, spec.run_as, spec.run_as).map_err(system("give a folder away"))?;
        }
    }
    // The second covers the top, which nothing inside can reach any more.
    for (from, to) in [(&tmp, &spec.tmp), (&work, top)] {
        mount_bind(from, to).map_err(|source| ConfineError::Mount {
            at: to.clone(),
            source: source.into(),
        })?;
    }
    Ok(files)
}

/// A file system in memory, which the run's control group pays for.
fn memory_files(at: &Path, bytes: u64, count: u64, mode: u32) -> Result<(), ConfineError> {
    let options = format!("size={bytes},nr_inodes={count},mode={mode:o}");
    let options = CString::new(options).map_err(system("name the size of a mount"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", at, "tmpfs", flags, Some(options.as_c_str())).map_err(|source| {
        ConfineError::Mount {
            at: at.to_owned(),
            source: source.into(),
        }
    })
}

fn write_source(spec: &Confinement, folder: &Path, code: &[u8]) -> Result<(), ConfineError> {
    fs::write(folder.join(&spec.source), code).map_err(system("write the program"))
}

fn set_limits(spec: &Confinement) -> Result<(), ConfineError> {
    let limits = [
        ("limit core dumps", Resource::RLIMIT_CORE, 0),
        ("limit processor time", Resource::RLIMIT_CPU, spec.cpu_secs),
    ];
    let processes = spec
        .processes
        .map(|most| ("limit processes", Resource::RLIMIT_NPROC, most));
    for (what, resource, value) in limits.into_iter().chain(processes) {
        setrlimit(resource, value, value).map_err(system(what))?;
    }
    Ok(())
}

/// Everything but what makes the program's user of root.
fn give_up(spec: &Confinement, inside: &InSandbox) -> Result<(), ConfineError> {
    for capability in CapabilitySet::all().iter() {
        match remove_capability_from_bounding_set(capability) {
            // An older kernel knows fewer.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(system("bound capabilities")(error)),
        }
    }
    hold(match spec.run_as {
        Some(_) => CapabilitySet::SETUID | CapabilitySet::SETGID,
        None => CapabilitySet::empty(),
    })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(system("close this process"))?;
    set_no_new_privs(true).map_err(system("renounce new privileges"))?;
    restrict_writing(spec, inside)?;
    seccomp::apply()?;
    Ok(())
}

/// Keeps these capabilities and none that a program could inherit.
fn hold(capabilities: CapabilitySet) -> Result<(), ConfineError> {
    let sets = CapabilitySets {
        effective: capabilities,
        permitted: capabilities,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).map_err(system("give up capabilities"))
}

/// Landlock on top of the mounts: only the program's own files can be written. A kernel without it changes nothing.
fn restrict_writing(spec: &Confinement, inside: &InSandbox) -> Result<(), ConfineError> {
    let write = AccessFs::from_write(LANDLOCK_ABI);
    let own = write & !(AccessFs::MakeChar | AccessFs::MakeBlock);
    let folders = [spec.folder.as_path(), &spec.tmp, SHARED_MEMORY.as_ref()];
    let devices = inside.devices.iter().map(PathBuf::as_path);
    let devices: Vec<&Path> = devices.chain([DEVICES.as_ref()]).collect();
    let node = AccessFs::WriteFile | AccessFs::IoctlDev | AccessFs::Truncate;
    Ruleset::default()
        .handle_access(write)?
        .scope(Scope::from_all(LANDLOCK_ABI))?
        .create()?
        .add_rules(path_beneath_rules(folders, own))?
        .add_rules(path_beneath_rules(devices, node))?
        .restrict_self()?;
    Ok(())
}

fn start(spec: &Confinement) -> Result<Child, ConfineError> {
    let (program, arguments) = spec
        .command
        .split_first()
        .ok_or_else(|| ConfineError::Told(io::Error::other("no command")))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(&spec.folder)
        .stdin(Stdio::null());
    if let Some(user) = spec.run_as {
        // This also gives up every other group.
        command.uid(user).gid(user);
    }
    command.spawn().map_err(|source| ConfineError::Start {
        program: program.clone(),
        source,
    })
}

/// Adopts and forgets what the program left until the program itself ends.
fn wait_for(child: &Child) -> Said {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status)))
                if u32::try_from(pid.as_raw_nonzero().get()) == Ok(child.id()) =>
            {
                if let Some(code) = status.exit_status() {
                    return Said::Exited(code);
                }
                if let Some(signal) = status.terminating_signal() {
                    return Said::Signalled(signal);
                }
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Said::Failed(format!("cannot wait for the program: {error}")),
        }
    }
}
