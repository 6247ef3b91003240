//! The queue loop: what is written when, what is repeated and what is not.

use std::sync::{Arc, Mutex};

use annapurna_contract::{ErrorType, ExecutedOn, PaperId, TestResult, TestStatus};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, Semaphore};
use trainium_agent::{NoSandbox, ShutdownTrigger, Worker, router};

use crate::support::{
    Bench, MemoryQueue, MemoryStore, PATIENCE, executor, is_running, serve, suspects_folder,
    unique_name, until,
};

pub(crate) fn paper(title: &str) -> PaperId {
    PaperId::of(title, None)
}

pub(crate) fn program(paper: &PaperId, sha256: &str) -> Value {
    json!({"paper_id": paper, "paper_title": "../../x", "s3_code_key": format!("{paper}/code.py"),
           "code_sha256": sha256})
}

pub(crate) fn batch(programs: &[Value]) -> String {
    json!({"batch_id": "b1", "batch": programs, "timeout": 600}).to_string()
}

pub(crate) fn sha256(code: &str) -> String {
    hex::encode(Sha256::digest(code))
}

fn queue<const N: usize>(store: &MemoryStore, messages: [String; N]) -> Arc<MemoryQueue> {
    Arc::new(MemoryQueue {
        waiting: Mutex::new(messages.into()),
        events: Arc::clone(&store.events),
    })
}

fn worker<const N: usize>(
    store: &Arc<MemoryStore>,
    sandbox: Result<trainium_agent::Sandbox, NoSandbox>,
    messages: [String; N],
) -> (Worker, ShutdownTrigger) {
    let (executor, trigger) = executor(sandbox, Arc::clone(store));
    let worker = Worker {
        queues: queue(store, messages),
        executor,
    };
    (worker, trigger)
}

/// Works until the message is settled, and gives everything that happened.
pub(crate) async fn work(
    sandbox: Result<trainium_agent::Sandbox, NoSandbox>,
    store: Arc<MemoryStore>,
    message: String,
) -> Vec<String> {
    work_and_faults(sandbox, store, message).await.0
}

/// Works until the message is settled, and gives everything that happened and what `/health` says of faults.
pub(crate) async fn work_and_faults(
    sandbox: Result<trainium_agent::Sandbox, NoSandbox>,
    store: Arc<MemoryStore>,
    message: String,
) -> (Vec<String>, Vec<Value>) {
    let events = Arc::clone(&store.events);
    let (worker, trigger) = worker(&store, sandbox, [message]);
    let api = serve(router(Arc::clone(&worker.executor), None)).await;
    let settled = async {
        let is_settled = |event: &String| event == "delete" || event.starts_with("hide");
        until("the message is settled", || {
            events.lock().unwrap().iter().any(is_settled)
        })
        .await;
        trigger.fire();
    };
    tokio::join!(worker.run(), settled);
    let health = reqwest::get(format!("{api}/health")).await.unwrap();
    let health: Value = health.json().await.unwrap();
    let events = events.lock().unwrap();
    (events.clone(), health["faults"].as_array().unwrap().clone())
}

