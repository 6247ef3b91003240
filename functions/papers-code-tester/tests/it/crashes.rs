//! The tester ends at each of its calls in turn, before the service hears of it or after the service has done it, and
//! every program is tested once all the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use annapurna_cloud::{MessageQueues, Sqs};
use annapurna_contract::{PaperId, TestResult, keys};
use futures::{StreamExt, stream};
use papers_code_tester::Tester;
use serde_json::{Value, json};

use super::proxy::{self, Calls, Crash};
use super::{QUARTER, Setting};

/// Scenes that are played side by side.
const AT_ONCE: usize = 8;

/// What happens between the end of one tester and the beginning of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// Another program comes to wait, so the same ones go in another batch.
    AnotherWaits,
    /// The agent runs what was handed over, its results are collected, and another program comes to wait.
    AgentWorksAndAnotherWaits,
}

/// Two papers that wait, one whose result nobody was told of, and how often each program was run.
struct Scene {
    setting: Setting,
    papers: Vec<PaperId>,
    silent: PaperId,
    runs: BTreeMap<PaperId, usize>,
}

impl Scene {
    async fn new() -> Self {
        let setting = Setting::new().await;
        let papers = vec![setting.waiting("Adam").await, setting.waiting("Lion").await];
        let silent = PaperId::of("silence", None);
        let part = json!({
            "title": "silence",
            "test_in_progress": true,
            "test_attempts": 1,
            "last_test_attempt": "2020-01-01T00:00:00Z",
        });
        setting.stage.search.upsert(&silent, &part).await.unwrap();
        setting.stage.search.refresh().await.unwrap();
        setting.result(&silent, "sha").await;
        Self {
            setting,
            papers,
            silent,
            runs: BTreeMap::new(),
        }
    }

    /// Handles an event with a tester that ends at `crash`; says how many calls it made, and whether it ended.
    async fn handle(&self, event: Value, crash: Option<Crash>) -> (usize, bool) {
        let calls = Calls::new(crash);
        let tester = self.tester(&calls).await;
        let has_ended = tokio::select! {
            biased;
            () = calls.crashed() => true,
            answer = Box::pin(tester.handle(event, QUARTER)) => {
                answer.unwrap();
                false
            }
        };
        // What it had in hand is visible again after two minutes, for which no test waits.
        let queues = Sqs::new(&self.setting.stage.sdk);
        for receipt in calls.receipts() {
            let queue = &self.setting.config.evaluation_queue_url;
            // A message that was deleted has none.
            let _ = queues.hide(queue, &receipt, Duration::ZERO).await;
        }
        (calls.count(), has_ended)
    }

    async fn tester(&self, calls: &Arc<Calls>) -> Tester {
        let stage = &self.setting.stage;
        let mut config = self.setting.config.clone();
        config.opensearch_endpoint = proxy::before(&stage.search_url, calls).await;
        let sdk = proxy::before_aws(&stage.sdk, calls).await;
        Tester::new(&sdk, config).unwrap()
    }

    async fn dispatch(&self, crash: Option<Crash>) -> (usize, bool) {
        let event = json!({"action": "dispatch", "force": true});
        self.handle(event, crash).await
    }

    /// Runs what was handed over, by the agent's rule, and has each result collected.
    async fn agent_works(&mut self) {
        for batch in self.setting.batches().await {
            assert!(batch.skip_tested, "{batch:?}");
            let timeout = Duration::from_secs(batch.timeout.into());
            for program in batch.batch {
                let paper = program.paper_id;
                let bucket = &self.setting.config.outputs_bucket;
                let earlier = self
                    .setting
                    .stage
                    .object(bucket, &keys::result(&paper))
                    .await;
                let earlier: Option<TestResult> =
                    earlier.map(|bytes| serde_json::from_slice(&bytes).unwrap());
                if earlier.is_some_and(|it| it.answers(&program.code_sha256, timeout)) {
                    continue;
                }
                *self.runs.entry(paper.clone()).or_default() += 1;
                self.setting.result(&paper, &program.code_sha256).await;
                self.setting.notify(&paper).await.unwrap();
            }
        }
    }

