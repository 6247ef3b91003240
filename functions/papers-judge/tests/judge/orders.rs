//! What a person says of a paper comes by the queue and is carried out once.

use annapurna_contract::{Order, Wish};

use super::*;

fn ordered(paper: &ResearchMessage, wish: Wish, given_at: &str) -> ResearchMessage {
    ResearchMessage {
        order: Some(Order {
            wish,
            reason: Some("it can be tried\u{202e}".to_owned()),
            given_at: format!("2026-01-02T03:04:{given_at}Z"),
        }),
        ..paper.clone()
    }
}

#[tokio::test]
async fn a_person_accepts_what_nobody_could_tell_and_it_goes_on() {
    let setting = Setting::new().await;
    let adam = paper("Adam", Some("Moments."));
    setting.will_answer(TRAINS, [9, 8, 5], "undecided");
    setting.judge(&[&adam]).await;
    let accept = ordered(&adam, Wish::Accept, "05.000");
    assert_eq!(
        setting.judge(&[&accept, &accept]).await,
        Vec::<String>::new()
    );
    assert_eq!(setting.bedrock.prompts().len(), 1, "the model is not asked");
    let document = setting.document(&adam).await.unwrap().judged;
    assert_eq!(document.decision, Some(Decision::Accept));
    assert_eq!(
        document.reason.as_deref(),
        Some("a person: it can be tried")
    );
    assert_eq!(document.abstract_embedding.unwrap().len(), 1024);
    assert_eq!(setting.sent().await.len(), 1);
    let verdict = setting.verdict(&adam).await.unwrap();
    let decisions: Vec<_> = verdict.judgements.iter().map(|it| &it.decision).collect();
    assert_eq!(decisions, [&Decision::Undecided, &Decision::Accept]);
    assert_eq!(verdict.order.unwrap().wish, Wish::Accept);
}

#[tokio::test]
async fn a_person_rejects_and_the_scrapers_message_changes_nothing() {
    let setting = Setting::new().await;
    let adam = paper("Adam", Some("Moments."));
    setting.will_answer(TRAINS, [9, 8, 5], "undecided");
    setting.judge(&[&adam]).await;
    let reject = ordered(&adam, Wish::Reject, "05.000");
    assert_eq!(setting.judge(&[&reject, &adam]).await, Vec::<String>::new());
    let verdict = setting.verdict(&adam).await.unwrap();
    assert_eq!(verdict.decision, Decision::Reject);
    assert_eq!(verdict.judgements.len(), 2);
    assert_eq!(
        (setting.document(&adam).await, setting.sent().await),
        (None, Vec::new())
    );
}

#[tokio::test]
async fn a_person_has_a_paper_judged_again_once() {
    let setting = Setting::new().await;
    let adam = paper("Adam", Some("Moments."));
    setting.will_say(false);
    setting.judge(&[&adam]).await;
    setting.will_say(true);
    let again = ordered(&adam, Wish::Again, "05.000");
    let earlier = ordered(&adam, Wish::Reject, "04.999");
    assert_eq!(
        setting.judge(&[&again, &again, &earlier]).await,
        Vec::<String>::new()
    );
    assert_eq!(setting.bedrock.prompts().len(), 2);
    let verdict = setting.verdict(&adam).await.unwrap();
    assert_eq!(
        (verdict.decision, verdict.judgements.len()),
        (Decision::Accept, 2)
    );
    assert_eq!(setting.sent().await.len(), 1);
}
