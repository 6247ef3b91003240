use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::json;

use super::*;
use crate::cloudformation::Template;
use crate::constructs::limits;
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
        ("AWS::DynamoDB::Table", json!({})),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn a_value_outside_what_is_allowed_is_shown_with_what_is() {
    let lock = json!({"ObjectLockConfiguration": {"ObjectLockEnabled": "Disabled"}});
    let six = json!(["1", "2", "3", "4", "5", "6"]);
    let tag = json!({"Key": "a", "Value": "b"});
    let text = told([
        queue(json!({"FifoQueue": "true", "DelaySeconds": 1.5, "Tags": {}})),
        function("Architectures", json!(["arm32"])),
        ("AWS::Logs::LogGroup", json!({"RetentionInDays": 2})),
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
fn an_instance_type_that_aws_adds_tomorrow_is_accepted() {
    let launch = json!({"LaunchTemplateData": {"InstanceType": "trn9.48xlarge"}});
    assert_eq!(violations("AWS::EC2::LaunchTemplate", &launch), []);
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

/// A place of the template of `prod` with the schema that holds there, read apart from the code under test.
struct Place {
    id: LogicalId,
    type_name: &'static str,
    /// The resource's properties.
    whole: Value,
    /// JSON pointer into them.
    pointer: String,
    schema: Value,
}

impl Place {
    fn value(&self) -> &Value {
        self.whole.pointer(&self.pointer).unwrap()
    }

    /// The type and the path, with `*` for an element.
    fn name(&self) -> String {
        let parts = self.pointer.split('/').skip(1);
        let parts = parts.map(|it| if it.parse::<usize>().is_ok() { "*" } else { it });
        [self.type_name]
            .into_iter()
            .chain(parts)
            .collect::<Vec<_>>()
            .join(".")
    }

    /// What is found when the value is changed.
    fn changed(&self, change: impl FnOnce(&mut Value)) -> Vec<Violation> {
        let mut whole = self.whole.clone();
        change(whole.pointer_mut(&self.pointer).unwrap());
        check(&self.id, self.type_name, &whole)
    }

    fn set(&self, value: Value) -> Vec<Violation> {
        self.changed(|it| *it = value)
    }

    fn keys(&self) -> Vec<String> {
        let map = self.value().as_object().into_iter().flatten();
        map.map(|(key, _)| key.clone()).collect()
    }
}

/// Every place of every resource of `prod` that a schema speaks of.
fn places() -> Vec<Place> {
    let facts: Value = serde_json::from_str(include_str!("../../../facts.json")).unwrap();
    let template = environments().last().unwrap();
    let mut found = Vec::new();
    for (id, resource) in template.resources() {
        let type_name = resource.properties.type_name();
        let facts = &facts["types"][type_name];
        found.push(Place {
            id: id.clone(),
            type_name,
            whole: serde_json::to_value(&resource.properties).unwrap(),
            pointer: String::new(),
            schema: facts["shape"].clone(),
        });
        let mut at = found.len() - 1;
        while at < found.len() {
            let below = places_below(&found[at], &facts["definitions"]);
            found.extend(below);
            at += 1;
        }
    }
    assert!(found.len() > 500, "{}", found.len());
    found
}

fn places_below(place: &Place, definitions: &Value) -> Vec<Place> {
    let schemas: Vec<(String, &Value)> = match place.value() {
        Value::Object(map) => map
            .keys()
            .filter_map(|key| Some((key.clone(), place.schema["properties"].get(key)?)))
            .collect(),
        Value::Array(elements) => (0..elements.len())
            .filter_map(|at| Some((at.to_string(), place.schema.get("items")?)))
            .collect(),
        _ => Vec::new(),
    };
    let places = schemas.into_iter().map(|(key, schema)| {
        let name = schema["$ref"].as_str().unwrap_or_default();
        let definition = &definitions[name.trim_start_matches("#/definitions/")];
        Place {
            id: place.id.clone(),
            type_name: place.type_name,
            whole: place.whole.clone(),
            pointer: format!("{}/{key}", place.pointer),
            schema: if definition.is_null() {
                schema
            } else {
                definition
            }
            .clone(),
        }
    });
    places.filter(|place| !is_computed(place.value())).collect()
}

#[test]
fn each_misspelt_property_of_prod_is_refused() {
    let mut open = BTreeSet::new();
    let mut refused = 0;
    for place in places() {
        for key in place.keys() {
            let found = place.changed(|it| {
                let map = it.as_object_mut().unwrap();
                let value = map.remove(&key).unwrap();
                map.insert(format!("{key}x"), value);
            });
            let told = format!("has no property `{key}x`");
            if found.iter().any(|it| it.problem.contains(&told)) {
                refused += 1;
            } else {
                open.insert(place.name());
            }
        }
    }
    assert!(refused > 500, "{refused}");
    // The schemas say nothing of what is in these, or allow any name.
    let expected = [
        "AWS::IAM::Role.AssumeRolePolicyDocument",
        "AWS::IAM::Role.Policies.*.PolicyDocument",
        "AWS::Lambda::Function.Environment.Variables",
        "AWS::OpenSearchService::Domain.AccessPolicies",
        "AWS::OpenSearchService::Domain.LogPublishingOptions",
        "AWS::S3::BucketPolicy.PolicyDocument",
        "AWS::SNS::TopicPolicy.PolicyDocument",
        "AWS::SQS::QueuePolicy.PolicyDocument",
        "AWS::StepFunctions::StateMachine.DefinitionSubstitutions",
    ];
    assert_eq!(
        open.iter().map(String::as_str).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn each_required_property_of_prod_is_missed() {
    let mut missed = BTreeSet::new();
    for place in places() {
        for key in place.schema["required"].as_array().into_iter().flatten() {
            let key = key.as_str().unwrap();
            let found = place.changed(|it| {
                it.as_object_mut().unwrap().remove(key).unwrap();
            });
            let told = format!("lacks `{key}`");
            let name = place.name();
            assert!(
                found.iter().any(|it| it.problem.ends_with(&told)),
                "{name} {key}: {found:?}"
            );
            missed.insert(format!("{name}.{key}"));
        }
    }
    assert!(missed.len() > 30, "{missed:?}");
}

#[test]
fn each_limit_of_a_property_of_prod_holds_on_both_sides() {
    let mut tried = 0;
    for place in places() {
        let mut refused = |value: Value| {
            let found = place.set(value.clone());
            assert_eq!(found.len(), 1, "{} = {value}: {found:?}", place.name());
            tried += 1;
        };
        if place.value().is_number() {
            for (limit, step) in [("minimum", -1), ("maximum", 1)] {
                if let Some(limit) = place.schema[limit].as_i64() {
                    refused(json!(limit + step));
                    assert_eq!(place.set(json!(limit)), [], "{}", place.name());
                }
            }
        }
        if let Some(allowed) = place.schema["enum"].as_array() {
            refused(if allowed[0].is_string() {
                json!("Nonsense")
            } else {
                json!(-1)
            });
            for value in allowed {
                assert_eq!(place.set(value.clone()), [], "{}", place.name());
            }
        }
        if place.schema["type"].is_string() && !place.pointer.is_empty() {
            refused(Value::Null);
        }
    }
    assert!(tried > 500, "{tried}");
}

#[test]
fn each_pattern_on_a_property_of_prod_refuses_something() {
    let patterns = places()
        .into_iter()
        .filter(|place| place.schema["pattern"].is_string());
    let mut tried = BTreeSet::new();
    for place in patterns {
        let pattern = place.schema["pattern"].as_str().unwrap();
        // These allow every text, or every text of some length.
        if [".*", "^.*$", r"[\s\S]*"].contains(&pattern) {
            continue;
        }
        let found = place.set(json!(":\u{7} "));
        let told = format!("fits the pattern {pattern}");
        assert!(
            found.iter().any(|it| it.fix.ends_with(&told)),
            "{} {pattern}: {found:?}",
            place.name()
        );
        tried.insert(pattern.to_owned());
    }
    assert!(tried.len() >= 5, "{tried:?}");
}

#[test]
fn the_limits_of_constructs_are_those_of_the_schemas() {
    let shape = |type_name| &facts::of(type_name).unwrap().shape.properties;
    let days = shape("AWS::Logs::LogGroup")["RetentionInDays"]
        .allowed
        .iter();
    let days: Vec<u64> = days.flatten().filter_map(Value::as_u64).collect();
    assert_eq!(days, limits::RETENTION_DAYS.map(u64::from));

    let mapping = facts::of("AWS::Lambda::EventSourceMapping").unwrap();
    let function = shape("AWS::Lambda::Function");
    let ends = |schema: &Schema| (schema.minimum.unwrap(), schema.maximum.unwrap());
    let visibility = ends(&shape("AWS::SQS::Queue")["VisibilityTimeout"]);
    let timeout = ends(&function["Timeout"]);
    let concurrency = ends(&mapping.definitions["MaximumConcurrency"]);
    let own = |range: RangeInclusive<u32>| (f64::from(*range.start()), f64::from(*range.end()));
    assert_eq!(visibility, own(limits::VisibilityTimeout::RANGE));
    assert_eq!(timeout, own(limits::FunctionTimeout::RANGE));
    assert_eq!(concurrency, own(limits::MaxConcurrency::RANGE));
    // The quotas page allows less than the schema.
    let (least, most) = ends(&function["MemorySize"]);
    let memory = own(limits::MemoryMib::RANGE);
    assert!(memory.0 == least && memory.1 <= most, "{memory:?}");
}
