//! Why a part of the local environment could not be prepared, started or stopped.

use std::io;
use std::path::{Path, PathBuf};

use annapurna_users::ClaimError;

/// What a person can do about a full disk; the same sizes are in `docs/local.md`.
pub(crate) const DISK_FULL: &str =
    "free some disk space: the local environment takes about 1 GB, torch another 0.8 GB";

/// One variant per thing a person can act on. Text that comes from other programs is in the `log`
/// fields only, unescaped: whoever prints it to a terminal escapes it.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The emulator and Java come as Python packages, and no interpreter here can install them.
    #[error("no Python {oldest} to {newest} with its venv module was found; tried {tried}")]
    NoPython {
        /// The oldest version that fits, such as `3.10`.
        oldest: String,
        /// The newest version that fits, such as `3.14`.
        newest: String,
        /// Each program that was tried, with its version or why it has none.
        tried: String,
    },
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// A verb that goes before the path, such as `read`.
        action: &'static str,
        /// As it was used, so absolute.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// A program could not be started at all.
    #[error("cannot start {what} ({})", program.display())]
    Start {
        /// A service's name, or what the program was to do.
        what: String,
        /// As it was started: a path, or a name to be found on `PATH`.
        program: PathBuf,
        /// The system's own words; `NotFound` also when its interpreter is missing.
        #[source]
        source: io::Error,
    },
    /// A program that was run to its end failed.
    #[error("{what} failed with {status}; it said:\n{log}")]
    Failed {
        /// What the program was to do.
        what: String,
        /// Such as `exit status: 1` or `signal: 9 (SIGKILL)`.
        status: String,
        /// The last lines of what it printed to both of its outputs.
        log: String,
    },
    /// A wait reached its limit.
    #[error("gave up waiting for {what} after {seconds} s{}", said(log))]
    Timeout {
        /// Such as `the first answer of emulator`.
        what: String,
        /// The limit that was reached.
        seconds: u64,
        /// The last lines of the log of what was awaited; may be empty.
        log: String,
    },
    /// A service ended while it was expected to run.
    #[error("{service} ended while starting; the end of {} says:\n{log}", path.display())]
    Ended {
        /// As in `run` and `logs`.
        service: String,
        /// The log file, for who wants to read more.
        path: PathBuf,
        /// The last lines of that file.
        log: String,
    },
    /// A process survived even SIGKILL.
    #[error("{service} (process {pid}) does not end, not even by SIGKILL")]
    Unstoppable {
        /// As in `run` and `logs`.
        service: String,
        /// Process id of the leader of its session; a child of it may be the one that stays.
        pid: i32,
    },
    /// A file could not be downloaded.
    #[error("cannot download {file}: {why}")]
    Download {
        /// As the downloader calls it: a file, or a package with its version.
        file: String,
        /// One line without the downloader's traceback.
        why: String,
        /// The variable or setting that mends it, as the first half of a hint.
        mend: String,
        /// All that the downloader said; `None` when it was no program of its own.
        log: Option<PathBuf>,
    },
    /// A downloaded archive cannot be unpacked.
    #[error("cannot unpack {}", path.display())]
    Archive {
        /// A file in `downloads`, whose digest was right.
        path: PathBuf,
        /// What is wrong inside.
        #[source]
        source: zip::result::ZipError,
    },
    /// OpenSearch refuses root, and the user it would run as cannot read its files.
    #[error("OpenSearch does not run as root, and other users may not enter {}", path.display())]
    Closed {
        /// The first folder that is closed to others.
        path: PathBuf,
    },
    /// Others have every user that OpenSearch could run as, or users cannot be claimed.
    #[error("OpenSearch gets no user of its own")]
    NoUser(#[source] ClaimError),
    /// Every port that was tried is taken.
    #[error("no free port between {first} and {last} on 127.0.0.1")]
    NoPort {
        /// The range's first port; each in it was tried.
        first: u16,
        /// The range's last port.
        last: u16,
    },
    /// Something that must be installed first is not there.
    #[error("{what} is not installed at {}", path.display())]
    Absent {
        /// A part of the virtual environment, such as `the Java runtime`.
        what: &'static str,
        /// The file of it that was looked for.
        path: PathBuf,
    },
}

fn said(log: &str) -> String {
    if log.is_empty() {
        String::new()
    } else {
        format!("; its log ends with:\n{log}")
    }
}

impl LocalError {
    /// Wraps a file error with what was attempted, as a verb.
    pub fn file(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }

    /// The one next step worth trying, when there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoPython { .. } => Some(
                "install Python with its venv module (Debian, Ubuntu: `apt-get install python3 python3-venv`; \
                 macOS: `brew install python`)"
                    .to_owned(),
            ),
            Self::Download { mend, log, .. } => Some(match log {
                Some(log) => format!(
                    "{mend}; then run the same command again: it goes on from here. All that was said is in {}",
                    log.display()
                ),
                None => format!("{mend}; then run the same command again"),
            }),
            Self::Closed { .. } => Some(
                "run as an ordinary user, or move the repository to a folder that every user may enter, such \
                 as /srv"
                    .to_owned(),
            ),
            Self::NoUser(ClaimError::Exhausted { .. }) => Some(
                "end servers of other environments (`cargo infra destroy local` in their folders) and test runs, or run \
                 as an ordinary user"
                    .to_owned(),
            ),
            Self::NoUser(ClaimError::Locks { .. }) => None,
            Self::Timeout { .. } => Some("run the same command again: it goes on from here".to_owned()),
            Self::Unstoppable { pid, .. } => Some(format!(
                "it hangs in the kernel, usually on a file system: look at /proc/{pid}/stack"
            )),
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some(DISK_FULL.to_owned())
            }
            Self::Archive { path, .. } => Some(format!("delete {} and run the same command again", path.display())),
            Self::Absent { .. } => Some("remove the folder `venv` above it and run the same command again, which installs it".to_owned()),
            Self::File { .. } | Self::Start { .. } | Self::Failed { .. } | Self::Ended { .. } | Self::NoPort { .. } => None,
        }
    }
}
