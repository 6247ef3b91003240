//! Why an environment's file cannot be used: which file, which line, what to write instead.

use std::path::{Path, PathBuf};

use annapurna_contract::nearest_known;

/// Why an environment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The folder has no file of that name.
    #[error("no environment called `{name}`")]
    Unknown {
        /// The name as the person typed it.
        name: String,
        /// The names that would do, sorted.
        known: Vec<String>,
    },
    /// The file is there but cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Path of the environment's file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("cannot use {}:{line}: {problem}", path.display())]
    Malformed {
        /// Path of the environment's file.
        path: PathBuf,
        /// Line of the first thing that is wrong, from 1.
        line: usize,
        /// What is wrong, in the words of the TOML reader.
        problem: String,
        /// The known key nearest to an unknown one.
        nearest: Option<String>,
    },
    /// Values outside their ranges, all of them.
    #[error("cannot use {}:\n  {}", path.display(), problems.join("\n  "))]
    Invalid {
        /// Path of the environment's file.
        path: PathBuf,
        /// One sentence each: key, what it must be, what it is.
        problems: Vec<String>,
    },
}

impl EnvironmentError {
    pub(super) fn malformed(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let problem = error.message().to_owned();
        Self::Malformed {
            path: path.to_owned(),
            line: text[..start].matches('\n').count() + 1,
            nearest: nearest_known(&problem).map(str::to_owned),
            problem,
        }
    }
}
