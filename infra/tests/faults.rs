//! Change sets through a proxy that throttles, fails, cuts connections and lets tokens expire.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;
use std::path::Path;

use annapurna_local::emulator::EmulatorOptions;
use annapurna_local_testing::{TestEmulator, test_emulator};
use annapurna_stack::environment::Environment;
use infra::cloud::Cloud;
use infra::engine::{Engine, Standing, TemplateSource};
use infra::error::{CommandError, Obstacle};
use serde_json::json;

#[path = "faults/earlier.rs"]
mod earlier;
#[path = "support/faults.rs"]
mod faults;

use faults::{Fault, Faults};

const STACK: &str = "annapurna-test";

async fn through_faults() -> (TestEmulator, Faults, Engine) {
    let emulator = test_emulator(&EmulatorOptions::default()).await;
    let faults = Faults::before(&emulator.endpoint_url).await;
    let engine = engine(&faults.url).await;
    (emulator, faults, engine)
}

async fn engine(endpoint: &str) -> Engine {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments");
    let environment = Environment::load(&folder, "local").unwrap();
    Engine::new(&Cloud::connect(&environment, Some(endpoint)).await, STACK)
}

/// One FIFO queue with this visibility timeout, in seconds.
fn queue(timeout: u32) -> TemplateSource {
    let properties =
        json!({"QueueName": "q.fifo", "FifoQueue": true, "VisibilityTimeout": timeout});
    let queue = json!({"Type": "AWS::SQS::Queue", "Properties": properties});
    TemplateSource::Body(json!({"Resources": {"Queue": queue}}).to_string())
}

async fn deploy(engine: &Engine, source: TemplateSource) -> Result<(), CommandError> {
    match engine.prepare(source, &BTreeMap::new()).await? {
        Some(set) => set.execute(&|_| {}).await,
        None => Ok(()),
    }
}

/// What a deployment asks of CloudFormation, and what it looks at afterwards.
const CALLS: [&str; 6] = [
    "DescribeStacks",
    "CreateChangeSet",
    "DescribeChangeSet",
    "DescribeStackEvents",
    "ExecuteChangeSet",
    "GetTemplate",
];

#[tokio::test]
async fn throttled_and_failing_calls_are_tried_until_they_pass() {
    let (_emulator, faults, engine) = through_faults().await;
    for call in CALLS {
        faults.next(call, 3, Fault::Throttled);
        faults.next(call, 1, Fault::Internal);
        faults.next(call, 1, Fault::CutBefore);
    }
    deploy(&engine, queue(30)).await.unwrap();
    deploy(&engine, queue(31)).await.unwrap();
    assert!(engine.deployed().await.unwrap().is_some());
    for call in CALLS {
        assert!(faults.count(call) > 5, "{call}: {}", faults.count(call));
    }
}

#[tokio::test]
async fn nine_throttled_answers_in_a_row_end_nothing() {
    let (_emulator, faults, engine) = through_faults().await;
    faults.next("CreateChangeSet", 9, Fault::Throttled);
    deploy(&engine, queue(30)).await.unwrap();
    assert_eq!(faults.count("CreateChangeSet"), 10);
}

#[tokio::test]
async fn what_was_done_before_the_connection_was_cut_is_not_done_again() {
    let (_emulator, faults, engine) = through_faults().await;
    for call in ["CreateChangeSet", "ExecuteChangeSet"] {
        faults.next(call, 1, Fault::CutAfter);
    }
    deploy(&engine, queue(30)).await.unwrap();
    assert_eq!(
        engine.deployed().await.unwrap().unwrap().status.as_str(),
        "CREATE_COMPLETE"
    );
    faults.next("DeleteStack", 1, Fault::CutAfter);
    engine.delete(&|_| {}).await.unwrap();
    assert!(engine.deployed().await.unwrap().is_none());
}

/// The error of a deployment whose every such call meets this fault.
async fn error_of(call: &str, fault: Fault) -> CommandError {
    let (_emulator, faults, engine) = through_faults().await;
    faults.next(call, usize::MAX, fault);
    deploy(&engine, queue(30)).await.unwrap_err()
}

