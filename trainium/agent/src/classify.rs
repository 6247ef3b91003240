//! Says in one word and one line why a program failed.
//!
//! In: how the run ended and its standard error. Out: `error_type` and `error_message` of the result.
//! Standard error is the program's text: one line of it is cut, escaped and quoted, nothing more.

use annapurna_contract::ErrorType;
use annapurna_contract::text::escaped;

use crate::program::Limits;
use crate::runner::{End, LimitHit};

/// Longest `error_message`, characters; a document of the index holds it.
const MAX_MESSAGE: usize = 500;

/// Why a program failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The result's `error_type`, one word of a fixed list.
    pub kind: ErrorType,
    /// The result's `error_message`: one line that a person can act on.
    pub message: String,
}

impl Failure {
    /// A failure whose message is our own text.
    pub(crate) fn new(kind: ErrorType, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

/// The failure a run ended with; `None` when the program succeeded.
pub fn classify(end: &End, stderr: &[u8], limits: &Limits, python: &str) -> Option<Failure> {
    match end {
        End::Exited(0) => None,
        End::Exited(code) => Some(from_stderr(*code, stderr, python)),
        End::Signalled(signal) => Some(Failure::new(ErrorType::Signal, signal_message(*signal))),
        End::Limit(hit) => Some(limit_failure(*hit, limits)),
    }
}

fn limit_failure(hit: LimitHit, limits: &Limits) -> Failure {
    let mib = |bytes: u64| bytes / (1024 * 1024);
    match hit {
        LimitHit::Time => Failure::new(
            ErrorType::Timeout,
            format!("ran longer than {} s", limits.timeout.as_secs()),
        ),
        LimitHit::Memory => Failure::new(
            ErrorType::Memory,
            format!("used more than {} MiB of memory", mib(limits.memory_bytes)),
        ),
        LimitHit::Output => Failure::new(
            ErrorType::OutputLimit,
            format!(
                "printed more than {} MiB on one stream",
                mib(limits.output_bytes)
            ),
        ),
        LimitHit::Disk => Failure::new(
            ErrorType::DiskLimit,
            format!("wrote more than {} MiB of files", mib(limits.disk_bytes)),
        ),
    }
}

fn signal_message(signal: i32) -> String {
    let name = nix::sys::signal::Signal::try_from(signal).map_or("unknown", |known| known.as_str());
    let hint = match name {
        "SIGKILL" => ": the system was perhaps out of memory",
        "SIGXCPU" => ": it used more processor time than its limit",
        "SIGXFSZ" => ": it wrote a file larger than its limit",
        _ => "",
    };
    format!("ended by signal {signal} ({name}){hint}")
}

fn from_stderr(code: i32, stderr: &[u8], python: &str) -> Failure {
    let text = String::from_utf8_lossy(stderr);
    let Some(line) = exception_line(&text) else {
        return Failure::new(
            ErrorType::Runtime,
            format!("exit code {code}, nothing on stderr"),
        );
    };
    let exception = line.split_once(':').map_or(line, |(name, _)| name);
    let kind = match exception {
        "SyntaxError" | "IndentationError" | "TabError" => ErrorType::Syntax,
        "ModuleNotFoundError" if is_missing_torch(line) => {
            return Failure::new(ErrorType::NoTorch, no_torch_message(python));
        }
        "ImportError" | "ModuleNotFoundError" => ErrorType::Import,
        "MemoryError" => ErrorType::Memory,
        _ if line.contains("DefaultCPUAllocator") && line.contains("allocate memory") => {
            ErrorType::Memory
        }
        _ => ErrorType::Runtime,
    };
    Failure::new(kind, escaped(line, MAX_MESSAGE))
}

fn is_missing_torch(line: &str) -> bool {
    line.contains("No module named 'torch'") || line.contains("No module named 'torch.")
}

/// What to do about an interpreter without torch.
pub(crate) fn no_torch_message(python: &str) -> String {
    format!(
        "the interpreter {python} has no torch: install it (`pip install torch` in its environment, on \
         Debian `apt-get install python3-torch`) or name another interpreter with AGENT_PYTHON"
    )
}

/// The last line that reads like `package.SomeError: text`, else the last line that is not empty.
fn exception_line(text: &str) -> Option<&str> {
    let lines = || text.lines().rev().filter(|line| !line.trim().is_empty());
    lines()
        .take(200)
        .find(|line| is_exception(line))
        .or_else(|| lines().next())
        .map(str::trim)
}

fn is_exception(line: &str) -> bool {
    let name = line.split_once(':').map_or(line, |(name, _)| name);
    let last = name.rsplit_once('.').map_or(name, |(_, last)| last);
    let is_dotted_name = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '.');
    let endings = ["Error", "Exception", "Interrupt", "Exit", "Stop"];
    is_dotted_name && endings.iter().any(|ending| last.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn failure(end: End, stderr: &str) -> Failure {
        let limits = Limits {
            timeout: Duration::from_secs(5),
            memory_bytes: 64 << 20,
            output_bytes: 4 << 20,
            disk_bytes: 1 << 20,
            processes: 8,
        };
        classify(&end, stderr.as_bytes(), &limits, "/usr/bin/python3").unwrap()
    }

    #[test]
    fn the_exceptions_name_decides() {
        for (line, kind) in [
            ("SyntaxError: invalid syntax", ErrorType::Syntax),
            ("IndentationError: unexpected indent", ErrorType::Syntax),
            (
                "ModuleNotFoundError: No module named 'torch'",
                ErrorType::NoTorch,
            ),
            (
                "ModuleNotFoundError: No module named 'torch.nn'",
                ErrorType::NoTorch,
            ),
            (
                "ModuleNotFoundError: No module named 'torchvision'",
                ErrorType::Import,
            ),
            ("ImportError: cannot import name 'x'", ErrorType::Import),
            ("MemoryError", ErrorType::Memory),
            ("torch.cuda.OutOfMemoryError: no", ErrorType::Runtime),
            (
                "RuntimeError: [enforce fail at alloc_cpu.cpp:66] . DefaultCPUAllocator: can't allocate memory",
                ErrorType::Memory,
            ),
            ("ValueError: bad", ErrorType::Runtime),
        ] {
            let text = format!("Traceback (most recent call last):\n  File \"x\"\n{line}\n");
            assert_eq!(failure(End::Exited(1), &text).kind, kind, "{line}");
        }
    }

    #[test]
    fn a_program_without_torch_says_what_to_install() {
        let found = failure(
            End::Exited(1),
            "ModuleNotFoundError: No module named 'torch'",
        );
        assert!(
            found
                .message
                .contains("/usr/bin/python3 has no torch: install it")
        );
    }

    #[test]
    fn what_follows_the_exception_does_not_hide_it() {
        let text = "Traceback\nValueError: bad input\n  note\nException ignored in: x\nbye";
        assert_eq!(
            failure(End::Exited(1), text).message,
            "ValueError: bad input"
        );
        assert_eq!(
            failure(End::Exited(3), "just this\n\n").message,
            "just this"
        );
        assert_eq!(
            failure(End::Exited(3), "").message,
            "exit code 3, nothing on stderr"
        );
    }

    #[test]
    fn messages_are_escaped_and_cut() {
        let text = format!("ValueError: \u{1b}[31m\u{202e}é{}", "x".repeat(1000));
        let message = failure(End::Exited(1), &text).message;
        assert!(message.starts_with("ValueError: \\u{1b}[31m\\u{202e}é"));
        assert_eq!(message.chars().count(), MAX_MESSAGE);
    }

    #[test]
    fn limits_and_signals_name_their_numbers() {
        assert_eq!(
            failure(End::Limit(LimitHit::Time), "").message,
            "ran longer than 5 s"
        );
        assert_eq!(
            failure(End::Limit(LimitHit::Memory), "").kind,
            ErrorType::Memory
        );
        assert_eq!(
            failure(End::Signalled(11), "").message,
            "ended by signal 11 (SIGSEGV)"
        );
    }
}
