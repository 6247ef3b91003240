//! Programs with which the agent ended: recorded, and not tried a third time.
//!
//! Before a program runs a mark of it is written into the state folder, and removed when all that follows from its
//! run is done. A mark that is there when the agent starts is of a program that was under way when the agent ended
//! without a word: killed, crashed, or the whole machine with it.
//!
//! Nothing of that says whose doing it was. A program in its sandbox cannot signal the agent, so most often it was a
//! person's `kill -9`, or the kernel's for memory that others took; and of several programs that were under way at
//! most one can have done it. So the first time only makes a suspect. A suspect runs alone, with no other program
//! beside it, and not before the agent has been up for [`QUIET`]: kills come in bursts (a person who tries again, a
//! unit that starts over and over), and a second one of the same burst must not fall on the same program. Only when
//! the agent ends while a suspect runs alone does that count as the second time. What remains is that a person kills
//! the agent, waits for a minute, and kills it again within the seconds of that very program: it has then a result
//! that says so and which file to remove, and its batch has gone on.
//!
//! A stop by SIGTERM ends programs and removes their marks, or says of those that do not end in time that they are not
//! the reason. A program that changes has another SHA-256, and so no
//! mark.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use annapurna_contract::PaperId;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// How long the agent has been up before a suspect runs again. A killed agent's batch comes back after a minute, so
/// this holds nothing up.
pub(crate) const QUIET: Duration = Duration::from_secs(60);
/// Marks that nobody came back for are forgotten after this time: as long as a queue keeps a message at most.
/// Source: SQS developer guide, "Message quotas".
const FORGOTTEN_AFTER: Duration = Duration::from_secs(14 * 24 * 3600);
/// Times that the agent may end with a program before it is not run again.
const MOST_DEATHS: u32 = 2;

/// Ending of a mark's file until it is whole.
const PARTIAL: &str = ".partial";

/// What is known of a program before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing is against it.
    Clear,
    /// The agent ended once while it ran.
    Suspect,
    /// The agent ended twice; the file that says so.
    Guilty(PathBuf),
}

/// A mark, as it is in its file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Times that the agent ended while the program ran; the first in company, the others alone.
    deaths: u32,
    /// Programs of this name that run now.
    running: u32,
}

/// All marks; clones share them.
#[derive(Debug, Clone)]
pub struct Suspects {
    folder: PathBuf,
    quiet_until: Instant,
    marks: Arc<Mutex<HashMap<String, Mark>>>,
}

/// A program that is under way. Dropping it ends its mark: with all its past when the program has come to its end,
/// which [`Running::came_back`] says.
#[derive(Debug)]
pub(crate) struct Running {
    suspects: Suspects,
    name: String,
    came_back: bool,
}

