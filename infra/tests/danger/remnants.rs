//! What a failed creation or deletion left, names that nobody knows, warnings, and events that were lost: as the
//! program says them.

use serde_json::Value;

use super::aws::AwsProject;
use super::aws::faults::Fault;
use super::{deployed, small_stack, uploads};

#[tokio::test]
async fn yes_removes_no_remnant_that_holds_something_and_the_one_that_is_named_goes() {
    let project = AwsProject::new().await;
    let engine = project.engine("dev").await;
    small_stack(&engine, "Delete").await;
    let cloudformation = project.cloud().await.cloudformation;
    let stacks = cloudformation.describe_stacks().stack_name("annapurna-dev");
    let stacks = stacks.send().await.unwrap();
    let id = stacks.stacks()[0].stack_id().unwrap();
    let failed = || Fault::stack("annapurna-dev", id, "DELETE_FAILED");
    let look = "DescribeStacks annapurna-dev";
    let left = "What a failed deployment left of stack `annapurna-dev` is removed first.";

    project.faults.next(look, usize::MAX, failed());
    let plan = project.infra(&["plan", "dev"]).await.ends(0);
    plan.says(&format!("{left}\n- destroy"));
    let n_before = project.faults.n_looks("annapurna-dev");
    let refused = project.infra(&["deploy", "dev", "--yes"]).await.ends(2);
    let n_looks = project.faults.n_looks("annapurna-dev") - n_before;
    refused.says(left);
    refused.says("`Queue` (AWS::SQS::Queue): destroy");
    refused.says("--allow-replace Papers --allow-replace Queue");
    assert_eq!(project.faults.count("DeleteStack"), 0);
    assert_eq!(uploads(&project), Vec::<String>::new());

    // It stands so until somebody makes it whole while the question is open.
    let args = ["deploy", "dev", "--yes", "--allow-replace", "Papers"];
    let args = [&args[..], &["--allow-replace", "Queue"]].concat();
    project.faults.clear();
    project.faults.next(look, n_looks, failed());
    let refused = project.infra(&args).await.ends(2);
    refused.says("`annapurna-dev` is no longer what was left of a failed deployment");
    assert_eq!(project.faults.count("DeleteStack"), 0);

    // It stands so until the deletion begins.
    project.faults.clear();
    project.faults.next(look, n_looks, failed());
    let encoded = id.replace(':', "%3A").replace('/', "%2F");
    let look_by_id = format!("DescribeStacks {encoded}");
    project.faults.next(&look_by_id, 1, failed());
    project.infra(&args).await.ends(0);
    assert_eq!(project.faults.count("DeleteStack"), 1);
    let now = engine.deployed().await.unwrap().unwrap();
    assert!(now.deployment.ids().all(|id| id != "Queue"));
}

#[tokio::test]
async fn a_name_that_no_resource_has_ends_the_deploy_before_anything_is_done() {
    let project = AwsProject::new().await;
    let args = ["deploy", "dev", "--yes", "--allow-replace", "ResearchQeue"];
    let refused = project.infra(&args).await.ends(2);
    refused.says("--allow-replace ResearchQeue: no resource");
    refused.says("hint: did you mean `ResearchQueue`?");
    assert_eq!(uploads(&project), Vec::<String>::new());
    assert_eq!(project.faults.count("CreateChangeSet"), 0);
}

#[tokio::test]
async fn what_cloudformation_warns_of_is_shown_by_a_deploy_that_goes_on() {
    let project = AwsProject::new().await;
    let warning = "<OperationEvents><member><EventType>VALIDATION_ERROR</EventType>\
        <LogicalResourceId>CodeBucket</LogicalResourceId><ResourceType>AWS::S3::Bucket</ResourceType>\
        <ValidationStatus>FAILED</ValidationStatus><ValidationFailureMode>WARN</ValidationFailureMode>\
        <ValidationStatusReason>it is not empty</ValidationStatusReason></member></OperationEvents>";
    let warning = Fault::xml("DescribeEvents", warning);
    project.faults.next("DescribeEvents", 1, warning);
    let run = project.infra(&["deploy", "dev", "--yes"]).await.ends(0);
    run.says("warning: `CodeBucket` (AWS::S3::Bucket): it is not empty");
}

/// Scheduler and S3 do not wait: what a function could not do for them is in a queue of its own.
#[tokio::test]
async fn an_event_that_no_repetition_healed_is_counted_with_the_dead_letters() {
    let project = AwsProject::new().await;
    deployed(&project, &["dev", "--yes"]).await;
    let sqs = project.sqs();
    let url = sqs.get_queue_url().queue_name("dev-failed-events").send();
    let url = url.await.unwrap().queue_url.unwrap();
    let event = sqs.send_message().queue_url(url).message_body("{}");
    event.send().await.unwrap();
    let queues = project.infra(&["queues", "dev", "--json"]).await.ends(0);
    let queues: Value = serde_json::from_str(&queues.stdout).unwrap();
    let queues = queues.as_array().unwrap();
    assert_eq!(queues.len(), 5, "{queues:?}");
    let failed = &queues[4];
    assert_eq!(failed["queue"], "dev-failed-events");
    assert_eq!(
        (&failed["waiting"], &failed["dead"]),
        (&0.into(), &1.into())
    );
    let status = project.infra(&["status", "dev"]).await.ends(0);
    status.says("dev-failed-events");
}
