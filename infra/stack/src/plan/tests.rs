use serde_json::json;

use super::*;

fn deployment(resources: Value, code: &str) -> Deployment {
    Deployment {
        template: json!({ "Resources": resources }),
        parameters: BTreeMap::from([("JudgeKey".to_owned(), code.to_owned())]),
    }
}

fn judge() -> Value {
    json!({"Judge": {"Type": "AWS::Lambda::Function", "Properties": {
        "FunctionName": "PapersJudge", "Code": {"S3Key": {"Ref": "JudgeKey"}}}}})
}

#[test]
fn the_same_deployment_changes_nothing() {
    assert_eq!(
        changes(&deployment(judge(), "a"), &deployment(judge(), "a")),
        []
    );
}

#[test]
fn the_search_domain_is_found_by_its_type_and_called_by_its_name() {
    let domain = json!({"Any": {"Type": "AWS::OpenSearchService::Domain", "Properties": {
        "DomainName": "papers"}}});
    assert_eq!(deployment(domain, "a").search_domain(), Some("papers"));
    assert_eq!(deployment(judge(), "a").search_domain(), None);
    assert_eq!(Deployment::none().search_domain(), None);
}

#[test]
fn new_code_updates_its_function_alone() {
    let changes = changes(&deployment(judge(), "a.zip"), &deployment(judge(), "b.zip"));
    assert_eq!(changes.len(), 1);
    assert_eq!(
        changes[0].to_string(),
        "~ update  PapersJudge  (AWS::Lambda::Function)\n      Code.S3Key: a.zip → b.zip"
    );
}

