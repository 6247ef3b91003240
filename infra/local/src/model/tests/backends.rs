//! The two backends that ask someone else: an OpenAI server's stand-in, and this endpoint in Bedrock's place.

use std::sync::{Arc, Mutex};

use annapurna_contract::model::{PaperText, VERDICT_TOOL};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::credential_fn::provide_credentials_fn;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_bedrockruntime::config::SharedCredentialsProvider;
use aws_sdk_bedrockruntime::types::{InferenceConfiguration, StopReason};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::super::bedrock::Bedrock;
use super::super::{Backend, Engine, Model, serve};
use super::{
    ask, code_and_message, invoke, listen, paper, sdk_config, start, start_model, tool_input,
    verdict,
};

/// What the stand-in was asked: path, authorization, body.
pub(super) type Asked = Arc<Mutex<Vec<(String, String, Value)>>>;

/// A server that always answers `status` and `answer`.
pub(super) async fn stand_in(status: u16, answer: Value) -> (String, Asked) {
    async fn handle(
        State((status, answer, asked)): State<(u16, Value, Asked)>,
        uri: Uri,
        headers: HeaderMap,
        Json(body): Json<Value>,
    ) -> (StatusCode, Json<Value>) {
        let key = headers
            .get("authorization")
            .map_or("", |key| key.to_str().unwrap());
        asked
            .lock()
            .unwrap()
            .push((uri.path().to_owned(), key.to_owned(), body));
        (StatusCode::from_u16(status).unwrap(), Json(answer))
    }
    let (listener, url) = listen().await;
    let asked = Asked::default();
    let router = Router::new()
        .fallback(handle)
        .with_state((status, answer, Arc::clone(&asked)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, asked)
}

pub(super) fn openai(base_url: &str, embeddings_model: Option<&str>) -> Backend {
    Backend::OpenAi {
        base_url: base_url.to_owned(),
        model: "tiny".to_owned(),
        api_key: Some("secret".to_owned()),
        embeddings_model: embeddings_model.map(str::to_owned),
    }
}

fn adam() -> PaperText {
    paper("Adam", "An optimizer.")
}

fn chat(message: Value, finish_reason: &str) -> Value {
    json!({
        "choices": [{"message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5},
    })
}

#[tokio::test]
async fn a_forced_tool_becomes_a_function_call_and_back() {
    let call = json!({"name": VERDICT_TOOL, "arguments": "{\"relevant\":true,\"reason\":\"yes\"}"});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [{"function": call}]});
    let (server, asked) = stand_in(200, chat(message, "tool_calls")).await;
    let url = start(openai(&format!("{server}/v1/"), None)).await;
    let prompt = adam().to_prompt_block().unwrap();
    let limits = InferenceConfiguration::builder()
        .max_tokens(100)
        .temperature(0.0)
        .build();
    let request = ask(&url, VERDICT_TOOL, &prompt).inference_config(limits);
    let output = request.send().await.unwrap();
    assert_eq!(output.stop_reason(), &StopReason::ToolUse);
    assert_eq!(
        tool_input(&output),
        json!({"relevant": true, "reason": "yes"})
    );
    assert_eq!(output.usage().unwrap().total_tokens(), 12);
    let asked = asked.lock().unwrap();
    let (path, key, body) = &asked[0];
    assert_eq!(
        (path.as_str(), key.as_str()),
        ("/v1/chat/completions", "Bearer secret")
    );
    assert_eq!(body["model"], "tiny");
    assert_eq!(
        body["messages"][0],
        json!({"role": "system", "content": "You judge papers."})
    );
    assert_eq!(
        body["messages"][1],
        json!({"role": "user", "content": prompt})
    );
    assert_eq!(
        body["tools"][0]["function"]["parameters"]["required"],
        json!(["relevant", "reason"])
    );
    assert_eq!(
        body["tool_choice"],
        json!({"type": "function", "function": {"name": VERDICT_TOOL}})
    );
    assert_eq!(
        (&body["max_tokens"], &body["temperature"]),
        (&json!(100), &json!(0.0))
    );
}

#[tokio::test]
async fn an_answer_in_the_text_is_found_where_the_server_ignores_tools() {
    let expected = json!({"relevant": false, "reason": "a {brace}"});
    for text in [
        expected.to_string(),
        format!("<think>{{maybe {{\"relevant\": true}} }}</think>Here:\n```json\n{expected}\n```"),
        json!({"name": VERDICT_TOOL, "parameters": expected}).to_string(),
    ] {
        let (server, _) = stand_in(200, chat(json!({"content": text}), "stop")).await;
        let url = start(openai(&server, None)).await;
        assert_eq!(verdict(&url, &adam()).await, expected, "{text}");
    }
}

#[tokio::test]
async fn a_conversation_with_tool_results_is_translated_turn_by_turn() {
    let (server, asked) = stand_in(200, chat(json!({"content": "done"}), "length")).await;
    let url = start(openai(&server, None)).await;
    let call = json!({"toolUse": {"toolUseId": "t1", "name": "check", "input": {"code": "x"}}});
    let result = json!({"toolResult": {"toolUseId": "t1", "content": [{"text": "syntax error"}]}});
    let mut request = json!({"messages": [
        {"role": "user", "content": [{"text": "one"}, {"cachePoint": {"type": "default"}}, {"text": "two"}]},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result, {"text": "again"}]},
    ]});
    let http = reqwest::Client::new();
    let url = format!("{url}/model/some-model/converse");
    let response = http.post(&url).json(&request).send().await.unwrap();
    let response: Value = response.json().await.unwrap();
    assert_eq!(
        response["output"]["message"]["content"],
        json!([{"text": "done"}])
    );
    assert_eq!(response["stopReason"], "max_tokens");
    let body = asked.lock().unwrap()[0].2.clone();
    let function = json!({"name": "check", "arguments": "{\"code\":\"x\"}"});
    let expected = json!([
        {"role": "user", "content": "one\n\ntwo"},
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "t1", "type": "function", "function": function},
        ]},
        {"role": "tool", "tool_call_id": "t1", "content": "[{\"text\":\"syntax error\"}]"},
        {"role": "user", "content": "again"},
    ]);
    assert_eq!(body["messages"], expected);
    assert!(body.get("tools").is_none());

    request["messages"][0]["content"][0] = json!({"image": {"format": "png"}});
    let response = http.post(&url).json(&request).send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(response.text().await.unwrap().contains("got `image`"));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_an_error_and_no_empty_answer() {
    let nothing = chat(json!({"content": null}), "length");
    let (server, _) = stand_in(200, nothing).await;
    let url = start(openai(&server, None)).await;
    let url = format!("{url}/model/some-model/converse");
    let request = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
    let answer = reqwest::Client::new().post(&url).json(&request).send();
    let text = answer.await.unwrap().text().await.unwrap();
    assert!(
        text.contains("neither text nor a call, it reached its token limit"),
        "{text}"
    );
}