    /// Each program was run once and is tested, and nothing is left in any queue.
    async fn is_whole(&self, when: &str) {
        let once: BTreeMap<PaperId, usize> =
            self.papers.iter().map(|paper| (paper.clone(), 1)).collect();
        assert_eq!(self.runs, once, "{when}");
        for paper in self.papers.iter().chain([&self.silent]) {
            let fields = self.setting.fields(paper).await;
            let state = (fields.tested, fields.test_in_progress, fields.test_attempts);
            assert_eq!(state, (Some(true), Some(false), Some(1)), "{when}: {paper}");
        }
        let (config, stage) = (&self.setting.config, &self.setting.stage);
        for queue in [&config.evaluation_queue_url, &config.testing_queue_url] {
            let left = stage.take(queue).await;
            let dead = stage.take(&stage.dead_letters_of(queue)).await;
            assert!(
                left.is_empty() && dead.is_empty(),
                "{when}: {left:?} {dead:?}"
            );
        }
    }
}

async fn dispatch_ends_at(crash: Crash, meanwhile: Meanwhile) -> bool {
    let when = format!("{crash:?}, {meanwhile:?}");
    let mut scene = Scene::new().await;
    let (_, has_ended) = scene.dispatch(Some(crash)).await;
    if meanwhile == Meanwhile::AgentWorksAndAnotherWaits {
        scene.agent_works().await;
    }
    if meanwhile != Meanwhile::Nothing {
        let another = scene.setting.waiting("Sophia").await;
        scene.papers.push(another);
    }
    // The index shows to a search what was written a second ago.
    scene.setting.stage.search.refresh().await.unwrap();
    assert!(!scene.dispatch(None).await.1, "{when}");
    scene.agent_works().await;
    scene.is_whole(&when).await;
    has_ended
}

#[tokio::test]
async fn a_dispatch_that_ends_at_any_call_loses_no_program_and_has_none_tested_twice() {
    let mut scene = Scene::new().await;
    let (n_calls, _) = scene.dispatch(None).await;
    scene.agent_works().await;
    scene.is_whole("without a crash").await;
    assert!(
        n_calls > 12,
        "{n_calls} calls do not hand over two programs"
    );
    let each = [
        Meanwhile::Nothing,
        Meanwhile::AnotherWaits,
        Meanwhile::AgentWorksAndAnotherWaits,
    ];
    let scenes = (1..=n_calls).flat_map(|number| {
        [Crash::Before(number), Crash::After(number)]
            .into_iter()
            .flat_map(move |crash| {
                each.map(|meanwhile| Box::pin(dispatch_ends_at(crash, meanwhile)))
            })
    });
    let ended: Vec<bool> = stream::iter(scenes)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let n_ended = ended.iter().filter(|it| **it).count();
    // A look at the queue may take both messages at once or one after the other, so the last calls may not come.
    assert!(
        n_ended * 10 >= ended.len() * 8,
        "{n_ended} of {}",
        ended.len()
    );
}

async fn collection_ends_at(crash: Crash) -> bool {
    let when = format!("{crash:?} of the collection");
    let mut scene = Scene::new().await;
    scene.dispatch(None).await;
    let batches = scene.setting.batches().await;
    for program in batches.into_iter().flat_map(|batch| batch.batch) {
        scene.runs.insert(program.paper_id.clone(), 1);
        scene
            .setting
            .result(&program.paper_id, &program.code_sha256)
            .await;
    }
    let event = json!({"action": "collect", "paper_ids": scene.papers});
    let (_, has_ended) = scene.handle(event.clone(), Some(crash)).await;
    // As Lambda invokes the function again for a notification that failed.
    assert!(!scene.handle(event, None).await.1);
    scene.is_whole(&when).await;
    has_ended
}

#[tokio::test]
async fn a_collection_that_ends_at_any_call_is_made_up_for() {
    // A result is read, and its document is read and written; two papers.
    let crashes = (1..=6).flat_map(|number| [Crash::Before(number), Crash::After(number)]);
    let ended: Vec<bool> = stream::iter(crashes.map(|crash| Box::pin(collection_ends_at(crash))))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    assert!(ended.iter().all(|it| *it), "{ended:?}");
}