#[tokio::test]
async fn each_result_is_written_last_and_the_message_is_deleted_after_all() {
    let Some(bench) = Bench::best() else { return };
    let isolation = bench.sandbox.method().isolation();
    let (good, bad) = (paper("good"), paper("bad"));
    let code = "print('hello')\nprint('METRICS: {\"training_loss\": 0.5, \"bad\": NaN}')\n\
                print('METRICS: garbage')\nopen('loss curve.png', 'w').write('png')";
    let store = MemoryStore::default()
        .with_code(&good, code)
        .with_code(&bad, "raise ValueError('no')");
    let store = Arc::new(store);
    let message = batch(&[program(&good, &sha256(code)), program(&bad, "")]);
    let events = work(Ok(bench.sandbox), Arc::clone(&store), message).await;

    assert_eq!(events.last().unwrap(), "delete");
    let of_good: Vec<&String> = events
        .iter()
        .filter(|event| event.contains(good.as_str()))
        .collect();
    let names = [
        "stdout.log",
        "stderr.log",
        "metrics.json",
        "plots/loss_curve.png",
        "result.json",
    ];
    assert_eq!(
        of_good
            .iter()
            .map(|event| event.as_str())
            .collect::<Vec<_>>(),
        names.map(|name| format!("put {good}/outputs/{name}"))
    );
    let result = store.result(&good).unwrap();
    assert!(result.success);
    assert_eq!(result.error_type, Some(ErrorType::Metrics), "of NaN");
    assert_eq!(result.status, Some(TestStatus::Success));
    assert!(result.cpu_time.is_some() && result.core_seconds.is_none());
    assert!(
        result.stdout.is_none(),
        "what it printed is an object of its own"
    );
    assert_eq!(
        result.metrics,
        *json!({"training_loss": 0.5, "bad": null})
            .as_object()
            .unwrap()
    );
    assert_eq!(
        (result.return_code, result.batch_id.as_str()),
        (Some(0), "b1")
    );
    assert_eq!(result.code_sha256, sha256(code));
    assert_eq!(
        result.outputs.plots,
        [format!("{good}/outputs/plots/loss_curve.png")]
    );
    assert_eq!(
        (result.executed_on, result.isolation),
        (ExecutedOn::Cpu, isolation)
    );
    let result = store.result(&bad).unwrap();
    assert_eq!(result.error_type, Some(ErrorType::Runtime));
    assert_eq!(result.error_message.as_deref(), Some("ValueError: no"));
    assert_eq!(
        store.objects.lock().unwrap()[&format!("outputs/{good}/outputs/stdout.log")][..6],
        *b"hello\n"
    );
}

#[tokio::test]
async fn a_trial_leaves_the_papers_outputs_as_they_are() {
    let Some(bench) = Bench::best() else { return };
    let adam = paper("Adam");
    let code = "print('tried')\nopen('loss.png', 'w').write('png')";
    let store = Arc::new(MemoryStore::default().with_code(&adam, code));
    let message = |batch_id: &str| {
        let batch = [program(&adam, &sha256(code))];
        json!({"batch_id": batch_id, "batch": batch, "timeout": 600, "trial": true}).to_string()
    };
    let sandbox = || Ok(bench.sandbox.clone());
    let events = work(sandbox(), Arc::clone(&store), message("trial-1")).await;
    let (settled, puts) = events.split_last().unwrap();
    assert_eq!(settled, "delete");
    let below = format!("put _trials/trial-1/{adam}/");
    assert!(puts.iter().all(|put| put.starts_with(&below)), "{puts:?}");
    assert_eq!(*puts.last().unwrap(), format!("{below}result.json"));
    assert!(store.result(&adam).is_none());
    // Delivered again, it is not run again.
    store.events.lock().unwrap().clear();
    let events = work(sandbox(), Arc::clone(&store), message("trial-1")).await;
    assert_eq!(events, ["delete"]);
    // A name that would lead elsewhere is none.
    let store = Arc::new(MemoryStore::default().with_code(&adam, code));
    let events = work(sandbox(), Arc::clone(&store), message("../papers")).await;
    assert!(
        !events.iter().any(|event| event.starts_with("put ")),
        "{events:?}"
    );
}

#[tokio::test]
async fn what_a_crashed_agent_finished_is_not_repeated() {
    let Some(bench) = Bench::best() else { return };
    let (done, stale, fresh) = (paper("done"), paper("stale"), paper("fresh"));
    let code = "print(1)";
    let store = Arc::new(
        [&done, &stale, &fresh]
            .into_iter()
            .fold(MemoryStore::default(), |store, paper| {
                store.with_code(paper, code)
            }),
    );
    let earlier = |batch_id: &str| TestResult {
        batch_id: batch_id.to_owned(),
        code_sha256: sha256(code),
        error_message: Some("earlier".to_owned()),
        ..TestResult::default()
    };
    store.put_result(&done, &earlier("b1"));
    store.put_result(&stale, &earlier("b0"));
    // Without a digest in the message the program itself decides. A person sent it: it says nothing of other batches.
    let message = batch(&[
        program(&done, ""),
        program(&stale, &sha256(code)),
        program(&fresh, ""),
    ]);
    let events = work(Ok(bench.sandbox), Arc::clone(&store), message).await;
    assert_eq!(events.last().unwrap(), "delete");
    assert!(!events.iter().any(|event| event.contains(done.as_str())));
    assert_eq!(store.result(&done).unwrap(), earlier("b1"));
    assert!(store.result(&stale).unwrap().success);
    assert!(store.result(&fresh).unwrap().success);
}

