//! Where an instance goes: the default VPC, the subnet that is named, or nowhere.

use super::{Account, OFFERED};

#[tokio::test]
async fn an_account_without_a_default_vpc_gets_the_pipeline_and_is_told() {
    let account = Account::new().await;
    let ec2 = &account.cloud.ec2;
    let vpcs = ec2.describe_vpcs().send().await.unwrap();
    let vpc = vpcs.vpcs()[0].vpc_id().unwrap();
    for subnet in ec2.describe_subnets().send().await.unwrap().subnets() {
        let request = ec2.delete_subnet().subnet_id(subnet.subnet_id().unwrap());
        request.send().await.unwrap();
    }
    let gateways = ec2.describe_internet_gateways().send().await.unwrap();
    for gateway in gateways.internet_gateways() {
        let id = gateway.internet_gateway_id().unwrap();
        let request = ec2.detach_internet_gateway().internet_gateway_id(id);
        request.vpc_id(vpc).send().await.unwrap();
    }
    ec2.delete_vpc().vpc_id(vpc).send().await.unwrap();
    let told = account.infra(&["deploy", "prod", "--yes"]).await.ends(4);
    told.says("the account has no default VPC");
    told.says("aws ec2 create-default-vpc");
    let main = account.stack("annapurna-prod").await;
    assert_eq!(main.as_deref(), Some("CREATE_COMPLETE"));
}

#[tokio::test]
async fn an_instance_goes_into_the_subnet_that_is_named_or_nowhere() {
    let account = Account::new().await;
    let vpcs = account.cloud.ec2.describe_vpcs().send().await.unwrap();
    let vpc = vpcs.vpcs()[0].vpc_id().unwrap();
    let named = |subnet: &str| format!("[trainium]\nvpc-id = \"{vpc}\"\nsubnet-id = \"{subnet}\"");
    // The emulator's third zone does not offer the type.
    account.change("[trainium]", &named("subnet-00000003"));
    let told = account.infra(&["deploy", "prod", "--yes"]).await.ends(4);
    told.says("trn1.2xlarge is offered in us-east-1a, us-east-1b");
    told.says("has subnets in us-east-1c");
    account.change("subnet-00000003", "subnet-00000002");
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    assert_eq!(account.zones().await, [OFFERED[1]]);
    account.change("subnet-00000002", "subnet-00000001");
    let moved = account.infra(&["plan", "prod"]).await.ends(0);
    moved.says("TrainiumInstance1 stays as it was made");
    let replace = ["deploy", "prod", "--yes", "--replace-instances"];
    account.infra(&replace).await.ends(0);
    assert_eq!(account.zones().await, [OFFERED[0]]);
}
