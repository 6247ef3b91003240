//! bubblewrap: where it is, which namespaces it is asked for, and whether the kernel gives them to this user.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The unmapped user, as which programs run in a user namespace.
const NOBODY: &str = "65534";
/// What mends a kernel that refuses user namespaces.
const NAMESPACES: &str = "on Ubuntu 24.04 give `bwrap` an AppArmor profile with `userns`, elsewhere set \
                          kernel.unprivileged_userns_clone=1, or be root";

/// The first `bwrap` on this process's `PATH`.
pub fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join("bwrap"))
        .find(|candidate| candidate.is_file())
}

/// How bubblewrap is asked for the namespaces of a program. `by_root`: root makes the mounts, and the program's user
/// is taken on inside; else everything is made in a user namespace.
pub fn namespaces(by_root: bool) -> Vec<&'static str> {
    let mut words = vec![
        "--die-with-parent",
        "--new-session",
        "--unshare-ipc",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--hostname",
        "sandbox",
    ];
    if by_root {
        words.extend(["--cap-drop", "ALL"]);
        for capability in ["CAP_SETUID", "CAP_SETGID", "CAP_CHOWN"] {
            words.extend(["--cap-add", capability]);
        }
    } else {
        words.extend(["--unshare-user", "--uid", NOBODY, "--gid", NOBODY]);
    }
    // For the program's files, which the launcher mounts and then gives all of this up.
    for capability in ["CAP_SYS_ADMIN", "CAP_SETPCAP"] {
        words.extend(["--cap-add", capability]);
    }
    words
}

/// What mends a refusal in bubblewrap's words; `None` where that is not known.
pub fn advice(refusal: &str) -> Option<&'static str> {
    let refused = ["uid map", "new namespace", "Operation not permitted"];
    let is_refused = refused.iter().any(|word| refusal.contains(word));
    is_refused.then_some(NAMESPACES)
}

/// Has `bwrap` make the namespaces of a program around a command that does nothing.
///
/// # Errors
///
/// Its own words, in a line.
pub(crate) fn try_namespaces(bwrap: &Path, by_root: bool) -> Result<(), String> {
    let tried = Command::new(bwrap)
        .args(namespaces(by_root))
        .args(["--ro-bind", "/", "/", "--proc", "/proc", "--", "true"])
        .stdin(Stdio::null())
        .output();
    let output = tried.map_err(|error| format!("{}: {error}", bwrap.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.trim().lines().next_back();
    let last = last.unwrap_or("it ended without a word");
    Err(annapurna_contract::text::escaped(last, 500))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_of_namespaces_has_that_advice() {
        let refused = advice("bwrap: setting up uid map: Permission denied");
        assert!(refused.unwrap().contains("AppArmor"));
        assert_eq!(advice("disk full"), None);
    }

    #[test]
    fn what_bubblewrap_says_is_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let reason = try_namespaces(&folder.path().join("bwrap"), false).unwrap_err();
        assert!(reason.contains("No such file"), "{reason}");
        let reason = try_namespaces(Path::new("/bin/false"), false).unwrap_err();
        assert_eq!(reason, "it ended without a word");
        assert_eq!(try_namespaces(Path::new("/bin/true"), true), Ok(()));
    }
}
