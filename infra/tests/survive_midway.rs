//! A local environment whose emulator is killed while CloudFormation makes or changes the stack, or that is half
//! destroyed: the next deploy brings everything back, and papers that were there are as they were.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed step fails the test; where the time goes is said"
)]

mod support;

use std::time::{Duration, Instant};

use support::process::{COMMAND_LIMIT, Said, signal};
use support::{Deployment, distinct_papers, kill, serve, text, unchanged, until};

const PAPERS: usize = 2;
/// The emulator's line in the middle of a stack's operation, and a part of the deploy's line after one.
const AT_WORK: &str = "CloudFormation is at function";
const DONE: &str = "Stack annapurna-local: ";
/// A change of seven functions may be done in the moment between the emulator's line and the kill.
const TRIES: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_that_was_cut_off_while_it_was_made_or_changed_is_whole_after_a_deploy() {
    let begin = Instant::now();
    let reached = |what: &str| eprintln!("{:>4} s: {what}", begin.elapsed().as_secs());
    let mut deployment = Deployment::new();
    deployment.paper_site = serve(distinct_papers(PAPERS)).await;
    assert!(is_cut_off(&deployment));
    deploy_again(&deployment);
    reached("the emulator was killed while the stack was made");
    take_and_test(&deployment, PAPERS).await;
    let before = deployment.kept().await;
    reached("each paper has its result");

    // Another site is another parameter of the stack.
    for left in (0..TRIES).rev() {
        deployment.paper_site = serve(distinct_papers(2 * PAPERS)).await;
        if is_cut_off(&deployment) {
            break;
        }
        assert!(left > 0, "it is never cut off");
        deploy_again(&deployment);
    }
    deploy_again(&deployment);
    reached("the emulator was killed while the stack was changed");
    unchanged(&before, &deployment.kept().await);
    take_and_test(&deployment, 2 * PAPERS).await;
    unchanged(&before, &deployment.kept().await);
    reached("so have the papers of the site that the cut off deploy was for");

    let before = deployment.kept().await;
    a_destroy_that_is_cut_off(&deployment).await;
    deploy_again(&deployment);
    unchanged(&before, &deployment.kept().await);
    assert_eq!(deployment.tested(), 2 * PAPERS);
    reached("a destroy was killed, and a deploy brought everything back");
}

/// A destroy that is killed when it has stopped the emulator and not yet OpenSearch. Every command says what is there.
async fn a_destroy_that_is_cut_off(deployment: &Deployment) {
    let search = deployment.pid_of("opensearch");
    // It takes no notice of being asked to end.
    signal("STOP", search);
    let mut destroy = deployment.start(&["destroy", "local", "--yes"]);
    let emulator = deployment.home().join("run/emulator.json");
    let is_stopped = async || !emulator.exists();
    until("the emulator is stopped", COMMAND_LIMIT, is_stopped).await;
    destroy.kill().unwrap();
    destroy.wait().unwrap();
    kill(search);
    let output = deployment.run(&["status", "local"]);
    let (status, said) = (text(&output.stdout), text(&output.stderr));
    assert!(status.contains("being destroyed"), "{status}");
    assert!(!status.contains("not deployed"), "{status}");
    let data = deployment.home().join("data");
    let papers = format!("every paper is still in {}", data.display());
    for said in [said, text(&deployment.run(&["papers", "local"]).stderr)] {
        for part in [&papers, "infra destroy local", "infra deploy local"] {
            assert!(said.contains(part), "{part} is not in\n{said}");
        }
    }
}

/// Begins a deploy and kills the emulator while CloudFormation is at the stack; false when it had done all by then. The
/// deploy ends by itself.
fn is_cut_off(deployment: &Deployment) -> bool {
    let log = deployment.home().join("logs/emulator.log");
    let said_before = std::fs::read(&log).map_or(0, |log| log.len());
    let mut deploy = deployment.start_deploy();
    let said = Said::by(deploy.stderr.take().unwrap());
    let begin = Instant::now();
    let is_at_work = || {
        let log = std::fs::read(&log).unwrap_or_default();
        log.get(said_before..)
            .is_some_and(|new| text(new).contains(AT_WORK))
    };
    while !is_at_work() {
        assert!(begin.elapsed() < COMMAND_LIMIT, "{AT_WORK} is not said");
        let ended = deploy.try_wait().unwrap();
        assert!(ended.is_none(), "{ended:?}: {:?}", said.rest());
        std::thread::sleep(Duration::from_millis(1));
    }
    kill(deployment.pid_of("emulator"));
    let rest = said.rest();
    assert_eq!(deploy.wait().unwrap().code(), Some(2), "{rest:?}");
    !rest.iter().any(|line| line.contains(DONE))
}

/// Deploys again after a cut off deploy; then all is as it should be.
fn deploy_again(deployment: &Deployment) {
    deployment.infra(&["deploy", "local", "--yes", "--no-sample"]);
    let plan = deployment.infra(&["plan", "local"]);
    assert_eq!(plan, "Nothing changes in `local`.\n");
}

/// Has the site's papers scraped, and waits until `count` papers have a result.
async fn take_and_test(deployment: &Deployment, count: usize) {
    let event = r#"{"MAX_PAPERS":"10"}"#;
    let answer = deployment.json(&["invoke", "local", "PaperScraper_ArXiv", event]);
    assert_eq!(answer["found"], count, "{answer}");
    let tested = async || {
        deployment.dispatch();
        deployment.tested() == count
    };
    until("a result of each paper", Duration::from_secs(300), tested).await;
    for paper in deployment.papers() {
        assert_eq!(paper["test_success"], true, "{paper}");
    }
}