#[tokio::test]
async fn an_expired_token_is_said_plainly_and_the_next_run_goes_on() {
    let (_emulator, faults, engine) = through_faults().await;
    // While the stack is being made.
    faults.after("DescribeStackEvents", 1, 1, Fault::ExpiredToken);
    let error = deploy(&engine, queue(30)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the events of `annapurna-test`: the credentials have expired (ExpiredToken: The \
         security token included in the request is expired)"
    );
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("aws sso login") && hint.contains("again"),
        "{hint}"
    );
    assert_eq!(
        faults.count("DescribeStackEvents"),
        2,
        "it is not tried again"
    );
    assert_eq!(engine.at_rest(&|_| {}).await.unwrap(), Standing::Whole);
    deploy(&engine, queue(30)).await.unwrap();
    assert_eq!(
        faults.count("ExecuteChangeSet"),
        1,
        "nothing was left to do"
    );
}

#[tokio::test]
async fn what_does_not_pass_is_a_code_and_a_message_and_what_to_do() {
    let cases = [
        (
            "DescribeStackEvents",
            Fault::Throttled,
            Obstacle::Throttled,
            "Throttling: Rate exceeded",
        ),
        (
            "DescribeStacks",
            Fault::Internal,
            Obstacle::Unavailable,
            "InternalFailure: it failed",
        ),
        (
            "DescribeStacks",
            Fault::CutBefore,
            Obstacle::Network,
            "not reached",
        ),
    ];
    futures::future::join_all(cases.map(async |(call, fault, obstacle, words)| {
        let error = error_of(call, fault).await;
        let said = error.to_string();
        assert!(said.contains(words), "{said}");
        for debug in ["Unhandled", "ErrorMetadata", "Some(", "{ "] {
            assert!(!said.contains(debug), "{said}");
        }
        let hint = error.hint().unwrap();
        assert!(hint.contains("run the same command again"), "{hint}");
        assert_eq!(error.exit_code(), 3);
        let CommandError::Passing { obstacle: told, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(told, obstacle);
    }))
    .await;
}

#[tokio::test]
async fn no_network_is_said_plainly() {
    // A port that was free a moment ago.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = engine(&url).await.deployed().await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with("cannot describe stack `annapurna-test`: AWS was not reached"),
        "{said}"
    );
    assert!(error.hint().unwrap().contains("when the network is back"));
}

/// One page of what a change set's validation found.
fn found(resource: &str, type_name: &str, more: &str) -> String {
    format!(
        "<member><EventType>VALIDATION_ERROR</EventType><LogicalResourceId>{resource}</LogicalResourceId>\
         <ResourceType>{type_name}</ResourceType><ValidationStatus>FAILED</ValidationStatus>{more}</member>"
    )
}

/// A page of findings.
fn findings(members: &str, more: &str) -> Fault {
    let events = format!("<OperationEvents>{members}</OperationEvents>{more}");
    Fault::xml("DescribeEvents", &events)
}

/// A finding that CloudFormation only warns of.
fn warning() -> String {
    found(
        "Code",
        "AWS::S3::Bucket",
        "<ValidationFailureMode>WARN</ValidationFailureMode>\
         <ValidationStatusReason>is not empty</ValidationStatusReason>",
    )
}

