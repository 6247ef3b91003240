//! What is in the bucket, what could be, and what papers want.

use std::collections::BTreeMap;

use annapurna_cloud::{ObjectStore, S3};
use annapurna_contract::Bucket;
use annapurna_contract::dataset::{self, DatasetDescription, Wish};
use annapurna_contract::keys;
use annapurna_datasets::RECIPES;
use futures::StreamExt;
use serde::Serialize;

use crate::commands::{Context, Target};
use crate::error::CommandError;
use crate::ui;

/// Programs whose wishes are counted, those with the last keys left out; each takes a request.
const MOST_PROGRAMS: usize = 20_000;
/// Requests at a time.
const AT_ONCE: usize = 32;
/// Largest `metadata.json` that is read, bytes.
const METADATA_LIMIT: u64 = 1 << 20;

#[derive(Debug, Serialize)]
struct Listed {
    datasets: Vec<Set>,
    /// The most wanted first.
    wishes: Vec<Wanted>,
    /// Programs that were asked.
    programs: usize,
}

#[derive(Debug, Serialize)]
struct Set {
    name: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<DatasetDescription>,
}

#[derive(Debug, Serialize)]
struct Wanted {
    dataset: String,
    papers: usize,
}

pub(super) async fn list(cx: &Context, target: &Target, json: bool) -> Result<(), CommandError> {
    let store = S3::new(&target.cloud.config);
    let datasets = sets(&store, &target.bucket(Bucket::Datasets)?).await?;
    let step = cx.ui.begin("Counting what papers want");
    let (wishes, programs) = wishes(target, &store, &datasets).await?;
    drop(step);
    let listed = Listed {
        datasets,
        wishes,
        programs,
    };
    if json {
        return cx.ui.json(&listed);
    }
    let rows: Vec<Vec<String>> = listed.datasets.iter().map(Set::row).collect();
    let header = ["DATA SET", "STATE", "TRAIN", "TEST", "MIB", "WHAT IT IS"];
    cx.ui.result(ui::table(&header, &rows))?;
    if !listed.wishes.is_empty() {
        let row = |it: &Wanted| vec![it.papers.to_string(), it.dataset.clone()];
        let rows: Vec<Vec<String>> = listed.wishes.iter().map(row).collect();
        cx.ui
            .result(format!("\n{}", ui::table(&["PAPERS", "WANT"], &rows)))?;
    }
    Ok(())
}

impl Set {
    fn row(&self) -> Vec<String> {
        let of = |value: &dyn Fn(&DatasetDescription) -> String| {
            self.description
                .as_ref()
                .map_or_else(|| "-".to_owned(), value)
        };
        let what = match (&self.problem, &self.description) {
            (Some(problem), _) => ui::one_line(problem, 90),
            (None, Some(description)) => ui::one_line(&description.description, 90),
            (None, None) => "import it: cargo infra datasets ENV import".to_owned(),
        };
        vec![
            self.name.clone(),
            self.state.to_owned(),
            of(&|it| it.train.to_string()),
            of(&|it| it.test.to_string()),
            of(&|it| (it.bytes() >> 20).to_string()),
            what,
        ]
    }
}

/// The bucket's sets, those that the loader makes, and those that could be imported.
async fn sets(store: &S3, bucket: &str) -> Result<Vec<Set>, CommandError> {
    let mut sets = Vec::new();
    for name in store.folders(bucket).await? {
        if dataset::check_name(&name).is_err() {
            continue;
        }
        let key = keys::dataset_description(&name);
        let Some(json) = store.get(bucket, &key, dataset::DESCRIPTION_LIMIT).await? else {
            continue;
        };
        let read = DatasetDescription::read(&name, &json);
        sets.push(Set {
            name,
            state: if read.is_ok() { "there" } else { "damaged" },
            problem: read.as_ref().err().map(ToString::to_string),
            description: read.ok(),
        });
    }
    sets.extend(dataset::synthetic().map(|description| Set {
        name: description.name.clone(),
        state: "made",
        problem: None,
        description: Some(description),
    }));
    for recipe in RECIPES {
        if !sets.iter().any(|set| set.name == recipe.name) {
            sets.push(Set {
                name: recipe.name.to_owned(),
                state: "absent",
                problem: None,
                description: None,
            });
        }
    }
    Ok(sets)
}

/// How many papers want each set that is not there, and how many programs were asked.
async fn wishes(
    target: &Target,
    store: &S3,
    sets: &[Set],
) -> Result<(Vec<Wanted>, usize), CommandError> {
    let bucket = target.bucket(Bucket::Code)?;
    let request = target.cloud.s3.list_objects_v2().bucket(&bucket);
    let mut pages = request.into_paginator().send();
    let mut metadata = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(CommandError::aws(format!("list s3://{bucket}")))?;
        let keys = page.contents().iter().filter_map(|it| it.key());
        let keys = keys.filter(|key| key.ends_with("/metadata.json"));
        metadata.extend(keys.map(str::to_owned));
        if metadata.len() >= MOST_PROGRAMS {
            metadata.truncate(MOST_PROGRAMS);
            break;
        }
    }
    let programs = metadata.len();
    let read = metadata
        .iter()
        .map(|key| store.get(&bucket, key, METADATA_LIMIT));
    let mut read = futures::stream::iter(read).buffer_unordered(AT_ONCE);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    while let Some(json) = read.next().await {
        let Some(json) = json? else { continue };
        // What is no metadata wishes for nothing.
        let wish: Option<Wish> = serde_json::from_slice(&json).ok();
        let wanted = wish.and_then(|it| it.wanted_dataset);
        if let Some(name) = wanted.and_then(|it| dataset::wish(&it)) {
            *counts.entry(name).or_insert(0) += 1;
        }
    }
    let letters = |name: &str| name.replace(['-', '_'], "");
    let is_there = |name: &str| {
        let is_it = |set: &&Set| set.state != "absent" && letters(&set.name) == letters(name);
        sets.iter().any(|set| is_it(&set))
    };
    let mut wishes: Vec<Wanted> = counts
        .into_iter()
        .filter(|(name, _)| !is_there(name))
        .map(|(dataset, papers)| Wanted { dataset, papers })
        .collect();
    wishes.sort_by_key(|it| std::cmp::Reverse(it.papers));
    Ok((wishes, programs))
}
