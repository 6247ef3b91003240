//! Takes papers from arXiv and the conferences' sites into S3 and tells the judge.
//!
//! In: a [`annapurna_contract::events::ScraperEvent`]. Out: per paper a PDF, a JSON record of
//! everything the source said, and one message; per run a [`annapurna_contract::scrape::ScrapeSummary`]. [`annapurna_paper_sources`]
//! asks the sites, [`store`] alone talks to AWS, [`run`] joins the two.
//! There is deliberately no judgement of a paper here, and no text of a paper ever becomes a key.

mod keep;
pub mod lease;
pub mod metrics;
pub mod request;
pub mod run;
pub mod settings;
mod steps;
pub mod store;
