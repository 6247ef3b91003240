//! A local environment of a test's own: deployed by the real program, destroyed with the value.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed step fails the test; each test uses its part"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use annapurna_contract::Queue;
use annapurna_local::paper_site::PaperSite;
use annapurna_local_testing::{with_arxiv_feed, without_own_settings};
use annapurna_test_needs::needs;
use serde_json::Value;

pub mod process;

/// Beginning of the names of the environments' folders.
const PREFIX: &str = "environment-";
pub const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A local environment that is destroyed with this value, also when a rule does not hold.
pub struct Deployment {
    pub state: tempfile::TempDir,
    /// The papers' site; the sample site when empty.
    pub paper_site: String,
}

impl Deployment {
    pub fn new() -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        remove_leftovers(target);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let state = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(target)
            .unwrap();
        Self {
            state,
            paper_site: String::new(),
        }
    }

    pub fn home(&self) -> PathBuf {
        self.state.path().join("local")
    }

    pub fn run(&self, args: &[&str]) -> Output {
        process::output(&mut self.command(args))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = infra(self.state.path());
        if !self.paper_site.is_empty() {
            command.env("ANNAPURNA_PAPER_SITE_URL", &self.paper_site);
        }
        command.args(args);
        command
    }

    /// Starts a deploy that is to be cut off, with its standard error to read.
    pub fn start_deploy(&self) -> Child {
        self.start(&["deploy", "local", "--yes", "--no-sample"])
    }

    /// Starts a command, with its standard error to read.
    pub fn start(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Starts a command, with all that it says to read.
    pub fn start_saying(&self, args: &[&str]) -> Child {
        let mut command = self.command(args);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// Runs a command that must succeed and returns its standard output.
    pub fn infra(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "infra {args:?}\n{out}\n{err}");
        out
    }

    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.infra(args)).unwrap()
    }

    /// Those of the index, which has no others than accepted ones.
    pub fn papers(&self) -> Vec<Value> {
        let papers = self.json(&["papers", "local", "--json", "--limit", "100"]);
        let papers = papers.as_array().unwrap().iter();
        let accepted = papers.filter(|paper| paper["decision"] == "accept");
        accepted.cloned().collect()
    }

    pub fn tested(&self) -> usize {
        self.papers()
            .iter()
            .filter(|paper| paper["tested"] == true)
            .count()
    }

    pub fn endpoint(&self) -> String {
        let outputs = self.json(&["outputs", "local", "--json"]);
        let queue = annapurna_stack::outputs::Output::QueueUrl(Queue::Research);
        let url = outputs[&*queue.name()].as_str().unwrap().to_owned();
        url.split('/').take(3).collect::<Vec<_>>().join("/")
    }

    /// Root at the emulator.
    pub fn sdk_config(&self) -> aws_config::SdkConfig {
        root_at(&self.endpoint())
    }

    pub fn s3(&self) -> aws_sdk_s3::Client {
        annapurna_cloud::s3_client(&self.sdk_config())
    }

    /// What an object holds.
    pub async fn object(&self, bucket: &str, key: &str) -> Vec<u8> {
        let object = self.s3().get_object().bucket(bucket).key(key).send().await;
        object.unwrap().body.collect().await.unwrap().to_vec()
    }

    /// Every version of every object with this ending.
    pub async fn versions(&self, bucket: &str, ending: &str) -> Vec<String> {
        let listed = self.listed_versions(bucket, ending).await;
        listed.into_iter().map(|(key, _)| key).collect()
    }

    /// The keys of objects with this ending, once for each content that one had: a write that was repeated because
    /// its answer got lost is none more.
    pub async fn contents(&self, bucket: &str, ending: &str) -> Vec<String> {
        let listed = self.listed_versions(bucket, ending).await;
        let distinct: BTreeSet<(String, String)> = listed.into_iter().collect();
        distinct.into_iter().map(|(key, _)| key).collect()
    }

    /// Key and entity tag of every version.
    async fn listed_versions(&self, bucket: &str, ending: &str) -> Vec<(String, String)> {
        let mut pages = self.s3().list_object_versions().bucket(bucket).send().await;
        let mut listed = Vec::new();
        loop {
            let page = pages.unwrap();
            let versions = page.versions().iter();
            listed.extend(versions.map(|version| {
                let tag = version.e_tag().unwrap();
                (version.key().unwrap().to_owned(), tag.to_owned())
            }));
            if page.is_truncated() != Some(true) {
                break;
            }
            pages = self
                .s3()
                .list_object_versions()
                .bucket(bucket)
                .set_key_marker(page.next_key_marker().map(str::to_owned))
                .set_version_id_marker(page.next_version_id_marker().map(str::to_owned))
                .send()
                .await;
        }
        listed.retain(|(key, _)| key.ends_with(ending));
        listed
    }

    /// Programs that have a result.
    pub async fn results(&self) -> usize {
        let kept = self.kept().await;
        let results = kept
            .keys()
            .filter(|key| key.ends_with("/outputs/result.json"));
        results.count()
    }

    /// Whether no message waits or is with anybody; a dead letter fails the test.
    pub fn nothing_queued(&self) -> bool {
        let queues = self.json(&["queues", "local", "--json"]);
        queues.as_array().unwrap().iter().all(|queue| {
            assert_eq!(queue["dead"], 0, "{queue}");
            queue["waiting"] == 0 && queue["in_flight"] == 0
        })
    }

    pub fn service(&self, name: &str) -> Value {
        let file = self.home().join("run").join(format!("{name}.json"));
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    pub fn pid_of(&self, service: &str) -> i64 {
        self.service(service)["pid"].as_i64().unwrap()
    }

    /// Has the tester take what waits, however little.
    pub fn dispatch(&self) {
        let event = r#"{"action":"dispatch","force":true}"#;
        self.infra(&["invoke", "local", "PapersCodeTester", event]);
    }

    /// Requests that the model answered since the environment was first deployed.
    pub fn model_requests(&self) -> ModelRequests {
        let mut requests = ModelRequests::default();
        for line in self.logged("model", "answered") {
            match line["operation"].as_str() {
                Some("invoke") => requests.embeddings += 1,
                _ => requests.conversations += 1,
            }
        }
        requests
    }

    /// How often the agent began to run a program since the environment was first deployed.
    pub fn runs(&self) -> usize {
        self.logged("agent", "running").len()
    }

    /// The lines with this message of a service's log.
    fn logged(&self, service: &str, message: &str) -> Vec<Value> {
        let log = self.home().join("logs").join(format!("{service}.log"));
        let log = std::fs::read_to_string(log).unwrap();
        let lines = log.lines();
        let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["message"] == message).collect()
    }

    /// Kills every service and all that it started, at once.
    pub fn kill_everything(&self) {
        let services = ["emulator", "opensearch", "model", "paper-site", "agent"];
        let sessions = services.map(|name| self.pid_of(name));
        let members: Vec<String> = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|pid| {
                // pid (name) state parent group session …; the name may hold anything.
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                let fields = stat.rsplit_once(") ").map(|(_, rest)| rest);
                let session = fields.and_then(|fields| fields.split(' ').nth(3)?.parse().ok());
                session.is_some_and(|session: i64| sessions.contains(&session))
            })
            .collect();
        assert!(members.len() >= services.len(), "{members:?}");
        // One that ended by itself meanwhile is no failure.
        let killed = Command::new("kill").arg("-9").args(&members).output();
        killed.unwrap();
    }

    /// The entity tags of what is written once for a paper: PDF, verdict, program and result. A verdict and a
    /// result say when they were made, so a second one has another tag.
    pub async fn kept(&self) -> BTreeMap<String, String> {
        let s3 = self.s3();
        let mut kept = BTreeMap::new();
        for bucket in [
            "llm-research-papers",
            "papers-code-artifacts",
            "papers-test-outputs",
        ] {
            let listed = s3.list_objects_v2().bucket(bucket).send().await.unwrap();
            assert_ne!(listed.is_truncated(), Some(true), "more than one page");
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

    /// How many programs the agent runs now.
    pub async fn programs_running(&self) -> u64 {
        let url = format!("http://127.0.0.1:{}/health", self.service("agent")["port"]);
        let health: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        health["busy"].as_u64().unwrap()
    }
}

/// Root at an emulator.
pub fn root_at(endpoint: &str) -> aws_config::SdkConfig {
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    let root = Credentials::new("test", "test", None, None, "test");
    aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(aws_config::Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(root))
        .build()
}

/// What would be paid for if the model were one that costs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ModelRequests {
    /// One for each time that the judge looks for papers near to one.
    pub embeddings: usize,
    /// Questions of the judge and of the generator.
    pub conversations: usize,
}