/// Plans a change set that fails, with two findings and a warning on two pages.
fn fails_with_findings(faults: &Faults) {
    let said = "<Status>FAILED</Status><StatusReason>The following hook(s)/validation failed: \
        [AWS::EarlyValidation::ResourceExistenceCheck]. To troubleshoot Early Validation errors, use the \
        DescribeEvents API for detailed failure information.</StatusReason>";
    faults.next(
        "DescribeChangeSet",
        1,
        Fault::xml("DescribeChangeSet", said),
    );
    let taken = found(
        "Papers",
        "AWS::S3::Bucket",
        "<ValidationFailureMode>FAIL</ValidationFailureMode>\
         <ValidationName>NAME_CONFLICT_VALIDATION</ValidationName><ValidationPath>/Resources/Papers</ValidationPath>\
         <ValidationStatusReason>Resource of type 'AWS::S3::Bucket' with identifier 'llm-research-papers' \
         already exists.</ValidationStatusReason>",
    );
    let volume = found(
        "Search",
        "AWS::OpenSearchService::Domain",
        "<ValidationName>PROPERTY_VALIDATION</ValidationName>\
         <ValidationPath>/Resources/Search/Properties/EBSOptions/VolumeSize</ValidationPath>\
         <ValidationStatusReason>5 is less than 10\u{202e}</ValidationStatusReason>",
    );
    let first = findings(&(taken + &warning()), "<NextToken>more</NextToken>");
    faults.next("DescribeEvents", 1, first);
    faults.next("DescribeEvents", 1, findings(&volume, ""));
}

#[tokio::test]
async fn what_the_validation_before_deployment_found_is_read_before_the_change_set_goes() {
    let (_emulator, faults, engine) = through_faults().await;
    fails_with_findings(&faults);
    let error = deploy(&engine, queue(30)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the change set of stack `annapurna-test` failed:\n  \
         `Papers` (AWS::S3::Bucket): Resource of type 'AWS::S3::Bucket' with identifier \
         'llm-research-papers' already exists. [setting `bucket-suffix`]\n  \
         `Search` (AWS::OpenSearchService::Domain): 5 is less than 10  [setting `search.volume-gib`]"
    );
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("`bucket-suffix` and `search.volume-gib`"),
        "{hint}"
    );
    let asked = faults.seen_of("DescribeEvents");
    assert!(asked[0].field("ChangeSetName").is_some());
    assert_eq!(asked[1].field("NextToken").as_deref(), Some("more"));
    let order: Vec<String> = faults.seen().into_iter().map(|it| it.action).collect();
    let at = |action: &str| order.iter().position(|it| it == action).unwrap();
    assert!(at("DescribeEvents") < at("DeleteChangeSet"), "{order:?}");
    assert!(engine.deployed().await.unwrap().is_none());
    assert_eq!(
        faults.count("DeleteStack"),
        1,
        "nothing is left of the review"
    );
}

