//! A local environment whose services are killed, with what the emulator had saved taken away: every paper
//! goes on from its stage, and nothing is done twice.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed step fails the test; where the time goes is said"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use annapurna_cloud::{Message, MessageQueues, Receive, Sqs};
use annapurna_contract::{CodeEvaluationMessage, CodeGenerationMessage, PaperId, Queue, keys};
use annapurna_stack::outputs::Output;
use support::process::Said;
use support::{Deployment, ModelRequests, distinct_papers, kill, serve, text, unchanged, until};

const PAPERS: usize = 5;
/// Begins the line with which a deploy says what it sent.
const SENT: &str = "sent again: ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn papers_go_on_after_kills_that_lose_their_messages() {
    let begin = Instant::now();
    let reached = |what: &str| eprintln!("{:>4} s: {what}", begin.elapsed().as_secs());
    let mut deployment = Deployment::new();
    deployment.paper_site = serve(distinct_papers(12)).await;
    assert_eq!(deploy(&deployment), None, "there is nothing to send");
    let empty = saved_stack(&deployment).await;
    reached("deployed");

    let event = format!(r#"{{"MAX_PAPERS":{PAPERS}}}"#);
    let answer = deployment.json(&["invoke", "local", "PaperScraper_ArXiv", &event]);
    assert_eq!(answer["queued"], PAPERS, "{answer}");
    kill(deployment.pid_of("emulator"));
    replace_saves(&deployment, &empty);
    let sent = deploy(&deployment).unwrap();
    assert_eq!(numbers(&sent), PAPERS, "{sent}");
    reached("the emulator alone was killed, and its messages were lost");

    let written = async || {
        let papers = deployment.papers();
        let with_program = papers.iter().filter(|it| it["code_generated"] == true);
        with_program.count() == PAPERS
    };
    until("a program for each paper", Duration::from_secs(90), written).await;
    let paid = deployment.model_requests();
    paid_twice_at_most(paid);
    let before = deployment.kept().await;
    deployment.kill_everything();
    replace_saves(&deployment, &BTreeMap::new());
    let sent = deploy(&deployment).unwrap();
    assert_eq!(numbers(&sent), PAPERS, "{sent}");
    unchanged(&before, &deployment.kept().await);
    reached("everything was killed, and the emulator's whole state was lost");

    let half_done = async || {
        deployment.dispatch();
        deployment.results().await > 0 && deployment.programs_running().await > 0
    };
    let limit = Duration::from_secs(180);
    until(
        "a batch with a result and a program that runs",
        limit,
        half_done,
    )
    .await;
    deployment.kill_everything();
    let sent = deploy(&deployment).unwrap();
    assert!(sent.contains("to the tester"), "{sent}");
    let midway = deployment.kept().await;
    unchanged(&before, &midway);
    let n_sent = programs_come_again(&deployment, &midway).await;
    assert!((1..PAPERS).contains(&n_sent), "{n_sent}");
    let tested = async || {
        deployment.dispatch();
        deployment.tested() == PAPERS
    };
    until("a result of each paper", Duration::from_secs(180), tested).await;
    let both_ended = async || {
        deployment.dispatch();
        deployment.nothing_queued()
    };
    until(
        "both batches have ended",
        Duration::from_secs(180),
        both_ended,
    )
    .await;
    let after = deployment.kept().await;
    unchanged(&midway, &after);
    let results = deployment.contents("papers-test-outputs", "/outputs/result.json");
    assert_eq!(
        results.await.len(),
        PAPERS,
        "a program with a result is not run again"
    );
    for ending in [".pdf", "/code.py", "/outputs/result.json"] {
        let count = after.keys().filter(|key| key.ends_with(ending)).count();
        assert_eq!(count, PAPERS, "{ending}");
    }
    for paper in deployment.papers() {
        assert_eq!(paper["test_success"], true, "{paper}");
    }
    assert_eq!(
        deployment.model_requests(),
        paid,
        "a paper with a program costs nothing"
    );
    reached("everything was killed in the middle of a batch; each paper has its result");

    kill(deployment.pid_of("emulator"));
    kill_a_deploy(&deployment);
    assert_eq!(deploy(&deployment), None, "every paper is finished");
    unchanged(&after, &deployment.kept().await);
    let plan = deployment.infra(&["plan", "local"]);
    assert_eq!(plan, "Nothing changes in `local`.\n");
    reached("a deploy was killed, and another did its work");

    deployment.kill_everything();
    replace_saves(&deployment, &BTreeMap::new());
    fs::remove_dir_all(deployment.home().join("data/opensearch")).unwrap();
    let sent = deploy(&deployment).unwrap();
    assert_eq!(sent, format!("{PAPERS} to the judge"));
    until(
        "each paper is in a new index",
        Duration::from_secs(180),
        tested,
    )
    .await;
    unchanged(&after, &deployment.kept().await);
    assert_eq!(
        deployment.model_requests(),
        paid,
        "S3 has all that the index had"
    );
    reached("the index and the queues were lost; both are back from S3");

    a_verdict_that_cannot_be_read_is_told_of(&deployment).await;
    assert_eq!(deployment.model_requests(), paid);
    reached("a verdict that cannot be read was told of, and its paper goes on once it can be");

    a_dead_letter_stays_a_persons(&deployment).await;
    assert_eq!(deployment.model_requests(), paid);
    reached("a dead letter was left alone, and its paper goes on without it");
}

