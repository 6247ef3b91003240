//! What may lose data, as the built program asks for it, refuses it and does it, on an AWS environment.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;

use infra::engine::{Engine, Standing, TemplateSource};
use serde_json::{Value, json};

#[path = "support/aws.rs"]
mod aws;
#[path = "danger/policy.rs"]
mod policy;
#[path = "danger/remnants.rs"]
mod remnants;

use aws::AwsProject;
use aws::faults::Fault;

const PAPERS: &str = "llm-research-papers";

/// A stack with a queue and the bucket of raw papers, which stays or goes with it.
async fn small_stack(engine: &Engine, policy: &str) {
    let template = json!({"Resources": {
        "Papers": {"Type": "AWS::S3::Bucket", "DeletionPolicy": policy,
            "Properties": {"BucketName": PAPERS}},
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q.fifo", "FifoQueue": true}},
    }});
    let source = TemplateSource::Body(template.to_string());
    let set = engine.prepare(source, &BTreeMap::new()).await.unwrap();
    set.unwrap().execute(&|_| {}).await.unwrap();
}

#[tokio::test]
async fn a_protected_environment_is_destroyed_by_force_and_by_name_and_its_papers_outlive_that() {
    let project = AwsProject::new().await;
    let engine = project.engine("prod").await;
    small_stack(&engine, "Retain").await;
    engine.set_termination_protection(true).await.unwrap();
    let s3 = project.cloud().await.s3;
    let paper = s3.put_object().bucket(PAPERS).key("k");
    paper.body(b"paper".to_vec().into()).send().await.unwrap();

    let refused = project.infra(&["destroy", "prod", "--yes"]).await;
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains("`prod` is protected"), "{refused}");
    assert!(project.faults.seen().is_empty(), "AWS is not even asked");

    for answers in [vec!["--yes"], vec!["--yes", "--confirm", "dev"]] {
        let args = [vec!["destroy", "prod", "--force-destroy"], answers].concat();
        let unanswered = project.infra(&args).await;
        assert_eq!(unanswered.code, Some(2), "{unanswered}");
        assert!(
            unanswered
                .stderr
                .contains("hint: answer it with --confirm prod"),
            "{unanswered}"
        );
    }
    assert_eq!(project.faults.count("DeleteStack"), 0);
    assert_eq!(project.faults.count("UpdateTerminationProtection"), 0);

    let typed = ["destroy", "prod", "--force-destroy"];
    let by_habit = project.on_a_terminal(&typed, "Type `prod`:", "y\\n").await;
    assert_eq!(by_habit.code, Some(130), "{by_habit}");
    assert!(engine.deployed().await.unwrap().is_some());

    let done = project
        .on_a_terminal(&typed, "Type `prod`:", "prod\\n")
        .await;
    assert_eq!(done.code, Some(0), "{done}");
    assert!(
        done.stdout.contains("? leave behind"),
        "what stays is named: {done}"
    );
    assert!(engine.deployed().await.unwrap().is_none());
    let paper = s3.get_object().bucket(PAPERS).key("k").send().await;
    assert!(paper.is_ok(), "{paper:?}");
}

#[tokio::test]
async fn a_protected_stack_that_would_take_the_raw_papers_with_it_is_not_deleted() {
    let project = AwsProject::new().await;
    let engine = project.engine("prod").await;
    small_stack(&engine, "Delete").await;
    let args = ["destroy", "prod", "--force-destroy", "--confirm", "prod"];
    let refused = project.infra(&args).await;
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains(PAPERS), "{refused}");
    assert_eq!(project.faults.count("DeleteStack"), 0);
}

