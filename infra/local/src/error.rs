//! Why a part of the local environment could not be prepared, started or stopped.

use std::io;
use std::path::{Path, PathBuf};

/// One variant per thing a person can act on. Text that comes from other programs is in the `log`
/// fields only, unescaped: whoever prints it to a terminal escapes it.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// No interpreter fits.
    #[error("no Python {oldest} to {newest} with its venv module was found; tried {tried}")]
    NoPython {
        /// The oldest version that fits.
        oldest: String,
        /// The newest version that fits.
        newest: String,
        /// What was tried and what each answered.
        tried: String,
    },
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A program could not be started at all.
    #[error("cannot start {what} ({})", program.display())]
    Start {
        /// What it is for.
        what: String,
        /// Its path.
        program: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A program that was run to its end failed.
    #[error("{what} failed with {status}; it said:\n{log}")]
    Failed {
        /// What it was for.
        what: String,
        /// Its exit status.
        status: String,
        /// The end of what it printed.
        log: String,
    },
    /// A wait reached its limit.
    #[error("gave up waiting for {what} after {seconds} s{}", said(log))]
    Timeout {
        /// What was awaited.
        what: String,
        /// The limit.
        seconds: u64,
        /// The end of the log of what was awaited; may be empty.
        log: String,
    },
    /// A service ended while it was expected to run.
    #[error("{service} ended while starting; the end of {} says:\n{log}", path.display())]
    Ended {
        /// The service's name.
        service: String,
        /// Its log file.
        path: PathBuf,
        /// The end of that file.
        log: String,
    },
    /// A process survived even SIGKILL.
    #[error("{service} (process {pid}) does not end, not even by SIGKILL")]
    Unstoppable {
        /// The service's name.
        service: String,
        /// Its process id.
        pid: i32,
    },
    /// A file could not be downloaded.
    #[error("cannot download {file}: {why}")]
    Download {
        /// Which file or package.
        file: String,
        /// One line.
        why: String,
        /// The variable or setting that mends it.
        mend: String,
        /// All that the downloader said, when it was a program.
        log: Option<PathBuf>,
    },
    /// A downloaded archive cannot be unpacked.
    #[error("cannot unpack {}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// Why not.
        #[source]
        source: zip::result::ZipError,
    },
    /// OpenSearch refuses root, and the user it would run as cannot read its files.
    #[error("OpenSearch does not run as root, and other users may not enter {}", path.display())]
    Closed {
        /// The first folder that is closed to others.
        path: PathBuf,
    },
    /// Every port that was tried is taken.
    #[error("no free port between {first} and {last} on 127.0.0.1")]
    NoPort {
        /// First port tried.
        first: u16,
        /// Last port tried.
        last: u16,
    },
    /// Something that must be installed first is not there.
    #[error("{what} is not installed at {}", path.display())]
    Absent {
        /// What is missing.
        what: &'static str,
        /// Where it was looked for.
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
            Self::Timeout { .. } => Some("run the same command again: it goes on from here".to_owned()),
            Self::Unstoppable { pid, .. } => Some(format!(
                "it hangs in the kernel, usually on a file system: look at /proc/{pid}/stack"
            )),
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("free some disk space; the local environment needs 3 GB".to_owned())
            }
            Self::Archive { path, .. } => Some(format!("delete {} and run the same command again", path.display())),
            Self::Absent { .. } => Some("remove the folder `venv` above it and run the same command again, which installs it".to_owned()),
            Self::File { .. } | Self::Start { .. } | Self::Failed { .. } | Self::Ended { .. } | Self::NoPort { .. } => None,
        }
    }
}