/// One kill came while the judge and the generator worked, on all papers at most: each paper's requests may
/// have been made twice and not three times. Alone it takes one embedding, one question of the judge or two
/// (a near paper is compared), and one of the generator.
fn paid_twice_at_most(paid: ModelRequests) {
    assert!((PAPERS..=2 * PAPERS).contains(&paid.embeddings), "{paid:?}");
    let questions = 2 * PAPERS..=2 * 3 * PAPERS;
    assert!(questions.contains(&paid.conversations), "{paid:?}");
}

/// Sends the programs that have no result again, as a deploy does five minutes after the first time, when SQS no longer
/// drops the message: they get into another batch than the one that is under way. How many they are.
async fn programs_come_again(deployment: &Deployment, kept: &BTreeMap<String, String>) -> usize {
    let queues = Sqs::new(&deployment.sdk_config());
    let outputs = deployment.json(&["outputs", "local", "--json"]);
    let url = outputs[&*Output::QueueUrl(Queue::CodeEvaluation).name()].as_str();
    let bucket = "papers-code-artifacts";
    let mut n_sent = 0;
    for paper in kept.keys().filter_map(|key| key.strip_suffix("/code.py")) {
        let paper_id = PaperId::try_from(paper.to_owned()).unwrap();
        if kept.contains_key(&keys::result(&paper_id)) {
            continue;
        }
        let metadata = deployment
            .object(bucket, &keys::code_metadata(&paper_id))
            .await;
        let metadata: serde_json::Value = serde_json::from_slice(&metadata).unwrap();
        let program = CodeEvaluationMessage {
            paper_title: "again".to_owned(),
            s3_bucket: bucket.to_owned(),
            s3_code_key: keys::code(&paper_id),
            code_sha256: metadata["code_sha256"].as_str().unwrap().to_owned(),
            paper_id,
        };
        let mut message = Message::of(&program).unwrap();
        message.deduplication_id.replace_range(..5, "later");
        queues.send(url.unwrap(), message).await.unwrap();
        n_sent += 1;
    }
    n_sent
}

/// A paper whose document is lost and whose message is in a dead-letter queue gets no other message, and one
/// as soon as the dead letter is gone.
async fn a_dead_letter_stays_a_persons(deployment: &Deployment) {
    let paper = &deployment.papers()[0];
    let paper_id = PaperId::try_from(paper["paper_id"].as_str().unwrap().to_owned()).unwrap();
    let queues = Sqs::new(&deployment.sdk_config());
    let outputs = deployment.json(&["outputs", "local", "--json"]);
    let url = outputs[&*Output::QueueUrl(Queue::CodeGeneration).name()].as_str();
    let dead = queues.dead_letter_url(url.unwrap()).await.unwrap();
    let title = paper["title"].as_str().unwrap().to_owned();
    let letter = CodeGenerationMessage::of(paper_id.clone(), title);
    queues
        .send(&dead, Message::of(&letter).unwrap())
        .await
        .unwrap();
    forget(deployment, &paper_id).await;
    kill(deployment.pid_of("opensearch"));
    assert_eq!(deploy(deployment), None, "its paper is a person's");
    // The look of the deploy hides it from others for a while.
    let wanted = Receive {
        most: 10,
        hide_for: Duration::ZERO,
        wait: Duration::from_secs(1),
    };
    let mut letters = Vec::new();
    let is_there = async || {
        letters = queues.receive(&dead, wanted).await.unwrap();
        !letters.is_empty()
    };
    until(
        "the dead letter is there",
        Duration::from_secs(60),
        is_there,
    )
    .await;
    assert_eq!(letters[0].body, serde_json::to_string(&letter).unwrap());
    queues.delete(&dead, &letters[0].receipt).await.unwrap();
    kill(deployment.pid_of("opensearch"));
    let sent = deploy(deployment);
    assert_eq!(sent.as_deref(), Some("1 to the judge"));
}