impl Suspects {
    /// Reads the marks of an earlier agent, each of which counts one, and makes the folder where there is none.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read and written.
    pub fn open(folder: &Path, quiet: Duration) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let suspects = Self {
            folder: folder.to_owned(),
            quiet_until: Instant::now() + quiet,
            marks: Arc::default(),
        };
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let written = entry.metadata()?.modified()?;
            let age = SystemTime::now().duration_since(written);
            let is_old = age.is_ok_and(|age| age > FORGOTTEN_AFTER);
            let name = entry.file_name().to_string_lossy().into_owned();
            // One that was still being written: its program had not begun.
            let is_mark = !is_old && !name.ends_with(PARTIAL);
            let mark = serde_json::from_slice::<Mark>(&fs::read(entry.path())?);
            match mark {
                Ok(mark) if is_mark && mark != Mark::default() => suspects.count(name, mark)?,
                _ => fs::remove_file(entry.path())?,
            }
        }
        Ok(suspects)
    }

    fn count(&self, name: String, mut mark: Mark) -> io::Result<()> {
        if mark.running > 0 {
            mark.deaths += 1;
            mark.running = 0;
            let (mark_file, deaths) = (&name, mark.deaths);
            tracing::warn!(
                mark_file,
                deaths,
                "the agent ended while this program was under way"
            );
            self.write(&name, mark)?;
        }
        self.lock().insert(name, mark);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Mark>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a program.
    pub(crate) fn standing(&self, paper: Option<&PaperId>, sha256: &str) -> Standing {
        let name = name(paper, sha256);
        match self.lock().get(&name).map_or(0, |mark| mark.deaths) {
            0 => Standing::Clear,
            deaths if deaths < MOST_DEATHS => Standing::Suspect,
            _ => Standing::Guilty(self.folder.join(name)),
        }
    }

    /// Waits until suspects may run.
    pub(crate) async fn quiet(&self) {
        tokio::time::sleep_until(self.quiet_until).await;
    }

    /// Marks a program that is about to run. It is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// When the mark cannot be written; the program must not run then.
    pub(crate) fn begin(&self, paper: Option<&PaperId>, sha256: &str) -> io::Result<Running> {
        let name = name(paper, sha256);
        let mut marks = self.lock();
        let mut mark = marks.get(&name).copied().unwrap_or(Mark::default());
        mark.running += 1;
        self.write(&name, mark)?;
        marks.insert(name.clone(), mark);
        drop(marks);
        Ok(Running {
            suspects: self.clone(),
            name,
            came_back: false,
        })
    }

    /// Forgets a program that has its result.
    pub(crate) fn clear(&self, paper: Option<&PaperId>, sha256: &str) {
        let name = name(paper, sha256);
        let mut marks = self.lock();
        if marks.get(&name).is_some_and(|mark| mark.running == 0) {
            marks.remove(&name);
            self.remove(&name);
        }
    }

    /// The agent ends in order, though some program has not ended yet: none of them is the reason.
    pub(crate) fn stopped(&self) {
        for (name, mark) in self.lock().iter_mut() {
            mark.running = 0;
            if let Err(error) = self.write(name, *mark) {
                tracing::warn!(%error, mark_file = name, "a program's mark stays as it was");
            }
        }
    }

    fn end(&self, running: &Running) {
        let mut marks = self.lock();
        let Some(mark) = marks.get_mut(&running.name) else {
            return;
        };
        mark.running = mark.running.saturating_sub(1);
        if running.came_back {
            mark.deaths = 0;
        }
        let mark = *mark;
        if mark != Mark::default() {
            if let Err(error) = self.write(&running.name, mark) {
                tracing::warn!(%error, mark_file = running.name, "a program's mark stays as it was");
            }
            return;
        }
        marks.remove(&running.name);
        self.remove(&running.name);
    }

    fn remove(&self, name: &str) {
        if let Err(error) = fs::remove_file(self.folder.join(name)) {
            tracing::warn!(%error, mark_file = name, "a program's mark stays behind");
        }
    }

    /// Whole or not at all, and through to the disk: the machine may go down with the program.
    fn write(&self, name: &str, mark: Mark) -> io::Result<()> {
        let path = self.folder.join(name);
        let partial = self.folder.join(format!("{name}{PARTIAL}"));
        let mut file = File::create(&partial)?;
        file.write_all(&serde_json::to_vec(&mark)?)?;
        file.sync_data()?;
        fs::rename(partial, path)
    }
}

impl Running {
    /// The program has come to its end and the agent is still there.
    pub(crate) fn came_back(&mut self) {
        self.came_back = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.suspects.end(self);
    }
}

