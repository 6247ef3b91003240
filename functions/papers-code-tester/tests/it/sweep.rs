//! Which attempts a look ends that nobody else ends.

use annapurna_contract::{PaperId, keys};
use chrono::{SecondsFormat, TimeDelta, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Setting;

/// A paper that the index says is being tested since so many minutes.
async fn marked(setting: &Setting, title: &str, minutes: i64) -> PaperId {
    let id = PaperId::of(title, None);
    let begun = Utc::now() - TimeDelta::minutes(minutes);
    let part = json!({
        "title": title,
        "test_in_progress": true,
        "test_attempts": 1,
        "last_test_attempt": begun.to_rfc3339_opts(SecondsFormat::Millis, true),
    });
    setting.stage.search.upsert(&id, &part).await.unwrap();
    id
}

#[tokio::test]
async fn a_mark_whose_batch_is_gone_is_taken_away_and_one_whose_batch_may_come_stays() {
    let setting = Setting::new().await;
    let old = marked(&setting, "old", 25).await;
    let new = marked(&setting, "new", 15).await;
    setting.stage.search.refresh().await.unwrap();
    let queue = &setting.config.testing_queue_url;
    setting.stage.send(queue, "batch", "{}").await;
    assert_eq!(setting.dispatch(false).await["cleared"], 0);
    assert_eq!(setting.fields(&old).await.test_in_progress, Some(true));
    setting.stage.take(queue).await;
    assert_eq!(setting.dispatch(false).await["cleared"], 1);
    let fields = setting.fields(&old).await;
    assert_eq!(
        (fields.test_in_progress, fields.test_attempts),
        (Some(false), Some(1))
    );
    assert_eq!(setting.fields(&new).await.test_in_progress, Some(true));
}

/// While a batch is at work no mark is taken away, so the look must see beyond those that stay.
#[tokio::test]
async fn sixty_marks_that_stay_do_not_hold_up_a_result() {
    let setting = Setting::new().await;
    for number in 0..60 {
        marked(&setting, &format!("stuck {number}"), 3000 - number).await;
    }
    let late = marked(&setting, "late", 5).await;
    let queue = &setting.config.testing_queue_url;
    setting.stage.send(queue, "batch", "{}").await;
    let program = b"print(1)";
    let code = keys::code(&late);
    setting
        .stage
        .put(&setting.config.code_bucket, &code, program.as_slice())
        .await;
    setting
        .result(&late, &hex::encode(Sha256::digest(program)))
        .await;
    setting.stage.search.refresh().await.unwrap();
    let answer = setting.dispatch(false).await;
    assert_eq!(
        (&answer["collected_late"], &answer["cleared"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(setting.fields(&late).await.tested, Some(true));
}

#[tokio::test]
async fn a_result_that_nobody_was_told_of_is_collected_by_a_later_look() {
    let setting = Setting::new().await;
    let id = PaperId::of("silence", None);
    let part = json!({
        "title": "silence",
        "test_in_progress": true,
        "last_test_attempt": "2020-01-01T00:00:00Z",
    });
    setting.stage.search.upsert(&id, &part).await.unwrap();
    setting.stage.search.refresh().await.unwrap();
    setting.result(&id, "sha").await;
    assert_eq!(setting.dispatch(false).await["collected_late"], 1);
    let fields = setting.fields(&id).await;
    assert_eq!(
        (fields.tested, fields.test_in_progress),
        (Some(true), Some(false))
    );
    setting.stage.search.refresh().await.unwrap();
    assert_eq!(setting.dispatch(false).await["collected_late"], 0);
}

/// The agent skips a program whose result came while its batch was being handed over, and S3 has told of that result
/// already, before the attempt was marked.
#[tokio::test]
async fn an_attempt_that_the_agent_skips_is_ended_by_a_later_look() {
    let setting = Setting::new().await;
    let program = b"print(1)";
    let own = hex::encode(Sha256::digest(program));
    let attempt = async |title: &str, code_sha256: &str, was_cut_short: bool| {
        let id = PaperId::of(title, None);
        let part = json!({
            "title": title, "test_in_progress": true, "last_test_attempt": "2026-11-01T00:00:00Z",
        });
        setting.stage.search.upsert(&id, &part).await.unwrap();
        let bucket = &setting.config.code_bucket;
        let code = keys::code(&id);
        setting.stage.put(bucket, &code, program.as_slice()).await;
        let mut result = setting.result(&id, code_sha256).await;
        assert!(result.finished_at.as_str() < "2026-11-01", "{result:?}");
        (result.success, result.timeout) = (!was_cut_short, was_cut_short);
        result.execution_time = 599.0;
        let body = serde_json::to_vec(&result).unwrap();
        let bucket = &setting.config.outputs_bucket;
        setting.stage.put(bucket, &keys::result(&id), body).await;
        id
    };
    // A batch is at work, which may be any of these.
    let queue = &setting.config.testing_queue_url;
    setting.stage.send(queue, "batch", "{}").await;
    let skipped = attempt("skipped", &own, false).await;
    let replaced = attempt("an earlier program's", "another", false).await;
    let longer = attempt("cut short by a shorter limit", &own, true).await;
    setting.stage.search.refresh().await.unwrap();
    assert_eq!(setting.dispatch(false).await["collected_late"], 1);
    assert_eq!(setting.fields(&skipped).await.test_in_progress, Some(false));
    for running in [&replaced, &longer] {
        assert_eq!(setting.fields(running).await.test_in_progress, Some(true));
    }
}