/// Nothing that was there is gone or was written again.
pub fn unchanged(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
    for (key, tag) in before {
        assert_eq!(after.get(key), Some(tag), "{key}");
    }
}

/// Ends what a test that was killed left running: an environment outlives the process that deployed it.
pub fn remove_leftovers(target: &Path) {
    for entry in std::fs::read_dir(target).unwrap().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            infra(&entry.path())
                .args(["destroy", "local", "--yes"])
                .output()
                .unwrap();
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
    }
}

/// The aws CLI of version 2; `None` where the machine has none and need not have it.
pub fn aws_cli() -> Option<&'static str> {
    let found = ["/usr/bin/aws", "/usr/local/bin/aws", "aws"]
        .into_iter()
        .find(|program| {
            let version = Command::new(program).arg("--version").output();
            version.is_ok_and(|output| text(&output.stdout).starts_with("aws-cli/2."))
        });
    needs(
        found,
        "the aws CLI of version 2",
        "install it (Debian: awscli)",
    )
}

/// The program, for environments in `state`, without AWS settings of whoever runs the tests.
pub fn infra(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_infra"));
    command
        .args(["--project", PROJECT])
        .arg("--state")
        .arg(state);
    without_own_settings(&mut command);
    command
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["emulator", "agent", "model"] {
                let log = std::fs::read_to_string(self.home().join(format!("logs/{name}.log")));
                let log = log.unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(25).collect();
                eprintln!("--- end of {name}.log, newest first\n{}", tail.join("\n"));
            }
        }
        self.run(&["destroy", "local", "--yes"]);
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn kill(pid: i64) {
    process::signal("KILL", pid);
    // The signal is only sent: on a busy machine threads of the process may run for a moment longer.
    let begin = Instant::now();
    while is_there(pid) {
        assert!(begin.elapsed() < Duration::from_secs(60), "{pid} lives on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process, or a thread of it, has not ended yet. One that nobody has collected has ended.
fn is_there(pid: i64) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()
    };
    match value("State:") {
        None => false,
        Some("Z" | "X") => !matches!(value("Threads:"), Some("0" | "1")),
        Some(_) => true,
    }
}

/// Processes of a function of this environment: they have its name and the emulator's address.
pub fn function_processes(function: &str, endpoint: &str) -> Vec<i64> {
    let wanted = [
        format!("AWS_LAMBDA_FUNCTION_NAME={function}"),
        format!("AWS_ENDPOINT_URL={endpoint}"),
    ];
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i64>().ok())
        .filter(|pid| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let environ = text(&environ);
            let variables: BTreeSet<&str> = environ.split('\0').collect();
            wanted
                .iter()
                .all(|variable| variables.contains(variable.as_str()))
        })
        .collect()
}

