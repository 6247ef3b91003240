use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use annapurna_contract::events::ScraperEvent;

use super::*;
use crate::cloudformation::Holds;
use crate::outputs::Output;
use crate::plan::{Deployment, changes};

mod testing;

fn environment(name: &str) -> Environment {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../environments");
    Environment::load(&folder, name).unwrap()
}

#[test]
fn each_environment_has_this_template() {
    for name in ["local", "dev", "prod"] {
        let template = stack(&environment(name)).unwrap().to_json().unwrap();
        insta::assert_json_snapshot!(format!("template_{name}"), template);
    }
}

#[test]
fn the_same_settings_give_the_same_bytes() {
    let render = || serde_json::to_string(&stack(&environment("prod")).unwrap().to_json().unwrap());
    assert_eq!(render().unwrap(), render().unwrap());
}

#[test]
fn no_role_has_a_star_action_or_deletes_objects() {
    let json = stack(&environment("prod")).unwrap().to_json().unwrap();
    for (id, resource) in json["Resources"].as_object().unwrap() {
        let properties = &resource["Properties"];
        let managed = properties.get("ManagedPolicyArns").map(ToString::to_string);
        assert!(
            managed.is_none_or(|arns| arns.matches("policy/").count() == 1
                && arns.contains("policy/AmazonSSMManagedInstanceCore")),
            "{id}"
        );
        for policy in properties["Policies"].as_array().into_iter().flatten() {
            for statement in policy["PolicyDocument"]["Statement"].as_array().unwrap() {
                let actions = statement["Action"].to_string();
                assert!(!actions.contains('*'), "{id}: {actions}");
                assert!(!actions.contains("s3:Delete"), "{id}: {actions}");
                let resources = statement["Resource"].as_array();
                let alone = resources.is_some_and(|it| it.contains(&"*".into()));
                assert!(
                    !alone || actions == r#"["ec2:DescribeInstances"]"#,
                    "{id}: {actions}"
                );
            }
        }
    }
}

#[test]
fn every_source_has_a_schedule_of_its_own_hour_that_starts_the_machine() {
    let json = stack(&environment("prod")).unwrap().to_json().unwrap();
    let mut hours = BTreeSet::new();
    for source in Source::ALL {
        let schedule = &json["Resources"][format!("Scrape{}", source.name())]["Properties"];
        let target = &schedule["Target"];
        assert_eq!(target["Arn"]["Ref"], SCRAPE_CONFERENCE);
        // As Scheduler fills it in.
        let input = target["Input"].as_str().unwrap();
        let input = input.replace("<aws.scheduler.scheduled-time>", "2027-06-02T05:23:00Z");
        let event: ScraperEvent = serde_json::from_str(&input).unwrap();
        assert_eq!(event.conference.as_deref(), Some(source.name()));
        // A year would narrow arXiv; a conference has that of the schedule's time.
        let year = (source != Source::Arxiv).then_some(2027);
        assert_eq!(event.conference_year, year);
        let cron = schedule["ScheduleExpression"].as_str().unwrap();
        hours.insert(cron.split(' ').nth(1).unwrap().to_owned());
        let days = cron
            .split(' ')
            .skip(2)
            .take(2)
            .collect::<Vec<_>>()
            .join(" ");
        let is_twice = days.matches(',').count() == 1;
        assert!(is_twice || source == Source::Arxiv, "{cron}");
    }
    assert_eq!(hours.len(), Source::ALL.len());
}

#[test]
fn a_scrape_that_failed_is_told_where_nobody_starts_it_by_hand() {
    for (name, has_alarm) in [("local", false), ("dev", false), ("prod", true)] {
        let template = stack(&environment(name)).unwrap();
        for part in ["ScrapeConferenceFailed", "Alarms", "AlarmsPolicy"] {
            assert_eq!(
                template.resource(part).is_some(),
                has_alarm,
                "{name} {part}"
            );
        }
    }
}

#[test]
fn the_dashboard_is_json_that_names_what_is_there() {
    let json = stack(&environment("prod")).unwrap().to_json().unwrap();
    let body = &json["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"];
    let body: serde_json::Value = serde_json::from_str(body.as_str().unwrap()).unwrap();
    let widgets = body["widgets"].as_array().unwrap();
    let metrics = widgets
        .iter()
        .flat_map(|it| it["properties"]["metrics"].as_array().unwrap());
    let named: BTreeSet<&str> = metrics.map(|it| it[3].as_str().unwrap()).collect();
    for name in [
        "researchQueue.fifo",
        "code-testing-dlq.fifo",
        "PapersJudge",
        "failed-events",
    ] {
        assert!(named.contains(name), "{name}");
    }
    assert!(named.contains("${ScrapeConference}") && named.contains("research-papers"));
    let places: BTreeSet<String> = widgets
        .iter()
        .map(|it| format!("{} {}", it["x"], it["y"]))
        .collect();
    assert_eq!(places.len(), widgets.len());
}

