//! Takes papers from arXiv and the conferences' sites into S3 and tells the judge.
//!
//! In: a [`annapurna_contract::events::ScraperEvent`]. Out: per paper a PDF, a JSON record of
//! everything the source said, and one message; per run a [`annapurna_contract::scrape::ScrapeSummary`]. [`sources`] knows the
//! sites, [`http`] alone talks to them, [`store`] alone talks to AWS, [`run`] joins the three.
//! There is deliberately no judgement of a paper here, and no text of a paper ever becomes a host,
//! a path or a key.

pub mod http;
mod keep;
pub mod lease;
pub mod metrics;
pub mod paper;
pub mod request;
pub mod run;
pub mod settings;
pub mod sources;
mod steps;
pub mod store;
pub mod text;
