use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use annapurna_stack::environment::Environment;
use annapurna_stack::instances::{self, Slot};
use annapurna_stack::pipeline;
use serde_json::{Value, json};

use super::*;

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Type and properties of each resource of both stacks, of every environment in AWS.
fn resources() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for name in ["dev", "prod"] {
        let environment = Environment::load(&project().join("environments"), name).unwrap();
        let instances = instances::stack(&environment, &Slot::of(&environment));
        for template in [pipeline::stack(&environment).unwrap(), instances] {
            let template = template.to_json().unwrap();
            let resources = template["Resources"].as_object().unwrap().values();
            let kind = |it: &Value| it["Type"].as_str().unwrap().to_owned();
            all.extend(resources.map(|it| (kind(it), it["Properties"].clone())));
        }
    }
    all
}

/// A list as a policy for every environment of every account.
fn policy(needed: &[Needed]) -> Value {
    let general = |text: &&str| {
        let text = text.replace("{stack}", "annapurna-*");
        let open = ["{account}", "{region}", "{prefix}", "{suffix}", "**"];
        open.iter().fold(text, |text, part| text.replace(part, "*"))
    };
    let statement = |it: &Needed| {
        let mut resources: Vec<String> = it.resources.iter().map(general).collect();
        // The pattern of the pipeline's stacks has the instances' in it.
        resources.retain(|it| !it.ends_with("-trainium/*"));
        let mut statement =
            json!({"Sid": it.sid, "Effect": "Allow", "Action": it.actions, "Resource": resources});
        if let Some(it) = &it.only_if {
            let values: Vec<String> = it.values.iter().map(general).collect();
            let is_arn = it.values.iter().all(|value| value.starts_with("arn:"));
            let operator = if is_arn { "ArnLike" } else { "StringLike" };
            statement["Condition"] = json!({operator: {it.key: values}});
        }
        statement
    };
    let statements: Vec<Value> = needed.iter().map(statement).collect();
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// The statements of all policies.
fn statements() -> Vec<Value> {
    let policies = POLICIES.iter().map(|(_, needed)| policy(needed));
    policies
        .flat_map(|it| it["Statement"].as_array().unwrap().clone())
        .collect()
}

#[test]
fn the_docs_have_the_policies() {
    for (file, needed) in POLICIES {
        let path = project().join("docs").join(file);
        let wanted = serde_json::to_string_pretty(&policy(needed)).unwrap() + "\n";
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap();
        assert_eq!(found, wanted, "write it anew with UPDATE_DOCS=1");
        let page = std::fs::read_to_string(project().join("docs/aws.md")).unwrap();
        assert!(page.contains(&format!("file://docs/{file}")), "{file}");
    }
}

/// Source: IAM user guide, "IAM and AWS STS quotas": 6,144 characters without whitespace.
#[test]
fn each_policy_fits_into_a_managed_policy() {
    for (file, needed) in POLICIES {
        let length = serde_json::to_string(&policy(needed)).unwrap().len();
        assert!(length <= 6_144, "{file}: {length}");
    }
}

#[test]
fn no_action_is_there_twice_for_a_resource_or_has_a_wildcard_which_a_simulation_refuses() {
    let pairs = |it: &'static Needed| {
        let of =
            |action: &'static str| it.resources.iter().map(move |resource| (action, *resource));
        it.actions.iter().copied().flat_map(of)
    };
    let all: Vec<(&str, &str)> = needed().flat_map(pairs).collect();
    let different: BTreeSet<_> = all.iter().collect();
    assert_eq!(all.len(), different.len());
    assert!(
        all.iter()
            .all(|(action, _)| !action.contains('*') && action.contains(':'))
    );
    let sids: BTreeSet<&str> = needed().map(|it| it.sid).collect();
    assert_eq!(sids.len(), needed().count());
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
    let listed: BTreeSet<&str> = needed().flat_map(|it| it.actions).copied().collect();
    for (kind, _) in resources() {
        for action in creation(&kind) {
            assert!(listed.contains(action), "{action}");
        }
    }
}

/// IAM's wildcard. Source: IAM user guide, "IAM JSON policy elements: Resource".
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.any(|at| fits(rest, &text[at..]))
        }),
    }
}

