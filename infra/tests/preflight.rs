//! `infra doctor` and the start of `infra deploy`, by the built program, against an AWS account of canned answers: a new
//! account in which everything is ready, and for each check one in which that is not so.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a failed step fails the test"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use account::{ACCOUNT, Account, Answer, LATER_IMAGE};
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
#[path = "preflight/trainium.rs"]
mod trainium;

#[test]
fn a_new_account_in_which_everything_is_ready_is_ok_and_nothing_is_changed() {
    let account = Account::ready();
    let rows = Project::new().doctor(&account);
    for (part, (state, found)) in &rows {
        let expected = match part.as_str() {
            // Nobody is named who is told of alarms, and nobody agreed to asking the models.
            "alarms" | "answers" => "without",
            _ => "ok",
        };
        assert_eq!(state, expected, "{part}: {found}");
    }
    assert!(rows.len() > 18, "{rows:?}");
    // Not the one of the person's own settings.
    assert!(
        account.regions().iter().eq(["us-east-1"]),
        "{:?}",
        account.regions()
    );
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
            "iam:PassRole (statement PassRoles)",
            "s3:PutObject (statement Objects)",
            "docs/aws.md",
        ],
    );
    let unknown = Account::ready().with("GetRole", Answer::Error(403, "AccessDenied", "no"));
    assert_said(
        &unknown,
        "permissions",
        "without",
        &["could not be seen", "the policies of docs/aws.md"],
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
            "`llm-research-papers` is somebody else's, or the deployer may not see it",
            "bucket-suffix in environments/prod.toml",
            "statement Buckets",
        ],
    );
    let far = Account::ready().with_bucket("papers-code-artifacts", 301);
    assert_said(&far, "bucket names", "missing", &["another region"]);
}

#[test]
fn the_bucket_of_code_archives_has_an_advice_of_its_own() {
    const ASSETS: &str = "annapurna-assets-111122223333-us-east-1";
    let said = |status, words: &[&str]| {
        let account = Account::ready().with_bucket(ASSETS, status);
        let rows = Project::new().doctor(&account);
        let (state, found) = &rows["bucket names"];
        assert_eq!(state, "missing", "{found}");
        assert!(found.starts_with(&format!("`{ASSETS}` is")), "{found}");
        words
            .iter()
            .for_each(|it| assert!(found.contains(it), "{found}"));
        // Another suffix would change the four other names.
        assert!(!found.contains("bucket-suffix"), "{found}");
    };
    said(
        403,
        &[
            "somebody else's, or the deployer may not see it",
            "no setting but the region in environments/prod.toml",
            "report-abuse",
            "statement Buckets",
            "aws s3api list-buckets",
        ],
    );
    said(301, &["in another region", "aws s3 rb"]);
    let ours = Account::ready().with_bucket(ASSETS, 200);
    assert_said(&ours, "bucket names", "ok", &["1 of this account"]);
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
        .with_queue("researchQueue.fifo")
        .with(
            "DescribeLogGroups",
            Answer::Json(
                json!({"logGroups": [{"logGroupName": "/aws/opensearch/research-papers/application"}]}),
            ),
        );
    assert_said(
        &account,
        "other names",
        "missing",
        &[
            "functions `PapersJudge`",
            "log groups `/aws/opensearch/research-papers/application`",
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
             <member><PhysicalResourceId>/aws/opensearch/research-papers/application</PhysicalResourceId></member>\
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
        &["AccessDeniedException", "the policies of docs/aws.md"],
    );
}

/// A region without a service has no address for it; neither does a machine without a network.
#[test]
fn a_service_that_is_not_reached_could_not_be_seen() {
    let network = "when the network is back";
    let cut = [
        (
            "ListStateMachines",
            "Step Functions",
            "whether the region has it",
        ),
        (
            "GET /schedules",
            "EventBridge Scheduler",
            "whether the region has it",
        ),
        (
            "GET /2016-08-19/account-settings",
            "Lambda concurrency",
            network,
        ),
        ("GetServiceQuota", "Trainium quota", network),
        ("DescribeRouteTables", "Trainium network", network),
        ("DescribeImages", "Trainium image", network),
        ("DescribeDomain", "search domain", network),
        ("DescribeLogGroups", "other names", network),
        ("GetRole", "permissions", network),
        ("GET /foundation-models/*", "judge.model", network),
        ("GET /use-case-for-model-access", "first-use form", network),
    ];
    // All at once, since each is tried for half a minute.
    let account = cut
        .iter()
        .fold(Account::ready(), |account, (operation, ..)| {
            account.with(operation, Answer::Cut)
        });
    let rows = Project::new().doctor(&account);
    for (_, part, helps) in cut {
        let (state, found) = &rows[part];
        assert_eq!(state, "without", "{part}: {found}");
        assert!(found.starts_with("could not be seen: "), "{part}: {found}");
        assert!(found.contains(helps), "{part}: {found}");
    }
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
    assert!(said.contains("not everything is ready"), "{said}");
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

/// `docs/aws.md`: "`deploy` looks at the same".
#[test]
fn a_deploy_says_of_the_account_what_doctor_says() {
    let page = Path::new(support::PROJECT).join("docs/aws.md");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("`deploy` looks at the same before it builds or uploads anything"));
    let project = Project::new().edited(
        "papers@example.org",
        "set-contact-in-environments-prod.toml",
    );
    let account = Account::ready()
        .with_bucket("papers-test-outputs", 403)
        .with_queue("researchQueue.fifo")
        .denying("iam:PassRole")
        .with(
            "GET /schedules",
            Answer::Error(403, "AccessDeniedException", "no"),
        )
        .with(
            "GetServiceQuota",
            Answer::Json(json!({"Quota": {"Value": 0.0}})),
        )
        .with("DescribeImages", Answer::Xml(LATER_IMAGE));
    let rows = project.doctor(&account);
    let output = project.infra(&account, &["deploy", "prod", "--yes"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let of_machine = |part: &str| part == "cargo-lambda";
    let wrong = rows
        .iter()
        .filter(|(part, (state, _))| state != "ok" && !of_machine(part));
    let mut n_wrong = 0;
    for (part, (_, found)) in wrong {
        let problem = found.split("; ").next().unwrap();
        assert!(said.contains(problem), "{part}: {problem}: {said}");
        n_wrong += 1;
    }
    assert!(n_wrong > 7 && rows.contains_key("alarms"), "{rows:?}");
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

#[test]
fn without_cargo_lambda_a_deploy_says_how_it_comes_and_builds_nothing() {
    let path = "/nonexistent";
    let (project, account) = (Project::new(), Account::ready());
    let found = rows(&project.infra_with(path, &account.url, &["doctor", "prod", "--json"]));
    let fix = "`cargo infra build prod --yes` installs it, and so does `cargo infra deploy prod` after asking; or: pip install cargo-lambda";
    assert_eq!(found["cargo-lambda"].0, "missing");
    assert!(found["cargo-lambda"].1.ends_with(fix), "{found:?}");
    for looks in [
        &["deploy", "prod"][..],
        &["deploy", "prod", "--no-preflight"],
    ] {
        let output = project.infra_with(path, &account.url, looks);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(fix), "{said}");
        assert!(!said.contains("cannot build"), "{said}");
    }
}

/// Stands in for cargo, rustc, rustup and cargo-lambda, by its name: rustc is newer than the project's, which rustup has.
const TOOLS: &str = r#"#!/bin/sh
case "${0##*/} $*" in
    "cargo metadata"*)
        printf '{"workspace_root": "%s", "target_directory": "%s/target", "packages": []}' "$PWD" "$PWD" ;;
    "cargo-lambda lambda --version") echo "cargo-lambda 0.0.0 (a stand-in)" ;;
    "cargo-lambda lambda system"*) echo '{"zig": {"version": "0.0.0"}}' ;;
    "cargo-lambda lambda build"*) echo "$RUSTUP_TOOLCHAIN ${CARGO:-none} $CARGO_ENCODED_RUSTFLAGS" > built; exit 1 ;;
    "rustc --print sysroot") echo /new ;;
    "rustc --version"*) printf 'commit-hash: new\nrelease: 1.99.0\n' ;;
    "rustup run 1.95.0 rustc --version"*) printf 'commit-hash: ours\nrelease: 1.95.0\n' ;;
    "rustup run 1.95.0 rustc --print sysroot") echo /ours ;;
    *) echo "${0##*/} $*" >&2; exit 9 ;;
