//! Which instances go, which come and which stay though a newer launch template is there.

use std::collections::BTreeSet;

use super::{Instances, Slot};
use crate::plan::{Change, ChangeSetEntry, merge_change_set};

/// What the stack is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Which instances there are to be.
    pub slots: BTreeSet<Slot>,
    /// The pipeline's launch template.
    pub launch_template_id: &'a str,
    /// Its newest version; `None` when a deployment of the pipeline is about to add one.
    pub version: Option<&'a str>,
    /// The VPC where they are to be.
    pub vpc_id: &'a str,
    /// The one subnet that the settings name.
    pub subnet_id: Option<&'a str>,
    /// Instances of the stack that were ended by somebody else.
    pub gone: BTreeSet<Slot>,
    /// Whether instances of an older launch template are to be replaced.
    pub replace: bool,
}

/// How to get there: first those of `remove` go, all at once, then those of `add` come, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// Instances that leave the stack.
    pub remove: BTreeSet<Slot>,
    /// Instances that are made.
    pub add: BTreeSet<Slot>,
    /// Instances that stay as they are, and would be made differently today.
    pub outdated: BTreeSet<Slot>,
}

impl Steps {
    /// The steps from what is deployed, if anything is.
    pub fn between(current: Option<&Instances>, wanted: &Wanted<'_>) -> Self {
        let mut steps = Self::default();
        let each = current.into_iter().flat_map(|current| {
            current
                .each
                .iter()
                .map(move |(slot, placement)| (*slot, current, placement))
        });
        for (slot, current, placement) in each {
            let is_as_wanted = current.launch_template_id == wanted.launch_template_id
                && wanted.version == Some(placement.version.as_str())
                && current.vpc_id == wanted.vpc_id
                && wanted
                    .subnet_id
                    .is_none_or(|subnet_id| subnet_id == placement.subnet_id);
            let goes = !wanted.slots.contains(&slot)
                || wanted.gone.contains(&slot)
                || (wanted.replace && !is_as_wanted);
            if goes {
                steps.remove.insert(slot);
            } else if !is_as_wanted {
                steps.outdated.insert(slot);
            }
        }
        let stays = |slot: &Slot| {
            let has = current.is_some_and(|current| current.each.contains_key(slot));
            has && !steps.remove.contains(slot)
        };
        steps.add = wanted
            .slots
            .iter()
            .copied()
            .filter(|slot| !stays(slot))
            .collect();
        steps
    }

    /// Instances that a change set would end or replace beyond these steps. CloudFormation makes the new one before
    /// it ends the old one, and nobody agreed to either.
    pub fn unasked(&self, entries: &[ChangeSetEntry]) -> BTreeSet<Slot> {
        let mut changes = Vec::new();
        merge_change_set(&mut changes, entries);
        let lost = changes.iter().filter(|it| Change::is_dangerous(it));
        let slots = lost.filter_map(|it| Slot::parse(&it.resource));
        slots.filter(|slot| !self.remove.contains(slot)).collect()
    }

    /// Has these go first and come again.
    pub fn also_replace(&mut self, slots: BTreeSet<Slot>) {
        self.add.extend(&slots);
        self.remove.extend(slots);
    }

    /// Whether nothing goes and nothing comes.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty()
    }
}
