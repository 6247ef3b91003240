//! The sources: arXiv's API, and the lists of the conferences.

pub mod arxiv;
pub mod atom;
pub mod conference;
pub mod conference_feed;
pub mod hosts;
pub mod listed;
