//! The endpoint as the functions use it: through the real SDK, over a socket.

mod backends;
mod fuzzed;
mod offline_rules;
mod programs;
mod recorded;

use std::fmt::Debug;

use annapurna_contract::Decision;
use annapurna_contract::model::{PROGRAM_TOOL, PaperText, VERDICT_TOOL, program_schema};
use annapurna_contract::plan::{FIDELITY_TOOL, PLAN_TOOL, fidelity_schema, plan_schema};
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_bedrockruntime::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_bedrockruntime::operation::converse::ConverseOutput;
use aws_sdk_bedrockruntime::operation::converse::builders::ConverseFluentBuilder;
use aws_sdk_bedrockruntime::primitives::Blob;
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, Message, SpecificToolChoice, SystemContentBlock, Tool,
    ToolChoice, ToolConfiguration, ToolInputSchema, ToolSpecification, ToolUseBlock,
};
use aws_smithy_types::{Document, Number};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Backend, Model, serve, serve_model};

const MODEL_ID: &str =
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-v1:0";

fn paper(title: &str, abstract_text: &str) -> PaperText {
    PaperText {
        title: title.to_owned(),
        abstract_text: abstract_text.to_owned(),
        body: String::new(),
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Starts the endpoint with `backend`; it ends with the test's runtime.
async fn start(backend: Backend) -> String {
    let (listener, url) = listen().await;
    tokio::spawn(serve(listener, backend));
    url
}

async fn start_model(model: Model) -> String {
    let (listener, url) = listen().await;
    tokio::spawn(serve_model(listener, model));
    url
}

fn sdk_config() -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::disabled())
        .build()
}

fn client(url: &str) -> Client {
    let config = aws_sdk_bedrockruntime::config::Builder::from(&sdk_config());
    Client::from_conf(config.endpoint_url(url).build())
}

/// A schema of two fields: the endpoint knows none of the functions'.
pub(super) fn verdict_schema() -> Value {
    json!({
        "type": "object",
        "properties": {"relevant": {"type": "boolean"}, "reason": {"type": "string"}},
        "required": ["relevant", "reason"],
    })
}

/// A question as the functions put it: instructions, the paper's block, one tool that must be called.
fn ask(url: &str, tool: &str, prompt: &str) -> ConverseFluentBuilder {
    let schema = match tool {
        PROGRAM_TOOL => program_schema(),
        PLAN_TOOL => plan_schema(&["synthetic"]),
        FIDELITY_TOOL => fidelity_schema(),
        _ => verdict_schema(),
    };
    let spec = ToolSpecification::builder()
        .name(tool)
        .description("the answer")
        .input_schema(ToolInputSchema::Json(to_document(&schema)))
        .build()
        .unwrap();
    let choice = SpecificToolChoice::builder().name(tool).build().unwrap();
    let tools = ToolConfiguration::builder()
        .tools(Tool::ToolSpec(spec))
        .tool_choice(ToolChoice::Tool(choice))
        .build()
        .unwrap();
    let message = Message::builder()
        .role(ConversationRole::User)
        .content(ContentBlock::Text(prompt.to_owned()))
        .build()
        .unwrap();
    client(url)
        .converse()
        .model_id(MODEL_ID)
        .system(SystemContentBlock::Text("You judge papers.".to_owned()))
        .messages(message)
        .tool_config(tools)
}

async fn verdict(url: &str, paper: &PaperText) -> Value {
    let prompt = paper.to_prompt_block().unwrap();
    tool_input(&ask(url, VERDICT_TOOL, &prompt).send().await.unwrap())
}

fn tool_use(output: &ConverseOutput) -> &ToolUseBlock {
    let message = output.output().unwrap().as_message().unwrap();
    message.content()[0].as_tool_use().unwrap()
}

fn tool_input(output: &ConverseOutput) -> Value {
    from_document(tool_use(output).input())
}

async fn invoke(url: &str, body: Value) -> Result<Value, (String, String)> {
    let operation = client(url)
        .invoke_model()
        .model_id("amazon.titan-embed-text-v2:0");
    match operation.body(Blob::new(body.to_string())).send().await {
        Ok(output) => Ok(serde_json::from_slice(output.body().as_ref()).unwrap()),
        Err(error) => Err(code_and_message(&error)),
    }
}

fn code_and_message<E: ProvideErrorMetadata + Debug>(error: &SdkError<E>) -> (String, String) {
    let code = error.code().unwrap_or_else(|| panic!("no code: {error:?}"));
    (
        code.to_owned(),
        error.message().unwrap_or_default().to_owned(),
    )
}

fn to_document(value: &Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(value) => Document::Bool(*value),
        Value::Number(value) => Document::from(value.as_i64().unwrap()),
        Value::String(text) => Document::String(text.clone()),
        Value::Array(items) => Document::Array(items.iter().map(to_document).collect()),
        Value::Object(fields) => Document::Object(
            fields
                .iter()
                .map(|(key, value)| (key.clone(), to_document(value)))
                .collect(),
        ),
    }
}

fn from_document(document: &Document) -> Value {
    match document {
        Document::Bool(value) => json!(value),
        Document::Number(Number::PosInt(value)) => json!(value),
        Document::Number(Number::NegInt(value)) => json!(value),
        Document::Number(Number::Float(value)) => json!(value),
        Document::String(text) => json!(text),
        Document::Array(items) => items.iter().map(from_document).collect(),
        Document::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), from_document(value)))
            .collect(),
        Document::Null => Value::Null,
    }
}

#[test]
fn every_sample_paper_is_accepted_by_the_rules() {
    for paper in crate::paper_site::sample::all().unwrap() {
        let text = PaperText {
            title: paper.title,
            abstract_text: paper.abstract_text,
            body: String::new(),
        };
        let answer = super::rules::judge(&text, None);
        assert_eq!(
            answer.decision,
            Decision::Accept,
            "{}: {answer:?}",
            text.title
        );
    }
}
