//! `infra doctor` and the start of `infra deploy`, by the built program, against an AWS account of canned answers: a new
//! account in which everything is ready, and for each check one in which that is not so.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a failed step fails the test"
)]

use std::path::Path;
use std::process::Command;

use account::{ACCOUNT, Account, Answer, CLOSED, LARGE_IMAGE, LATER_IMAGE};
use annapurna_local::emulator::EmulatorOptions;
use annapurna_local_testing::test_emulator;
use project::{Project, assert_said, rows};
use serde_json::json;

#[path = "preflight/account.rs"]
mod account;
#[path = "preflight/models.rs"]
mod models;
#[path = "preflight/project.rs"]
mod project;
mod support;

#[test]
fn a_new_account_in_which_everything_is_ready_is_ok_and_nothing_is_changed() {
    let account = Account::ready();
    let rows = Project::new().doctor(&account);
    for (part, (state, found)) in &rows {
        let expected = match part.as_str() {
            // Nobody is named who is told of alarms, and nobody agreed to asking the models.
            "alarms" | "answers" => "without",
            "cargo-lambda" => continue,
            _ => "ok",
        };
        assert_eq!(state, expected, "{part}: {found}");
    }
    assert!(rows.len() > 18, "{rows:?}");
    for operation in account.asked() {
        let reads = ["Get", "List", "Describe", "HEAD", "GET", "Simulate"];
        assert!(
            reads.iter().any(|it| operation.starts_with(it)),
            "{operation}"
        );
    }
}

#[test]
fn without_credentials_of_the_account_nothing_else_is_asked() {
    let account = Account::ready().with(
        "GetCallerIdentity",
        Answer::Xml("<Account>999999999999</Account><Arn>arn:aws:iam::999999999999:user/x</Arn>"),
    );
    assert_said(
        &account,
        "credentials",
        "missing",
        &["999999999999", ACCOUNT],
    );
    assert_eq!(account.asked().len(), 1);
}

#[test]
fn a_placeholder_is_not_sent_to_the_paper_sites() {
    let project = Project::new().edited(
        "papers@example.org",
        "set-contact-in-environments-prod.toml",
    );
    let rows = project.doctor(&Account::ready());
    assert_eq!(rows["settings"].0, "missing");
    assert!(
        rows["settings"]
            .1
            .contains("set it in environments/prod.toml")
    );
}

#[test]
fn a_right_that_the_deployer_lacks_is_named_with_the_statement_that_gives_it() {
    let account = Account::ready()
        .denying("iam:PassRole")
        .denying("s3:PutObject");
    assert_said(
        &account,
        "permissions",
        "missing",
        &[
            "iam:PassRole (statement Roles)",
            "s3:PutObject (statement Objects)",
            "docs/aws.md",
        ],
    );
    let unknown = Account::ready().with("GetRole", Answer::Error(403, "AccessDenied", "no"));
    assert_said(
        &unknown,
        "permissions",
        "without",
        &["not looked at", "iam:SimulatePrincipalPolicy"],
    );
    let root = Account::ready().with(
        "GetCallerIdentity",
        Answer::Xml("<Account>111122223333</Account><Arn>arn:aws:iam::111122223333:root</Arn>"),
    );
    assert_said(&root, "permissions", "without", &["root user"]);
}

#[test]
fn a_bucket_name_is_free_ours_or_taken() {
    let ours = Account::ready().with_bucket("llm-research-papers", 200);
    assert_said(&ours, "bucket names", "ok", &["4 free, 1 of this account"]);
    let taken = Account::ready().with_bucket("llm-research-papers", 403);
    assert_said(
        &taken,
        "bucket names",
        "missing",
        &[
            "`llm-research-papers` is somebody else's",
            "bucket-suffix in environments/prod.toml",
        ],
    );
    let far = Account::ready().with_bucket("papers-code-artifacts", 301);
    assert_said(&far, "bucket names", "missing", &["another region"]);
}

#[test]
fn what_the_original_left_in_the_account_is_named_with_the_way_out() {
    let account = Account::ready()
        .with(
            "GET /2015-03-31/functions",
            Answer::Json(
                json!({"Functions": [{"FunctionName": "PapersJudge"}, {"FunctionName": "Other"}]}),
            ),
        )
        .with_queue("researchQueue.fifo");
    assert_said(
        &account,
        "other names",
        "missing",
        &[
            "functions `PapersJudge`",
            "queues `researchQueue.fifo`",
            "name-prefix",
            "Moving from the original",
        ],
    );
    // The same, where they are the stack's own.
    let own = account.with(
        "ListStackResources",
        Answer::Xml(
            "<StackResourceSummaries>\
             <member><PhysicalResourceId>PapersJudge</PhysicalResourceId></member>\
             <member><PhysicalResourceId>https://sqs/1/researchQueue.fifo</PhysicalResourceId></member>\
             </StackResourceSummaries>",
        ),
    );
    assert_said(&own, "other names", "ok", &["this stack's"]);
}