/// The mark's file: a paper id and a digest have no character that a file's name may not have.
fn name(paper: Option<&PaperId>, sha256: &str) -> String {
    format!("{sha256}-{}", paper.map_or("", PaperId::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "c0de";

    fn paper() -> PaperId {
        PaperId::of("Adam", None)
    }

    fn open(folder: &Path) -> Suspects {
        Suspects::open(folder, Duration::ZERO).unwrap()
    }

    /// An agent that ends while the program runs.
    fn ends_with_it(folder: &Path) {
        std::mem::forget(open(folder).begin(Some(&paper()), CODE).unwrap());
    }

    fn standing(folder: &Path) -> Standing {
        open(folder).standing(Some(&paper()), CODE)
    }

    #[test]
    fn the_second_time_is_the_last_and_another_program_is_another() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(standing(folder.path()), Standing::Clear);
        ends_with_it(folder.path());
        assert_eq!(standing(folder.path()), Standing::Suspect);
        assert_eq!(
            standing(folder.path()),
            Standing::Suspect,
            "a start is no death"
        );
        ends_with_it(folder.path());
        let Standing::Guilty(file) = standing(folder.path()) else {
            panic!("twice is enough");
        };
        let suspects = open(folder.path());
        assert_eq!(suspects.standing(Some(&paper()), "c0ffee"), Standing::Clear);
        assert_eq!(suspects.standing(None, CODE), Standing::Clear);
        fs::remove_file(file).unwrap();
        assert_eq!(standing(folder.path()), Standing::Clear);
    }

    #[test]
    fn a_program_that_comes_back_is_cleared_and_one_that_is_stopped_stays_a_suspect() {
        let folder = tempfile::tempdir().unwrap();
        ends_with_it(folder.path());
        let suspects = open(folder.path());
        // A stop of the agent ended it.
        drop(suspects.begin(Some(&paper()), CODE).unwrap());
        assert_eq!(standing(folder.path()), Standing::Suspect);
        let mut running = suspects.begin(Some(&paper()), CODE).unwrap();
        running.came_back();
        drop(running);
        assert_eq!(standing(folder.path()), Standing::Clear);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        drop(suspects.begin(Some(&paper()), CODE).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_result_clears_a_suspect_that_is_not_under_way() {
        let folder = tempfile::tempdir().unwrap();
        ends_with_it(folder.path());
        let suspects = open(folder.path());
        let running = suspects.begin(Some(&paper()), CODE).unwrap();
        suspects.clear(Some(&paper()), CODE);
        assert_eq!(suspects.standing(Some(&paper()), CODE), Standing::Suspect);
        drop(running);
        suspects.clear(Some(&paper()), CODE);
        assert_eq!(standing(folder.path()), Standing::Clear);
    }

    #[test]
    fn a_stop_in_order_accuses_nobody_whatever_still_runs() {
        let folder = tempfile::tempdir().unwrap();
        let suspects = open(folder.path());
        std::mem::forget(suspects.begin(Some(&paper()), CODE).unwrap());
        suspects.stopped();
        assert_eq!(standing(folder.path()), Standing::Clear);
    }

    #[test]
    fn the_same_program_twice_at_a_time_is_one_death() {
        let folder = tempfile::tempdir().unwrap();
        let suspects = open(folder.path());
        let one = suspects.begin(Some(&paper()), CODE).unwrap();
        std::mem::forget(suspects.begin(Some(&paper()), CODE).unwrap());
        drop(one);
        assert_eq!(standing(folder.path()), Standing::Suspect);
    }

    #[test]
    fn half_a_mark_and_one_that_is_long_past_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("c0de-"), "{\"dea").unwrap();
        let whole = "{\"deaths\":2,\"running\":1}";
        fs::write(folder.path().join("c0de-.partial"), whole).unwrap();
        let old = folder.path().join("c0ffee-");
        fs::write(&old, "{\"deaths\":2,\"running\":0}").unwrap();
        let past = SystemTime::now() - FORGOTTEN_AFTER - Duration::from_secs(60);
        File::options()
            .write(true)
            .open(&old)
            .unwrap()
            .set_modified(past)
            .unwrap();
        let suspects = open(folder.path());
        assert_eq!(suspects.standing(None, "c0ffee"), Standing::Clear);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_suspect_waits_until_the_agent_has_been_up_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        let quiet = Duration::from_millis(50);
        Suspects::open(folder.path(), quiet).unwrap().quiet().await;
        assert!(begin.elapsed() >= quiet);
    }
}