#[tokio::test]
async fn ctrl_c_ends_every_question_and_nothing_is_done() {
    let project = AwsProject::new().await;
    let (dev, prod) = (project.engine("dev").await, project.engine("prod").await);
    let review = async |engine: &Engine| {
        let queue = json!({"Type": "AWS::SQS::Queue"});
        let body = json!({"Resources": {"Queue": queue}}).to_string();
        let source = TemplateSource::Body(body);
        engine.prepare(source, &BTreeMap::new()).await.unwrap();
    };
    review(&dev).await;
    review(&prod).await;
    // So that the next question of a deploy is its own.
    for environment in ["dev", "prod"] {
        project
            .infra(&["doctor", environment, "--ask-models"])
            .await;
    }
    let cases: [(&[&str], &str); 4] = [
        (&["destroy", "dev"], "[y/N]"),
        (&["destroy", "prod", "--force-destroy"], "Type `prod`:"),
        (&["deploy", "dev"], "Deploy `dev`? [y/N]"),
        (&["deploy", "prod"], "Type `prod`:"),
    ];
    for (args, question) in cases {
        let run = project.on_a_terminal(args, question, "\\x03").await;
        assert_eq!(run.code, Some(130), "{args:?}: {run}");
        assert!(run.stdout.contains("interrupted"), "{args:?}: {run}");
    }
    assert_eq!(project.faults.count("DeleteStack"), 0);
    assert_eq!(project.faults.count("ExecuteChangeSet"), 0);
}

/// A change set that replaces something which no plan has, and which holds nothing.
fn change_set_beyond_the_plan() -> Fault {
    let change = "<Action>Modify</Action><LogicalResourceId>Stranger</LogicalResourceId>\
        <ResourceType>AWS::IAM::Role</ResourceType><Replacement>True</Replacement>";
    let change = format!("<member><ResourceChange>{change}</ResourceChange></member>");
    let set = format!("<Status>CREATE_COMPLETE</Status><Changes>{change}</Changes>");
    Fault::xml("DescribeChangeSet", &set)
}

#[tokio::test]
async fn who_stops_at_the_second_question_is_told_what_was_done_and_leaves_no_change_set() {
    let project = AwsProject::new().await;
    project.infra(&["doctor", "dev", "--ask-models"]).await;
    let faults = &project.faults;
    for (n_stopped, keys, ends) in [
        (
            1,
            "y\\n|n\\n",
            "declined; nothing was changed but this: what is",
        ),
        (2, "y\\n|\\x03", "interrupted"),
    ] {
        faults.next("DescribeChangeSet", 1, change_set_beyond_the_plan());
        let question = "Deploy `dev`? [y/N]";
        let run = project
            .on_a_terminal(&["deploy", "dev"], question, keys)
            .await;
        assert_eq!(run.code, Some(130), "{run}");
        run.says("would do more than the plan says");
        run.says(ends);
        let bucket = format!("annapurna-assets-{}-us-east-1", aws::ACCOUNT);
        run.says(&format!("was uploaded to bucket `{bucket}`"));
        assert_eq!(faults.count("DeleteChangeSet"), n_stopped, "{run}");
        let left = project.engine("dev").await.at_rest(&|_| {}).await.unwrap();
        assert_eq!(left, Standing::Absent);
    }
    assert_eq!(faults.count("ExecuteChangeSet"), 0);
}

