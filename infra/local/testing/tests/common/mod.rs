//! What several tests need.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses its part")]

use std::fmt::Display;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use annapurna_local::{Home, process};
use serde_json::Value;

/// Ends the server whatever happens to the test.
pub(crate) struct Stopped(pub(crate) Home, pub(crate) &'static str);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = process::stop_now(&self.0, self.1, Duration::ZERO);
    }
}

/// Waits until something holds, a minute at most.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}: not so");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// True for a process that has not ended; one that nobody collected yet has.
pub(crate) fn lives(pid: impl Display) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

/// The first child of a process.
pub(crate) fn child_of(parent: u32) -> Option<String> {
    let is_child = |pid: &String| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        // Behind the program's name, which may hold anything: state, parent.
        let parent_of = stat.as_deref().and_then(|stat| {
            let (_, rest) = stat.rsplit_once(')')?;
            rest.split_whitespace().nth(1)?.parse().ok()
        });
        parent_of == Some(parent)
    };
    let entries = std::fs::read_dir("/proc").unwrap();
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .find(is_child)
}

/// Runs a script with `client(service, key)` defined, on the emulator's own botocore; gives back the
/// JSON that it prints.
pub(crate) fn script(python: &Path, endpoint_url: &str, body: &str) -> Value {
    let prelude = format!(
        "import botocore.session, io, json, zipfile\n\
         def client(service, key='test'):\n    \
             return botocore.session.get_session().create_client(service, region_name='us-east-1',\n        \
                 endpoint_url='{endpoint_url}', aws_access_key_id=key, aws_secret_access_key='test')\n",
    );
    let output = Command::new(python)
        .args(["-I", "-c", &format!("{prelude}{body}")])
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}
