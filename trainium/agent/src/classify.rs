//! Says how a program ended, and in one word and one line why it failed.
//!
//! In: how the run ended and its standard error. Out: `status`, `error_type` and `error_message` of the result. The
//! status follows from what the kernel and the agent saw alone. Standard error is the program's text: it gives the
//! finer word of a `program_error`, and one line of it is cut, escaped and quoted, nothing more.

use annapurna_contract::text::escaped;
use annapurna_contract::{ErrorType, TestStatus};

use crate::program::Limits;
use crate::runner::{End, LimitHit};

/// Longest `error_message`, characters; a document of the index holds it.
const MAX_MESSAGE: usize = 500;

/// Why a program failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The result's `status`.
    pub status: TestStatus,
    /// The result's `error_type`, one word of a fixed list.
    pub kind: ErrorType,
    /// The result's `error_message`: one line that a person can act on.
    pub message: String,
}

impl Failure {
    /// A failure whose message is our own text.
    pub(crate) fn new(status: TestStatus, kind: ErrorType, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
        }
    }
}

/// The failure a run ended with; `None` when the program succeeded.
pub fn classify(end: &End, stderr: &[u8], limits: &Limits) -> Option<Failure> {
    match end {
        End::Exited(0) => None,
        End::Exited(code) => Some(from_stderr(*code, stderr)),
        End::Signalled(signal) => Some(signalled(*signal)),
        End::Limit(hit) => Some(limit_failure(*hit, limits)),
    }
}

fn limit_failure(hit: LimitHit, limits: &Limits) -> Failure {
    let mib = |bytes: u64| bytes / (1024 * 1024);
    match hit {
        LimitHit::Time => Failure::new(
            TestStatus::Timeout,
            ErrorType::Timeout,
            format!("ran longer than {} s", limits.timeout.as_secs()),
        ),
        LimitHit::Memory => Failure::new(
            TestStatus::MemoryLimit,
            ErrorType::Memory,
            format!("used more than {} MiB of memory", mib(limits.memory_bytes)),
        ),
        LimitHit::Output => Failure::new(
            TestStatus::OutputLimit,
            ErrorType::OutputLimit,
            format!(
                "printed more than {} MiB on one stream",
                mib(limits.output_bytes)
            ),
        ),
        LimitHit::Disk => Failure::new(
            TestStatus::DiskLimit,
            ErrorType::DiskLimit,
            format!("wrote more than {} MiB of files", mib(limits.disk_bytes)),
        ),
    }
}

/// The filter of system calls ends a program by SIGSYS. A program that sends itself one says no more than that.
fn signalled(signal: i32) -> Failure {
    let name = nix::sys::signal::Signal::try_from(signal).map_or("unknown", |known| known.as_str());
    let status = match name {
        "SIGSYS" => TestStatus::Denied,
        _ => TestStatus::ProgramError,
    };
    Failure::new(status, ErrorType::Signal, signal_message(signal, name))
}

fn signal_message(signal: i32, name: &str) -> String {
    let hint = match name {
        "SIGKILL" => ": the system was perhaps out of memory",
        "SIGXCPU" => ": it used more processor time than its limit",
        "SIGXFSZ" => ": it wrote a file larger than its limit",
        "SIGSYS" => ": it made a system call that no program may make",
        _ => "",
    };
    format!("ended by signal {signal} ({name}){hint}")
}

fn from_stderr(code: i32, stderr: &[u8]) -> Failure {
    let failed = |kind, message| Failure::new(TestStatus::ProgramError, kind, message);
    let text = String::from_utf8_lossy(stderr);
    let Some(line) = exception_line(&text) else {
        let message = format!("exit code {code}, nothing on stderr");
        return failed(ErrorType::Runtime, message);
    };
    let exception = line.split_once(':').map_or(line, |(name, _)| name);
    let kind = match exception {
        "SyntaxError" | "IndentationError" | "TabError" => ErrorType::Syntax,
        "ImportError" | "ModuleNotFoundError" => ErrorType::Import,
        "MemoryError" => ErrorType::Memory,
        _ if line.contains("DefaultCPUAllocator") && line.contains("allocate memory") => {
            ErrorType::Memory
        }
        _ => ErrorType::Runtime,
    };
    failed(kind, escaped(line, MAX_MESSAGE))
}

/// Whether a program failed for want of torch. On a machine that has it, that is the program's own doing.
pub(crate) fn misses_torch(failure: &Failure) -> bool {
    let names = |module| failure.message.contains(module);
    failure.kind == ErrorType::Import
        && (names("No module named 'torch'") || names("No module named 'torch."))
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
        classify(&end, stderr.as_bytes(), &limits).unwrap()
    }

    #[test]
    fn the_exceptions_name_decides() {
        for (line, kind) in [
            ("SyntaxError: invalid syntax", ErrorType::Syntax),
            ("IndentationError: unexpected indent", ErrorType::Syntax),
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
    fn what_a_program_prints_never_makes_its_status() {
        for text in [
            "MemoryError",
            "status: success",
            "ModuleNotFoundError: No module named 'torch'",
            "OSError: [Errno 28] No space left on device",
            "TimeoutError",
        ] {
            let found = failure(End::Exited(1), text);
            assert_eq!(found.status, TestStatus::ProgramError, "{text}");
        }
        for (hit, status) in [
            (LimitHit::Time, TestStatus::Timeout),
            (LimitHit::Memory, TestStatus::MemoryLimit),
            (LimitHit::Output, TestStatus::OutputLimit),
            (LimitHit::Disk, TestStatus::DiskLimit),
        ] {
            assert_eq!(failure(End::Limit(hit), "MemoryError").status, status);
        }
        let status = |signal| failure(End::Signalled(signal), "").status;
        assert_eq!(status(31), TestStatus::Denied, "SIGSYS");
        assert_eq!(status(9), TestStatus::ProgramError);
        assert_eq!(status(40), TestStatus::ProgramError, "a realtime signal");
    }

    #[test]
    fn a_program_that_wants_torch_says_so() {
        let wants = |text| misses_torch(&failure(End::Exited(1), text));
        assert!(wants("ModuleNotFoundError: No module named 'torch'"));
        assert!(wants("ModuleNotFoundError: No module named 'torch.nn'"));
        assert!(!wants("ModuleNotFoundError: No module named 'torchvision'"));
        assert!(!wants("ValueError: No module named 'torch'"));
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
