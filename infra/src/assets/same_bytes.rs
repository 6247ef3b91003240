//! What has a build make the same bytes wherever the checkout, cargo's downloads and the compiler are.
//!
//! In: what cargo and rustc say about this machine. Out: the flags for rustc, and which tools are not of the project's versions. Panics, logs and assertions name their
//! source file, and a crate's folder is below somebody's home; each such place is given one name that all machines share. The C code of
//! aws-lc-sys does so by itself. Different versions of rustc or zig make different bytes all the same.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use annapurna_local::cargo_lambda::{CARGO_LAMBDA, ZIG};
use annapurna_stack::environment::Architecture;

use super::build::{Metadata, answer, metadata};
use crate::error::CommandError;

/// Between flags in `CARGO_ENCODED_RUSTFLAGS`. Source: The Cargo Book, "Environment variables Cargo reads".
const SEPARATOR: &str = "\u{1f}";

/// The Rust that builds for AWS, wherever that is done. Any from `rust-version` on compiles the project, so no
/// `rust-toolchain.toml` has everybody download this one: where rustup has it, it builds for AWS, whatever is the default;
/// who has it not is told.
const RUST: &str = "1.95.0";

/// Has rustc say its version and its commit.
const VERSION: [&str; 2] = ["--version", "--verbose"];

/// What cargo and rustc say about this machine.
#[derive(Debug)]
pub(super) struct Machine {
    /// Cargo's.
    pub(super) target_directory: PathBuf,
    /// The value of `RUSTUP_TOOLCHAIN` for the build; `None` where what it finds by itself is to build.
    pub(super) toolchain: Option<&'static str>,
    rustc: Rustc,
    places: Vec<(PathBuf, String)>,
}

impl Machine {
    /// Asks both.
    ///
    /// # Errors
    ///
    /// [`CommandError::Build`] when cargo or rustc do not answer; cargo also downloads here what the build needs.
    pub(super) async fn look(root: &Path) -> Result<Self, CommandError> {
        let cargo = metadata(root, &["--locked"]).await?;
        let mut rustc = Rustc::of(&answer(root, "rustc", &VERSION).await?)?;
        let mut toolchain = None;
        if rustc.release != RUST
            && let Some(ours) = ours(root).await?
        {
            (rustc, toolchain) = (ours, Some(RUST));
        }
        let print = ["--print", "sysroot"];
        let sysroot = match toolchain {
            Some(_) => answer(root, "rustup", &of_ours(print)).await?,
            None => answer(root, "rustc", &print).await?,
        };
        Ok(Self {
            places: places(&cargo, &rustc, Path::new(sysroot.trim())),
            target_directory: cargo.target_directory,
            toolchain,
            rustc,
        })
    }

    /// The value of `CARGO_ENCODED_RUSTFLAGS`, which goes before every other source of flags: before those that
    /// cargo-lambda passes and those of a person's own configuration.
    pub(super) fn rustflags(&self, architecture: Architecture) -> OsString {
        encoded(architecture, &self.places)
    }

    /// Which tools are not of the project's versions, each with what to do.
    pub(super) fn differences(&self, cargo_lambda: &str, zig: &str) -> Vec<String> {
        let rust = &self.rustc.release;
        let has_version = |it: &str| it == CARGO_LAMBDA;
        let mut differences = Vec::new();
        if rust != RUST {
            differences.push(format!(
                "Rust is {rust} and not {RUST} (rustup toolchain install {RUST})"
            ));
        }
        if !cargo_lambda.split_whitespace().any(has_version) || zig != ZIG {
            differences.push(format!(
                "the build is by {cargo_lambda} with zig {zig} and not by cargo-lambda {CARGO_LAMBDA} with zig {ZIG} \
                 (pip install cargo-lambda=={CARGO_LAMBDA} ziglang=={ZIG})"
            ));
        }
        differences
    }
}

/// The compiler of the project's version, where rustup has it beside the default.
async fn ours(root: &Path) -> Result<Option<Rustc>, CommandError> {
    match answer(root, "rustup", &of_ours(VERSION)).await {
        Ok(said) => Rustc::of(&said).map(Some),
        Err(CommandError::Interrupted) => Err(CommandError::Interrupted),
        // Without rustup, or without that version.
        Err(_) => Ok(None),
    }
}

