//! One program to run, and what it may use.

use std::time::Duration;

/// The program's file name. Not `code.py`: that would hide Python's own module `code`.
pub(crate) const PROGRAM_FILE: &str = "program.py";

/// Wall-clock time of a dry run: enough for imports, data and first steps.
pub(crate) const DRY_RUN_TIME: Duration = Duration::from_secs(30);
/// What a program is told in a dry run: few samples of each data set, and XLA on the processor.
pub(crate) const DRY_RUN_VARIABLES: [(&str, &str); 3] = [
    ("ANNAPURNA_DRY_RUN", "1"),
    ("DATASET_SAMPLES", "64"),
    ("PJRT_DEVICE", "CPU"),
];

/// What a program may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Wall-clock time from the start of its sandbox.
    pub timeout: Duration,
    /// Memory of all its processes together, as the kernel counts it, bytes.
    pub memory_bytes: u64,
    /// Each of standard output and error, bytes.
    pub output_bytes: u64,
    /// Files in its folder and `/tmp` together, bytes.
    pub disk_bytes: u64,
    /// Processes and threads at a time; the kernel refuses one more.
    pub processes: u64,
}

/// One program to run.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Python source; it need not be UTF-8, and Python then says so.
    pub code: &'a [u8],
    /// Its place, from 0: the NeuronCore it sees and the user it runs as.
    pub slot: usize,
    /// What ends it when it takes more.
    pub limits: Limits,
    /// Whether it is told that this is a dry run.
    pub dry_run: bool,
}
