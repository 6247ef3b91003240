//! What OpenReview holds of which year: the API, its lists, and how a list says "accepted".
//!
//! In: a conference and year. Out: a [`Group`], or nothing when OpenReview has none. The facts of each
//! year were checked against the live site in September 2026 and written down by the public project
//! `uw-share-lab/openproceedings` (`docs/research/2026-09-27-openreview-and-proceedings-facts.md`);
//! MLSys is the exception, said below. Nothing here asks the site.

use annapurna_contract::{PaperHost, Source};
use url::Url;

use crate::sites::join;
use crate::sources::hosts::Hosts;
use crate::sources::listed::Edition;

/// OpenReview's two APIs. A year is in one of them; the other answers with an empty list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Lists by invitation, values bare.
    V1,
    /// Lists by venue id, values wrapped: `{"value": …}`.
    V2,
}

/// What tells an accepted paper from any other note of its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// `content.venueid` is the list's own, without `/Rejected_Submission` and the like. Only in the
    /// newer API: in the older one rejected papers carry it too.
    VenueId,
    /// `content.venue` names the conference and year, and neither a submission nor a workshop.
    Venue,
    /// The field of a reply note begins with `Accept`.
    Reply {
        /// Last part of the reply's invitation.
        invitation: &'static str,
        /// Field of its content.
        field: &'static str,
    },
    /// `content.decision` of the paper's own note ends with `-conference` (ICLR 2013).
    Decision,
    /// Nothing tells: `content.decision` is `submitted, no decision` everywhere (ICLR 2014). Every
    /// submission is taken, so what OpenReview says of that year is more than was accepted.
    Unmarked,
}

/// Everything needed to ask for a year.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Which API has it.
    pub api: Api,
    /// Its invitations (v1) or venue ids (v2), the main track first.
    pub lists: Vec<String>,
    /// How acceptance is told.
    pub(crate) acceptance: Acceptance,
}

/// Notes of a page. More is a `ValidationError`.
pub(crate) const PAGE_NOTES: u64 = 1000;
/// Notes of a page that brings every note's reviews along: some 40 KB each.
const PAGE_NOTES_WITH_REPLIES: u64 = 200;

impl Group {
    /// Notes to ask for at a time.
    pub(crate) const fn page_notes(&self) -> u64 {
        match self.acceptance {
            Acceptance::Reply { .. } => PAGE_NOTES_WITH_REPLIES,
            _ => PAGE_NOTES,
        }
    }

    /// The page of a list that begins at `offset`. The offset is always given: without it the newer
    /// API leaves `count` out.
    pub fn page(&self, hosts: &Hosts, list: &str, offset: u64) -> Url {
        let (base, name) = match self.api {
            Api::V1 => (&hosts[PaperHost::OpenReviewApiV1], "invitation"),
            Api::V2 => (&hosts[PaperHost::OpenReviewApiV2], "content.venueid"),
        };
        let mut url = join(base, "notes");
        let mut query = url.query_pairs_mut();
        query.append_pair(name, list);
        if let Acceptance::Reply { .. } = self.acceptance {
            query.append_pair("details", "directReplies");
        }
        query
            .append_pair("limit", &self.page_notes().to_string())
            .append_pair("offset", &offset.to_string())
            .append_pair("sort", "number:asc");
        drop(query);
        url
    }
}

/// What OpenReview holds of a conference's year; `None` when it holds nothing of it.
pub fn group_of(edition: Edition) -> Option<Group> {
    let Edition { source, year } = edition;
    match (source, year) {
        (Source::Iclr, 2013..=2014 | 2016..=2023) => Some(iclr_v1(year)),
        (Source::Neurips, 2021..=2022) => Some(neurips_v1(year)),
        (Source::Iclr, 2024..) => Some(v2(vec![format!("ICLR.cc/{year}/Conference")])),
        (Source::Neurips, 2023..) => Some(v2(neurips_venues(year))),
        (Source::Icml, 2023..) => Some(v2(icml_venues(year))),
        // Several public projects ask for `MLSys.org/2026/Conference`; nobody's answer was seen, and
        // 2025 is taken to be spelt alike. Spelt wrongly, the list is empty and so absent.
        (Source::Mlsys, 2025..) => Some(v2(vec![format!("MLSys.org/{year}/Conference")])),
        _ => None,
    }
}

fn v2(lists: Vec<String>) -> Group {
    Group {
        api: Api::V2,
        lists,
        acceptance: Acceptance::VenueId,
    }
}