esac
"#;

#[test]
fn a_build_for_aws_is_by_the_projects_rust_where_rustup_has_it() {
    let (project, account) = (Project::new(), Account::ready());
    let tools = tempfile::tempdir().unwrap();
    for name in ["cargo", "cargo-lambda", "rustc", "rustup"] {
        let tool = tools.path().join(name);
        std::fs::write(&tool, TOOLS).unwrap();
        std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", tools.path().display());
    let build = || {
        let output = project.infra_with(&path, &account.url, &["build", "prod"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("error: cannot build"), "{said}");
        std::fs::read_to_string(project.root().join("built")).unwrap()
    };
    let built = build();
    assert!(built.starts_with("1.95.0 none "), "{built}");
    assert!(built.contains("=/rustc/ours"), "{built}");
    // Without it the default builds.
    std::fs::remove_file(tools.path().join("rustup")).unwrap();
    let built = build();
    assert!(built.contains("=/rustc/new"), "{built}");
}

/// By pip from the machine's index, 115 MB: what the compiler is called by is on no `PATH` then.
#[test]
fn a_build_that_is_told_yes_installs_cargo_lambda_once() {
    let (project, account) = (Project::new(), Account::ready());
    let path = std::env::var_os("PATH").unwrap();
    let without = std::env::split_paths(&path).filter(|it| !it.join("cargo-lambda").exists());
    let path = std::env::join_paths(without).unwrap();
    let build = || {
        let output = project.infra_with(
            path.to_str().unwrap(),
            &account.url,
            &["build", "prod", "--yes"],
        );
        String::from_utf8(output.stderr).unwrap()
    };
    let said = build();
    assert!(said.contains("✓ cargo-lambda 1.9.2 "), "{said}");
    // This project has nothing to build.
    assert!(said.contains("error: cannot "), "{said}");
    let again = build();
    assert!(again.contains("error: cannot "), "{again}");
    assert!(!again.contains("nstalling"), "{again}");
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
