//! What has a build make the same bytes wherever the checkout, cargo's downloads and the compiler are.
//!
//! In: what cargo and rustc say about this machine. Out: the flags for rustc. Panics, logs and assertions name their
//! source file, and a crate's folder is below somebody's home; each such place is given one name that all machines share. The C code of
//! aws-lc-sys does so by itself. Different versions of rustc or zig make different bytes all the same.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use annapurna_stack::environment::Architecture;

use super::build::{Metadata, answer, metadata};
use crate::error::CommandError;

/// Between flags in `CARGO_ENCODED_RUSTFLAGS`. Source: The Cargo Book, "Environment variables Cargo reads".
const SEPARATOR: &str = "\u{1f}";

/// The value of `CARGO_ENCODED_RUSTFLAGS`, which goes before every other source of flags: before those that
/// cargo-lambda passes and those of a person's own configuration.
///
/// # Errors
///
/// [`CommandError::Build`] when cargo or rustc do not answer; cargo also downloads here what the build needs.
pub(super) async fn rustflags(
    root: &Path,
    architecture: Architecture,
) -> Result<OsString, CommandError> {
    let cargo = metadata(root, &["--locked"]).await?;
    let rustc = Rustc::of(&answer(root, "rustc", &["--version", "--verbose"]).await?)?;
    let sysroot = answer(root, "rustc", &["--print", "sysroot"]).await?;
    Ok(encoded(
        architecture,
        &places(&cargo, &rustc, Path::new(sysroot.trim())),
    ))
}

/// Each folder that a path in the binaries could begin with, with its shared name. Where one is in another the later
/// holds, so the outer go first. Source: The rustc book, "Remap source paths".
fn places(cargo: &Metadata, rustc: &Rustc, sysroot: &Path) -> Vec<(PathBuf, String)> {
    let mut places = vec![
        (cargo.workspace_root.clone(), "/annapurna".to_owned()),
        (cargo.target_directory.clone(), "/target".to_owned()),
    ];
    let downloaded = cargo.packages.iter().filter(|it| it.source.is_some());
    // …/registry/src/INDEX, whatever the index is, with a folder for each crate.
    let folders: BTreeSet<&Path> = downloaded
        .filter_map(|it| it.manifest_path.parent()?.parent())
        .collect();
    let folders = folders.into_iter();
    places.extend(folders.map(|it| (it.to_owned(), "/registry".to_owned())));
    // Without the component rust-src the standard library's files have this name already.
    let library = sysroot.join("lib/rustlib/src/rust");
    places.push((library, format!("/rustc/{}", rustc.commit)));
    places
}

fn encoded(architecture: Architecture, places: &[(PathBuf, String)]) -> OsString {
    // As cargo-lambda has it, whose flags these replace: Graviton2 is the oldest arm64 of Lambda, and Haswell older than
    // any x86-64 of Lambda or trn1.
    let cpu = match architecture {
        Architecture::Arm64 => "neoverse-n1",
        Architecture::X86_64 => "haswell",
    };
    let mut flags = OsString::from(format!("-C{SEPARATOR}target-cpu={cpu}"));
    for (folder, name) in places {
        flags.push(SEPARATOR);
        flags.push("--remap-path-prefix=");
        flags.push(folder);
        flags.push("=");
        flags.push(name);
    }
    flags
}

/// The compiler, by the commit that it was made of.
#[derive(Debug)]
struct Rustc {
    commit: String,
}

impl Rustc {
    fn of(version: &str) -> Result<Self, CommandError> {
        let commit = version
            .lines()
            .find_map(|it| it.strip_prefix("commit-hash: "));
        commit
            .map(|commit| Self {
                commit: commit.to_owned(),
            })
            .ok_or_else(|| CommandError::Build {
                what: "the functions and the agent: rustc does not say its commit".to_owned(),
                hint: "use a Rust that rustup installed".to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::Package;
    use super::*;

    fn cargo(home: &str, checkout: &str) -> Metadata {
        let package = |source: Option<&str>, manifest_path: String| Package {
            source: source.map(str::to_owned),
            manifest_path: PathBuf::from(manifest_path),
        };
        let index = Some("registry+https://github.com/rust-lang/crates.io-index");
        Metadata {
            workspace_root: PathBuf::from(checkout),
            target_directory: PathBuf::from(format!("{checkout}/target")),
            packages: vec![
                package(None, format!("{checkout}/functions/a/Cargo.toml")),
                package(index, format!("{home}/registry/src/i-1/b-1.0.0/Cargo.toml")),
                package(index, format!("{home}/registry/src/i-1/c-1.0.0/Cargo.toml")),
            ],
        }
    }

    #[test]
    fn every_machine_has_the_same_names_for_its_places() {
        let rustc = Rustc::of("rustc 1.95.0\nbinary: rustc\ncommit-hash: abc\n").unwrap();
        let of = |home: &str, checkout: &str, sysroot: &str| {
            let places = places(&cargo(home, checkout), &rustc, Path::new(sysroot));
            let (folders, names): (Vec<_>, Vec<_>) = places.into_iter().unzip();
            let folders: Vec<_> = folders.iter().map(|it| it.display().to_string()).collect();
            (folders, names)
        };
        let (here, names) = of("/root/.cargo", "/work", "/root/.rustup/toolchains/x");
        let library = "/root/.rustup/toolchains/x/lib/rustlib/src/rust";
        let crates = "/root/.cargo/registry/src/i-1";
        assert_eq!(here, ["/work", "/work/target", crates, library]);
        assert_eq!(names, ["/annapurna", "/target", "/registry", "/rustc/abc"]);
        let (there, same) = of("/home/b/c", "/home/b/a", "/usr");
        assert_ne!(there, here);
        assert_eq!(same, names);
    }

    #[test]
    fn flags_hold_folders_whose_names_have_spaces() {
        let places = [(PathBuf::from("/my work"), "/annapurna".to_owned())];
        let flags = encoded(Architecture::Arm64, &places);
        let flags = flags.to_str().unwrap();
        let flags: Vec<&str> = flags.split(SEPARATOR).collect();
        assert_eq!(
            flags,
            [
                "-C",
                "target-cpu=neoverse-n1",
                "--remap-path-prefix=/my work=/annapurna"
            ]
        );
    }

    #[test]
    fn a_compiler_that_does_not_say_its_commit_is_refused() {
        let error = Rustc::of("rustc 1.95.0 (built from a source tarball)").unwrap_err();
        assert!(error.to_string().contains("commit"), "{error}");
    }
}
