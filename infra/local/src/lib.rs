//! The local environment.
