//! Which data sets a program finds, whatever becomes of the bucket.

use std::collections::BTreeMap;
use std::sync::Arc;

use annapurna_contract::dataset::{DatasetDescription, File, Kind, Tensor};
use annapurna_contract::keys;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::{Bench, MemoryStore, interpreter, needs_torch};
use crate::worker::{batch, paper, program, work};

/// A safetensors file of pictures `[2, 1, 1, 1]`, all of one value, with the classes 0 and 1.
fn pictures(value: u8) -> Vec<u8> {
    let header = json!({
        "x": {"dtype": "U8", "shape": [2, 1, 1, 1], "data_offsets": [0, 2]},
        "y": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]},
    })
    .to_string();
    let length = header.len() as u64;
    [
        &length.to_le_bytes()[..],
        header.as_bytes(),
        &[value, value, 0, 1],
    ]
    .concat()
}

fn describe(name: &str, halves: &[Vec<u8>; 2]) -> DatasetDescription {
    let file = |part: &str, bytes: &[u8]| {
        let sha256 = hex::encode(Sha256::digest(bytes));
        File::of(part, "safetensors", sha256, bytes.len() as u64)
    };
    let parts = ["train", "test"].into_iter().zip(halves);
    let files = parts.map(|(part, bytes)| (part.to_owned(), file(part, bytes)));
    let tensor = |shape: &[u64], dtype: &str| Tensor {
        shape: shape.to_vec(),
        dtype: dtype.to_owned(),
        range: (0.0, 1.0),
    };
    DatasetDescription {
        name: name.to_owned(),
        description: "two points".to_owned(),
        kind: Kind::Images,
        input: tensor(&[1, 1, 1], "float32"),
        target: tensor(&[], "int64"),
        n_classes: Some(2),
        classes: Vec::new(),
        vocabulary: None,
        train: 2,
        test: 2,
        licence: "ours".to_owned(),
        source: "this test".to_owned(),
        files: files.collect::<BTreeMap<_, _>>(),
    }
}

fn put(store: &MemoryStore, name: &str, value: u8) -> DatasetDescription {
    let halves = [pictures(value), pictures(0)];
    let description = describe(name, &halves);
    let mut objects = store.objects.lock().unwrap();
    for (part, bytes) in ["train", "test"].iter().zip(halves) {
        let key = keys::dataset_file(name, &description.files[*part]);
        objects.insert(format!("datasets/{key}"), bytes);
    }
    let json = serde_json::to_vec(&description).unwrap();
    objects.insert(
        format!("datasets/{}", keys::dataset_description(name)),
        json,
    );
    description
}

/// An agent starts, runs the program twice for two papers, and stops: what the program printed, and what happened.
async fn run(bench: &Bench, store: &Arc<MemoryStore>, code: &str) -> (String, Vec<String>) {
    let papers = ["one", "two"].map(paper);
    {
        let mut objects = store.objects.lock().unwrap();
        objects.retain(|key, _| !key.starts_with("outputs/"));
        for paper in &papers {
            objects.insert(format!("code/{}", keys::code(paper)), code.into());
        }
    }
    store.events.lock().unwrap().clear();
    let message = batch(&papers.each_ref().map(|paper| program(paper, "")));
    let events = work(Ok(bench.sandbox.clone()), Arc::clone(store), message).await;
    let objects = store.objects.lock().unwrap();
    let printed = papers.map(|paper| {
        objects
            .get(&format!("outputs/{paper}/outputs/stdout.log"))
            .cloned()
    });
    assert_eq!(printed[0], printed[1], "{events:?}");
    let printed = printed[0].clone().unwrap_or_default();
    (String::from_utf8(printed).unwrap(), events)
}

/// Prints the value of the first sample of the set whose name is made of two parts.
const LOADS: &str = "from dataset_loader import load_dataset, list_available_datasets\n\
                     train, test = load_dataset('mn' + 'ist')\n\
                     print(round(float(train[0][0]) * 255), len(train), list_available_datasets()['in_s3'])";

#[tokio::test]
async fn a_name_built_at_run_time_loads_and_files_are_fetched_once() {
    let Some(bench) = Bench::best() else { return };
    if needs_torch(interpreter()).is_none() {
        return;
    }
    let store = Arc::new(MemoryStore::default());
    put(&store, "mnist", 7);
    put(&store, "my_own", 1);
    for n_fetched in [4, 0] {
        let (printed, events) = run(&bench, &store, LOADS).await;
        assert_eq!(printed, "7 2 ['mnist', 'my_own']\n");
        let fetched = events.iter().filter(|event| event.starts_with("fetch"));
        assert_eq!(fetched.count(), n_fetched, "{events:?}");
    }
}