#[tokio::test]
async fn failures_of_the_server_are_errors_of_bedrock_and_never_verdicts() {
    for (status, answer, code, part) in [
        (
            200,
            json!([]),
            "ModelErrorException",
            "neither text nor a call",
        ),
        (429, json!({}), "ThrottlingException", "429"),
        (500, json!({}), "ServiceUnavailableException", "500"),
        (401, json!({}), "AccessDeniedException", "401"),
        (
            404,
            json!({"error": "no such model"}),
            "ModelErrorException",
            "no such model",
        ),
    ] {
        let (server, _) = stand_in(status, answer).await;
        let url = start(openai(&server, None)).await;
        let prompt = adam().to_prompt_block().unwrap();
        let error = ask(&url, VERDICT_TOOL, &prompt).send().await.unwrap_err();
        let (found, message) = code_and_message(&error);
        assert_eq!(found, code, "{message}");
        assert!(message.contains(part), "{message}");
    }
    let (listener, nobody) = listen().await;
    drop(listener);
    let url = start(openai(&nobody, None)).await;
    let prompt = adam().to_prompt_block().unwrap();
    let error = ask(&url, VERDICT_TOOL, &prompt).send().await.unwrap_err();
    let (code, message) = code_and_message(&error);
    assert_eq!(code, "ServiceUnavailableException");
    assert!(
        message.contains("is the model's server running?"),
        "{message}"
    );
}

#[tokio::test]
async fn an_answer_that_is_none_is_handed_on_as_text() {
    let text = json!({"content": "I like this paper"});
    let bad_call =
        json!({"tool_calls": [{"function": {"name": VERDICT_TOOL, "arguments": "{\"rel"}}]});
    let refusal = json!({"content": null, "refusal": "I cannot judge."});
    for (message, finish_reason, said, stop_reason) in [
        (text.clone(), "stop", "I like this paper", "end_turn"),
        (
            text,
            "content_filter",
            "I like this paper",
            "content_filtered",
        ),
        (bad_call, "length", "{\"rel", "max_tokens"),
        (refusal, "stop", "I cannot judge.", "end_turn"),
    ] {
        let (server, _) = stand_in(200, chat(message, finish_reason)).await;
        let url = start(openai(&server, None)).await;
        let prompt = adam().to_prompt_block().unwrap();
        let output = ask(&url, VERDICT_TOOL, &prompt).send().await.unwrap();
        assert_eq!(output.stop_reason().as_str(), stop_reason);
        let message = output.output().unwrap().as_message().unwrap();
        assert_eq!(message.content()[0].as_text().unwrap(), said);
    }
}