#[tokio::test]
async fn a_program_that_got_its_result_in_another_batch_is_not_run_again() {
    let Some(bench) = Bench::best() else { return };
    let code = "print(1)";
    let titles = ["done", "replaced", "cut short"];
    let [done, replaced, cut_short] = titles.map(paper);
    let store = [&done, &replaced, &cut_short]
        .into_iter()
        .fold(MemoryStore::default(), |store, paper| {
            store.with_code(paper, code)
        });
    let store = Arc::new(store);
    let earlier = TestResult {
        batch_id: "b0".to_owned(),
        code_sha256: sha256(code),
        execution_time: 599.0,
        ..TestResult::default()
    };
    store.put_result(&done, &earlier);
    let code_sha256 = sha256("print(0)");
    store.put_result(
        &replaced,
        &TestResult {
            code_sha256,
            ..earlier.clone()
        },
    );
    // The batch allows 600 s.
    store.put_result(
        &cut_short,
        &TestResult {
            timeout: true,
            ..earlier.clone()
        },
    );
    let programs = [&done, &replaced, &cut_short].map(|paper| program(paper, &sha256(code)));
    let mut message: Value = serde_json::from_str(&batch(&programs)).unwrap();
    message["skip_tested"] = true.into();
    let events = work(Ok(bench.sandbox), Arc::clone(&store), message.to_string()).await;
    assert_eq!(events.last().unwrap(), "delete");
    assert!(
        !events.iter().any(|event| event.contains(done.as_str())),
        "{events:?}"
    );
    assert_eq!(store.result(&done).unwrap(), earlier);
    for paper in [&replaced, &cut_short] {
        let result = store.result(paper).unwrap();
        assert_eq!((result.success, result.batch_id.as_str()), (true, "b1"));
        assert_eq!(result.code_sha256, sha256(code));
    }
}

#[tokio::test]
async fn a_message_that_is_no_batch_goes_back_for_the_dead_letter_queue() {
    let one = program(&paper("a"), "");
    let many: Vec<Value> = (0..11)
        .map(|n| program(&paper(&n.to_string()), ""))
        .collect();
    let traversal = json!({"paper_id": "../../etc", "s3_code_key": "k"});
    let no_time = json!({"batch": [one], "timeout": 0}).to_string();
    let too_long = json!({"batch": [one], "timeout": 3601}).to_string();
    for message in [
        "nonsense".to_owned(),
        batch(&[]),
        batch(&many),
        batch(&[traversal]),
        no_time,
        too_long,
    ] {
        let store = Arc::new(MemoryStore::default());
        let events = work(Err(NoSandbox(vec![])), store, message).await;
        assert_eq!(events, ["hide 0"]);
    }
}

#[tokio::test]
async fn a_batch_whose_results_cannot_be_written_is_not_deleted() {
    let Some(bench) = Bench::best() else { return };
    let one = paper("one");
    let store = MemoryStore {
        refuse: Some("result.json"),
        ..MemoryStore::default()
    };
    let store = Arc::new(store.with_code(&one, "print(1)"));
    let events = work(Ok(bench.sandbox), store, batch(&[program(&one, "")])).await;
    assert_eq!(events.last().unwrap(), "hide 30");
    assert!(!events.contains(&"delete".to_owned()));
}

