//! Who deploys: a user with the policies of `docs/` and nothing else, in an emulator that authorises every request.

use aws_credential_types::Credentials;
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ssm::types::ParameterType;

use super::{Account, OWN, PROJECT};

/// A user with the deployer's policies as the docs have them.
pub(crate) async fn user(iam: &aws_sdk_iam::Client) -> (String, String) {
    const NAME: &str = "deployer";
    iam.create_user().user_name(NAME).send().await.unwrap();
    for file in ["deployer-data", "deployer-compute"] {
        let policy = std::fs::read_to_string(format!("{PROJECT}/docs/{file}.json")).unwrap();
        let made = iam
            .create_policy()
            .policy_name(file)
            .policy_document(policy);
        let made = made.send().await.unwrap();
        let arn = made.policy().unwrap().arn().unwrap();
        let attach = iam.attach_user_policy().user_name(NAME).policy_arn(arn);
        attach.send().await.unwrap();
    }
    // Where the emulator asks for another resource than AWS: for none of a domain, and for the account's own in place of
    // AWS's public parameters. Of an instance that is started or stopped it does not say the tags.
    let asks = std::fs::read_to_string(format!("{OWN}/emulator-asks.json")).unwrap();
    let asks = iam.put_user_policy().policy_document(asks);
    let asks = asks.user_name(NAME).policy_name("emulator-asks");
    asks.send().await.unwrap();
    let key = iam
        .create_access_key()
        .user_name(NAME)
        .send()
        .await
        .unwrap();
    let key = key.access_key().unwrap();
    (
        key.access_key_id().to_owned(),
        key.secret_access_key().to_owned(),
    )
}

#[tokio::test]
async fn the_deployer_may_touch_nothing_of_somebody_else() {
    let account = Account::new().await;
    let ec2 = &account.cloud.ec2;
    let launch = ec2.run_instances().image_id("ami-1").min_count(1);
    let theirs = launch.max_count(1).send().await.unwrap();
    let theirs = theirs.instances()[0].instance_id().unwrap().to_owned();
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);

    let (id, secret) = &account.deployer;
    let keys = Credentials::new(id, secret, None, None, "the deployer's");
    let config = account.cloud.config.to_builder();
    let keys = aws_sdk_ec2::config::SharedCredentialsProvider::new(keys);
    let config = config.credentials_provider(keys).build();
    let denied = |code: Option<&str>| {
        let code = code.unwrap().to_owned();
        assert!(
            code.contains("AccessDenied") || code == "UnauthorizedOperation",
            "{code}"
        );
    };
    let end = aws_sdk_ec2::Client::new(&config).terminate_instances();
    denied(end.instance_ids(&theirs).send().await.unwrap_err().code());
    let logs = aws_sdk_cloudwatchlogs::Client::new(&config).delete_log_group();
    let logs = logs.log_group_name("/aws/lambda/payroll").send().await;
    denied(logs.unwrap_err().code());
    let put = aws_sdk_ssm::Client::new(&config).put_parameter();
    let put = put.name("/payroll/rate").value("0");
    let put = put.r#type(ParameterType::String).overwrite(true);
    denied(put.send().await.unwrap_err().code());
    let iam = aws_sdk_iam::Client::new(&config);
    let roles = account.cloud.iam.list_roles().send().await.unwrap();
    let mut roles = roles.roles().iter().map(|it| it.role_name());
    let role = roles.find(|it| it.contains("PapersJudge")).unwrap();
    let attach = iam.attach_role_policy().role_name(role);
    let attach = attach.policy_arn("arn:aws:iam::aws:policy/AdministratorAccess");
    denied(attach.send().await.unwrap_err().code());
}
