//! Data sets: imported from files in their publishers' formats, uploaded, and trained on by a program each.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::support::Deployment;
use crate::{ends, says};

#[path = "../../datasets/tests/it/files.rs"]
mod files;

const SIX: [&str; 6] = [
    "cifar10",
    "cifar100",
    "mnist",
    "fashion_mnist",
    "imdb",
    "wikitext2",
];

/// A program that learns any set: the mean loss of its last epoch is below that of its first.
const PROGRAM: &str = r#"
import json, torch
from dataset_loader import describe_dataset, list_available_datasets, load_dataset
name = "".join(NAME)
train, test = load_dataset(name, batch_size=16)
if name != "synthetic":
    about = describe_dataset(name)
    assert name in list_available_datasets()["in_s3"]
else:
    about = {"n_classes": 4, "vocabulary": None}
x, y = next(iter(train))
torch.manual_seed(0)
classes = about["n_classes"] or about["vocabulary"]
if x.is_floating_point():
    assert 0 <= x.min() and x.max() <= 1 or name == "synthetic"
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(x[0].numel(), classes))
elif y.dim() == 1:
    model = torch.nn.Sequential(torch.nn.EmbeddingBag(about["vocabulary"], 8), torch.nn.Linear(8, classes))
else:
    model = torch.nn.Sequential(torch.nn.Embedding(about["vocabulary"], 8), torch.nn.Linear(8, classes))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
losses = []
for epoch in range(4):
    total = count = 0
    for x, y in train:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x).reshape(-1, classes), y.reshape(-1))
        loss.backward()
        optimizer.step()
        total, count = total + float(loss), count + 1
    losses.append(total / count)
tested = sum(len(y) for _, y in test)
print("METRICS: " + json.dumps({"training_loss": losses[-1], "first_loss": losses[0], "tested": tested}))
"#;

pub(crate) fn sets_are_imported_and_trained_on(deployment: &Deployment) {
    what_cannot_be_is_refused(deployment);
    let folder = tempfile::tempdir().unwrap();
    files::publish_all(folder.path());
    six_sets_are_imported(deployment, folder.path());
    an_own_set_is_added(deployment);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(what_papers_want_is_counted(deployment));
    runtime.block_on(an_import_goes_on_where_it_was_cut_off(
        deployment,
        folder.path(),
    ));
    runtime.block_on(each_set_is_trained_on(deployment));
}

fn what_cannot_be_is_refused(deployment: &Deployment) {
    let datasets = |code: i32, rest: &[&str]| {
        let (_, said) = ends(deployment, code, &[&["datasets", "local"], rest].concat());
        said
    };
    says(
        &datasets(2, &["import", "imagenet"]),
        &["no data set `imagenet`", "cifar10, cifar100"],
    );
    says(
        &datasets(2, &["import", "synthetic"]),
        &["it is always there"],
    );
    says(
        &datasets(2, &["import", "mnist", "--from", "/nowhere"]),
        &["is no folder", "s3://BUCKET"],
    );
    says(
        &datasets(2, &["upload"]),
        &["no data set was made on this machine"],
    );
    let add = |name| datasets(2, &["add", name, "/tmp", "--description", "x"]);
    says(&add("My Set"), &["small letter"]);
    says(&add("mnist"), &["the name of another set"]);
    let empty = tempfile::tempdir().unwrap();
    let from = ["import", "imdb", "--from", empty.path().to_str().unwrap()];
    says(&datasets(2, &from), &["aclImdb_v1.tar.gz"]);
}