#[tokio::test]
async fn what_only_warns_is_told_of_a_change_set_that_can_be_executed() {
    let (_emulator, faults, engine) = through_faults().await;
    let skipped = warning().replace("FAILED", "SKIPPED");
    let pages = findings(&(warning() + &skipped), "");
    faults.next("DescribeEvents", 1, pages);
    let set = engine.prepare(queue(30), &BTreeMap::new()).await.unwrap();
    let set = set.unwrap();
    assert_eq!(set.warnings, ["`Code` (AWS::S3::Bucket): is not empty"]);
    let asked = &faults.seen_of("DescribeEvents")[0];
    assert!(asked.field("ChangeSetName").is_some());
    assert_eq!(asked.field("Filters.FailedEvents"), None);
    set.discard().await.unwrap();

    // That they cannot be read ends nothing, and is told.
    let denied = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not allowed</Message></Error>\
        </ErrorResponse>";
    faults.next("DescribeEvents", 1, Fault::Canned(403, denied.to_owned()));
    let set = engine.prepare(queue(30), &BTreeMap::new()).await.unwrap();
    let warnings = set.unwrap().warnings;
    assert!(
        warnings[0].ends_with("AccessDenied: not allowed"),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn without_the_permission_to_read_findings_the_reason_is_still_told() {
    let (_emulator, faults, engine) = through_faults().await;
    let said = "<Status>FAILED</Status><StatusReason>Validation failed</StatusReason>";
    faults.next(
        "DescribeChangeSet",
        1,
        Fault::xml("DescribeChangeSet", said),
    );
    let denied = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not allowed</Message></Error>\
        </ErrorResponse>";
    faults.next("DescribeEvents", 1, Fault::Canned(403, denied.to_owned()));
    let error = deploy(&engine, queue(30)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the change set of stack `annapurna-test` failed: Validation failed (cannot read what \
         CloudFormation found in `annapurna-test`: AccessDenied: not allowed)"
    );
    assert_eq!(faults.count("DeleteChangeSet"), 1);
}

#[tokio::test]
async fn every_page_of_a_change_set_is_read() {
    let (_emulator, faults, engine) = through_faults().await;
    let page = |id: &str, more: &str| {
        let change = format!(
            "<Status>CREATE_COMPLETE</Status><Changes><member><ResourceChange><Action>Modify</Action>\
             <LogicalResourceId>{id}</LogicalResourceId><ResourceType>AWS::SQS::Queue</ResourceType>\
             <Replacement>True</Replacement></ResourceChange></member></Changes>{more}"
        );
        Fault::xml("DescribeChangeSet", &change)
    };
    faults.next(
        "DescribeChangeSet",
        1,
        page("First", "<NextToken>two</NextToken>"),
    );
    faults.next("DescribeChangeSet", 1, page("Second", ""));
    let set = engine.prepare(queue(30), &BTreeMap::new()).await.unwrap();
    let entries = set.unwrap().entries;
    let ids: Vec<&str> = entries.iter().map(|it| it.resource.as_str()).collect();
    assert_eq!(ids, ["First", "Second"]);
}

#[tokio::test]
async fn a_stack_that_cannot_be_brought_back_is_said_with_its_resources_and_the_command() {
    let (_emulator, faults, engine) = through_faults().await;
    deploy(&engine, queue(30)).await.unwrap();
    let stuck = Fault::stack(STACK, "1", "UPDATE_ROLLBACK_FAILED");
    faults.next("DescribeStacks", 1, stuck);
    let event = Fault::event("Queue", "UPDATE_ROLLBACK_FAILED", "denied by a policy");
    faults.next("DescribeStackEvents", 1, event);
    assert_eq!(engine.at_rest(&|_| {}).await.unwrap(), Standing::Stuck);
    let error = engine.stuck().await;
    assert_eq!(
        error.to_string(),
        "stack `annapurna-test` could be neither updated nor brought back, and takes no update:\n  \
         `Queue` could not be brought back to what it was: denied by a policy"
    );
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("cargo infra rollback test --continue"),
        "{hint}"
    );
}

#[tokio::test]
async fn the_second_of_two_clients_is_told_who_is_at_work() {
    let (_emulator, faults, engine) = through_faults().await;
    deploy(&engine, queue(30)).await.unwrap();
    let set = engine.prepare(queue(31), &BTreeMap::new()).await.unwrap();
    // While the person reads the plan, somebody else executes another change set of the stack.
    let faster = engine.prepare(queue(32), &BTreeMap::new()).await.unwrap();
    faster.unwrap().execute(&|_| {}).await.unwrap();
    let under_way = Fault::stack(STACK, "1", "UPDATE_IN_PROGRESS");
    faults.next("DescribeStacks", 1, under_way);
    let error = set.unwrap().execute(&|_| {}).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with("stack `annapurna-test` is UPDATE_IN_PROGRESS, begun by root at "),
        "{said}"
    );
    assert!(error.hint().unwrap().contains("run it again"));
    assert_eq!(error.exit_code(), 3);
}

#[tokio::test]
async fn a_killed_client_leaves_an_operation_that_the_next_waits_for() {
    let (_emulator, faults, engine) = through_faults().await;
    faults.after("DescribeStackEvents", 1, usize::MAX, Fault::Silence);
    let killed = engine.clone();
    let client = tokio::spawn(async move { deploy(&killed, queue(30)).await });
    faults.seen_once("ExecuteChangeSet").await;
    client.abort();
    faults.clear();
    assert_eq!(engine.at_rest(&|_| {}).await.unwrap(), Standing::Whole);
    deploy(&engine, queue(30)).await.unwrap();
    assert_eq!(faults.count("ExecuteChangeSet"), 1);
    let deployed = engine.deployed().await.unwrap().unwrap();
    assert_eq!(deployed.status.as_str(), "CREATE_COMPLETE");
}
