//! The sample's papers, and the records that a conference's list has of them.
//!
//! `sample/papers.json` holds the ten that `deploy local` pushes through the pipeline, six on arXiv and
//! four at ICLR; `sample/conferences.json` holds those that come only when somebody scrapes ICML, NeurIPS
//! or MLSys. Titles, abstracts and authors are made up.

use annapurna_contract::Source;
use serde::Deserialize;
use serde_json::{Value, json};

use super::PaperSiteError;

const PUSHED: (&str, &str) = ("papers.json", include_str!("../../sample/papers.json"));
const SCRAPED: (&str, &str) = (
    "conferences.json",
    include_str!("../../sample/conferences.json"),
);

/// What identifies a paper of the sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleEntry {
    /// Whose scraper brings it.
    pub source: Source,
    /// As the lists of the site give it.
    pub title: String,
    /// Its abstract; the paper's id is of both.
    pub abstract_text: String,
}

/// The papers that `deploy local` pushes through the pipeline.
///
/// # Errors
///
/// [`PaperSiteError::Sample`].
pub fn sample_papers() -> Result<Vec<SampleEntry>, PaperSiteError> {
    let entry = |paper: SamplePaper| SampleEntry {
        source: paper.source(),
        title: paper.title,
        abstract_text: paper.abstract_text,
    };
    Ok(read(PUSHED)?.into_iter().map(entry).collect())
}

/// Every paper of the site; those on arXiv newest first, as it answers a search.
pub(crate) fn all() -> Result<Vec<SamplePaper>, PaperSiteError> {
    let mut papers = read(PUSHED)?;
    papers.extend(read(SCRAPED)?);
    papers.sort_by(|one, other| other.published().cmp(&one.published()));
    Ok(papers)
}

fn read((file, text): (&'static str, &str)) -> Result<Vec<SamplePaper>, PaperSiteError> {
    serde_json::from_str(text).map_err(|source| PaperSiteError::Sample { file, source })
}

/// A paper as the files hold it.
#[derive(Debug, Deserialize)]
pub(crate) struct SamplePaper {
    #[serde(flatten)]
    pub(super) venue: Venue,
    pub(crate) title: String,
    pub(super) authors: Vec<String>,
    #[serde(rename = "abstract")]
    pub(crate) abstract_text: String,
    pub(super) sections: Vec<Section>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Section {
    pub(super) heading: String,
    pub(super) text: String,
}

/// Where a paper is published.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Venue {
    Arxiv(OnArxiv),
    Conference(AtConference),
}

#[derive(Debug, Deserialize)]
pub(super) struct OnArxiv {
    /// Without a version: `2511.90001`.
    #[serde(rename = "arxiv")]
    pub(super) id: String,
    /// As in the feed: `2025-11-03T09:12:44Z`.
    pub(super) published: String,
    pub(super) primary_category: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct AtConference {
    conference: Source,
    /// Its forum on OpenReview, where its PDF is.
    pub(super) forum: String,
    /// Day of its poster: `2025-04-24`.
    date: String,
    topic: String,
    /// As the lists say it; one that contains `oral` has a talk besides its poster.
    decision: String,
}

impl SamplePaper {
    fn source(&self) -> Source {
        match &self.venue {
            Venue::Arxiv(_) => Source::Arxiv,
            Venue::Conference(place) => place.conference,
        }
    }

    fn published(&self) -> Option<&str> {
        match &self.venue {
            Venue::Arxiv(place) => Some(&place.published),
            Venue::Conference(_) => None,
        }
    }
}

impl AtConference {
    /// The file of the list on the virtual site, without `.json`.
    pub(super) fn list_name(&self) -> String {
        let conference = self.conference.key_part();
        format!("{conference}-{}-orals-posters", self.year())
    }

    fn year(&self) -> &str {
        self.date.split('-').next().unwrap_or(&self.date)
    }

    /// The paper's records in the list, numbered from `id`: its poster, and its talk if it has one.
    pub(super) fn records(&self, paper: &SamplePaper, id: usize) -> Vec<Value> {
        let mut records = vec![self.record(paper, id, "Poster")];
        if self.decision.contains("oral") {
            records.push(self.record(paper, id + 1, "Oral"));
        }
        records
    }

    fn record(&self, paper: &SamplePaper, id: usize, kind: &str) -> Value {
        let author = |(place, name): (usize, &String)| {
            let id = id * 10 + place;
            json!({"id": id, "fullname": name, "url": null, "institution": ""})
        };
        let authors: Vec<Value> = paper.authors.iter().enumerate().map(author).collect();
        let (date, year, group) = (&self.date, self.year(), self.group());
        json!({
            "id": id,
            "uid": format!("{id:032x}"),
            "name": paper.title,
            "authors": authors,
            "abstract": paper.abstract_text,
            "topic": self.topic,
            "keywords": [],
            "decision": self.decision,
            "eventtype": kind,
            "event_type": kind,
            "sourceurl": format!("https://openreview.net/group?id={group}/{year}/Conference"),
            "virtualsite_url": format!("/virtual/{year}/{}/{id}", kind.to_lowercase()),
            "url": null,
            "paper_url": format!("https://openreview.net/forum?id={}", self.forum),
            "paper_pdf_url": null,
            "starttime": format!("{date}T10:00:00+08:00"),
            "endtime": format!("{date}T12:30:00+08:00"),
        })
    }

    /// The conference's group on OpenReview.
    fn group(&self) -> &'static str {
        match self.conference {
            Source::Iclr => "ICLR.cc",
            Source::Icml => "ICML.cc",
            Source::Neurips => "NeurIPS.cc",
            Source::Mlsys => "MLSys.org",
            Source::Arxiv => "arXiv.org",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ten_papers_are_pushed_and_every_source_has_some() {
        assert_eq!(sample_papers().unwrap().len(), 10);
        let papers = all().unwrap();
        let sources: BTreeSet<Source> = papers.iter().map(SamplePaper::source).collect();
        assert_eq!(sources, Source::ALL.into_iter().collect());
        let titles: BTreeSet<&str> = papers.iter().map(|paper| paper.title.as_str()).collect();
        assert_eq!(titles.len(), papers.len(), "no title stands for two papers");
    }
}