#[tokio::test]
async fn a_stop_kills_the_programs_gives_every_message_back_and_writes_nothing() {
    let Some(bench) = Bench::best() else { return };
    let one = paper("one");
    let name = unique_name("program");
    let other = paper("other");
    let other_name = unique_name("program");
    let endless = |name: &str| {
        format!("import subprocess\nsubprocess.run(['sh', '-c', 'sleep 3600; : {name}'])")
    };
    let store = MemoryStore::default()
        .with_code(&one, &endless(&name))
        .with_code(&other, &endless(&other_name));
    let store = Arc::new(store);
    let folder = suspects_folder(&bench.sandbox);
    let messages = [&one, &other].map(|paper| batch(&[program(paper, "")]));
    let (worker, trigger) = worker(&store, Ok(bench.sandbox), messages);
    let stop = async {
        until("the programs of both batches run", || {
            is_running(&name) && is_running(&other_name)
        })
        .await;
        trigger.fire();
    };
    let both = async { tokio::join!(worker.run(), stop) };
    tokio::time::timeout(PATIENCE, both).await.unwrap();
    assert_eq!(*store.events.lock().unwrap(), ["hide 0", "hide 0"]);
    assert!(store.result(&one).is_none());
    assert!(!is_running(&name) && !is_running(&other_name));
    let left = std::fs::read_dir(folder).unwrap().count();
    assert_eq!(left, 0, "a stop makes no suspects");
}

/// A program that has its result without a sandbox: larger than any may be.
fn too_large() -> String {
    "#".repeat(2 * 1024 * 1024)
}

#[tokio::test]
async fn a_stop_lets_a_result_that_is_being_written_be_written() {
    let one = paper("one");
    let (began, may_end) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let store = MemoryStore {
        hold: Some(("result.json", Arc::clone(&began), Arc::clone(&may_end))),
        ..MemoryStore::default()
    };
    let store = Arc::new(store.with_code(&one, &too_large()));
    let (worker, trigger) = worker(
        &store,
        Err(NoSandbox(vec![])),
        [batch(&[program(&one, "")])],
    );
    let stop = async {
        began.notified().await;
        trigger.fire();
        // Time enough for the stop to be seen by whoever would cut the write.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        may_end.add_permits(1);
    };
    let both = async { tokio::join!(worker.run(), stop) };
    tokio::time::timeout(PATIENCE, both).await.unwrap();
    let result = store.result(&one).unwrap();
    assert_eq!(result.status, Some(TestStatus::ProgramError));
    assert!(result.error_message.unwrap().contains("larger than"));
    let events = store.events.lock().unwrap();
    assert_eq!(events.last().unwrap(), "delete", "{events:?}");
}

#[tokio::test]
async fn a_program_that_is_in_two_batches_at_once_has_one_result() {
    let one = paper("one");
    let (began, may_end) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let store = MemoryStore {
        hold: Some(("result.json", began, Arc::clone(&may_end))),
        ..MemoryStore::default()
    };
    let store = Arc::new(store.with_code(&one, &too_large()));
    let messages = ["b1", "b2"].map(|batch_id| {
        let mut message: Value = serde_json::from_str(&batch(&[program(&one, "")])).unwrap();
        message["batch_id"] = batch_id.into();
        message["skip_tested"] = true.into();
        message.to_string()
    });
    let (executor, trigger) = executor(Err(NoSandbox(vec![])), Arc::clone(&store));
    let queue = queue(&store, messages);
    let waiting = Arc::clone(&queue);
    let worker = Worker {
        queues: queue,
        executor,
    };
    let n_of = |word: &str| {
        let events = store.events.lock().unwrap();
        events.iter().filter(|it| it.starts_with(word)).count()
    };
    let look = async {
        let taken = || waiting.waiting.lock().unwrap().is_empty() && n_of("begin") == 1;
        until("both batches are taken", taken).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(n_of("begin"), 1, "the second waits for the first");
        may_end.add_permits(2);
        until("both are done", || n_of("delete") == 2).await;
        trigger.fire();
    };
    let both = async { tokio::join!(worker.run(), look) };
    tokio::time::timeout(PATIENCE, both).await.unwrap();
    assert_eq!(n_of("begin"), 1, "the result of the first is the second's");
}

