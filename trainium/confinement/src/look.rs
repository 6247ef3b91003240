//! Whether an agent that this process started could confine programs, without one.

use crate::bubblewrap;
use crate::place::{self, NoGroups};

/// Why programs cannot be confined for this user of this machine.
#[derive(Debug, thiserror::Error)]
pub enum NotConfined {
    /// There is nothing that makes namespaces.
    #[error("`bwrap` is not installed")]
    NoBubblewrap,
    /// No run could have a control group of its own.
    #[error(transparent)]
    Groups(#[from] NoGroups),
    /// The kernel refuses the namespaces, in bubblewrap's words.
    #[error("bubblewrap cannot make a sandbox: {0}")]
    Namespaces(String),
}

impl NotConfined {
    /// What mends it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoBubblewrap => {
                "install bubblewrap (Debian, Ubuntu: `apt-get install bubblewrap`)"
            }
            Self::Groups(reason) => reason.hint(),
            Self::Namespaces(refusal) => {
                bubblewrap::advice(refusal).unwrap_or("mend what bubblewrap says")
            }
        }
    }
}

/// Looks at everything that the sandbox needs. Blocks for a moment, and leaves nothing behind.
///
/// # Errors
///
/// The first that is missing, the control groups before what can be installed.
pub fn look() -> Result<(), NotConfined> {
    place::look()?;
    let bwrap = bubblewrap::find().ok_or(NotConfined::NoBubblewrap)?;
    let by_root = nix::unistd::geteuid().is_root();
    bubblewrap::try_namespaces(&bwrap, by_root).map_err(NotConfined::Namespaces)
}
