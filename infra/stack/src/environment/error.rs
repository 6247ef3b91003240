//! Why an environment's file cannot be used: which file, which line, what to write instead.

use std::path::{Path, PathBuf};

/// Why an environment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// No file of that name.
    #[error("no environment called `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The file is there but cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("cannot use {}:{line}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
        /// The known key nearest to an unknown one.
        nearest: Option<String>,
    },
    /// Values outside their ranges, all of them.
    #[error("cannot use {}:\n  {}", path.display(), problems.join("\n  "))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// One sentence each.
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
            nearest: nearest_key(&problem),
            problem,
        }
    }
}

/// Finds, in serde's "unknown field `x`, expected one of `a`, `b`", the expected key most like `x`.
fn nearest_key(problem: &str) -> Option<String> {
    let rest = problem.strip_prefix("unknown field ")?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    quoted
        .map(|known| (strsim::jaro_winkler(unknown, known), known))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known.to_owned())
}
