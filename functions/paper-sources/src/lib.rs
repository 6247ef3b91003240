//! What arXiv and the conferences' sites have: lists of papers, their pages and their PDFs.
//!
//! In: a source, a year or a query, and the addresses of the sites. Out: [`paper::Paper`]s in the order
//! of a list, and PDFs. [`sources`] knows the sites, [`http`] alone talks to them. There is deliberately
//! no AWS here and no judgement of a paper, and no text of a paper ever becomes a host or a path.

pub mod http;
pub mod paper;
pub mod paper_source;
pub mod sites;
pub mod sources;
pub mod text;
