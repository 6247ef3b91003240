//! Papers that wait for their text, and those that do not.

use annapurna_contract::{CodeGenerationMessage, GeneratorConfig, PaperId};
use annapurna_testing::{Bedrock, Stage};
use papers_code_generator::{Generator, GeneratorError};
use serde_json::json;

use super::{CODE, Setting};

/// A PDF of one page with these words.
fn pdf(words: &str) -> Vec<u8> {
    let text = format!("BT /F1 12 Tf 72 720 Td ({words}) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R \
         /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{text}\nendstream", text.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
            .to_owned(),
    ];
    let mut pdf = "%PDF-1.4\n".to_owned();
    let mut table = "xref\n0 6\n0000000000 65535 f \n".to_owned();
    for (number, object) in objects.iter().enumerate() {
        table += &format!("{:010} 00000 n \n", pdf.len());
        pdf += &format!("{} 0 obj\n{object}\nendobj\n", number + 1);
    }
    let begin = pdf.len();
    pdf += &format!("{table}trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n{begin}\n%%EOF\n");
    pdf.into_bytes()
}

#[tokio::test]
async fn a_paper_waits_for_its_text_and_holds_up_no_other() {
    let setting = Setting::that_waits("3600").await;
    let adam = setting.waiting_paper("Adam", 5).await;
    let lion = setting.paper("Lion", "Chen").await;
    let message = |id: &PaperId, text_expected| CodeGenerationMessage {
        text_expected,
        ..CodeGenerationMessage::of(id.clone(), "t".to_owned())
    };
    setting.will_write(CODE);
    let batch = vec![message(&adam, true), message(&lion, false)];
    // The waiting one's message is done: it is no failure and no receive of it is used up.
    assert_eq!(setting.messages(batch).await, Vec::<String>::new());
    assert_eq!(setting.metadata(&adam).await, None);
    assert!(setting.metadata(&lion).await.is_some());
    assert_eq!(setting.sent().await.len(), 1);
    let (answer, messages) = setting.end_waits().await;
    assert_eq!(answer["sent"], json!([]), "its time is not over");
    assert_eq!(messages, []);
    // Its text comes, and the judge says so.
    let text = pdf("Moments of the gradient");
    setting.stage.put(&setting.papers, "a.pdf", text).await;
    let fields = json!({"s3_key": "a.pdf", "text_expected": false});
    setting.tell(&adam, fields).await;
    setting.will_write(CODE);
    assert_eq!(setting.records(&[&adam]).await, Vec::<String>::new());
    let prompt = setting.bedrock.prompts().pop().unwrap();
    assert!(prompt.contains("Moments of the gradient"), "{prompt}");
    assert!(setting.metadata(&adam).await.unwrap().from_full_text);
}

#[tokio::test]
async fn a_wait_ends_once_and_the_program_is_written_from_the_abstract() {
    let setting = Setting::that_waits("3600").await;
    let waits = setting.waiting_paper("Adam", 3_500).await;
    let over = setting.waiting_paper("Lion", 3_601).await;
    let (answer, messages) = setting.end_waits().await;
    assert_eq!(answer["sent"], json!([over]), "{answer}");
    assert_eq!(answer["failed"], json!([]));
    assert_eq!(messages.len(), 1);
    assert!(!messages[0].text_expected);
    // Not once more, whatever becomes of the message.
    let (answer, again) = setting.end_waits().await;
    assert_eq!((answer["sent"].clone(), again.len()), (json!([]), 0));
    setting.will_write(CODE);
    assert_eq!(setting.messages(messages).await, Vec::<String>::new());
    assert!(!setting.metadata(&over).await.unwrap().from_full_text);
    assert_eq!(setting.expecting(&waits).await, Vec::<String>::new());
    assert_eq!(setting.metadata(&waits).await, None);
}

#[tokio::test]
async fn an_end_of_a_wait_that_was_killed_is_done_again() {
    let setting = Setting::that_waits("60").await;
    let adam = setting.waiting_paper("Adam", 61).await;
    let event = json!({"action": "end_waits"});
    setting.ask(event.clone()).await;
    // As if the function had ended before it marked the paper.
    setting.tell(&adam, json!({"text_expected": true})).await;
    assert_eq!(setting.ask(event).await["sent"], json!([adam]));
    let sent = setting.stage.take(&setting.generation_queue).await;
    assert_eq!(sent.len(), 1, "the same message within five minutes is one");
    // A clock that is behind: the message says that nothing is to come, and that counts.
    let soon = (chrono::Utc::now()).to_rfc3339();
    setting
        .tell(&adam, json!({"text_expected": true, "ingested_at": soon}))
        .await;
    setting.will_write(CODE);
    assert_eq!(setting.records(&[&adam]).await, Vec::<String>::new());
    assert!(setting.metadata(&adam).await.is_some());
}

#[tokio::test]
async fn what_cannot_wait_gets_its_program_at_once() {
    let setting = Setting::that_waits("3600").await;
    let over = setting.waiting_paper("Adam", 3_601).await;
    // Given up: 404, 451, too large.
    let given_up = setting.waiting_paper("Lion", 5).await;
    setting
        .tell(&given_up, json!({"text_expected": false}))
        .await;
    let from_the_future = setting.waiting_paper("Sophia", -86_400_000).await;
    let day_only = setting.waiting_paper("Shampoo", 5).await;
    setting
        .tell(&day_only, json!({"ingested_at": "2026"}))
        .await;
    for paper in [&over, &given_up, &from_the_future, &day_only] {
        setting.will_write(CODE);
        assert_eq!(setting.expecting(paper).await, Vec::<String>::new());
        let metadata = setting.metadata(paper).await.unwrap();
        assert!(!metadata.from_full_text, "{}", metadata.paper_title);
    }
    let impatient = Setting::new().await;
    let fresh = impatient.waiting_paper("Muon", 1).await;
    impatient.will_write(CODE);
    assert_eq!(impatient.expecting(&fresh).await, Vec::<String>::new());
    assert!(impatient.metadata(&fresh).await.is_some());
}

#[tokio::test]
async fn a_persons_request_does_not_wait_and_is_told_that_the_text_was_not_there() {
    let setting = Setting::that_waits("3600").await;
    let adam = setting.waiting_paper("Adam", 5).await;
    setting.will_write(CODE);
    let event = json!({"action": "generate_by_id", "paper_id": adam});
    let answer = setting.ask(event.clone()).await;
    assert_eq!(answer["generated"][0]["from_full_text"], false);
    assert_eq!(
        setting.ask(event).await["already"][0]["from_full_text"],
        false
    );
    // The judge's message finds the program and repeats what follows from it.
    assert_eq!(setting.expecting(&adam).await, Vec::<String>::new());
    assert_eq!(setting.bedrock.prompts().len(), 3);
    let (answer, _) = setting.end_waits().await;
    assert_eq!(answer["sent"], json!([]), "it has a program");
}

#[tokio::test]
async fn a_wait_that_is_no_number_is_refused_with_its_variable() {
    let stage = Stage::new().await;
    let config = GeneratorConfig::from_lookup(|name| Some(name.to_lowercase())).unwrap();
    let model = Bedrock::default().model().await;
    let error = Generator::new(&stage.sdk, model, config).unwrap_err();
    let GeneratorError::Config(reason) = error else {
        panic!("{error}");
    };
    let wanted = "WAIT_FOR_TEXT_SECONDS must be a number, got `wait_for_text_seconds`";
    assert_eq!(reason.to_string(), wanted);
}
