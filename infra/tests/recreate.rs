//! An environment made anew over what an earlier one, or somebody else, left: as the built program does it.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;

use annapurna_contract::Bucket;
use annapurna_stack::environment::Environment;
use infra::engine::{Standing, TemplateSource};
use serde_json::json;

#[path = "support/aws.rs"]
mod aws;

use aws::faults::Fault;
use aws::{AwsProject, Run};

async fn infra(project: &AwsProject, args: &[&str]) -> Run {
    project.infra(args).await.ends(0)
}

async fn put(project: &AwsProject, bucket: &str) {
    let s3 = project.cloud().await.s3;
    let object = s3.put_object().bucket(bucket).key("k");
    object.body(b"kept".to_vec().into()).send().await.unwrap();
}

async fn is_kept(project: &AwsProject, bucket: &str) -> bool {
    let s3 = project.cloud().await.s3;
    let object = s3
        .get_object()
        .bucket(bucket)
        .key("k")
        .send()
        .await
        .unwrap();
    object.body.collect().await.unwrap().to_vec() == b"kept"
}

async fn is_versioned(project: &AwsProject, bucket: &str) -> bool {
    let s3 = project.cloud().await.s3;
    let versioning = s3.get_bucket_versioning().bucket(bucket).send().await;
    versioning
        .unwrap()
        .status
        .is_some_and(|it| it.as_str() == "Enabled")
}

fn buckets(project: &AwsProject, environment: &str) -> Vec<String> {
    let folder = project.root().join("environments");
    let environment = Environment::load(&folder, environment).unwrap();
    let all = [
        Bucket::Papers,
        Bucket::Code,
        Bucket::Outputs,
        Bucket::Datasets,
    ];
    all.map(|it| environment.bucket_name(it)).to_vec()
}

#[tokio::test]
async fn a_retained_environment_is_made_anew_over_what_it_left() {
    let project = AwsProject::new().await;
    infra(&project, &["deploy", "prod", "--yes"]).await;
    for bucket in buckets(&project, "prod") {
        put(&project, &bucket).await;
    }
    let destroy = ["destroy", "prod", "--force-destroy", "--confirm", "prod"];
    infra(&project, &destroy).await;

    let again = infra(&project, &["deploy", "prod", "--yes"]).await;
    assert!(!again.stderr.contains("more than the plan"), "{again}");
    for bucket in buckets(&project, "prod") {
        again.says(&format!("= import  {bucket}  (AWS::S3::Bucket)"));
        assert!(is_kept(&project, &bucket).await, "{bucket}");
        assert!(is_versioned(&project, &bucket).await, "{bucket}");
    }
    let nothing = infra(&project, &["deploy", "prod", "--yes"]).await;
    assert!(
        nothing.stdout.contains("Nothing changes in `prod`."),
        "{nothing}"
    );
}

#[tokio::test]
async fn a_new_environment_takes_up_buckets_that_are_there_and_loses_none_of_their_objects() {
    let project = AwsProject::new().await;
    let s3 = project.cloud().await.s3;
    for bucket in buckets(&project, "dev") {
        s3.create_bucket().bucket(&bucket).send().await.unwrap();
        put(&project, &bucket).await;
    }
    // `docs/aws.md`: "names them before it asks"; and one agreement is enough.
    let plan = infra(&project, &["plan", "dev"]).await;
    let asked = project.infra(&["deploy", "dev"]).await.ends(2);
    assert!(asked.stderr.contains("Deploy `dev`?"), "{asked}");
    for bucket in buckets(&project, "dev") {
        let named = format!("= import  {bucket}  (AWS::S3::Bucket)");
        plan.says(&named);
        asked.says(&named);
    }
    plan.says("4 to import");
    let first = infra(&project, &["deploy", "dev", "--yes"]).await;
    assert!(!first.stderr.contains("more than the plan"), "{first}");
    for bucket in buckets(&project, "dev") {
        assert!(is_kept(&project, &bucket).await, "{bucket}");
        assert!(is_versioned(&project, &bucket).await, "{bucket}");
    }
    let nothing = infra(&project, &["deploy", "dev", "--yes"]).await;
    assert!(
        nothing.stdout.contains("Nothing changes in `dev`."),
        "{nothing}"
    );
}

#[tokio::test]
async fn a_bucket_that_the_plan_could_not_name_is_asked_about_by_itself() {
    let project = AwsProject::new().await;
    let bucket = buckets(&project, "dev").remove(0);
    let s3 = project.cloud().await.s3;
    s3.create_bucket().bucket(&bucket).send().await.unwrap();
    for path in [format!("HEAD /{bucket}/"), format!("HEAD /{bucket}")] {
        // As if it came after the plan was made.
        let absent = Fault::Canned(404, String::new());
        project.faults.next(&path, usize::MAX, absent);
    }
    let run = infra(&project, &["deploy", "dev", "--yes"]).await;
    let more = run.stderr.contains("more than the plan says");
    assert!(more, "{run}");
    run.says(&format!("+ create  {bucket}  "));
    run.says(&format!("= import  {bucket}  "));
}

#[tokio::test]
async fn what_a_failed_creation_left_goes_only_after_the_question() {
    let project = AwsProject::new().await;
    let engine = project.engine("dev").await;
    let instance = json!({"Type": "AWS::EC2::Instance", "Properties": {}});
    let body = json!({"Resources": {"Instance": instance}}).to_string();
    let source = TemplateSource::Body(body);
    let set = engine.prepare(source, &BTreeMap::new()).await.unwrap();
    let failed = set.unwrap().execute(&|_| {}).await;
    assert!(failed.is_err(), "it has no launch template");
    let standing = async || engine.at_rest(&|_| {}).await.unwrap();
    assert_eq!(standing().await, Standing::Remnant);

    let unanswered = project.infra(&["deploy", "dev"]).await;
    assert_eq!(unanswered.code, Some(2), "{unanswered}");
    assert!(
        unanswered
            .stdout
            .contains("What a failed deployment left of stack `annapurna-dev` is removed first."),
        "{unanswered}"
    );
    assert_eq!(standing().await, Standing::Remnant);

    infra(&project, &["deploy", "dev", "--yes"]).await;
    assert_eq!(standing().await, Standing::Whole);
}
