//! What a throttled model and a spent budget do to papers: with real queues and buckets, nothing is lost.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::time::Duration;

use annapurna_contract::spent::Spender;
use annapurna_contract::{
    JudgeConfig, PAPER_MAX_RECEIVES, PaperId, ResearchMessage, Source, Spent, Verdict, keys,
};
use annapurna_testing::{Bedrock, Stage};
use aws_sdk_sqs::types::MessageSystemAttributeName as Attribute;
use chrono::Utc;
use papers_judge::Judge;
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(3_600);

struct Setting {
    stage: Stage,
    bedrock: Bedrock,
    judge: Judge,
    papers: String,
    code: String,
    inbox: String,
    sqs: aws_sdk_sqs::Client,
}

impl Setting {
    async fn new(budget_per_paper: &str, budget_per_day: &str) -> Self {
        let stage = Stage::new().await;
        let bedrock = Bedrock::default();
        let (papers, code) = (stage.bucket().await, stage.bucket().await);
        let inbox = stage.queue().await;
        let config = JudgeConfig {
            opensearch_endpoint: stage.search_url.clone(),
            opensearch_index: stage.index.clone(),
            bucket_name: papers.clone(),
            queue_url: stage.queue().await,
            research_queue_url: inbox.clone(),
            bedrock_model_id: "us.anthropic.claude-haiku-5-5".to_owned(),
            embedding_model_id: "amazon.titan-embed-text-v2:0".to_owned(),
            bedrock_endpoint: "unused".to_owned(),
            topic: "training of neural networks".to_owned(),
            duplicate_similarity: "0.95".to_owned(),
            code_bucket: code.clone(),
            budget_per_paper: budget_per_paper.to_owned(),
            budget_per_day: budget_per_day.to_owned(),
        };
        Self {
            judge: Judge::new(&stage.sdk, bedrock.model().await, config).unwrap(),
            sqs: aws_sdk_sqs::Client::new(&stage.sdk),
            stage,
            bedrock,
            papers,
            code,
            inbox,
        }
    }

    /// Receives what is in the inbox and has it judged, as an event source mapping does; how often it was received, and
    /// whether it is done. A message that is hidden is shown again, so that no test waits.
    async fn deliver(&self) -> Option<(u32, bool)> {
        let request = self.sqs.receive_message().queue_url(&self.inbox);
        let request = request
            .message_system_attribute_names(Attribute::MessageGroupId)
            .message_system_attribute_names(Attribute::ApproximateReceiveCount);
        let message = request.send().await.unwrap().messages?.remove(0);
        let attributes = message.attributes.unwrap();
        let receives = attributes[&Attribute::ApproximateReceiveCount].clone();
        let receipt = message.receipt_handle.unwrap();
        let event = json!({"Records": [{
            "messageId": message.message_id, "receiptHandle": receipt, "body": message.body,
            "attributes": {
                "MessageGroupId": attributes[&Attribute::MessageGroupId],
                "ApproximateReceiveCount": receives,
            },
        }]});
        let event = serde_json::from_value(event).unwrap();
        let failed = self.judge.handle(event, HOUR).await.batch_item_failures;
        if failed.is_empty() {
            let delete = self.sqs.delete_message().queue_url(&self.inbox);
            delete.receipt_handle(receipt).send().await.unwrap();
        } else {
            let show = self.sqs.change_message_visibility();
            let show = show.queue_url(&self.inbox).receipt_handle(receipt);
            show.visibility_timeout(0).send().await.unwrap();
        }
        Some((receives.parse().unwrap(), failed.is_empty()))
    }

    async fn send(&self, paper: &ResearchMessage) {
        let body = serde_json::to_string(paper).unwrap();
        self.stage
            .send(&self.inbox, paper.paper_id.as_str(), &body)
            .await;
    }

