//! What is said of the models, and that each is asked once.

use serde_json::{Value, json};

use super::account::{Account, Answer};
use super::project::{Project, assert_said};

#[test]
fn a_model_must_be_there_active_and_allowed() {
    let card = |status: &str| {
        Answer::Json(json!({"modelDetails": {"modelLifecycle": {"status": status}}}))
    };
    let ready = Account::ready();
    assert_said(
        &ready,
        "judge.model",
        "ok",
        &["us.anthropic.claude-haiku-5-5", "0.11 USD in"],
    );
    let legacy = Account::ready().with("GET /foundation-models/*", card("LEGACY"));
    assert_said(
        &legacy,
        "generator.model",
        "without",
        &["is LEGACY", "docs/costs.md"],
    );
    let unknown = Answer::Error(404, "ResourceNotFoundException", "no such model");
    let unknown = Account::ready().with("GET /foundation-models/*", unknown);
    assert_said(
        &unknown,
        "judge.model",
        "missing",
        &["knows no", "list-foundation-models"],
    );
    let may = |key: &str, value: Value| {
        let mut answer = json!({"agreementAvailability": {"status": "AVAILABLE"},
            "authorizationStatus": "AUTHORIZED", "regionAvailability": "AVAILABLE"});
        answer[key] = value;
        Account::ready().with("GET /foundation-model-availability/*", Answer::Json(answer))
    };
    let denied = may("authorizationStatus", json!("NOT_AUTHORIZED"));
    assert_said(&denied, "judge.model", "missing", &["may not use"]);
    let unpaid = may(
        "agreementAvailability",
        json!({"status": "ERROR", "errorMessage": "INVALID_PAYMENT"}),
    );
    assert_said(
        &unpaid,
        "judge.model",
        "missing",
        &["INVALID_PAYMENT", "payment method"],
    );
    // A profile may lead elsewhere; the model of vectors has none.
    let elsewhere = may("regionAvailability", json!("NOT_AVAILABLE"));
    assert_said(&elsewhere, "judge.model", "ok", &[]);
    assert_said(
        &elsewhere,
        "judge.embedding-model",
        "missing",
        &["is not in us-east-1"],
    );
}

#[test]
fn anthropics_form_has_to_be_submitted_once() {
    let never = Answer::Error(404, "ResourceNotFoundException", "none");
    let account = Account::ready().with("GET /use-case-for-model-access", never);
    assert_said(
        &account,
        "first-use form",
        "missing",
        &["never submitted", "#/model-catalog"],
    );
}

#[test]
fn each_model_is_asked_once_in_an_account() {
    let (project, account) = (Project::new(), Account::ready());
    let ask = || {
        let output = project.infra(&account, &["doctor", "prod", "--json", "--ask-models"]);
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let answers = |row: &&Value| row["used_for"] == "one short question";
        let states = rows.iter().filter(answers).map(|row| row["state"].clone());
        states.collect::<Vec<_>>()
    };
    assert_eq!(ask(), ["ok", "ok", "ok"]);
    let asked = account.asked();
    assert!(asked.contains("POST /model/*/converse") && asked.contains("POST /model/*/invoke"));
    assert_eq!(ask(), Vec::<Value>::new());
    assert!(
        !account
            .asked()
            .iter()
            .any(|it| it.starts_with("POST /model"))
    );
}

#[test]
fn yes_of_a_deploy_answers_the_question_for_the_models_too() {
    let (project, account) = (Project::new(), Account::ready());
    project.infra(&account, &["deploy", "prod"]);
    let asks = |it: &String| it.starts_with("POST /model/");
    assert_eq!(account.asked().iter().filter(|it| asks(it)).count(), 0);
    project.infra(&account, &["deploy", "prod", "--yes"]);
    let asked = account.asked();
    assert!(asked.contains("POST /model/*/converse") && asked.contains("POST /model/*/invoke"));
}

#[test]
fn a_model_that_refuses_is_told_in_bedrocks_words_and_asked_again_next_time() {
    let project = Project::new();
    let refused = Answer::Error(
        403,
        "AccessDeniedException",
        "Model use case details have not been submitted",
    );
    let account = Account::ready().with("POST /model/*/converse", refused);
    for _ in 0..2 {
        let output = project.infra(&account, &["doctor", "prod", "--ask-models"]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(
            said.contains("use case details have not been submitted"),
            "{said}"
        );
    }
}
