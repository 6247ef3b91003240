//! OpenSearch as tests and `infra` get it: the real server.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use annapurna_contract::PaperRecord;
use annapurna_local_testing::{search_url, unique_index};
use serde_json::{Value, json};

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()
        .unwrap()
}

async fn put(url: &str, body: &Value) -> Value {
    let answer = client().put(url).json(body).send().await.unwrap();
    let status = answer.status();
    let body = answer.json().await.unwrap();
    assert!(status.is_success(), "{body}");
    body
}

#[tokio::test]
async fn the_version_is_the_domains() {
    let answer: Value = client()
        .get(search_url().await)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        answer["version"]["number"],
        annapurna_local::opensearch::VERSION
    );
}

#[tokio::test]
async fn the_paper_index_is_created_and_finds_the_nearest_vector() {
    let url = format!("{}/{}", search_url().await, unique_index("papers"));
    put(&url, &PaperRecord::index_body(0)).await;
    let dimensions = annapurna_contract::model::EMBEDDING_DIMENSIONS;
    let vector = |at: usize| {
        let mut vector = vec![0.0; dimensions];
        vector[at] = 1.0;
        vector
    };
    for at in 0..3 {
        let document = json!({"title": format!("paper {at}"), "abstract_embedding": vector(at)});
        put(&format!("{url}/_doc/{at}?refresh=true"), &document).await;
    }
    let query = json!({"query": {"knn": {"abstract_embedding": {"vector": vector(2), "k": 1}}}});
    let found: Value = client()
        .post(format!("{url}/_search"))
        .json(&query)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(found["hits"]["hits"][0]["_id"], "2", "{found}");
}

#[tokio::test]
async fn documents_are_deleted_by_query() {
    let url = format!("{}/{}", search_url().await, unique_index("delete"));
    put(&format!("{url}/_doc/1?refresh=true"), &json!({"a": 1})).await;
    let query = json!({"query": {"match_all": {}}});
    let answer: Value = client()
        .post(format!("{url}/_delete_by_query"))
        .json(&query)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer["deleted"], 1, "{answer}");
}
