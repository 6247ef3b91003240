//! What a program prints is told while it runs, where a batch asks for that.

use std::sync::Arc;

use annapurna_contract::{LivePart, keys};
use serde_json::json;

use crate::support::{Bench, MemoryStore};
use crate::worker::{paper, program, sha256, work};

/// What happens to a batch of this name with this program, which prints a line and then runs for a while.
async fn told(bench: &Bench, store: &Arc<MemoryStore>, batch_id: &str, code: &str) -> Vec<String> {
    let batch = [program(&paper("Adam"), &sha256(code))];
    let message = json!({"batch_id": batch_id, "batch": batch, "timeout": 600, "live": true});
    work(
        Ok(bench.sandbox.clone()),
        Arc::clone(store),
        message.to_string(),
    )
    .await
}

#[tokio::test]
async fn a_line_is_told_while_the_program_runs_and_the_result_is_the_papers() {
    let Some(bench) = Bench::best() else { return };
    let adam = paper("Adam");
    let code = "import sys, time\nprint('one')\nprint('half', end='', file=sys.stderr)\ntime.sleep(15)\nprint('two')";
    let store = Arc::new(MemoryStore::default().with_code(&adam, code));
    let events = told(&bench, &store, "person-1", code).await;
    let at = |key: &str| {
        let wanted = format!("put {key}");
        let found = events.iter().position(|event| *event == wanted);
        found.unwrap_or_else(|| panic!("{key} in {events:?}"))
    };
    let first = keys::live_part_in(&keys::live_prefix("person-1", &adam), 0);
    let outputs = keys::outputs_prefix(&adam);
    assert!(at(&first) < at(&format!("{outputs}stdout.log")));
    let part = store.objects.lock().unwrap()[&format!("outputs/{first}")].clone();
    let part: LivePart = serde_json::from_slice(&part).unwrap();
    assert_eq!((part.stdout.as_str(), part.stderr.as_str()), ("one\n", ""));
    assert!(store.result(&adam).unwrap().success);
    assert_eq!(events.last().unwrap(), "delete");
}

#[tokio::test]
async fn a_name_that_would_lead_elsewhere_is_told_nothing() {
    let Some(bench) = Bench::best() else { return };
    let code = "print('one')";
    let store = Arc::new(MemoryStore::default().with_code(&paper("Adam"), code));
    let events = told(&bench, &store, "../papers", code).await;
    assert!(
        !events.iter().any(|event| event.starts_with("put ")),
        "{events:?}"
    );
}
