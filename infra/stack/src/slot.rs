//! The places of instances, one beside the other: an instance's id in the template and the names that come from it.

use std::collections::BTreeSet;
use std::fmt;

use crate::environment::Environment;

/// Begins the id of an instance in the template, before its number.
const INSTANCE: &str = "TrainiumInstance";

/// One of the environment's instances, counted from 1. What is in it may change; its number stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub(crate) u32);

impl Slot {
    /// Those that the environment is to have; none where the agent is a process, or somebody else's instance.
    pub fn of(environment: &Environment) -> BTreeSet<Self> {
        let instances = environment.trainium.as_ref().map_or(0, |it| it.instances);
        (1..=instances).map(Self).collect()
    }

    /// From its id in the template; `None` where that is not of an instance.
    pub(crate) fn parse(id: &str) -> Option<Self> {
        let number: u32 = id.strip_prefix(INSTANCE)?.parse().ok()?;
        Some(Self(number)).filter(|slot| number > 0 && slot.to_string() == id)
    }

    /// Its number, from 1.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    /// The parameter with the version of its launch template.
    pub(crate) fn version(self) -> String {
        format!("{self}Version")
    }

    /// The parameter with its subnet.
    pub(crate) fn subnet_id(self) -> String {
        format!("{self}SubnetId")
    }
}

/// Its id in the template.
impl fmt::Display for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{INSTANCE}{}", self.0)
    }
}
