//! Programs that a test starts: each wait for one has a limit and says what did not come.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A command may build all functions, beside other tests on two cores.
pub const COMMAND_LIMIT: Duration = Duration::from_secs(1_800);

/// Runs a program to its end.
pub fn output(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    output_of(child.spawn().unwrap(), COMMAND_LIMIT)
}

/// What a program that was started says until its end.
pub fn output_of(child: Child, limit: Duration) -> Output {
    let pid = child.id();
    let (sender, ended) = channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match ended.recv_timeout(limit) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
            signal("KILL", i64::from(pid));
            let command = command.unwrap_or_default().replace('\0', " ");
            panic!("it did not end within {limit:?}: {command}");
        }
    }
}

/// The lines of a program's output as they come.
pub struct Said {
    lines: Receiver<String>,
}

impl Said {
    pub fn by(stream: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut said = BufReader::new(stream).lines().map_while(Result::ok);
            said.try_for_each(|line| sender.send(line))
        });
        Self { lines }
    }

    /// The next line with this in it; fails when the output ends without one or none comes within half an hour.
    #[track_caller]
    pub fn until(&self, part: &str) -> String {
        let begin = Instant::now();
        let mut before = Vec::new();
        loop {
            let left = COMMAND_LIMIT.saturating_sub(begin.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => before.push(line),
                Err(why) => panic!("\"{part}\" is not said ({why}):\n{}", before.join("\n")),
            }
        }
    }

    /// All that is still said.
    pub fn rest(&self) -> Vec<String> {
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(COMMAND_LIMIT) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => return rest,
                Err(RecvTimeoutError::Timeout) => panic!("its output does not end: {rest:?}"),
            }
        }
    }
}

/// Sends a signal, whose effect may come a moment later.
pub fn signal(name: &str, pid: i64) {
    let (name, pid) = (format!("-{name}"), pid.to_string());
    let status = Command::new("kill").args([&name, &pid]).status().unwrap();
    assert!(status.success(), "kill {name} {pid}");
}

/// Whether a process has a connection to this port of the machine.
pub fn is_connected(pid: u32, port: u64) -> bool {
    let sockets = connections(port);
    let files = std::fs::read_dir(format!("/proc/{pid}/fd"));
    files.into_iter().flatten().flatten().any(|file| {
        let link = std::fs::read_link(file.path());
        link.is_ok_and(|link| sockets.iter().any(|it| link == Path::new(it)))
    })
}

/// Whether anybody has a connection to this port of the machine.
pub fn has_connections(port: u64) -> bool {
    !connections(port).is_empty()
}

/// The sockets of the machine that are connected to one of its ports, as `/proc` names them.
fn connections(port: u64) -> Vec<String> {
    let remote = format!("0100007F:{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    // Number, local and remote address, state; the tenth is the socket's inode.
    let fields = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields
        .filter(|fields| fields.get(2) == Some(&&*remote) && fields.get(3) == Some(&"01"))
        .filter_map(|fields| Some(format!("socket:[{}]", fields.get(9)?)))
        .collect()
}
