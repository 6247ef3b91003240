//! PMLR's volumes of ICML, 2013 to 2025.
//!
//! In: a year. Out: the papers of its volume, with their abstracts where the volume's bibliography has
//! them: one file instead of a request per paper. Links are taken as the page has them, never built:
//! PDFs were on three hosts over the years. The page has no count of its own, so a page without its
//! end is refused.

use std::collections::{HashMap, HashSet};

use annapurna_contract::{PaperHost, Source};
use scraper::ElementRef;
use serde_json::json;
use url::Url;

use super::bibtex::{self, Entry};
use super::hosts::Hosts;
use super::html::{self, Document};
use super::listed::{Edition, ListError, Listed, ListedPaper};
use crate::http::{Expect, Http, HttpError, Page};
use crate::paper::{BrokenEntry, Details};
use crate::sites::join;

/// ICML's volumes by year.
const VOLUMES: [(u16, u16); 13] = [
    (2013, 28),
    (2014, 32),
    (2015, 37),
    (2016, 48),
    (2017, 70),
    (2018, 80),
    (2019, 97),
    (2020, 119),
    (2021, 139),
    (2022, 162),
    (2023, 202),
    (2024, 235),
    (2025, 267),
];

/// The number of ICML's volume; `None` for other conferences and for years that have none here.
pub fn volume(edition: Edition) -> Option<u16> {
    let is_it = |(year, _): &&(u16, u16)| edition.source == Source::Icml && *year == edition.year;
    VOLUMES.iter().find(is_it).map(|(_, volume)| *volume)
}

/// Every paper of ICML's volume of that year.
///
/// # Errors
///
/// [`ListError::Absent`] when the year has no volume, [`ListError::Wrong`] when its page lists nothing.
pub async fn list(http: &Http, hosts: &Hosts, edition: Edition) -> Result<Listed, ListError> {
    let Some(number) = volume(edition) else {
        return Err(ListError::Absent {
            url: hosts[PaperHost::Pmlr].to_string(),
        });
    };
    // With its slash: the volume's links are relative to it.
    let url = join(&hosts[PaperHost::Pmlr], &format!("v{number}/"));
    let read = |page: Page| parse_volume(&page.body, &url, hosts);
    let volume = http.get_with(&url, Expect::Html, read).await;
    let mut volume = volume.map_err(html::list_error)?;
    if let Some(bibliography) = &volume.bibliography {
        match bibliography_of(http, bibliography).await {
            Ok(entries) => volume.add(&entries),
            Err(error) => volume.listed.problems.push(BrokenEntry {
                entry: "bibliography of PMLR".to_owned(),
                reason: error.to_string(),
            }),
        }
    }
    Ok(volume.listed)
}

/// `v235` of the volume's page.
fn volume_path(page: &Url) -> Option<&str> {
    page.path_segments()?.rfind(|part| !part.is_empty())
}

/// The volume's bibliography by key. Where it cannot be had or used, the papers' own pages have the
/// abstracts, and the error says why.
async fn bibliography_of(http: &Http, url: &Url) -> Result<HashMap<String, Entry>, HttpError> {
    let read = |page: Page| {
        let text = std::str::from_utf8(&page.body).map_err(|_| "it is not text in UTF-8")?;
        let entries = bibtex::parse(text);
        if entries.is_empty() {
            return Err("it is no bibliography");
        }
        Ok(entries)
    };
    let entries = http.get_with(url, Expect::Text, read).await?;
    let by_key = entries.into_iter().map(|entry| (entry.key.clone(), entry));
    Ok(by_key.collect())
}

/// A volume's page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Volume {
    /// Its papers, none with an abstract.
    pub listed: Listed,
    /// Where its bibliography is.
    pub bibliography: Option<Url>,
}

impl Volume {
    /// Adds what the bibliography knows. A paper of which nothing is missing then needs no page.
    pub fn add(&mut self, entries: &HashMap<String, Entry>) {
        for paper in &mut self.listed.papers {
            let Some(entry) = entries.get(&paper.source_id.to_ascii_lowercase()) else {
                continue;
            };
            if paper.authors.is_empty() {
                paper.authors.clone_from(&entry.authors);
            }
            paper.abstract_text.clone_from(&entry.abstract_text);
            paper.record["abstract"] = json!(paper.abstract_text);
            let is_whole = paper.abstract_text.is_some()
                && !paper.authors.is_empty()
                && !paper.pdf_urls.is_empty();
            if is_whole {
                paper.details_url = None;
            }
        }
    }
}

/// The hosts that PMLR's pages link to.
const HOSTS: [PaperHost; 2] = [PaperHost::Pmlr, PaperHost::PmlrFiles];

/// An address of the page on a configured host. Of the newer PDFs' host only PMLR's part is PMLR.
fn address(href: &str, page: &Url, hosts: &Hosts) -> Option<Url> {
    let url = hosts.on_configured_host(href, page, &HOSTS)?;
    let public = page.join(href.trim()).ok()?;
    let is_shared = public.host_str() == Some(PaperHost::PmlrFiles.public_name());
    (!is_shared || public.path().starts_with("/mlresearch/")).then_some(url)
}

