//! Words of messages, results and index fields as enums.
//!
//! On the wire and in the index each is its word. A word of another version is kept as it is, so that what
//! an older or newer part wrote can be read, and is written back unchanged.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
            /// A word of another version.
            Other(String),
        }

        impl $name {
            /// The word on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)*
                    Self::Other(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$variant,)*
                    _ => Self::Other(word),
                }
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                match value {
                    $name::Other(word) => word,
                    known => known.as_str().to_owned(),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

pub(crate) use words;

/// How a program's run ended: the closed set of what a result says. What is not the program's doing is no
/// result and has an [`AgentFault`] instead.
///
/// None is ever read out of what a program printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestStatus {
    /// Exit code 0 within every limit.
    Success,
    /// Any other exit code, or a signal; [`ErrorType`] says more.
    ProgramError,
    /// It ran longer than its batch allows.
    Timeout,
    /// It used more memory than a program may.
    MemoryLimit,
    /// It printed more on one stream than a program may.
    OutputLimit,
    /// It wrote more, or more files, than a program may.
    DiskLimit,
    /// It was ended for a system call that no program may make, or is not run since the agent ended with it twice.
    Denied,
}

impl TestStatus {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::ProgramError => "program_error",
            Self::Timeout => "timeout",
            Self::MemoryLimit => "memory_limit",
            Self::OutputLimit => "output_limit",
            Self::DiskLimit => "disk_limit",
            Self::Denied => "denied",
        }
    }
}

/// Why a program has no result: never its own doing. It is tried again, and its batch becomes a dead letter when
/// that does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentFault {
    /// Something of the agent, its machine, or S3 is not as it has to be.
    AgentError,
    /// Another process held the program's NeuronCore.
    DeviceBusy,
}

impl AgentFault {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AgentError => "agent_error",
            Self::DeviceBusy => "device_busy",
        }
    }
}

/// What has become of a batch that an agent took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    /// Its programs wait for a place or run.
    Running,
    /// Each program has its result.
    Done,
    /// Some program has none, and a batch of the queue went back to it.
    Unfinished,
}

words! {
    /// Why a program did not succeed, in finer words than [`TestStatus`].
    ErrorType {
        /// Python cannot read it.
        Syntax = "syntax",
        /// A module, or a name in one, is not there; torch has a word of its own.
        Import = "import",
        /// It ran longer than its batch allows.
        Timeout = "timeout",
        /// It used more memory than a program may.
        Memory = "memory",
        /// It printed more on one stream than a program may.
        OutputLimit = "output_limit",
        /// It wrote more files than a program may.
        DiskLimit = "disk_limit",
        /// It had more processes than a program may; agents before `status` said so.
        ProcessLimit = "process_limit",
        /// A signal ended it, and not for a limit.
        Signal = "signal",
        /// Any other exception or exit code.
        Runtime = "runtime",
        /// It ended with code 0 and reported a number that cannot be: a NaN, an infinity, an accuracy of 9.
        Metrics = "metrics",
        /// The agent ended twice while it ran, so it is not run again.
        EndedAgent = "ended_agent",
        /// The interpreter has no torch, a fault of the machine; agents before `status` said so.
        NoTorch = "no_torch",
        /// Nothing confines programs on this machine; agents before `status` said so.
        Sandbox = "sandbox",
        /// The program is missing, or not the announced one; agents before `status` said so.
        Code = "code",
    }
}

words! {
    /// What a program ran on.
    ExecutedOn {
        /// A NeuronCore of the instance.
        Trainium = "trainium",
        /// The machine's own processor, in `local` and without a Neuron device.
        Cpu = "cpu",
    }
}

words! {
    /// How a program was confined.
    Isolation {
        /// Namespaces, made by bubblewrap, in a control group of the run's own.
        Bubblewrap = "bubblewrap",
        /// Not at all: nothing was run, or the settings of a machine said that nothing shall confine programs.
        NotConfined = "none",
    }
}

words! {
    /// Whether the agent runs programs.
    HealthStatus {
        /// It runs what it is given, in a sandbox that was tried.
        Healthy = "healthy",
        /// It does not: nothing confines programs there.
        Refusing = "refusing",
    }
}

words! {
    /// What the judge decided about a paper.
    Decision {
        /// The paper gets a program.
        Accept = "accept",
        /// The paper ends with its verdict.
        Reject = "reject",
        /// A person decides.
        Undecided = "undecided",
    }
}

words! {
    /// The question that a rejected paper failed.
    Question {
        /// Does it belong to the topic?
        Relevance = "relevance",
        /// Is it a paper that the index does not have?
        Novelty = "novelty",
        /// Can a small version of it be tested on one NeuronCore within hours?
        Fit = "fit",
    }
}

words! {
    /// The judge's answer to one [`Question`].
    YesOrNo {
        /// It does, or it is.
        Yes = "yes",
        /// It does not, or it is not.
        No = "no",
    }
}

/// What an agent without a Neuron device runs programs on.
impl Default for ExecutedOn {
    fn default() -> Self {
        Self::Cpu
    }
}

/// What a result says that names no isolation.
impl Default for Isolation {
    fn default() -> Self {
        Self::NotConfined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_itself_on_the_wire_and_an_unknown_one_survives() {
        for (word, known) in [
            ("no_torch", ErrorType::NoTorch),
            ("output_limit", ErrorType::OutputLimit),
            (
                "device_on_fire",
                ErrorType::Other("device_on_fire".to_owned()),
            ),
        ] {
            let json = format!("\"{word}\"");
            let read: ErrorType = serde_json::from_str(&json).unwrap();
            assert_eq!(read, known);
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
            assert_eq!(read.to_string(), word);
        }
        assert!(serde_json::from_str::<ErrorType>("7").is_err());
    }

    #[test]
    fn a_status_is_one_of_a_closed_set() {
        use TestStatus::*;
        for status in [
            Success,
            ProgramError,
            Timeout,
            MemoryLimit,
            OutputLimit,
            DiskLimit,
            Denied,
        ] {
            let json = format!("\"{}\"", status.as_str());
            assert_eq!(serde_json::to_string(&status).unwrap(), json);
            assert_eq!(serde_json::from_str::<TestStatus>(&json).unwrap(), status);
        }
        for fault in [AgentFault::AgentError, AgentFault::DeviceBusy] {
            let json = format!("\"{}\"", fault.as_str());
            assert_eq!(serde_json::to_string(&fault).unwrap(), json);
            let no_result = serde_json::from_str::<TestStatus>(&json);
            assert!(no_result.is_err(), "{json} is never published");
        }
    }
}
