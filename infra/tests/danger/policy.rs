//! What a protected stack refuses by itself, and that nothing leaves it open.

use std::collections::BTreeMap;
use std::time::Duration;

use infra::engine::{Engine, TemplateSource};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::aws::faults::Fault;
use super::aws::{ACCOUNT, AwsProject, Run};
use super::{deployed, hinted};

const STACK: &str = "annapurna-prod";
/// A resource that is replaced when queues get other names.
const QUEUE: &str = "LogicalResourceId/ResearchQueue\"";

/// What the stack's policy denies.
async fn denied(project: &AwsProject) -> String {
    let cloudformation = project.cloud().await.cloudformation;
    let policy = cloudformation.get_stack_policy().stack_name(STACK).send();
    let policy = policy.await.unwrap().stack_policy_body.unwrap();
    let policy: Value = serde_json::from_str(&policy).unwrap();
    policy["Statement"][1]["Resource"].to_string()
}

/// Gives every queue of `prod` another name, and tells what a deploy of that is to be given after `deploy`.
async fn renamed(project: &AwsProject) -> Vec<String> {
    let arm = "architecture = \"arm64\"";
    project.edit("prod", arm, &format!("{arm}\nname-prefix = \"x-\""));
    let refused = project.infra(&["deploy", "prod", "--yes"]).await.ends(2);
    let mut args = hinted(&refused);
    args.push("--yes");
    let unnamed = project.infra(&[&["deploy"], &args[..]].concat()).await;
    unnamed.ends(2).says("--confirm prod");
    args.extend(["--confirm", "prod"]);
    args.into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_protected_stack_gets_termination_protection_and_a_policy_that_opens_for_what_is_named() {
    let project = AwsProject::new().await;
    deployed(&project, &["prod", "--yes", "--progress", "json"]).await;
    let cloudformation = project.cloud().await.cloudformation;
    let described = cloudformation.describe_stacks().stack_name(STACK).send();
    let described = described.await.unwrap();
    assert_eq!(
        described.stacks()[0].enable_termination_protection(),
        Some(true)
    );
    assert!(denied(&project).await.contains(QUEUE));
    let by_hand = cloudformation.delete_stack().stack_name(STACK).send().await;
    assert!(by_hand.is_err(), "the stack refuses it");

    let args = renamed(&project).await;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    deployed(&project, &args).await;
    let set = project.faults.seen_of("SetStackPolicy");
    let is_closed = set.iter().map(|it| {
        let policy = it.field("StackPolicyBody").unwrap();
        policy.contains("ResearchQueue%22")
    });
    assert_eq!(
        is_closed.collect::<Vec<_>>(),
        [true, false, true, true],
        "open while it is replaced, then closed"
    );
    assert!(denied(&project).await.contains(QUEUE));
}

#[tokio::test]
async fn protection_that_is_no_longer_wanted_is_lifted_and_until_then_nothing_is_destroyed() {
    let project = AwsProject::new().await;
    deployed(&project, &["prod", "--yes"]).await;
    project.edit("prod", "protected = true", "protected = false");
    let is_protected = async || {
        let engine = project.engine("prod").await;
        engine.has_termination_protection().await.unwrap()
    };

    let refused = project.infra(&["destroy", "prod", "--yes"]).await.ends(2);
    refused.says("stack `annapurna-prod` has termination protection");
    refused.says("`cargo infra deploy prod` takes away what a deploy gave");
    assert!(is_protected().await);

    let plan = project.infra(&["plan", "prod"]).await.ends(0);
    plan.says("~ lift the stack's protection");
    project
        .infra(&["deploy", "prod"])
        .await
        .ends(2)
        .says("Deploy `prod`?");
    assert!(is_protected().await, "nobody agreed");
    // Cut off between the two halves, it is gone on with.
    let faults = &project.faults;
    faults.next("SetStackPolicy", 1, Fault::ExpiredToken);
    project.infra(&["deploy", "prod", "--yes"]).await.ends(3);
    deployed(&project, &["prod", "--yes"])
        .await
        .says("is lifted");
    assert!(!is_protected().await);
    assert_eq!(denied(&project).await, "null");
    let plan = project.infra(&["plan", "prod"]).await.ends(0);
    plan.says("Nothing changes in `prod`.");

    // What a person protects by hand stays so, and is said before the other stack is gone.
    let instances = Engine::new(&project.cloud().await, "annapurna-prod-trainium");
    let queue = json!({"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}});
    let source = TemplateSource::Body(queue.to_string());
    let set = instances.prepare(source, &BTreeMap::new()).await.unwrap();
    set.unwrap().execute(&|_| {}).await.unwrap();
    instances.set_termination_protection(true).await.unwrap();
    let refused = project.infra(&["destroy", "prod", "--yes"]).await.ends(2);
    refused.says("stack `annapurna-prod-trainium` has termination protection");
    instances.set_termination_protection(false).await.unwrap();
    let engine = project.engine("prod").await;
    engine.set_termination_protection(true).await.unwrap();
    project.infra(&["destroy", "prod", "--yes"]).await.ends(2);
    assert_eq!(faults.count("DeleteStack"), 0);
    engine.set_termination_protection(false).await.unwrap();
    project.infra(&["destroy", "prod", "--yes"]).await.ends(0);
}

/// Starts a deploy that is not answered when it executes its change set.
async fn begun(project: &AwsProject, args: &[String]) -> Child {
    let faults = &project.faults;
    let n_before = faults.count("ExecuteChangeSet");
    faults.next("ExecuteChangeSet", usize::MAX, Fault::Silence);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut deploy = project.start(&[&["deploy"], &args[..]].concat());
    let executes = async {
        while faults.count("ExecuteChangeSet") == n_before {
            assert!(deploy.try_wait().unwrap().is_none(), "it ended by itself");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let limit = Duration::from_secs(300);
    tokio::time::timeout(limit, executes).await.unwrap();
    assert!(!denied(project).await.contains(QUEUE), "it is open");
    deploy
}

/// Presses Ctrl-C, at which it ends.
async fn interrupt(mut deploy: Child) {
    let pid = deploy.id().unwrap().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status().await;
    assert!(sent.unwrap().success());
    assert_eq!(deploy.wait().await.unwrap().code(), Some(130));
}

#[tokio::test]
async fn a_second_deploy_closes_nothing_that_a_living_one_has_opened() {
    let project = AwsProject::new().await;
    // The request for the turn is done twice, and is one.
    let turn = format!("PUT /annapurna-assets-{ACCOUNT}-us-east-1/turns/{STACK}.json");
    project.faults.next(&turn, 1, Fault::CutAfter);
    let first = deployed(&project, &["prod", "--yes"]).await;
    assert!(
        project.faults.count(&turn) > 2,
        "the mark is taken and given back"
    );
    assert!(
        !first.stderr.contains("is being deployed"),
        "it waits for itself: {first}"
    );
    let args = renamed(&project).await;
    let first = begun(&project, &args).await;
    let mut second = project.command(&["deploy", "prod", "--yes"]);
    second.kill_on_drop(true);
    let second = tokio::spawn(async move { second.output().await.unwrap() });
    // Much longer than it takes, and than a deploy that was killed is waited for.
    tokio::time::sleep(Duration::from_secs(75)).await;
    assert!(!second.is_finished());
    assert!(!denied(&project).await.contains(QUEUE), "it is still open");
    interrupt(first).await;
    let second = Run::of(&second.await.unwrap()).ends(2);
    second.says("stack `annapurna-prod` is being deployed by root; waiting for the end of that");
    second.says("`ResearchQueue` (AWS::SQS::Queue): replace");
    assert!(!second.stderr.contains("policy was open"), "{second}");
}

#[tokio::test]
async fn the_policy_is_closed_at_ctrl_c_and_after_a_kill_by_the_next_deploy() {
    let project = AwsProject::new().await;
    deployed(&project, &["prod", "--yes"]).await;
    let args = renamed(&project).await;

    interrupt(begun(&project, &args).await).await;
    assert!(denied(&project).await.contains(QUEUE), "it is closed");
    project.faults.clear();

    let mut killed = begun(&project, &args).await;
    killed.kill().await.unwrap();
    project.faults.clear();
    assert!(!denied(&project).await.contains(QUEUE), "it was left open");
    // Also a deploy that is refused, or that nobody agrees to, closes it.
    let refused = project.infra(&["deploy", "prod", "--yes"]).await.ends(2);
    refused.says("The stack's policy was open");
    assert!(denied(&project).await.contains(QUEUE), "it is closed");
    let n_set = project.faults.count("SetStackPolicy");
    project.infra(&["deploy", "prod", "--yes"]).await.ends(2);
    assert_eq!(project.faults.count("SetStackPolicy"), n_set);
}