#[test]
fn a_definition_in_a_text_is_compared_state_by_state() {
    let machine = |seconds: u32| {
        let text = format!(r#"{{"States": {{"Take": {{"TimeoutSeconds": {seconds}}}}}}}"#);
        json!({"M": {"Type": "AWS::StepFunctions::StateMachine", "Properties": {
            "StateMachineName": "ScrapeConference", "DefinitionString": text}}})
    };
    let changes = changes(&deployment(machine(960), ""), &deployment(machine(360), ""));
    assert_eq!(
        changes[0].to_string(),
        "~ update  ScrapeConference  (AWS::StepFunctions::StateMachine)\n      DefinitionString.States.Take.TimeoutSeconds: 960 → 360"
    );
}

#[test]
fn a_new_name_replaces_and_stands_first() {
    let queue = |name: &str| json!({"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}});
    let old = json!({"A": {"Type": "X", "Properties": {"p": 1}}, "Q": queue("a.fifo")});
    let new = json!({"A": {"Type": "X", "Properties": {"p": 2}}, "Q": queue("b.fifo")});
    let found = changes(&deployment(old, ""), &deployment(new, ""));
    assert_eq!(
        found.iter().map(|it| it.impact).collect::<Vec<_>>(),
        [Impact::Replace, Impact::Update]
    );
    assert!(found[0].is_dangerous());
    assert!(!found[1].is_dangerous());
}

#[test]
fn a_renamed_alarm_is_replaced_and_one_with_another_threshold_is_not() {
    let alarm = |name: &str, threshold: u32| {
        json!({"A": {"Type": "AWS::CloudWatch::Alarm", "Properties": {
            "AlarmName": name, "Threshold": threshold}}})
    };
    let impact = |wanted: Value| {
        let found = changes(&deployment(alarm("a", 1), ""), &deployment(wanted, ""));
        (
            found[0].impact,
            found[0].name.clone(),
            found[0].is_dangerous(),
        )
    };
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(impact(alarm("b", 1)), (Impact::Replace, named("b"), false));
    assert_eq!(impact(alarm("a", 2)), (Impact::Update, named("a"), false));
}

#[test]
fn what_a_schema_calls_conditional_may_replace() {
    let domain = |encrypted: bool| {
        json!({"D": {"Type": "AWS::OpenSearchService::Domain", "Properties": {
            "EncryptionAtRestOptions": {"Enabled": encrypted}}}})
    };
    let found = changes(
        &deployment(domain(false), ""),
        &deployment(domain(true), ""),
    );
    assert_eq!(found[0].impact, Impact::MayReplace);
    assert!(found[0].is_dangerous());
}

#[test]
fn what_a_stranger_type_holds_is_not_known_and_so_its_end_is_dangerous() {
    let old = json!({"T": {"Type": "AWS::DynamoDB::Table"}, "R": {"Type": "AWS::IAM::Role"}});
    let found = changes(&deployment(old, ""), &Deployment::none());
    let dangerous: Vec<_> = found
        .iter()
        .map(|it| (it.resource.as_str(), it.is_dangerous()))
        .collect();
    assert_eq!(dangerous, [("R", false), ("T", true)]);
}

#[test]
fn an_action_that_is_not_determined_may_replace() {
    let mut changes = Vec::new();
    let entry = |action| ChangeSetEntry {
        resource: "Papers".to_owned(),
        type_name: "AWS::S3::Bucket".to_owned(),
        action,
        replacement: Replacement::No,
    };
    merge_change_set(&mut changes, &[entry(ChangeSetAction::Import)]);
    assert_eq!(changes[0].impact, Impact::Import);
    assert!(!changes[0].is_dangerous());
    merge_change_set(&mut changes, &[entry(ChangeSetAction::Undetermined)]);
    assert_eq!(changes[0].impact, Impact::MayReplace);

    let mut unknown = Vec::new();
    merge_change_set(&mut unknown, &[entry(ChangeSetAction::Remove)]);
    assert_eq!(unknown[0].impact, Impact::Destroy, "by somebody since");
    unknown[0].impact = Impact::Orphan;
    merge_change_set(&mut unknown, &[entry(ChangeSetAction::Remove)]);
    assert_eq!(unknown[0].impact, Impact::Orphan, "it is retained");
}

#[test]
fn a_retained_resource_is_orphaned_and_another_destroyed() {
    let old = json!({
        "Kept": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "RetainExceptOnCreate", "Properties": {"BucketName": "papers"}},
        "Gone": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q.fifo"}},
    });
    let found = changes(&deployment(old, ""), &Deployment::none());
    assert_eq!(
        found.iter().map(|it| it.impact).collect::<Vec<_>>(),
        [Impact::Destroy, Impact::Orphan]
    );
}

#[test]
fn what_the_change_set_says_makes_a_change_worse_never_better() {
    let mut changes = changes(&deployment(judge(), "a"), &deployment(judge(), "b"));
    let said = |resource: &str, type_name: &str, replacement| ChangeSetEntry {
        resource: resource.to_owned(),
        type_name: type_name.to_owned(),
        action: ChangeSetAction::Modify,
        replacement,
    };
    merge_change_set(
        &mut changes,
        &[
            said("Judge", "AWS::Lambda::Function", Replacement::No),
            said(
                "Messages",
                "AWS::Lambda::EventSourceMapping",
                Replacement::No,
            ),
            said("Machine", "AWS::EC2::Instance", Replacement::Conditional),
        ],
    );
    let found: Vec<_> = changes
        .iter()
        .map(|it| (it.resource.as_str(), it.impact))
        .collect();
    assert_eq!(
        found,
        [("Machine", Impact::MayReplace), ("Judge", Impact::Update)]
    );
    assert!(changes[0].is_dangerous());
}

#[test]
fn everything_is_new_at_first() {
    let found = changes(&Deployment::none(), &deployment(judge(), "a"));
    assert_eq!(found[0].impact, Impact::Create);
}

#[test]
fn of_what_is_created_that_is_imported_which_is_there() {
    let queue = |name: &str| json!({"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}});
    let old = json!({"Stays": queue("a")});
    let new = json!({"Stays": queue("b"), "There": queue("c"), "New": queue("d")});
    let mut found = changes(&deployment(old, ""), &deployment(new, ""));
    let there = ["There", "Stays"].map(str::to_owned).into();
    import(&mut found, &there);
    let found: Vec<_> = found
        .iter()
        .map(|it| (it.resource.as_str(), it.impact))
        .collect();
    assert_eq!(
        found,
        [
            ("Stays", Impact::Replace),
            ("There", Impact::Import),
            ("New", Impact::Create)
        ]
    );
}

#[test]
fn every_sign_is_explained_by_its_word() {
    use Impact::{Create, Destroy, Import, MayReplace, Orphan, Replace, Update};
    let signs = SIGNS.replace(" in place", "");
    let explained: Vec<_> = signs.split(", ").collect();
    for impact in [Create, Import, Update, Replace, MayReplace, Destroy, Orphan] {
        let (sign, word) = (format!("`{}` ", impact.sign()), impact.word());
        let of_sign = explained.iter().find(|it| it.starts_with(&sign)).unwrap();
        assert!(of_sign[sign.len()..].split(" or ").any(|it| it == word));
    }
    assert_eq!(explained.len(), 6);
}