#[tokio::test]
async fn a_stack_under_review_can_be_destroyed() {
    let project = AwsProject::new().await;
    let engine = project.engine("dev").await;
    let body = json!({"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}).to_string();
    let source = TemplateSource::Body(body);
    engine.prepare(source, &BTreeMap::new()).await.unwrap();
    let run = project.infra(&["destroy", "dev", "--yes"]).await;
    assert_eq!(run.code, Some(0), "{run}");
    assert!(run.stderr.contains("only under review"), "{run}");
    let again = project.infra(&["destroy", "dev", "--yes"]).await;
    assert_eq!(again.code, Some(2), "it is gone: {again}");
    assert!(again.stderr.contains("not deployed"), "{again}");
}

#[tokio::test]
async fn what_cannot_be_deleted_is_named_with_its_reason() {
    let project = AwsProject::new().await;
    let engine = project.engine("dev").await;
    small_stack(&engine, "Delete").await;
    // Once the deletion has begun the stack is asked for by its id.
    let id = "arn:aws:cloudformation:us-east-1:0:stack/annapurna-dev/1";
    let faults = &project.faults;
    faults.next("DeleteStack", 1, Fault::xml("DeleteStack", ""));
    let failed = Fault::stack("annapurna-dev", id, "DELETE_FAILED");
    faults.next("DescribeStacks stack%2Fannapurna-dev%2F", 2, failed);
    let event = Fault::event("Queue", "DELETE_FAILED", "access denied");
    faults.after("DescribeStackEvents", 1, 1, event);
    let run = project.infra(&["destroy", "dev", "--yes"]).await;
    assert_eq!(run.code, Some(3), "{run}");
    assert!(
        run.stderr
            .contains("is not deleted:\n  `Queue` could not be deleted: access denied"),
        "{run}"
    );
    assert!(run.stderr.contains("destroy it again"), "{run}");

    // Its bucket went in the first attempt.
    let s3 = project.cloud().await.s3;
    s3.delete_bucket().bucket(PAPERS).send().await.unwrap();
    let again = project.infra(&["destroy", "dev", "--yes"]).await;
    assert_eq!(again.code, Some(0), "{again}");
}

#[tokio::test]
async fn a_stuck_rollback_goes_on_without_what_is_skipped() {
    let project = AwsProject::new().await;
    small_stack(&project.engine("dev").await, "Delete").await;
    let whole = project.infra(&["rollback", "dev", "--continue"]).await;
    assert_eq!(whole.code, Some(0), "{whole}");
    assert!(
        whole.stderr.contains("no rollback to go on with"),
        "{whole}"
    );

    let stack = |status: &str| Fault::stack("annapurna-dev", "1", status);
    let events = || Fault::event("Judge", "UPDATE_ROLLBACK_FAILED", "code is gone");
    let faults = &project.faults;
    faults.next("DescribeStacks", 1, stack("UPDATE_ROLLBACK_FAILED"));
    faults.next("DescribeStackEvents", 1, events());
    let told = project.infra(&["rollback", "dev"]).await;
    assert_eq!(told.code, Some(3), "{told}");
    assert!(
        told.stderr.contains("`Judge` could not be brought back"),
        "{told}"
    );
    assert_eq!(faults.count("ContinueUpdateRollback"), 0);

    // The stack of the instances may be the one.
    faults.next("DescribeStacks", 1, stack("CREATE_COMPLETE"));
    faults.next("DescribeStacks", 1, stack("UPDATE_ROLLBACK_FAILED"));
    faults.next("DescribeStackEvents", 1, events());
    let told = project.infra(&["rollback", "dev"]).await;
    assert_eq!(told.code, Some(3), "{told}");
    assert!(told.stderr.contains("annapurna-dev-trainium"), "{told}");

    faults.next("DescribeStacks", 1, stack("UPDATE_ROLLBACK_FAILED"));
    faults.next("DescribeStacks", 2, stack("UPDATE_ROLLBACK_COMPLETE"));
    faults.next("DescribeStackEvents", 1, events());
    faults.next(
        "ContinueUpdateRollback",
        1,
        Fault::xml("ContinueUpdateRollback", ""),
    );
    let args = ["rollback", "dev", "--continue", "--skip", "Judge", "--yes"];
    let done = project.infra(&args).await;
    assert_eq!(done.code, Some(0), "{done}");
    let sent = &faults.seen_of("ContinueUpdateRollback")[0];
    assert_eq!(
        sent.field("ResourcesToSkip.member.1").as_deref(),
        Some("Judge")
    );
}

/// Requests that change something in S3, whichever bucket.
fn uploads(project: &AwsProject) -> Vec<String> {
    let seen = project.faults.seen().into_iter().map(|it| it.action);
    let changes = |it: &String| it.starts_with("PUT ") || it.starts_with("POST /");
    seen.filter(|it| changes(it) && !it.starts_with("POST /model/"))
        .collect()
}

/// Deploys an environment, which must succeed.
async fn deployed(project: &AwsProject, args: &[&str]) -> aws::Run {
    let run = project.infra(&[&["deploy"], args].concat()).await;
    run.ends(0)
}

/// The arguments of the command in the hint of a refusal, after `deploy`.
fn hinted(refused: &aws::Run) -> Vec<&str> {
    let hint = refused.stderr.lines().last().unwrap();
    let command = hint.split("cargo infra deploy ").nth(1).unwrap();
    command.split(' ').collect()
}

#[tokio::test]
async fn nothing_is_uploaded_or_made_before_the_question() {
    let project = AwsProject::new().await;
    let unanswered = project.infra(&["deploy", "dev"]).await;
    assert_eq!(unanswered.code, Some(2), "{unanswered}");
    assert!(unanswered.stdout.contains("to create"), "{unanswered}");
    assert!(unanswered.stderr.contains("Deploy `dev`?"), "{unanswered}");
    assert_eq!(uploads(&project), Vec::<String>::new());
    assert_eq!(project.faults.count("CreateChangeSet"), 0);
}

#[tokio::test]
async fn yes_replaces_no_queue_and_the_one_that_is_named_goes() {
    let project = AwsProject::new().await;
    let first = deployed(&project, &["dev", "--yes"]).await;
    let event = |line: &str| line.contains("CREATE_COMPLETE ResearchQueue (");
    assert!(
        first.stderr.lines().any(event),
        "an event is a line: {first}"
    );
    let engine = project.engine("dev").await;
    let now = async || engine.deployed().await.unwrap().unwrap().deployment;
    let before = now().await;

    project.edit("dev", "name-prefix = \"dev-\"", "name-prefix = \"new-\"");
    let (n_uploads, n_sets) = (
        uploads(&project).len(),
        project.faults.count("CreateChangeSet"),
    );
    let refused = project.infra(&["deploy", "dev", "--yes"]).await.ends(2);
    refused.says("`ResearchQueue` (AWS::SQS::Queue): replace");
    assert_eq!(uploads(&project).len(), n_uploads);
    assert_eq!(project.faults.count("CreateChangeSet"), n_sets);
    assert_eq!(now().await, before);

    // What the hint says can be typed.
    let mut args = hinted(&refused);
    args.push("--yes");
    assert!(args.iter().filter(|it| **it == "--allow-replace").count() >= 8);
    deployed(&project, &args).await;
    let queue = &now().await.template["Resources"]["ResearchQueue"]["Properties"];
    assert_eq!(queue["QueueName"], "new-researchQueue.fifo");
}

#[tokio::test]
async fn progress_as_json_is_a_line_for_each_event() {
    let project = AwsProject::new().await;
    let run = deployed(&project, &["dev", "--yes", "--progress", "json"]).await;
    let lines = run.stderr.lines().filter(|line| line.starts_with('{'));
    let events: Vec<Value> = lines.map(|it| serde_json::from_str(it).unwrap()).collect();
    let done = events
        .iter()
        .filter(|it| it["status"] == "CREATE_COMPLETE" && it["resource"] != "annapurna-dev");
    let total = events[0]["total"].as_u64().unwrap();
    assert_eq!(done.count() as u64, total, "{run}");
    assert_eq!(events.last().unwrap()["done"], total);
}

#[tokio::test]
async fn a_killed_deploy_is_gone_on_with() {
    let project = AwsProject::new().await;
    let mut killed = project.start(&["deploy", "dev", "--yes"]);
    let begin = std::time::Instant::now();
    while project.faults.count("ExecuteChangeSet") == 0 {
        assert!(killed.try_wait().unwrap().is_none(), "it ended by itself");
        assert!(begin.elapsed().as_secs() < 300, "it executes nothing");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    killed.kill().await.unwrap();
    let again = deployed(&project, &["dev", "--yes"]).await;
    assert_eq!(project.faults.count("ExecuteChangeSet"), 1, "{again}");
    let nothing = deployed(&project, &["dev", "--yes"]).await;
    assert!(
        nothing.stdout.contains("Nothing changes in `dev`."),
        "{nothing}"
    );
}

#[tokio::test]
async fn the_second_of_two_deploys_says_who_is_at_work_and_waits() {
    let project = AwsProject::new().await;
    deployed(&project, &["dev", "--yes"]).await;
    let under_way = Fault::stack("annapurna-dev", "1", "UPDATE_IN_PROGRESS");
    let faults = &project.faults;
    faults.next("DescribeStacks annapurna-dev", 3, under_way);
    let second = deployed(&project, &["dev", "--yes"]).await;
    let at = |words: &str| second.stderr.find(words);
    let (waits, builds) = (at(UNDER_WAY), at(BUILT));
    assert!(waits.is_some() && waits < builds, "{second}");
    assert!(second.stdout.contains("Nothing changes"), "{second}");

    // Who comes while it builds is waited for after that.
    let under_way = Fault::stack("annapurna-dev", "1", "UPDATE_IN_PROGRESS");
    faults.after("DescribeStacks annapurna-dev", 1, 3, under_way);
    let second = deployed(&project, &["dev", "--yes"]).await;
    let at = |words: &str| second.stderr.find(words);
    let (waits, builds) = (at(UNDER_WAY), at(BUILT));
    assert!(waits.is_some() && waits > builds, "{second}");
}

const UNDER_WAY: &str = "stack `annapurna-dev` is UPDATE_IN_PROGRESS, begun by root";
const BUILT: &str = "Functions and agent are built";

#[tokio::test]
async fn a_stack_that_takes_no_update_ends_a_deploy_before_the_build() {
    let project = AwsProject::new().await;
    small_stack(&project.engine("dev").await, "Delete").await;
    let faults = &project.faults;
    let stuck = Fault::stack("annapurna-dev", "1", "UPDATE_ROLLBACK_FAILED");
    faults.next("DescribeStacks annapurna-dev", 1, stuck);
    let event = Fault::event("Judge", "UPDATE_ROLLBACK_FAILED", "code is gone");
    faults.next("DescribeStackEvents", 1, event);
    let refused = project.infra(&["deploy", "dev", "--yes"]).await.ends(3);
    refused.says("`Judge` could not be brought back");
    assert!(!refused.stderr.contains(BUILT), "{refused}");
    let asked = faults.seen().into_iter().map(|it| it.action);
    let models: Vec<String> = asked.filter(|it| it.starts_with("POST /model/")).collect();
    assert_eq!(models, Vec::<String>::new(), "no model is asked either");
}

#[tokio::test]
async fn the_bucket_of_assets_is_closed_versioned_and_nobody_elses() {
    let project = AwsProject::new().await;
    deployed(&project, &["dev", "--yes"]).await;
    let bucket = format!("annapurna-assets-{}-us-east-1", aws::ACCOUNT);
    let calls = project.faults.seen().into_iter().filter(|it| {
        let path = it.action.split(' ').nth(1).unwrap_or_default();
        path.trim_matches('/').split('/').next() == Some(&bucket)
    });
    let mut n_calls = 0;
    for call in calls {
        let owner = call.headers.get("x-amz-expected-bucket-owner");
        let owner = owner.map(|it| it.to_str().unwrap());
        let creates =
            call.action == format!("PUT /{bucket}/") || call.action == format!("PUT /{bucket}");
        // A bucket that is being made, and so is its sender's, has no owner yet; its settings are sent to the
        // same path with a query.
        if !(creates && owner.is_none()) {
            assert_eq!(owner, Some(aws::ACCOUNT), "{}", call.action);
            n_calls += 1;
        }
    }
    assert!(n_calls > 10, "{n_calls}");

    let s3 = project.cloud().await.s3;
    let versioning = s3.get_bucket_versioning().bucket(&bucket).send().await;
    assert_eq!(versioning.unwrap().status.unwrap().as_str(), "Enabled");
    let closed = s3.get_public_access_block().bucket(&bucket).send().await;
    let closed = closed.unwrap().public_access_block_configuration.unwrap();
    assert_eq!(closed.restrict_public_buckets(), Some(true));
    assert_eq!(closed.block_public_policy(), Some(true));
    let policy = s3.get_bucket_policy().bucket(&bucket).send().await.unwrap();
    let policy: Value = serde_json::from_str(policy.policy().unwrap()).unwrap();
    let statement = &policy["Statement"][0];
    assert_eq!(statement["Effect"], "Deny");
    assert_eq!(
        statement["Condition"]["Bool"]["aws:SecureTransport"],
        "false"
    );
}

#[tokio::test]
async fn a_bucket_of_assets_in_another_account_ends_the_deploy_before_an_upload() {
    let project = AwsProject::new().await;
    let bucket = format!("annapurna-assets-{}-us-east-1", aws::ACCOUNT);
    for path in [format!("HEAD /{bucket}/"), format!("HEAD /{bucket}")] {
        // The look at the account before the build passes; somebody makes the bucket meanwhile.
        let refused = Fault::Canned(403, String::new());
        project.faults.after(&path, 1, 1, refused);
    }
    let refused = project.infra(&["deploy", "dev", "--yes"]).await;
    assert_eq!(refused.code, Some(3), "{refused}");
    assert!(
        refused
            .stderr
            .contains(&format!("it is not of account {}", aws::ACCOUNT)),
        "{refused}"
    );
    assert_eq!(uploads(&project), Vec::<String>::new());
}
