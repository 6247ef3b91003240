//! Places in which programs run: one NeuronCore each, shared by the queue and the HTTP API.
//!
//! Who wants a place claims one first, without waiting: so the worker knows at once whether another batch would only
//! wait, and programs get their places in the order in which they ask.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// As many numbered places as programs may run at a time; clones share them.
#[derive(Debug, Clone)]
pub struct Slots {
    total: usize,
    free: Arc<Mutex<Vec<usize>>>,
    permits: Arc<Semaphore>,
    /// Places that are taken or waited for.
    wanted: Arc<watch::Sender<usize>>,
}

/// A place that is wanted. Dropping it wants it no longer.
#[derive(Debug)]
pub(crate) struct Claim {
    slots: Slots,
    places: usize,
}

/// One taken place, or with [`Claim::alone`] all of them. Dropping it frees what it has.
#[derive(Debug)]
pub(crate) struct Slot {
    index: usize,
    claim: Claim,
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
            wanted: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Wants one place.
    pub(crate) fn claim(&self) -> Claim {
        self.wanted.send_modify(|wanted| *wanted += 1);
        Claim {
            slots: self.clone(),
            places: 1,
        }
    }

    /// Waits until some place is neither taken nor waited for.
    pub(crate) async fn until_room(&self) {
        let mut wanted = self.wanted.subscribe();
        // An error would mean that the sender is gone, which `self` holds.
        let _ = wanted.wait_for(|wanted| *wanted < self.total).await;
    }

    /// Waits until no place has been taken or waited for during so long.
    pub(crate) async fn idle(&self, limit: Duration) {
        let mut wanted = self.wanted.subscribe();
        loop {
            let is_idle = *wanted.borrow_and_update() == 0;
            let changed = wanted.changed();
            // An error of the change would mean that the sender is gone, which `self` holds.
            if !is_idle {
                let _ = changed.await;
            } else if tokio::time::timeout(limit, changed).await.is_err() {
                return;
            }
        }
    }

    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// Places taken now; `/health` tells it.
    pub(crate) fn busy(&self) -> usize {
        self.total - self.permits.available_permits()
    }

    async fn take(&self, places: usize) -> Option<(usize, OwnedSemaphorePermit)> {
        let permits = Arc::clone(&self.permits);
        let many = u32::try_from(places).ok()?;
        let permit = permits.acquire_many_owned(many).await.ok()?;
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        Some((free.pop()?, permit))
    }
}

impl Claim {
    /// Waits for a free place, in the order of asking. `None` only when the agent is going down.
    pub(crate) async fn place(self) -> Option<Slot> {
        let (index, permit) = self.slots.take(1).await?;
        Some(Slot {
            index,
            claim: self,
            _permit: permit,
        })
    }

    /// Waits until every place is free and takes them all; who asks later waits.
    pub(crate) async fn alone(mut self) -> Option<Slot> {
        let total = self.slots.total;
        let more = total - self.places;
        self.slots.wanted.send_modify(|wanted| *wanted += more);
        self.places = total;
        let (index, permit) = self.slots.take(total).await?;
        Some(Slot {
            index,
            claim: self,
            _permit: permit,
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.slots
            .wanted
            .send_modify(|wanted| *wanted -= self.places);
    }
}

impl Slot {
    /// The place's number from 0, which is its NeuronCore.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Whether no other program runs beside this one.
    pub(crate) fn is_alone(&self) -> bool {
        self.claim.places == self.claim.slots.total
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.claim
            .slots
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    /// Whether `waited` is still to come.
    async fn waits(waited: &mut (impl Future + Unpin)) -> bool {
        std::future::poll_fn(|cx| {
            Poll::Ready(std::pin::Pin::new(&mut *waited).poll(cx).is_pending())
        })
        .await
    }

    #[tokio::test]
    async fn two_programs_never_share_a_core() {
        let slots = Slots::new(2);
        let one = slots.claim().place().await.unwrap();
        let other = slots.claim().place().await.unwrap();
        assert_ne!(one.index(), other.index());
        assert_eq!(slots.busy(), 2);
        let freed = one.index();
        drop(one);
        assert_eq!(slots.claim().place().await.unwrap().index(), freed);
    }

    #[tokio::test]
    async fn there_is_room_while_a_place_is_neither_taken_nor_wanted() {
        let slots = Slots::new(2);
        slots.until_room().await;
        let one = slots.claim().place().await.unwrap();
        slots.until_room().await;
        let wanted = slots.claim();
        let mut room = Box::pin(slots.until_room());
        assert!(waits(&mut room).await);
        drop(wanted);
        room.await;
        drop(one);
        assert_eq!(slots.busy(), 0);
    }

    #[tokio::test]
    async fn alone_means_that_nobody_is_beside_it() {
        let slots = Slots::new(2);
        let one = slots.claim().place().await.unwrap();
        assert!(!one.is_alone());
        let mut alone = Box::pin(slots.claim().alone());
        assert!(waits(&mut alone).await);
        let mut later = Box::pin(slots.claim().place());
        assert!(waits(&mut later).await, "it asked later");
        let mut room = Box::pin(slots.until_room());
        assert!(waits(&mut room).await);
        drop(one);
        let alone = alone.await.unwrap();
        assert!(alone.is_alone() && waits(&mut later).await);
        drop(alone);
        assert!(!later.await.unwrap().is_alone());
        room.await;
        assert!(Slots::new(1).claim().place().await.unwrap().is_alone());
    }

    #[tokio::test]
    async fn idle_is_counted_from_the_end_of_the_last_program() {
        let slots = Slots::new(2);
        let limit = Duration::from_millis(300);
        let slot = slots.claim().place().await.unwrap();
        let begin = std::time::Instant::now();
        let work = async {
            tokio::time::sleep(2 * limit).await;
            drop(slot);
        };
        tokio::join!(work, slots.idle(limit));
        assert!(begin.elapsed() >= 3 * limit, "{:?}", begin.elapsed());
        slots.idle(limit).await;
    }
}
