//! One table with one agent: runs programs beside the neighbour and notes what went wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::agent::{Agent, Place};
use crate::bucket::Object;
use crate::host::Host;
use crate::processes::{Processes, processor_time};
use crate::table::{Attack, read};

/// What ends with a program may take so long to be gone.
const GONE: Duration = Duration::from_secs(3);
/// Least part of its usual processor time that the neighbour gets beside a program that takes all it can. Without
/// a share of its own it would get one part of a hundred.
const LEAST_SHARE: f64 = 0.3;
/// Limit of the neighbour, seconds: longer than any table.
const NEIGHBOUR_TIME: u32 = 3600;

/// A table under way.
#[derive(Debug)]
pub(crate) struct Round<'a> {
    agent: Arc<Agent>,
    place: &'a Place,
    host: Host,
    neighbour: Neighbour,
    /// The machine with nothing but the agent and the neighbour.
    before: BTreeSet<String>,
    /// The machine without the agent.
    without: BTreeSet<String>,
    wrong: Vec<String>,
}

/// The program in the other slot.
#[derive(Debug)]
struct Neighbour {
    pid: u32,
    /// Its result, which it must not have yet.
    running: JoinHandle<reqwest::Result<Value>>,
}

impl Neighbour {
    async fn start(agent: &Arc<Agent>) -> Self {
        let code = format!("{}\n{}", read("common.py"), read("neighbour.py"));
        let mine = Arc::clone(agent);
        let running =
            tokio::spawn(async move { mine.execute(&code, NEIGHBOUR_TIME, "neighbour").await });
        let begin = Instant::now();
        loop {
            if let Some(pid) = Processes::look().neighbour(agent.pid()) {
                // It has made its files, which are among what must not change.
                tokio::time::sleep(Duration::from_secs(1)).await;
                return Self { pid, running };
            }
            assert!(
                !running.is_finished(),
                "the neighbour does not run: {:?}",
                running.await
            );
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "the neighbour does not begin"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn processor_time(&self) -> Duration {
        processor_time(self.pid).unwrap_or_default()
    }

    /// Its part of a processor over a second.
    async fn usual_share(&self) -> f64 {
        let (before, begin) = (self.processor_time(), Instant::now());
        tokio::time::sleep(Duration::from_secs(1)).await;
        (self.processor_time() - before).as_secs_f64() / begin.elapsed().as_secs_f64()
    }
}

impl<'a> Round<'a> {
    /// Starts the neighbour. `without` is what the machine looked like before there was the agent.
    pub(crate) async fn begin(
        place: &'a Place,
        mut host: Host,
        without: BTreeSet<String>,
        agent: Agent,
    ) -> Self {
        let agent = Arc::new(agent);
        let neighbour = Neighbour::start(&agent).await;
        host.follow(agent.pid(), neighbour.pid);
        let before = host.look(Some(agent.pid()), &agent.users);
        Self {
            agent,
            place,
            host,
            neighbour,
            before,
            without,
            wrong: Vec::new(),
        }
    }

    /// Runs a program as often as it says, and looks at everything afterwards.
    pub(crate) async fn run(&mut self, attack: &Attack) {
        let begin = Instant::now();
        let mut wrong = Vec::new();
        for _ in 0..attack.runs {
            let usual = if attack.shares_processor {
                self.neighbour.usual_share().await
            } else {
                0.0
            };
            let (before, started) = (self.neighbour.processor_time(), Instant::now());
            wrong.extend(self.run_once(attack).await);
            let (progress, time) = (
                self.neighbour.processor_time().saturating_sub(before),
                started.elapsed(),
            );
            let share = progress.as_secs_f64() / time.as_secs_f64();
            if share < usual * LEAST_SHARE || (time > Duration::from_secs(1) && progress.is_zero())
            {
                wrong.push(format!(
                    "the neighbour got {share:.2} of a processor, {usual:.2} before"
                ));
            }
            wrong.extend(self.look().await);
        }
        let word = if wrong.is_empty() { "ok" } else { "WRONG" };
        let (time, name) = (begin.elapsed().as_secs_f64(), &attack.name);
        println!("{time:6.2} s {name} {word} {}", wrong.join("; "));
        self.wrong
            .extend(wrong.iter().map(|what| format!("{name}: {what}")));
    }

    fn now(&self) -> BTreeSet<String> {
        self.host.look(Some(self.agent.pid()), &self.agent.users)
    }

    async fn run_once(&self, attack: &Attack) -> Vec<String> {
        self.place.bucket.take();
        let told = self.host.told(&self.agent, self.neighbour.pid);
        let code = format!("HOST = {told}\n{}", attack.code);
        let answer = self.agent.execute(&code, attack.time, &attack.name).await;
        let objects = self.place.bucket.take();
        match answer {
            Err(error) => vec![format!("no answer: {error}")],
            Ok(result) => [
                wrong_in_result(attack, &result),
                wrong_in_objects(attack, &result, &objects),
            ]
            .concat(),
        }
    }

    /// Whether agent, neighbour and machine are as before; puts right what the next program needs.
    async fn look(&mut self) -> Vec<String> {
        let mut wrong = self.host.reached();
        if self.agent.is_gone() {
            wrong.push("the agent ended".to_owned());
            self.agent = Arc::new(Agent::start(self.place).await);
            self.neighbour = Neighbour::start(&self.agent).await;
            self.before = self.now();
            return wrong;
        }
        if let Some(what) = self.unanswered().await {
            wrong.push(what);
        }
        if self.neighbour.running.is_finished() {
            let result = (&mut self.neighbour.running).await;
            wrong.push(format!("the neighbour ended: {result:?}"));
        }
        let more = self.more_than(&self.before).await;
        wrong.extend(more.iter().map(|what| format!("left behind: {what}")));
        if self.neighbour.running.is_finished() {
            self.neighbour = Neighbour::start(&self.agent).await;
        }
        if !wrong.is_empty() {
            // What one program left is not the fault of those after it.
            self.before = self.now();
        }
        wrong
    }

    /// What is not right with `/health`, after a while in which a slot may become free.
    async fn unanswered(&self) -> Option<String> {
        let begin = Instant::now();
        loop {
            let said = match self.agent.health().await {
                Ok(health) if health["status"] == "healthy" && health["busy"] == 1 => return None,
                Ok(health) => format!("the agent's health: {health}"),
                Err(error) => format!("the agent does not answer: {error}"),
            };
            if begin.elapsed() > GONE {
                return Some(said);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the machine has more than `before`, when that does not go by itself.
    async fn more_than(&self, before: &BTreeSet<String>) -> BTreeSet<String> {
        let begin = Instant::now();
        loop {
            let now = self.now();
            let more: BTreeSet<String> = now.difference(before).cloned().collect();
            if more.is_empty() || begin.elapsed() > GONE {
                return more;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends the agent, which must leave nothing, and starts it again in the same folder, which must do.
    pub(crate) async fn end(mut self) -> Vec<String> {
        self.neighbour.running.abort();
        let files =
            fs::read_dir(format!("/proc/{}/fd", self.agent.pid())).map_or(0, Iterator::count);
        if files > 100 {
            self.wrong.push(format!("the agent has {files} files open"));
        }
        let log = fs::read_to_string(self.place.log()).unwrap();
        self.wrong.extend(
            log.lines()
                .filter(|line| line.contains("panicked"))
                .map(str::to_owned),
        );
        let _ = (&mut self.neighbour.running).await;
        let agent = Arc::try_unwrap(self.agent).expect("nobody else has the agent");
        let users = agent.users.clone();
        agent.stop().await;
        let again = Agent::start(self.place).await;
        let health = again.health().await.unwrap();
        if health["status"] != "healthy" || health["busy"] != 0 {
            self.wrong.push(format!("started again: {health}"));
        }
        again.stop().await;
        let left = self.host.look(None, &users);
        let state = format!("file {}", self.place.state().display());
        let left = left
            .difference(&self.without)
            .filter(|what| !what.starts_with(&state));
        self.wrong
            .extend(left.map(|what| format!("after the end: {what}")));
        let runs = fs::read_dir(self.place.state().join("runs")).map_or(0, Iterator::count);
        if runs > 0 {
            self.wrong.push(format!("{runs} folders of runs stay"));
        }
        self.wrong
    }
}

/// The status of a result; what has none is a refusal to run the program.
fn status(result: &Value) -> String {
    let status = result["status"].as_str();
    status.map_or_else(|| format!("none: {result}"), str::to_owned)
}

fn wrong_in_result(attack: &Attack, result: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let status = status(result);
    let message = result["error_message"].as_str().unwrap_or_default();
    if !attack.expect.contains(&status) {
        wrong.push(format!(
            "status {status} for {} ({message})",
            attack.expect.join(" or ")
        ));
    }
    if let Some((field, value)) = attack
        .result
        .as_ref()
        .filter(|(field, value)| result[field] != *value)
    {
        wrong.push(format!("{field} is {} for {value}", result[field]));
    }
    if let Some(says) = attack
        .says
        .as_ref()
        .filter(|says| !message.contains(says.as_str()))
    {
        wrong.push(format!("the message is `{message}` without `{says}`"));
    }
    if message.chars().any(char::is_control) {
        wrong.push(format!("control characters in the message {message:?}"));
    }
    let size = result.to_string().len();
    if size > 4 << 20 {
        wrong.push(format!("a result of {size} bytes"));
    }
    wrong
}

/// What was printed and what was published.
fn wrong_in_objects(
    attack: &Attack,
    result: &Value,
    objects: &BTreeMap<String, Object>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let of_key = |name: &str| {
        let key = result["outputs"][name].as_str().unwrap_or_default();
        objects.get(&format!("bucket/{key}"))
    };
    match of_key("stdout") {
        None => wrong.push("its output was not published".to_owned()),
        Some(stdout) => {
            let text = String::from_utf8_lossy(&stdout.body);
            let escapes: Vec<&str> = text
                .lines()
                .filter(|line| line.starts_with("escaped: "))
                .collect();
            let more = escapes.len().saturating_sub(3);
            wrong.extend(escapes.iter().take(3).map(|line| (*line).to_owned()));
            wrong.extend((more > 0).then(|| format!("escaped: {more} more")));
        }
    }
    let paper = result["paper_id"].as_str().unwrap_or_default();
    let prefix = format!("bucket/{paper}/outputs/");
    let is_plain = |key: &str| {
        key.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
    };
    for (key, object) in objects {
        if !key.starts_with(&prefix) || !is_plain(key) || key.contains("..") {
            wrong.push(format!("published as {key:?}"));
        }
        if ["svg", "html", "script"]
            .iter()
            .any(|kind| object.content_type.contains(kind))
        {
            wrong.push(format!("{key} is published as {}", object.content_type));
        }
    }
    let plots = format!("{prefix}plots/");
    let published: Vec<&str> = objects
        .keys()
        .filter_map(|key| key.strip_prefix(&plots))
        .collect();
    if let Some(expected) = attack
        .plots
        .as_ref()
        .filter(|expected| **expected != published)
    {
        wrong.push(format!("the plots {published:?} for {expected:?}"));
    }
    wrong
}
