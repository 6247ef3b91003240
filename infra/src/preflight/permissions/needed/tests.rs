use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use annapurna_stack::environment::Environment;
use annapurna_stack::instances::{self, Slot};
use annapurna_stack::pipeline;
use serde_json::{Value, json};

use super::*;

const BEGIN: &str = "<!-- policy: made from infra/src/preflight/permissions/needed.rs -->\n";
const END: &str = "<!-- policy end -->\n";

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The list as a policy for every environment of every account.
fn policy() -> Value {
    let general = |resource: &&str| {
        let resource = resource.replace("{stack}", "annapurna-*");
        ["{account}", "{region}", "{prefix}", "{suffix}"]
            .iter()
            .fold(resource, |text, key| text.replace(key, "*"))
    };
    let statement = |it: &Needed| {
        let mut resources: Vec<String> = it.resources.iter().map(general).collect();
        // The pattern of the pipeline's stacks has the instances' in it.
        resources.retain(|it| !it.ends_with("-trainium/*"));
        json!({"Sid": it.sid, "Effect": "Allow", "Action": it.actions, "Resource": resources})
    };
    let statements: Vec<Value> = NEEDED.iter().map(statement).collect();
    json!({"Version": "2012-10-17", "Statement": statements})
}

#[test]
fn the_page_on_aws_has_the_policy() {
    let path = project().join("docs/aws.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    let wanted = serde_json::to_string_pretty(&policy()).unwrap();
    let wanted = format!("```json\n{wanted}\n```\n");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(found, wanted, "write it anew with UPDATE_DOCS=1");
}

/// Source: IAM user guide, "IAM and AWS STS quotas": 6,144 characters without whitespace.
#[test]
fn the_policy_fits_into_one_managed_policy() {
    let length = serde_json::to_string(&policy()).unwrap().len();
    assert!(length <= 6_144, "{length}");
}

#[test]
fn no_action_is_there_twice_or_has_a_wildcard_which_a_simulation_refuses() {
    let all: Vec<&str> = NEEDED.iter().flat_map(|it| it.actions).copied().collect();
    let different: BTreeSet<&str> = all.iter().copied().collect();
    assert_eq!(all.len(), different.len());
    assert!(
        all.iter()
            .all(|action| !action.contains('*') && action.contains(':'))
    );
}

/// What makes a resource of each type that the stacks have.
fn creation(kind: &str) -> &'static [&'static str] {
    match kind {
        "AWS::Budgets::Budget" => &["budgets:ModifyBudget"],
        "AWS::CloudWatch::Alarm" => &["cloudwatch:PutMetricAlarm"],
        "AWS::CloudWatch::Dashboard" => &["cloudwatch:PutDashboard"],
        "AWS::EC2::Instance" => &["ec2:RunInstances"],
        "AWS::EC2::LaunchTemplate" => &["ec2:CreateLaunchTemplate"],
        "AWS::EC2::SecurityGroup" => &["ec2:CreateSecurityGroup"],
        "AWS::IAM::InstanceProfile" => &["iam:CreateInstanceProfile"],
        "AWS::IAM::Role" => &["iam:CreateRole", "iam:PutRolePolicy", "iam:PassRole"],
        "AWS::Lambda::EventInvokeConfig" => &["lambda:PutFunctionEventInvokeConfig"],
        "AWS::Lambda::EventSourceMapping" => &["lambda:CreateEventSourceMapping"],
        "AWS::Lambda::Function" => &["lambda:CreateFunction"],
        "AWS::Lambda::Permission" => &["lambda:AddPermission"],
        "AWS::Logs::LogGroup" => &["logs:CreateLogGroup", "logs:PutRetentionPolicy"],
        "AWS::Logs::ResourcePolicy" => &["logs:PutResourcePolicy"],
        "AWS::OpenSearchService::Domain" => &["es:CreateDomain"],
        "AWS::S3::Bucket" => &["s3:CreateBucket"],
        "AWS::S3::BucketPolicy" => &["s3:PutBucketPolicy"],
        "AWS::SNS::Topic" => &["sns:CreateTopic", "sns:Subscribe"],
        "AWS::SNS::TopicPolicy" => &["sns:SetTopicAttributes"],
        "AWS::SQS::Queue" => &["sqs:CreateQueue"],
        "AWS::SQS::QueuePolicy" => &["sqs:SetQueueAttributes"],
        "AWS::SSM::Parameter" => &["ssm:PutParameter"],
        "AWS::Scheduler::Schedule" => &["scheduler:CreateSchedule"],
        "AWS::StepFunctions::StateMachine" => &["states:CreateStateMachine"],
        other => panic!("say here what makes a {other}, and put it on the list"),
    }
}

#[test]
fn whatever_the_stack_has_may_be_made() {
    let listed: BTreeSet<&str> = NEEDED.iter().flat_map(|it| it.actions).copied().collect();
    for name in ["dev", "prod"] {
        let environment = Environment::load(&project().join("environments"), name).unwrap();
        let instances = instances::stack(&environment, &Slot::of(&environment));
        for template in [pipeline::stack(&environment).unwrap(), instances] {
            let template = template.to_json().unwrap();
            for resource in template["Resources"].as_object().unwrap().values() {
                for action in creation(resource["Type"].as_str().unwrap()) {
                    assert!(listed.contains(action), "{action}");
                }
            }
        }
    }
}
