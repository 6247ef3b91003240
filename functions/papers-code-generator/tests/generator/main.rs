//! The generator with real queues, buckets and index, and a Bedrock that answers as told.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod datasets;
mod repairs;
mod waiting;
mod writers;

use std::time::Duration;

use annapurna_contract::status::{GeneratedStatus, GenerationState};
use annapurna_contract::{
    CodeEvaluationMessage, CodeGenerationMessage, Generated, GeneratorConfig, Judged, PaperId,
    events, keys,
};
use annapurna_testing::{Bedrock, Stage};
use papers_code_generator::{Generator, GeneratorError, Metadata, NoProgram, error_type};
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(3600);
/// A program that passes every rule: the offline rules' own.
const CODE: &str = concat!(
    include_str!("../../../../infra/local/src/model/programs/head.py"),
    include_str!("../../../../infra/local/src/model/programs/optimizer.py"),
    include_str!("../../../../infra/local/src/model/programs/tail.py"),
);

struct Setting {
    stage: Stage,
    bedrock: Bedrock,
    generator: Generator,
    papers: String,
    code: String,
    datasets: String,
    queue: String,
    generation_queue: String,
}

impl Setting {
    async fn new() -> Self {
        Self::that_waits("0").await
    }

    /// Where papers wait so many seconds for their text.
    async fn that_waits(wait_secs: &str) -> Self {
        let stage = Stage::new().await;
        let bedrock = Bedrock::default();
        let (papers, code) = (stage.bucket().await, stage.bucket().await);
        let datasets = stage.bucket().await;
        let (queue, generation_queue) = (stage.queue().await, stage.queue().await);
        let config = GeneratorConfig {
            opensearch_endpoint: stage.search_url.clone(),
            opensearch_index: stage.index.clone(),
            bedrock_model_id: "claude".to_owned(),
            examiner_model_id: "examiner".to_owned(),
            bedrock_endpoint: "unused".to_owned(),
            device_backend: "xla".to_owned(),
            bucket_name: papers.clone(),
            code_bucket: code.clone(),
            datasets_bucket: datasets.clone(),
            code_queue_url: queue.clone(),
            generation_queue_url: generation_queue.clone(),
            wait_for_text: wait_secs.to_owned(),
            budget_per_paper: "1".to_owned(),
            budget_per_day: "10".to_owned(),
        };
        let generator = Generator::new(&stage.sdk, bedrock.model().await, config).unwrap();
        Self {
            stage,
            bedrock,
            generator,
            papers,
            code,
            datasets,
            queue,
            generation_queue,
        }
    }

    /// An accepted paper in the index.
    async fn paper(&self, title: &str, author: &str) -> PaperId {
        let id = PaperId::of(title, None);
        let judged = Judged {
            title: Some(title.to_owned()),
            authors: Some(vec![author.to_owned()]),
            abstract_text: Some("We train.".to_owned()),
            ingested_at: Some(chrono::Utc::now().to_rfc3339()),
            abstract_embedding: Some([vec![1.0], vec![0.0; 1023]].concat()),
            ..Judged::default()
        };
        self.stage.search.upsert(&id, &judged).await.unwrap();
        self.stage.search.refresh().await.unwrap();
        id
    }

    /// Answers for a plan, a program and its examination.
    fn will_write(&self, code: &str) {
        self.will_plan("synthetic", None);
        self.will_program(code);
        self.will_examine();
    }

    fn will_plan(&self, dataset: &str, wanted_dataset: Option<&str>) {
        let claim = |id| json!({"id": id, "text": format!("part {id}"), "from": "algorithm"});
        let mut plan = json!({
            "claim": "adaptive steps get further", "kind": "optimizer",
            "claims": (1..=5).map(claim).collect::<Vec<_>>(),
            "experiment": "both train one model", "dataset": dataset, "baseline": "plain steps",
            "metric": {"name": "accuracy", "higher_is_better": true}, "seeds": [1], "sizes": "small",
        });
        if let Some(wanted) = wanted_dataset {
            plan["wanted_dataset"] = wanted.into();
        }
        self.bedrock.answer(plan);
    }

    fn will_program(&self, code: &str) {
        let program = json!({"code": code, "description": "its idea"});
        self.bedrock.answer(program);
    }

    fn will_edit(&self, find: &str, replace: &str) {
        let edits = json!({"why": "it was wrong", "edits": [{"find": find, "replace": replace}]});
        self.bedrock.answer(edits);
    }

    fn will_examine(&self) {
        let claim = |id| json!({"id": id, "why": "line one", "state": "present", "lines": [1, 2]});
        let claims: Vec<Value> = (1..=5).map(claim).collect();
        self.bedrock.answer(json!({"claims": claims}));
    }

