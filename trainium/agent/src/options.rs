//! The agent's command line and environment, as written and as checked.

use std::net::SocketAddr;
use std::path::PathBuf;

use annapurna_contract::Backend;
use annapurna_users::UserRange;

use crate::device;
use crate::launch::Launch;
use crate::probe::IsolationChoice;
use crate::program::Limits;

/// Programs at a time where nobody says otherwise and none has a Neuron device.
const SLOTS: u16 = 2;
const EXAMPLES: &str = "\
Examples:
  trainium-agent check --python /usr/bin/python3
      What isolation, Python, torch and Neuron devices this machine has, as JSON
  TESTING_QUEUE_URL=https://sqs.us-east-1.amazonaws.com/111122223333/code-testing.fifo \\
  CODE_BUCKET=papers-code-artifacts OUTPUTS_BUCKET=papers-test-outputs \\
  DATASETS_BUCKET=datasets-for-all-papers trainium-agent --state-dir /var/lib/annapurna
      Pull batches and run them
  curl -s localhost:8765/health
      Ask a running agent
  curl -s localhost:8765/execute -H 'content-type: application/json' -d '{\"code\": \"print(1)\"}'
      Run one program and see its result

Environment: TESTING_QUEUE_URL, CODE_BUCKET, OUTPUTS_BUCKET and DATASETS_BUCKET must be set to pull
batches. AWS credentials, region and endpoint are found as by every AWS SDK.";

/// Run generated programs in a sandbox and report what they did
#[derive(Debug, clap::Parser)]
#[command(name = "trainium-agent", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do; without one, pull batches until SIGTERM.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The same for every command, before or after it.
    #[command(flatten)]
    pub options: Options,
}

/// What else the binary does.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print as JSON what isolation, Python, torch and Neuron devices were found
    Check,
    /// Stand between the agent and a program; for the agent itself
    #[command(hide = true)]
    Launch {
        /// Which of the two processes between agent and program this one is.
        #[command(subcommand)]
        part: Launch,
    },
}

/// The settings as written.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Interpreter of the programs
    #[arg(long, env = "AGENT_PYTHON", default_value = "python3", global = true)]
    pub python: String,
    /// Folder with dataset_loader.py [default: `python` beside this binary]
    #[arg(long, env = "AGENT_PYTHONPATH", global = true)]
    pub python_path: Option<PathBuf>,
    /// Folder of the agent: running programs, data sets
    #[arg(
        long,
        env = "AGENT_STATE_DIR",
        default_value = "/var/lib/annapurna",
        global = true
    )]
    pub state_dir: PathBuf,
    /// Address of the HTTP API
    #[arg(
        long,
        env = "AGENT_LISTEN",
        default_value = "127.0.0.1:8765",
        global = true
    )]
    pub listen: SocketAddr,
    /// Bearer token of the HTTP API; needed on an address that is not loopback
    #[arg(long, env = "AGENT_TOKEN", hide_env_values = true, global = true)]
    pub token: Option<String>,
    /// What programs train on: xla, torch-neuron, cuda, cpu, or auto for what torch sees. With one of the first three
    /// no batch is taken before a program has trained on it
    #[arg(long, env = "AGENT_BACKEND", default_value_t = Backend::Auto, global = true)]
    pub backend: Backend,
    /// Programs at a time; one on a Neuron device, whatever is said here
    #[arg(long, env = "AGENT_SLOTS", default_value_t = SLOTS, value_parser = clap::value_parser!(u16).range(1..=32), global = true)]
    pub slots: u16,
    /// Memory of a program, MiB [default: 70 % of the machine's, divided by the slots]
    #[arg(long, env = "AGENT_MEMORY_MIB", value_parser = clap::value_parser!(u64).range(64..), global = true)]
    pub memory_mib: Option<u64>,
    /// Output of a program on each of its two streams, MiB
    #[arg(long, env = "AGENT_OUTPUT_MIB", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=256), global = true)]
    pub output_mib: u64,
    /// Files of a program, MiB
    #[arg(long, env = "AGENT_DISK_MIB", default_value_t = 2048, value_parser = clap::value_parser!(u64).range(1..), global = true)]
    pub disk_mib: u64,
    /// Processes and threads of a program
    #[arg(long, env = "AGENT_PROCESSES", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(16..), global = true)]
    pub processes: u64,
    /// EC2 instance type, for the results
    #[arg(
        long,
        env = "AGENT_INSTANCE_TYPE",
        default_value = "local",
        global = true
    )]
    pub instance_type: String,
    /// How programs are confined; where that does not work, none is run
    #[arg(
        long,
        env = "AGENT_ISOLATION",
        value_enum,
        default_value = "bubblewrap",
        global = true
    )]
    pub isolation: IsolationChoice,
    /// Exit with code 64 when no program has run for so many minutes, so that the machine is stopped [default: never]
    #[arg(long, env = "AGENT_IDLE_STOP_MINUTES", value_parser = clap::value_parser!(u32).range(1..=1440), global = true)]
    pub idle_stop_minutes: Option<u32>,
    /// User ids of the programs when the agent is root, FIRST-LAST; each slot takes one that is nobody's
    #[arg(long, env = "AGENT_RUN_AS", default_value_t = UserRange::UNASSIGNED, global = true)]
    pub run_as: UserRange,
}

