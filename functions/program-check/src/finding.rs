//! What is found, under which rule, and in which line.

use std::fmt;

use serde::Serialize;

/// A rule that every program keeps. `docs/programs.md` lists them in these words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// What CPython compiles.
    Syntax,
    /// What fits the bucket's message and the model's answer.
    Length,
    /// Modules of the instance.
    Imports,
    /// Names that something binds.
    Names,
    /// No sockets, no addresses.
    Network,
    /// No other process.
    Process,
    /// No code made while it runs.
    DynamicCode,
    /// No libraries loaded by hand.
    NativeCode,
    /// Nobody answers a question.
    Input,
    /// Files of its own folder.
    Paths,
    /// The device of the environment.
    Device,
    /// Nothing fetched.
    Downloads,
    /// A data set that is there.
    DataSet,
    /// A model that is trained.
    Training,
    /// Held-out data, method and baseline.
    Evaluation,
    /// Numbers of both.
    Metrics,
    /// Numbers that were measured.
    InventedMetrics,
    /// Memory of one core.
    Size,
    /// Loops that end.
    Endless,
    /// XLA: one shape.
    StaticShapes,
    /// XLA: no waiting for the device.
    HostReads,
    /// XLA: steps that are marked.
    MarkStep,
}

impl Rule {
    /// Each of them, in the order of the page.
    pub const ALL: [Self; 22] = [
        Self::Syntax,
        Self::Length,
        Self::Imports,
        Self::Names,
        Self::Network,
        Self::Process,
        Self::DynamicCode,
        Self::NativeCode,
        Self::Input,
        Self::Paths,
        Self::Device,
        Self::Downloads,
        Self::DataSet,
        Self::Training,
        Self::Evaluation,
        Self::Metrics,
        Self::InventedMetrics,
        Self::Size,
        Self::Endless,
        Self::StaticShapes,
        Self::HostReads,
        Self::MarkStep,
    ];

    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Length => "length",
            Self::Imports => "imports",
            Self::Names => "names",
            Self::Network => "network",
            Self::Process => "process",
            Self::DynamicCode => "dynamic-code",
            Self::NativeCode => "native-code",
            Self::Input => "input",
            Self::Paths => "paths",
            Self::Device => "device",
            Self::Downloads => "downloads",
            Self::DataSet => "data-set",
            Self::Training => "training",
            Self::Evaluation => "evaluation",
            Self::Metrics => "metrics",
            Self::InventedMetrics => "invented-metrics",
            Self::Size => "size",
            Self::Endless => "endless",
            Self::StaticShapes => "static-shapes",
            Self::HostReads => "host-reads",
            Self::MarkStep => "mark-step",
        }
    }

    /// What a program does that keeps it.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Syntax => "is what Python 3.10 compiles, the oldest that runs programs",
            Self::Length => "has at most 64 KiB",
            Self::Imports => {
                "imports what every instance has, or what it does without where `ImportError` is caught"
            }
            Self::Names => "uses names that it binds, imports or Python has; no `import *`",
            Self::Network => "opens no connection and names no address",
            Self::Process => "starts no other program and no other process",
            Self::DynamicCode => {
                "makes no code while it runs: no `exec`, `eval`, `compile`, `__import__`, pickles or ways around them"
            }
            Self::NativeCode => "loads no library by hand and compiles none",
            Self::Input => "asks nobody: no `input`, no debugger",
            Self::Paths => "reads and writes in its own folder: no absolute path, no `..`, no home",
            Self::Device => {
                "trains on the device of the environment: `cuda` only where that is it, on `xla` torch_xla's device"
            }
            Self::Downloads => {
                "fetches nothing: no `download=True`, `torch.hub`, `from_pretrained`"
            }
            Self::DataSet => {
                "loads one or more of the data sets that are there by `dataset_loader.load_dataset`, and uses what it loads"
            }
            Self::Training => {
                "calls `backward()` and an optimiser's `step()` in a loop that is reached, more than once"
            }
            Self::Evaluation => {
                "measures the method and the baseline on held-out data by `dataset_loader.evaluate`"
            }
            Self::Metrics => {
                "prints `METRICS: ` with a JSON object that has keys `method_…` and `baseline_…`"
            }
            Self::InventedMetrics => "prints numbers that it computed, not ones that stand in it",
            Self::Size => "has parameters and tensors that fit one NeuronCore with their optimiser",
            Self::Endless => "has no loop without an end",
            Self::StaticShapes => {
                "on `xla`: gives the device one shape (`drop_last=True`, no `nonzero`, `unique`, `masked_select`)"
            }
            Self::HostReads => {
                "on `xla`: does not wait for the device in each step (`.item()`, `.cpu()`, `.tolist()`, `.numpy()`)"
            }
            Self::MarkStep => {
                "on `xla`: ends each step with `xm.mark_step()`, `xm.optimizer_step()` or `torch_xla.sync()`"
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing that keeps a program from its run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule it breaks.
    pub rule: Rule,
    /// Where, from 1; `None` where something is missing.
    pub line: Option<u32>,
    /// A sentence to mend it by, without a full stop.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {} [{}]", self.message, self.rule),
            None => write!(f, "{} [{}]", self.message, self.rule),
        }
    }
}

/// Why a program is not run: one or more sentences, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Findings(pub Vec<Finding>);
