//! The instances that run the agent: started when work waits, stopped when none does.
//!
//! One that has nothing to do stops itself. They cost money while they run, so one that does not is stopped from here,
//! [`GUARD`] later: when nothing is queued or being run, the last result is that old, and it has been up for as long.
//! The rule needs no memory: a start begins the time anew. They are found anew at every look, by their tags: the stack
//! with the functions is there before them, and stays when they are replaced.
//!
//! A start that EC2 refuses, mostly for want of capacity in the zone, leaves the batch to the next instance and is
//! tried again at every look. Which ones were refused at the last look stands in S3 ([`keys::REFUSED_STARTS`]), where
//! `infra status` reads it.

use std::fmt;
use std::time::Duration;

use annapurna_cloud::{Object, ObjectError, ObjectStore, S3};
use annapurna_contract::names::{ENVIRONMENT_TAG, PURPOSE_TAG};
use annapurna_contract::text::{chain, one_line};
use annapurna_contract::{RefusedStart, keys};
use aws_config::SdkConfig;
use chrono::{SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use tracing::{info, warn};

use crate::aws::{Ec2, Instance};
use crate::settings::{Selection, Settings};

/// How much longer than the host itself the tester waits: long enough for the host to stop, and to boot and ask for a
/// batch where `idle-stop-minutes` are few.
const GUARD: Duration = Duration::from_secs(300);
/// Largest list of refused starts that is read, bytes.
const REFUSED_LIMIT: u64 = 1 << 16;
/// Longest words of EC2 that are kept, characters.
const REASON_CHARACTERS: usize = 300;

/// The instances that are selected, as EC2 shows them.
#[derive(Debug, Clone)]
pub(crate) struct TrainiumInstances {
    ec2: Ec2,
    selection: Selection,
    idle_stop: Duration,
    objects: S3,
    /// Where the refused starts are kept.
    bucket: String,
}

/// How the instances are after a look at them; one word in an answer, or `error: ` and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum InstanceStatus {
    /// The agent is a process: there is none.
    #[default]
    None,
    /// There should be one, and none has the tags.
    Missing,
    /// It was stopped and is being started.
    Starting,
    /// It was idle and is being stopped.
    Stopping,
    /// It is left as it is.
    As(State),
    /// It could not be seen, started or stopped.
    Unseen(String),
    /// There are several; each by its own word, in the order of their ids.
    Several(Vec<InstanceStatus>),
}

impl fmt::Display for InstanceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Missing => f.write_str("missing"),
            Self::Starting => f.write_str("starting"),
            Self::Stopping => f.write_str("stopping"),
            Self::As(state) => f.write_str(state.as_str()),
            Self::Unseen(reason) => write!(f, "error: {reason}"),
            Self::Several(each) => {
                let words: Vec<String> = each.iter().map(ToString::to_string).collect();
                f.write_str(&words.join(", "))
            }
        }
    }
}

impl Serialize for InstanceStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl InstanceStatus {
    fn of(mut each: Vec<Self>) -> Self {
        match each.len() {
            0 => Self::Missing,
            1 => each.remove(0),
            _ => Self::Several(each),
        }
    }
}

/// What to do about an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Start,
    Stop,
    Leave,
}

/// How an instance is. Source: EC2 API reference, `InstanceState`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Running,
    Stopping,
    Stopped,
    /// Nothing is done about it: EC2's word, such as `terminated`.
    Other(String),
}

impl State {
    fn of(word: &str) -> Self {
        match word {
            // One that EC2 shows without a state is only just being made.
            "" | "pending" => Self::Pending,
            "running" => Self::Running,
            "stopping" => Self::Stopping,
            "stopped" => Self::Stopped,
            other => Self::Other(other.to_owned()),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Other(word) => word,
        }
    }
}

/// An instance that counts: it is there, and may run again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    id: String,
    state: State,
    /// `None` when EC2 does not say since when.
    up_for: Option<Duration>,
}

impl TrainiumInstances {
    pub(crate) fn new(
        sdk: &SdkConfig,
        selection: Selection,
        objects: S3,
        settings: &Settings,
    ) -> Self {
        Self {
            ec2: Ec2::new(sdk),
            selection,
            idle_stop: settings.idle_stop,
            objects,
            bucket: settings.outputs_bucket.clone(),
        }
    }

