use super::*;

#[test]
fn a_host_without_a_scheme_means_https() {
    let given = [
        (
            "search-x.eu-west-1.es.amazonaws.com",
            "https://search-x.eu-west-1.es.amazonaws.com/",
        ),
        ("http://127.0.0.1:9200", "http://127.0.0.1:9200/"),
        ("https://search.example/", "https://search.example/"),
    ];
    for (endpoint, expected) in given {
        assert_eq!(address(endpoint).unwrap().as_str(), expected);
    }
    assert!(address("ftp://search").is_err());
    assert!(address("").is_err());
}

#[test]
fn an_index_name_cannot_leave_its_place_in_the_path() {
    assert!(index_name("research-papers-v2").is_ok());
    for name in ["", "../_cluster", "a/b", "A", "_all", "*"] {
        assert!(index_name(name).is_err(), "{name}");
    }
}

async fn anyone() -> aws_config::SdkConfig {
    aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region("us-east-1")
        .credentials_provider(aws_credential_types::Credentials::new(
            "test", "test", None, None, "test",
        ))
        .load()
        .await
}

async fn index(prefix: &str) -> Search {
    let url = annapurna_local_testing::search_url().await;
    let name = annapurna_local_testing::unique_index(prefix);
    let search = Search::new(&anyone().await, &url, &name).unwrap();
    search.create_index_if_absent(0).await.unwrap();
    search
}

fn id(title: &str) -> PaperId {
    PaperId::of(title, None)
}

/// A unit vector that points along two axes.
fn vector(first: f32, second: f32) -> Vec<f32> {
    let mut vector = vec![0.0; annapurna_contract::model::EMBEDDING_DIMENSIONS];
    let length = first.hypot(second);
    vector[0] = first / length;
    vector[1] = second / length;
    vector
}

#[tokio::test]
async fn stages_write_their_own_fields_of_one_document() {
    let search = index("stages").await;
    let adam = id("Adam");
    assert_eq!(search.get(&adam).await.unwrap(), None);
    search
        .upsert(&adam, &json!({"title": "Adam", "code_generated": false}))
        .await
        .unwrap();
    search
        .upsert(&adam, &json!({"code_generated": true}))
        .await
        .unwrap();
    let record = search.get(&adam).await.unwrap().unwrap().record;
    assert_eq!(record.judged.title.as_deref(), Some("Adam"));
    assert_eq!(record.generated.code_generated, Some(true));
}

