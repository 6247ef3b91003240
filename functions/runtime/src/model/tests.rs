//! A Bedrock that gives one answer after the other, and what becomes of each.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use annapurna_contract::model::VERDICT_TOOL;
use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::post};

use super::*;

const SONNET: &str = "us.anthropic.claude-sonnet-5-5";

/// One of the errors.
type Variant = fn(Said) -> ModelError;

/// An answer of two fields, for a tool of that shape.
#[derive(Debug, PartialEq, Deserialize)]
struct RelevanceVerdict {
    relevant: bool,
    reason: String,
}

fn verdict_schema() -> Value {
    json!({
        "type": "object",
        "properties": {"relevant": {"type": "boolean"}, "reason": {"type": "string"}},
        "required": ["relevant", "reason"],
    })
}

/// What the stand-in answers, in order, and what it was asked.
#[derive(Clone, Default)]
struct Bedrock {
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Bedrock {
    fn of(answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            asked: Arc::default(),
        }
    }

    async fn model(&self) -> Model {
        let bedrock = self.clone();
        let answer = move |Json(request): Json<Value>| async move {
            bedrock.asked.lock().unwrap().push(request);
            let next = bedrock.answers.lock().unwrap().pop_front();
            let Some((status, body)) = next else {
                std::future::pending::<()>().await;
                unreachable!();
            };
            let headers = [
                ("content-type", "application/json".to_owned()),
                (
                    "x-amzn-errortype",
                    body["__type"].as_str().unwrap_or_default().to_owned(),
                ),
            ];
            (
                StatusCode::from_u16(status).unwrap(),
                headers,
                body.to_string(),
            )
                .into_response()
        };
        let router = Router::new().route("/{*any}", post(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region("us-east-1")
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(format!("http://{address}"))
            .load()
            .await;
        // One attempt: the tests look at how an error is sorted, not at the SDK's waiting.
        Model::with_retries(&config, RetryConfig::disabled())
    }

    async fn ask(&self, model_id: &str) -> Result<Answer<RelevanceVerdict>, Failed> {
        let tool = tool();
        let ask = Ask {
            model_id,
            system: "system",
            shared: "",
            question: "question",
            tool: &tool,
            beside: &[],
            paper_id: None,
            deadline: deadline(Duration::from_secs(60)),
        };
        let not_empty = |verdict: &RelevanceVerdict| match verdict.reason.is_empty() {
            true => Err(vec!["the reason is empty".to_owned()]),
            false => Ok(()),
        };
        self.model().await.ask(&ask, not_empty).await
    }
}

fn tool() -> Tool {
    Tool {
        name: VERDICT_TOOL,
        description: "records the verdict",
        schema: verdict_schema(),
        max_tokens: 100,
    }
}

fn answer(stop_reason: &str, content: Value) -> (u16, Value) {
    let body = json!({
        "output": {"message": {"role": "assistant", "content": [content]}},
        "stopReason": stop_reason,
        "usage": {
            "inputTokens": 1_000, "outputTokens": 100, "totalTokens": 4_100,
            "cacheReadInputTokens": 2_000, "cacheWriteInputTokens": 1_000,
        },
        "metrics": {"latencyMs": 1},
    });
    (200, body)
}

fn call(name: &str, input: Value) -> Value {
    json!({"toolUse": {"toolUseId": "t1", "name": name, "input": input}})
}

fn good() -> (u16, Value) {
    let input = json!({"relevant": true, "reason": "It trains models."});
    answer("tool_use", call(VERDICT_TOOL, input))
}

fn refusal(status: u16, name: &str) -> (u16, Value) {
    (status, json!({"__type": name, "message": "no"}))
}

#[tokio::test]
async fn the_tools_input_is_the_answer_with_what_it_cost() {
    let answer = Bedrock::of([good()]).ask(SONNET).await.unwrap();
    assert!(answer.value.relevant);
    assert_eq!(answer.value.reason, "It trains models.");
    let spent = answer.spent;
    assert_eq!(
        (spent.calls, spent.input_tokens, spent.output_tokens),
        (1, 1_000, 100)
    );
    assert_eq!(
        (spent.cache_read_tokens, spent.cache_write_tokens),
        (2_000, 1_000)
    );
    // 1,000 at 2.20, 100 at 11.00, 2,000 at 0.11 and 1,000 at 2.75 dollars a million.
    assert_eq!(spent.micro_dollars, 2_200 + 1_100 + 220 + 2_750);
}

#[tokio::test]
async fn what_keeps_an_answer_away_is_told_apart() {
    let cut = call(VERDICT_TOOL, json!({"relevant": true}));
    let text = json!({"text": "I cannot help with that."});
    let cases: [((u16, Value), Variant); 14] = [
        (refusal(429, "ThrottlingException"), ModelError::Throttled),
        (
            refusal(400, "ServiceQuotaExceededException"),
            ModelError::Throttled,
        ),
        (
            refusal(503, "ServiceUnavailableException"),
            ModelError::Unavailable,
        ),
        (
            refusal(500, "InternalServerException"),
            ModelError::Unavailable,
        ),
        (refusal(408, "ModelTimeoutException"), ModelError::TimedOut),
        (refusal(424, "ModelErrorException"), ModelError::Faulted),
        (refusal(403, "AccessDeniedException"), ModelError::Refused),
        (
            refusal(404, "ResourceNotFoundException"),
            ModelError::Refused,
        ),
        (refusal(400, "ValidationException"), ModelError::Refused),
        (answer("max_tokens", cut), ModelError::Truncated),
        (
            answer("model_context_window_exceeded", text.clone()),
            ModelError::Truncated,
        ),
        (
            answer("guardrail_intervened", text.clone()),
            ModelError::Guardrail,
        ),
        (
            answer("content_filtered", text.clone()),
            ModelError::Declined,
        ),
        (answer("refusal", text), ModelError::Declined),
    ];
    for (given, variant) in cases {
        let paid = given.0 == 200;
        let bedrock = Bedrock::of([given.clone(), good()]);
        let failed = bedrock.ask("some-model").await.unwrap_err();
        let expected = variant(Said {
            model_id: String::new(),
            reason: String::new(),
        });
        let same = std::mem::discriminant(&failed.error) == std::mem::discriminant(&expected);
        assert!(same, "{given:?}: {failed}");
        assert_eq!(failed.spent.calls, u32::from(paid), "{given:?}");
        assert_eq!(
            bedrock.asked.lock().unwrap().len(),
            1,
            "asked again: {given:?}"
        );
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_once_in_the_same_conversation() {
    let wrong = [
        (
            json!({"text": "I think it is relevant."}),
            "no call of the tool",
        ),
        (
            call(VERDICT_TOOL, json!({"relevant": "maybe", "reason": "x"})),
            "invalid type",
        ),
        (
            call(VERDICT_TOOL, json!({"relevant": true, "reason": ""})),
            "the reason is empty",
        ),
        (call("rm", json!({})), "no call of the tool"),
    ];
    for (content, finding) in wrong {
        let bad = answer("tool_use", content.clone());
        let bedrock = Bedrock::of([bad.clone(), good()]);
        let answer = bedrock.ask("some-model").await.unwrap();
        assert_eq!((answer.value.relevant, answer.spent.calls), (true, 2));
        let second = bedrock.asked.lock().unwrap()[1]["messages"].clone();
        assert_eq!(second[0]["content"][0]["text"], "question");
        assert_eq!(second[1]["content"][0], content);
        let told = second[2]["content"][0].clone();
        if content.get("toolUse").is_some() {
            assert_eq!(told["toolResult"]["toolUseId"], "t1");
            assert_eq!(told["toolResult"]["status"], "error");
        }
        assert!(told.to_string().contains(finding), "{told}");

        let bedrock = Bedrock::of([bad.clone(), bad, good()]);
        let failed = bedrock.ask("some-model").await.unwrap_err();
        assert!(matches!(failed.error, ModelError::Unusable(_)), "{failed}");
        assert!(failed.to_string().contains(finding), "{failed}");
        assert_eq!(failed.spent.calls, 2);
    }
}

#[tokio::test]
async fn an_answer_without_content_is_not_talked_about() {
    let mut empty = answer("end_turn", Value::Null);
    empty.1["output"]["message"]["content"] = json!([]);
    let bedrock = Bedrock::of([empty, good()]);
    let failed = bedrock.ask("some-model").await.unwrap_err();
    assert!(matches!(failed.error, ModelError::Unusable(_)), "{failed}");
    assert_eq!(bedrock.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn the_shared_block_comes_first_with_a_cache_point_where_the_model_takes_one() {
    let shared = "paper ".repeat(5_000);
    let tool = tool();
    for (model_id, points) in [
        (SONNET, 1),
        ("us.anthropic.claude-haiku-5-5", 1),
        ("some-model", 0),
    ] {
        let bedrock = Bedrock::of([good()]);
        let ask = Ask {
            model_id,
            system: "system",
            shared: &shared,
            question: "question",
            tool: &tool,
            beside: &[],
            paper_id: None,
            deadline: deadline(Duration::from_secs(60)),
        };
        let model = bedrock.model().await;
        let answer = model.ask(&ask, |_: &RelevanceVerdict| Ok(())).await;
        answer.unwrap();
        let request = bedrock.asked.lock().unwrap()[0].clone();
        let content = request["messages"][0]["content"]
            .as_array()
            .unwrap()
            .clone();
        assert_eq!(content[0]["text"], shared);
        assert_eq!(content.len(), 2 + points);
        if points == 1 {
            assert_eq!(content[1], json!({"cachePoint": {"type": "default"}}));
        }
        let question = content.last().unwrap()["text"].as_str().unwrap();
        assert!(question.starts_with("question"), "{question}");
        assert_eq!(request["system"], json!([{"text": "system"}]));
    }
}

#[tokio::test]
async fn no_attempt_goes_past_the_deadline() {
    let bedrock = Bedrock::default();
    let tool = tool();
    let ask = Ask {
        model_id: "some-model",
        system: "system",
        shared: "",
        question: "question",
        tool: &tool,
        beside: &[],
        paper_id: None,
        deadline: Instant::now() + Duration::from_millis(300),
    };
    let model = bedrock.model().await;
    let failed = model
        .ask(&ask, |_: &RelevanceVerdict| Ok(()))
        .await
        .unwrap_err();
    assert!(matches!(failed.error, ModelError::TimedOut(_)), "{failed}");
    let failed = model
        .embed("titan", "text", None, ask.deadline)
        .await
        .unwrap_err();
    assert!(matches!(failed.error, ModelError::TimedOut(_)), "{failed}");
}

#[tokio::test]
async fn only_a_vector_of_the_right_length_is_one() {
    let later = deadline(Duration::from_secs(60));
    let titan = "amazon.titan-embed-text-v2:0";
    let good = json!({"embedding": vec![0.5; EMBEDDING_DIMENSIONS], "inputTextTokenCount": 300});
    let model = Bedrock::of([(200, good)]).model().await;
    let answer = model.embed(titan, "text", None, later).await.unwrap();
    assert_eq!(answer.value.len(), EMBEDDING_DIMENSIONS);
    // 300 at 0.02 dollars a million.
    assert_eq!(
        (answer.spent.input_tokens, answer.spent.micro_dollars),
        (300, 6)
    );
    for bad in [
        json!({"embedding": [0.5]}),
        json!({"embedding": vec![0.0; EMBEDDING_DIMENSIONS]}),
        json!({"text": "hello"}),
    ] {
        let model = Bedrock::of([(200, bad)]).model().await;
        let failed = model.embed(titan, "text", None, later).await.unwrap_err();
        assert!(matches!(failed.error, ModelError::Unusable(_)), "{failed}");
    }
}
