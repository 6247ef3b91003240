//! What earlier operations left: their reasons are not told again, and what nobody waits for goes.

use std::time::Duration;

use infra::engine::Standing;

use super::faults::Fault;
use super::{STACK, deploy, findings, found, queue, through_faults};

/// Events of a stack, newest first: of what, how it stands, and why.
fn events(each: &[(&str, &str, &str)]) -> Fault {
    let member = |(at, (resource, status, reason)): (usize, &(&str, &str, &str))| {
        format!(
            "<member><EventId>canned-{at}</EventId><LogicalResourceId>{resource}</LogicalResourceId>\
             <ResourceStatus>{status}</ResourceStatus>\
             <ResourceStatusReason>{reason}</ResourceStatusReason></member>"
        )
    };
    let members: String = each.iter().enumerate().map(member).collect();
    let events = format!("<StackEvents>{members}</StackEvents>");
    Fault::xml("DescribeStackEvents", &events)
}

#[tokio::test]
async fn what_an_earlier_operation_failed_for_is_not_told_of_the_last() {
    let (_emulator, faults, engine) = through_faults().await;
    let told = events(&[
        (STACK, "UPDATE_ROLLBACK_FAILED", ""),
        ("Queue", "UPDATE_ROLLBACK_FAILED", "denied by a policy"),
        (STACK, "UPDATE_ROLLBACK_IN_PROGRESS", ""),
        (STACK, "UPDATE_ROLLBACK_FAILED", ""),
        ("Judge", "UPDATE_ROLLBACK_FAILED", "skipped since"),
    ]);
    faults.next("DescribeStackEvents", 1, told);
    let said = engine.stuck().await.to_string();
    assert!(said.contains("denied by a policy"), "{said}");
    assert!(!said.contains("Judge"), "{said}");
}

#[tokio::test]
async fn what_the_validation_found_in_an_earlier_deployment_is_not_told_of_this_one() {
    let (_emulator, faults, engine) = through_faults().await;
    deploy(&engine, queue(30)).await.unwrap();
    let undone = Fault::stack(STACK, "1", "UPDATE_ROLLBACK_COMPLETE");
    faults.after("DescribeStacks", 1, usize::MAX, undone);
    let at = |resource: &str, year: u32, token: &str| {
        let reason = format!("<ValidationStatusReason>of {year}</ValidationStatusReason>");
        let time = format!("<Timestamp>{year}-01-01T00:00:00Z</Timestamp>");
        found(
            resource,
            "AWS::SQS::Queue",
            &format!("{reason}{time}{token}"),
        )
    };
    let anothers = "<ClientRequestToken>by-eve-1</ClientRequestToken>";
    let members = [
        at("Old", 2020, ""),
        at("Theirs", 2100, anothers),
        at("Queue", 2100, ""),
    ];
    // The first look is for what a change set is warned of.
    faults.after("DescribeEvents", 1, 1, findings(&members.concat(), ""));
    let error = deploy(&engine, queue(31)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "stack `annapurna-test` was left as it was, since the deployment would fail:\n  \
         `Queue` (AWS::SQS::Queue): of 2100"
    );
}

#[tokio::test]
async fn a_change_set_that_takes_too_long_is_deleted_and_that_is_said() {
    let (_emulator, faults, engine) = through_faults().await;
    let thinks = Fault::xml("DescribeChangeSet", "<Status>CREATE_IN_PROGRESS</Status>");
    faults.next("DescribeChangeSet", usize::MAX, thinks);
    let engine = engine.waiting_for_change_sets(Duration::from_secs(1));
    let error = deploy(&engine, queue(30)).await.unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with("change set `deploy-"), "{said}");
    let end = "of `annapurna-test`, which was deleted then, did not come to an end within 1 s";
    assert!(said.ends_with(end), "{said}");
    assert_eq!(faults.count("DeleteChangeSet"), 1);
    assert_eq!(engine.at_rest(&|_| {}).await.unwrap(), Standing::Absent);

    let refused = Fault::Canned(403, "<Error><Code>AccessDenied</Code></Error>".to_owned());
    faults.next("DeleteChangeSet", 1, refused);
    let said = deploy(&engine, queue(30)).await.unwrap_err().to_string();
    assert!(
        said.contains("which is still there (cannot delete"),
        "{said}"
    );
}

#[tokio::test]
async fn who_comes_second_to_a_change_set_is_told_who_is_at_work() {
    let (_emulator, faults, engine) = through_faults().await;
    deploy(&engine, queue(30)).await.unwrap();
    let busy = Fault::stack(STACK, "1", "UPDATE_IN_PROGRESS");
    let refused = "<ErrorResponse><Error><Code>ValidationError</Code><Message>is in UPDATE_IN_PROGRESS state and \
        can not be updated</Message></Error></ErrorResponse>";
    // The look before it is made still finds the stack at rest.
    faults.after("DescribeStacks", 1, 1, busy);
    faults.next("CreateChangeSet", 1, Fault::Canned(400, refused.to_owned()));
    let said = deploy(&engine, queue(31)).await.unwrap_err().to_string();
    let who = "stack `annapurna-test` is UPDATE_IN_PROGRESS, begun by root at ";
    assert!(said.starts_with(who), "{said}");

    let gone = "<ErrorResponse><Error><Code>ChangeSetNotFound</Code><Message>gone</Message></Error></ErrorResponse>";
    faults.next("DescribeChangeSet", 1, Fault::Canned(404, gone.to_owned()));
    let said = deploy(&engine, queue(31)).await.unwrap_err().to_string();
    let who = "stack `annapurna-test` is CREATE_COMPLETE, begun by root at ";
    assert!(said.starts_with(who), "{said}");
}

/// AWS documents no operation that goes on with it, and that the stack keeps what it has.
#[tokio::test]
async fn a_stack_whose_import_was_not_undone_is_updated_and_never_deleted() {
    let (_emulator, faults, engine) = through_faults().await;
    deploy(&engine, queue(30)).await.unwrap();
    let failed = Fault::stack(STACK, "1", "IMPORT_ROLLBACK_FAILED");
    faults.next("DescribeStacks", 3, failed);
    assert_eq!(engine.at_rest(&|_| {}).await.unwrap(), Standing::Whole);
    let found = engine.found().await.unwrap();
    assert!(found.deployed.is_some() && found.remnant.is_none());
    deploy(&engine, queue(31)).await.unwrap();
    let sets = faults.seen_of("CreateChangeSet");
    let kinds: Vec<_> = sets.iter().map(|it| it.field("ChangeSetType")).collect();
    assert_eq!(kinds, ["CREATE", "UPDATE"].map(|it| Some(it.to_owned())));
    assert_eq!(faults.count("DeleteStack"), 0);
}
