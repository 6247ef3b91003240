//! What OpenSearch acknowledged survives a kill -9, in a server of the test's own.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use annapurna_local::process::{self, Detached};
use annapurna_local::{Home, opensearch};
use annapurna_local_testing::{search_url, test_home};
use serde_json::{Value, json};

/// Ends the server whatever happens to the test.
struct Stopped(Home);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = process::stop_now(&self.0, opensearch::SERVICE, Duration::ZERO);
    }
}

async fn get(url: &str) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(url).send().await.unwrap().json().await.unwrap()
}

/// The folder is closed to other users, as one below /root is: run by root, the server then takes the
/// way through a user namespace; run by anybody else, the folder is simply theirs.
#[tokio::test]
async fn an_acknowledged_document_survives_kill_9() {
    search_url().await;
    let folder = tempfile::tempdir().unwrap();
    let home = Home::sharing_tools(folder.path().join("local"), &test_home());
    let _stopped = Stopped(home.clone());

    let search = opensearch::start(&home, &Detached).await.unwrap();
    let document = format!("{}/papers/_doc/1", search.url);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client
        .put(&document)
        .json(&json!({"title": "kept"}))
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success());
    let before = process::running(&home, opensearch::SERVICE).unwrap();
    assert_eq!(
        opensearch::start(&home, &Detached).await.unwrap(),
        search,
        "a running server is not started again"
    );
    assert_eq!(
        process::running(&home, opensearch::SERVICE).unwrap(),
        before
    );

    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(before.pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    while opensearch::running(&home).is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let again = opensearch::start(&home, &Detached).await.unwrap();
    assert_eq!(again, search, "the port is remembered");
    assert_eq!(get(&document).await["_source"]["title"], "kept");

    assert!(opensearch::stop(&home).await.unwrap());
    assert!(
        !opensearch::stop(&home).await.unwrap(),
        "stopping twice is fine"
    );
    assert!(opensearch::running(&home).is_none());
}
