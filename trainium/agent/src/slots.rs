//! Places in which programs run: one NeuronCore each, shared by the queue and the HTTP API.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// As many numbered places as programs may run at a time; clones share them.
#[derive(Debug, Clone)]
pub struct Slots {
    total: usize,
    free: Arc<Mutex<Vec<usize>>>,
    permits: Arc<Semaphore>,
}

/// One taken place. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Slot {
    index: usize,
    free: Arc<Mutex<Vec<usize>>>,
    /// Given back after the index, so whoever gets it finds an index.
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    /// All `total` places are free; [`Slot::index`] is below `total`.
    pub fn new(total: usize) -> Self {
        Self {
            total,
            free: Arc::new(Mutex::new((0..total).rev().collect())),
            permits: Arc::new(Semaphore::new(total)),
        }
    }

    /// Waits for a free place, in the order of asking. `None` only when the agent is going down.
    pub(crate) async fn take(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        let index = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()?;
        Some(Slot {
            index,
            free: Arc::clone(&self.free),
            _permit: permit,
        })
    }

    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// Places taken now; `/health` tells it.
    pub(crate) fn busy(&self) -> usize {
        self.total - self.permits.available_permits()
    }
}

impl Slot {
    /// The place's number from 0, which is its NeuronCore.
    pub(crate) fn index(&self) -> usize {
        self.index
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_programs_never_share_a_core() {
        let slots = Slots::new(2);
        let one = slots.take().await.unwrap();
        let other = slots.take().await.unwrap();
        assert_ne!(one.index(), other.index());
        assert_eq!(slots.busy(), 2);
        let freed = one.index();
        drop(one);
        assert_eq!(slots.take().await.unwrap().index(), freed);
    }
}