    /// Starts or stops instances as the work demands, one for each batch at most, and says how they are. An error is
    /// said and not returned: batches wait in their queue and the next look, a minute later, tries again. `idle` is how
    /// long ago the last result was made; `None` where there is none.
    pub(crate) async fn tend(&self, batches: u64, idle: Option<Duration>) -> InstanceStatus {
        let seen = match self.seen().await {
            Ok(seen) => seen,
            Err(reason) => {
                warn!(selection = ?self.selection, reason, "cannot see the instances");
                return InstanceStatus::Unseen(reason);
            }
        };
        if seen.is_empty() && batches > 0 {
            warn!(selection = ?self.selection, batches, "work waits and there is no instance");
        }
        let mut missing = wanted(&seen, batches);
        let mut each = Vec::with_capacity(seen.len());
        let mut refused = Vec::new();
        for instance in &seen {
            let is_idle = batches == 0 && has_been_idle(instance, idle, self.idle_stop + GUARD);
            let status = match step(instance, is_idle, missing) {
                Step::Leave => InstanceStatus::As(instance.state.clone()),
                Step::Start => self.start(&instance.id, &mut refused).await,
                Step::Stop => self.stop(&instance.id).await,
            };
            // One that does not start, for want of capacity in its zone, leaves the batch to the next.
            if status == InstanceStatus::Starting {
                missing = missing.saturating_sub(1);
            }
            each.push(status);
        }
        if let Err(reason) = self.note(refused).await {
            warn!(
                reason = chain(&reason),
                "which starts were refused is not noted"
            );
        }
        InstanceStatus::of(each)
    }

    /// Keeps the refusals of this look in place of the last one's.
    async fn note(&self, refused: Vec<RefusedStart>) -> Result<(), ObjectError> {
        let (bucket, key) = (&self.bucket, keys::REFUSED_STARTS);
        let before = self.objects.get(bucket, key, REFUSED_LIMIT).await?;
        let before: Vec<RefusedStart> = match before {
            Some(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                warn!(%error, "the list of refused starts cannot be read, and is replaced");
                Vec::new()
            }),
            None => Vec::new(),
        };
        if refused.is_empty() && before.is_empty() {
            return Ok(());
        }
        let refused = refused.into_iter().map(|it| it.following(&before));
        let list = serde_json::Value::from_iter(refused.map(|it| serde_json::json!(it)));
        let object = Object::new(list.to_string(), "application/json");
        self.objects.put(bucket, key, object).await
    }

    /// Those that are selected, in the order of their ids. One that is terminated is still shown by EC2 for an hour,
    /// and counts only where it was named.
    async fn seen(&self) -> Result<Vec<Seen>, String> {
        let found = match &self.selection {
            Selection::Id(id) => self.ec2.instance(id).await,
            Selection::Tags {
                purpose,
                environment,
            } => {
                let living = [
                    State::Pending,
                    State::Running,
                    State::Stopping,
                    State::Stopped,
                ];
                let living = living.map(|state| state.as_str().to_owned());
                let filters = [
                    tag(PURPOSE_TAG, purpose),
                    tag(ENVIRONMENT_TAG, environment),
                    ("instance-state-name".to_owned(), living.to_vec()),
                ];
                self.ec2.instances(&filters).await
            }
        };
        let found = found.map_err(|refusal| chain(&refusal))?;
        if found.is_empty() && matches!(self.selection, Selection::Id(_)) {
            return Err("there is no such instance".to_owned());
        }
        let mut seen: Vec<Seen> = found.into_iter().map(Seen::of).collect();
        seen.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(seen)
    }

    async fn start(&self, id: &str, refused: &mut Vec<RefusedStart>) -> InstanceStatus {
        let Err(refusal) = self.ec2.start(id).await else {
            info!(instance = id, "work waits: it is being started");
            return InstanceStatus::Starting;
        };
        let reason = chain(&refusal);
        warn!(instance = id, reason, "cannot start the instance");
        // Without a code it was not EC2 that refused.
        if let Some(code) = refusal.code() {
            let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
            refused.push(RefusedStart {
                instance_id: id.to_owned(),
                code: code.to_owned(),
                reason: one_line(&reason, REASON_CHARACTERS),
                since: now.clone(),
                last: now,
            });
        }
        InstanceStatus::Unseen(reason)
    }

    async fn stop(&self, id: &str) -> InstanceStatus {
        match self.ec2.stop(id).await {
            Ok(()) => {
                info!(instance = id, "nothing to do: it is being stopped");
                InstanceStatus::Stopping
            }
            Err(refusal) => {
                let reason = chain(&refusal);
                warn!(instance = id, reason, "cannot stop the instance");
                InstanceStatus::Unseen(reason)
            }
        }
    }
}