/// Waits until something holds; every wait has a limit and says what it waits for.
pub async fn until(what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(
            start.elapsed() < limit,
            "{what} did not happen within {limit:?}"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Serves a site for as long as the runtime lives.
pub async fn serve(site: PaperSite) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(site.serve(listener));
    url
}

/// So many papers that the rules accept, each clearly another one, as an Atom feed with their PDFs.
pub fn distinct_papers(count: usize) -> PaperSite {
    const WORDS: [&str; 12] = [
        "ocean currents",
        "river levels",
        "railway timetables",
        "violin acoustics",
        "soil moisture",
        "court rulings",
        "galaxy clusters",
        "bird migration",
        "steel welding",
        "bread fermentation",
        "traffic lights",
        "glacier melting",
    ];
    let entry = |number: usize| {
        let words = WORDS[number % WORDS.len()];
        let stations = [
            "north", "south", "east", "west", "inner", "outer", "upper", "lower",
        ];
        let stations: String = stations.map(|it| format!("{it}{number} ")).concat();
        format!(
            "<entry><id>http://arxiv.org/abs/2602.{number:05}v1</id>\
             <title>A transformer language model for {words} {number}</title>\
             <updated>2026-02-0{}T00:00:00Z</updated>\
             <link href=\"https://arxiv.org/pdf/2602.{number:05}v1\" rel=\"related\" \
             type=\"application/pdf\" title=\"pdf\"/>\
             <summary>We train a neural network on {words} with gradient descent. Records of {words} \
             from the stations {stations}are its only data; {words} are predicted one week ahead.</summary>\
             <published>2026-02-0{}T00:00:00Z</published>\
             <author><name>Author {number}</name></author></entry>",
            number % 9 + 1,
            number % 9 + 1,
        )
    };
    let entries: String = (1..=count).map(entry).collect();
    let feed = format!(
        "<?xml version='1.0' encoding='UTF-8'?><feed xmlns=\"http://www.w3.org/2005/Atom\">{entries}</feed>"
    );
    let pdf = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n\
        xref\n0 1\n0000000000 65535 f \ntrailer<</Root 1 0 R/Size 3>>\nstartxref\n9\n%%EOF";
    with_arxiv_feed(PaperSite::new(), &feed, [pdf.to_vec()])
}