#[tokio::test]
async fn a_field_that_is_not_mapped_is_refused_by_name() {
    let search = index("strict").await;
    let error = search
        .upsert(&id("Adam"), &json!({"surprise": 1}))
        .await
        .unwrap_err();
    assert!(
        matches!(error, SearchError::Refused { status: 400, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("surprise"), "{error}");
}

#[tokio::test]
async fn changes_at_the_same_time_all_count() {
    let search = index("change").await;
    let adam = id("Adam");
    assert_eq!(search.change(&adam, |_| true).await.unwrap(), None);
    search
        .upsert(&adam, &json!({"test_attempts": 0}))
        .await
        .unwrap();
    let add_one = |record: &mut PaperRecord| {
        record.tested.test_attempts = record.tested.test_attempts.map(|number| number + 1);
        true
    };
    let changes = [
        search.change(&adam, add_one),
        search.change(&adam, add_one),
        search.change(&adam, add_one),
    ];
    for change in futures::future::join_all(changes).await {
        change.unwrap();
    }
    let record = search.get(&adam).await.unwrap().unwrap().record;
    assert_eq!(record.tested.test_attempts, Some(3));
}

#[tokio::test]
async fn the_nearest_paper_comes_first_with_its_cosine() {
    let search = index("nearest").await;
    assert_eq!(search.nearest(&vector(1.0, 0.0), 3).await.unwrap(), []);
    for (title, embedding) in [
        ("same", vector(1.0, 0.0)),
        ("half", vector(1.0, 3.0_f32.sqrt())),
    ] {
        let part = json!({"title": title, "abstract_embedding": embedding});
        search.upsert(&id(title), &part).await.unwrap();
    }
    search.refresh().await.unwrap();
    let found = search.nearest(&vector(2.0, 0.0), 3).await.unwrap();
    assert_eq!(found[0].0, id("same"));
    assert_eq!(found[1].0, id("half"));
    assert!((found[0].1 - 1.0).abs() < 1e-3, "{found:?}");
    assert!((found[1].1 - 0.5).abs() < 1e-3, "{found:?}");
}

#[tokio::test]
async fn a_search_gives_records_without_vectors() {
    let search = index("search").await;
    let part = json!({"title": "Attention", "abstract_embedding": vector(1.0, 0.0)});
    search.upsert(&id("Attention"), &part).await.unwrap();
    search.refresh().await.unwrap();
    search.create_index_if_absent(0).await.unwrap();
    let query = json!({"query": {"match": {"title": "attention AND (\"unclosed"}}});
    let found = search.search(&query).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, id("Attention"));
    assert_eq!(found[0].1.judged.abstract_embedding, None);
}

#[tokio::test]
async fn an_index_that_cannot_be_reached_is_not_available() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut search = index("gone").await;
    search.endpoint = Url::parse(&format!("http://{address}/")).unwrap();
    let error = search.get(&id("Adam")).await.unwrap_err();
    assert!(matches!(error, SearchError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn a_near_paper_without_its_score_is_an_error_and_not_a_far_one() {
    let found = json!({"hits": {"hits": [{"_id": id("Adam"), "_score": null}]}});
    let router = axum::Router::new().fallback(async move || axum::Json(found));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let search = Search::new(&anyone().await, &format!("http://{address}"), "papers").unwrap();
    let error = search.nearest(&vector(1.0, 0.0), 3).await.unwrap_err();
    assert!(matches!(error, SearchError::NoScore { .. }), "{error}");
    assert!(error.to_string().contains(id("Adam").as_str()), "{error}");
}

fn verdict(title: &str) -> annapurna_contract::Verdict {
    let verdict = json!({
        "paper_id": id(title), "decision": "accept", "source": "ICLR", "year": 2025,
        "record": {"title": title, "reason": "it trains", "ingested_at": "2026-01-02T03:04:05Z"},
    });
    serde_json::from_value(verdict).unwrap()
}

#[tokio::test]
async fn each_stage_puts_its_part_into_the_state_of_a_paper() {
    use annapurna_contract::status::{GeneratedStatus, GenerationState};
    use annapurna_contract::{Outcome, TestResult, TestStatus};

    let states = index("states").await.states();
    let adam = id("Adam");
    let missing = states.get(&adam).await.unwrap_err();
    assert!(
        matches!(missing, SearchError::Refused { status: 404, .. }),
        "{missing}"
    );
    let unwritten = states.judged(&verdict("Adam")).await.unwrap_err();
    assert!(unwritten.to_string().contains("-status"), "{unwritten}");
    states.create_index_if_absent(0).await.unwrap();
    states.create_index_if_absent(0).await.unwrap();
    assert_eq!(states.get(&adam).await.unwrap(), None);
    let generated = GeneratedStatus {
        state: Some(GenerationState::Checked),
        plan: Some(json!({"claims": [{"id": 1, "a.b": "x".repeat(40_000)}]})),
        ..GeneratedStatus::default()
    };
    let result = TestResult {
        status: Some(TestStatus::Success),
        outcome: Some(Outcome::Trained),
        finished_at: "2026-01-02T03:04:05.678Z".to_owned(),
        ..TestResult::default()
    };
    // All at once: none overwrites what another wrote.
    let verdict = verdict("Adam");
    let (judged, written, tested) = tokio::join!(
        states.judged(&verdict),
        states.generated(&adam, &generated),
        states.tested(&adam, &result),
    );
    for part in [judged, written, tested] {
        part.unwrap();
    }
    let state = states.get(&adam).await.unwrap().unwrap();
    assert_eq!(state.heading.stage.as_deref(), Some("trained"));
    assert_eq!(state.heading.title.as_deref(), Some("Adam"));
    assert_eq!(state.generated, Some(generated));
    states.refresh().await.unwrap();
    let newest = states.newest(5).await.unwrap();
    assert_eq!(newest, [(adam.clone(), state.clone())]);
    let found = states.of(&[adam.clone(), id("Lion")]).await.unwrap();
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [(adam.clone(), state.clone())]
    );
    // The same again writes nothing.
    states.tested(&adam, &result).await.unwrap();
    assert_eq!(states.get(&adam).await.unwrap(), Some(state));
}
