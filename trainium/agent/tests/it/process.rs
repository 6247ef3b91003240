//! The agent's own process: what it says, what a program learns of it, and what is left when it is killed.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::time::timeout;

use annapurna_test_needs::needs;

use crate::support::{
    Bench, PATIENCE, is_running, needs_root, python, python_path, unique_name, until,
};

/// What no program may ever see.
const SECRET: &str = "wJalrXUtnFEMIexamplekeyonly";

/// An agent whose cloud is a closed port.
pub(crate) struct Agent {
    child: Child,
    base: String,
}

fn command(state: &Path) -> Command {
    command_with(state, &python_path())
}

/// One whose programs find their modules in another folder than the project's.
fn command_with(state: &Path, modules: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainium-agent"));
    let closed = "http://127.0.0.1:1";
    command
        .args(["--listen", "127.0.0.1:0", "--python", python()])
        .arg("--python-path")
        .arg(modules)
        .arg("--state-dir")
        .arg(state)
        .env("AWS_ENDPOINT_URL", closed)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env("TESTING_QUEUE_URL", format!("{closed}/1/code-testing.fifo"))
        .envs(["CODE_BUCKET", "OUTPUTS_BUCKET", "DATASETS_BUCKET"].map(|name| (name, "bucket")))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

impl Agent {
    pub(crate) fn start(state: &Path) -> Self {
        Self::started(&mut command(state))
    }

    fn started(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (say, said) = mpsc::channel();
        // The pipe must be read on, or the agent stops at a full one.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line = serde_json::from_str::<Value>(&line).ok();
                if let Some(started) = line.filter(|line| line["message"] == "started") {
                    // Who gave up waiting does not listen.
                    let _ = say.send(started);
                }
            }
        });
        let started = said.recv_timeout(PATIENCE);
        let Ok(started) = started else {
            child.kill().unwrap();
            panic!("the agent starts and says so in JSON: {started:?}");
        };
        let base = format!("http://{}", started["address"].as_str().unwrap());
        Self { child, base }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, signal).unwrap();
    }

    async fn health(&self) -> Value {
        let answer = reqwest::get(format!("{}/health", self.base)).await;
        answer.unwrap().json().await.unwrap()
    }

    pub(crate) async fn execute(&self, code: &str) -> reqwest::Result<Value> {
        let client = reqwest::Client::new();
        let request = client.post(format!("{}/execute", self.base));
        let body = json!({"code": code, "timeout": 3600});
        request
            .json(&body)
            .timeout(PATIENCE)
            .send()
            .await?
            .json()
            .await
    }
}

/// A program that runs until it is ended, and a word in the command line of its child.
fn endless_program() -> (String, String) {
    let name = unique_name("program");
    let code = format!("import subprocess\nsubprocess.run(['sh', '-c', 'sleep 3600; : {name}'])");
    (code, name)
}

/// Has the agent run a program and signals the agent when the program runs. Gives the request's outcome.
async fn signalled_while_it_runs(
    agent: &Agent,
    (code, name): &(String, String),
    signal: Signal,
) -> reqwest::Result<Value> {
    let mut request = std::pin::pin!(agent.execute(code));
    tokio::select! {
        early = &mut request => panic!("it ended by itself: {early:?}"),
        () = until("the program runs", || is_running(name)) => {}
    }
    agent.signal(signal);
    timeout(PATIENCE, request).await.expect("the request ends")
}

