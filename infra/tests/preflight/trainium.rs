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
        &["Neuron SDK 2.33, without PyTorch/XLA", "SDK 2.29"],
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
