//! What is not a program's doing, and a program with which the agent ended: what is recorded, and what is not.

use std::sync::Arc;

use annapurna_contract::{ErrorType, Isolation, PaperId, TestStatus};
use trainium_agent::NoSandbox;

use crate::support::{Bench, MemoryStore, suspects_folder};
use crate::worker::{batch, paper, program, sha256, work, work_and_faults};

#[tokio::test]
async fn a_program_that_is_not_the_announced_one_is_our_fault_and_has_no_result() {
    let Some(bench) = Bench::best() else { return };
    let (changed, absent, good) = (paper("changed"), paper("absent"), paper("good"));
    let store = MemoryStore::default()
        .with_code(&changed, "print('other')")
        .with_code(&good, "print(1)");
    let store = Arc::new(store);
    let programs = [
        program(&changed, &sha256("print(1)")),
        program(&absent, ""),
        program(&good, ""),
    ];
    let (events, faults) =
        work_and_faults(Ok(bench.sandbox), Arc::clone(&store), batch(&programs)).await;
    assert_eq!(events.last().unwrap(), "hide 30", "it comes again");
    for (paper, words) in [
        (&changed, "has SHA-256"),
        (&absent, "there is no program at s3://code/"),
    ] {
        assert!(store.result(paper).is_none());
        let fault = faults.iter().find(|it| it["paper_id"] == paper.as_str());
        let fault = fault.unwrap();
        assert_eq!(fault["status"], "agent_error");
        assert!(fault["error"].as_str().unwrap().contains(words), "{fault}");
    }
    assert!(store.result(&good).unwrap().success, "its batch goes on");
}

#[tokio::test]
async fn without_a_sandbox_nothing_runs_and_there_is_no_result() {
    let one = paper("one");
    let store = Arc::new(MemoryStore::default().with_code(&one, "print(1)"));
    let refusal = NoSandbox(vec![(
        Isolation::Bubblewrap,
        "`bwrap` is not installed".to_owned(),
    )]);
    let message = batch(&[program(&one, "")]);
    let (events, faults) = work_and_faults(Err(refusal), Arc::clone(&store), message).await;
    assert_eq!(events, ["hide 30"]);
    assert!(store.result(&one).is_none());
    let said = faults[0].to_string();
    assert!(said.contains("`bwrap` is not installed"), "{said}");
}

#[tokio::test]
async fn a_program_with_which_the_agent_ended_twice_is_recorded_and_its_batch_goes_on() {
    let Some(bench) = Bench::best() else { return };
    let [twice, once, never] = ["twice", "once", "never"].map(paper);
    let code = "print(1)";
    let store = [&twice, &once, &never]
        .into_iter()
        .fold(MemoryStore::default(), |store, paper| {
            store.with_code(paper, code)
        });
    let store = Arc::new(store);
    let folder = suspects_folder(&bench.sandbox);
    std::fs::create_dir_all(&folder).unwrap();
    let mark = |paper: &PaperId| folder.join(format!("{}-{paper}", sha256(code)));
    // What agents leave that end while the program runs: the first time, and the second.
    std::fs::write(mark(&once), r#"{"deaths":0,"running":1}"#).unwrap();
    std::fs::write(mark(&twice), r#"{"deaths":1,"running":1}"#).unwrap();
    let programs = [&twice, &once, &never].map(|paper| program(paper, ""));
    let events = work(Ok(bench.sandbox), Arc::clone(&store), batch(&programs)).await;
    assert_eq!(events.last().unwrap(), "delete");
    let result = store.result(&twice).unwrap();
    assert_eq!(
        (result.status, result.error_type),
        (Some(TestStatus::Denied), Some(ErrorType::EndedAgent))
    );
    let said = result.error_message.unwrap();
    assert!(said.contains(mark(&twice).to_str().unwrap()), "{said}");
    assert!(store.result(&once).unwrap().success, "a suspect runs again");
    assert!(store.result(&never).unwrap().success);
    let left = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!((left, mark(&twice).exists()), (1, true));
}