fn states(deployment: &Deployment) -> Vec<(String, String)> {
    let listed = deployment.json(&["datasets", "local", "list", "--json"]);
    let sets = listed["datasets"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    sets.map(|set| (text(&set["name"]), text(&set["state"])))
        .collect()
}

fn six_sets_are_imported(deployment: &Deployment, folder: &Path) {
    let before = states(deployment);
    assert!(
        SIX.iter()
            .all(|name| before.contains(&((*name).to_owned(), "absent".to_owned()))),
        "{before:?}"
    );
    let mnist = folder.join("mnist");
    let strict = [
        "datasets",
        "local",
        "import",
        "mnist",
        "--from",
        mnist.to_str().unwrap(),
    ];
    let (_, said) = ends(deployment, 2, &strict);
    says(
        &said,
        &[
            "its publisher's has f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "--any-version",
        ],
    );
    for name in SIX {
        let from = folder.join(name);
        let import = [
            "datasets",
            "local",
            "import",
            name,
            "--from",
            from.to_str().unwrap(),
            "--any-version",
        ];
        deployment.infra(&import);
    }
    let after = states(deployment);
    assert!(
        SIX.iter()
            .all(|name| after.contains(&((*name).to_owned(), "there".to_owned()))),
        "{after:?}"
    );
    let (_, said) = ends(deployment, 0, &["datasets", "local", "upload", "mnist"]);
    says(&said, &["0 of 2 files were new"]);
    let table = deployment.infra(&["datasets", "local", "list"]);
    says(&table, &["WHAT IT IS", "Fashion-MNIST", "synthetic_tokens"]);
}

fn an_own_set_is_added(deployment: &Deployment) {
    let folder = tempfile::tempdir().unwrap();
    for half in ["train", "test"] {
        let path = folder.path().join(format!("{half}.csv"));
        std::fs::write(path, "a,b,class\n1,2,0\n3,4,1\n").unwrap();
    }
    let folder = folder.path().to_str().unwrap();
    let add = [
        "datasets",
        "local",
        "add",
        "sensors",
        folder,
        "--description",
        "two machines",
    ];
    deployment.infra(&add);
    let there = ("sensors".to_owned(), "there".to_owned());
    assert!(states(deployment).contains(&there));
}

async fn what_papers_want_is_counted(deployment: &Deployment) {
    let wishes = ["ImageNet", "imagenet", "coco", "CIFAR-10", "none"];
    for (n, wish) in wishes.into_iter().enumerate() {
        let metadata = json!({"paper_id": format!("{n:032x}"), "wanted_dataset": wish});
        let request = deployment.s3().put_object().bucket("papers-code-artifacts");
        let request = request.key(format!("{n:032x}/metadata.json"));
        request
            .body(metadata.to_string().into_bytes().into())
            .send()
            .await
            .unwrap();
    }
    let list = ["datasets", "local", "list", "--json"];
    let listed = tokio::task::block_in_place(|| deployment.json(&list));
    let expected = json!([{"dataset": "imagenet", "papers": 2}, {"dataset": "coco", "papers": 1}]);
    assert_eq!(listed["wishes"], expected, "{listed}");
    for n in 0..wishes.len() {
        let request = deployment
            .s3()
            .delete_object()
            .bucket("papers-code-artifacts");
        request
            .key(format!("{n:032x}/metadata.json"))
            .send()
            .await
            .unwrap();
    }
}

/// A server that cuts the first answer for each file off in its middle.
async fn an_import_goes_on_where_it_was_cut_off(deployment: &Deployment, folder: &Path) {
    let n_asked = Arc::new(AtomicUsize::new(0));
    let state = (folder.join("imdb"), Arc::clone(&n_asked));
    let router = Router::new()
        .route("/{file}", get(half_first))
        .with_state(state);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let import = [
        "datasets",
        "local",
        "import",
        "imdb",
        "--any-version",
        "--from",
        &address,
    ];
    tokio::task::block_in_place(|| deployment.infra(&import));
    assert_eq!(
        n_asked.load(Ordering::SeqCst),
        2,
        "the rest was asked for, once"
    );
    let lost = format!("{address}/elsewhere");
    let (_, said) = tokio::task::block_in_place(|| {
        ends(
            deployment,
            3,
            &["datasets", "local", "import", "cifar10", "--from", &lost],
        )
    });
    says(
        &said,
        &[
            "elsewhere/cifar-10-binary.tar.gz did not come: HTTP status 404",
            "--from",
        ],
    );
    server.abort();
}

async fn half_first(
    State((folder, n_asked)): State<(std::path::PathBuf, Arc<AtomicUsize>)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let bytes = std::fs::read(folder.join(uri.path().trim_start_matches('/'))).unwrap();
    n_asked.fetch_add(1, Ordering::SeqCst);
    let Some(range) = headers.get("range") else {
        let half = bytes[..bytes.len() / 2].to_vec();
        let length = [("content-length", bytes.len().to_string())];
        // The pause has the first half sent before the connection ends.
        let cut = futures::stream::once(async { Ok(half) }).chain(futures::stream::once(async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            Err(std::io::Error::other("cut off"))
        }));
        return (length, Body::from_stream(cut)).into_response();
    };
    let begin = range
        .to_str()
        .unwrap()
        .trim_start_matches("bytes=")
        .trim_end_matches('-');
    let begin: usize = begin.parse().unwrap();
    assert_eq!(begin, bytes.len() / 2);
    (StatusCode::PARTIAL_CONTENT, bytes[begin..].to_vec()).into_response()
}

async fn each_set_is_trained_on(deployment: &Deployment) {
    let url = format!(
        "http://127.0.0.1:{}/execute",
        deployment.service("agent")["port"]
    );
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for name in SIX.into_iter().chain(["synthetic"]) {
        // The name stands nowhere in the program as one text.
        let letters: Vec<String> = name.chars().map(String::from).collect();
        let code = PROGRAM.replace("NAME", &json!(letters).to_string());
        let body = json!({"code": code, "timeout": 300});
        let answer = client.post(&url).json(&body).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["success"], true, "{name}: {answer}");
        let metrics = &answer["metrics"];
        let [first, last] =
            ["first_loss", "training_loss"].map(|key| metrics[key].as_f64().unwrap());
        assert!(last < first, "{name}: {metrics}");
        assert!(metrics["tested"].as_u64().unwrap() > 0, "{name}: {metrics}");
    }
}