#[test]
fn everything_that_holds_data_says_what_becomes_of_it() {
    for name in ["local", "dev", "prod"] {
        let json = stack(&environment(name)).unwrap().to_json().unwrap();
        for (id, resource) in json["Resources"].as_object().unwrap() {
            let holds = Holds::of(resource["Type"].as_str().unwrap());
            let holds_data = !matches!(holds, Holds::Nothing | Holds::Program);
            for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
                assert_eq!(resource.get(policy).is_some(), holds_data, "{name} {id}");
            }
        }
    }
}

#[test]
fn every_queue_and_bucket_in_aws_refuses_plain_http() {
    for name in ["dev", "prod"] {
        let json = stack(&environment(name)).unwrap().to_json().unwrap();
        let resources = json["Resources"].as_object().unwrap();
        let kinds = ["AWS::SQS::Queue", "AWS::S3::Bucket"];
        let of_kind =
            |it: &(&String, &serde_json::Value)| kinds.iter().any(|kind| it.1["Type"] == *kind);
        let mut n_refusing = 0;
        for (id, _) in resources.iter().filter(of_kind) {
            let policy = &resources[&format!("{id}Policy")]["Properties"]["PolicyDocument"];
            let statements = policy["Statement"].as_array().unwrap();
            let refusing = statements
                .iter()
                .find(|it| it["Sid"] == "EncryptedTransportOnly")
                .unwrap();
            assert_eq!(refusing["Effect"], "Deny");
            assert_eq!(refusing["Principal"]["AWS"][0], "*");
            assert_eq!(
                refusing["Condition"]["Bool"]["aws:SecureTransport"],
                "false"
            );
            n_refusing += 1;
        }
        assert_eq!(n_refusing, Bucket::ALL.len() + Queue::ALL.len() * 2 + 1);
    }
}

#[test]
fn what_scheduler_and_s3_call_keeps_its_failed_events() {
    let json = stack(&environment("prod")).unwrap().to_json().unwrap();
    let resources = json["Resources"].as_object().unwrap();
    let called = resources
        .values()
        .filter_map(|it| it["Properties"]["Target"]["Arn"]["Fn::GetAtt"][0].as_str());
    let called: BTreeSet<&str> = called.chain(["PapersCodeTester"]).collect();
    let kept = resources
        .values()
        .filter(|it| it["Type"] == "AWS::Lambda::EventInvokeConfig");
    let kept: BTreeSet<&str> = kept
        .map(|it| {
            let destination = &it["Properties"]["DestinationConfig"]["OnFailure"]["Destination"];
            assert_eq!(destination["Fn::GetAtt"][0], "FailedEvents");
            it["Properties"]["FunctionName"]["Ref"].as_str().unwrap()
        })
        .collect();
    assert_eq!(kept, called);
}

#[test]
fn both_spellings_of_arxivs_scraper_are_one_program_with_one_configuration() {
    let json = stack(&environment("prod")).unwrap().to_json().unwrap();
    let function = |id: &str| {
        let mut it = json["Resources"][id]["Properties"].clone();
        let own = ["FunctionName", "Description", "Role", "LoggingConfig"];
        let own = own.map(|key| it.as_object_mut().unwrap().remove(key).unwrap());
        (own[0].clone(), it)
    };
    let (name, one) = function("PaperScraperArXiv");
    let (other_name, other) = function("PaperScraperarxiv");
    assert_eq!(
        [name, other_name],
        ["PaperScraper_ArXiv", "PaperScraper_arxiv"]
    );
    assert_eq!(one, other);
    assert_eq!(one["Environment"]["Variables"]["CONFERENCE"], "ARXIV");
}

/// `prod` with these subscribers.
fn told(subscribers: &str) -> serde_json::Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../environments/prod.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.replace(
        "subscribers = []",
        &format!("subscribers = [{subscribers}]"),
    );
    let environment = Environment::parse("prod", Path::new("prod.toml"), &text).unwrap();
    stack(&environment).unwrap().to_json().unwrap()
}

