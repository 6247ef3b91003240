//! An environment in AWS, from its first deploy to its end: the real program, the real templates of both stacks and a
//! copy of `prod.toml`, against the emulator that `AWS_ENDPOINT_URL` names. The emulator refuses launches as EC2 does
//! where a test says so; the functions are stand-ins, and the index is the tests' OpenSearch behind HTTPS.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use annapurna_local::emulator::{ACCOUNT_ID, EmulatorOptions};
use annapurna_local_testing::{TestEmulator, test_emulator, without_own_settings};
use annapurna_stack::environment::Environment;
use aws_sdk_ec2::types::{Filter, InstanceStateName, Tag};
use faults::Faults;
use front::Front;
use infra::cloud::Cloud;
use run::Run;
use serde_json::Value;

#[allow(dead_code, unreachable_pub, reason = "its own test uses the rest")]
#[path = "preflight/account.rs"]
mod account;
#[path = "aws/deployer.rs"]
mod deployer;
#[path = "support/faults.rs"]
mod faults;
#[path = "aws/front.rs"]
mod front;
#[path = "aws/image.rs"]
mod image;
#[path = "aws/network.rs"]
mod network;
#[path = "aws/obstacles.rs"]
mod obstacles;
#[path = "aws/page.rs"]
mod page;
#[path = "aws/refusals.rs"]
mod refusals;
#[path = "support/run.rs"]
mod run;
#[path = "aws/services.rs"]
mod services;
mod support;
#[path = "aws/trainium.rs"]
mod trainium;

const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const OWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/aws");
/// The zones of the emulator that offer the instance type, of the three it has.
const OFFERED: [&str; 2] = ["us-east-1a", "us-east-1b"];

/// An account with a project whose `prod` is deployed to it.
struct Account {
    _emulator: TestEmulator,
    _front: Front,
    /// Where all of AWS answers.
    faults: Faults,
    project: tempfile::TempDir,
    /// The account's own, which may do everything.
    cloud: Cloud,
    /// Of the user who deploys, with the policies of the docs and no other: id and secret of an access key.
    deployer: (String, String),
    /// The Python by which functions answer every event alike; without it they end at once.
    answer_by: Option<PathBuf>,
}

impl Account {
    async fn answering() -> Self {
        let python = annapurna_local_testing::tools().await.venv.python();
        Self {
            answer_by: Some(python),
            ..Self::new().await
        }
    }

    async fn new() -> Self {
        let python = annapurna_local_testing::tools().await.venv.python();
        let front = Front::start(&python).await;
        let options = EmulatorOptions {
            search_endpoint: Some(format!("127.0.0.1:{}", front.port)),
            ..EmulatorOptions::default()
        };
        let emulator = test_emulator(&options).await;
        let canned = account::Account::ready();
        let all = services::listen(&emulator.endpoint_url, &canned.url).await;
        let faults = Faults::before(&all).await;
        let project = project();
        let environments = Path::new(PROJECT).join("environments");
        let local = Environment::load(&environments, "local").unwrap();
        let cloud = Cloud::connect(&local, Some(&emulator.endpoint_url)).await;
        let deployer = deployer::user(&cloud.iam).await;
        Self {
            deployer,
            answer_by: None,
            _emulator: emulator,
            _front: front,
            faults,
            project,
            cloud,
        }
    }

    fn settings(&self) -> PathBuf {
        self.project.path().join("environments/prod.toml")
    }