/// Reads a volume's page.
///
/// # Errors
///
/// Words for a log, when the page is cut short or lists nothing.
pub fn parse_volume(body: &[u8], page: &Url, hosts: &Hosts) -> Result<Volume, String> {
    let document = Document::parse(body)?;
    let mut volume = Volume::default();
    let mut ids = HashSet::new();
    for (place, element) in document.all("div.paper").into_iter().enumerate() {
        let paper = listed_paper(element, place as u64, page, hosts).and_then(|paper| {
            let is_new = ids.insert(paper.source_id.to_ascii_lowercase());
            is_new
                .then_some(paper)
                .ok_or_else(|| "an earlier paper has the same id".to_owned())
        });
        match paper {
            Ok(paper) => volume.listed.papers.push(paper),
            Err(reason) => volume.listed.broken.push(BrokenEntry {
                entry: format!("entry {} of {page}", place + 1),
                reason,
            }),
        }
    }
    if volume.listed.papers.is_empty() {
        return Err("it lists no paper".to_owned());
    }
    volume.bibliography = document
        .all("a[href$='.bib']")
        .into_iter()
        .filter(|link| html::text_of(*link).as_deref() == Some("bib"))
        .find_map(|link| address(link.attr("href")?, page, hosts));
    Ok(volume)
}

fn listed_paper(
    element: ElementRef<'_>,
    place: u64,
    page: &Url,
    hosts: &Hosts,
) -> Result<ListedPaper, String> {
    let title = html::first(element, ".title").and_then(html::text_of);
    let title = title.ok_or("it has no title")?;
    let links = Links::of(element);
    let details_url = links.page.and_then(|href| address(href, page, hosts));
    let mut pdf_urls = Vec::new();
    let pdf = links.pdf.and_then(|href| address(href, page, hosts));
    html::push_once(&mut pdf_urls, pdf);
    let source_id = details_url
        .as_ref()
        .or_else(|| pdf_urls.first())
        .and_then(paper_id)
        .ok_or("it links neither to its page nor to its PDF")?;
    let authors = authors(element);
    Ok(ListedPaper {
        proceedings_id: volume_path(page).map(|volume| format!("{volume}/{source_id}")),
        source_id,
        place,
        authors: authors.clone(),
        url: details_url.as_ref().map(Url::to_string),
        forum: links.forum.and_then(|href| hosts.forum_id(href)),
        record: json!({
            "list": page.as_str(), "title": title, "authors": authors,
            "page": links.page, "pdf": links.pdf, "openreview": links.forum,
            "info": html::first(element, ".info").and_then(html::text_of),
        }),
        title,
        pdf_urls,
        details_url,
        ..ListedPaper::default()
    })
}

/// `abe24a` of `/v235/abe24a.html`.
fn paper_id(url: &Url) -> Option<String> {
    let file = url.path_segments()?.next_back()?;
    let id = file.split('.').next()?;
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    ((1..=64).contains(&id.len()) && id.chars().all(is_fine)).then(|| id.to_owned())
}

/// The addresses behind a paper's links, told apart by the links' words: beside these there are
/// supplements and software, with addresses of the same shapes.
#[derive(Debug, Default)]
struct Links<'a> {
    page: Option<&'a str>,
    pdf: Option<&'a str>,
    forum: Option<&'a str>,
}

impl<'a> Links<'a> {
    fn of(paper: ElementRef<'a>) -> Self {
        let mut links = Self::default();
        for link in html::all(paper, "a[href]") {
            let words = html::text_of(link).unwrap_or_default().to_lowercase();
            let place = match words.as_str() {
                "abs" | "abstract" => &mut links.page,
                "download pdf" | "pdf" => &mut links.pdf,
                "openreview" => &mut links.forum,
                _ => continue,
            };
            *place = place.or(link.attr("href"));
        }
        links
    }
}

/// `A,&nbsp;B`: a comma with another blank belongs to a name.
fn authors(paper: ElementRef<'_>) -> Vec<String> {
    let line = html::first(paper, ".authors").map(html::raw_text_of);
    let line = line.unwrap_or_default();
    let between = ",\u{a0}";
    let names: Vec<String> = if line.contains(between) {
        line.split(between).filter_map(html::tidy).collect()
    } else {
        html::split_names(&line, &[','])
    };
    let decoded = names.iter().filter_map(|name| bibtex::person_name(name));
    decoded.collect()
}

/// Reads a paper's page.
///
/// # Errors
///
/// Words for a log, when the page is cut short or is not the page of a paper.
pub fn parse_details(body: &[u8], page: &Url, hosts: &Hosts) -> Result<Details, String> {
    let document = Document::parse(body)?;
    let titles = document.meta("citation_title");
    if titles.is_empty() {
        return Err("it is not the page of a paper: it has no `citation_title`".to_owned());
    }
    let mut pdf_urls = Vec::new();
    for cited in document.meta("citation_pdf_url") {
        html::push_once(&mut pdf_urls, address(&cited, page, hosts));
    }
    if let Some(href) = document
        .all("#extras")
        .into_iter()
        .find_map(|it| Links::of(it).pdf)
    {
        html::push_once(&mut pdf_urls, address(href, page, hosts));
    }
    let authors = document.cited_authors();
    let authors = authors.iter().filter_map(|name| bibtex::person_name(name));
    Ok(Details {
        titles,
        problem: None,
        authors: authors.collect(),
        abstract_text: document
            .text("#abstract, .abstract")
            .and_then(|text| bibtex::prose(&text)),
        date: document.cited_date(),
        forum: document.forum(hosts),
        pdf_urls,
    })
}