#[tokio::test]
async fn a_program_cannot_change_a_set() {
    let Some(bench) = Bench::best() else { return };
    let store = Arc::new(MemoryStore::default());
    let description = put(&store, "mnist", 7);
    let code = "import os\nfolder = os.environ['DATASETS_DIR'] + '/mnist/'\n\
                for name in [*os.listdir(folder), 'new']:\n\
                \x20   try:\n        open(folder + name, 'r+' if name != 'new' else 'w').write('x')\n\
                \x20   except OSError:\n        print('refused')";
    let (printed, _) = run(&bench, &store, code).await;
    assert_eq!(printed, "refused\n".repeat(4));
    let folder = bench.sandbox.parts().datasets().join("mnist");
    let kept = std::fs::read(folder.join(&description.files["train"].name)).unwrap();
    assert_eq!(kept, pictures(7));
}

#[tokio::test]
async fn a_file_that_is_damaged_or_missing_is_no_papers_result() {
    let Some(bench) = Bench::best() else { return };
    for is_there in [true, false] {
        let store = Arc::new(MemoryStore::default());
        let description = put(&store, "mnist", 7);
        let key = keys::dataset_file("mnist", &description.files["test"]);
        let key = format!("datasets/{key}");
        if is_there {
            store.objects.lock().unwrap().insert(key, pictures(9));
        } else {
            store.objects.lock().unwrap().remove(&key);
        }
        let (printed, events) = run(&bench, &store, "print(1)").await;
        assert_eq!(printed, "");
        assert!(
            !events.iter().any(|event| event.starts_with("put")),
            "{events:?}"
        );
        assert!(
            !events.contains(&"delete".to_owned()),
            "the message comes again: {events:?}"
        );
        let folder = bench.sandbox.parts().datasets().join("mnist");
        assert!(
            !folder.join("dataset.json").exists(),
            "a program would find half a set"
        );
    }
}

#[tokio::test]
async fn another_version_takes_the_place_of_one_and_a_removed_set_is_gone() {
    let Some(bench) = Bench::best() else { return };
    let store = Arc::new(MemoryStore::default());
    let first = put(&store, "mnist", 7);
    put(&store, "gone", 1);
    // An agent that was killed left these: of an earlier layout, of no version, and half a file.
    let state = bench.sandbox.parts().datasets();
    std::fs::create_dir_all(state.join("mnist")).unwrap();
    for stray in [
        "cifar10.pt",
        "mnist/train-0123456789abcdef.safetensors",
        "mnist/x.partial",
    ] {
        std::fs::write(state.join(stray), "stray").unwrap();
    }
    let names = |set: &str| -> Vec<String> {
        let entries = std::fs::read_dir(state.join(set)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        sorted(names.collect())
    };
    let of = |description: &DatasetDescription| {
        let files = description.files.values().map(|file| file.name.clone());
        sorted(files.chain(["dataset.json".to_owned()]).collect())
    };
    run(&bench, &store, "print(1)").await;
    assert_eq!(names("mnist"), of(&first));
    assert_eq!(names("gone").len(), 3);
    assert_eq!(names(""), ["gone", "mnist"]);
    let second = put(&store, "mnist", 8);
    store
        .objects
        .lock()
        .unwrap()
        .retain(|key, _| !key.contains("/gone/"));
    for _ in 0..2 {
        run(&bench, &store, "print(1)").await;
        assert!(names("mnist").contains(&second.files["train"].name));
        assert!(!names("gone").contains(&"dataset.json".to_owned()));
    }
    assert_eq!(
        names("mnist"),
        of(&second),
        "what no description names goes with the next start"
    );
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[tokio::test]
async fn a_set_whose_description_is_damaged_is_passed_over() {
    let Some(bench) = Bench::best() else { return };
    let store = Arc::new(MemoryStore::default());
    put(&store, "mnist", 7);
    for (key, json) in [
        ("broken/dataset.json", "{"),
        ("synthetic/metadata.json", "{}"),
        ("../x/dataset.json", "{}"),
        ("other/dataset.json", r#"{"name": "mnist"}"#),
    ] {
        let mut objects = store.objects.lock().unwrap();
        objects.insert(format!("datasets/{key}"), json.into());
    }
    let code = "import os\nprint(sorted(os.listdir(os.environ['DATASETS_DIR'])))";
    let (printed, _) = run(&bench, &store, code).await;
    assert_eq!(printed, "['mnist']\n");
}
