//! What leads out of the program once it runs: other processes, code made on the way, files elsewhere, the network.
//!
//! Imports are looked at by themselves; here it is names, attributes, arguments and words.

use annapurna_contract::text::one_line;
use ruff_python_ast::{Expr, ExprCall, ExprContext, FStringPart, InterpolatedStringElement};

use crate::finding::{Finding, Rule};
use crate::modules::{self, Module};
use crate::program::{Place, Program};
use annapurna_contract::Backend;

/// What may not be named, by its path, with its rule and what to do in its place.
const PATHS: [(Rule, &str, &[&str]); 6] = [
    (
        Rule::DynamicCode,
        "makes code while the program runs: write out what it is to do",
        &[
            "exec",
            "eval",
            "compile",
            "__import__",
            "globals",
            "__builtins__",
            "__loader__",
            "__spec__",
            "sys.modules",
            "sys._getframe",
            "sys.meta_path",
            "os.__dict__",
            "sys.__dict__",
            "types.FunctionType",
            "types.CodeType",
        ],
    ),
    (
        Rule::Input,
        "waits for a person, and nobody answers",
        &["input", "breakpoint", "sys.stdin", "sys.breakpointhook"],
    ),
    (
        Rule::Process,
        "starts or ends processes: a program is one process",
        &[
            "os.system",
            "os.popen",
            "os.fork",
            "os.forkpty",
            "os.kill",
            "os.killpg",
            "os.startfile",
            "os.execl",
            "os.execle",
            "os.execlp",
            "os.execlpe",
            "os.execv",
            "os.execve",
            "os.execvp",
            "os.execvpe",
            "os.spawnl",
            "os.spawnle",
            "os.spawnlp",
            "os.spawnlpe",
            "os.spawnv",
            "os.spawnve",
            "os.spawnvp",
            "os.spawnvpe",
            "os.posix_spawn",
            "os.posix_spawnp",
            "os.setuid",
            "os.setsid",
        ],
    ),
    (
        Rule::NativeCode,
        "loads native code: use what torch has",
        &["torch.ops.load_library", "torch.classes.load_library"],
    ),
    (
        Rule::Paths,
        "leaves the program's folder: read and write in it",
        &[
            "os.chdir",
            "os.fchdir",
            "os.chroot",
            "os.path.expanduser",
            "os.symlink",
            "os.link",
            "pathlib.Path.home",
        ],
    ),
    (
        Rule::Downloads,
        "fetches things, and there is no network: use a data set of the loader and train from the start",
        &["torch.hub", "torch.utils.model_zoo"],
    ),
];
/// Methods and functions that fetch, whatever they belong to.
const FETCH: [&str; 8] = [
    "from_pretrained",
    "load_state_dict_from_url",
    "download_url_to_file",
    "download_url",
    "urlretrieve",
    "urlopen",
    "snapshot_download",
    "hf_hub_download",
];
/// Ways from any object to Python's own.
const INNER: [&str; 8] = [
    "__subclasses__",
    "__globals__",
    "__builtins__",
    "__code__",
    "__import__",
    "__bases__",
    "__mro__",
    "__loader__",
];
/// Functions and methods whose first argument is a path.
const TAKE_PATHS: [&str; 20] = [
    "open",
    "io.open",
    "pathlib.Path",
    "os.makedirs",
    "os.mkdir",
    "os.listdir",
    "os.remove",
    "os.unlink",
    "os.rename",
    "os.replace",
    "os.rmdir",
    "os.scandir",
    "os.walk",
    "os.path.join",
    "shutil.rmtree",
    "glob.glob",
    "numpy.save",
    "numpy.load",
    "torch.load",
    "numpy.savez",
];
/// First parts of paths that a machine has.
const ROOTS: [&str; 22] = [
    "home",
    "tmp",
    "etc",
    "usr",
    "var",
    "opt",
    "mnt",
    "data",
    "dev",
    "proc",
    "sys",
    "root",
    "content",
    "kaggle",
    "workspace",
    "scratch",
    "srv",
    "run",
    "datasets",
    "media",
    "Users",
    "bin",
];

pub(crate) fn look(program: &Program<'_>, backend: Backend) -> Vec<Finding> {
    let mut found = Vec::new();
    for at in &program.exprs {
        let finding = match at.node {
            Expr::Name(it) if it.ctx == ExprContext::Load => {
                named(program, at.node, at.place, backend)
            }
            Expr::Attribute(it) => inner_or_fetched(it.attr.as_str())
                .or_else(|| named(program, at.node, at.place, backend)),
            // `getattr(os, "system")` has a path, too.
            Expr::Call(call) => argument(program, call, at.place)
                .or_else(|| named(program, at.node, at.place, backend)),
            Expr::StringLiteral(it) => word(it.value.to_str()),
            Expr::FString(it) => first_words(it.value.as_slice()).and_then(word),
            _ => None,
        };
        if let Some((rule, message)) = finding {
            found.push(program.finding(rule, at.node, message));
        }
    }
    found
}

