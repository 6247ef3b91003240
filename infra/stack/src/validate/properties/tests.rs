use std::path::Path;

use serde_json::json;

use super::*;
use crate::cloudformation::Template;
use crate::environment::Environment;
use crate::pipeline;

fn violations(type_name: &str, properties: &Value) -> Vec<Violation> {
    check(&LogicalId::new("It"), type_name, properties)
}

fn environments() -> impl Iterator<Item = Template> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../environments");
    let names = std::fs::read_dir(&folder).unwrap().map(|file| {
        let path = file.unwrap().path();
        path.file_stem().unwrap().to_str().unwrap().to_owned()
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    assert!(names.iter().any(|name| name == "prod"), "{names:?}");
    names.into_iter().map(move |name| {
        let environment = Environment::load(&folder, &name).unwrap();
        pipeline::stack(&environment).unwrap()
    })
}

#[test]
fn no_environment_breaks_a_rule() {
    for template in environments() {
        assert_eq!(super::super::violations(&template), []);
    }
}

/// What is said of these properties, a line each; every one of them is refused.
fn told<const N: usize>(cases: [(&str, Value); N]) -> String {
    let mut lines = Vec::new();
    for (type_name, properties) in cases {
        let found = violations(type_name, &properties);
        assert!(!found.is_empty(), "{type_name} {properties}");
        lines.extend(found.iter().map(ToString::to_string));
    }
    lines.join("\n")
}

fn queue(properties: Value) -> (&'static str, Value) {
    ("AWS::SQS::Queue", properties)
}

fn alarm(properties: Value) -> (&'static str, Value) {
    ("AWS::CloudWatch::Alarm", properties)
}

fn group(properties: Value) -> (&'static str, Value) {
    ("AWS::EC2::SecurityGroup", properties)
}

fn instance(key: &str, value: Value) -> (&'static str, Value) {
    ("AWS::EC2::Instance", json!({ key: value }))
}

/// A function with one property besides those that it must have.
fn function(key: &str, value: Value) -> (&'static str, Value) {
    let role = "arn:aws:iam::123456789012:role/judge";
    let mut properties = json!({"Code": {"S3Bucket": "abc"}, "Role": role});
    properties[key] = value;
    ("AWS::Lambda::Function", properties)
}

#[test]
fn an_unknown_property_and_a_missing_one_are_named_with_their_place() {
    let policies = json!([{"PolicyName": "p"}]);
    let role = json!({"AssumeRolePolicyDocument": {}, "Policies": policies});
    let text = told([
        queue(json!({"VisibilityTimeOut": 30, "Colour": "red"})),
        function("Code", json!({"S3Buckett": "abc"})),
        function("Environment", json!({"Variables": {"1": "x"}})),
        instance("InstantType", json!("trn1.2xlarge")),
        ("AWS::S3::BucketPolicy", json!({"Bucket": "papers"})),
        ("AWS::IAM::Role", role),
        // What AWS sets is no property to give.
        queue(json!({"Arn": "arn:aws:sqs:us-east-1:123456789012:q"})),
        ("AWS::SNS::Topic", json!({})),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn a_value_outside_what_is_allowed_is_shown_with_what_is() {
    let launch = json!({"LaunchTemplateData": {"InstanceType": "trn1.2xlage"}});
    let lock = json!({"ObjectLockConfiguration": {"ObjectLockEnabled": "Disabled"}});
    let six = json!(["1", "2", "3", "4", "5", "6"]);
    let tag = json!({"Key": "a", "Value": "b"});
    let text = told([
        queue(json!({"FifoQueue": "true", "DelaySeconds": 1.5, "Tags": {}})),
        function("Architectures", json!(["arm32"])),
        ("AWS::Logs::LogGroup", json!({"RetentionInDays": 2})),
        ("AWS::EC2::LaunchTemplate", launch),
        ("AWS::S3::Bucket", lock),
        function("Role", json!("judge")),
        queue(json!({"VisibilityTimeout": 43_201, "MessageRetentionPeriod": 59})),
        alarm(json!({"MetricName": "", "EvaluationPeriods": 0})),
        alarm(json!({"MetricName": "m", "AlarmActions": six})),
        alarm(json!({"MetricName": "m", "Tags": [tag, tag]})),
        function("Architectures", json!(["arm64", "x86_64"])),
        (
            "AWS::StepFunctions::StateMachine",
            json!({"RoleArn": "r", "Definition": {}}),
        ),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn properties_that_do_not_go_together_are_named() {
    let both = json!({"LaunchTemplateId": "lt-1", "LaunchTemplateName": "n", "Version": "1"});
    let ingress = json!([{"IpProtocol": "tcp"}]);
    let text = told([
        alarm(json!({"Period": 60})),
        alarm(json!({"MetricName": "m", "Statistic": "Sum", "ExtendedStatistic": "p9"})),
        group(json!({"GroupDescription": "g", "SecurityGroupIngress": ingress})),
        group(json!({"GroupDescription": "g", "SecurityGroupEgress": []})),
        instance("LaunchTemplate", json!({"LaunchTemplateId": "lt-1"})),
        instance("LaunchTemplate", both),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn what_cloudformation_computes_passes_in_every_place() {
    for computed in [
        json!({"Ref": "Key"}),
        json!({"Fn::GetAtt": ["Role", "Arn"]}),
        json!({"Fn::Join": ["", ["a", {"Ref": "AWS::Region"}]]}),
        json!("{{resolve:ssm:/annapurna/key}}"),
    ] {
        let function = json!({
            "Code": {"S3Key": computed}, "Role": computed, "Architectures": [computed],
        });
        assert_eq!(violations("AWS::Lambda::Function", &function), []);
    }
    let timeout = json!({"VisibilityTimeout": {"Ref": "Timeout"}, "Tags": {"Ref": "Tags"}});
    assert_eq!(violations("AWS::SQS::Queue", &timeout), []);
    let two_keys = json!({"VisibilityTimeout": {"Ref": "Timeout", "Fn::Sub": "a"}});
    assert_eq!(violations("AWS::SQS::Queue", &two_keys).len(), 1);
}

#[test]
fn the_ends_of_a_range_pass() {
    for (timeout, retention) in [(0, 60), (43_200, 1_209_600)] {
        let queue = json!({"VisibilityTimeout": timeout, "MessageRetentionPeriod": retention});
        assert_eq!(violations("AWS::SQS::Queue", &queue), []);
    }
}
