//! ICLR, ICML, NeurIPS and MLSys, through the JSON list of their virtual sites.
//!
//! In: a conference, a year, filters. Out: its papers in the order of the site's ids. A position is
//! one more than the last paper's id, so it stays right when the list changes meanwhile. PDFs come
//! from OpenReview; a paper whose forum the list does not name is metadata only.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use annapurna_contract::{ConfigError, Source};
use async_trait::async_trait;
use serde_json::Value;
use url::Url;

use super::conference_feed::{self as feed, Edition, Entry, FeedPage, Sites};
use crate::http::{Expect, Http, HttpError, Page};
use crate::paper::{Listing, PaperSource, SourceError};
use crate::settings::{Settings, join};
use crate::text::excerpt;

/// What is known of a conference's site.
#[derive(Debug, PartialEq, Eq)]
pub struct Site {
    /// The conference.
    pub source: Source,
    /// The name in addresses.
    slug: &'static str,
    /// The public host; MLSys alone is not `.cc`.
    host: &'static str,
    /// Years whose list is known to exist. Other years are asked for too: this table only makes the
    /// error useful when the site has none.
    years: &'static [u16],
}

const SITES: [Site; 4] = [
    Site {
        source: Source::Iclr,
        slug: "iclr",
        host: "iclr.cc",
        years: &[2020, 2021, 2022, 2023, 2024, 2025, 2026],
    },
    Site {
        source: Source::Icml,
        slug: "icml",
        host: "icml.cc",
        years: &[2020, 2021, 2022, 2023, 2024, 2025, 2026],
    },
    Site {
        source: Source::Neurips,
        slug: "neurips",
        host: "neurips.cc",
        years: &[2020, 2021, 2022, 2023, 2024, 2025],
    },
    Site {
        source: Source::Mlsys,
        slug: "mlsys",
        host: "mlsys.org",
        years: &[2026],
    },
];

/// The site of a conference; `None` for arXiv, which is none.
pub fn site_of(source: Source) -> Option<&'static Site> {
    SITES.iter().find(|site| site.source == source)
}

/// From this year on, abstracts are in a file of their own.
const ABSTRACTS_APART_SINCE: u16 = 2026;
/// Pages of one list; all lists seen have one.
const MOST_PAGES: usize = 200;

/// Which papers of a conference are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// `Deep Learning` and all below it, or `Deep Learning->Large Language Models`.
    pub topic: Option<String>,
    /// Words that must all occur.
    pub words: Option<String>,
}

/// One year of a conference.
#[derive(Debug)]
pub struct Conference {
    http: Arc<Http>,
    site: &'static Site,
    edition: Edition,
    sites: Sites,
    filter: Filter,
}

impl Conference {
    /// Sets up a conference's year; nothing is requested yet.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] when `VIRTUAL_SITE_URL` makes no address for this conference.
    pub fn new(
        http: Arc<Http>,
        settings: &Settings,
        site: &'static Site,
        year: u16,
        filter: Filter,
    ) -> Result<Self, ConfigError> {
        let sites = Sites {
            virtual_site: virtual_site(&settings.virtual_site_url, site)?,
            openreview: settings.openreview_url.clone(),
        };
        let edition = Edition {
            source: site.source,
            year,
        };
        Ok(Self {
            http,
            site,
            edition,
            sites,
            filter,
        })
    }

    fn file_url(&self, kind: &str) -> Url {
        let name = format!("{}-{}-{kind}.json", self.site.slug, self.edition.year);
        join(
            &self.sites.virtual_site,
            &format!("static/virtual/data/{name}"),
        )
    }

    fn http_error(&self, error: HttpError) -> SourceError {
        let conference = self.edition.source.name();
        if let HttpError::Missing { url, .. } = error {
            let known: Vec<String> = self.site.years.iter().map(u16::to_string).collect();
            return SourceError::NoSuchYear {
                conference,
                year: self.edition.year,
                url,
                known: known.join(", "),
            };
        }
        SourceError::Http {
            source_name: conference,
            error,
        }
    }

    /// All records of the list, over all its pages.
    async fn records(&self) -> Result<Vec<Value>, SourceError> {
        let first_url = self.file_url("orals-posters");
        let mut seen = HashSet::from([first_url.clone()]);
        let mut page = self.feed_page(&first_url, true).await?;
        let expected = page.count;
        let mut records = std::mem::take(&mut page.records);
        let mut url = first_url.clone();
        while let Some(next) = page.next.take() {
            url = next_page(&url, &next, &mut seen)?;
            page = self.feed_page(&url, false).await?;
            records.append(&mut page.records);
        }
        let found = records.len() as u64;
        if found != expected {
            return Err(SourceError::WrongCount {
                url: first_url.to_string(),
                expected,
                found,
            });
        }
        Ok(records)
    }

    async fn feed_page(&self, url: &Url, is_first: bool) -> Result<FeedPage, SourceError> {
        let read = |page: Page| feed::parse_page(&page.body, is_first);
        let page = self.http.get_with(url, Expect::Json, read).await;
        page.map_err(|error| self.http_error(error))
    }

