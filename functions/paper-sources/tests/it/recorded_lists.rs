//! Titles and abstracts, put into the shapes of the sites they are from: 120 of our own making that are
//! hard to keep, and thousands of real ones, which may not be redistributed and are read where
//! `ANNAPURNA_DATA` names their folder.

use std::collections::BTreeSet;

use crate::support::{hasty, hosts, serve};
use annapurna_contract::text::clean;
use annapurna_contract::{PaperId, PaperRecord, Source, normalize_title};
use annapurna_paper_sources::http::Http;
use annapurna_paper_sources::sources::listed::{Edition, Listed};
use annapurna_paper_sources::sources::{bibtex, openreview, pmlr, proceedings, virtual_pages};
use annapurna_test_data::{file, outside};
use axum::Router;
use axum::http::Uri;
use axum::response::{Html, IntoResponse};
use serde_json::{Value, json};
use url::Url;

fn samples(file: &str) -> Vec<Value> {
    serde_json::from_slice(&outside(&format!("papers/{file}"))).unwrap()
}

/// Papers of our own making in the shape of [`samples`], see `functions/test-data/make.py`.
fn made() -> Vec<Value> {
    let made: Vec<Value> = serde_json::from_slice(&file("made/papers.json")).unwrap();
    assert_eq!(made.len(), 120);
    made
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

fn titles(papers: &[Value]) -> Vec<String> {
    papers
        .iter()
        .map(|paper| clean(text(paper, "title")))
        .collect()
}

fn listed_titles(listed: &Listed) -> Vec<String> {
    listed
        .papers
        .iter()
        .map(|paper| paper.title.clone())
        .collect()
}

async fn page(page: String) -> String {
    serve(Router::new().fallback(async move |_: Uri| Html(page.clone()).into_response())).await
}

#[tokio::test]
async fn accepted_papers_are_told_by_their_decisions() {
    check_decisions(made(), 60).await;
}

#[tokio::test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
async fn the_accepted_papers_of_iclr_2018_are_told_by_their_decisions() {
    let samples = samples("iclr2018_paperlists_sample.json");
    assert_eq!(samples.len(), 150);
    check_decisions(samples, 58).await;
}

/// Lists papers as OpenReview's notes of ICLR 2018, where a reply is the decision.
async fn check_decisions(samples: Vec<Value>, n_accepted: usize) {
    let decision = |status: &str| match status {
        "Poster" => "Accept (Poster)",
        "Oral" => "Accept (Oral)",
        "Workshop" => "Invite to Workshop Track",
        _ => "Reject",
    };
    let note = |(number, sample): (usize, &Value)| {
        let reply = json!({"invitation": format!("ICLR.cc/2018/Conference/-/Paper{number}/Acceptance_Decision"),
            "content": {"decision": decision(text(sample, "status"))}});
        json!({"id": sample["id"], "forum": sample["id"], "number": number,
            "content": {"title": sample["title"], "abstract": sample["abstract"], "pdf": "/pdf/x.pdf"},
            "details": {"directReplies": [reply]}})
    };
    let notes: Vec<Value> = (1..).zip(&samples).map(note).collect();
    let count = notes.len();
    let body = json!({"notes": notes, "count": count});
    let site = serve(Router::new().fallback(async move |_: Uri| axum::Json(body.clone()))).await;
    let edition = Edition {
        source: Source::Iclr,
        year: 2018,
    };
    let hosts = hosts(&site, Source::Iclr);
    let listed = openreview::list(&Http::new(hasty()).unwrap(), &hosts, edition)
        .await
        .unwrap();
    let accepted: Vec<Value> = samples
        .into_iter()
        .filter(|sample| matches!(text(sample, "status"), "Poster" | "Oral"))
        .collect();
    assert_eq!(accepted.len(), n_accepted);
    assert_eq!(listed_titles(&listed), titles(&accepted));
}

#[tokio::test]
async fn hard_titles_survive_the_pages_of_proceedings() {
    check_book(&made()).await;
    check_volume(&made()).await;
}

#[tokio::test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
async fn real_titles_survive_the_pages_of_proceedings() {
    let nips = samples("nips2018_paperlists_sample.json");
    let icml = samples("icml2019_paperlists_sample.json");
    assert_eq!((nips.len(), icml.len()), (120, 120));
    check_book(&nips).await;
    check_volume(&icml).await;
}

/// Lists papers as the proceedings of NeurIPS 2018.
async fn check_book(papers: &[Value]) {
    let item = |(number, sample): (usize, &Value)| {
        format!(
            "<li class='conference'><a title='paper title' href='/paper_files/paper/2018/hash/{number:032x}-Abstract.html'>{}</a> <i>A, B</i></li>",
            escaped(text(sample, "title"))
        )
    };
    let items: String = papers.iter().enumerate().map(item).collect();
    let site = page(format!("<html><body><ul>{items}</ul></body></html>")).await;
    let edition = Edition {
        source: Source::Neurips,
        year: 2018,
    };
    let http = Http::new(hasty()).unwrap();
    let listed = proceedings::list(&http, &hosts(&site, edition.source), edition).await;
    assert_eq!(listed_titles(&listed.unwrap()), titles(papers));
}

/// Lists papers as PMLR's volume of ICML 2019.
async fn check_volume(papers: &[Value]) {
    let paper = |(number, sample): (usize, &Value)| {
        format!(
            "<div class='paper'><p class='title'>{}</p><p class='details'><span class='authors'>A,&nbsp;B</span></p>\
             <p class='links'>[<a href='/v97/k{number}a.html'>abs</a>][<a href='/v97/k{number}a/k{number}a.pdf'>Download PDF</a>]</p></div>",
            escaped(text(sample, "title"))
        )
    };
    let items: String = papers.iter().enumerate().map(paper).collect();
    let site = page(format!("<html><body>{items}</body></html>")).await;
    let edition = Edition {
        source: Source::Icml,
        year: 2019,
    };
    let http = Http::new(hasty()).unwrap();
    let listed = pmlr::list(&http, &hosts(&site, edition.source), edition).await;
    assert_eq!(listed_titles(&listed.unwrap()), titles(papers));
}

#[test]
fn posters_are_listed_once_each() {
    let mut posters = titles(&made());
    posters.extend_from_within(..7);
    check_posters(&posters);
}

#[test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
fn the_posters_of_neurips_2025_are_listed_once_each() {
    let sessions = samples_of_sessions();
    assert_eq!(sessions.len(), 5641);
    check_posters(&sessions);
}

/// Lists titles as the virtual site's page of all papers, where a paper may have several posters.
fn check_posters(sessions: &[String]) {
    let item = |(number, title): (usize, &String)| {
        let title = escaped(title);
        format!("<li><a href=\"/virtual/2025/poster/{number}\">{title}</a></li>")
    };
    let items: String = sessions.iter().enumerate().map(item).collect();
    let body = format!("<html><body><ul>{items}</ul></body></html>");
    let url = Url::parse("http://127.0.0.1:9/virtual/2025/papers.html").unwrap();
    let edition = Edition {
        source: Source::Neurips,
        year: 2025,
    };
    let hosts = hosts("http://127.0.0.1:9", Source::Neurips);
    let listed = virtual_pages::parse_list(body.as_bytes(), &url, &hosts, edition).unwrap();
    let different: BTreeSet<String> = sessions
        .iter()
        .map(|title| normalize_title(title))
        .collect();
    assert_eq!(listed.papers.len(), different.len());
    let ids: BTreeSet<PaperId> = different
        .iter()
        .map(|title| PaperId::of(title, None))
        .collect();
    assert_eq!(
        ids.len(),
        different.len(),
        "papers without abstracts keep apart"
    );
}

fn samples_of_sessions() -> Vec<String> {
    let sessions = outside("papers/neurips2025_poster_titles_by_session.json");
    let sessions: Value = serde_json::from_slice(&sessions).unwrap();
    let titles = sessions
        .as_object()
        .unwrap()
        .values()
        .flat_map(|titles| titles.as_array().unwrap());
    titles
        .map(|title| title.as_str().unwrap().to_owned())
        .collect()
}

/// Papers that a person picked, by their pages on the virtual site.
#[test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
fn addresses_of_real_pages_are_those_of_papers() {
    let picks = outside("relevance/neurips2025_human_picks.json");
    let picks: Vec<Value> = serde_json::from_slice(&picks).unwrap();
    assert_eq!(picks.len(), 67);
    let kept = picks
        .iter()
        .filter(|pick| !pick["human_kept_for_session"].is_null());
    assert_eq!(kept.count(), 56);
    let item = |pick: &Value| {
        let title = escaped(text(pick, "title"));
        format!("<li><a href=\"{}\">{title}</a></li>", text(pick, "url"))
    };
    let items: String = picks.iter().map(item).collect();
    let body = format!("<html><body><ul>{items}</ul></body></html>");
    let url = Url::parse("https://neurips.cc/virtual/2025/papers.html").unwrap();
    let edition = Edition {
        source: Source::Neurips,
        year: 2025,
    };
    let hosts = hosts("https://neurips.cc", Source::Neurips);
    let listed = virtual_pages::parse_list(body.as_bytes(), &url, &hosts, edition).unwrap();
    let mut found = listed_titles(&listed);
    let mut wanted = titles(&picks);
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
}

/// Documents of an index made before: every field is one of ours, but what an older program added.
#[test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
fn documents_of_an_earlier_index_have_the_fields_of_this_one() {
    let documents = outside("relevance/annapurna_index_documents.json");
    let documents: Value = serde_json::from_slice(&documents).unwrap();
    let documents = documents["documents"].as_array().unwrap();
    assert_eq!(documents.len(), 84);
    let known = PaperRecord::mapping_properties();
    let unknown: BTreeSet<&String> = documents
        .iter()
        .flat_map(|document| document.as_object().unwrap().keys())
        .filter(|field| !known.contains_key(*field))
        .collect();
    assert_eq!(
        unknown.into_iter().collect::<Vec<_>>(),
        ["_id", "test_results"]
    );
    assert!(documents.iter().all(|document| {
        text(document, "decision") == "accept" && text(document, "reason") == "testing purposes"
    }));
    let clusters = outside("relevance/annapurna_result_clusters.csv");
    let clusters = String::from_utf8(clusters).unwrap();
    let ids: BTreeSet<&str> = documents.iter().map(|it| text(it, "_id")).collect();
    let n_clustered = clusters
        .lines()
        .filter(|line| ids.iter().any(|id| line.starts_with(*id)))
        .count();
    assert_eq!((ids.len(), n_clustered), (84, 84));
}

/// PMLR writes a paper's names twice: in the bibliography, and given and family name apart.
#[test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
fn names_of_a_bibliography_are_those_of_the_papers_own_source() {
    let front_matter = outside("papers/pmlr_v220_front_matter_yip23a.md");
    let front_matter = String::from_utf8(front_matter).unwrap();
    let (_, authors) = front_matter.split_once("\nauthor:\n").unwrap();
    let mut names: Vec<[String; 3]> = Vec::new();
    for line in authors.lines() {
        let (field, value) = line.split_once(": ").unwrap_or((line, ""));
        let place = match field {
            "- given" => {
                names.push(Default::default());
                0
            }
            "  prefix" => 1,
            "  family" => 2,
            _ => break,
        };
        value.clone_into(&mut names.last_mut().unwrap()[place]);
    }
    let names: Vec<String> = names.iter().map(|name| clean(&name.join(" "))).collect();
    assert_eq!(names.len(), 22);
    let bibliography = outside("papers/pmlr_v220_neurips2022_competitions.bib");
    let entries = bibtex::parse(&String::from_utf8(bibliography).unwrap());
    assert_eq!(entries.len(), 20);
    let entry = entries.iter().find(|entry| entry.key.contains("yip23a"));
    let entry = entry.unwrap();
    let plain = |name: &String| bibtex::person_name(name).unwrap();
    let names: Vec<String> = names.iter().map(plain).collect();
    assert_eq!(entry.authors, names);
}