    fn change(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.settings()).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(self.settings(), text.replace(from, to)).unwrap();
    }

    /// A change of what watches the instances, and of none of them.
    fn watch_less(&self) {
        self.change("scheduled = true", "scheduled = false");
        self.change("monthly-budget-usd", "# monthly-budget-usd");
    }

    async fn infra(&self, args: &[&str]) -> Run {
        Run::of(&self.command(args).output().await.unwrap())
    }

    /// What a command that must succeed prints.
    async fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.infra(args).await.ends(0).stdout).unwrap()
    }

    fn command(&self, args: &[&str]) -> tokio::process::Command {
        let path = std::env::var("PATH").unwrap();
        let target = self.project.path().join("target");
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_infra"));
        without_own_settings(command.as_std_mut());
        command
            .arg("--project")
            .arg(self.project.path())
            .arg("--state")
            .arg(self.project.path().join("state"))
            .args(args)
            .env("PATH", format!("{OWN}:{path}"))
            .env("CARGO_TARGET_DIR", target)
            .env("SSL_CERT_FILE", format!("{OWN}/authority.pem"))
            .env("AWS_ENDPOINT_URL", &self.faults.url)
            .env("AWS_ACCESS_KEY_ID", &self.deployer.0)
            .env("AWS_SECRET_ACCESS_KEY", &self.deployer.1)
            .envs(self.answer_by.iter().map(|python| ("ANSWER_BY", python)))
            .stdin(Stdio::null());
        command
    }

    /// Begins to deploy, and kills the program while an instance is being made.
    async fn killed_while_an_instance_is_made(&self) {
        let mut deploy = self.command(&["deploy", "prod", "--yes"]);
        let deploy = deploy.stdout(Stdio::null()).stderr(Stdio::null());
        let mut deploy = deploy.spawn().unwrap();
        let is_made = async {
            // The first change set makes the firewall.
            let stack = || self.stack("annapurna-prod-trainium");
            while stack().await.as_deref() != Some("UPDATE_IN_PROGRESS") {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let limit = Duration::from_secs(120);
        tokio::time::timeout(limit, is_made).await.unwrap();
        deploy.kill().await.unwrap();
    }

    /// Each instance that was not ended: its id, state and zone.
    async fn instances(&self) -> Vec<(String, String, String)> {
        let output = self.cloud.ec2.describe_instances().send().await.unwrap();
        let instances = output.reservations().iter().flat_map(|it| it.instances());
        let mut each: Vec<_> = instances
            .filter_map(|it| {
                let state = it.state().unwrap().name().unwrap();
                let has_ended = *state == InstanceStateName::Terminated;
                let zone = it.placement().unwrap().availability_zone().unwrap();
                let id = it.instance_id().unwrap().to_owned();
                (!has_ended).then(|| (id, state.as_str().to_owned(), zone.to_owned()))
            })
            .collect();
        each.sort();
        each
    }

    async fn zones(&self) -> Vec<String> {
        let each = self.instances().await.into_iter();
        each.map(|(_, _, zone)| zone).collect()
    }

    /// Has launches in this zone refused for this reason, or for none.
    async fn refuse(&self, zone: &str, reason: Option<&str>) {
        self.tag(zone, "emulate:refuse", reason).await;
    }

    /// Gives the zone's subnet a tag, or takes it away.
    async fn tag(&self, zone: &str, key: &str, value: Option<&str>) {
        let filter = Filter::builder().name("availability-zone").values(zone);
        let request = self.cloud.ec2.describe_subnets();
        let subnets = request.filters(filter.build()).send().await.unwrap();
        let id = subnets.subnets()[0].subnet_id().unwrap();
        let tag = Tag::builder().key(key);
        let ec2 = &self.cloud.ec2;
        match value {
            Some(value) => {
                let request = ec2.create_tags().resources(id);
                request.tags(tag.value(value).build()).send().await.unwrap();
            }
            None => {
                let request = ec2.delete_tags().resources(id);
                request.tags(tag.build()).send().await.unwrap();
            }
        }
    }

    async fn stack(&self, name: &str) -> Option<String> {
        let request = self.cloud.cloudformation.describe_stacks().stack_name(name);
        let answer = request.send().await.ok()?;
        let status = answer.stacks()[0].stack_status().unwrap();
        Some(status.as_str().to_owned())
    }
}

/// A folder with the project's `prod`, of the emulator's account, and what is packed beside the agent.
fn project() -> tempfile::TempDir {
    let project = tempfile::tempdir().unwrap();
    let root = project.path();
    std::fs::create_dir(root.join("environments")).unwrap();
    let text = std::fs::read_to_string(format!("{PROJECT}/environments/prod.toml")).unwrap();
    let text = text.replace(
        "# account = \"<12 digits>\"",
        &format!("account = \"{ACCOUNT_ID}\""),
    );
    let contact = "set-contact-in-environments-prod.toml";
    let text = text.replace(contact, "papers@example.org");
    std::fs::write(root.join("environments/prod.toml"), text).unwrap();
    // A workspace that cargo can say something about, without anything to download.
    let package =
        "[package]\nname = \"nothing\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
    std::fs::write(root.join("Cargo.toml"), package).unwrap();
    let lock = "version = 4\n[[package]]\nname = \"nothing\"\nversion = \"0.0.0\"\n";
    std::fs::write(root.join("Cargo.lock"), lock).unwrap();
    std::fs::create_dir(root.join("src")).unwrap();
    std::fs::write(root.join("src/lib.rs"), "").unwrap();
    let trainium = std::fs::canonicalize(format!("{PROJECT}/trainium")).unwrap();
    std::os::unix::fs::symlink(trainium, root.join("trainium")).unwrap();
    project
}

#[tokio::test]
async fn prod_is_deployed_shown_left_alone_and_destroyed_as_one() {
    let account = Account::new().await;
    let first = account.infra(&["plan", "prod"]).await.ends(0);
    first.says("+ create  TrainiumInstance1");
    first.says("+ create  PapersCodeTester");

    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    let main = account.stack("annapurna-prod").await;
    assert_eq!(main.as_deref(), Some("CREATE_COMPLETE"));
    let made = account.instances().await;
    assert_eq!(account.zones().await, [OFFERED[0]]);

    let outputs = account.json(&["outputs", "prod", "--json"]).await;
    assert_eq!(outputs["TrainiumInstanceId"], made[0].0);
    assert_eq!(outputs["PapersBucketName"], "llm-research-papers");
    let plan = account.infra(&["plan", "prod"]).await.ends(0);
    plan.says("Nothing changes in `prod`.");
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    assert_eq!(account.instances().await, made, "nothing has changed");

    let status = account.json(&["status", "prod", "--json"]).await;
    let part = |label: &str| {
        let parts = status["parts"].as_array().unwrap();
        let part = parts.iter().find(|it| it["part"] == label).unwrap();
        (part["state"].clone(), part["name"].clone())
    };
    assert_eq!(
        part("stack"),
        ("CREATE_COMPLETE".into(), "annapurna-prod".into())
    );
    assert_eq!(part("instances").1, "annapurna-prod-trainium");
    assert_eq!(
        part("instance"),
        ("running".into(), made[0].0.as_str().into())
    );

    account
        .infra(&["destroy", "prod", "--force-destroy", "--confirm", "prod"])
        .await
        .ends(0)
        .says("TrainiumInstance1");
    assert!(account.instances().await.is_empty());
    assert_eq!(account.stack("annapurna-prod-trainium").await, None);
    assert_eq!(account.stack("annapurna-prod").await, None);
}

#[tokio::test]
async fn a_destroyed_prod_is_made_anew_over_its_domain_and_its_buckets() {
    let account = Account::new().await;
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    let s3 = &account.cloud.s3;
    let paper = s3.put_object().bucket("llm-research-papers").key("k");
    paper.body(b"kept".to_vec().into()).send().await.unwrap();
    let destroy = ["destroy", "prod", "--force-destroy", "--confirm", "prod"];
    account.infra(&destroy).await.ends(0);

    let again = account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    again.says("= import  research-papers  (AWS::OpenSearchService::Domain)");
    again.says("= import  llm-research-papers  (AWS::S3::Bucket)");
    assert!(!again.stderr.contains("more than the plan"), "{again}");
    let paper = s3.get_object().bucket("llm-research-papers").key("k");
    let paper = paper.send().await.unwrap().body.collect().await.unwrap();
    assert_eq!(paper.to_vec(), b"kept");
    account
        .infra(&["plan", "prod"])
        .await
        .ends(0)
        .says("Nothing changes in `prod`.");
}

#[tokio::test]
async fn an_instance_that_cannot_be_made_leaves_the_pipeline_deployed() {
    let account = Account::new().await;
    for zone in OFFERED {
        account.refuse(zone, Some("VcpuLimitExceeded")).await;
    }
    let refused = account.infra(&["deploy", "prod", "--yes"]).await.ends(4);
    refused.says("the pipeline of `prod` is deployed, its instances are not");
    refused.says("your current vCPU limit of 0");
    refused.says("servicequotas/home/services/ec2/quotas/L-2C3B7624");
    let main = account.stack("annapurna-prod").await;
    assert_eq!(main.as_deref(), Some("CREATE_COMPLETE"));
    let status = account.infra(&["status", "prod"]).await.ends(0);
    status.says("CREATE_COMPLETE");
    assert!(account.instances().await.is_empty());

    // Without room in any zone each is tried; a third one does not offer the type.
    for zone in OFFERED {
        account
            .refuse(zone, Some("InsufficientInstanceCapacity"))
            .await;
    }
    let refused = account.infra(&["deploy", "prod", "--yes"]).await.ends(4);
    refused.says("no zone has room for it now: us-east-1a, us-east-1b");
    refused.says("cargo infra deploy prod");

    // With room in one it goes there, and the pipeline's stack is as it was.
    account.refuse(OFFERED[1], None).await;
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    assert_eq!(account.zones().await, [OFFERED[1]]);
    let main = account.stack("annapurna-prod").await;
    assert_eq!(main.as_deref(), Some("CREATE_COMPLETE"));
    account
        .infra(&["plan", "prod"])
        .await
        .ends(0)
        .says("Nothing changes in `prod`.");
}

#[tokio::test]
async fn a_newer_launch_template_replaces_an_instance_when_asked_and_ends_it_first() {
    let account = Account::new().await;
    account.change("[trainium]", "[trainium]\ninstances = 2");
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    let made = account.instances().await;
    assert_eq!(made.len(), 2);

    account.change("volume-gib = 512", "volume-gib = 600");
    account
        .infra(&["deploy", "prod", "--yes"])
        .await
        .ends(0)
        .says("--replace-instances");
    assert_eq!(account.instances().await, made);
    let plan = account.infra(&["plan", "prod"]).await.ends(0);
    plan.says("TrainiumInstance1 stays as it was made");
    plan.says("Nothing changes in `prod`.");

    // Both go before one comes: where none can come, none is left.
    for zone in OFFERED {
        account.refuse(zone, Some("VcpuLimitExceeded")).await;
    }
    let replace = ["deploy", "prod", "--yes", "--replace-instances"];
    account.infra(&replace).await.ends(4);
    assert!(account.instances().await.is_empty());
    account.refuse(OFFERED[0], None).await;
    account
        .infra(&replace)
        .await
        .ends(0)
        .says("TrainiumInstance2");
    let replaced = account.instances().await;
    assert_eq!(replaced.len(), 2);
    // Run again, there is nothing older to replace.
    account.infra(&replace).await.ends(0);
    assert_eq!(account.instances().await, replaced);

    account.change("instances = 2", "instances = 0");
    let none = account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    none.says("- destroy TrainiumInstance2");
    assert!(account.instances().await.is_empty());
    assert_eq!(account.stack("annapurna-prod-trainium").await, None);
}

#[tokio::test]
async fn what_is_no_instance_of_their_stack_is_changed_too() {
    let account = Account::new().await;
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    let before = account.instances().await;
    account.watch_less();
    let plan = account.infra(&["plan", "prod"]).await.ends(0);
    plan.says("- destroy TrainiumInstance1Idle");
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    account
        .infra(&["plan", "prod"])
        .await
        .ends(0)
        .says("Nothing changes in `prod`.");
    assert_eq!(account.instances().await, before);
}

#[tokio::test]
async fn an_instance_that_somebody_ended_is_made_anew() {
    let account = Account::new().await;
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    let (id, ..) = account.instances().await.remove(0);
    let request = account.cloud.ec2.terminate_instances();
    request.instance_ids(&id).send().await.unwrap();
    account
        .infra(&["plan", "prod"])
        .await
        .ends(0)
        .says("! replace TrainiumInstance1");
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    let made = account.instances().await;
    assert_eq!(made.len(), 1);
    assert_ne!(made[0].0, id);
}

#[tokio::test]
async fn a_deploy_that_is_killed_while_an_instance_is_made_is_gone_on_with() {
    let account = Account::new().await;
    // The other zone has no room: all of it is about one launch at a time.
    let no_room = Some("InsufficientInstanceCapacity");
    account.refuse(OFFERED[1], no_room).await;
    account.tag(OFFERED[0], "emulate:seconds", Some("4")).await;

    // The launch under way is refused after the next deploy has begun, which must not count on it.
    account.refuse(OFFERED[0], Some("VcpuLimitExceeded")).await;
    account.killed_while_an_instance_is_made().await;
    let refused = account.infra(&["deploy", "prod", "--yes"]).await.ends(4);
    refused.says("your current vCPU limit of 0");
    assert!(account.instances().await.is_empty());

    account.refuse(OFFERED[0], None).await;
    account.killed_while_an_instance_is_made().await;
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    assert_eq!(account.zones().await, [OFFERED[0]]);
    let plan = account.infra(&["plan", "prod"]).await.ends(0);
    plan.says("Nothing changes in `prod`.");
}