#[test]
fn every_alarm_and_its_end_is_told_to_the_topic_that_only_alarms_may_use() {
    let resources = told("")["Resources"].take();
    let resources = resources.as_object().unwrap();
    let topic = serde_json::json!([{"Ref": "Alarms"}]);
    let mut n_alarms = 0;
    let mut told_of = BTreeSet::new();
    for alarm in resources
        .values()
        .filter(|it| it["Type"] == "AWS::CloudWatch::Alarm")
    {
        assert_eq!(alarm["Properties"]["AlarmActions"], topic);
        assert_eq!(alarm["Properties"]["OKActions"], topic);
        let metric = alarm["Properties"]["MetricName"].as_str().unwrap();
        told_of.insert(metric.to_owned());
        n_alarms += 1;
    }
    // Two for each queue and each function, failed scrapes, failed events, agents that take nothing.
    assert_eq!(n_alarms, Queue::ALL.len() * 2 + Function::ALL.len() * 2 + 3);
    let wanted = [
        "AgentRefuses",
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesVisible",
        "Errors",
        "ExecutionsFailed",
        "Throttles",
    ];
    assert_eq!(told_of, wanted.map(str::to_owned).into());
    // The key that AWS manages for SNS stops CloudWatch's messages.
    let properties = serde_json::json!({"TopicName": "PipelineAlarms"});
    assert_eq!(resources["Alarms"]["Properties"], properties);
    let policy = &resources["AlarmsPolicy"]["Properties"];
    assert_eq!(policy["Topics"], topic);
    let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
    let allowed = statements.iter().filter(|it| it["Effect"] == "Allow");
    let principals = allowed.map(|it| {
        let account = &it["Condition"]["StringEquals"]["aws:SourceAccount"];
        assert_eq!(account["Ref"], "AWS::AccountId");
        it["Principal"]["Service"][0].as_str().unwrap()
    });
    let principals: Vec<&str> = principals.collect();
    assert_eq!(
        principals,
        ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]
    );
    let denied = statements.iter().filter(|it| it["Effect"] == "Deny");
    assert_eq!(denied.count(), 1, "plain HTTP");
    let subscribed =
        |(_, it): &(&String, &serde_json::Value)| it["Type"] == "AWS::SNS::Subscription";
    assert_eq!(resources.iter().find(subscribed), None);
}

#[test]
fn a_subscriber_who_comes_or_goes_leaves_the_others_as_they_are() {
    let deployment = |subscribers| Deployment {
        template: told(subscribers),
        parameters: BTreeMap::new(),
    };
    let one = deployment(r#""ops@example.org""#);
    let two = deployment(r#""a@example.org", "ops@example.org", "https://pager.example.org/x""#);
    let lines = |before, after| -> Vec<String> {
        let changes = changes(before, after).into_iter();
        changes
            .map(|change| format!("{} {}", change.impact.word(), change.type_name))
            .collect()
    };
    let subscription = |word: &str| format!("{word} AWS::SNS::Subscription");
    assert_eq!(
        lines(&one, &two),
        [subscription("create"), subscription("create")]
    );
    assert_eq!(
        lines(&two, &one),
        [subscription("destroy"), subscription("destroy")]
    );
    let resources = &two.template["Resources"];
    let told = resources.as_object().unwrap().values().filter_map(|it| {
        let it = &it["Properties"];
        Some((it.get("Protocol")?.as_str()?, it["Endpoint"].as_str()?))
    });
    let told: BTreeSet<_> = told.collect();
    let wanted = [
        ("email", "a@example.org"),
        ("email", "ops@example.org"),
        ("https", "https://pager.example.org/x"),
    ];
    assert_eq!(told, BTreeSet::from(wanted));
}

#[test]
fn raw_papers_stay_in_every_environment() {
    for name in ["local", "dev", "prod"] {
        let json = stack(&environment(name)).unwrap().to_json().unwrap();
        let bucket = &json["Resources"]["PapersBucket"];
        assert_eq!(bucket["DeletionPolicy"], "RetainExceptOnCreate", "{name}");
        assert_eq!(bucket["UpdateReplacePolicy"], "Retain", "{name}");
    }
}

#[test]
fn the_raw_papers_refuse_deletion_by_every_role_of_the_pipeline() {
    let json = stack(&environment("prod")).unwrap().to_json().unwrap();
    let statements =
        &json["Resources"]["PapersBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"];
    let denied = statements
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["Sid"] == "PapersAreNeverDeleted");
    let denied = denied.unwrap();
    assert_eq!(denied["Effect"], "Deny");
    assert!(
        denied["Action"]
            .as_array()
            .unwrap()
            .contains(&"s3:DeleteObjectVersion".into())
    );
    let principals = denied["Principal"]["AWS"].to_string();
    for function in Function::ALL {
        let role = LogicalId::new(function.name()).part("Role");
        assert!(principals.contains(role.as_str()), "{role}");
    }
    assert!(principals.contains("TrainiumAgentRole"));
}

#[test]
fn the_first_boot_script_fits_into_user_data() {
    let json = stack(&environment("prod")).unwrap().to_json().unwrap();
    let launch = &json["Resources"]["TrainiumLaunch"]["Properties"]["LaunchTemplateData"];
    // 16 KB before encoding; references become somewhat longer. Source: EC2 user guide, "user data".
    assert!(launch["UserData"].to_string().len() < 15_000);
}

#[test]
fn every_output_is_given_out_in_aws_or_on_this_machine_and_no_other() {
    let launch = [
        Output::TrainiumLaunchTemplateId,
        Output::TrainiumLaunchTemplateVersion,
    ];
    for (name, elsewhere) in [
        ("local", &launch[..]),
        ("prod", &[Output::TrainiumAgentRoleArn]),
    ] {
        let json = stack(&environment(name)).unwrap().to_json().unwrap();
        let given = json["Outputs"].as_object().unwrap();
        let given: BTreeSet<Cow<'_, str>> = given.keys().map(Cow::from).collect();
        let known = Output::ALL.into_iter().filter(|it| !elsewhere.contains(it));
        assert_eq!(given, known.map(Output::name).collect(), "{name}");
    }
}
