//! What OpenSearch and the emulator acknowledged survives a kill -9, in servers of the test's own.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use annapurna_local::emulator::{self, Emulator, EmulatorOptions};
use annapurna_local::process::{self, Detached};
use annapurna_local::python::Venv;
use annapurna_local::{Home, opensearch};
use annapurna_local_testing::{test_home, tools};
use common::{Stopped, script};
use serde_json::{Value, json};

/// A save that is not made in this time is never made.
const PATIENCE: Duration = Duration::from_secs(120);

/// Kills a service that runs and waits until it is gone.
async fn kill(home: &Home, service: &str) {
    let state = process::running(home, service).unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(state.pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    common::until("it has ended", || process::running(home, service).is_none());
}

async fn get(url: &str) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(url).send().await.unwrap().json().await.unwrap()
}

/// The folder is closed to other users, as one below /root is: run by root, the server then takes the
/// way through a user namespace; run by anybody else, the folder is simply theirs.
#[tokio::test]
async fn an_acknowledged_document_survives_kill_9() {
    let distribution = &tools().await.distribution;
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path().join("local"));
    let _stopped = Stopped(home.clone(), opensearch::SERVICE);

    let search = opensearch::start(&home, distribution, &Detached)
        .await
        .unwrap();
    let document = format!("{}/papers/_doc/1", search.url);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client
        .put(&document)
        .json(&json!({"title": "kept"}))
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success());
    let before = process::running(&home, opensearch::SERVICE).unwrap();
    assert_eq!(
        opensearch::start(&home, distribution, &Detached)
            .await
            .unwrap(),
        search,
        "a running server is not started again"
    );
    assert_eq!(
        process::running(&home, opensearch::SERVICE).unwrap(),
        before
    );

    kill(&home, opensearch::SERVICE).await;
    let again = opensearch::start(&home, distribution, &Detached)
        .await
        .unwrap();
    assert_eq!(again, search, "the port is remembered");
    assert_eq!(get(&document).await["_source"]["title"], "kept");

    assert!(opensearch::stop(&home).await.unwrap());
    assert!(
        !opensearch::stop(&home).await.unwrap(),
        "stopping twice is fine"
    );
    assert!(opensearch::running(&home).is_none());
}

/// An emulator in a folder of its own, which nobody restarts but the test.
struct Killed {
    _stopped: Stopped,
    _folder: tempfile::TempDir,
    home: Home,
    venv: &'static Venv,
    emulator: Emulator,
}

impl Killed {
    async fn new() -> Self {
        let venv = &tools().await.venv;
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("local"));
        let options = EmulatorOptions::default();
        let emulator = emulator::start(&home, venv, &options, &Detached)
            .await
            .unwrap();
        Self {
            emulator,
            _stopped: Stopped(home.clone(), emulator::SERVICE),
            _folder: folder,
            home,
            venv,
        }
    }

    fn script(&self, body: &str) -> Value {
        script(&self.venv.python(), &self.emulator.endpoint_url, body)
    }

    /// The saves, oldest first.
    fn saves(&self) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.home.data().join("emulator/saves")).unwrap();
        let mut saves: Vec<PathBuf> = folder
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|it| it == "save"))
            .collect();
        saves.sort();
        saves
    }

    /// Waits until the newest save knows of `text`.
    async fn saved(&self, text: &str) {
        let start = Instant::now();
        let knows = || {
            let newest = self.saves().pop();
            newest.is_some_and(|path| fs::read_to_string(path).is_ok_and(|it| it.contains(text)))
        };
        while !knows() {
            assert!(start.elapsed() < PATIENCE, "{text} is not saved");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn restarted(&self) {
        kill(&self.home, emulator::SERVICE).await;
        let options = EmulatorOptions::default();
        let again = emulator::start(&self.home, self.venv, &options, &Detached).await;
        assert_eq!(again.unwrap(), self.emulator, "the port is remembered");
    }
}

const MAKE: &str = "url = client('sqs').create_queue(QueueName='q.fifo', Attributes={'FifoQueue': 'true',\n    \
        'VisibilityTimeout': '3600'})['QueueUrl']\n\
    def send(body, group=None):\n    \
        client('sqs').send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group or body,\n        \
            MessageDeduplicationId=group or body)\n\
    def bodies():\n    \
        found = client('sqs').receive_message(QueueUrl=url, MaxNumberOfMessages=10).get('Messages', [])\n    \
        return sorted(it['Body'] for it in found)\n";

#[tokio::test]
async fn messages_in_hand_and_objects_survive_a_killed_emulator() {
    let killed = Killed::new().await;
    let made = killed.script(&format!(
        "{MAKE}\
         client('s3').create_bucket(Bucket='bucket')\n\
         client('s3').put_bucket_versioning(Bucket='bucket', VersioningConfiguration={{'Status': 'Enabled'}})\n\
         client('s3').put_object(Bucket='bucket', Key='k', Body=b'kept', Metadata={{'state': 'queued'}})\n\
         send('waits')\n\
         taken = bodies()\n\
         send('too')\n\
         print(json.dumps(taken))"
    ));
    assert_eq!(made, json!(["waits"]));
    killed.saved("\"too\"").await;
    killed.restarted().await;
    let found = killed.script(&format!(
        "{MAKE}\
         found = client('s3').get_object(Bucket='bucket', Key='k')\n\
         versioning = client('s3').get_bucket_versioning(Bucket='bucket')['Status']\n\
         print(json.dumps([bodies(), found['Body'].read().decode(), found['Metadata'], versioning]))"
    ));
    let object = json!([["too", "waits"], "kept", {"state": "queued"}, "Enabled"]);
    assert_eq!(found, object, "who had the message in hand is gone");
}

#[tokio::test]
async fn an_object_is_the_old_or_the_new_one_whole_whenever_the_emulator_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/scripts");
    let output = std::process::Command::new(tools().await.venv.python())
        .args(["-I", "-c", include_str!("objects.py")])
        .arg(folder.path())
        .args(["resources.py", "emulate.py"].map(|name| format!("{scripts}/{name}")))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let found: Vec<Vec<Value>> = serde_json::from_slice(&output.stdout).unwrap();
    let new = json!(["newer", "newer", 5]);
    for (found, old) in found.iter().zip([Value::Null, json!(["old", "old", 3])]) {
        // Both files are synced, then both renamed: four calls to be killed before.
        let n_old = found.iter().take_while(|it| **it == old).count();
        assert_eq!(found.len(), 5, "{found:?}");
        assert!((1..5).contains(&n_old), "{found:?}");
        assert!(found[n_old..].iter().all(|it| *it == new), "{found:?}");
    }
}

