//! Locks between processes: files that the system unlocks when their holder ends, however it ends.

use std::fs::{File, OpenOptions};
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
