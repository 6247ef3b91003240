//! The image of an instance, which a parameter names.

use aws_sdk_ssm::types::ParameterType;

use super::Account;

#[tokio::test]
async fn another_image_behind_the_parameter_changes_nothing_by_itself() {
    const PARAMETER: &str = "/annapurna/neuron-image";
    let account = Account::new().await;
    let publish = |image: &str| {
        let put = account.cloud.ssm.put_parameter().name(PARAMETER);
        let put = put.value(image).r#type(ParameterType::String);
        put.overwrite(true).send()
    };
    publish("ami-00000000000000001").await.unwrap();
    let settings = std::fs::read_to_string(account.settings()).unwrap();
    let mut lines = settings.lines();
    let line = lines.find(|it| it.starts_with("image-parameter")).unwrap();
    account.change(line, &format!("image-parameter = \"{PARAMETER}\""));
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    let made = account.instances().await;
    publish("ami-00000000000000002").await.unwrap();
    let plan = account.infra(&["plan", "prod"]).await.ends(0);
    plan.says("Nothing changes in `prod`.");
    account.infra(&["deploy", "prod", "--yes"]).await.ends(0);
    assert_eq!(account.instances().await, made);
}
