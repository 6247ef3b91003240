//! An agent at an address: one that the test plays, and the agent's own API with and without a token.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use annapurna_cloud::{Retry, S3};
use annapurna_contract::{AgentConfig, Backend, CodeTestingMessage, Isolation, TestResult};
use aws_sdk_ssm::types::ParameterType;
use axum::routing::{get, post};
use axum::{Json, Router};
use papers_code_tester::{AgentError, TesterError};
use serde_json::json;
use trainium_agent::{
    AgentHost, Datasets, Device, Executor, Limits, NoSandbox, Records, Shutdown, ShutdownTrigger,
    Slots, Suspects, Turns, router,
};

use crate::{QUARTER, Setting};

/// Serves on a free port; the base address.
async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// What an agent with so many places says of itself.
fn health(slots: usize) -> Json<serde_json::Value> {
    Json(json!({
        "status": "healthy", "isolation": "bubblewrap", "reason": null, "python": "3.12.3", "torch": null,
        "neuron": slots == 1, "busy": 0, "slots": slots,
    }))
}

#[tokio::test]
async fn an_agent_at_an_address_is_called_with_as_much_as_fits() {
    as_much_as_fits(2, 2).await;
    as_much_as_fits(1, 1).await;
    // One that does not say it: its route is missing.
    as_much_as_fits(0, 1).await;
}

/// Three programs of 600 s wait, for each of which there is the time of one, for an agent with so many places.
async fn as_much_as_fits(slots: usize, fit: usize) {
    let mut setting = Setting::new().await;
    let answer = move |Json(message): Json<CodeTestingMessage>| async move {
        assert_eq!(message.batch.len(), fit, "programs of 600 s");
        let mut results = serde_json::Map::new();
        for program in message.batch {
            assert_eq!(program.code.as_deref(), Some("import torch"));
            let mut result: TestResult =
                serde_json::from_str(include_str!("../events/result.json")).unwrap();
            result.paper_id = Some(program.paper_id.clone());
            results.insert(program.paper_id.to_string(), json!(result));
        }
        Json(
            json!({"success": true, "batch_size": 2, "successful": 2, "failed": 0, "results": results}),
        )
    };
    let mut router = Router::new().route("/execute_batch", post(answer));
    if slots > 0 {
        router = router.route("/health", get(move || async move { health(slots) }));
    }
    setting.config.trainium_endpoint = serve(router).await;
    let adam = setting.waiting("Adam").await;
    setting.waiting("Lion").await;
    setting.waiting("Sgd").await;
    assert_eq!(setting.dispatch(false).await["dispatched"], fit);
    assert_eq!(setting.fields(&adam).await.tested, Some(true));
    assert_eq!(setting.still_waiting().await, 3 - fit);
}

#[tokio::test]
async fn an_agent_that_cannot_be_reached_loses_no_program() {
    let mut setting = Setting::new().await;
    setting.config.trainium_endpoint = "http://127.0.0.1:1".to_owned();
    setting.waiting("Adam").await;
    let event = json!({"action": "dispatch", "force": true});
    let error = setting.tester().handle(event, QUARTER).await.unwrap_err();
    assert!(matches!(error, TesterError::Agent(_)), "{error}");
    assert_eq!(setting.still_waiting().await, 1);
}

const TOKEN: &str = "0123456789abcdef-agent";

/// A tester that calls the real agent, which demands [`TOKEN`]; programs end before a sandbox is asked for.
struct RealAgent {
    setting: Setting,
    _running: ShutdownTrigger,
    _state: tempfile::TempDir,
}

impl RealAgent {
    async fn new() -> Self {
        let mut setting = Setting::new().await;
        let state = tempfile::tempdir().unwrap();
        let store = Arc::new(S3::new(&setting.stage.sdk));
        let (running, shutdown) = Shutdown::new();
        let datasets = state.path().to_owned();
        let executor = Executor {
            config: AgentConfig {
                testing_queue_url: setting.config.testing_queue_url.clone(),
                code_bucket: setting.config.code_bucket.clone(),
                outputs_bucket: setting.config.outputs_bucket.clone(),
                datasets_bucket: "datasets".to_owned(),
            },
            datasets: Datasets::new(datasets, "datasets".to_owned(), store.clone(), Retry::HASTY),
            store,
            sandbox: Err(NoSandbox(vec![(
                Isolation::Bubblewrap,
                "a test".to_owned(),
            )])),
            limits: Limits {
                timeout: QUARTER,
                memory_bytes: 0,
                output_bytes: 0,
                disk_bytes: 0,
                processes: 0,
            },
            host: AgentHost {
                instance_type: "local".to_owned(),
                python: "python3".to_owned(),
                torch: None,
                neuron: false,
            },
            device: Device::of(Backend::Auto),
            slots: Slots::new(2),
            turns: Turns::default(),
            suspects: Suspects::open(state.path(), Duration::ZERO).unwrap(),
            records: Records::default(),
            retry: Retry::HASTY,
            shutdown,
        };
        setting.config.trainium_endpoint = serve(router(Arc::new(executor), Some(TOKEN))).await;
        Self {
            setting,
            _running: running,
            _state: state,
        }
    }