/// A paper whose document is lost and whose verdict is torn is named at each deploy and gets no message that
/// would end as a dead letter; it goes on with the deploy after the verdict is whole, without a restart.
async fn a_verdict_that_cannot_be_read_is_told_of(deployment: &Deployment) {
    // Not the one that the next step takes.
    let paper = deployment.papers()[1]["paper_id"].clone();
    let paper = PaperId::try_from(paper.as_str().unwrap().to_owned()).unwrap();
    let document = document(deployment, &paper).await;
    let (s3, bucket, key) = (
        deployment.s3(),
        "llm-research-papers",
        keys::verdict(&paper),
    );
    let whole = deployment.object(bucket, &key).await;
    let put = async |body: Vec<u8>| {
        let written = s3.put_object().bucket(bucket).key(&key).body(body.into());
        written.send().await.unwrap();
    };
    forget(deployment, &paper).await;
    put(whole[..whole.len() / 2].to_vec()).await;
    kill(deployment.pid_of("opensearch"));
    for _ in 0..2 {
        let said = deploy_saying(deployment);
        let warning = said.lines().find(|line| line.contains(&key));
        let warning = warning.unwrap_or_else(|| panic!("{said}"));
        assert!(
            warning.contains("warning") && warning.contains("EOF"),
            "{warning}"
        );
        assert!(!said.contains(SENT), "{said}");
    }
    put(whole).await;
    assert_eq!(deploy(deployment).as_deref(), Some("1 to the judge"));
    // SQS takes that message for the one that brought the index back when it is not five minutes old.
    let url = document_url(deployment, &paper) + "?refresh=true";
    let client = reqwest::Client::new();
    let put_back = client.put(url).json(&document["_source"]).send().await;
    assert!(put_back.unwrap().status().is_success());
}

fn document_url(deployment: &Deployment, paper: &PaperId) -> String {
    let port = &deployment.service("opensearch")["port"];
    format!("http://127.0.0.1:{port}/research-papers-v2/_doc/{paper}")
}

/// A paper's document as the index has it.
async fn document(deployment: &Deployment, paper: &PaperId) -> serde_json::Value {
    let answer = reqwest::get(document_url(deployment, paper)).await.unwrap();
    answer.error_for_status().unwrap().json().await.unwrap()
}

/// Takes a paper's document out of the index.
async fn forget(deployment: &Deployment, paper: &PaperId) {
    let url = document_url(deployment, paper) + "?refresh=true";
    let deleted = reqwest::Client::new().delete(url).send().await.unwrap();
    assert!(deleted.status().is_success(), "{deleted:?}");
}

/// Deploys and returns what was sent again, in the program's words.
fn deploy(deployment: &Deployment) -> Option<String> {
    let said = deploy_saying(deployment);
    let line = said.lines().find_map(|line| line.split_once(SENT));
    line.map(|(_, sent)| sent.to_owned())
}

/// Deploys and returns all that it said.
fn deploy_saying(deployment: &Deployment) -> String {
    let output = deployment.run(&["deploy", "local", "--yes", "--no-sample"]);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}

/// The sum of the numbers in a line.
fn numbers(line: &str) -> usize {
    line.split(' ')
        .filter_map(|word| word.parse::<usize>().ok())
        .sum()
}

fn saves(deployment: &Deployment) -> PathBuf {
    deployment.home().join("data/emulator/saves")
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap();
    let saves = paths.map(|entry| entry.unwrap().path());
    saves
        .filter(|path| path.extension().is_some_and(|it| it == "save"))
        .filter_map(|path| Some((path.clone(), fs::read(path).ok()?)))
        .collect()
}

/// The emulator's newest save, once it knows of the stack: nothing is saved while that is being made.
async fn saved_stack(deployment: &Deployment) -> BTreeMap<PathBuf, Vec<u8>> {
    let newest = || files(&saves(deployment)).pop_last();
    let knows = async || newest().is_some_and(|(_, save)| text(&save).contains("code_blob_ref"));
    until("a save with the stack", Duration::from_secs(30), knows).await;
    newest().into_iter().collect()
}

/// Has the emulator, which does not run, know nothing but `saved`.
fn replace_saves(deployment: &Deployment, saved: &BTreeMap<PathBuf, Vec<u8>>) {
    let folder = saves(deployment);
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    for (path, save) in saved {
        fs::write(path, save).unwrap();
    }
}

/// Starts a deploy and kills it in the middle of its work: the services run, the stack and the rest are to
/// come.
fn kill_a_deploy(deployment: &Deployment) {
    let mut deploy = deployment.start_deploy();
    let said = Said::by(deploy.stderr.take().unwrap());
    said.until("the local cloud and OpenSearch run");
    deploy.kill().unwrap();
    deploy.wait().unwrap();
}
