//! Change sets against the emulator: a failed update names its first cause and leaves what was there,
//! and a template too large for a request goes through S3.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;
use std::path::Path;

use annapurna_local::emulator::EmulatorOptions;
use annapurna_local_testing::{TestEmulator, test_emulator};
use annapurna_stack::environment::Environment;
use infra::assets;
use infra::cloud::Cloud;
use infra::engine::{Engine, TemplateSource, adopting};
use infra::error::CommandError;
use serde_json::json;

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
    assert!(error.to_string().contains("`Broken` failed"), "{error}");
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
    assets::ensure_bucket(&cloud, "assets", "us-east-1")
        .await
        .unwrap();
    let url = assets::publish_template(&cloud, "assets", "us-east-1", &body)
        .await
        .unwrap();
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
    engine.settle(&|_| {}).await.unwrap();
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
    let (papers, body) = (cloud.s3.put_object().bucket("papers"), b"kept".to_vec());
    cloud
        .s3
        .create_bucket()
        .bucket("papers")
        .send()
        .await
        .unwrap();
    papers.key("k").body(body.into()).send().await.unwrap();
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
    let versioning = cloud.s3.get_bucket_versioning().bucket("papers").send();
    let status = versioning.await.unwrap().status.unwrap();
    assert_eq!(
        status.as_str(),
        "Enabled",
        "the second step gives the settings"
    );
    let deployed = engine.deployed().await.unwrap().unwrap();
    assert_eq!(deployed.deployment.template, wanted);
    let again = engine.prepare(inline(&wanted), &BTreeMap::new()).await;
    assert!(again.unwrap().is_none(), "nothing is left to do");
}
