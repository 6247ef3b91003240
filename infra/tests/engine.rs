//! Change sets against the emulator: a failed update names its first cause and leaves what was there,
//! and a template too large for a request goes through S3.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use annapurna_local::emulator::EmulatorOptions;
use annapurna_local_testing::{TestEmulator, test_emulator};
use annapurna_stack::adoption::adopting;
use annapurna_stack::environment::Environment;
use annapurna_stack::pipeline::stack;
use annapurna_stack::plan::{ChangeSetAction, ChangeSetEntry, Deployment, Replacement};
use infra::assets::AssetsBucket;
use infra::cloud::Cloud;
use infra::engine::{ChangeSet, Deployed, Engine, Operator, Outcome, Standing, TemplateSource};
use infra::error::CommandError;
use serde_json::{Value, json};

const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const STACK: &str = "annapurna-test";

async fn cloud() -> (TestEmulator, Cloud) {
    let emulator = test_emulator(&EmulatorOptions::default()).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments");
    let environment = Environment::load(&folder, "local").unwrap();
    let cloud = Cloud::connect(&environment, Some(&emulator.endpoint_url)).await;
    (emulator, cloud)
}

/// A template of FIFO queues with these names.
fn queues(names: &[&str]) -> String {
    let resources: serde_json::Map<String, serde_json::Value> = names
        .iter()
        .map(|name| {
            let properties = json!({
                "QueueName": format!("{name}.fifo"), "FifoQueue": true, "VisibilityTimeout": 30
            });
            let queue = json!({"Type": "AWS::SQS::Queue", "Properties": properties});
            ((*name).to_owned(), queue)
        })
        .collect();
    json!({ "Resources": resources }).to_string()
}

async fn deploy(engine: &Engine, source: TemplateSource) -> Result<(), CommandError> {
    let set = engine.prepare(source, &BTreeMap::new()).await?;
    match set {
        Some(set) => set.execute(&|_| {}).await,
        None => Ok(()),
    }
}