/// 2015 is not on OpenReview. Of 2016 it has the workshop track only; the conference's own list is
/// asked for all the same and is empty.
fn iclr_v1(year: u16) -> Group {
    let reply = |invitation, field| Acceptance::Reply { invitation, field };
    let acceptance = match year {
        2013 => Acceptance::Decision,
        2014 | 2016 => Acceptance::Unmarked,
        // `ICLR.cc/2018/Conference/-/Acceptance_Decision`, 935 of them for 935 submissions.
        2018 => reply("Acceptance_Decision", "decision"),
        // `ICLR.cc/2019/Conference/-/Paper<N>/Meta_Review`: that year had no other decision.
        2019 => reply("Meta_Review", "recommendation"),
        // `ICLR.cc/2020/Conference/Paper<N>/-/Decision`.
        2020 => reply("Decision", "decision"),
        // 2017, 2021 to 2023. Rejected papers of 2021 have no venue, those of the others
        // `Submitted to ICLR …` or `ICLR 2022 Submitted`.
        _ => Acceptance::Venue,
    };
    let invitation = match year {
        ..=2017 => format!("ICLR.cc/{year}/conference/-/submission"),
        _ => format!("ICLR.cc/{year}/Conference/-/Blind_Submission"),
    };
    Group {
        api: Api::V1,
        lists: vec![invitation],
        acceptance,
    }
}

/// Data sets and benchmarks: two rounds in 2021, one list in 2022.
fn neurips_v1(year: u16) -> Group {
    let datasets = format!("NeurIPS.cc/{year}/Track/Datasets_and_Benchmarks");
    let mut lists = vec![format!("NeurIPS.cc/{year}/Conference/-/Blind_Submission")];
    match year {
        2021 => lists.extend([1, 2].map(|round| format!("{datasets}/Round{round}/-/Submission"))),
        _ => lists.push(format!("{datasets}/-/Submission")),
    }
    Group {
        api: Api::V1,
        lists,
        acceptance: Acceptance::Venue,
    }
}

/// The track of data sets has had three names; position papers have a track since 2025.
fn neurips_venues(year: u16) -> Vec<String> {
    let tracks: &[&str] = match year {
        ..=2023 => &["Conference", "Track/Datasets_and_Benchmarks"],
        2024 => &["Conference", "Datasets_and_Benchmarks_Track"],
        2025 => &[
            "Conference",
            "Datasets_and_Benchmarks_Track",
            "Position_Paper_Track",
        ],
        _ => &[
            "Conference",
            "Evaluations_and_Datasets_Track",
            "Position_Paper_Track",
        ],
    };
    let venue = |track: &&str| format!("NeurIPS.cc/{year}/{track}");
    tracks.iter().map(venue).collect()
}

/// Position papers of 2024 are among the conference's own, unmarked.
fn icml_venues(year: u16) -> Vec<String> {
    let mut venues = vec![format!("ICML.cc/{year}/Conference")];
    if year >= 2025 {
        venues.push(format!("ICML.cc/{year}/Position_Paper_Track"));
    }
    venues
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(source: Source, year: u16) -> Option<Group> {
        group_of(Edition { source, year })
    }

    #[test]
    fn each_year_is_asked_of_the_api_that_has_it() {
        let api = |source, year| group(source, year).map(|group| group.api);
        for year in (2013..=2023).filter(|year| *year != 2015) {
            assert_eq!(api(Source::Iclr, year), Some(Api::V1), "{year}");
        }
        for (source, first) in [
            (Source::Iclr, 2024),
            (Source::Neurips, 2023),
            (Source::Icml, 2023),
            (Source::Mlsys, 2025),
        ] {
            assert_eq!(api(source, first), Some(Api::V2), "{source:?}");
            assert_eq!(api(source, 2026), Some(Api::V2), "{source:?}");
        }
        assert_eq!(api(Source::Neurips, 2021), Some(Api::V1));
        assert_eq!(api(Source::Neurips, 2022), Some(Api::V1));
        for (source, year) in [
            (Source::Iclr, 2012),
            (Source::Iclr, 2015),
            (Source::Neurips, 2020),
            (Source::Icml, 2022),
            (Source::Mlsys, 2024),
            (Source::Arxiv, 2025),
        ] {
            assert_eq!(group(source, year), None, "{source:?} {year}");
        }
    }

    #[test]
    fn lists_are_spelt_as_their_year_spells_them() {
        let lists = |source, year| group(source, year).unwrap().lists;
        assert_eq!(
            lists(Source::Iclr, 2017),
            ["ICLR.cc/2017/conference/-/submission"]
        );
        assert_eq!(
            lists(Source::Iclr, 2018),
            ["ICLR.cc/2018/Conference/-/Blind_Submission"]
        );
        assert_eq!(
            lists(Source::Neurips, 2021)[1..],
            [
                "NeurIPS.cc/2021/Track/Datasets_and_Benchmarks/Round1/-/Submission",
                "NeurIPS.cc/2021/Track/Datasets_and_Benchmarks/Round2/-/Submission"
            ]
        );
        assert_eq!(
            lists(Source::Neurips, 2025),
            [
                "NeurIPS.cc/2025/Conference",
                "NeurIPS.cc/2025/Datasets_and_Benchmarks_Track",
                "NeurIPS.cc/2025/Position_Paper_Track"
            ]
        );
        assert_eq!(lists(Source::Icml, 2024), ["ICML.cc/2024/Conference"]);
        assert_eq!(lists(Source::Mlsys, 2026), ["MLSys.org/2026/Conference"]);
    }
}
