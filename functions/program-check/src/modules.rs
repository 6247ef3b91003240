//! The modules that programs may import: the one list of what an instance has.

use annapurna_contract::Backend;

use crate::finding::Rule;

/// Of Python's own: what computes, and reads and writes files of the program's folder.
const STANDARD: [&str; 62] = [
    "__future__",
    "abc",
    "argparse",
    "array",
    "ast",
    "base64",
    "bisect",
    "calendar",
    "cmath",
    "collections",
    "concurrent",
    "contextlib",
    "contextvars",
    "copy",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "dis",
    "enum",
    "fractions",
    "functools",
    "gc",
    "glob",
    "graphlib",
    "gzip",
    "hashlib",
    "heapq",
    "inspect",
    "io",
    "itertools",
    "json",
    "keyword",
    "linecache",
    "logging",
    "math",
    "numbers",
    "operator",
    "os",
    "pathlib",
    "platform",
    "pprint",
    "queue",
    "random",
    "re",
    "shutil",
    "statistics",
    "string",
    "struct",
    "sys",
    "tempfile",
    "textwrap",
    "threading",
    "time",
    "timeit",
    "traceback",
    "types",
    "typing",
    "unicodedata",
    "warnings",
    "zlib",
];
/// Installed beside Python on every instance, and what the agent lays beside the program. Sources:
/// `infra/local/src/torch.rs`; AWS Neuron documentation, "Deep Learning AMI".
const INSTALLED: [&str; 4] = ["dataset_loader", "numpy", "torch", "typing_extensions"];

/// What leads out of the program, with the rule it breaks; a module stands for all below it.
const OUTSIDE: [(Rule, &str, &[&str]); 6] = [
    (
        Rule::Network,
        "reaches for a network, and there is none",
        &[
            "aiohttp",
            "boto3",
            "botocore",
            "ftplib",
            "http",
            "httpx",
            "imaplib",
            "nntplib",
            "paramiko",
            "poplib",
            "requests",
            "smtplib",
            "socket",
            "socketserver",
            "ssl",
            "telnetlib",
            "torch.distributed.rpc",
            "urllib",
            "urllib3",
            "webbrowser",
            "websockets",
            "wsgiref",
            "xmlrpc",
        ],
    ),
    (
        Rule::Process,
        "starts processes: a program is one process",
        &[
            "concurrent.futures.ProcessPoolExecutor",
            "concurrent.futures.process",
            "joblib",
            "multiprocessing",
            "pexpect",
            "pty",
            "sh",
            "subprocess",
            "torch.multiprocessing",
            "torch_xla.distributed.xla_multiprocessing",
        ],
    ),
    (
        Rule::DynamicCode,
        "makes code while the program runs: write out what it is to do",
        &[
            "__builtin__",
            "builtins",
            "cloudpickle",
            "code",
            "codeop",
            "dill",
            "imp",
            "importlib",
            "marshal",
            "pickle",
            "pkgutil",
            "runpy",
            "shelve",
            "zipimport",
        ],
    ),
    (
        Rule::NativeCode,
        "loads native code: use what torch has",
        &[
            "_ctypes",
            "Cython",
            "cffi",
            "ctypes",
            "distutils",
            "numba",
            "numpy.ctypeslib",
            "numpy.f2py",
            "torch.utils.cpp_extension",
            "triton",
        ],
    ),
    (
        Rule::Input,
        "asks a person, and nobody answers",
        &[
            "bdb", "cmd", "curses", "getpass", "pdb", "readline", "tkinter",
        ],
    ),
    (
        Rule::Downloads,
        "fetches things, and there is no network: use a data set of the loader and train from the start",
        &[
            "ensurepip",
            "gdown",
            "huggingface_hub",
            "kagglehub",
            "pip",
            "setuptools",
            "torch.hub",
            "torch.utils.model_zoo",
            "torchvision.datasets",
            "wget",
        ],
    ),
];

/// What is known of a module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Module {
    OnInstance,
    /// Nobody may import it: the rule, and why.
    Outside(Rule, &'static str),
    Unknown,
}

/// What is known of a module, or of something in one, by its dotted path.
pub(crate) fn of(path: &str, backend: Backend) -> Module {
    for (rule, why, modules) in OUTSIDE {
        if modules.iter().any(|module| is_below(path, module)) {
            return Module::Outside(rule, why);
        }
    }
    let first = path.split('.').next().unwrap_or(path);
    match names(backend).any(|name| name == first) {
        true => Module::OnInstance,
        false => Module::Unknown,
    }
}

/// The modules that a program may rely on where it trains on `backend`, without those below them.
pub(crate) fn names(backend: Backend) -> impl Iterator<Item = &'static str> {
    let of_backend: &[&str] = match backend {
        Backend::Xla => &["torch_xla"],
        Backend::TorchNeuron | Backend::Cuda | Backend::Cpu | Backend::Auto => &[],
    };
    let all = INSTALLED.iter().chain(of_backend).chain(&STANDARD);
    all.copied()
}

/// Whether a path is this module or something in it.
pub(crate) fn is_below(path: &str, module: &str) -> bool {
    path.strip_prefix(module)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
