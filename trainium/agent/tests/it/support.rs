//! Sandboxes, programs, and a bucket and a queue in memory.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use annapurna_cloud::{
    Condition, Delivery, Found, Head, Message, MessageQueues, Object, ObjectError, ObjectStore,
    QueueError, Receive, Retry, Saved, Written,
};
use annapurna_contract::{AgentConfig, Backend, PaperId, TestResult, keys};
use annapurna_test_needs::needs;
use annapurna_users::UserRange;
use async_trait::async_trait;
use tempfile::TempDir;
use tokio::sync::{Notify, Semaphore};
use trainium_agent::{
    AgentHost, Datasets, Device, Executor, Interpreter, IsolationChoice, Limits, NoSandbox, Parts,
    ProgramUsers, Records, Request, Run, Runner, Sandbox, Shutdown, ShutdownTrigger, Slots,
    Suspects, Turns, find_sandbox, prepare_state,
};

pub(crate) const MIB: u64 = 1024 * 1024;
const SLOTS: usize = 2;

pub(crate) fn python_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../python")
        .canonicalize()
        .unwrap()
}

/// The system's interpreter rather than one in somebody's home, which another user cannot start.
pub(crate) fn python() -> &'static str {
    if Path::new("/usr/bin/python3").exists() {
        "/usr/bin/python3"
    } else {
        "python3"
    }
}

pub(crate) fn interpreter() -> &'static Interpreter {
    static FOUND: OnceLock<Interpreter> = OnceLock::new();
    FOUND.get_or_init(|| {
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(Interpreter::probe(python()))
                .unwrap()
        };
        // A thread of its own: the caller may be a task already.
        std::thread::spawn(runtime).join().unwrap()
    })
}

/// Nothing where the interpreter has no torch.
pub(crate) fn needs_torch(interpreter: &Interpreter) -> Option<()> {
    let remedy = format!(
        "install it for {} (Debian: python3-torch)",
        interpreter.executable.display()
    );
    needs(interpreter.torch.as_ref().map(drop), "torch", &remedy)
}

/// Nothing for everybody but root, who alone can become another user.
pub(crate) fn needs_root() -> Option<()> {
    let is_root = nix::unistd::geteuid().is_root();
    needs(is_root.then_some(()), "root", "run the tests as root")
}

pub(crate) fn limits() -> Limits {
    Limits {
        timeout: PATIENCE,
        memory_bytes: 512 * MIB,
        output_bytes: MIB,
        disk_bytes: 16 * MIB,
        processes: 64,
    }
}

/// A state folder with a sandbox that keeps its runs in it.
pub(crate) struct Bench {
    pub(crate) sandbox: Sandbox,
    pub(crate) state: TempDir,
}

impl Bench {
    fn new() -> Result<Self, NoSandbox> {
        Self::with(IsolationChoice::Bubblewrap)
    }

    fn with(choice: IsolationChoice) -> Result<Self, NoSandbox> {
        let state = tempfile::tempdir().unwrap();
        let parts = Parts {
            launcher: env!("CARGO_BIN_EXE_trainium-agent").into(),
            interpreter: interpreter().clone(),
            python_path: python_path(),
            state_dir: prepare_state(state.path()).unwrap(),
            users: Arc::new(ProgramUsers::claim(UserRange::UNASSIGNED, SLOTS).unwrap()),
            backend: Backend::Auto,
            devices: Vec::new(),
            slots: SLOTS,
        };
        let sandbox = find_sandbox(choice, &parts)?;
        Ok(Self { sandbox, state })
    }

    /// The sandbox, where this machine can have it.
    pub(crate) fn best() -> Option<Self> {
        let bubblewrap = Command::new("bwrap").arg("--version").output().ok();
        needs(bubblewrap, "bubblewrap", "install it (Debian: bubblewrap)")?;
        match Self::new() {
            Ok(bench) => Some(bench),
            Err(refusal) => needs(None, "a sandbox", &refusal.to_string()),
        }
    }

    /// What runs programs where the settings say that nothing confines them.
    pub(crate) fn unconfined() -> Self {
        Self::with(IsolationChoice::None).unwrap()
    }

    pub(crate) fn run(&self, code: &str, limits: Limits) -> Run {
        self.run_in(1, code, limits)
    }

