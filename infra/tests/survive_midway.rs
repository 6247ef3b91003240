//! A local environment whose emulator is killed while CloudFormation makes or changes the stack: the next
//! deploy brings everything back, and papers that were there are as they were.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed step fails the test; where the time goes is said"
)]

mod support;

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use support::{Deployment, distinct_papers, kill, serve, unchanged, until};

const PAPERS: usize = 2;
/// A deploy's line before it has the change set executed, and a part of the one after that.
const BEGINS: &str = "resources";
const DONE: &str = "Stack annapurna-local: ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_that_was_cut_off_while_it_was_made_or_changed_is_whole_after_a_deploy() {
    let begin = Instant::now();
    let reached = |what: &str| eprintln!("{:>4} s: {what}", begin.elapsed().as_secs());
    let mut deployment = Deployment::new();
    deployment.paper_site = serve(distinct_papers(PAPERS)).await;
    assert!(is_cut_off(&deployment, Duration::from_millis(50)));
    deploy_again(&deployment);
    reached("the emulator was killed while the stack was made");
    take_and_test(&deployment, PAPERS).await;
    let before = deployment.kept().await;
    reached("each paper has its result");

    // Another site is another parameter of the stack. To change seven functions takes it a moment only.
    let mut after = Duration::from_millis(40);
    loop {
        deployment.paper_site = serve(distinct_papers(2 * PAPERS)).await;
        if is_cut_off(&deployment, after) {
            break;
        }
        after /= 2;
        assert!(after > Duration::from_millis(1), "it is never cut off");
        deploy_again(&deployment);
    }
    deploy_again(&deployment);
    reached("the emulator was killed while the stack was changed");
    unchanged(&before, &deployment.kept().await);
    take_and_test(&deployment, 2 * PAPERS).await;
    unchanged(&before, &deployment.kept().await);
    reached("so have the papers of the site that the cut off deploy was for");
}

/// Begins a deploy and kills emulator and deploy while CloudFormation is at the stack; false when it had done all
/// by then. The emulator does nothing else meanwhile, so nobody can ask it how far it is.
fn is_cut_off(deployment: &Deployment, after: Duration) -> bool {
    // A bar, which has nothing to move on, says when it begins.
    let deploy = [
        "deploy",
        "local",
        "--yes",
        "--no-sample",
        "--progress",
        "bar",
    ];
    let mut deploy = deployment.start(&deploy);
    let said = BufReader::new(deploy.stderr.take().unwrap());
    let mut lines = said.lines().map(Result::unwrap);
    assert!(lines.any(|line| line == BEGINS), "it says when it begins");
    std::thread::sleep(after);
    kill(deployment.pid_of("emulator"));
    // What was done a moment before is said in this time.
    std::thread::sleep(Duration::from_secs(1));
    deploy.kill().unwrap();
    deploy.wait().unwrap();
    let rest: Vec<String> = lines.collect();
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
