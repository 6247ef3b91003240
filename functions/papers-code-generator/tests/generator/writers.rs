//! One writer for a paper's program, and when one is written again.

use annapurna_contract::{CodeGenerationMessage, keys};
use papers_code_generator::Metadata;
use serde_json::json;

use crate::{CODE, HOUR, Setting};

#[tokio::test]
async fn six_of_six_pairs_of_requests_at_once_give_one_program_each() {
    for pair in 0..6 {
        let setting = Setting::new().await;
        let adam = setting.paper("Adam", "Kingma").await;
        setting.will_write(CODE);
        // What a second program would be.
        setting.will_write(&CODE.replace("EPOCHS = 10", "EPOCHS = 11"));
        let force = pair % 2 == 1;
        let event = json!({"action": "generate_by_id", "paper_id": adam, "force": force});
        let ask = || setting.generator.handle(event.clone(), HOUR);
        let (one, other) = tokio::join!(ask(), ask());
        let (one, other) = (one.unwrap(), other.unwrap());
        let count = |kind: &str| {
            let of = |answer: &serde_json::Value| answer[kind].as_array().unwrap().len();
            of(&one) + of(&other)
        };
        assert_eq!(
            (count("generated"), count("already")),
            (1, 1),
            "{one} {other}"
        );
        assert_eq!(setting.bedrock.prompts().len(), 3, "one program was paid");
        assert_eq!(setting.sent().await.len(), 1);
    }
}

#[tokio::test]
async fn a_claim_of_a_run_that_was_killed_is_over_with_its_time() {
    let setting = Setting::new().await;
    let adam = setting.paper("Adam", "Kingma").await;
    let until = |secs: i64| {
        let until = chrono::Utc::now() + chrono::TimeDelta::seconds(secs);
        json!({ "until": until }).to_string().into_bytes()
    };
    let key = keys::code_claim(&adam);
    setting.stage.put(&setting.code, &key, until(3_600)).await;
    let event = json!({"action": "generate_by_id", "paper_id": adam});
    let time = std::time::Duration::from_secs(3);
    let answer = setting.generator.handle(event.clone(), time).await.unwrap();
    let said = answer["failed"][0]["error"].as_str().unwrap();
    assert!(said.contains("by another run"), "{said}");
    assert!(setting.bedrock.prompts().is_empty());
    setting.stage.put(&setting.code, &key, until(2)).await;
    setting.will_write(CODE);
    let answer = setting.ask(event).await;
    assert_eq!(answer["generated"][0]["paper_id"], json!(adam), "{answer}");
}

#[tokio::test]
async fn a_program_of_a_run_that_was_killed_before_its_metadata_costs_no_other() {
    let setting = Setting::new().await;
    let adam = setting.paper("Adam", "Kingma").await;
    setting.will_write(CODE);
    let event = json!({"action": "generate_by_id", "paper_id": adam});
    setting.ask(event.clone()).await;
    let asked = setting.bedrock.prompts().len();
    let other = CODE.replace("EPOCHS = 10", "EPOCHS = 11").into_bytes();
    let key = keys::code(&adam);
    setting.stage.put(&setting.code, &key, other).await;
    let answer = setting.ask(event).await;
    assert_eq!(answer["already"][0]["paper_id"], json!(adam), "{answer}");
    assert_eq!(setting.bedrock.prompts().len(), asked, "nothing is paid");
}