    pub(crate) fn run_in(&self, slot: usize, code: &str, limits: Limits) -> Run {
        let (_trigger, shutdown) = Shutdown::new();
        let request = Request {
            code: code.as_bytes(),
            slot,
            limits,
            dry_run: false,
        };
        Runner::new(self.sandbox.clone())
            .run(&request, &shutdown)
            .unwrap()
    }
}

/// A name that no other process has in its command line.
pub(crate) fn unique_name(word: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{word}-{}-{count}-", std::process::id())
}

/// Whether any process of this machine has `word` in its command line.
pub(crate) fn is_running(word: &str) -> bool {
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).contains(word))
}

/// Longest wait for anything: it tells a test that hangs from a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// Waits for what will come about by itself.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let come_about = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, come_about).await;
    assert!(waited.is_ok(), "waited {} s: {what}", PATIENCE.as_secs());
}

/// Does `attempt` with longer and longer times until one was long enough for this machine as busy as it is.
pub(crate) fn with_time_enough<T>(what: &str, attempt: impl Fn(Duration) -> Option<T>) -> T {
    let mut time = Duration::from_secs(2);
    while time < PATIENCE {
        if let Some(done) = attempt(time) {
            return done;
        }
        time *= 3;
    }
    panic!("{} s were not enough: {what}", PATIENCE.as_secs());
}

/// What happened, in order, over bucket and queue.
pub(crate) type Events = Arc<Mutex<Vec<String>>>;

#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    pub(crate) objects: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(crate) events: Events,
    /// Writes of keys that end so are refused.
    pub(crate) refuse: Option<&'static str>,
    /// Writes of keys that end so are an event and tell the first when they begin, and end by a permit each.
    pub(crate) hold: Option<(&'static str, Arc<Notify>, Arc<Semaphore>)>,
}

impl MemoryStore {
    pub(crate) fn with_code(self, paper: &PaperId, code: &str) -> Self {
        let key = format!("code/{}", keys::code(paper));
        self.objects.lock().unwrap().insert(key, code.into());
        self
    }

    pub(crate) fn result(&self, paper: &PaperId) -> Option<TestResult> {
        let key = format!("outputs/{}", keys::result(paper));
        let objects = self.objects.lock().unwrap();
        objects
            .get(&key)
            .map(|bytes| serde_json::from_slice(bytes).unwrap())
    }

    pub(crate) fn put_result(&self, paper: &PaperId, result: &TestResult) {
        let key = format!("outputs/{}", keys::result(paper));
        let bytes = serde_json::to_vec(result).unwrap();
        self.objects.lock().unwrap().insert(key, bytes);
    }
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn read(
        &self,
        bucket: &str,
        key: &str,
        limit: u64,
    ) -> Result<Option<Found>, ObjectError> {
        let objects = self.objects.lock().unwrap();
        let found = objects.get(&format!("{bucket}/{key}")).cloned();
        match found {
            Some(bytes) if bytes.len() as u64 > limit => Err(ObjectError::TooLarge {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
                limit,
            }),
            found => Ok(found.map(|body| Found {
                body,
                etag: "v1".to_owned(),
            })),
        }
    }

    async fn head(&self, _bucket: &str, key: &str) -> Result<Option<Head>, ObjectError> {
        unreachable!("the agent reads {key} whole")
    }

    async fn write(
        &self,
        bucket: &str,
        key: &str,
        object: Object,
        condition: Condition<'_>,
    ) -> Result<Written, ObjectError> {
        assert_eq!(condition, Condition::Always);
        if self.refuse.is_some_and(|ending| key.ends_with(ending)) {
            return Err(ObjectError::Failed {
                operation: "PutObject",
                bucket: bucket.to_owned(),
                key: key.to_owned(),
                reason: "503".to_owned(),
            });
        }
        if let Some((ending, began, may_end)) = &self.hold
            && key.ends_with(ending)
        {
            self.events.lock().unwrap().push(format!("begin {key}"));
            began.notify_one();
            may_end.acquire().await.unwrap().forget();
        }
        self.events.lock().unwrap().push(format!("put {key}"));
        let mut objects = self.objects.lock().unwrap();
        objects.insert(format!("{bucket}/{key}"), object.body);
        Ok(Written::Done)
    }

