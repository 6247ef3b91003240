//! The sources: arXiv's API, and the lists of the conferences.

pub mod arxiv;
pub mod atom;
pub mod bibtex;
pub mod conference;
mod editions;
pub mod hosts;
mod html;
pub mod listed;
pub mod openreview;
pub mod pmlr;
pub mod proceedings;
mod titles;
pub mod virtual_feed;
pub mod virtual_pages;
