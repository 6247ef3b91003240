//! The function: made once, used for every call.
//!
//! In: a [`Call`]. Out: an [`Answer`]. [`crate::run`] does what a user or a schedule asks for in one call,
//! [`crate::steps`] what the state machine asks for in many.

use std::sync::Arc;

use annapurna_contract::Source;
use annapurna_contract::scrape::{ScrapeStep, ScrapeSummary, SourceChoice};
use annapurna_paper_sources::http::{Http, HttpError, HttpSettings};
use annapurna_paper_sources::paper_source::PaperSource;
use annapurna_paper_sources::sources::arxiv::Arxiv;
use annapurna_paper_sources::sources::conference::Conference;
use annapurna_paper_sources::sources::hosts::Hosts;
use chrono::Utc;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::call::{Call, Invocation};
use crate::error::RunError;
use crate::lease::StoreLeases;
use crate::metrics;
use crate::request::Target;
use crate::settings::Settings;
use crate::store::Store;

/// The function: settings, the way to the sites, and the way to AWS.
pub struct Scraper {
    pub(crate) settings: Settings,
    pub(crate) http: Arc<Http>,
    pub(crate) store: Store,
}

impl Scraper {
    /// Makes the function with the polite client.
    ///
    /// # Errors
    ///
    /// [`HttpError::Client`].
    pub fn new(settings: Settings, store: Store) -> Result<Self, HttpError> {
        let http = HttpSettings::polite(&settings.contact, settings.request_interval);
        Self::with_http(settings, store, http)
    }

    /// Makes the function with a client of its own manners.
    ///
    /// # Errors
    ///
    /// [`HttpError::Client`].
    pub fn with_http(
        settings: Settings,
        store: Store,
        mut http: HttpSettings,
    ) -> Result<Self, HttpError> {
        http.unruled.extend(settings.sites.apis());
        let leases = Arc::new(StoreLeases::new(store.clone()));
        Ok(Self {
            settings,
            http: Arc::new(Http::new(http)?.with_leases(leases)),
            store,
        })
    }

    /// Answers a call. Papers are begun until `deadline` and those on their way are waited for a little
    /// longer, see [`crate::request::working_time`].
    pub async fn answer(&self, call: Call, deadline: Instant) -> Answer {
        let source = call.source.as_deref().unwrap_or(&self.settings.conference);
        let source = SourceChoice::parse(source).map_or("UNKNOWN", SourceChoice::name);
        self.http.share(1);
        let done = match call.invocation {
            Ok(invocation) => self.follow(invocation, &call.request_id, deadline).await,
            Err(error) => Err(error),
        };
        // On every way out: another run may wait for a host that only one may ask.
        self.http.release().await;
        let n_blocked = self.http.take_blocked();
        match done {
            Ok(done) => Answer {
                metrics: done
                    .counts
                    .map(|counts| metrics::of_run(&counts, n_blocked, Utc::now())),
                result: Ok(done.answer),
            },
            Err(error) => Answer {
                metrics: Some(metrics::of_failed_run(
                    source,
                    error.kind(),
                    n_blocked,
                    Utc::now(),
                )),
                result: Err(error),
            },
        }
    }

    async fn follow(
        &self,
        invocation: Invocation,
        request_id: &str,
        deadline: Instant,
    ) -> Result<Done, RunError> {
        let step = match invocation {
            Invocation::Scrape(event) => {
                let summary = self.run(&event, request_id, deadline).await?;
                return Ok(Done {
                    answer: json!(summary),
                    counts: Some(summary),
                });
            }
            Invocation::Step(step) => step,
        };
        let answer = match *step {
            ScrapeStep::List { request } => json!(self.plan(&request, deadline).await?),
            ScrapeStep::Window { window } => {
                let before = window.summary_so_far();
                let window = self.window(window, deadline).await?;
                return Ok(Done {
                    counts: Some(window.summary_so_far().beyond(&before)),
                    answer: json!(window),
                });
            }
            ScrapeStep::Summarize { plan } => json!(self.summarize(plan)),
        };
        Ok(Done {
            answer,
            counts: None,
        })
    }

    /// The way to a list and its papers; nothing is requested yet.
    pub(crate) fn source(&self, target: &Target) -> Result<Box<dyn PaperSource>, RunError> {
        let http = Arc::clone(&self.http);
        let hosts = |source| Hosts::of(source, &self.settings.sites);
        Ok(match target {
            Target::Arxiv(query) => {
                Box::new(Arxiv::new(http, &hosts(Source::Arxiv)?, query.clone()))
            }
            Target::Conference { edition, filter } => {
                let hosts = hosts(edition.source)?;
                Box::new(Conference::new(http, hosts, *edition, filter.clone()))
            }
        })
    }
}

/// What a call came to, for whom it concerns.
#[derive(Debug)]
pub struct Answer {
    /// For the caller. A single paper's failure is in the summary and no error.
    pub result: Result<Value, RunError>,
    /// For CloudWatch: see [`metrics`]. A step that takes no paper has none.
    pub metrics: Option<Value>,
}

/// A call that ended well.
struct Done {
    answer: Value,
    /// What this call did of it, for the metrics.
    counts: Option<ScrapeSummary>,
}