    /// The abstracts' file, where the list leaves them out. A list without abstracts must not be
    /// taken as it is: the papers' ids are made from their abstracts.
    async fn abstracts(&self, records: &[Value]) -> Result<HashMap<String, String>, SourceError> {
        let lacks_abstracts = feed::lacks_abstracts(records);
        if !lacks_abstracts && self.edition.year < ABSTRACTS_APART_SINCE {
            return Ok(HashMap::new());
        }
        let url = self.file_url("abstracts");
        let read = |page: Page| feed::parse_abstracts(&page.body);
        match self.http.get_with(&url, Expect::Json, read).await {
            Ok(abstracts) => Ok(abstracts),
            Err(HttpError::Missing { .. }) if !lacks_abstracts => Ok(HashMap::new()),
            Err(HttpError::Missing { .. }) => Err(SourceError::NoAbstracts {
                conference: self.edition.source.name(),
                year: self.edition.year,
                url: url.to_string(),
            }),
            Err(error) => Err(SourceError::Http {
                source_name: self.edition.source.name(),
                error,
            }),
        }
    }

    /// Keeps the entries of the wanted topic.
    fn by_topic(&self, mut entries: Vec<Entry>) -> Result<Vec<Entry>, SourceError> {
        let Some(topic) = &self.filter.topic else {
            return Ok(entries);
        };
        let existing: BTreeSet<String> = entries.iter().flat_map(Entry::topics).collect();
        entries.retain(|entry| entry.has_topic(topic));
        if !entries.is_empty() {
            return Ok(entries);
        }
        let existing: Vec<String> = existing.into_iter().collect();
        Err(SourceError::NoSuchTopic {
            filter: excerpt(topic.as_bytes(), 100),
            conference: self.edition.source.name(),
            year: self.edition.year,
            existing: match existing.join(", ") {
                none if none.is_empty() => "none, this list has no topics".to_owned(),
                some => some,
            },
        })
    }
}

#[async_trait]
impl PaperSource for Conference {
    async fn list(&self, from: u64, limit: usize) -> Result<Listing, SourceError> {
        let records = self.records().await?;
        let abstracts = self.abstracts(&records).await?;
        let (entries, broken) = feed::merge(records, &self.sites.openreview);
        let mut entries = self.by_topic(entries)?;
        if let Some(words) = &self.filter.words {
            entries.retain(|entry| entry.has_words(words, &abstracts));
        }
        entries.retain(|entry| entry.id >= from);
        let next = entries.get(limit).map(|entry| entry.id);
        let papers = entries.into_iter().take(limit).map(|entry| {
            let mut paper = entry.into_paper(self.edition, &self.sites, &abstracts);
            paper.position += 1;
            paper
        });
        Ok(Listing {
            papers: papers.collect(),
            // Records without an id have no place in the list; they are reported once, at its start.
            broken: if from == 0 { broken } else { Vec::new() },
            next,
        })
    }
}

/// The conference's base URL: its public host for `{conference}.cc`, its name for `{conference}`.
fn virtual_site(template: &str, site: &Site) -> Result<Url, ConfigError> {
    let address = template
        .replace("{conference}.cc", site.host)
        .replace("{conference}", site.slug);
    crate::settings::base_url("VIRTUAL_SITE_URL", &address)
}

fn next_page(url: &Url, next: &str, seen: &mut HashSet<Url>) -> Result<Url, SourceError> {
    let refused = |reason| SourceError::BadNextPage {
        url: url.to_string(),
        next: excerpt(next.as_bytes(), 200),
        reason,
    };
    let address = url
        .join(next)
        .map_err(|_| refused("it is not an address"))?;
    let origin = |url: &Url| {
        (
            url.scheme().to_owned(),
            url.host_str().map(str::to_owned),
            url.port_or_known_default(),
        )
    };
    if origin(&address) != origin(url) {
        return Err(refused("it is on another host"));
    }
    if seen.len() >= MOST_PAGES {
        return Err(refused("the list has too many pages"));
    }
    if !seen.insert(address.clone()) {
        return Err(refused("it was there before"));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_conference_has_its_own_host() {
        let urls: Vec<String> = SITES
            .iter()
            .map(|site| {
                virtual_site("https://{conference}.cc", site)
                    .unwrap()
                    .to_string()
            })
            .collect();
        assert_eq!(
            urls,
            [
                "https://iclr.cc/",
                "https://icml.cc/",
                "https://neurips.cc/",
                "https://mlsys.org/"
            ]
        );
        let local = virtual_site("http://127.0.0.1:8000/", &SITES[3]).unwrap();
        assert_eq!(local.as_str(), "http://127.0.0.1:8000/");
    }

    #[test]
    fn pages_of_a_list_stay_on_its_host_and_do_not_circle() {
        let url = Url::parse("https://iclr.cc/static/a.json").unwrap();
        let mut seen = HashSet::from([url.clone()]);
        let second = next_page(&url, "?page=2", &mut seen).unwrap();
        assert_eq!(second.as_str(), "https://iclr.cc/static/a.json?page=2");
        for bad in [
            "http://iclr.cc/b",
            "https://evil.example/b",
            "https://iclr.cc:8443/b",
            "//evil.example",
            "?page=2",
        ] {
            assert!(next_page(&url, bad, &mut seen).is_err(), "{bad}");
        }
    }
}