    async fn save(
        &self,
        bucket: &str,
        key: &str,
        known: Option<&str>,
        file: &Path,
    ) -> Result<Saved, ObjectError> {
        let Some(found) = self.read(bucket, key, u64::MAX).await? else {
            return Ok(Saved::Missing);
        };
        if known == Some(found.etag.as_str()) {
            return Ok(Saved::Unchanged);
        }
        self.events.lock().unwrap().push(format!("fetch {key}"));
        std::fs::write(file, found.body).unwrap();
        Ok(Saved::Done(found.etag))
    }

    async fn folders(&self, bucket: &str) -> Result<Vec<String>, ObjectError> {
        let objects = self.objects.lock().unwrap();
        let keys = objects
            .keys()
            .filter_map(|key| key.strip_prefix(bucket)?.strip_prefix('/'));
        let folders =
            keys.filter_map(|key| key.split_once('/').map(|(folder, _)| folder.to_owned()));
        Ok(folders
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect())
    }
}

#[derive(Debug)]
pub(crate) struct MemoryQueue {
    pub(crate) waiting: Mutex<VecDeque<String>>,
    pub(crate) events: Events,
}

#[async_trait]
impl MessageQueues for MemoryQueue {
    async fn send(&self, queue_url: &str, _message: Message) -> Result<(), QueueError> {
        unreachable!("the agent sends nothing to {queue_url}")
    }

    async fn receive(
        &self,
        _queue_url: &str,
        _wanted: Receive,
    ) -> Result<Vec<Delivery>, QueueError> {
        let body = self.waiting.lock().unwrap().pop_front();
        match body {
            None => std::future::pending().await,
            Some(body) => Ok(vec![Delivery {
                message_id: "message-1".to_owned(),
                receipt: "receipt".to_owned(),
                body,
                group: None,
                sent_ms: None,
            }]),
        }
    }

    async fn hide(
        &self,
        _queue_url: &str,
        _receipt: &str,
        time: Duration,
    ) -> Result<(), QueueError> {
        let event = format!("hide {}", time.as_secs());
        self.events.lock().unwrap().push(event);
        Ok(())
    }

    async fn delete(&self, _queue_url: &str, _receipt: &str) -> Result<(), QueueError> {
        self.events.lock().unwrap().push("delete".to_owned());
        Ok(())
    }
}

/// Serves an API on a free port; its address.
pub(crate) async fn serve(api: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, api).await });
    format!("http://{address}")
}

/// Where an agent with this sandbox marks the programs that are under way.
pub(crate) fn suspects_folder(sandbox: &Sandbox) -> PathBuf {
    sandbox.parts().state_dir.join("suspects")
}

/// An executor whose buckets are called `code`, `outputs` and `datasets`.
pub(crate) fn executor(
    sandbox: Result<Sandbox, NoSandbox>,
    store: Arc<MemoryStore>,
) -> (Arc<Executor>, ShutdownTrigger) {
    let (trigger, shutdown) = Shutdown::new();
    let retry = Retry {
        attempts: 2,
        ..Retry::HASTY
    };
    let suspects = match &sandbox {
        Ok(sandbox) => Suspects::open(&suspects_folder(sandbox), Duration::ZERO).unwrap(),
        Err(_) => Suspects::open(tempfile::tempdir().unwrap().path(), Duration::ZERO).unwrap(),
    };
    let folder = sandbox
        .as_ref()
        .map_or_else(|_| "/nonexistent".into(), |found| found.parts().datasets());
    let executor = Executor {
        config: AgentConfig {
            testing_queue_url: "queue".to_owned(),
            code_bucket: "code".to_owned(),
            outputs_bucket: "outputs".to_owned(),
            datasets_bucket: "datasets".to_owned(),
        },
        datasets: Datasets::new(folder, "datasets".to_owned(), store.clone(), retry),
        store,
        sandbox,
        limits: limits(),
        host: AgentHost {
            instance_type: "local".to_owned(),
            python: python().to_owned(),
            torch: interpreter().torch.clone(),
            neuron: false,
        },
        device: Device::of(Backend::Auto),
        slots: Slots::new(SLOTS),
        turns: Turns::default(),
        suspects,
        records: Records::default(),
        retry,
        shutdown,
    };
    (Arc::new(executor), trigger)
}