    async fn put(&self, name: &str, value: &str) {
        let ssm = aws_sdk_ssm::Client::new(&self.setting.stage.sdk);
        let request = ssm.put_parameter().name(name).value(value);
        let request = request.r#type(ParameterType::SecureString);
        request.overwrite(true).send().await.unwrap();
    }

    /// Has the tester send what a new parameter says.
    async fn with_parameter(mut self, value: &str) -> Self {
        let name = format!(
            "/annapurna/test/{}",
            annapurna_local_testing::unique_index("token")
        );
        self.put(&name, value).await;
        self.setting.config.trainium_token_parameter = name;
        self
    }

    /// Why a waiting program did not reach the agent; it waits still.
    async fn refused(&self) -> AgentError {
        self.setting.waiting("Adam").await;
        let event = json!({"action": "dispatch", "force": true});
        let answer = self.setting.tester().handle(event, QUARTER).await;
        let TesterError::Agent(error) = answer.unwrap_err() else {
            panic!("it is the agent's call that fails");
        };
        assert_eq!(self.setting.still_waiting().await, 1);
        let said = format!("{error} {error:?} {:?}", error.source());
        assert!(!said.contains(TOKEN), "{said}");
        error
    }
}

#[tokio::test]
async fn the_agent_takes_what_comes_with_its_token_and_its_faults_are_no_result() {
    let agent = RealAgent::new()
        .await
        .with_parameter(&format!("{TOKEN}\n"))
        .await;
    let adam = agent.setting.waiting("Adam").await;
    assert_eq!(agent.setting.dispatch(true).await["dispatched"], 1);
    // The message's SHA-256 is a test's, which only the real agent notices; so the program comes again.
    assert_eq!(agent.setting.still_waiting().await, 1);
    let fields = agent.setting.fields(&adam).await;
    assert_eq!((fields.tested, fields.error_type), (None, None));
}

#[tokio::test]
async fn a_wrong_token_is_told_with_the_parameter_it_came_from() {
    let agent = RealAgent::new()
        .await
        .with_parameter("0123456789abcdef-other")
        .await;
    let error = agent.refused().await;
    assert!(matches!(error, AgentError::Unauthorized { .. }), "{error}");
    let said = error.to_string();
    let name = &agent.setting.config.trainium_token_parameter;
    assert!(
        said.contains(name) && said.contains("AGENT_TOKEN"),
        "{said}"
    );
    assert!(said.contains("a bearer token is needed"), "{said}");
}

#[tokio::test]
async fn a_new_value_counts_from_the_next_call_on() {
    let agent = RealAgent::new().await;
    let agent = agent.with_parameter("0123456789abcdef-other").await;
    let tester = agent.setting.tester();
    agent.setting.waiting("Adam").await;
    let dispatch = || tester.handle(json!({"action": "dispatch", "force": true}), QUARTER);
    dispatch().await.unwrap_err();
    let name = &agent.setting.config.trainium_token_parameter;
    agent.put(name, TOKEN).await;
    assert_eq!(dispatch().await.unwrap()["dispatched"], 1);
}

#[tokio::test]
async fn without_a_token_the_setting_that_is_missing_is_named() {
    let error = RealAgent::new().await.refused().await;
    assert!(matches!(error, AgentError::Unauthorized { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("trainium-token-parameter"), "{said}");
}

#[tokio::test]
async fn a_parameter_that_is_not_there_or_holds_no_token_is_named() {
    let mut agent = RealAgent::new().await;
    agent.setting.config.trainium_token_parameter = "/annapurna/test/no-such-token".to_owned();
    let error = agent.refused().await;
    assert!(matches!(error, AgentError::Token { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("/annapurna/test/no-such-token"), "{said}");
    let agent = RealAgent::new().await.with_parameter("two words").await;
    let said = agent.refused().await.to_string();
    assert!(
        said.contains("no spaces") && !said.contains("two words"),
        "{said}"
    );
}
