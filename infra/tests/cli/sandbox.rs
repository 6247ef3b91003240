//! What is said before a build where programs cannot be confined.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::TestProject;

/// A folder with the tools that a build takes, of which `cargo` tells in a file when it is asked to build, and
/// neither `bwrap` nor what could install it.
fn tools_without_bubblewrap(folder: &Path) -> PathBuf {
    let tools = folder.join("tools");
    std::fs::create_dir(&tools).unwrap();
    for (name, target) in [("python3", "/usr/bin/python3"), ("cc", "/bin/true")] {
        std::os::unix::fs::symlink(target, tools.join(name)).unwrap();
    }
    let cargo = tools.join("cargo");
    let script =
        "#!/bin/sh\ncase \"$1\" in --version) echo cargo 1.99;; *) : >\"${0%/*}/built\";; esac\n";
    std::fs::write(&cargo, script).unwrap();
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755)).unwrap();
    tools
}

#[test]
fn a_deploy_where_nothing_confines_programs_ends_before_it_builds_with_what_mends_it() {
    let project = TestProject::new();
    let tools = tools_without_bubblewrap(project.folder.path());
    let run = |arguments: [&str; 2]| {
        let mut command = project.command();
        command.arg("--project").arg(project.root());
        project.run(command.args(arguments).env("PATH", &tools))
    };
    let deployed = run(["deploy", "local"]);
    assert_eq!(deployed.code, Some(2), "{deployed}");
    assert!(deployed.stderr.contains("\n  sandbox: "), "{deployed}");
    let way_out = "`sandbox = \"none\"` below [local]";
    assert!(deployed.stderr.contains(way_out), "{deployed}");
    assert!(!tools.join("built").exists(), "{deployed}");
    let looked = run(["doctor", "local"]);
    let of_sandbox = |text: &str| {
        let line = text.lines().find(|line| line.contains("  sandbox  "));
        line.unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    assert_eq!(looked.code, Some(2), "{looked}");
    assert!(
        of_sandbox(&looked.stdout).starts_with("missing"),
        "{looked}"
    );
    project.edit(
        "environments/local.toml",
        "[local]\n",
        "[local]\nsandbox = \"none\"\n",
    );
    let looked = run(["doctor", "local"]);
    let line = of_sandbox(&looked.stdout);
    assert!(
        line.starts_with("without") && line.contains("whatever you can"),
        "{looked}"
    );
}