impl Seen {
    fn of(instance: Instance) -> Self {
        let up_for = instance.launched.map(|it| (Utc::now() - it).to_std());
        Self {
            id: instance.id,
            state: State::of(&instance.state),
            // Not known where EC2 does not say, or says a time to come.
            up_for: up_for.and_then(Result::ok),
        }
    }
}

/// A filter for a tag with this value.
fn tag(key: &str, value: &str) -> (String, Vec<String>) {
    (format!("tag:{key}"), vec![value.to_owned()])
}

/// Instances to start: one for each batch, less those that are up. A full batch takes all places of an agent.
fn wanted(seen: &[Seen], batches: u64) -> u64 {
    let is_up = |it: &&Seen| matches!(it.state, State::Running | State::Pending);
    batches.saturating_sub(seen.iter().filter(is_up).count() as u64)
}

/// Whether it has been up, and without a result, for so long that it should have stopped itself.
fn has_been_idle(instance: &Seen, idle: Option<Duration>, limit: Duration) -> bool {
    instance.up_for >= Some(limit) && idle.is_none_or(|idle| idle >= limit)
}

/// Which of several that run has nothing to do cannot be seen: none is idle before the last batch is done.
fn step(instance: &Seen, is_idle: bool, missing: u64) -> Step {
    match instance.state {
        State::Stopped if missing > 0 => Step::Start,
        State::Running if is_idle => Step::Stop,
        _ => Step::Leave,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(state: State, up_for: Option<Duration>) -> Seen {
        Seen {
            id: "i-0123456789abcdef0".to_owned(),
            state,
            up_for,
        }
    }

    #[test]
    fn an_instance_starts_for_work_and_stops_without_it() {
        let step = |state, is_idle, batches| {
            let one = seen(state, None);
            let missing = wanted(std::slice::from_ref(&one), batches);
            super::step(&one, is_idle, missing)
        };
        assert_eq!(step(State::Stopped, false, 1), Step::Start);
        assert_eq!(step(State::Stopped, true, 0), Step::Leave);
        assert_eq!(step(State::Running, true, 0), Step::Stop);
        assert_eq!(step(State::Running, false, 0), Step::Leave);
        assert_eq!(step(State::Stopping, true, 1), Step::Leave);
    }

    #[test]
    fn an_instance_that_should_have_stopped_itself_is_idle() {
        let limit = Duration::from_secs(600) + GUARD;
        let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
        let is_idle = |up_for, idle| has_been_idle(&seen(State::Running, up_for), idle, limit);
        // It stops itself after ten minutes.
        assert!(is_idle(minutes(15), None));
        assert!(is_idle(minutes(900), minutes(15)));
        assert!(!is_idle(minutes(14), None), "it may stop itself yet");
        assert!(!is_idle(minutes(900), minutes(14)), "it had work");
        assert!(
            !is_idle(None, minutes(900)),
            "since when it is up is not known"
        );
    }

    #[test]
    fn a_refusal_that_goes_on_keeps_its_beginning() {
        let refused = |id: &str, at: &str| RefusedStart {
            instance_id: id.to_owned(),
            code: "InsufficientInstanceCapacity".to_owned(),
            reason: "none".to_owned(),
            since: at.to_owned(),
            last: at.to_owned(),
        };
        let before = [refused("i-1", "08:00")];
        let again = refused("i-1", "08:01").following(&before);
        assert_eq!(
            (again.since.as_str(), again.last.as_str()),
            ("08:00", "08:01")
        );
        assert_eq!(refused("i-2", "08:01").following(&before).since, "08:01");
    }

    #[test]
    fn no_more_instances_start_than_there_are_batches() {
        let of = |states: &[State]| -> Vec<Seen> {
            states.iter().map(|it| seen(it.clone(), None)).collect()
        };
        let two_up = of(&[State::Running, State::Pending, State::Stopped]);
        assert_eq!(wanted(&two_up, 2), 0);
        assert_eq!(wanted(&two_up, 3), 1);
        assert_eq!(wanted(&of(&[State::Stopping, State::Stopped]), 1), 1);
        assert_eq!(wanted(&[], 1), 1);
    }

    #[test]
    fn several_are_each_said_in_a_word() {
        let words = |each| InstanceStatus::of(each).to_string();
        assert_eq!(words(Vec::new()), "missing");
        assert_eq!(words(vec![InstanceStatus::Starting]), "starting");
        let two = vec![InstanceStatus::As(State::Running), InstanceStatus::Stopping];
        assert_eq!(words(two), "running, stopping");
    }
}