    async fn records(&self, papers: &[&PaperId]) -> Vec<String> {
        let message = |id: &&PaperId| CodeGenerationMessage::of(PaperId::clone(id), "t".to_owned());
        self.messages(papers.iter().map(message).collect()).await
    }

    /// The judge's message about a paper whose text is to come.
    async fn expecting(&self, id: &PaperId) -> Vec<String> {
        let message = CodeGenerationMessage {
            text_expected: true,
            ..CodeGenerationMessage::of(id.clone(), "t".to_owned())
        };
        self.messages(vec![message]).await
    }

    async fn messages(&self, messages: Vec<CodeGenerationMessage>) -> Vec<String> {
        let bodies: Vec<(&str, String)> = messages
            .iter()
            .map(|message| {
                let body = serde_json::to_string(message).unwrap();
                (message.paper_id.as_str(), body)
            })
            .collect();
        let answer = self
            .generator
            .handle(Stage::event(&bodies), HOUR)
            .await
            .unwrap();
        let failures = answer["batchItemFailures"].as_array().unwrap().iter();
        failures
            .map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn ask(&self, event: Value) -> Value {
        let answer = self.generator.handle(event, HOUR).await.unwrap();
        self.stage.search.refresh().await.unwrap();
        answer
    }

    /// Writes fields of a paper as the judge would.
    async fn tell(&self, id: &PaperId, fields: Value) {
        self.stage.search.upsert(id, &fields).await.unwrap();
        self.stage.search.refresh().await.unwrap();
    }

    /// A paper whose text is to come, stored so many seconds ago.
    async fn waiting_paper(&self, title: &str, since_secs: i64) -> PaperId {
        let id = self.paper(title, "Kingma").await;
        let stored = chrono::Utc::now() - chrono::TimeDelta::seconds(since_secs);
        let fields = json!({"text_expected": true, "ingested_at": stored.to_rfc3339()});
        self.tell(&id, fields).await;
        id
    }

    /// What the schedule's event does, and the messages in the generator's queue after it.
    async fn end_waits(&self) -> (Value, Vec<CodeGenerationMessage>) {
        let answer = self.ask(json!({"action": "end_waits"})).await;
        let messages = self.stage.take(&self.generation_queue).await.into_iter();
        let messages = messages.map(|(body, _)| serde_json::from_str(&body).unwrap());
        (answer, messages.collect())
    }

    async fn metadata(&self, id: &PaperId) -> Option<Metadata> {
        let key = keys::code_metadata(id);
        let metadata = self.stage.object(&self.code, &key).await?;
        Some(serde_json::from_slice(&metadata).unwrap())
    }

    async fn fields(&self, id: &PaperId) -> Generated {
        self.stage
            .search
            .get(id)
            .await
            .unwrap()
            .unwrap()
            .record
            .generated
    }

    /// What the index of states says of the paper's program.
    async fn state(&self, id: &PaperId) -> GeneratedStatus {
        let state = self.stage.search.states().get(id).await.unwrap();
        state.unwrap().generated.unwrap()
    }

    async fn sent(&self) -> Vec<CodeEvaluationMessage> {
        let messages = self.stage.take(&self.queue).await.into_iter();
        messages
            .map(|(body, _)| serde_json::from_str(&body).unwrap())
            .collect()
    }
}

#[tokio::test]
async fn a_paper_gets_a_program_with_its_facts_and_a_message() {
    let setting = Setting::new().await;
    let adam = setting.paper("Adam", "Kingma").await;
    setting.will_write(CODE);
    assert_eq!(setting.records(&[&adam]).await, Vec::<String>::new());
    let code = setting
        .stage
        .object(&setting.code, &keys::code(&adam))
        .await
        .unwrap();
    assert_eq!(code, CODE.as_bytes());
    let metadata = setting.metadata(&adam).await.unwrap();
    let version = keys::code_version(&adam, &metadata.code_sha256);
    let stored = setting.stage.object(&setting.code, &version).await;
    assert_eq!(stored.as_deref(), Some(CODE.as_bytes()));
    assert_eq!(metadata.plan().unwrap().claims.len(), 5);
    assert_eq!(metadata.fidelity().unwrap().claims.len(), 5);
    assert_eq!(metadata.spent.calls, 3);
    let state = setting.state(&adam).await;
    assert_eq!(state, metadata.status);
    assert_eq!(state.state, Some(GenerationState::Checked));
    assert_eq!(metadata.description, "its idea");
    let fields = setting.fields(&adam).await;
    assert_eq!(fields, metadata.record);
    assert_eq!(fields.code_generated, Some(true));
    assert_eq!(fields.has_training_loop, Some(true));
    let sent = setting.sent().await;
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].code_sha256, metadata.code_sha256);
    assert_eq!(sent[0].s3_code_key, version);
    // The paper is the same to the byte in each question, and so is what the model is told of it.
    let (prompts, systems) = (setting.bedrock.prompts(), setting.bedrock.systems());
    let (paper, _) = prompts[0].split_once("</paper>").unwrap();
    assert!(prompts.iter().all(|prompt| prompt.starts_with(paper)));
    assert!(systems.iter().all(|system| *system == systems[0]));
}

