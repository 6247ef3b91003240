//! What several tests need.

use std::fmt::Display;

/// True for a process that has not ended; one that nobody collected yet has.
pub(crate) fn lives(pid: impl Display) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}