#[tokio::test]
async fn embeddings_come_from_the_named_model_with_the_dimensions_asked_for() {
    let request = json!({"inputText": "Adam", "dimensions": 256});
    let values = vec![2.0; 256];
    let (server, asked) = stand_in(200, json!({"data": [{"embedding": values}]})).await;
    let url = start(openai(&server, Some("embedder"))).await;
    let response = invoke(&url, request.clone()).await.unwrap();
    assert_eq!(response["embedding"][0], 2.0 / 32.0);
    assert_eq!(asked.lock().unwrap()[0].2["model"], "embedder");

    let (server, _) = stand_in(200, json!({"data": [{"embedding": [1.0, 2.0]}]})).await;
    let url = start(openai(&server, Some("embedder"))).await;
    let (code, message) = invoke(&url, request.clone()).await.unwrap_err();
    assert_eq!(code, "ModelErrorException");
    assert!(
        message.contains("have 2 dimensions, the index needs 256"),
        "{message}"
    );

    let url = start(openai(&server, None)).await;
    let offline = start(Backend::OfflineRules).await;
    let hashed = invoke(&url, request.clone()).await.unwrap();
    assert_eq!(hashed, invoke(&offline, request).await.unwrap());
}

#[tokio::test]
async fn a_base_url_that_is_none_is_refused_at_the_start() {
    let (listener, _) = listen().await;
    let error = serve(listener, openai("localhost:11434", None))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model's base url must start with http:// or https://, got `localhost:11434`"
    );
}

#[test]
fn labels_and_debug_output_hold_no_secret() {
    let backend = openai("http://user:password@host:8000/v1?key=hidden", None);
    assert_eq!(
        backend.label(),
        "openai-compatible: http://host:8000/v1 (tiny)"
    );
    assert_eq!(
        format!("{backend:?}"),
        format!("Backend({})", backend.label())
    );
    let bedrock = Backend::Bedrock {
        region: "us-east-1".to_owned(),
        profile: None,
    };
    assert_eq!(bedrock.label(), "bedrock (us-east-1)");
    assert_eq!(Backend::OfflineRules.label(), "offline rules");
}

async fn start_pass_through(endpoint: &str) -> String {
    start_pass_through_with(&sdk_config(), endpoint).await
}

async fn start_pass_through_with(config: &SdkConfig, endpoint: &str) -> String {
    let bedrock = Bedrock::with_config(config, Some(endpoint.to_owned()));
    start_model(Model {
        label: "bedrock (test)".to_owned(),
        engine: Engine::Bedrock(bedrock),
    })
    .await
}

#[tokio::test]
async fn the_pass_through_changes_neither_answers_nor_errors() {
    let there = start(Backend::OfflineRules).await;
    let here = start_pass_through(&there).await;
    assert_eq!(
        verdict(&here, &adam()).await,
        verdict(&there, &adam()).await
    );
    let text = json!({"inputText": "Adam"});
    assert_eq!(
        invoke(&here, text.clone()).await,
        invoke(&there, text).await
    );
    let error = ask(&here, VERDICT_TOOL, "no paper")
        .send()
        .await
        .unwrap_err();
    assert!(error.as_service_error().unwrap().is_validation_exception());
    let (_, message) = code_and_message(&error);
    assert!(
        message.contains("no user message holds a paper"),
        "{message}"
    );
    let (code, _) = invoke(&here, json!({})).await.unwrap_err();
    assert_eq!(code, "ValidationException");
}

#[tokio::test]
async fn the_pass_through_hands_on_what_this_sdk_does_not_know_and_signs_it() {
    let answer = json!({
        "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}, "metrics": {"latencyMs": 1},
        "fieldOfTomorrow": {"x": 1},
    });
    let (there, asked) = stand_in(200, answer.clone()).await;
    let here = start_pass_through(&there).await;
    let request = json!({"messages": [], "additionalModelRequestFields": {"thinking": [1.5, null]}, "new": "ü"});
    let url = format!("{here}/model/us.anthropic.claude-v1%3A0/converse");
    let response = reqwest::Client::new()
        .post(url)
        .json(&request)
        .send()
        .await
        .unwrap();
    assert_eq!(response.json::<Value>().await.unwrap(), answer);
    let asked = asked.lock().unwrap();
    let (path, authorization, body) = &asked[0];
    assert_eq!(path, "/model/us.anthropic.claude-v1%3A0/converse");
    assert!(
        authorization.starts_with("AWS4-HMAC-SHA256"),
        "{authorization}"
    );
    assert_eq!(body, &request);
}

#[tokio::test]
async fn bedrock_out_of_reach_and_missing_credentials_are_told_apart() {
    let (listener, nobody) = listen().await;
    drop(listener);
    let no_credentials = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(provide_credentials_fn(
            || async { Err(CredentialsError::not_loaded("no profile of that name")) },
        )))
        .build();
    for (config, code, part) in [
        (
            sdk_config(),
            "ServiceUnavailableException",
            "check the network",
        ),
        (
            no_credentials,
            "AccessDeniedException",
            "no usable aws credentials",
        ),
    ] {
        let here = start_pass_through_with(&config, &nobody).await;
        let (found, message) = invoke(&here, json!({"inputText": "x"})).await.unwrap_err();
        assert_eq!(found, code, "{message}");
        assert!(message.contains(part), "{message}");
    }
}
