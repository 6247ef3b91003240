//! Finds the sandbox that holds on this machine, by running a program that tries to get out of it.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use annapurna_contract::Isolation;
use annapurna_contract::text::{chain, excerpt};

use crate::program::{Limits, Request};
use crate::runner::{End, Runner};
use crate::sandbox::{Method, Parts, Sandbox};
use crate::shutdown::Shutdown;

/// Which method the settings ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum IsolationChoice {
    /// bubblewrap where it works, else Landlock
    Auto,
    /// bubblewrap or nothing
    Bubblewrap,
    /// Landlock or nothing
    Landlock,
}

/// Why nothing confines programs here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("programs cannot be confined on this machine, so none is run: {}", .0.iter().map(|(method, reason)| format!("{method}: {reason}")).collect::<Vec<_>>().join("; "))]
pub struct NoSandbox(pub Vec<(Isolation, String)>);

/// Tries the methods `choice` allows and takes the first that holds. Blocks for about a second.
///
/// # Errors
///
/// [`NoSandbox`] says of each method why it does not hold.
pub fn find_sandbox(choice: IsolationChoice, parts: &Parts) -> Result<Sandbox, NoSandbox> {
    let mut reasons = Vec::new();
    if choice != IsolationChoice::Landlock {
        match find_in_path("bwrap") {
            None => reasons.push((Isolation::Bubblewrap, "`bwrap` is not installed".to_owned())),
            Some(binary) => match proven(Method::Bubblewrap(binary), parts) {
                Ok(sandbox) => return Ok(sandbox),
                Err(reason) => reasons.push((Isolation::Bubblewrap, reason)),
            },
        }
    }
    if choice != IsolationChoice::Bubblewrap {
        match proven(Method::Landlock, parts) {
            Ok(sandbox) => return Ok(sandbox),
            Err(reason) => reasons.push((Isolation::Landlock, reason)),
        }
    }
    Err(NoSandbox(reasons))
}

/// Runs a program that tries what programs must not be able to do.
fn proven(method: Method, parts: &Parts) -> Result<Sandbox, String> {
    let sandbox = Sandbox::unproven(method, parts.clone());
    let io = |error: std::io::Error| error.to_string();
    let secret = parts.state_dir.join("probe-secret");
    fs::write(&secret, "secret").map_err(io)?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(io)?;
    let port = listener.local_addr().map_err(io)?.port();
    let code = PROBE_PROGRAM
        .replace("SECRET", &format!("{:?}", secret.to_string_lossy()))
        .replace("PORT", &port.to_string());
    let (_trigger, shutdown) = Shutdown::new();
    let request = Request {
        code: code.as_bytes(),
        slot: 0,
        limits: PROBE_LIMITS,
        dry_run: false,
    };
    let run = Runner::new(sandbox.clone()).run(&request, &shutdown);
    let _ = fs::remove_file(&secret);
    let run = run.map_err(|error| chain(&error))?;
    match run.end {
        End::Exited(0) if run.stdout.bytes == b"contained\n" => Ok(sandbox),
        end => Err(format!(
            "the probe ended with {end:?}: {}",
            excerpt(&run.stderr.bytes, 500)
        )),
    }
}

const PROBE_LIMITS: Limits = Limits {
    timeout: Duration::from_secs(60),
    memory_bytes: 1 << 30,
    output_bytes: 1 << 16,
    disk_bytes: 1 << 24,
    processes: 64,
};

/// Prints `contained` only when files, network and user are as they must be.
const PROBE_PROGRAM: &str = r#"
import os, socket, sys
if os.getuid() == 0:
    sys.exit("the program would run as root")
for path in (SECRET, "/etc/shadow", os.path.expanduser("~root/.bashrc")):
    try:
        open(path).read()
    except OSError:
        continue
    sys.exit("the program could read " + path)
for kind, act in ((socket.SOCK_STREAM, "connect"), (socket.SOCK_DGRAM, "connect")):
    try:
        link = socket.socket(socket.AF_INET, kind)
        address = ("127.0.0.1", PORT) if kind == socket.SOCK_STREAM else ("192.0.2.1", 53)
        link.connect(address)
    except OSError:
        continue
    sys.exit("the program could reach the network")
with open("written", "w") as file:
    file.write("x")
print("contained")
"#;

/// The first executable of that name on the agent's `PATH`.
fn find_in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_gives_the_reason_of_each_method() {
        let refusal = NoSandbox(vec![
            (Isolation::Bubblewrap, "`bwrap` is not installed".to_owned()),
            (
                Isolation::Landlock,
                "this kernel does not enforce Landlock".to_owned(),
            ),
        ]);
        assert!(refusal.to_string().ends_with(
            "bubblewrap: `bwrap` is not installed; landlock: this kernel does not enforce Landlock"
        ));
    }
}