/// Whether the policies allow the call, which says this of itself where a condition asks.
fn allowed(action: &str, resource: &str, says: &[(&str, &str)]) -> bool {
    let any = |patterns: &Value, text: &str| {
        let mut patterns = patterns.as_array().unwrap().iter();
        patterns.any(|it| fits(it.as_str().unwrap(), text))
    };
    statements().iter().any(|statement| {
        let conditions = statement.get("Condition").and_then(Value::as_object);
        let mut conditions = conditions.into_iter().flat_map(|it| it.values());
        any(&statement["Action"], action)
            && any(&statement["Resource"], resource)
            && conditions.all(|it| {
                let mut wanted = it.as_object().unwrap().iter();
                wanted.all(|(key, values)| {
                    let mut said = says.iter().filter(|(name, _)| name == key);
                    said.any(|(_, value)| any(values, value))
                })
            })
    })
}

/// Where a type's name is in its resource's ARN, for what the list holds to names.
fn named(kind: &str) -> Option<(&'static str, &'static str, &'static str)> {
    Some(match kind {
        "AWS::Budgets::Budget" => (
            "BudgetName",
            "budgets::111122223333:budget/",
            "budgets:ModifyBudget",
        ),
        "AWS::CloudWatch::Alarm" => (
            "AlarmName",
            "cloudwatch:us-east-1:111122223333:alarm:",
            "cloudwatch:DeleteAlarms",
        ),
        "AWS::CloudWatch::Dashboard" => (
            "DashboardName",
            "cloudwatch::111122223333:dashboard/",
            "cloudwatch:PutDashboard",
        ),
        "AWS::Lambda::Function" => (
            "FunctionName",
            "lambda:us-east-1:111122223333:function:",
            "lambda:CreateFunction",
        ),
        "AWS::Logs::LogGroup" => (
            "LogGroupName",
            "logs:us-east-1:111122223333:log-group:",
            "logs:DeleteLogGroup",
        ),
        "AWS::OpenSearchService::Domain" => (
            "DomainName",
            "es:us-east-1:111122223333:domain/",
            "es:CreateDomain",
        ),
        "AWS::S3::Bucket" => ("BucketName", "s3:::", "s3:CreateBucket"),
        "AWS::SNS::Topic" => (
            "TopicName",
            "sns:us-east-1:111122223333:",
            "sns:CreateTopic",
        ),
        "AWS::SQS::Queue" => (
            "QueueName",
            "sqs:us-east-1:111122223333:",
            "sqs:CreateQueue",
        ),
        "AWS::SSM::Parameter" => (
            "Name",
            "ssm:us-east-1:111122223333:parameter",
            "ssm:DeleteParameter",
        ),
        "AWS::StepFunctions::StateMachine" => (
            "StateMachineName",
            "states:us-east-1:111122223333:stateMachine:",
            "states:CreateStateMachine",
        ),
        _ => return None,
    })
}

#[test]
fn whatever_has_a_name_in_the_stacks_is_among_the_names_of_the_policies() {
    let mut n_names = 0;
    for (kind, properties) in resources() {
        let Some((property, place, action)) = named(&kind) else {
            continue;
        };
        let name = properties[property].as_str();
        let name = name
            .or_else(|| properties["Budget"][property].as_str())
            .unwrap();
        let arn = format!("arn:aws:{place}{name}");
        assert!(allowed(action, &arn, &[]), "{action} {arn}");
        n_names += 1;
    }
    assert!(n_names > 100, "{n_names}");
}

/// An action on a resource, with what the request says beside, and whether the policies allow it.
type Case<'a> = (&'a str, String, (&'a str, &'a str), bool);

