//! Each rule, or a few of one kind, in a file.

pub(crate) mod data;
pub(crate) mod device;
pub(crate) mod endless;
pub(crate) mod evaluation;
pub(crate) mod imports;
pub(crate) mod metrics;
pub(crate) mod names;
pub(crate) mod outside;
pub(crate) mod size;
pub(crate) mod training;
pub(crate) mod xla;