/// Lets the emulator write no byte behind the first `bytes` of a file, as on a full disk, or any number again.
fn limit_files(killed: &Killed, bytes: &str) {
    let pid = process::running(&killed.home, emulator::SERVICE)
        .unwrap()
        .pid;
    let limited = std::process::Command::new("prlimit")
        .args([
            "--pid",
            &pid.to_string(),
            &format!("--fsize={bytes}:unlimited"),
        ])
        .status();
    assert!(limited.unwrap().success());
}

#[tokio::test]
async fn saving_goes_on_after_nothing_could_be_written() {
    let killed = Killed::new().await;
    killed.script(&format!("{MAKE}send('first')\nprint(1)"));
    killed.saved("\"first\"").await;
    // A save with such a message in it is too long, a line of the log is not.
    let log = killed.home.logs().join("emulator.log");
    let room = fs::metadata(&log).unwrap().len() + 50_000;
    limit_files(&killed, &room.to_string());
    killed.script(&format!(
        "{MAKE}send('long' + 'x' * 200_000, 'long')\nsend('second')\nprint(1)"
    ));
    let start = Instant::now();
    while !fs::read_to_string(&log).unwrap().contains("not saved") {
        assert!(start.elapsed() < PATIENCE, "no save was tried");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let newest = killed.saves().pop().unwrap();
    assert!(!fs::read_to_string(newest).unwrap().contains("\"second\""));
    // Now the log takes nothing either.
    limit_files(&killed, "0");
    killed.script(&format!("{MAKE}send('third')\nprint(1)"));
    limit_files(&killed, "unlimited");
    killed.saved("\"third\"").await;
    killed.restarted().await;
    let found = killed.script(&format!(
        "{MAKE}print(json.dumps([body[:6] for body in bodies()]))"
    ));
    assert_eq!(found, json!(["first", "longxx", "second", "third"]));
}

#[tokio::test]
async fn a_damaged_save_gives_way_to_the_one_before() {
    let killed = Killed::new().await;
    killed.script(&format!("{MAKE}send('first')\nprint(1)"));
    killed.saved("\"first\"").await;
    killed.script(&format!("{MAKE}send('second')\nprint(1)"));
    killed.saved("\"second\"").await;
    kill(&killed.home, emulator::SERVICE).await;
    let newest = killed.saves().pop().unwrap();
    let whole = fs::read(&newest).unwrap();
    fs::write(&newest, &whole[..whole.len() / 2]).unwrap();
    let options = EmulatorOptions::default();
    emulator::start(&killed.home, killed.venv, &options, &Detached)
        .await
        .unwrap();
    let found = killed.script(&format!("{MAKE}print(json.dumps(bodies()))"));
    assert_eq!(found, json!(["first"]));
}
/// By root, each server runs as a user of its own, which shares its process limit with no other service;
/// data that was another user's (`nobody`'s, before) becomes its own. By anybody else it runs as the caller.
#[tokio::test]
async fn a_server_runs_as_a_user_of_its_own_and_takes_over_its_data() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let distribution = &tools().await.distribution;
    let folder = tempfile::tempdir_in(test_home().root()).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let home = Home::new(folder.path());
    let _stopped = Stopped(home.clone(), opensearch::SERVICE);
    let data = home.data().join(opensearch::SERVICE);
    let is_root = nix::unistd::geteuid().is_root();
    if is_root {
        fs::create_dir_all(data.join("data")).unwrap();
        chown(data.join("data"), Some(65_534), Some(65_534)).unwrap();
    }
    opensearch::start(&home, distribution, &Detached)
        .await
        .unwrap();
    let pid = process::running(&home, opensearch::SERVICE).unwrap().pid;
    let user = fs::metadata(format!("/proc/{pid}")).unwrap().uid();
    let owner = fs::metadata(data.join("data")).unwrap().uid();
    assert_eq!(owner, user);
    if is_root && folder_is_open(test_home().root()) {
        let number = opensearch::USERS.contains(user) || opensearch::FEW_USERS.contains(user);
        assert!(number, "{user}");
    } else {
        assert_eq!(user, nix::unistd::geteuid().as_raw());
    }
}

/// Whether every user may enter the folder.
fn folder_is_open(folder: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    folder
        .ancestors()
        .all(|it| fs::metadata(it).unwrap().mode() & 0o001 != 0)
}
