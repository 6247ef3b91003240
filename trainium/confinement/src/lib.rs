//! What a machine must have so that generated programs can be confined, asked for in one way by the agent, which runs
//! them, and by `infra`, which says before a long build whether an agent of this user could.
//!
//! In: this process's user, control groups and `PATH`. Out: [`look`] says what is missing and what mends it;
//! [`Groups`] gives each run a control group of its own; [`namespaces`] is how bubblewrap is asked for its own. Whether
//! all of it together holds is shown by a program that tries to get out, which is the agent's business. Nothing
//! here is changed but control groups.

mod bubblewrap;
mod cgroup;
mod look;
mod place;

pub use bubblewrap::{advice, find, namespaces};
pub use cgroup::{Group, GroupLimits, MemoryWatch, Usage};
pub use look::{NotConfined, look};
pub use place::{Groups, NoGroups, enter_own_scope};
