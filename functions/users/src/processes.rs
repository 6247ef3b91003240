//! What the kernel says about the processes of one user.

use std::fs;

/// Processes and threads of a user, as the kernel counts them against its limit: by the real user.
pub fn tasks_of(user: u32) -> u64 {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
        })
        // One that has ended meanwhile has no tasks.
        .filter_map(|entry| fs::read_to_string(entry.path().join("status")).ok())
        .filter_map(|status| tasks_in(&status, user))
        .sum()
}

/// A process's threads when it is the user's. Source: proc(5), `/proc/pid/status`.
fn tasks_in(status: &str, user: u32) -> Option<u64> {
    let first = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()
    };
    let is_the_users = first("Uid:")?.parse() == Ok(user);
    first("Threads:")?.parse().ok().filter(|_| is_the_users)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processs_threads_are_its_real_users() {
        let status = "Name:\tUid: 7\nUid:\t60706\t0\t0\t0\nGid:\t1\t1\t1\t1\nThreads:\t3\n";
        assert_eq!(tasks_in(status, 60_706), Some(3));
        assert_eq!(tasks_in(status, 0), None);
        assert!(tasks_of(nix::unistd::getuid().as_raw()) > 0);
    }
}
