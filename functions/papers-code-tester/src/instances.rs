//! The instances that run the agent: started when work waits, stopped when none does.
//!
//! They cost money while they run, so one is stopped when nothing is queued or being run and it has been up
//! for ten minutes. The rule needs no memory: a start begins the ten minutes anew. They are found anew at every
//! look, by their tags: the stack with the functions is there before them, and stays when they are replaced.

use std::fmt;
use std::time::{Duration, SystemTime};

use annapurna_contract::names::{ENVIRONMENT_TAG, PURPOSE_TAG};
use annapurna_contract::text::chain;
use aws_config::SdkConfig;
use aws_sdk_ec2::{
    Client,
    error::SdkError,
    types::{Filter, Instance, InstanceStateName as State},
};
use serde::{Serialize, Serializer};
use tracing::{info, warn};

use crate::settings::Selection;

/// How long an instance is up before it may be stopped: long enough to boot and to ask for a batch.
const LEAST_UP: Duration = Duration::from_secs(600);

/// The instances that are selected, as EC2 shows them.
#[derive(Debug, Clone)]
pub(crate) struct TrainiumInstances {
    client: Client,
    selection: Selection,
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

/// An instance that counts: it is there, and may run again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    id: String,
    state: State,
    /// `None` when EC2 does not say since when.
    up_for: Option<Duration>,
}

impl TrainiumInstances {
    pub(crate) fn new(sdk: &SdkConfig, selection: Selection) -> Self {
        Self {
            client: Client::new(sdk),
            selection,
        }
    }

    /// Starts or stops instances as the work demands, one for each batch at most, and says how they are. An error is
    /// said and not returned: batches wait in their queue and the next look, a minute later, tries again.
    pub(crate) async fn tend(&self, batches: u64) -> InstanceStatus {
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
        for instance in &seen {
            let status = self.bring(instance, step(instance, batches, missing)).await;
            // One that does not start, for want of capacity in its zone, leaves the batch to the next.
            if status == InstanceStatus::Starting {
                missing = missing.saturating_sub(1);
            }
            each.push(status);
        }
        InstanceStatus::of(each)
    }

    /// Those that are selected, in the order of their ids. One that is terminated is still shown by EC2 for an hour,
    /// and counts only where it was named.
    async fn seen(&self) -> Result<Vec<Seen>, String> {
        let request = self.client.describe_instances();
        let request = match &self.selection {
            Selection::Id(id) => request.instance_ids(id),
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
                request
                    .filters(tag(PURPOSE_TAG, purpose))
                    .filters(tag(ENVIRONMENT_TAG, environment))
                    .filters(
                        Filter::builder()
                            .name("instance-state-name")
                            .set_values(Some(living.to_vec()))
                            .build(),
                    )
            }
        };
        let mut pages = request.into_paginator().send();
        let mut seen = Vec::new();
        while let Some(page) = pages.next().await {
            let reservations = page.map_err(reason)?.reservations.into_iter().flatten();
            let instances = reservations.flat_map(|it| it.instances.into_iter().flatten());
            seen.extend(instances.filter_map(|it| Seen::of(&it)));
        }
        if seen.is_empty() && matches!(self.selection, Selection::Id(_)) {
            return Err("there is no such instance".to_owned());
        }
        seen.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(seen)
    }

    /// Takes a step, and says how the instance is then.
    async fn bring(&self, instance: &Seen, step: Step) -> InstanceStatus {
        let id = &instance.id;
        let taken = match step {
            Step::Leave => return InstanceStatus::As(instance.state.clone()),
            Step::Start => {
                let sent = self.client.start_instances().instance_ids(id).send().await;
                sent.map(|_| InstanceStatus::Starting).map_err(reason)
            }
            Step::Stop => {
                let sent = self.client.stop_instances().instance_ids(id).send().await;
                sent.map(|_| InstanceStatus::Stopping).map_err(reason)
            }
        };
        match taken {
            Ok(status) => {
                info!(instance = id, %status, "the instance is as the work demands");
                status
            }
            Err(reason) => {
                warn!(instance = id, reason, "cannot start or stop the instance");
                InstanceStatus::Unseen(reason)
            }
        }
    }
}

impl Seen {
    /// `None` where EC2 gives no id, without which nothing can be done.
    fn of(instance: &Instance) -> Option<Self> {
        let state = instance.state.as_ref().and_then(|state| state.name.clone());
        Some(Self {
            id: instance.instance_id.clone()?,
            state: state.unwrap_or(State::Pending),
            up_for: up_for(instance),
        })
    }
}

fn tag(key: &str, value: &str) -> Filter {
    Filter::builder()
        .name(format!("tag:{key}"))
        .values(value)
        .build()
}

/// Instances to start: one for each batch, less those that are up. An agent takes one batch at a time.
fn wanted(seen: &[Seen], batches: u64) -> u64 {
    let is_up = |it: &&Seen| matches!(it.state, State::Running | State::Pending);
    batches.saturating_sub(seen.iter().filter(is_up).count() as u64)
}

/// Which of several that run has nothing to do cannot be seen: none is stopped before the last batch is done.
fn step(instance: &Seen, batches: u64, missing: u64) -> Step {
    match instance.state {
        State::Stopped if missing > 0 => Step::Start,
        State::Running if batches == 0 && instance.up_for >= Some(LEAST_UP) => Step::Stop,
        _ => Step::Leave,
    }
}

/// `None` when EC2 does not say since when; then it is not known to have been up for long.
fn up_for(instance: &Instance) -> Option<Duration> {
    let launched = SystemTime::try_from(instance.launch_time?).ok()?;
    launched.elapsed().ok()
}

fn reason<E, R>(error: SdkError<E, R>) -> String
where
    E: std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    chain(&error)
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
        let minute = Some(Duration::from_secs(60));
        let long = Some(LEAST_UP);
        let step = |state, up_for, batches| {
            let one = seen(state, up_for);
            let missing = wanted(std::slice::from_ref(&one), batches);
            super::step(&one, batches, missing)
        };
        assert_eq!(step(State::Stopped, minute, 1), Step::Start);
        assert_eq!(step(State::Stopped, minute, 0), Step::Leave);
        assert_eq!(step(State::Running, long, 0), Step::Stop);
        assert_eq!(step(State::Running, minute, 0), Step::Leave);
        assert_eq!(step(State::Running, None, 0), Step::Leave);
        assert_eq!(step(State::Running, Some(LEAST_UP * 9), 1), Step::Leave);
        assert_eq!(step(State::Stopping, long, 1), Step::Leave);
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
