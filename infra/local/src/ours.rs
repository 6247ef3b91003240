//! Services that are programs of this project: what changes with a build or a setting is started again.
//!
//! Each answers `GET /health` on its port when it can work.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::home::write_whole;
use crate::process::{self, ServiceSpec};
use crate::{Home, LocalError};

/// How long a service may take to end.
const GRACE: Duration = Duration::from_secs(20);
const START_LIMIT: Duration = Duration::from_secs(30);

/// Starts a service, or starts it again when its program, what it is told or what it `relies_on` has
/// changed since, and waits until it answers. Gives back `http://127.0.0.1:PORT`. `relies_on` is the
/// start mark of another service, whose restart makes this one useless.
pub async fn start(
    home: &Home,
    spec: ServiceSpec,
    port: u16,
    relies_on: Option<&str>,
) -> Result<String, LocalError> {
    let told = hex::encode(Sha256::digest(format!(
        "{:?}{:?}{:?}{:?}",
        spec.program,
        spec.args,
        spec.env,
        modified(&spec.program)
    )));
    let told = [Some(&*told), relies_on].into_iter().flatten();
    let told = told.collect::<Vec<_>>().join("\n");
    let note = note(home, spec.name);
    let unchanged = std::fs::read_to_string(&note).is_ok_and(|known| known == told);
    if !unchanged || process::running(home, spec.name).is_none() {
        process::stop(home, spec.name, GRACE).await?;
        process::spawn(home, &spec)?;
        write_whole(&note, told.as_bytes())?;
    }
    let url = format!("http://127.0.0.1:{port}");
    let health = format!("{url}/health");
    process::wait_for_answer(home, spec.name, START_LIMIT, async || {
        process::answers(&health).await
    })
    .await?;
    Ok(url)
}

/// Stops a service; true when it ran.
pub async fn stop(home: &Home, name: &'static str) -> Result<bool, LocalError> {
    process::stop(home, name, GRACE).await
}

/// What it was started on: the start mark of the service it relies on.
pub fn relied_on(home: &Home, name: &str) -> Option<String> {
    let told = std::fs::read_to_string(note(home, name)).ok()?;
    told.lines().nth(1).map(str::to_owned)
}

/// A digest of what a running service was told, and below it what it relies on.
fn note(home: &Home, name: &str) -> PathBuf {
    home.run().join(format!("{name}.told"))
}

/// Why [`start`] would start a service with this program (again); `None` when it would not, as far as the
/// program decides.
pub fn outdated(home: &Home, name: &str, program: &Path) -> Option<&'static str> {
    let Some(state) = process::running(home, name) else {
        return Some("it does not run");
    };
    let newer = modified(program)?.as_secs() > state.started_at;
    newer.then_some("its binary changed")
}

fn modified(path: &Path) -> Option<Duration> {
    let time = std::fs::metadata(path).ok()?.modified().ok()?;
    time.duration_since(UNIX_EPOCH).ok()
}