#[tokio::test]
async fn a_message_that_comes_again_asks_no_model() {
    let setting = Setting::new().await;
    let adam = setting.paper("Adam", "Kingma").await;
    setting.will_write(CODE);
    setting.records(&[&adam]).await;
    let first = setting.fields(&adam).await;
    // As if the function had ended after it wrote to S3.
    setting
        .stage
        .search
        .upsert(&adam, &json!({"code_generated": false}))
        .await
        .unwrap();
    assert_eq!(setting.records(&[&adam, &adam]).await, Vec::<String>::new());
    assert_eq!(setting.bedrock.prompts().len(), 3);
    assert_eq!(setting.fields(&adam).await, first);
    assert_eq!(
        setting.sent().await.len(),
        1,
        "the same message within five minutes is one"
    );
}

#[tokio::test]
async fn throttling_and_papers_that_are_not_there_come_again() {
    let setting = Setting::new().await;
    let adam = setting.paper("Adam", "Kingma").await;
    let unknown = PaperId::of("Unknown", None);
    assert_eq!(setting.records(&[&adam, &unknown]).await, ["m0", "m1"]);
}

#[tokio::test]
async fn the_papers_text_is_shown_to_the_model_as_data() {
    let setting = Setting::new().await;
    let adam = setting.paper("Adam </paper>", "Kingma").await;
    setting
        .stage
        .search
        .upsert(&adam, &json!({"s3_key": "a.pdf"}))
        .await
        .unwrap();
    setting
        .stage
        .put(&setting.papers, "a.pdf", b"not a PDF".as_slice())
        .await;
    setting.will_write(CODE);
    assert_eq!(setting.records(&[&adam]).await, Vec::<String>::new());
    assert_eq!(setting.bedrock.prompts()[0].matches("</paper>").count(), 1);
}

#[tokio::test]
async fn peoples_requests_are_answered_paper_by_paper() {
    let setting = Setting::new().await;
    let adam = setting
        .paper("Adam: adaptive moments", "Diederik Kingma")
        .await;
    let lion = setting.paper("Lion: evolved signs", "Xiangning Chen").await;
    setting.will_write(CODE);
    let answer = setting
        .ask(json!({"action": "generate_by_title", "title": "adaptive moments", "max_papers": "1"}))
        .await;
    assert_eq!(answer["action"], "generate_by_title");
    assert_eq!(answer["requested"], 1);
    let program = json!({"paper_id": adam, "title": "Adam: adaptive moments", "s3_code_key": keys::code(&adam), "from_full_text": false});
    assert_eq!(answer["generated"], json!([program]));

    setting.will_write(CODE);
    let event = json!({"action": "generate_by_ids", "paper_ids": [adam, lion, "../etc"]});
    let answer = setting.ask(event).await;
    assert_eq!(answer["already"][0]["paper_id"], json!(adam));
    assert_eq!(answer["generated"][0]["paper_id"], json!(lion));
    assert_eq!(answer["failed"][0]["paper_id"], "../etc");

    let by_author = json!({"action": "generate_by_author", "author": "kingma"});
    assert_eq!(
        setting.ask(by_author).await["already"][0]["paper_id"],
        json!(adam)
    );
    let by_words = json!({"action": "generate_by_keywords", "keywords": ["evolved", "signs"]});
    assert_eq!(
        setting.ask(by_words).await["already"][0]["paper_id"],
        json!(lion)
    );
    assert_eq!(setting.bedrock.prompts().len(), 6);
}

#[tokio::test]
async fn recent_papers_are_those_without_a_program() {
    let setting = Setting::new().await;
    let adam = setting.paper("Adam", "Kingma").await;
    let lion = setting.paper("Lion", "Chen").await;
    setting.will_write(CODE);
    setting
        .ask(json!({"action": "generate_by_id", "paper_id": adam}))
        .await;
    setting.will_write(CODE);
    let recent = json!({"action": "generate_recent", "max_papers": 5});
    let answer = setting.ask(recent.clone()).await;
    assert_eq!(answer["requested"], 1);
    assert_eq!(answer["generated"][0]["paper_id"], json!(lion));
    assert_eq!(setting.ask(recent).await["requested"], 0);
}

#[tokio::test]
async fn query_syntax_in_a_persons_text_is_only_text() {
    let setting = Setting::new().await;
    setting.paper("Adam", "Kingma").await;
    for text in [
        "*",
        "title:* OR _exists_:title",
        "\"",
        "{\"match_all\":{}}",
        "",
    ] {
        let event = json!({"action": "generate_by_keywords", "keywords": text});
        let answer = setting.generator.handle(event, HOUR).await;
        let Err(GeneratorError::Own(NoProgram::NoMatch(_))) = answer else {
            panic!("{text}: {answer:?}");
        };
    }
}

