//! What is said of the instance: quota, network, image.

use serde_json::json;

use super::account::{Account, Answer, CLOSED, LARGE_IMAGE, LATER_IMAGE, UNSUPPORTED_IMAGE};
use super::project::{Project, assert_said};

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
        &["Neuron SDK 2.33, without PyTorch/XLA", "infra ami prod"],
    );
    assert_said(
        &images(UNSUPPORTED_IMAGE),
        "Trainium image",
        "without",
        &["Neuron SDK 2.30", "up to 2.29"],
    );
    assert_said(
        &images(LARGE_IMAGE),
        "Trainium image",
        "without",
        &["needs 600 GiB", "volume-gib = 600"],
    );
    let small = Project::new().edited("volume-gib = 512", "volume-gib = 200");
    let (state, words) = small.doctor(&Account::ready())["Trainium image"].clone();
    assert_eq!(state, "without");
    assert!(words.contains("AWS asks for 512 GiB at least"), "{words}");
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

/// Two images of one SDK that trains and one that does not, none of them in order.
const IMAGES: &str = "<imagesSet>\
    <item><imageId>ami-0000000a</imageId><name>Deep Learning AMI Neuron PyTorch 2.9 (Ubuntu 24.04) 20260401</name>\
    <description>Neuron SDK 2.29.0</description><creationDate>2026-04-01T10:00:00.000Z</creationDate></item>\
    <item><imageId>ami-0000000c</imageId><name>Deep Learning AMI Neuron (Ubuntu 24.04) 20261020</name>\
    <description>Neuron SDK 2.33.0</description><creationDate>2026-10-20T10:00:00.000Z</creationDate></item>\
    <item><imageId>ami-0000000b</imageId><name>Deep Learning AMI Neuron PyTorch 2.9 (Ubuntu 24.04) 20260415</name>\
    <description>Neuron SDK 2.29.1</description><creationDate>2026-04-15T10:00:00.000Z</creationDate></item>\
    </imagesSet>";

#[test]
fn ami_prints_a_line_that_pins_the_newest_image_that_trains_and_the_file_takes_it() {
    let account = Account::ready()
        .with("DescribeImages", Answer::Xml(IMAGES))
        .with(
            "GetParameter",
            Answer::Json(json!({"Parameter": {"Value": "ami-0000000c"}})),
        );
    let said = Project::new().infra(&account, &["ami", "prod", "--json"]);
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    let rows = said["images"].as_array().unwrap();
    let of = |key: &str| -> Vec<_> { rows.iter().map(|row| row[key].clone()).collect() };
    let ids = ["ami-0000000c", "ami-0000000b", "ami-0000000a"];
    assert_eq!(of("id"), ids);
    assert_eq!(of("trains"), [json!(false), json!(true), json!(true)]);
    assert_eq!(of("chosen"), [json!(true), json!(false), json!(false)]);
    let line = said["line"].as_str().unwrap();
    assert_eq!(line, "image-ids = { us-east-1 = \"ami-0000000b\" }");
    let pinned = Project::new().edited("[trainium]", &format!("[trainium]\n{line}"));
    let template = pinned.infra(&account, &["synth", "prod"]);
    let template = String::from_utf8(template.stdout).unwrap();
    assert!(template.contains("\"ImageId\": \"ami-0000000b\""));
    assert!(!template.contains("resolve:ssm"));
    let table = pinned.infra(&account, &["ami", "prod"]);
    let table = String::from_utf8(table.stdout).unwrap();
    let marked = table.lines().find(|line| line.starts_with("*+"));
    assert!(marked.is_some_and(|it| it.contains(ids[1])), "{table}");
}

#[test]
fn an_image_that_is_pinned_and_gone_is_said() {
    let account = Account::ready().with("DescribeImages", Answer::Xml("<imagesSet></imagesSet>"));
    let pinned = Project::new().edited(
        "[trainium]",
        "[trainium]\nimage-ids = { us-east-1 = \"ami-0000000f\" }",
    );
    let (state, words) = pinned.doctor(&account)["Trainium image"].clone();
    assert_eq!(state, "without");
    assert!(words.contains("ami-0000000f is not there"), "{words}");
    let refused = pinned.infra(&account, &["ami", "prod"]);
    assert_eq!(refused.status.code(), Some(2));
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(words.contains("ami-0000000f"), "{words}");
}
