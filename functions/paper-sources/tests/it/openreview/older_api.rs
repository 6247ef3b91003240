//! The older API.

use annapurna_contract::Source;
use annapurna_paper_sources::sources::listed::ListError;
use annapurna_paper_sources::sources::openreview::group_of;
use annapurna_paper_sources::sources::openreview::note::{Entry, Reader};
use serde_json::{Value, json};

use super::{ICLR_2023, Site, V1_NOTES, V1_REPLIES, edition, fixture, hosts, ids, pdfs};

pub(super) fn v1_list(year: u16) -> String {
    group_of(edition(Source::Iclr, year)).unwrap().lists[0].clone()
}

#[tokio::test]
async fn in_the_older_api_the_venue_tells_and_the_venueid_does_not() {
    let site = Site::new([("v1", v1_list(2023).as_str(), fixture(V1_NOTES))]);
    let listed = site.list(ICLR_2023).await.unwrap();
    assert_eq!(ids(&listed.papers), ["v1accepted1", "v1accepted2"]);
    assert!(listed.broken.is_empty());
    let paper = &listed.papers[0];
    assert_eq!(paper.title, "Bare Values and Their Friends");
    assert_eq!(
        paper.authors,
        ["Ola Nobody", "Kim Someone", "Lee Person", "Max Other"]
    );
    assert_eq!(paper.date.as_deref(), Some("2022-09-22"));
    assert_eq!(paper.record, fixture(V1_NOTES)[0]);
    let asked = &site.asked()[0];
    assert_eq!(asked.api, "v1");
    assert_eq!(
        asked.query["invitation"],
        "ICLR.cc/2023/Conference/-/Blind_Submission"
    );
    assert!(!asked.query.contains_key("details"));
}

#[tokio::test]
async fn every_spelling_of_a_venue_is_understood() {
    let spellings = [
        (Source::Iclr, 2017, "ICLR 2017 Oral", true),
        (Source::Iclr, 2017, "ICLR 2017 Poster", true),
        (Source::Iclr, 2017, "ICLR 2017 Invite to Workshop", false),
        (Source::Iclr, 2017, "Submitted to ICLR 2017", false),
        (Source::Iclr, 2021, "ICLR 2021 Spotlight", true),
        (Source::Iclr, 2022, "ICLR 2022 Oral", true),
        (Source::Iclr, 2022, "ICLR 2022 Submitted", false),
        (Source::Iclr, 2023, "ICLR 2023 notable top 25%", true),
        (Source::Iclr, 2023, "Submitted to ICLR 2023", false),
        (Source::Iclr, 2023, "Tiny Papers @ ICLR 2023", false),
        (Source::Neurips, 2021, "NeurIPS 2021 Poster", true),
        (Source::Neurips, 2021, "NeurIPS 2021 Submitted", false),
        (
            Source::Neurips,
            2021,
            "NeurIPS 2021 Datasets and Benchmarks Track (Round 2)",
            true,
        ),
        (Source::Neurips, 2022, "NeurIPS 2022 Accept", true),
        (
            Source::Neurips,
            2022,
            "NeurIPS 2022 Datasets and Benchmarks ",
            true,
        ),
    ];
    let hosts = hosts("http://127.0.0.1:9", ICLR_2023);
    for (source, year, venue, is_accepted) in spellings {
        let edition = edition(source, year);
        let group = group_of(edition).unwrap();
        let reader = Reader {
            edition,
            group: &group,
            list: &group.lists[0],
            hosts: &hosts,
        };
        let note = json!({"id": "a", "content": {"title": "T", "venue": venue, "venueid": "x"}});
        let is_paper = matches!(reader.read(note, 0), Entry::Paper(_));
        assert_eq!(is_paper, is_accepted, "{venue}");
    }
}

#[tokio::test]
async fn from_2018_to_2020_a_reply_is_the_decision() {
    let iclr_2020 = edition(Source::Iclr, 2020);
    let site = Site::new([("v1", v1_list(2020).as_str(), fixture(V1_REPLIES))]);
    let papers = site.papers(iclr_2020).await;
    assert_eq!(ids(&papers), ["replied0001", "replied0005"]);
    let asked = &site.asked()[0];
    assert_eq!(asked.query["details"], "directReplies");
    assert!(
        asked.number("limit").unwrap() < 1000,
        "reviews make a page large"
    );
    // Reviews are not the paper's; its decision is.
    let replies = papers[0].record["details"]["directReplies"]
        .as_array()
        .unwrap();
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0]["content"]["decision"], "Accept (Spotlight)");
}

