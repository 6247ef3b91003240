//! Says whether the sandbox holds on this machine, by running a program that tries to get out of it.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use annapurna_confinement::{Groups, NotConfined};
use annapurna_contract::Isolation;
use annapurna_contract::text::{chain, excerpt};

use crate::program::{Limits, Request};
use crate::runner::{End, Runner};
use crate::sandbox::{Method, Parts, Sandbox};
use crate::shutdown::Shutdown;

/// What the settings ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum IsolationChoice {
    /// bubblewrap in a control group, or nothing is run
    Bubblewrap,
    /// Programs are not confined: they can do whatever the agent's user can
    None,
}

/// Why nothing confines programs here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("programs cannot be confined on this machine, so none is run: {}", .0.iter().map(|(method, reason)| format!("{method}: {reason}")).collect::<Vec<_>>().join("; "))]
pub struct NoSandbox(pub Vec<(Isolation, String)>);

/// The sandbox that `choice` asks for, if it holds here. Blocks for a moment.
///
/// # Errors
///
/// [`NoSandbox`] says why it does not hold, and what mends it.
pub fn find_sandbox(choice: IsolationChoice, parts: &Parts) -> Result<Sandbox, NoSandbox> {
    let found = match choice {
        IsolationChoice::None => return Ok(Sandbox::unproven(Method::Unconfined, parts.clone())),
        IsolationChoice::Bubblewrap => bubblewrap(parts),
    };
    found.map_err(|reason| NoSandbox(vec![(Isolation::Bubblewrap, reason)]))
}

fn bubblewrap(parts: &Parts) -> Result<Sandbox, String> {
    let told = |error: NotConfined| format!("{}: {}", chain(&error), error.hint());
    let binary = annapurna_confinement::find();
    let binary = binary.ok_or_else(|| told(NotConfined::NoBubblewrap))?;
    let groups = Groups::claim(&parts.state_dir).map_err(|error| told(error.into()))?;
    proven(Method::Bubblewrap(binary, groups), parts)
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
    let run = run.map_err(|error| advised(chain(&error)))?;
    match run.end {
        End::Exited(0) if run.stdout.bytes == b"contained\n" => Ok(sandbox),
        end => Err(format!(
            "the probe ended with {end:?}: {}",
            excerpt(&run.stderr.bytes, 500)
        )),
    }
}

/// What bubblewrap says where user namespaces are refused, with what allows them.
fn advised(reason: String) -> String {
    match annapurna_confinement::advice(&reason) {
        Some(advice) => {
            format!("{reason}: the kernel refuses user namespaces to this user: {advice}")
        }
        None => reason,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_why_and_what_to_do() {
        let reason = advised("bwrap: setting up uid map: Permission denied".to_owned());
        let refusal = NoSandbox(vec![(Isolation::Bubblewrap, reason)]).to_string();
        assert!(
            refusal.contains("bubblewrap: bwrap: setting up uid map"),
            "{refusal}"
        );
        assert!(refusal.contains("AppArmor"), "{refusal}");
        assert_eq!(advised("disk full".to_owned()), "disk full");
    }
}
