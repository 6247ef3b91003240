//! Sets made of small files in their publishers' formats, and of what is no such file.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod files;
mod hostile;
mod own;
mod publishers;
mod support;