#[tokio::test]
async fn the_decisions_of_2018_and_2019_have_other_names() {
    let accepted = |reply: Value| {
        let mut note = fixture(V1_REPLIES)[0].clone();
        note["details"]["directReplies"] = json!([reply]);
        note
    };
    let of_2018 = json!({"invitation": "ICLR.cc/2018/Conference/-/Acceptance_Decision", "content": {"decision": "Accept (Oral)"}});
    let of_2019 = json!({"invitation": "ICLR.cc/2019/Conference/-/Paper1/Meta_Review", "content": {"recommendation": "Accept (Poster)"}});
    for (year, reply) in [(2018, &of_2018), (2019, &of_2019)] {
        let mut invited = reply.clone();
        for value in invited["content"].as_object_mut().unwrap().values_mut() {
            *value = json!("Invite to Workshop Track");
        }
        let mut other = accepted(invited);
        other["id"] = json!("invited0002");
        let notes = vec![accepted(reply.clone()), other];
        let site = Site::new([("v1", v1_list(year).as_str(), notes)]);
        let papers = site.papers(edition(Source::Iclr, year)).await;
        assert_eq!(ids(&papers), ["replied0001"], "{year}");
    }
}

#[tokio::test]
async fn replies_left_out_are_noticed() {
    let site =
        Site::new([("v1", v1_list(2020).as_str(), fixture(V1_REPLIES))]).twisted(|_, answer| {
            answer.edited(|page| {
                for note in page["notes"].as_array_mut().unwrap() {
                    note.as_object_mut().unwrap().remove("details");
                }
            })
        });
    let error = site.error(edition(Source::Iclr, 2020)).await;
    assert!(matches!(error, ListError::Wrong { .. }), "{error}");
}

#[tokio::test]
async fn pages_with_replies_are_smaller_and_still_end_at_the_count() {
    let template = fixture(V1_REPLIES)[0].clone();
    let notes = (1..=450).map(|number| {
        let mut note = template.clone();
        note["id"] = json!(format!("n{number}"));
        note["forum"] = note["id"].clone();
        note["number"] = json!(number);
        note["content"]["title"] = json!(format!("Paper {number}"));
        note
    });
    let site = Site::new([("v1", v1_list(2020).as_str(), notes.collect())]);
    assert_eq!(site.papers(edition(Source::Iclr, 2020)).await.len(), 450);
    assert_eq!(site.asked().len(), 3);
}

#[tokio::test]
async fn authors_in_one_string_are_several() {
    let spellings = [
        ("Ada Nowhere, Ben Nobody", vec!["Ada Nowhere", "Ben Nobody"]),
        (
            "Ada Nowhere, Ben Nobody, and Cy Anyone",
            vec!["Ada Nowhere", "Ben Nobody", "Cy Anyone"],
        ),
        (
            "Ada Nowhere and Ben Nobody",
            vec!["Ada Nowhere", "Ben Nobody"],
        ),
        (
            "Nowhere, Ada; Nobody, Ben",
            vec!["Nowhere, Ada", "Nobody, Ben"],
        ),
        ("Andy Sandland", vec!["Andy Sandland"]),
        (" , ", vec![]),
    ];
    for (authors, names) in spellings {
        let note = json!({"id": "S1", "forum": "S1", "number": 6, "tcdate": 1478276540541_u64,
            "content": {"title": "T", "authors": authors, "venue": "ICLR 2017 Poster",
                "venueid": "ICLR.cc/2017/conference"}});
        let site = Site::new([("v1", "ICLR.cc/2017/conference/-/submission", vec![note])]);
        let papers = site.papers(edition(Source::Iclr, 2017)).await;
        assert_eq!(papers[0].authors, names, "{authors}");
        assert_eq!(papers[0].date.as_deref(), Some("2016-11-04"));
    }
}

#[tokio::test]
async fn in_2013_the_note_itself_is_decided_and_in_2014_nothing_is() {
    let note = |id: &str, decision: &str| {
        json!({"id": id, "forum": id, "number": 6, "content": {"title": id, "decision": decision,
            "pdf": "https://arxiv.org/abs/1301.00000"}})
    };
    let notes = vec![
        note("oral", "conferenceOral-iclr2013-conference"),
        note("poster", "conferencePoster-iclr2013-conference"),
        note("workshop", "conferencePoster-iclr2013-workshop"),
        note("rejected", "reject"),
    ];
    let site = Site::new([("v1", v1_list(2013).as_str(), notes)]);
    let papers = site.papers(edition(Source::Iclr, 2013)).await;
    assert_eq!(ids(&papers), ["oral", "poster"]);
    assert_eq!(pdfs(&papers[0]), ["/pdf?id=oral"], "arXiv's page is no PDF");
    let undecided = vec![
        note("one", "submitted, no decision"),
        note("two", "submitted, no decision"),
    ];
    let site = Site::new([("v1", v1_list(2014).as_str(), undecided)]);
    assert_eq!(
        ids(&site.papers(edition(Source::Iclr, 2014)).await),
        ["one", "two"]
    );
}
