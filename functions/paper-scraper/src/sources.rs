//! The sources: arXiv's API, and the conferences' virtual sites.

pub mod arxiv;
pub mod atom;
pub mod conference;
pub mod conference_feed;