/// Waits for the end of an agent that has a reason to end.
fn ended(agent: &mut Child) -> ExitStatus {
    let begin = Instant::now();
    loop {
        if let Some(status) = agent.try_wait().unwrap() {
            return status;
        }
        if begin.elapsed() > PATIENCE {
            agent.kill().unwrap();
            panic!("waited {} s: the agent ends", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What an agent said that ends by itself.
fn output(command: &mut Command) -> Output {
    let mut agent = command.stderr(Stdio::piped()).spawn().unwrap();
    ended(&mut agent);
    agent.wait_with_output().unwrap()
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn runs(state: &Path) -> usize {
    std::fs::read_dir(state.join("runs")).unwrap().count()
}

#[test]
fn an_agent_without_work_ends_with_the_word_on_which_its_unit_stops_the_machine() {
    let state = tempfile::tempdir().unwrap();
    let mut idle = command(state.path());
    idle.args(["--idle-stop-minutes", "1"])
        .stdout(Stdio::null());
    let begin = Instant::now();
    let ended = idle.status().unwrap();
    assert_eq!(ended.code(), Some(64));
    assert!(begin.elapsed() >= Duration::from_secs(60));
    let unit = include_str!("../../../host/annapurna-agent.service");
    for word in ["SuccessExitStatus", "RestartPreventExitStatus"] {
        assert!(unit.contains(&format!("\n{word}=64\n")), "{word}");
    }
}

#[tokio::test]
async fn a_program_learns_nothing_of_the_agents_credentials() {
    if Bench::best().is_none() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let agent = Agent::start(state.path());
    let code = format!(
        "import glob, os, sys\n\
         seen = str(os.environ)\n\
         for path in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):\n\
         \x20   try: seen += open(path).read()\n\
         \x20   except OSError: pass\n\
         sys.exit('AWS_' in seen or '{}' in seen)",
        SECRET
    );
    let result = agent.execute(&code).await.unwrap();
    assert_eq!(result["return_code"], 0, "{result}");
}

#[tokio::test]
async fn killed_outright_its_programs_end_and_the_next_agent_cleans_up() {
    if Bench::best().is_none() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let agent = Agent::start(state.path());
    let program = endless_program();
    let answer = signalled_while_it_runs(&agent, &program, Signal::SIGKILL).await;
    assert!(answer.is_err(), "the agent is gone");
    until("the program ends with its agent", || {
        !is_running(&program.1)
    })
    .await;
    let _next = Agent::start(state.path());
    assert_eq!(runs(state.path()), 0);
}

/// Takes the minute that an agent waits before it tries a suspect again.
#[tokio::test]
async fn a_program_with_which_the_agent_ends_twice_is_not_tried_a_third_time() {
    if Bench::best().is_none() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let program = endless_program();
    for _ in 0..2 {
        let agent = Agent::start(state.path());
        let answer = signalled_while_it_runs(&agent, &program, Signal::SIGKILL).await;
        assert!(answer.is_err(), "the agent is gone");
        let gone = || !is_running(&program.1);
        until("the program ends with its agent", gone).await;
    }
    let agent = Agent::start(state.path());
    let result = agent.execute(&program.0).await.unwrap();
    assert_eq!(result["status"], "denied", "{result}");
    assert_eq!(result["error_type"], "ended_agent", "{result}");
    let other = agent.execute("print(1)").await.unwrap();
    assert_eq!(other["status"], "success", "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_stop_it_ends_its_programs_and_exits_well() {
    if Bench::best().is_none() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(state.path());
    let program = endless_program();
    let answer = signalled_while_it_runs(&agent, &program, Signal::SIGTERM).await;
    assert_eq!(answer.unwrap()["error"], "the agent is stopping");
    let status = tokio::task::block_in_place(|| ended(&mut agent.child));
    assert!(status.success());
    assert!(!is_running(&program.1));
    assert_eq!(runs(state.path()), 0);
}

#[test]
fn a_second_agent_in_the_same_folder_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let _first = Agent::start(state.path());
    let second = output(&mut command(state.path()));
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("another agent already works in"), "{said}");
}

#[test]
fn check_prints_one_json_document() {
    let output = output(command(Path::new("/nonexistent")).arg("check"));
    assert!(output.status.success());
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["python_version"].is_string());
    assert_eq!(found["ready"], found["refusal"].is_null(), "{found}");
    assert_eq!(
        found["ready"],
        found["isolation"] == "bubblewrap",
        "{found}"
    );
}

/// bubblewrap gives a process a `/run` that nobody may write, as a container with a read-only root does.
#[test]
fn without_a_run_to_write_an_agent_of_root_says_what_to_do() {
    let bubblewrap = Command::new("bwrap").arg("--version").output().ok();
    let bubblewrap = needs(bubblewrap, "bubblewrap", "install it (Debian: bubblewrap)");
    if needs_root().is_none() || bubblewrap.is_none() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let agent = command(state.path());
    let mut closed = Command::new("bwrap");
    closed
        .args(["--dev-bind", "/", "/", "--ro-bind", "/run", "/run", "--"])
        .arg(agent.get_program())
        .args(agent.get_args())
        .envs(
            agent
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    let started = output(closed.stdout(Stdio::piped()));
    assert!(!started.status.success());
    let said = String::from_utf8_lossy(&started.stderr);
    assert!(
        said.contains("mount one (in a container `--tmpfs /run`)"),
        "{said}"
    );
    let found = output(closed.arg("check"));
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found["ready"], false, "{found}");
    let problems = found["problems"].to_string();
    assert!(problems.contains("--tmpfs /run"), "{problems}");
}

/// A folder of modules for programs, in which a stand-in for torch trains on whatever device it is told of.
fn stand_in() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand-in");
    for package in ["torch", "torch_xla"] {
        let link = folder.path().join(package);
        let copied = Command::new("cp")
            .arg("-r")
            .arg(ours.join(package))
            .arg(link)
            .status();
        assert!(copied.unwrap().success());
    }
    std::fs::copy(
        python_path().join("dataset_loader.py"),
        folder.path().join("dataset_loader.py"),
    )
    .unwrap();
    folder
}

#[tokio::test]
async fn without_a_device_that_trains_nothing_is_run_and_the_reason_is_told() {
    if Bench::best().is_none() {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let agent = Agent::started(command(state.path()).args(["--backend", "xla"]));
    let deadline = Instant::now() + PATIENCE;
    let reason = loop {
        let health = agent.health().await;
        assert_eq!(health["status"], "refusing", "{health}");
        let reason = health["reason"].as_str().unwrap().to_owned();
        if reason.contains("do not train") {
            break reason;
        }
        assert!(Instant::now() < deadline, "{reason}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(
        reason.contains("`xla`") && reason.contains("torch"),
        "{reason}"
    );
    let refused = agent.execute("print(1)").await.unwrap();
    assert_eq!(refused["error"], reason);
}

/// An agent whose self-test has trained on a device that is none.
async fn trains(state: &Path, modules: &Path) -> Agent {
    let agent = Agent::started(command_with(state, modules).args(["--backend", "xla"]));
    let deadline = Instant::now() + PATIENCE;
    while agent.health().await["status"] != "healthy" {
        assert!(Instant::now() < deadline, "{}", agent.health().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    agent
}

/// Tells which graphs it began with, tries to change them for others, and compiles one of its own.
const COMPILES: &str = "
import os
cache = os.environ['NEURON_COMPILE_CACHE_URL']
graphs = [os.path.join(top, name) for top, _, names in os.walk(cache) for name in names]
print(sorted(f'{os.path.basename(os.path.dirname(it))}: {open(it).read()}' for it in graphs))
for top, folders, names in os.walk('/run/annapurna/compiled'):
    for name in names + ['new']:
        try:
            open(os.path.join(top, name), 'w')
            print('escaped: ' + top)
        except OSError:
            pass
own = f'{cache}/neuronxcc-0.0/MODULE_{NAME}'
os.makedirs(own, exist_ok=True)
for path in graphs + [f'{own}/model.neff', f'{own}/model.hlo_module.pb.lock']:
    open(path, 'w').write(NAME)
os.symlink('/etc/passwd', f'{own}/link')
";

#[tokio::test]
async fn compiled_graphs_are_the_seeds_and_the_programs_own_across_starts() {
    if Bench::best().is_none() {
        return;
    }
    let (state, modules) = (tempfile::tempdir().unwrap(), stand_in());
    let [one, two] = ["one", "two"].map(|name| format!("NAME = '{name}'{COMPILES}"));
    let agent = trains(state.path(), modules.path()).await;
    let began_with = async |agent: &Agent, code: &str| {
        let result = agent.execute(code).await.unwrap();
        assert_eq!(result["return_code"], 0, "{result}");
        result["stdout"].as_str().unwrap().trim().to_owned()
    };
    let seed = "['MODULE_seed: seed']";
    assert_eq!(began_with(&agent, &one).await, seed);
    assert_eq!(
        began_with(&agent, &one).await,
        "['MODULE_one: one', 'MODULE_seed: seed']"
    );
    assert_eq!(began_with(&agent, &two).await, seed);
    agent.signal(Signal::SIGKILL);
    drop(agent);
    let agent = trains(state.path(), modules.path()).await;
    assert_eq!(
        began_with(&agent, &one).await,
        "['MODULE_one: one', 'MODULE_seed: seed']"
    );
    assert_eq!(began_with(&agent, "print('other')").await, "other");
    assert_eq!(
        began_with(&agent, &two).await,
        "['MODULE_seed: seed', 'MODULE_two: two']"
    );
}

#[tokio::test]
async fn programs_are_run_once_one_has_trained_on_the_device() {
    if Bench::best().is_none() {
        return;
    }
    let (state, modules) = (tempfile::tempdir().unwrap(), stand_in());
    let agent = trains(state.path(), modules.path()).await;
    let told = "import os; print(os.environ['PJRT_DEVICE'], os.environ['NEURON_RT_VISIBLE_CORES'])\n\
                import sys; sys.exit(os.environ['PJRT_DEVICE'] != 'NEURON')";
    let result = agent.execute(told).await.unwrap();
    assert_eq!(result["return_code"], 0, "{result}");
    assert_eq!(agent.health().await["slots"], 1);
}
