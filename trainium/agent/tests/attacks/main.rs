//! The attack table: programs that want out of the sandbox, beyond its limits, or a status that is not theirs.
//!
//! Every file in the folders beside this one is a program, with what it tries and the status it must end with in
//! its first lines (see [`table`]). A real agent runs them, one after the other, in one of its two slots; in the
//! other a program runs all the time that looks after its own files, memory and processor (`neighbour.py`). A
//! program that gets what it must not prints `escaped: …`. After each of them the agent answers, the neighbour is
//! untouched and the machine is as before ([`host`]). The agent writes to a stand-in of S3 ([`bucket`]).
//!
//! All that is told here comes from outside: HTTP answers, objects in the bucket, and what the kernel shows.
//! `ATTACKS=memory/` runs the programs only whose name has that in it; each program's line is printed as it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "clippy takes the helpers of an integration test for the product"
)]

mod agent;
mod bucket;
mod host;
mod lent;
mod processes;
mod round;
mod table;

use annapurna_test_needs::{cannot, needs};
use annapurna_users::{Claims, UserRange};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::agent::{Agent, Place};
use crate::host::Host;
use crate::lent::Lent;
use crate::round::Round;

/// What the machine looks like is compared before and after, so only one table at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn nothing_gets_out_of_an_agent_of_root() {
    let _alone = ALONE.lock().await;
    let is_root = nix::unistd::geteuid().is_root();
    if needs(is_root.then_some(()), "root", "run the tests as root").is_some() {
        run_table("root", None, None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_gets_out_of_an_agent_of_a_user_to_whom_groups_are_lent() {
    let _alone = ALONE.lock().await;
    let is_root = nix::unistd::geteuid().is_root();
    if needs(is_root.then_some(()), "root", "run the tests as root").is_none() {
        return;
    }
    let claimed = Claims::of_this_machine().claim(UserRange::UNASSIGNED, 1, 0);
    let claimed = claimed.unwrap();
    let user = claimed[0].number();
    match Lent::to(user) {
        Ok(lent) => run_table("a user with lent groups", Some(user), Some(lent)).await,
        Err(reason) => cannot("control groups to lend", &reason.to_string()),
    }
}

/// The tests' own user, or, where that is root, one that nobody else has.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_gets_out_of_an_agent_of_an_ordinary_user() {
    let _alone = ALONE.lock().await;
    if nix::unistd::geteuid().is_root() {
        let claimed = Claims::of_this_machine().claim(UserRange::UNASSIGNED, 1, 0);
        let claimed = claimed.unwrap();
        run_table("an ordinary user", Some(claimed[0].number()), None).await;
    } else {
        run_table("an ordinary user", None, None).await;
    }
}

/// Runs every program by an agent of `user`, or checks that this agent refuses to run any.
async fn run_table(who: &str, user: Option<u32>, lent: Option<Lent>) {
    let may_refuse = user.is_some() && lent.is_none();
    let place = Place::make(user, lent).await;
    let host = Host::watch(&place);
    let without = host.look(None, &[]);
    let agent = Agent::start(&place).await;
    let health = agent.health().await.unwrap();
    if health["status"] == "refusing" {
        let reason = refuses(&agent, &health).await;
        agent.stop().await;
        // A user that was made up for this has no control group, and nobody lends it one.
        if !may_refuse {
            cannot(&format!("the sandbox of {who}"), &reason);
        }
        return;
    }
    assert_eq!(health["status"], "healthy", "{health}");
    let attacks = table::attacks(&std::env::var("ATTACKS").unwrap_or_default());
    let mut round = Round::begin(&place, host, without, agent).await;
    for attack in &attacks {
        round.run(attack).await;
    }
    let wrong = round.end().await;
    println!("{who}: {} programs, {} wrong", attacks.len(), wrong.len());
    assert!(wrong.is_empty(), "{who}:\n{}", wrong.join("\n"));
}

/// An agent without a sandbox runs nothing and says why, which is given.
async fn refuses(agent: &Agent, health: &Value) -> String {
    let reason = health["reason"].as_str().unwrap().to_owned();
    assert_eq!(health["isolation"], "none", "{health}");
    let answer = agent.execute("print('ran')", 5, "refused").await.unwrap();
    assert_eq!(answer["success"], false, "{answer}");
    assert!(answer["return_code"].is_null(), "{answer}");
    let said = answer["error"]
        .as_str()
        .or(answer["error_message"].as_str());
    // The message may be cut.
    let beginning: String = reason.chars().take(60).collect();
    assert!(
        said.is_some_and(|said| said.contains(&beginning)),
        "{answer}"
    );
    reason
}
