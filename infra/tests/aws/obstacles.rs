//! The whole of `prod` by way of a network that cuts, a service that throttles and fails, a session that ends, and two
//! people at once: each command either goes on, or says what stands in its way and is gone on with.

use super::faults::Fault;
use super::{Account, OFFERED};

const STACK: &str = "annapurna-prod";

/// What CloudFormation and STS are asked on the way of a deploy.
const CALLS: [&str; 9] = [
    "GetCallerIdentity",
    "ListStackResources",
    "DescribeStacks",
    "CreateChangeSet",
    "DescribeChangeSet",
    "DescribeStackEvents",
    "GetTemplate",
    "SetStackPolicy",
    "UpdateTerminationProtection",
];

/// The next call of each is throttled, fails, and is cut before the service hears of it.
fn obstruct(account: &Account, calls: &[&str]) {
    for call in calls {
        for fault in [Fault::Throttled, Fault::Internal, Fault::CutBefore] {
            account.faults.next(call, 1, fault);
        }
    }
}

/// How often an operation on the pipeline's stack has ended so.
async fn ended(account: &Account, status: &str) -> usize {
    let events = account.cloud.cloudformation.describe_stack_events();
    let events = events.stack_name(STACK).into_paginator().send();
    let pages: Vec<_> = events.try_collect().await.unwrap();
    let events = pages.iter().flat_map(|it| it.stack_events());
    let ends = events.filter(|it| {
        let is_so = it.resource_status().is_some_and(|it| it.as_str() == status);
        is_so && it.logical_resource_id() == Some(STACK)
    });
    ends.count()
}

/// Deploys while much goes wrong, until the session ends with the stack half made.
async fn deployed_until_the_session_ends(account: &Account) {
    obstruct(account, &CALLS);
    for call in ["CreateChangeSet", "ExecuteChangeSet"] {
        account.faults.next(call, 1, Fault::CutAfter);
    }
    let ends = async {
        account.faults.seen_once("ExecuteChangeSet").await;
        let call = "DescribeStackEvents";
        account.faults.next(call, 1, Fault::ExpiredToken);
    };
    let (expired, ()) = tokio::join!(account.infra(&["deploy", "prod", "--yes"]), ends);
    let expired = expired.ends(3);
    expired.says("the credentials have expired");
    expired.says("sign in again");
    account.faults.clear();
}

/// Two people change the same at once: one does it, the other finds it done or is told who does it.
async fn changed_by_two_at_once(account: &Account) {
    account.watch_less();
    let n_before = ended(account, "UPDATE_COMPLETE").await;
    let deploy = ["deploy", "prod", "--yes"];
    let (one, other) = tokio::join!(account.infra(&deploy), account.infra(&deploy));
    let codes = [one.code, other.code];
    assert!(codes.contains(&Some(0)), "{one}\n{other}");
    for run in [one, other].iter().filter(|it| it.code != Some(0)) {
        run.says("begun by deployer");
    }
    account.infra(&deploy).await.ends(0);
    assert_eq!(ended(account, "UPDATE_COMPLETE").await, n_before + 1);
}

/// An update that could not be undone is gone on with.
async fn rolled_back(account: &Account) {
    let stands = |status| Fault::stack(STACK, "1", status);
    let faults = &account.faults;
    let look = format!("DescribeStacks {STACK}");
    let event = || Fault::event("PapersJudge", "UPDATE_ROLLBACK_FAILED", "code is gone");
    faults.next(&look, 1, Fault::Throttled);
    faults.next(&look, 1, stands("UPDATE_ROLLBACK_FAILED"));
    faults.next("DescribeStackEvents", 1, event());
    let stuck = account.infra(&["deploy", "prod", "--yes"]).await.ends(3);
    stuck.says("`PapersJudge` could not be brought back");
    stuck.says("cargo infra rollback prod --continue");

    faults.next(&look, 1, Fault::CutBefore);
    faults.next(&look, 1, stands("UPDATE_ROLLBACK_FAILED"));
    faults.next(&look, 1, stands("UPDATE_ROLLBACK_COMPLETE"));
    faults.next(&look, 1, stands("UPDATE_ROLLBACK_COMPLETE"));
    faults.next("DescribeStackEvents", 1, event());
    let going = "ContinueUpdateRollback";
    obstruct(account, &[going]);
    faults.next(going, 1, Fault::xml(going, ""));
    let args = ["rollback", "prod", "--continue", "--confirm", "prod"];
    account.infra(&args).await.ends(0);
    faults.clear();
}

#[tokio::test]
async fn prod_goes_through_all_that_networks_clouds_and_sessions_do() {
    let account = Account::new().await;
    let nothing = "Nothing changes in `prod`.";
    deployed_until_the_session_ends(&account).await;
    // The next client is killed while an instance is made, and the one after it goes on.
    account.tag(OFFERED[0], "emulate:seconds", Some("4")).await;
    account.killed_while_an_instance_is_made().await;
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    assert_eq!(ended(&account, "CREATE_COMPLETE").await, 1);
    assert_eq!(ended(&account, "UPDATE_COMPLETE").await, 0);
    assert_eq!(account.zones().await, [OFFERED[0]]);

    obstruct(
        &account,
        &["DescribeStacks", "GetTemplate", "GetCallerIdentity"],
    );
    account.infra(&["plan", "prod"]).await.ends(0).says(nothing);
    account.faults.next("GetTemplate", 1, Fault::ExpiredToken);
    let expired = account.infra(&["plan", "prod"]).await.ends(3);
    expired.says("the credentials have expired");

    changed_by_two_at_once(&account).await;
    rolled_back(&account).await;
    account.infra(&["plan", "prod"]).await.ends(0).says(nothing);

    obstruct(
        &account,
        &[
            "DescribeStacks",
            "DescribeStackEvents",
            "UpdateTerminationProtection",
        ],
    );
    account.faults.next("DeleteStack", 1, Fault::Throttled);
    account.faults.next("DeleteStack", 2, Fault::CutAfter);
    let destroy = ["destroy", "prod", "--force-destroy", "--confirm", "prod"];
    account.infra(&destroy).await.ends(0);
    assert!(account.instances().await.is_empty());
    assert_eq!(account.stack(STACK).await, None);
    assert_eq!(account.stack("annapurna-prod-trainium").await, None);
}
