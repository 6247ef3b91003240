//! The HTTP API over a real connection.

use std::sync::Arc;

use annapurna_contract::{AgentHealth, BatchResults, ErrorType, Isolation, PaperId};
use serde_json::{Value, json};
use trainium_agent::{NoSandbox, router};

use crate::support::{
    Bench, MemoryStore, PATIENCE, executor, is_running, serve, unique_name, until,
};

struct Api {
    base: String,
    client: reqwest::Client,
    store: Arc<MemoryStore>,
    _trigger: trainium_agent::ShutdownTrigger,
    _bench: Option<Bench>,
}

impl Api {
    async fn start(bench: Option<Bench>, token: Option<&str>) -> Self {
        let store = Arc::new(MemoryStore::default());
        let sandbox = match &bench {
            Some(bench) => Ok(bench.sandbox.clone()),
            None => Err(NoSandbox(vec![(Isolation::Bubblewrap, "none".to_owned())])),
        };
        let (executor, trigger) = executor(sandbox, Arc::clone(&store));
        Self {
            base: serve(router(executor, token)).await,
            client: reqwest::Client::new(),
            store,
            _trigger: trigger,
            _bench: bench,
        }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let request = self.client.get(format!("{}{path}", self.base));
        let answer = request.timeout(PATIENCE).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.client.post(format!("{}{path}", self.base)).json(&body);
        let answer = request.timeout(PATIENCE).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

#[tokio::test]
async fn a_batch_is_answered_in_the_promised_shape() {
    let Some(bench) = Bench::best() else { return };
    let api = Api::start(Some(bench), None).await;
    let (good, bad) = (PaperId::of("good", None), PaperId::of("bad", None));
    let body = json!({"timeout": 600, "batch": [
        {"paper_id": good, "paper_title": "Adam", "code": "print('METRICS: {\"a\": 1}')", "s3_code_key": ""},
        {"paper_id": bad, "paper_title": "Bad", "code": "import nothing_like_this", "s3_code_key": "k"},
    ]});
    let (status, answer) = api.post("/execute_batch", body).await;
    assert_eq!(status, 200, "{answer}");
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["success", "batch_size", "successful", "failed", "results"]
    );
    let counts = ["success", "batch_size", "successful", "failed"].map(|name| answer[name].clone());
    assert_eq!(counts, [json!(true), json!(2), json!(1), json!(1)]);
    assert_eq!(answer["results"][good.as_str()]["metrics"], json!({"a": 1}));
    assert_eq!(answer["results"][bad.as_str()]["error_type"], "import");
    assert_eq!(
        answer["results"][good.as_str()]["stdout"],
        "METRICS: {\"a\": 1}\n"
    );
    let stderr = answer["results"][bad.as_str()]["stderr"].as_str().unwrap();
    assert!(stderr.contains("nothing_like_this"), "{stderr}");
    // Only the program with a key is written.
    assert!(api.store.result(&good).is_none());
    assert!(api.store.result(&bad).unwrap().stderr.is_none());
    assert_eq!(
        api.store.result(&bad).unwrap().error_type,
        Some(ErrorType::Import)
    );
    serde_json::from_value::<BatchResults>(answer).expect("the tester reads it as well");
}

#[tokio::test]
async fn one_program_needs_no_paper() {
    let Some(bench) = Bench::best() else { return };
    let api = Api::start(Some(bench), None).await;
    let (status, answer) = api
        .post("/execute", json!({"code": "print(1)", "timeout": 600}))
        .await;
    assert_eq!(
        (status, &answer["success"]),
        (200, &json!(true)),
        "{answer}"
    );
    assert_eq!(answer["paper_id"], Value::Null);
}

#[tokio::test]
async fn what_is_no_fault_of_a_program_is_told_beside_the_results() {
    let api = Api::start(None, None).await;
    let (one, theirs) = (PaperId::of("one", None), "6-j63JkBP8oloYi_8CJH");
    let body = json!({"timeout": 600, "batch_id": "b7", "batch": [
        {"paper_id": one, "code": "print(1)"},
        {"paper_id": theirs, "code": "#".repeat(1_100_000)},
    ]});
    let (status, answer) = api.post("/execute_batch", body).await;
    assert_eq!(
        (status, &answer["success"]),
        (200, &json!(false)),
        "{answer}"
    );
    assert_eq!(
        (&answer["successful"], &answer["failed"]),
        (&json!(0), &json!(2))
    );
    assert_eq!(answer["errors"][one.as_str()]["status"], "agent_error");
    assert_eq!(answer["results"][theirs]["status"], "program_error");
    assert_eq!(answer["results"].as_object().unwrap().len(), 1);
    let (status, answer) = api.post("/execute", json!({"code": "print(1)"})).await;
    assert_eq!(
        (status, &answer["success"]),
        (502, &json!(false)),
        "{answer}"
    );
    let (_, health) = api.get("/health").await;
    assert_eq!(health["faults"].as_array().unwrap().len(), 2, "{health}");
    let (_, batch) = api.get("/batches/b7").await;
    assert_eq!(batch["state"], "unfinished", "{batch}");
}

#[tokio::test]
async fn a_batch_is_found_by_its_name_while_it_runs_and_after_its_client_went_away() {
    let Some(bench) = Bench::best() else { return };
    let api = Api::start(Some(bench), None).await;
    let paper = PaperId::of("one", None);
    let name = unique_name("program");
    // It ends by its limit, long after its client.
    let code = format!(
        "import subprocess\nprint('begun', flush=True)\n\
         subprocess.run(['sh', '-c', 'sleep 3600; : {name}'])"
    );
    let body = json!({"batch_id": "b 1", "timeout": 3,
                      "batch": [{"paper_id": paper, "code": code}]});
    let request = api.client.post(format!("{}/execute_batch", api.base));
    let request = tokio::spawn(request.json(&body).send());
    until("the program runs", || is_running(&name)).await;
    let (status, batch) = api.get("/batches/b%201").await;
    assert_eq!(
        (status, &batch["state"]),
        (200, &json!("running")),
        "{batch}"
    );
    assert_eq!(
        (&batch["batch_size"], &batch["results"]),
        (&json!(1), &json!({}))
    );
    request.abort();
    let end = async {
        loop {
            let (_, batch) = api.get("/batches/b%201").await;
            if batch["state"] != "running" {
                return batch;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let batch = tokio::time::timeout(PATIENCE, end).await.unwrap();
    assert_eq!(batch["state"], "done");
    assert_eq!(batch["results"][paper.as_str()]["status"], "timeout");
    let (status, answer) = api.get("/batches/other").await;
    assert_eq!(
        (status, &answer["success"]),
        (404, &json!(false)),
        "{answer}"
    );
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong() {
    let api = Api::start(None, None).await;
    let one = json!({"paper_id": PaperId::of("a", None), "code": ""});
    let many = vec![one.clone(); 11];
    for (path, body, words) in [
        (
            "/execute",
            json!({"code": "", "timeout": 0}),
            "timeout must be 1 to 3600 seconds, got 0",
        ),
        (
            "/execute_batch",
            json!({"batch": [], "timeout": 5}),
            "this one has 0",
        ),
        (
            "/execute_batch",
            json!({"batch": many, "timeout": 5}),
            "this one has 11",
        ),
        (
            "/execute_batch",
            json!({"batch": [one, one], "timeout": 5}),
            "is in the batch twice",
        ),
        (
            "/execute_batch",
            json!({"batch": [{"paper_id": "../x"}], "timeout": 5}),
            "a paper id is",
        ),
        (
            "/execute_batch",
            json!({"batch": [{"paper_id": "x"}], "timeout": 5}),
            "neither `code` nor `s3_code_key`",
        ),
        ("/execute", json!({}), "neither `code` nor `s3_code_key`"),
    ] {
        let (status, answer) = api.post(path, body).await;
        assert!((400..500).contains(&status), "{status}");
        assert_eq!(answer["success"], false);
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn health_tells_when_programs_would_be_refused() {
    let api = Api::start(None, None).await;
    let answer = reqwest::get(format!("{}/health", api.base)).await.unwrap();
    let health: Value = answer.json().await.unwrap();
    assert_eq!(health["status"], "refusing");
    let health: AgentHealth = serde_json::from_value(health).unwrap();
    assert!(health.reason.unwrap().contains("bubblewrap: none"));
    assert_eq!((health.busy, health.slots), (0, 2));
}

#[tokio::test]
async fn a_token_is_needed_for_everything_when_there_is_one() {
    let api = Api::start(None, Some("0123456789abcdef")).await;
    let health = format!("{}/health", api.base);
    for (token, status) in [
        (None, 401),
        (Some("0123456789abcdeg"), 401),
        (Some("0123456789abcdef"), 200),
    ] {
        let mut request = api.client.get(&health);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        assert_eq!(request.send().await.unwrap().status().as_u16(), status);
    }
    assert_eq!(api.post("/execute", json!({"code": ""})).await.0, 401);
}