#[tokio::test]
async fn a_text_that_comes_has_the_program_written_again_once() {
    let setting = Setting::new().await;
    let adam = setting.paper("Adam", "Kingma").await;
    setting.will_write(CODE);
    setting.records(&[&adam]).await;
    // A PDF in which no text is: looked at once, and not for ever.
    setting
        .stage
        .put(&setting.papers, "a.pdf", b"not a PDF".as_slice())
        .await;
    setting.tell(&adam, json!({"s3_key": "a.pdf"})).await;
    setting.will_write(&CODE.replace("EPOCHS = 10", "EPOCHS = 11"));
    for _ in 0..2 {
        assert_eq!(setting.records(&[&adam]).await, Vec::<String>::new());
        assert_eq!(setting.bedrock.prompts().len(), 6);
    }
    let metadata = setting.metadata(&adam).await.unwrap();
    assert_eq!(metadata.status.attempts, Some(2));
    assert!(!metadata.from_full_text);
    // Both programs are there.
    let sent = setting.sent().await;
    assert_eq!(sent.len(), 2);
    for message in sent {
        let stored = setting
            .stage
            .object(&setting.code, &message.s3_code_key)
            .await;
        assert!(stored.is_some(), "{}", message.s3_code_key);
    }
}

#[tokio::test]
async fn programs_of_other_prompts_and_forced_ones_are_written_again() {
    let setting = Setting::new().await;
    let adam = setting.paper("Adam", "Kingma").await;
    setting.will_write(CODE);
    setting.records(&[&adam]).await;
    let older = |change: &dyn Fn(&mut Metadata), metadata: &Metadata| {
        let mut metadata = metadata.clone();
        change(&mut metadata);
        serde_json::to_vec(&metadata).unwrap()
    };
    let metadata = setting.metadata(&adam).await.unwrap();
    let json = older(
        &|it| it.status.prompt_version = Some("0".to_owned()),
        &metadata,
    );
    setting
        .stage
        .put(&setting.code, &keys::code_metadata(&adam), json)
        .await;
    setting.will_write(CODE);
    setting.records(&[&adam]).await;
    assert_eq!(setting.bedrock.prompts().len(), 6);
    setting.records(&[&adam]).await;
    assert_eq!(
        setting.bedrock.prompts().len(),
        6,
        "the prompts are these now"
    );
    let forced = CodeGenerationMessage {
        force: true,
        ..CodeGenerationMessage::of(adam.clone(), "t".to_owned())
    };
    setting.will_write(CODE);
    assert_eq!(setting.messages(vec![forced]).await, Vec::<String>::new());
    assert_eq!(setting.bedrock.prompts().len(), 9);
    assert_eq!(
        setting.metadata(&adam).await.unwrap().status.attempts,
        Some(3)
    );
}

#[tokio::test]
async fn a_title_must_be_one_and_what_was_chosen_is_said() {
    let setting = Setting::new().await;
    let title = "Attention is not all you need: pure attention loses rank";
    let attention = setting.paper(title, "Dong").await;
    setting.paper("Training data attribution", "Pruthi").await;
    setting.will_write(CODE);
    let by_title =
        |title: &str| json!({"action": "generate_by_title", "title": title, "max_papers": 5});
    let answer = setting.ask(by_title("pure attention loses rank")).await;
    assert_eq!(
        answer["chosen"],
        json!([{"paper_id": attention, "title": title}])
    );
    for other in [
        "attention bread flour",
        "training compute-optimal large language models",
    ] {
        let refused = setting
            .generator
            .handle(by_title(other), HOUR)
            .await
            .unwrap_err();
        assert!(
            refused.to_string().contains("has the words of the title"),
            "{refused}"
        );
    }
    setting.waiting_paper("Old lamps", 2 * 86_400).await;
    let by_author =
        |days: u32| json!({"action": "generate_by_author", "author": "Kingma", "days": days});
    let refused = setting.generator.handle(by_author(1), HOUR).await;
    assert!(refused.is_err(), "it came earlier");
    setting.will_write(CODE);
    let answer = setting.ask(by_author(3)).await;
    assert_eq!(answer["generated"][0]["title"], "Old lamps", "{answer}");
    let abstract_only =
        json!({"action": "generate_by_id", "paper_id": attention, "include_full_content": "false"});
    assert_eq!(
        setting.ask(abstract_only).await["already"][0]["paper_id"],
        json!(attention)
    );
}