/// Settings that do not fit together or this machine.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// Anyone could run programs here.
    #[error("listening on {0}, which is not loopback, needs a token: set AGENT_TOKEN")]
    TokenNeeded(SocketAddr),
    /// An empty token is no secret.
    #[error("AGENT_TOKEN is set but empty; give it 16 characters or more, or unset it")]
    WeakToken,
    /// The loader is not where it should be.
    #[error("there is no dataset_loader.py in {}: set AGENT_PYTHONPATH to its folder", .0.display())]
    NoLoader(PathBuf),
    /// The kernel does not say where this binary is.
    #[error("cannot find this binary")]
    Binary(#[source] std::io::Error),
}

impl Options {
    /// The token, when the address and the token fit together.
    ///
    /// # Errors
    ///
    /// [`OptionsError::TokenNeeded`] and [`OptionsError::WeakToken`].
    pub(crate) fn checked_token(&self) -> Result<Option<&str>, OptionsError> {
        match self.token.as_deref() {
            None if self.listen.ip().is_loopback() => Ok(None),
            None => Err(OptionsError::TokenNeeded(self.listen)),
            Some(token) if token.trim().len() < 16 => Err(OptionsError::WeakToken),
            // A header's value has no space around it, and a file that a token was read from ends with a line.
            Some(token) => Ok(Some(token.trim())),
        }
    }

    /// How long it may be idle; `None`: for ever.
    pub(crate) fn idle_stop(&self) -> Option<std::time::Duration> {
        let minutes = self.idle_stop_minutes?;
        Some(std::time::Duration::from_secs(60 * u64::from(minutes)))
    }

    /// The folder with `dataset_loader.py`.
    ///
    /// # Errors
    ///
    /// [`OptionsError::NoLoader`] when it is not there.
    pub(crate) fn loader_folder(&self) -> Result<PathBuf, OptionsError> {
        let folder = match &self.python_path {
            Some(folder) => folder.clone(),
            None => {
                let binary = std::env::current_exe().map_err(OptionsError::Binary)?;
                binary.with_file_name("python")
            }
        };
        match folder.canonicalize() {
            Ok(found) if found.join("dataset_loader.py").is_file() => Ok(found),
            _ => Err(OptionsError::NoLoader(folder)),
        }
    }

    /// Programs at a time on this backend.
    pub(crate) fn slots(&self) -> u16 {
        device::slots(self.backend, self.slots)
    }

    /// Limits of every program; the time is each batch's own.
    pub(crate) fn limits(&self) -> Limits {
        let mib = 1024 * 1024;
        let share = total_memory_bytes() / 10 * 7 / u64::from(self.slots());
        Limits {
            timeout: std::time::Duration::ZERO,
            memory_bytes: self.memory_mib.map_or(share, |memory| memory * mib),
            output_bytes: self.output_mib * mib,
            disk_bytes: self.disk_mib * mib,
            processes: self.processes,
        }
    }
}

/// `MemTotal`; 4 GiB where the kernel does not say.
fn total_memory_bytes() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").ok();
    let kib = info.as_deref().and_then(|info| {
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    kib.map_or(4 << 30, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    fn options(arguments: &[&str]) -> Options {
        let name = std::iter::once(&"trainium-agent");
        Cli::try_parse_from(name.chain(arguments)).unwrap().options
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_open_address_needs_a_token() {
        let open = ["--listen", "0.0.0.0:8765"];
        let error = options(&open).checked_token().unwrap_err();
        assert!(error.to_string().contains("set AGENT_TOKEN"));
        let with_token = [&open[..], &["--token", "0123456789abcdef"]].concat();
        assert!(options(&with_token).checked_token().is_ok());
        let with_line_end = options(&["--token", "0123456789abcdef\n"]);
        assert_eq!(
            with_line_end.checked_token().unwrap(),
            Some("0123456789abcdef")
        );
        assert!(options(&["--token", ""]).checked_token().is_err());
        assert_eq!(options(&[]).checked_token().unwrap(), None);
    }

    #[test]
    fn root_and_nobody_are_no_users_for_programs() {
        for refused in ["root", "nobody", "0-10", "65534-65534"] {
            let name = ["trainium-agent", "--run-as", refused];
            let error = Cli::try_parse_from(name).unwrap_err().to_string();
            assert!(error.contains("FIRST-LAST"), "{error}");
        }
        let range = options(&["--run-as", "70000-70009"]).run_as;
        assert_eq!(range.to_string(), "70000-70009");
    }

    #[test]
    fn options_may_follow_the_command() {
        let cli = Cli::try_parse_from(["trainium-agent", "check", "--python", "/x"]).unwrap();
        assert_eq!(cli.options.python, "/x");
    }

    #[test]
    fn the_launchers_arguments_are_taken_as_they_are() {
        let words = "trainium-agent launch supervise --enter /g -- bwrap --ro-bind / / -- /a launch confine";
        let cli = Cli::try_parse_from(words.split(' ')).unwrap();
        let Some(Command::Launch {
            part: Launch::Supervise { command, enter, .. },
        }) = cli.command
        else {
            panic!("it is the supervisor");
        };
        assert_eq!(enter, ["/g".into()] as [PathBuf; 1]);
        assert_eq!(command.join(" "), words.split_once("-- ").unwrap().1);
    }
}
