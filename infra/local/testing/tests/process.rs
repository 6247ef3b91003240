//! Services: found again, ended with their children, never mistaken for another process.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use annapurna_local::Home;
#[cfg(target_os = "linux")]
mod common;

use annapurna_local::process::{self, ServiceSpec, ServiceState, variable};

const NAME: &str = "service";

fn shell(home: &Home, script: &str) -> ServiceState {
    process::spawn(home, &spec(script)).unwrap()
}

fn spec(script: &str) -> ServiceSpec {
    ServiceSpec {
        name: NAME,
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![variable("PATH", "/usr/bin:/bin"), variable("ONLY", "this")],
        cwd: "/".into(),
        user: None,
        port: Some(7),
    }
}

fn wait_for(file: &Path) -> String {
    let read = || fs::read_to_string(file).ok();
    let is_whole = || read().is_some_and(|text| text.ends_with('\n'));
    common::until(&format!("{} is written", file.display()), is_whole);
    read().unwrap().trim().to_owned()
}

#[test]
fn a_service_is_found_again_and_ends_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let file = folder.path().join("ended");
    let script = format!(
        "trap 'echo yes > {}; exit' TERM; echo up; while :; do sleep 0.05; done",
        file.display()
    );
    let state = shell(&home, &script);
    assert_eq!(process::running(&home, NAME), Some(state));
    common::until("it is up", || process::log_tail(&home, NAME) == "up");
    assert!(process::stop_now(&home, NAME, Duration::from_secs(10)).unwrap());
    assert_eq!(wait_for(&file), "yes");
    assert_eq!(process::running(&home, NAME), None);
}

#[test]
fn a_service_sees_only_the_environment_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let file = folder.path().join("env");
    shell(
        &home,
        &format!(
            "env | cut -d= -f1 | sort | tr '\\n' ' ' > {0}.tmp; echo >> {0}.tmp; mv {0}.tmp {0}",
            file.display()
        ),
    );
    let names = wait_for(&file);
    let unexpected: Vec<&str> = names
        .split_whitespace()
        .filter(|name| !["ONLY", "PATH", "PWD", "OLDPWD", "SHLVL", "_"].contains(name))
        .collect();
    assert!(names.contains("ONLY") && unexpected.is_empty(), "{names}");
    process::stop_now(&home, NAME, Duration::ZERO).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn children_in_process_groups_of_their_own_end_with_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let file = folder.path().join("child");
    // Job control puts the child in a group of its own.
    shell(
        &home,
        &format!("set -m; sleep 600 & echo $! > {}; wait", file.display()),
    );
    let child = wait_for(&file);
    assert!(common::lives(&child));
    process::stop_now(&home, NAME, Duration::from_secs(1)).unwrap();
    assert!(!common::lives(&child));
}

#[cfg(target_os = "linux")]
#[test]
fn children_of_a_killed_service_are_ended_by_the_next_stop() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let file = folder.path().join("child");
    let state = shell(
        &home,
        &format!("sleep 600 & echo $! > {}; wait", file.display()),
    );
    let child = wait_for(&file);
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(state.pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    let has_ended = || process::running(&home, NAME).is_none();
    common::until("the service has ended", has_ended);
    assert!(common::lives(&child));
    assert!(process::stop_now(&home, NAME, Duration::ZERO).unwrap());
    assert!(!common::lives(&child));
}

#[test]
fn a_process_that_got_the_number_of_an_ended_one_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let mut other = std::process::Command::new("sleep")
        .arg("600")
        .spawn()
        .unwrap();
    let stale = ServiceState {
        name: NAME.to_owned(),
        pid: i32::try_from(other.id()).unwrap(),
        start_mark: "an earlier boot+1".to_owned(),
        port: None,
        started_at: 0,
    };
    fs::create_dir_all(home.run()).unwrap();
    fs::write(
        home.run().join("service.json"),
        serde_json::to_vec(&stale).unwrap(),
    )
    .unwrap();
    assert_eq!(process::running(&home, NAME), None);
    assert!(!process::stop_now(&home, NAME, Duration::from_secs(1)).unwrap());
    assert!(
        other.try_wait().unwrap().is_none(),
        "the other process still runs"
    );
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn a_running_service_keeps_its_port() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    shell(&home, "sleep 600");
    assert_eq!(process::remembered_port(&home, NAME).unwrap(), 7);
    process::stop_now(&home, NAME, Duration::ZERO).unwrap();
    assert_ne!(process::remembered_port(&home, NAME).unwrap(), 7);
}

#[tokio::test]
async fn a_service_that_ends_while_starting_is_reported_with_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    shell(&home, "echo the port is taken; exit 1");
    let error = process::wait_for_answer(&home, NAME, Duration::from_secs(10), async || false)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("the port is taken"), "{error}");
}

#[test]
fn a_service_that_cannot_be_put_on_record_never_runs() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let ran = folder.path().join("ran");
    fs::create_dir_all(home.run().join("service.json/in-the-way")).unwrap();
    let error = process::spawn(&home, &spec(&format!("echo > {}", ran.display())));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("service.json"), "{error}");
    std::thread::sleep(Duration::from_millis(300));
    assert!(!ran.exists());
}

#[test]
fn a_program_that_is_not_there_is_an_error_and_stays_on_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let nothing = ServiceSpec {
        program: folder.path().join("nothing"),
        ..spec("")
    };
    let error = process::spawn(&home, &nothing).unwrap_err().to_string();
    assert!(error.contains("cannot start service"), "{error}");
    assert!(!home.run().join("service.json").exists());
}

/// Names the folder of the environment to the program that is killed, which is this test itself.
#[cfg(target_os = "linux")]
const KILLED_IN: &str = "ANNAPURNA_TEST_KILLED_IN";

#[cfg(target_os = "linux")]
#[test]
fn a_service_whose_starter_is_killed_before_it_is_on_record_never_runs() {
    let script = |folder: &Path| format!("echo up > {}/ran; sleep 600", folder.display());
    if let Some(folder) = std::env::var_os(KILLED_IN) {
        let home = Home::new(&folder);
        // Nobody reads this pipe, so what is written to the record's place waits forever.
        fs::create_dir_all(home.run()).unwrap();
        let record = format!("service.{}.partial", std::process::id());
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
        nix::unistd::mkfifo(&home.run().join(record), mode).unwrap();
        shell(&home, &script(Path::new(&folder)));
        panic!("the record was written");
    }
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new(folder.path());
    let name = "a_service_whose_starter_is_killed_before_it_is_on_record_never_runs";
    let mut starter = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(KILLED_IN, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut child = None;
    common::until("the starter has a child", || {
        assert_eq!(starter.try_wait().unwrap(), None, "the starter has ended");
        child = common::child_of(starter.id());
        child.is_some()
    });
    let child = child.unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(common::lives(&child), "it waits for its record");
    starter.kill().unwrap();
    starter.wait().unwrap();
    for _ in 0..400 {
        if !common::lives(&child) {
            break;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    assert!(
        !common::lives(&child),
        "process {child} outlived its starter"
    );
    assert!(!folder.path().join("ran").exists(), "the service ran");
    assert_eq!(process::running(&home, NAME), None);
    // The next start is one like any other.
    shell(&home, &script(folder.path()));
    assert_eq!(wait_for(&folder.path().join("ran")), "up");
    process::stop_now(&home, NAME, Duration::ZERO).unwrap();
}