#[test]
fn a_domain_of_our_name_is_said_to_be_taken_up() {
    let status = json!({"DomainStatus": {"DomainId": "1/research-papers", "DomainName": "research-papers",
        "ARN": "arn:aws:es:us-east-1:111122223333:domain/research-papers", "ClusterConfig": {}}});
    let account = Account::ready().with("DescribeDomain", Answer::Json(status));
    assert_said(
        &account,
        "search domain",
        "without",
        &["takes it up", "name-prefix"],
    );
}

#[test]
fn a_new_accounts_ten_functions_at_once_are_said() {
    let few =
        json!({"AccountLimit": {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}});
    let account = Account::ready().with("GET /2016-08-19/account-settings", Answer::Json(few));
    assert_said(
        &account,
        "Lambda concurrency",
        "without",
        &["10 functions at once", "L-B99A9384"],
    );
}

#[test]
fn a_service_that_refuses_is_not_looked_at_and_stops_nothing() {
    let account = Account::ready().with(
        "GET /schedules",
        Answer::Error(403, "AccessDeniedException", "no"),
    );
    assert_said(
        &account,
        "EventBridge Scheduler",
        "without",
        &["AccessDeniedException", "the policy of docs/aws.md"],
    );
}

#[test]
fn a_quota_that_lets_no_instance_start_is_told_with_the_command_that_asks_for_more() {
    let none = Account::ready().with(
        "GetServiceQuota",
        Answer::Json(json!({"Quota": {"Value": 0.0}})),
    );
    assert_said(
        &none,
        "Trainium quota",
        "without",
        &["0 vCPUs", "--quota-code L-2C3B7624", "--desired-value 8"],
    );
    let never_set = Account::ready()
        .with(
            "GetServiceQuota",
            Answer::Error(400, "NoSuchResourceException", "none"),
        )
        .with(
            "GetAWSDefaultServiceQuota",
            Answer::Json(json!({"Quota": {"Value": 16.0}})),
        );
    assert_said(&never_set, "Trainium quota", "ok", &["16 vCPUs"]);
}

#[test]
fn the_quota_is_that_of_all_instances_and_none_is_looked_at_for_no_instance() {
    let three = Project::new().edited("[trainium]", "[trainium]\ninstances = 3");
    let rows = three.doctor(&Account::ready());
    assert!(
        rows["Trainium quota"]
            .1
            .contains("3 x trn1.2xlarge takes 24"),
        "{rows:?}"
    );
    let none = Project::new().edited("[trainium]", "[trainium]\ninstances = 0");
    assert!(
        !none
            .doctor(&Account::ready())
            .contains_key("Trainium quota")
    );
}

#[test]
fn an_instance_needs_a_zone_a_subnet_and_a_way_out() {
    let with = |operation: &str, xml| Account::ready().with(operation, Answer::Xml(xml));
    let said = |account: &Account, words: &[&str]| {
        assert_said(account, "Trainium network", "without", words);
    };
    let no_zone = with(
        "DescribeInstanceTypeOfferings",
        "<instanceTypeOfferingSet></instanceTypeOfferingSet>",
    );
    said(&no_zone, &["offered in no zone", "choose another region"]);
    let no_vpc = with("DescribeVpcs", "<vpcSet></vpcSet>");
    said(&no_vpc, &["no default VPC", "create-default-vpc"]);
    let elsewhere = "<subnetSet><item><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId>\
        <availabilityZone>us-east-1f</availabilityZone></item></subnetSet>";
    let other_zone = with("DescribeSubnets", elsewhere);
    said(
        &other_zone,
        &["offered in us-east-1a", "subnets in us-east-1f"],
    );
    said(
        &with("DescribeRouteTables", CLOSED),
        &["no fitting subnet has a route"],
    );
}