#[tokio::test]
async fn as_many_batches_are_taken_as_there_are_places_and_in_order() {
    let papers = ["one", "two", "three"].map(paper);
    let (began, may_end) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let store = MemoryStore {
        hold: Some(("result.json", began, Arc::clone(&may_end))),
        ..MemoryStore::default()
    };
    let store = papers
        .iter()
        .fold(store, |store, paper| store.with_code(paper, &too_large()));
    let store = Arc::new(store);
    let messages = papers.each_ref().map(|paper| {
        let mut message: Value = serde_json::from_str(&batch(&[program(paper, "")])).unwrap();
        message["batch_id"] = paper.as_str().into();
        message.to_string()
    });
    let queue = queue(&store, messages);
    let waiting = Arc::clone(&queue);
    let (executor, trigger) = executor(Err(NoSandbox(vec![])), Arc::clone(&store));
    let worker = Worker {
        queues: queue,
        executor,
    };
    let look = async {
        let n_of = |word: &str| {
            let events = store.events.lock().unwrap();
            events
                .iter()
                .filter(|event| event.starts_with(word))
                .count()
        };
        // Both places are held by what is being written.
        until("two batches are under way", || n_of("begin") == 2).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(waiting.waiting.lock().unwrap().len(), 1, "no place is free");
        may_end.add_permits(3);
        until("all are done", || n_of("delete") == 3).await;
        trigger.fire();
    };
    let both = async { tokio::join!(worker.run(), look) };
    tokio::time::timeout(PATIENCE, both).await.unwrap();
    assert!(papers.iter().all(|paper| store.result(paper).is_some()));
    let events = store.events.lock().unwrap();
    let begun = events.iter().rfind(|event| event.starts_with("begin"));
    assert!(begun.unwrap().contains(papers[2].as_str()), "{events:?}");
}

#[tokio::test]
async fn a_dry_run_comes_first_and_what_fails_there_is_the_result() {
    let Some(bench) = Bench::best() else { return };
    let (good, bad, plain) = (paper("good"), paper("bad"), paper("plain"));
    let told = "import os\nprint([os.environ.get(name) for name in ('ANNAPURNA_DRY_RUN', 'DATASET_SAMPLES')])";
    let fails = "import os\nif os.environ.get('ANNAPURNA_DRY_RUN'): raise ValueError('shape')";
    let store = MemoryStore::default()
        .with_code(&good, told)
        .with_code(&bad, fails)
        .with_code(&plain, told);
    let store = Arc::new(store);
    let dry = |paper: &PaperId| {
        let mut program = program(paper, "");
        program["dry_run"] = true.into();
        program
    };
    let message = batch(&[dry(&good), dry(&bad), program(&plain, "")]);
    let events = work(Ok(bench.sandbox), Arc::clone(&store), message).await;
    assert_eq!(events.last().unwrap(), "delete");
    let printed = |paper: &PaperId| {
        let stdout = format!("outputs/{paper}/outputs/stdout.log");
        String::from_utf8(store.objects.lock().unwrap()[&stdout].clone()).unwrap()
    };
    for paper in [&good, &plain] {
        assert_eq!(printed(paper), "[None, None]\n", "the real run is none");
        assert!(store.result(paper).unwrap().success);
    }
    let found = store.result(&good).unwrap().dry_run.unwrap();
    assert_eq!(found.status, TestStatus::Success);
    assert!(store.result(&plain).unwrap().dry_run.is_none());
    let result = store.result(&bad).unwrap();
    assert_eq!(result.status, Some(TestStatus::ProgramError));
    let found = result.dry_run.unwrap();
    assert_eq!(found.status, TestStatus::ProgramError);
    assert_eq!(found.error_message.as_deref(), Some("ValueError: shape"));
    assert_eq!(result.error_message, found.error_message);
}

#[tokio::test]
async fn of_two_programs_for_one_paper_the_later_one_counts() {
    let Some(bench) = Bench::best() else { return };
    let one = paper("one");
    let store = Arc::new(MemoryStore::default().with_code(&one, "print(2)"));
    let message = batch(&[
        program(&one, &sha256("print(1)")),
        program(&one, &sha256("print(2)")),
    ]);
    work(Ok(bench.sandbox), Arc::clone(&store), message).await;
    assert!(store.result(&one).unwrap().success);
}