/// What rustup is told to have that compiler say something.
const fn of_ours([first, second]: [&str; 2]) -> [&str; 5] {
    ["run", RUST, "rustc", first, second]
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

/// The compiler: its version, and the commit that it was made of.
#[derive(Debug)]
struct Rustc {
    release: String,
    commit: String,
}

impl Rustc {
    fn of(version: &str) -> Result<Self, CommandError> {
        let said = |name: &str| {
            let value = version.lines().find_map(|it| it.strip_prefix(name));
            value.map(str::to_owned).ok_or_else(|| CommandError::Build {
                what: "the functions and the agent: rustc does not say its version and its commit"
                    .to_owned(),
                hint: "use a Rust that rustup installed".to_owned(),
            })
        };
        Ok(Self {
            release: said("release: ")?,
            commit: said("commit-hash: ")?,
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
        let rustc =
            Rustc::of("rustc 1.95.0\nbinary: rustc\ncommit-hash: abc\nrelease: 1.95.0\n").unwrap();
        let of = |home: &str, checkout: &str, sysroot: &str| {
            let places = places(&cargo(home, checkout), &rustc, Path::new(sysroot));
            let (folders, names): (Vec<_>, Vec<_>) = places.into_iter().unzip();
            let folders: Vec<_> = folders.iter().map(|it| it.display().to_string()).collect();
            (folders, names)
        };
        let (here, names) = of("/root/.cargo", "/checkout", "/root/.rustup/toolchains/x");
        let library = "/root/.rustup/toolchains/x/lib/rustlib/src/rust";
        let crates = "/root/.cargo/registry/src/i-1";
        assert_eq!(here, ["/checkout", "/checkout/target", crates, library]);
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

    #[test]
    fn tools_of_other_versions_are_named_and_what_to_do() {
        let differences = |rust: &str, version: &str, zig: &str| {
            let said = format!("commit-hash: abc\nrelease: {rust}\n");
            let machine = Machine {
                target_directory: PathBuf::new(),
                toolchain: None,
                rustc: Rustc::of(&said).unwrap(),
                places: Vec::new(),
            };
            machine.differences(version, zig)
        };
        let ours = "cargo-lambda 1.9.2 (5083ad6 2026-10-01Z)";
        assert_eq!(differences(RUST, ours, ZIG), [""; 0]);
        let other = differences("1.96.0", ours, ZIG);
        assert!(
            other[0].starts_with("Rust is 1.96.0 and not 1.95.0 (rustup"),
            "{other:?}"
        );
        for (version, zig) in [(ours, "0.15.1"), ("cargo-lambda 1.9.21 (x)", ZIG)] {
            let other = differences(RUST, version, zig);
            assert_eq!(other.len(), 1, "{other:?}");
            assert!(other[0].contains("pip install cargo-lambda==1.9.2 ziglang==0.17.1"));
        }
    }

    /// Of a program, a crate beside it and one that was downloaded, each with a panic's place in it.
    const SOURCES: [(&str, &str); 7] = [
        (
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"app\", \"near\"]\n[profile.release]\nlto = \"thin\"\n\
             strip = \"symbols\"",
        ),
        (
            "app/Cargo.toml",
            "[package]\nname = \"app\"\nedition = \"2024\"\n[dependencies]\nfar = \"1\"\nnear = { path = \"../near\" }",
        ),
        (
            "app/src/main.rs",
            "fn main() { let n = std::env::args().count(); println!(\"{}\", far::f(n) + near::f(n)) }",
        ),
        (
            "near/Cargo.toml",
            "[package]\nname = \"near\"\nedition = \"2024\"",
        ),
        (
            "near/src/lib.rs",
            "pub fn f(n: usize) -> u8 { assert!(n < 9); u8::try_from(n).unwrap() }",
        ),
        (
            "far/Cargo.toml",
            "[package]\nname = \"far\"\nversion = \"1.0.0\"\nedition = \"2024\"",
        ),
        (
            "far/src/lib.rs",
            "pub fn f(n: usize) -> u8 { assert!(n < 7); u8::try_from(n).unwrap() }",
        ),
    ];

    /// What cargo builds in a checkout, with a folder of downloads, that are both below `place`.
    async fn built(place: &Path, flags_are_ours: bool) -> Vec<u8> {
        let (checkout, downloads) = (place.join("checkout"), place.join("downloads"));
        for (name, text) in SOURCES {
            let is_far = name.starts_with("far/");
            let file = if is_far { &downloads } else { &checkout }.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let unchecked = "{\"files\": {}}";
        std::fs::write(downloads.join("far/.cargo-checksum.json"), unchecked).unwrap();
        let source = format!(
            "[source.crates-io]\nreplace-with = \"here\"\n[source.here]\ndirectory = \"{}\"",
            downloads.display()
        );
        std::fs::create_dir_all(checkout.join(".cargo")).unwrap();
        std::fs::write(checkout.join(".cargo/config.toml"), source).unwrap();
        answer(&checkout, "cargo", &["generate-lockfile", "--offline"])
            .await
            .unwrap();
        let architecture = match cfg!(target_arch = "aarch64") {
            true => Architecture::Arm64,
            false => Architecture::X86_64,
        };
        let flags = match flags_are_ours {
            true => Machine::look(&checkout)
                .await
                .unwrap()
                .rustflags(architecture),
            false => OsString::new(),
        };
        let target = checkout.join("target");
        let built = tokio::process::Command::new("cargo")
            .current_dir(&checkout)
            .args(["build", "--quiet", "--release", "--offline", "--target-dir"])
            .arg(&target)
            .env("CARGO_ENCODED_RUSTFLAGS", flags)
            .status();
        assert!(built.await.unwrap().success());
        std::fs::read(target.join("release/app")).unwrap()
    }

    #[tokio::test]
    async fn a_program_has_the_same_bytes_wherever_it_is_built() {
        let folder = tempfile::tempdir().unwrap();
        let (near, far) = (folder.path().join("a"), folder.path().join("some one's/b"));
        let here = built(&near, true).await;
        assert!(here == built(&far, true).await, "the bytes differ");
        let has = |bytes: &[u8], path: &Path| {
            let path = path.to_str().unwrap().as_bytes();
            bytes.windows(path.len()).any(|it| it == path)
        };
        assert!(!has(&here, folder.path()), "it names where it was built");
        // Without the flags it does, so what is above can fail.
        assert!(has(
            &built(&folder.path().join("c"), false).await,
            folder.path()
        ));
    }
}