#[tokio::test]
async fn a_failed_update_names_its_first_cause_and_leaves_the_previous_state() {
    let (_emulator, cloud) = cloud().await;
    let engine = Engine::new(&cloud, STACK);
    deploy(&engine, TemplateSource::Body(queues(&["First"])))
        .await
        .unwrap();
    let before = engine.deployed().await.unwrap().unwrap();
    // A bucket of that name is there, and is not the stack's.
    cloud
        .s3
        .create_bucket()
        .bucket("taken")
        .send()
        .await
        .unwrap();
    let mut wanted: serde_json::Value =
        serde_json::from_str(&queues(&["First", "Second"])).unwrap();
    wanted["Resources"]["Broken"] =
        json!({"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "taken"}});
    let error = deploy(&engine, TemplateSource::Body(wanted.to_string()))
        .await
        .unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("`Broken` (AWS::S3::Bucket): ") && said.contains("[setting `bucket-suffix`]"),
        "{said}"
    );
    assert_eq!(error.exit_code(), 3);
    let after = engine.deployed().await.unwrap().unwrap();
    assert_eq!(after.deployment, before.deployment);
    assert_eq!(after.status.as_str(), "UPDATE_ROLLBACK_COMPLETE");
    deploy(&engine, TemplateSource::Body(queues(&["First", "Second"])))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_large_template_goes_through_s3_and_the_same_one_changes_nothing() {
    let (_emulator, cloud) = cloud().await;
    let engine = Engine::new(&cloud, STACK);
    let body = queues(&["First", "Second"]);
    let bucket = AssetsBucket::new(&cloud, "000000000000", "us-east-1");
    bucket.ensure(false).await.unwrap();
    let url = bucket.publish_template(&body).await.unwrap();
    deploy(&engine, TemplateSource::Url(url.clone()))
        .await
        .unwrap();
    let deployed = engine.deployed().await.unwrap().unwrap();
    assert_eq!(
        deployed.deployment.template["Resources"]
            .as_object()
            .unwrap()
            .len(),
        2
    );
    let again = engine
        .prepare(TemplateSource::Url(url), &BTreeMap::new())
        .await;
    assert!(again.unwrap().is_none(), "nothing is to be changed");
}

#[tokio::test]
async fn a_failed_creation_is_cleared_away_by_the_next_deployment() {
    let (_emulator, cloud) = cloud().await;
    let engine = Engine::new(&cloud, STACK);
    let broken =
        json!({"Resources": {"Machine": {"Type": "AWS::EC2::Instance", "Properties": {}}}});
    let outcome = deploy(&engine, TemplateSource::Body(broken.to_string())).await;
    assert!(outcome.is_err(), "the emulator has no instances");
    let standing = engine.at_rest(&|_| {}).await.unwrap();
    assert_eq!(standing, Standing::Remnant);
    engine.delete(&|_| {}).await.unwrap();
    deploy(&engine, TemplateSource::Body(queues(&["First"])))
        .await
        .unwrap();
}

/// A template of one bucket that goes with its stack, with a setting, and what else is given.
fn bucket_template(more: serde_json::Value) -> serde_json::Value {
    let mut template = json!({"Resources": {"Papers": {
        "Type": "AWS::S3::Bucket", "DeletionPolicy": "Delete", "Properties": {
            "BucketName": "papers", "VersioningConfiguration": {"Status": "Enabled"}}}}});
    let more = more.as_object().unwrap().clone();
    template["Resources"].as_object_mut().unwrap().extend(more);
    template
}

async fn adopt(engine: &Engine, source: TemplateSource) -> Result<(), CommandError> {
    let set = engine.prepare_adoption(source, &BTreeMap::new()).await?;
    let set = set.unwrap();
    assert_eq!(set.imports().count(), 1);
    set.execute(&|_| {}).await
}

async fn object(cloud: &Cloud) -> String {
    let object = cloud.s3.get_object().bucket("papers").key("k");
    let body = object.send().await.unwrap().body.collect().await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_new_stack_takes_up_a_bucket_that_outlived_its_stack() {
    let (_emulator, cloud) = cloud().await;
    let engine = Engine::new(&cloud, STACK);
    outlived(&cloud).await;
    let inline = |template: &serde_json::Value| TemplateSource::Body(template.to_string());

    let wanted = bucket_template(json!({}));
    let refused = deploy(&engine, inline(&wanted)).await.unwrap_err();
    assert!(
        matches!(refused, CommandError::Unretained { .. }),
        "{refused}"
    );

    adopt(&engine, inline(&adopting(&wanted))).await.unwrap();
    deploy(&engine, inline(&wanted)).await.unwrap();
    assert_eq!(object(&cloud).await, "kept");
    assert_eq!(
        versioning(&cloud).await.as_deref(),
        Some("Enabled"),
        "the second step gives the settings"
    );
    let deployed = engine.deployed().await.unwrap().unwrap();
    assert_eq!(deployed.deployment.template, wanted);
    let again = engine.prepare(inline(&wanted), &BTreeMap::new()).await;
    assert!(again.unwrap().is_none(), "nothing is left to do");
}

/// Makes a bucket with an object, as a stack that is gone would leave it.
async fn outlived(cloud: &Cloud) {
    let bucket = cloud.s3.create_bucket().bucket("papers").send();
    bucket.await.unwrap();
    let object = cloud.s3.put_object().bucket("papers").key("k");
    let object = object.body(b"kept".to_vec().into()).send();
    object.await.unwrap();
}

async fn versioning(cloud: &Cloud) -> Option<String> {
    let versioning = cloud.s3.get_bucket_versioning().bucket("papers").send();
    let status = versioning.await.unwrap().status;
    status.map(|status| status.as_str().to_owned())
}

/// Gives these answers, one to each change set, and remembers what it was shown and executed.
struct Scripted {
    answers: RefCell<Vec<Result<bool, CommandError>>>,
    shown: RefCell<Vec<Vec<ChangeSetEntry>>>,
    executed: RefCell<Vec<Vec<ChangeSetEntry>>>,
}

impl Scripted {
    fn new<const N: usize>(answers: [Result<bool, CommandError>; N]) -> Self {
        Self {
            answers: RefCell::new(answers.into_iter().rev().collect()),
            shown: RefCell::default(),
            executed: RefCell::default(),
        }
    }
}

impl Operator for Scripted {
    async fn source(&self, template: &Value) -> Result<TemplateSource, CommandError> {
        Ok(TemplateSource::Body(template.to_string()))
    }

    async fn agrees(
        &self,
        _before: Option<&Deployed>,
        set: Option<&ChangeSet>,
    ) -> Result<bool, CommandError> {
        let set = set.unwrap();
        self.shown.borrow_mut().push(set.entries.clone());
        self.answers.borrow_mut().pop().unwrap()
    }

    async fn execute(
        &self,
        _before: Option<&Deployed>,
        set: &ChangeSet,
    ) -> Result<(), CommandError> {
        self.executed.borrow_mut().push(set.entries.clone());
        set.execute(&|_| {}).await
    }
}

fn wanted(template: Value) -> Deployment {
    Deployment {
        template,
        parameters: BTreeMap::new(),
    }
}

#[tokio::test]
async fn the_second_change_set_of_an_adoption_is_asked_for_as_the_first() {
    let (_emulator, cloud) = cloud().await;
    let engine = Engine::new(&cloud, STACK);
    outlived(&cloud).await;
    let wanted = wanted(bucket_template(json!({})));

    let nobody = Scripted::new([Ok(false)]);
    let outcome = engine.roll_out(&wanted, &nobody).await.unwrap();
    assert!(matches!(outcome, Outcome::Declined { has_adopted: false }));
    assert!(engine.deployed().await.unwrap().is_none());

    let halfway = Scripted::new([Ok(true), Ok(false)]);
    let outcome = engine.roll_out(&wanted, &halfway).await.unwrap();
    assert!(matches!(outcome, Outcome::Declined { has_adopted: true }));
    let shown = halfway.shown.take();
    let actions = |at: usize| shown[at].iter().map(|entry| entry.action);
    assert_eq!(actions(0).collect::<Vec<_>>(), [ChangeSetAction::Import]);
    assert_eq!(actions(1).collect::<Vec<_>>(), [ChangeSetAction::Modify]);
    assert_eq!(halfway.executed.take(), shown[..1]);
    assert_eq!(versioning(&cloud).await, None);

    let adopted = engine.deployed().await.unwrap().unwrap().deployment;
    assert_eq!(adopted.template, adopting(&wanted.template));
    let whole = Scripted::new([Ok(true)]);
    let outcome = engine.roll_out(&wanted, &whole).await.unwrap();
    let Outcome::Done(now) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(now.deployment.template, wanted.template);
    assert_eq!(versioning(&cloud).await.as_deref(), Some("Enabled"));
    assert_eq!(object(&cloud).await, "kept");
}

#[tokio::test]
async fn a_change_set_that_nobody_could_be_asked_about_is_gone() {
    let (_emulator, cloud) = cloud().await;
    let engine = Engine::new(&cloud, STACK);
    let template = serde_json::from_str(&queues(&["First"])).unwrap();
    let (question, flag) = ("Deploy?".to_owned(), "--yes".to_owned());
    let nobody = Scripted::new([Err(CommandError::NobodyToAsk { question, flag })]);
    let error = engine.roll_out(&wanted(template), &nobody).await;
    let error = error.unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    assert!(nobody.executed.take().is_empty());
    let stack = cloud.cloudformation.describe_stacks().stack_name(STACK);
    let gone = stack.send().await.unwrap_err();
    let gone = format!("{gone:?}");
    assert!(gone.contains("does not exist"), "{gone}");
}

#[tokio::test]
async fn a_deployment_ended_between_the_steps_goes_on_and_a_replacement_is_shown_then() {
    let (_emulator, cloud) = cloud().await;
    let engine = Engine::new(&cloud, STACK);
    outlived(&cloud).await;
    let queue = |name: &str| {
        let properties = json!({"QueueName": name, "FifoQueue": true});
        let queue = json!({"Type": "AWS::SQS::Queue", "Properties": properties});
        wanted(bucket_template(json!({ "Queue": queue })))
    };
    let ended = Scripted::new([Ok(true), Err(CommandError::Interrupted)]);
    let error = engine
        .roll_out(&queue("first.fifo"), &ended)
        .await
        .unwrap_err();
    assert!(matches!(error, CommandError::Interrupted), "{error}");

    let wary = Scripted::new([Ok(false)]);
    let outcome = engine.roll_out(&queue("second.fifo"), &wary).await.unwrap();
    assert!(matches!(outcome, Outcome::Declined { has_adopted: false }));
    let shown = wary.shown.take();
    let replaced = shown[0].iter().find(|entry| entry.resource == "Queue");
    assert_eq!(replaced.unwrap().replacement, Replacement::Yes, "{shown:?}");
    assert!(wary.executed.take().is_empty());
    let deployed = engine.deployed().await.unwrap().unwrap();
    assert_eq!(
        deployed.deployment.template,
        adopting(&queue("first.fifo").template)
    );

    let goes_on = Scripted::new([Ok(true)]);
    let outcome = engine
        .roll_out(&queue("first.fifo"), &goes_on)
        .await
        .unwrap();
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!(versioning(&cloud).await.as_deref(), Some("Enabled"));
}

/// The topic, its policy, its subscriptions and one alarm of `local` with a schedule and these subscribers.
fn alarms(subscribers: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(format!("{PROJECT}/environments/local.toml")).unwrap();
    let text = text.replace("scheduled = false", "scheduled = true");
    let text = format!("{text}\n[alarms]\nsubscribers = [{subscribers}]\n");
    std::fs::write(folder.path().join("local.toml"), text).unwrap();
    let environment = Environment::load(folder.path(), "local").unwrap();
    let mut template = stack(&environment).unwrap().to_json().unwrap();
    let resources = template["Resources"].as_object_mut().unwrap();
    resources.retain(|id, it| {
        let kind = it["Type"].as_str().unwrap();
        kind.starts_with("AWS::SNS::") || id == "ScrapeConferenceFailed"
    });
    // The machine that it watches is not among them.
    resources["ScrapeConferenceFailed"]["Properties"]["Dimensions"] = json!([]);
    json!({ "Resources": resources }).to_string()
}

#[tokio::test]
async fn an_alarms_subscribers_come_and_go_without_a_word_to_the_others() {
    let (_emulator, cloud) = cloud().await;
    let engine = Engine::new(&cloud, STACK);
    let body = |subscribers| TemplateSource::Body(alarms(subscribers));
    deploy(&engine, body(r#""ops@example.org""#)).await.unwrap();
    let more = body(r#""a@example.org", "ops@example.org", "https://pager.example.org/hook""#);
    let set = engine.prepare(more, &BTreeMap::new()).await.unwrap();
    let set = set.unwrap();
    let actions: Vec<_> = set.entries.iter().map(|entry| entry.action).collect();
    assert_eq!(actions, [ChangeSetAction::Add, ChangeSetAction::Add]);
    set.execute(&|_| {}).await.unwrap();
    deploy(&engine, body("")).await.unwrap();
    let deployed = engine.deployed().await.unwrap().unwrap();
    let resources = deployed.deployment.template["Resources"]
        .as_object()
        .unwrap()
        .len();
    assert_eq!(resources, 3, "topic, policy and alarm");
    engine.delete(&|_| {}).await.unwrap();
    assert!(engine.deployed().await.unwrap().is_none());
}