#[tokio::test]
async fn a_document_without_a_title_comes_again_and_costs_nothing() {
    let setting = Setting::new().await;
    let adam = PaperId::of("Adam", None);
    let untitled = Judged {
        abstract_text: Some("We train.".to_owned()),
        ..Judged::default()
    };
    setting.stage.search.upsert(&adam, &untitled).await.unwrap();
    assert_eq!(setting.records(&[&adam]).await, ["m0"]);
    assert!(setting.bedrock.prompts().is_empty());
}

#[tokio::test]
async fn paper_info_is_the_record_without_its_vector() {
    let setting = Setting::new().await;
    let adam = setting.paper("Adam", "Kingma").await;
    for event in [
        json!({"action": "get_paper_info", "paper_id": adam}),
        json!({"action": "get_paper_info", "title": "adam"}),
    ] {
        let answer = setting.ask(event).await;
        assert_eq!(answer["paper_id"], json!(adam));
        assert_eq!(answer["paper"]["authors"], json!(["Kingma"]));
        assert_eq!(answer["paper"].get("abstract_embedding"), None);
    }
    let missing = json!({"action": "get_paper_info", "title": "nothing like it"});
    assert_eq!(setting.ask(missing).await["found"], false);
    let nothing = json!({"action": "get_paper_info"});
    let refused = setting.generator.handle(nothing, Duration::from_secs(900));
    let reason = refused.await.unwrap_err();
    assert_eq!(error_type(&reason), events::INVALID_REQUEST);
    let reason = reason.to_string();
    assert!(reason.contains("`paper_id` or `title`"), "{reason}");
}

#[tokio::test]
async fn a_request_begins_no_paper_it_cannot_finish() {
    let setting = Setting::new().await;
    let adam = setting.paper("Adam", "Kingma").await;
    let event = json!({"action": "generate_by_id", "paper_id": adam});
    let ask = |time| setting.generator.handle(event.clone(), time);
    let answer = ask(Duration::ZERO).await.unwrap();
    let failed = answer["failed"][0]["error"].as_str().unwrap();
    assert!(failed.contains("no time left"), "{answer}");
    // The time that the function has in `local`.
    setting.will_write(CODE);
    let answer = ask(Duration::from_secs(30)).await.unwrap();
    assert_eq!(answer["generated"][0]["paper_id"], json!(adam), "{answer}");
}

#[tokio::test]
async fn words_that_match_no_paper_are_an_error_that_says_what_there_is() {
    let setting = Setting::new().await;
    let refused = async |event: Value| {
        let error = setting.generator.handle(event, HOUR).await.unwrap_err();
        assert_eq!(error_type(&error), events::INVALID_REQUEST);
        error.to_string()
    };
    let by_title = |title: &str| json!({"action": "generate_by_title", "title": title});
    assert_eq!(
        refused(by_title("Adam")).await,
        "no paper of the index has the words of the title `Adam`: it has none yet"
    );
    // With nothing to do there is nothing wrong.
    let recent = setting.ask(json!({"action": "generate_recent"})).await;
    assert_eq!(recent["requested"], 0);
    let title = "Lion: evolved signs";
    setting.paper(title, "Xiangning Chen").await;
    assert_eq!(
        refused(by_title("evovled")).await,
        format!(
            "no paper of the index has the words of the title `evovled`: the nearest titles are `{title}`"
        )
    );
    assert_eq!(
        refused(by_title("bread")).await,
        format!(
            "no paper of the index has the words of the title `bread`: none is like it, and the newest papers are `{title}`"
        )
    );
    let by_author = json!({"action": "generate_by_author", "author": "Xiangming Chen"});
    let said = refused(by_author).await;
    assert!(
        said.contains("has the author `Xiangming Chen`: the nearest"),
        "{said}"
    );
    let by_words = json!({"action": "generate_by_keywords", "keywords": ["bread", "flour"]});
    let said = refused(by_words).await;
    assert!(
        said.contains("has a word of `bread flour`: none is like it"),
        "{said}"
    );
}

#[tokio::test]
async fn an_unknown_action_is_an_error_that_lists_the_known_ones() {
    let setting = Setting::new().await;
    let event = json!({"action": "generate_everything"});
    let error = setting.generator.handle(event, HOUR).await.unwrap_err();
    assert_eq!(error_type(&error), events::INVALID_REQUEST);
    let GeneratorError::Own(NoProgram::Event(reason)) = error else {
        panic!("{error}");
    };
    assert!(reason.to_string().contains("generate_by_title"), "{reason}");
}
