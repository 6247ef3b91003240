//! Takes papers from arXiv and the conferences' sites into S3 and tells the judge.
//!
//! In: a [`call::Call`]. Out: per paper a PDF, a JSON record of everything the source said, and one
//! message; per call a [`scraper::Answer`]. [`annapurna_paper_sources`] asks the sites, [`store`] alone
//! talks to AWS, [`scraper`] joins the two.
//! There is deliberately no judgement of a paper here, and no text of a paper ever becomes a key.

pub mod call;
pub mod error;
mod identity;
mod keep;
pub mod lease;
mod lists;
pub mod metrics;
mod papers;
mod record;
mod report;
pub mod request;
mod run;
pub mod scraper;
pub mod settings;
mod steps;
pub mod store;
mod under_way;
