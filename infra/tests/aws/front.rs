//! The tests' OpenSearch behind HTTPS, as a domain in AWS has it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use annapurna_local_testing::search_url;

use super::OWN;

/// HTTPS in front of the index; it ends with this value.
pub(crate) struct Front {
    /// Where it listens on loopback.
    pub(crate) port: String,
    child: Child,
}

impl Front {
    pub(crate) async fn start(emulator_python: &Path) -> Self {
        let search = search_url().await;
        let mut child = Command::new(emulator_python)
            .arg("-I")
            .arg(format!("{OWN}/front.py"))
            .arg(format!("{OWN}/server.pem"))
            .arg(search.rsplit(':').next().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut port).unwrap();
        let port = port.trim().to_owned();
        Self { port, child }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}
