//! What a program sees of the file system in bubblewrap: its arguments, in the order in which it acts on them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Devices that keep nothing and that Python and PyTorch open.
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];
/// The names under which a process finds its own descriptors.
const LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// bubblewrap's arguments so far, and which folders of its root they made or bound.
#[derive(Default)]
pub(crate) struct Mounts {
    pub(crate) arguments: Vec<OsString>,
    made: Vec<PathBuf>,
    bound: Vec<PathBuf>,
}

impl Mounts {
    pub(crate) fn words(&mut self, words: &str) {
        self.arguments
            .extend(words.split_whitespace().map(OsString::from));
    }

    pub(crate) fn pair(&mut self, option: &str, from: &Path, to: &Path) {
        self.arguments.push(option.into());
        self.arguments.push(from.into());
        self.arguments.push(to.into());
    }

    /// A folder of the system, which on most distributions is a link into `/usr`.
    pub(crate) fn system(&mut self, folder: &str) {
        match fs::read_link(folder) {
            Ok(target) => self.pair("--symlink", &target, folder.as_ref()),
            Err(_) => self.read_only(folder.as_ref(), folder.as_ref()),
        }
    }

    /// Shows a file or folder that exists. bubblewrap would make missing parents closed to the program.
    pub(crate) fn read_only(&mut self, from: &Path, to: &Path) {
        if !from.exists() {
            return;
        }
        let mut parents: Vec<&Path> = to.ancestors().skip(1).collect();
        parents.reverse();
        for parent in parents.into_iter().skip(1) {
            let covered = self.bound.iter().any(|bound| parent.starts_with(bound));
            if !covered && !self.made.iter().any(|made| made == parent) {
                self.words("--perms 0755 --dir");
                self.arguments.push(parent.into());
                self.made.push(parent.to_owned());
            }
        }
        self.pair("--ro-bind", from, to);
        self.bound.push(to.to_owned());
    }

    /// Covers a folder that an earlier mount shows.
    pub(crate) fn hide(&mut self, folder: &Path) {
        if self.bound.iter().any(|bound| folder.starts_with(bound)) {
            for option in ["--tmpfs", "--remount-ro"] {
                self.arguments.push(option.into());
                self.arguments.push(folder.into());
            }
        }
    }

    /// The device nodes, and what their libraries read beside them.
    /// A `/dev` of what keeps nothing. bubblewrap's own has terminals, too, for which it makes a second user namespace,
    /// and in that the launcher could not mount the program's files.
    pub(crate) fn plain_devices(&mut self) {
        self.words("--perms 0755 --dir /dev --perms 0755 --dir /dev/shm");
        for device in DEVICES {
            self.pair("--dev-bind", device.as_ref(), device.as_ref());
        }
        for (name, target) in LINKS {
            self.pair("--symlink", target.as_ref(), name.as_ref());
        }
    }

    pub(crate) fn devices(&mut self, devices: &[PathBuf]) {
        if devices.is_empty() {
            self.read_only(
                "/sys/devices/system".as_ref(),
                "/sys/devices/system".as_ref(),
            );
            return;
        }
        for path in ["/sys", "/opt/aws"] {
            self.read_only(path.as_ref(), path.as_ref());
        }
        for device in devices {
            self.pair("--dev-bind", device, device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_made_once_and_readable() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        let mut mounts = Mounts::default();
        mounts.read_only(&deep, "/x/y/z".as_ref());
        mounts.read_only(&deep, "/x/y/w".as_ref());
        mounts.read_only(&deep, "/x/y/z/in".as_ref());
        mounts.read_only("/no/such/file".as_ref(), "/q/r".as_ref());
        let words: Vec<String> = mounts
            .arguments
            .iter()
            .map(|word| {
                word.to_string_lossy()
                    .replace(&*deep.to_string_lossy(), "D")
            })
            .collect();
        assert_eq!(
            words.join(" "),
            "--perms 0755 --dir /x --perms 0755 --dir /x/y --ro-bind D /x/y/z --ro-bind D /x/y/w \
             --ro-bind D /x/y/z/in"
        );
    }

    #[test]
    fn the_agents_state_is_hidden_where_a_prefix_would_show_it() {
        let mut mounts = Mounts::default();
        mounts.read_only("/usr".as_ref(), "/usr".as_ref());
        mounts.hide("/usr/share/state".as_ref());
        mounts.hide("/var/lib/state".as_ref());
        let shown = mounts.arguments.len();
        assert_eq!(
            mounts.arguments[shown - 4..],
            [
                "--tmpfs",
                "/usr/share/state",
                "--remount-ro",
                "/usr/share/state"
            ]
        );
    }
}
