//! What a real small model answered, replayed: `infra/local/testing/record_small_model.py` records it.

use annapurna_contract::model::VERDICT_TOOL;
use aws_sdk_bedrockruntime::types::SystemContentBlock;
use serde::Deserialize;
use serde_json::Value;

use super::backends::{openai, stand_in};
use super::{ask, code_and_message, start};

#[derive(Deserialize)]
struct Exchange {
    name: String,
    system: String,
    user: String,
    response: Value,
}

/// SmolLM2-135M-Instruct answers none of the questions: what it says is handed on as its text, or is an error, and nothing
/// of it becomes a verdict. One answer repeats the marks of the paper's block.
#[tokio::test]
async fn nothing_that_a_small_model_says_beside_the_question_is_a_verdict() {
    let recorded = include_str!("recordings/smollm2-135m.json");
    let exchanges: Vec<Exchange> = serde_json::from_str(recorded).unwrap();
    assert!(exchanges.len() >= 6);
    let (mut texts, mut errors) = (0, 0);
    for exchange in exchanges {
        let said = exchange.response.pointer("/choices/0/message/content");
        let said = said.and_then(Value::as_str).unwrap().to_owned();
        let (server, asked) = stand_in(200, exchange.response).await;
        let url = start(openai(&server, None)).await;
        let request = ask(&url, VERDICT_TOOL, &exchange.user).set_system(Some(vec![
            SystemContentBlock::Text(exchange.system.clone()),
        ]));
        match request.send().await {
            Ok(output) => {
                texts += 1;
                let message = output.output().unwrap().as_message().unwrap();
                let text = message.content()[0].as_text();
                assert_eq!(text.unwrap(), &said, "{}", exchange.name);
                let stop = output.stop_reason().as_str();
                assert!(["end_turn", "max_tokens"].contains(&stop), "{stop}");
                assert!(output.usage().unwrap().output_tokens() > 0);
            }
            Err(error) => {
                errors += 1;
                let (code, message) = code_and_message(&error);
                assert_eq!(code, "ModelErrorException", "{message}");
                assert_eq!(said.trim(), "", "{}", exchange.name);
            }
        }
        let asked = asked.lock().unwrap();
        assert_eq!(asked[0].2["messages"][0]["content"], exchange.system);
        assert_eq!(asked[0].2["messages"][1]["content"], exchange.user);
    }
    assert!(texts > 0 && errors > 0, "{texts} texts, {errors} errors");
}
