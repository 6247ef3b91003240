//! What we mean (L2): resources that belong together, with our defaults.
//!
//! A construct adds its resources to a template and returns handles; other resources arrive as
//! handles and never as ARN strings. Logical ids come from a construct's id and from nothing else.

pub mod alarm;
pub mod bucket;
pub mod function;
pub mod limits;
pub mod machine;
pub mod permissions;
pub mod queue;
pub mod schedule;
pub mod search;
pub mod state_machine;