#[test]
fn the_image_resolves_trains_on_the_device_and_fits_the_volume() {
    let images = |xml| Account::ready().with("DescribeImages", Answer::Xml(xml));
    assert_said(
        &Account::ready(),
        "Trainium image",
        "ok",
        &["Neuron SDK 2.29, 105 GiB"],
    );
    assert_said(
        &images(LATER_IMAGE),
        "Trainium image",
        "without",
        &["Neuron SDK 2.33", "up to 2.29"],
    );
    assert_said(
        &images(LARGE_IMAGE),
        "Trainium image",
        "without",
        &["needs 512 GiB", "volume-gib = 512"],
    );
    let gone = images("<imagesSet></imagesSet>");
    assert_said(
        &gone,
        "Trainium image",
        "without",
        &["ami-1, which is not there"],
    );
    let unknown = Account::ready().with(
        "GetParameter",
        Answer::Error(400, "ParameterNotFound", "none"),
    );
    assert_said(&unknown, "Trainium image", "without", &["no parameter"]);
}

#[test]
fn a_deploy_stops_before_it_builds_and_says_everything_at_once() {
    let project = Project::new().edited(
        "papers@example.org",
        "set-contact-in-environments-prod.toml",
    );
    let account = Account::ready().with_bucket("papers-test-outputs", 403);
    let output = project.infra(&account, &["deploy", "prod", "--yes"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the account is not ready"), "{said}");
    assert!(
        said.contains("`contact` is still the placeholder"),
        "{said}"
    );
    assert!(
        said.contains("`papers-test-outputs` is somebody else's"),
        "{said}"
    );
    assert!(!said.contains("are built"), "{said}");
    let asked = account.asked();
    assert!(
        !asked
            .iter()
            .any(|it| it.starts_with("POST /model") || it.starts_with("PUT")),
        "{asked:?}"
    );
}

#[test]
fn a_deploy_that_is_told_not_to_look_goes_on_to_the_build() {
    let project = Project::new().edited(
        "papers@example.org",
        "set-contact-in-environments-prod.toml",
    );
    let account = Account::ready();
    let output = project.infra(&account, &["deploy", "prod", "--yes", "--no-preflight"]);
    let said = String::from_utf8(output.stderr).unwrap();
    // This project has nothing to build.
    assert!(said.contains("cannot build"), "{said}");
    assert!(!account.asked().contains("DescribeSubnets"));
}

/// The aws CLI reads its arguments before it sends anything, and the request is the operation that the page means.
#[test]
fn the_aws_cli_takes_each_of_its_commands_on_the_page() {
    let page = Path::new(support::PROJECT).join("docs/aws.md");
    let page = std::fs::read_to_string(page).unwrap().replace("\\\n", "");
    let commands: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("$ aws "))
        .collect();
    assert!(commands.len() > 9, "{commands:?}");
    let Some(aws) = support::aws_cli() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for file in ["policy.json", "token"] {
        std::fs::write(folder.path().join(file), "{}").unwrap();
    }
    let account = Account::ready();
    for command in commands {
        let words = command
            .replace("ACCOUNT", ACCOUNT)
            .replace("ami-…", "ami-0123456789abcdef0");
        let line = format!("{aws} --endpoint-url {} {words}", account.url);
        let output = Command::new("sh")
            .args(["-c", &line])
            .current_dir(folder.path())
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_MAX_ATTEMPTS", "1")
            .output()
            .unwrap();
        let asked: String = account.asked().into_iter().collect();
        let said = String::from_utf8_lossy(&output.stderr);
        let letters = |text: &str| text.replace(['-', '/'], "").to_lowercase();
        let operation = letters(command.split(' ').nth(1).unwrap());
        // REST calls have no operation in them, only their path.
        let is_it = letters(&asked).contains(&operation) || asked.contains(" /2015-03-31/");
        assert!(is_it, "{command}: {asked}: {said}");
    }
}

/// The emulator knows nothing of quotas and models; what it knows is looked at as in AWS.
#[tokio::test]
async fn an_emulator_in_place_of_aws_is_looked_at_to_the_end() {
    let emulator = test_emulator(&EmulatorOptions::default()).await;
    let project = Project::new().edited(ACCOUNT, "000000000000");
    let output = project.infra_at(&emulator.endpoint_url, &["doctor", "prod", "--json"]);
    let rows = rows(&output);
    let state = |part: &str| rows[part].0.as_str();
    assert_eq!(rows["bucket names"].1, "5 free, 0 of this account");
    for part in [
        "credentials",
        "settings",
        "other names",
        "search domain",
        "Step Functions",
    ] {
        assert_eq!(state(part), "ok", "{part}: {}", rows[part].1);
    }
    assert!(rows.contains_key("Trainium image") && rows.contains_key("judge.model"));
}
