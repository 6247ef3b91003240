//! What we mean (L2): resources that belong together, with our defaults.
//!
//! Each construct is a struct whose `add_to` adds its resources to the stack and returns a handle, where other
//! resources can refer to it. They arrive as handles and never as texts. Logical ids come from a construct's id
//! and from nothing else.

pub(crate) mod alarm;
pub(crate) mod bucket;
pub(crate) mod function;
pub(crate) mod grants;
pub mod limits;
pub(crate) mod queue;
pub(crate) mod role;
pub(crate) mod schedule;
pub(crate) mod search;
pub(crate) mod state_machine;
pub(crate) mod trainium_instances;
pub(crate) mod trainium_launch;