/// What may not be named, imported or not.
pub(crate) fn refused(path: &str) -> Option<(Rule, String)> {
    let (rule, why, _) = PATHS.iter().find(|(_, _, paths)| paths.contains(&path))?;
    Some((*rule, format!("`{}` {why}", one_line(path, 80))))
}

/// A name or an attribute that stands for something outside.
fn named(
    program: &Program<'_>,
    expr: &Expr,
    place: Place,
    backend: Backend,
) -> Option<(Rule, String)> {
    let path = program.path(expr, place.scope)?;
    if let Some(refused) = refused(&path) {
        return Some(refused);
    }
    // `import torch` and then `torch.hub.load`, `torch.multiprocessing.spawn`.
    match modules::of(&path, backend) {
        Module::Outside(rule, why)
            if path.starts_with("torch.") || path.starts_with("concurrent.") =>
        {
            Some((rule, format!("`{}` {why}", one_line(&path, 80))))
        }
        _ => None,
    }
}

fn inner_or_fetched(attribute: &str) -> Option<(Rule, String)> {
    if INNER.contains(&attribute) {
        let message = format!("`{attribute}` leads to Python's inside: write out what it is to do");
        return Some((Rule::DynamicCode, message));
    }
    FETCH.contains(&attribute).then(|| {
        let message = format!(
            "`{attribute}` fetches things, and there is no network: use a data set of the loader and train from the start"
        );
        (Rule::Downloads, message)
    })
}

/// What is given to a call.
fn argument(program: &Program<'_>, call: &ExprCall, place: Place) -> Option<(Rule, String)> {
    for keyword in &*call.arguments.keywords {
        let name = keyword.arg.as_ref().map_or("", |name| name.as_str());
        let is_on = |value: &Expr| {
            let constant = program.constant(value, place.scope);
            constant.is_some_and(|it| it.is_true())
        };
        if matches!(name, "download" | "pretrained") && is_on(&keyword.value) {
            let message = format!("`{name}` fetches things, and there is no network");
            return Some((Rule::Downloads, message));
        }
        if name == "allow_pickle" && is_on(&keyword.value) {
            let message = "`allow_pickle` runs what is in a file".to_owned();
            return Some((Rule::DynamicCode, message));
        }
    }
    let first = call.arguments.args.first()?;
    let word = match first {
        Expr::StringLiteral(it) => it.value.to_str(),
        Expr::FString(it) => first_words(it.value.as_slice())?,
        _ => return None,
    };
    let called = program.called(call, place);
    let called = called.as_deref().unwrap_or("");
    if is_address(word) && called != "print" {
        let message = format!(
            "`{}` is an address, and there is no network",
            one_line(word, 60)
        );
        return Some((Rule::Network, message));
    }
    let is_outside = word.starts_with('/') || word.split('/').any(|part| part == "..");
    (TAKE_PATHS.contains(&called) && is_outside).then(|| outside_path(word))
}

fn outside_path(word: &str) -> (Rule, String) {
    let message = format!(
        "`{}` is outside of the program's folder: name files of its own folder",
        one_line(word, 60)
    );
    (Rule::Paths, message)
}

fn is_address(word: &str) -> bool {
    let schemes = ["http://", "https://", "ftp://", "s3://", "gs://", "hf://"];
    schemes.iter().any(|scheme| word.starts_with(scheme))
}

/// A word that is a path wherever it stands.
fn word(word: &str) -> Option<(Rule, String)> {
    let first = word.strip_prefix('/').and_then(|rest| {
        let (first, _) = rest.split_once('/').unwrap_or((rest, ""));
        ROOTS.contains(&first).then_some(())
    });
    let is_path = first.is_some()
        || word.starts_with("~/")
        || word.starts_with("../")
        || word.starts_with("file:/")
        || (word.get(1..3) == Some(":\\") && word.starts_with(|it: char| it.is_ascii_alphabetic()));
    if is_path {
        return Some(outside_path(word));
    }
    if word == "__builtins__" || word == "__import__" {
        let message = format!("`{word}` leads to Python's inside: write out what it is to do");
        return Some((Rule::DynamicCode, message));
    }
    None
}

/// What an f-string begins with.
fn first_words(parts: &[FStringPart]) -> Option<&str> {
    match parts.first()? {
        FStringPart::Literal(it) => Some(it.as_str()),
        FStringPart::FString(it) => match it.elements.iter().next()? {
            InterpolatedStringElement::Literal(it) => Some(&*it.value),
            InterpolatedStringElement::Interpolation(_) => None,
        },
    }
}
