//! Control groups that root lends to an ordinary user, as a service manager does.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The controllers of the agent's that may have a hierarchy each.
const CONTROLLERS: [&str; 4] = ["memory", "pids", "cpu", "cpuacct"];
/// Joins the groups before `--` and becomes user `$0` with what is behind it.
const ENTER: &str = r#"while [ "$1" != -- ]; do echo 0 >"$1"; shift; done
shift; exec setpriv --reuid "$0" --regid "$0" --clear-groups -- "$@""#;

/// A group in each hierarchy, which is the user's to divide. Dropping it removes them.
#[derive(Debug)]
pub(crate) struct Lent {
    user: u32,
    folders: Vec<PathBuf>,
}

impl Lent {
    /// Lends groups to `user`.
    ///
    /// # Errors
    ///
    /// When this process may not, or the kernel offers no limits.
    pub(crate) fn to(user: u32) -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let mut parents = CONTROLLERS
            .iter()
            .filter_map(|controller| below(&mounts, &own, controller))
            .collect::<Vec<_>>();
        if parents.is_empty() {
            let top = mount(&mounts, "cgroup2", |_| true);
            let top = top.ok_or_else(|| io::Error::other("no control groups"))?;
            fs::write(top.join("cgroup.subtree_control"), "+memory +pids +cpu")?;
            parents.push(top);
        }
        parents.sort();
        parents.dedup();
        let name = format!("annapurna-attacks-{user}");
        let folders = parents
            .into_iter()
            .map(|parent| parent.join(&name))
            .collect();
        let lent = Self { user, folders };
        for folder in &lent.folders {
            fs::create_dir(folder)?;
            chown(folder, Some(user), Some(user))?;
            for file in ["cgroup.procs", "cgroup.subtree_control"].map(|file| folder.join(file)) {
                if file.exists() {
                    chown(file, Some(user), Some(user))?;
                }
            }
        }
        Ok(lent)
    }

    /// The arguments of `sh` with which a program runs in them, as the user.
    pub(crate) fn entered(&self, program: &Path) -> Vec<PathBuf> {
        let user = self.user.to_string();
        let words = ["-c", ENTER, &user].map(PathBuf::from).into_iter();
        let files = self
            .folders
            .iter()
            .map(|folder| folder.join("cgroup.procs"));
        words
            .chain(files)
            .chain(["--".into(), program.to_owned()])
            .collect()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        for folder in &self.folders {
            // The kernel takes a moment after the last process.
            let removed = (0..100).any(|_| {
                let removed = fs::remove_dir(folder).is_ok();
                if !removed {
                    std::thread::sleep(Duration::from_millis(20));
                }
                removed
            });
            assert!(
                removed || std::thread::panicking(),
                "something stays in {}",
                folder.display()
            );
        }
    }
}

/// This process's group in the hierarchy of a controller.
fn below(mounts: &str, own: &str, controller: &str) -> Option<PathBuf> {
    let own = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        let path = fields.next()?;
        controllers
            .split(',')
            .any(|it| it == controller)
            .then_some(path)
    })?;
    let at = mount(mounts, "cgroup", |options| {
        options.split(',').any(|option| option == controller)
    })?;
    Some(at.join(own.trim_start_matches('/')))
}

fn mount(mounts: &str, kind: &str, has: impl Fn(&str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let is_one = right.next()? == kind && has(right.nth(1)?);
        is_one.then(|| left.split(' ').nth(4).map(PathBuf::from))?
    })
}
