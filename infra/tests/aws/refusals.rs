//! What becomes of the instances where AWS denies, refuses or would do more than was asked.

use serde_json::{Value, json};

use super::Account;
use super::faults::Fault;

const INSTANCES: &str = "annapurna-prod-trainium";

#[tokio::test]
async fn what_a_failed_deployment_left_of_their_stack_goes_only_after_the_question() {
    let account = Account::new().await;
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    let made = account.instances().await;
    let stacks = account.cloud.cloudformation.describe_stacks();
    let stacks = stacks.stack_name(INSTANCES).send().await.unwrap();
    let id = stacks.stacks()[0].stack_id().unwrap();
    let failed = || Fault::stack(INSTANCES, id, "DELETE_FAILED");
    let look = format!("DescribeStacks {INSTANCES}");
    let left = format!("What a failed deployment left of stack `{INSTANCES}` is removed first.");

    account.faults.next(&look, usize::MAX, failed());
    let plan = account.infra(&["plan", "prod"]).await.ends(0);
    plan.says(&left);
    plan.says("- destroy TrainiumInstance1");
    let n_before = account.faults.n_looks(INSTANCES);
    let unanswered = account.infra(&["deploy", "prod"]).await.ends(2);
    unanswered.says(&left);
    unanswered.says("Type `prod`:");
    let n_looks = account.faults.n_looks(INSTANCES) - n_before;

    // It fails when the plan has been agreed to.
    account.faults.clear();
    account.faults.after(&look, n_looks, usize::MAX, failed());
    let told = account.infra(&["deploy", "prod", "--yes"]).await.ends(4);
    told.says("their stack failed since the plan was agreed to");
    told.says("cargo infra deploy prod");
    assert_eq!(account.faults.count("DeleteStack"), 0);
    assert_eq!(account.instances().await, made);

    // Agreed to, it goes, by its id.
    account.faults.clear();
    account.faults.next(&look, n_looks + 1, failed());
    let encoded = id.replace(':', "%3A").replace('/', "%2F");
    let look_by_id = format!("DescribeStacks {encoded}");
    account.faults.next(&look_by_id, 1, failed());
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    assert_eq!(account.faults.count("DeleteStack"), 1);
    let anew = account.instances().await;
    assert_eq!(anew.len(), 1);
    assert_ne!(anew, made);
}

#[tokio::test]
async fn an_instance_that_cloudformation_would_replace_is_named_and_stays_unless_asked_for() {
    let account = Account::new().await;
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    let made = account.instances().await;
    account.watch_less();
    let replaces = || {
        let change = "<Status>CREATE_COMPLETE</Status><Changes><member><ResourceChange><Action>Modify</Action>\
            <LogicalResourceId>TrainiumInstance1</LogicalResourceId>\
            <ResourceType>AWS::EC2::Instance</ResourceType><Replacement>True</Replacement>\
            </ResourceChange></member></Changes>";
        Fault::xml("DescribeChangeSet", change)
    };
    let set = format!("DescribeChangeSet {INSTANCES}");
    account.faults.next(&set, 1, replaces());
    let refused = account.infra(&["deploy", "prod", "--yes"]).await.ends(4);
    refused.says("CloudFormation would replace `TrainiumInstance1`, which nobody asked for");
    refused.says("cargo infra deploy prod --replace-instances");
    assert_eq!(account.instances().await, made);

    account.faults.next(&set, 1, replaces());
    let replace = ["deploy", "prod", "--yes", "--replace-instances"];
    account.infra(&replace).await.ends(0);
    let replaced = account.instances().await;
    assert_eq!(replaced.len(), 1);
    assert_ne!(replaced, made);
}

#[tokio::test]
async fn what_is_denied_of_their_place_is_named_with_what_finds_the_rest() {
    let account = Account::new().await;
    let faults = &account.faults;
    faults.next("DescribeVpcs", usize::MAX, Fault::denied_by_ec2());
    let plan = account.infra(&["plan", "prod"]).await.ends(0);
    plan.says("the instances cannot be made: cannot find the default VPC: UnauthorizedOperation");
    plan.says("cargo infra doctor prod");
}

#[tokio::test]
async fn an_agent_that_cannot_be_restarted_does_not_hide_what_was_deployed() {
    let account = Account::new().await;
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    let n_before = account.faults.count("DescribeInstances");
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    let n_calls = account.faults.count("DescribeInstances") - n_before;

    // The last of these calls comes after the agents are asked.
    let denied = Fault::denied_by_ec2();
    account
        .faults
        .after("DescribeInstances", n_calls - 2, 1, denied);
    let told = account.infra(&["deploy", "prod", "--yes"]).await.ends(3);
    assert!(told.stdout.contains("PapersBucketName"), "{told}");
    told.says("`prod` is deployed");
    told.says("error: cannot describe the instances: UnauthorizedOperation");
}

#[tokio::test]
async fn every_deploy_asks_each_agent_by_itself_and_makes_up_for_one_that_was_cut_off() {
    let account = Account::new().await;
    account.change("[trainium]", "[trainium]\ninstances = 2");
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    let made: Vec<String> = account
        .instances()
        .await
        .into_iter()
        .map(|it| it.0)
        .collect();
    let asked = || {
        let sent = account.faults.seen_of("SendCommand").into_iter();
        sent.map(|it| serde_json::from_slice::<Value>(&it.body).unwrap()["InstanceIds"].clone())
            .collect::<Vec<_>>()
    };
    assert!(asked().is_empty(), "new instances fetch the bundle anyway");

    // It ends between its change set and the agents.
    let mut cut_off = account.command(&["deploy", "prod", "--yes"]);
    cut_off.env("BUILD", "2");
    account
        .faults
        .next("UpdateTerminationProtection", 1, Fault::ExpiredToken);
    let cut_off = super::Run::of(&cut_off.output().await.unwrap());
    let cut_off = cut_off.ends(3);
    assert!(asked().is_empty(), "{cut_off}");
    account.faults.clear();

    // The emulator refuses it, and here the first is asked; it knows of no command, as Systems Manager at first.
    let command = r#"{"Command": {"CommandId": "1"}}"#.to_owned();
    account
        .faults
        .next("SendCommand", 1, Fault::Canned(200, command));
    for (status, body) in [
        (400, r#"{"__type": "InvocationDoesNotExist"}"#),
        (
            200,
            r#"{"Status": "InProgress", "StatusDetails": "InProgress"}"#,
        ),
        (
            200,
            r#"{"Status": "Success", "StandardOutputContent": "the agent restarts with 2.zip\n"}"#,
        ),
    ] {
        let fault = Fault::Canned(status, body.to_owned());
        account.faults.next("GetCommandInvocation", 1, fault);
    }
    let mut again = account.command(&["deploy", "prod", "--yes"]);
    let again = again.env("BUILD", "2").output().await.unwrap();
    let again = super::Run::of(&again).ends(0);
    again.says("Nothing changes in `prod`.");
    again.says(&format!("{}: the agent restarts with 2.zip\n", made[0]));
    again.says(&format!("cannot ask {} for its agent's bundle: ", made[1]));
    assert_eq!(asked(), [json!([made[0]]), json!([made[1]])]);
}