    async fn verdict(&self, paper: &ResearchMessage) -> Option<Verdict> {
        let key = keys::verdict(&paper.paper_id);
        let bytes = self.stage.object(&self.papers, &key).await?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    async fn counter(&self, key: &str) -> Spent {
        let bytes = self.stage.object(&self.code, key).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    async fn n_dead(&self) -> usize {
        let dead = self.stage.dead_letters_of(&self.inbox);
        self.stage.take(&dead).await.len()
    }
}

fn paper() -> ResearchMessage {
    titled("Adam", "We train networks with moments.")
}

fn titled(title: &str, abstract_text: &str) -> ResearchMessage {
    let abstract_text = Some(abstract_text);
    ResearchMessage {
        paper_id: PaperId::of(title, abstract_text),
        revision: 1,
        source: Source::Arxiv,
        year: 2026,
        title: title.to_owned(),
        authors: vec!["A. Author".to_owned()],
        abstract_text: abstract_text.map(str::to_owned),
        date: None,
        url: None,
        s3_bucket: "papers".to_owned(),
        s3_key: None,
        text_expected: false,
        record_s3_key: "arxiv/2026/x.json".to_owned(),
        order: None,
    }
}

fn verdict() -> Value {
    let reason = "Adam, Dropout, ResNet, BERT and a GAN train by moments, units left out, residuals, \
                  pretraining or two players.";
    json!({"reason": reason, "relevance": 9, "novelty": 8, "fit": 9, "confidence": 8,
        "decision": "accept"})
}

#[tokio::test]
async fn a_paper_that_is_throttled_more_often_than_it_may_fail_is_judged() {
    let setting = Setting::new("1", "10").await;
    let adam = paper();
    setting.bedrock.answer_always(verdict());
    setting.bedrock.allow(0);
    setting.send(&adam).await;
    let mut receives = Vec::new();
    while receives.len() <= usize::try_from(PAPER_MAX_RECEIVES).unwrap() {
        let (count, _) = setting.deliver().await.unwrap();
        assert!(
            count < PAPER_MAX_RECEIVES,
            "the next receive makes it a dead letter"
        );
        receives.push(count);
    }
    assert_eq!(receives, [1, 2, 3, 4, 1, 2]);
    assert_eq!(setting.verdict(&adam).await, None);
    setting.bedrock.allow(10);
    assert_eq!(setting.deliver().await, Some((3, true)));
    assert!(setting.verdict(&adam).await.is_some());
    assert_eq!((setting.deliver().await, setting.n_dead().await), (None, 0));
}

#[tokio::test]
async fn what_models_took_is_written_down_by_day_and_paper() {
    let setting = Setting::new("1", "10").await;
    let adam = paper();
    setting.bedrock.answer_always(verdict());
    setting.send(&adam).await;
    assert_eq!(setting.deliver().await, Some((1, true)));
    let today = Utc::now().format("%Y-%m-%d").to_string();
    let on_day = setting
        .counter(&keys::spent_on_day(&today, Spender::Judge))
        .await;
    let on_paper = setting
        .counter(&keys::spent_on_paper(&adam.paper_id, Spender::Judge))
        .await;
    assert_eq!(on_day, on_paper);
    // The vector and the verdict, a token or two each.
    assert_eq!(
        (on_day.calls, on_day.input_tokens, on_day.output_tokens),
        (2, 2, 1)
    );
    assert_eq!(on_day.micro_dollars, 2);
}

#[tokio::test]
async fn a_budget_that_is_spent_asks_no_model_and_loses_no_paper() {
    for (per_paper, per_day, its_own_fault) in [("1", "0", false), ("0", "10", true)] {
        let setting = Setting::new(per_paper, per_day).await;
        let adam = paper();
        setting.bedrock.answer_always(verdict());
        setting.send(&adam).await;
        assert_eq!(setting.deliver().await, Some((1, false)));
        assert!(setting.bedrock.prompts().is_empty());
        assert_eq!(setting.bedrock.n_embeddings(), 0);
        assert_eq!(setting.verdict(&adam).await, None);
        // A day's budget does not count against the paper: its message never becomes a dead letter.
        let mut receives = Vec::new();
        for _ in 0..4 {
            receives.push(setting.deliver().await.unwrap().0);
        }
        let expected = if its_own_fault {
            [2, 3, 4, 5]
        } else {
            [2, 3, 4, 1]
        };
        assert_eq!(receives, expected);
    }
}

#[tokio::test]
async fn copies_that_spend_at_once_lose_no_count() {
    let setting = Setting::new("1", "10").await;
    setting.bedrock.answer_always(verdict());
    let judge = |title: &str, abstract_text: &str| {
        let paper = titled(title, abstract_text);
        let body = serde_json::to_string(&paper).unwrap();
        let event = Stage::event(&[(paper.paper_id.as_str(), body)]);
        setting
            .judge
            .handle(serde_json::from_value(event).unwrap(), HOUR)
    };
    let answers = tokio::join!(
        judge("Adam", "moments of gradients"),
        judge("Dropout", "units left out by chance"),
        judge("ResNet", "layers that learn residuals"),
        judge("BERT", "bidirectional pretraining"),
        judge("GAN", "two players and a game"),
    );
    let answers = [answers.0, answers.1, answers.2, answers.3, answers.4];
    assert!(answers.iter().all(|it| it.batch_item_failures.is_empty()));
    let today = Utc::now().format("%Y-%m-%d").to_string();
    let on_day = setting
        .counter(&keys::spent_on_day(&today, Spender::Judge))
        .await;
    assert_eq!((on_day.calls, on_day.micro_dollars), (10, 10));
}
