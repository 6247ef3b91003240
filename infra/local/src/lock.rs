//! Locks between processes: files that the system unlocks when their holder ends, however it ends.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::LocalError;
use crate::home::{make_folder, set_mode};

/// Opens a lock file that every user may read: locking needs no more.
pub fn open(path: &Path) -> Result<File, LocalError> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(LocalError::file("open the lock", path))?;
    set_mode(path, 0o644)?;
    Ok(file)
}

/// Waits until this process alone holds the lock; it is released when the file is dropped.
pub async fn exclusive(path: &Path, limit: Duration) -> Result<File, LocalError> {
    let file = open(path)?;
    let start = Instant::now();
    while file.try_lock().is_err() {
        if start.elapsed() > limit {
            return Err(LocalError::Timeout {
                what: format!("another process to release {}", path.display()),
                seconds: limit.as_secs(),
                log: String::new(),
            });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(file)
}

/// The lock, for this process alone and until the file is dropped, or else the process that has it, as far as its
/// id is known.
pub fn claim(path: &Path) -> Result<Result<File, Option<u32>>, LocalError> {
    let mut file = open(path)?;
    if file.try_lock().is_err() {
        let holder = fs::read_to_string(path).map_err(LocalError::file("read", path))?;
        return Ok(Err(holder.trim().parse().ok()));
    }
    let written = file
        .set_len(0)
        .and_then(|()| write!(file, "{}", std::process::id()));
    written.map_err(LocalError::file("write", path))?;
    Ok(Ok(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_second_is_told_who_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        std::fs::write(&path, "4194304000").unwrap();
        let first = claim(&path).unwrap().unwrap();
        assert_eq!(claim(&path).unwrap().unwrap_err(), Some(std::process::id()));
        drop(first);
        assert!(claim(&path).unwrap().is_ok());
    }
}