fn assert_reach(cases: &[Case<'_>]) {
    for (action, resource, says, is_allowed) in cases {
        let found = allowed(action, resource, &[*says]);
        assert_eq!(found, *is_allowed, "{action} {resource} {says:?}");
    }
}

fn of_ec2(kind: &str) -> String {
    format!("arn:aws:ec2:us-east-1:111122223333:{kind}/x-1")
}

fn in_account(service: &str, name: &str) -> String {
    format!("arn:aws:{service}:us-east-1:111122223333:{name}")
}

#[test]
fn somebody_elses_instances_are_neither_ended_nor_commanded_nor_tagged() {
    let document = "arn:aws:ssm:us-east-1::document/AWS-RunShellScript";
    assert_reach(&[
        (
            "ec2:TerminateInstances",
            of_ec2("instance"),
            ("aws:ResourceTag/Purpose", "dev-PapersCodeTester"),
            true,
        ),
        (
            "ec2:TerminateInstances",
            of_ec2("instance"),
            ("aws:ResourceTag/Purpose", "Payroll"),
            false,
        ),
        (
            "ec2:DeleteSecurityGroup",
            of_ec2("security-group"),
            ("", ""),
            false,
        ),
        (
            "ec2:ModifyLaunchTemplate",
            of_ec2("launch-template"),
            ("", ""),
            false,
        ),
        (
            "ec2:CreateTags",
            of_ec2("instance"),
            ("ec2:CreateAction", "RunInstances"),
            true,
        ),
        ("ec2:CreateTags", of_ec2("instance"), ("", ""), false),
        ("ssm:SendCommand", document.to_owned(), ("", ""), true),
        (
            "ssm:SendCommand",
            of_ec2("instance"),
            ("ssm:resourceTag/Purpose", "PapersCodeTester"),
            true,
        ),
        ("ssm:SendCommand", of_ec2("instance"), ("", ""), false),
        (
            "ssm:SendCommand",
            in_account("ssm", "document/Mine"),
            ("", ""),
            false,
        ),
    ]);
}

#[test]
fn what_has_another_name_than_the_stacks_is_out_of_the_deployers_reach() {
    assert_reach(&[
        (
            "ssm:PutParameter",
            in_account("ssm", "parameter/annapurna/prod/trainium-agent"),
            ("", ""),
            true,
        ),
        (
            "ssm:PutParameter",
            in_account("ssm", "parameter/payroll"),
            ("", ""),
            false,
        ),
        (
            "ssm:GetParameter",
            in_account("ssm", "parameter/payroll"),
            ("", ""),
            false,
        ),
        (
            "logs:DeleteLogGroup",
            in_account("logs", "log-group:/aws/lambda/payroll"),
            ("", ""),
            false,
        ),
        (
            "cloudwatch:DeleteAlarms",
            in_account("cloudwatch", "alarm:Payroll"),
            ("", ""),
            false,
        ),
        (
            "sqs:DeleteQueue",
            in_account("sqs", "payroll.fifo"),
            ("", ""),
            false,
        ),
        (
            "scheduler:DeleteSchedule",
            in_account("scheduler", "schedule/default/payroll"),
            ("", ""),
            false,
        ),
        (
            "lambda:DeleteEventSourceMapping",
            in_account("lambda", "event-source-mapping:1"),
            (
                "lambda:FunctionArn",
                "arn:aws:lambda:us-east-1:111122223333:function:payroll",
            ),
            false,
        ),
    ]);
}

#[test]
fn a_role_of_the_stack_gets_one_policy_of_aws_and_goes_to_its_services_alone() {
    let role = "arn:aws:iam::111122223333:role/annapurna-prod-PapersJudgeRole-1";
    let policy = |name: &str| format!("arn:aws:iam::aws:policy/{name}");
    let admin = policy("AdministratorAccess");
    let managed = policy("AmazonSSMManagedInstanceCore");
    assert_reach(&[
        (
            "iam:AttachRolePolicy",
            role.to_owned(),
            ("iam:PolicyARN", &managed),
            true,
        ),
        (
            "iam:AttachRolePolicy",
            role.to_owned(),
            ("iam:PolicyARN", &admin),
            false,
        ),
        (
            "iam:PassRole",
            role.to_owned(),
            ("iam:PassedToService", "glue.amazonaws.com"),
            false,
        ),
    ]);
}

/// What of the list is on every resource of its kind, because AWS knows no names or none before it is made.
#[test]
fn what_changes_something_has_a_resource_or_is_named_here() {
    let reads = ["Describe", "Get", "List", "Simulate", "View"];
    let wide: BTreeSet<&str> = needed()
        .filter(|it| it.resources.contains(&"*") && it.only_if.is_none())
        .flat_map(|it| it.actions.iter().copied())
        .filter(|action| {
            let verb = action.split_once(':').unwrap().1;
            !reads.iter().any(|read| verb.starts_with(read))
        })
        .collect();
    let known = [
        "aws-marketplace:Subscribe",
        "ec2:AuthorizeSecurityGroupEgress",
        "ec2:CreateLaunchTemplate",
        "ec2:CreateSecurityGroup",
        "ec2:RevokeSecurityGroupEgress",
        "ec2:RunInstances",
        "logs:DeleteResourcePolicy",
        "logs:PutResourcePolicy",
        "sns:Unsubscribe",
    ];
    assert_eq!(wide, BTreeSet::from(known));
}
