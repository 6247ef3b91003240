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

use support::{Deployment, infra, kill, serve, text, twelve_papers, until};

const PAPERS: usize = 5;
/// Begins the line with which a deploy says what it sent.
const SENT: &str = "sent again: ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn papers_go_on_after_kills_that_lose_their_messages() {
    let begin = Instant::now();
    let reached = |what: &str| eprintln!("{:>4} s: {what}", begin.elapsed().as_secs());
    let mut deployment = Deployment::new();
    deployment.paper_site = serve(twelve_papers()).await;
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
    let before = kept(&deployment).await;
    kill_everything(&deployment);
    replace_saves(&deployment, &BTreeMap::new());
    let sent = deploy(&deployment).unwrap();
    assert_eq!(numbers(&sent), PAPERS, "{sent}");
    unchanged(&before, &kept(&deployment).await);
    reached("everything was killed, and the emulator's whole state was lost");

    let running = async || {
        dispatch(&deployment);
        deployment.programs_running().await > 0
    };
    until("a program that runs", Duration::from_secs(60), running).await;
    kill_everything(&deployment);
    deploy(&deployment);
    let tested = async || {
        dispatch(&deployment);
        deployment.tested() == PAPERS
    };
    until("a result of each paper", Duration::from_secs(180), tested).await;
    let after = kept(&deployment).await;
    unchanged(&before, &after);
    for ending in [".pdf", "/code.py", "/outputs/result.json"] {
        let count = after.keys().filter(|key| key.ends_with(ending)).count();
        assert_eq!(count, PAPERS, "{ending}");
    }
    for paper in deployment.papers() {
        assert_eq!(paper["test_success"], true, "{paper}");
    }
    reached("everything was killed in the middle of a batch; each paper has its result");

    kill(deployment.pid_of("emulator"));
    kill_a_deploy(&deployment);
    assert_eq!(deploy(&deployment), None, "every paper is finished");
    unchanged(&after, &kept(&deployment).await);
    let plan = deployment.infra(&["plan", "local"]);
    assert_eq!(plan, "Nothing changes in `local`.\n");
    reached("a deploy was killed, and another did its work");
}

/// Deploys and returns what was sent again, in the program's words.
fn deploy(deployment: &Deployment) -> Option<String> {
    let output = deployment.run(&["deploy", "local", "--yes", "--no-sample"]);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let line = said.lines().find_map(|line| line.split_once(SENT));
    line.map(|(_, sent)| sent.to_owned())
}

/// The sum of the numbers in a line.
fn numbers(line: &str) -> usize {
    line.split(' ')
        .filter_map(|word| word.parse::<usize>().ok())
        .sum()
}

fn dispatch(deployment: &Deployment) {
    let event = r#"{"action":"dispatch","force":true}"#;
    deployment.infra(&["invoke", "local", "PapersCodeTester", event]);
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

/// Kills every service and all that it started, at once.
fn kill_everything(deployment: &Deployment) {
    let services = ["emulator", "opensearch", "model", "paper-site", "agent"];
    let sessions = services.map(|name| deployment.pid_of(name));
    let members: Vec<String> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|pid| {
            // pid (name) state parent group session …; the name may hold anything.
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let fields = stat.rsplit_once(") ").map(|(_, rest)| rest);
            let session = fields.and_then(|fields| fields.split(' ').nth(3)?.parse().ok());
            session.is_some_and(|session: i64| sessions.contains(&session))
        })
        .collect();
    assert!(members.len() >= services.len(), "{members:?}");
    // One that ended by itself meanwhile is no failure.
    let killed = std::process::Command::new("kill")
        .arg("-9")
        .args(&members)
        .output();
    killed.unwrap();
}

/// Starts a deploy and kills it in the middle of its work.
fn kill_a_deploy(deployment: &Deployment) {
    let mut deploy = infra(deployment.state.path())
        .env("ANNAPURNA_PAPER_SITE_URL", &deployment.paper_site)
        .args(["deploy", "local", "--yes", "--no-sample"])
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert!(deploy.try_wait().unwrap().is_none(), "it is at work");
    deploy.kill().unwrap();
    deploy.wait().unwrap();
}

/// The entity tags of what is written once for a paper: PDF, verdict, program and result. A verdict and a
/// result say when they were made, so a second one has another tag.
async fn kept(deployment: &Deployment) -> BTreeMap<String, String> {
    let s3 = deployment.s3();
    let mut kept = BTreeMap::new();
    for bucket in [
        "llm-research-papers",
        "papers-code-artifacts",
        "papers-test-outputs",
    ] {
        let listed = s3.list_objects_v2().bucket(bucket).send().await.unwrap();
        for object in listed.contents() {
            let key = object.key().unwrap();
            let endings = [".pdf", "/code.py", "/metadata.json", "/outputs/result.json"];
            if key.starts_with("verdicts/") || endings.iter().any(|it| key.ends_with(it)) {
                kept.insert(key.to_owned(), object.e_tag().unwrap().to_owned());
            }
        }
    }
    kept
}

/// Nothing that was there is gone or was written again.
fn unchanged(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
    for (key, tag) in before {
        assert_eq!(after.get(key), Some(tag), "{key}");
    }
}
