//! A `local` of which a part was killed: every command says which, and what brings it back, whether it begins
//! afterwards, in the same moment, or was under way.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::process::Child;
use std::time::Duration;

use clap::CommandFactory;
use infra::commands::Cli;
use support::process::{Said, is_connected, output_of, signal};
use support::{Deployment, kill, text, until};

/// Commands that have an answer without the emulator.
const WITHOUT_CLOUD: [&str; 7] = [
    "ami", "synth", "build", "deploy", "destroy", "status", "doctor",
];
/// Commands of those that need the emulator which need OpenSearch as well.
const WITH_SEARCH: [&str; 4] = ["plan", "papers", "scrape", "invoke"];
const DEPLOY: [&str; 4] = ["deploy", "local", "--yes", "--no-sample"];
const RESTARTS: &str = "`cargo infra deploy local` starts";
/// The clients alone try again for longer, 45 s on average.
const SECONDS: Duration = Duration::from_secs(20);

/// Every command about an environment, from clap, with what makes it one; `destroy` asks and nobody answers.
fn commands() -> Vec<Vec<String>> {
    let cli = Cli::command();
    let names = cli
        .get_subcommands()
        .filter(|it| !it.is_hide_set() && it.get_name() != "check-code");
    let command = |name: &str| {
        let more: &[&str] = match name {
            "cost" => &["--actual"],
            "datasets" => &["list"],
            "deploy" => &DEPLOY[2..],
            "generate" => &["recent"],
            "invoke" => &["PapersCodeGenerator", r#"{"action":"generate_recent"}"#],
            "judge" => &["0123456789abcdef0123456789abcdef"],
            "logs" => &["PapersJudge"],
            "scrape" => &["iclr"],
            "test-code" => &["--paper-id", "0123456789abcdef0123456789abcdef"],
            "trainium" => &["status"],
            // One that is new is tried with its environment alone, and says what it misses.
            _ => &[],
        };
        let words = [name, "local"].into_iter().chain(more.iter().copied());
        words.map(str::to_owned).collect()
    };
    names.map(|it| command(it.get_name())).collect()
}

fn commands_where(is_wanted: impl Fn(&str) -> bool) -> Vec<Vec<String>> {
    let all = commands().into_iter();
    all.filter(|command| is_wanted(&command[0])).collect()
}

fn words(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}

/// A service that is killed, by its files' name and by its name in a sentence.
struct Part<'a> {
    deployment: &'a Deployment,
    service: &'static str,
    called: &'static str,
}

impl Part<'_> {
    fn pid(&self) -> i64 {
        self.deployment.pid_of(self.service)
    }

    fn is_named(&self, command: &[String], said: &str) {
        let stopped = format!("stopped in `local`: {}", self.called);
        for part in [&*stopped, RESTARTS] {
            assert!(
                said.contains(part),
                "{command:?} does not say {part}:\n{said}"
            );
        }
        // Its session ended with the emulator.
        let agent = said.contains("restarts the agent");
        assert_eq!(agent, self.service == "emulator", "{command:?}\n{said}");
        assert!(!said.contains("AWS was not reached"), "{command:?}\n{said}");
    }

    /// Each ends soon, says that it is this part, and that the machine is not as needed.
    fn ends(&self, begun: Vec<(Vec<String>, Child)>) {
        for (command, child) in begun {
            let output = output_of(child, SECONDS);
            let said = text(&output.stderr);
            if command[0] == "status" {
                // It shows what it knows all the same.
                assert!(output.status.success(), "{said}");
                let shown = text(&output.stdout);
                for part in ["cloud is stopped", RESTARTS, "model", "pid "] {
                    assert!(shown.contains(part), "{part} is not in\n{shown}\n{said}");
                }
                continue;
            }
            assert_eq!(output.status.code(), Some(2), "{command:?}\n{said}");
            self.is_named(&command, &said);
        }
    }

    fn begin(&self, commands: Vec<Vec<String>>) -> Vec<(Vec<String>, Child)> {
        let begin = |command: Vec<String>| {
            let child = self.deployment.start_saying(&words(&command));
            (command, child)
        };
        commands.into_iter().map(begin).collect()
    }

    /// Commands that wait for an answer of a service, this one or who asks it for them, and are killed with it.
    async fn dies_under(&self, commands: Vec<Vec<String>>, asked: &str) {
        let port = self.deployment.service(asked)["port"].as_u64().unwrap();
        signal("STOP", self.pid());
        let begun = self.begin(commands);
        for (command, child) in &begun {
            let waits = async || is_connected(child.id(), port);
            let what = format!("{command:?} waits for {asked}");
            until(&what, Duration::from_secs(60), waits).await;
        }
        kill(self.pid());
        self.ends(begun);
    }

    /// By every command; `plan` is what the deploy that follows says it will do.
    fn is_named_by_all(&self, plan: &str) {
        for command in commands_where(|name| name != "deploy") {
            let output = self.deployment.run(&words(&command));
            self.is_named(&command, &text(&output.stderr));
        }
        // The one that brings it back says so, too.
        let output = self.deployment.run(&DEPLOY);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        self.is_named(&DEPLOY.map(str::to_owned), &said);
        let planned = text(&output.stdout);
        assert!(planned.contains(plan), "{planned}");
        // A machine with a terminal has a bar for it; here a line says that it begins, and one that it ended.
        for part in ["Building paper-scraper, ", "are built, in "] {
            assert!(said.contains(part), "{part} is not in\n{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_names_the_part_that_is_dead() {
    let deployment = Deployment::new();
    deployment.infra(&DEPLOY);
    let deployment = &deployment;
    let (emulator, opensearch) = ("emulator", "opensearch");
    let cloud = Part {
        deployment,
        service: emulator,
        called: "the cloud emulator",
    };
    let search = Part {
        deployment,
        service: opensearch,
        called: "OpenSearch",
    };
    let need_cloud = || commands_where(|name| !WITHOUT_CLOUD.contains(&name));
    let need_search = || commands_where(|name| WITH_SEARCH.contains(&name));

    let ask_cloud = |name: &str| !WITHOUT_CLOUD.contains(&name) || name == "status";
    cloud.dies_under(commands_where(ask_cloud), emulator).await;
    cloud.is_named_by_all("~ restart agent  (the emulator was started again");
    // The signal is only sent: the process is there for a moment longer.
    signal("KILL", cloud.pid());
    cloud.ends(cloud.begin(need_cloud()));
    deployment.infra(&DEPLOY);

    let ask_it = commands_where(|name| ["plan", "papers"].contains(&name));
    search.dies_under(ask_it, opensearch).await;
    search.is_named_by_all("Nothing changes in `local`.");
    // The function that is invoked asks it; a scrape that nobody follows has its answer by then.
    let invoke = commands_where(|name| name == "invoke");
    search.dies_under(invoke, emulator).await;
    search.ends(search.begin(need_search()));
    deployment.infra(&DEPLOY);

    let mut deploy = deployment.start(&DEPLOY);
    let said = Said::by(deploy.stderr.take().unwrap());
    said.until("the local cloud and OpenSearch run");
    signal("STOP", cloud.pid());
    kill(cloud.pid());
    let last = said.rest().join("\n");
    assert_eq!(deploy.wait().unwrap().code(), Some(2), "{last}");
    cloud.is_named(&DEPLOY.map(str::to_owned), &last);
}
