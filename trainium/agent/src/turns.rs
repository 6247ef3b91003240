//! One program of a paper at a time: a paper has one set of outputs, and the same program may be in two batches at
//! once, because messages are sent again. Who comes second finds the first one's result.

use std::collections::HashSet;
use std::sync::Arc;

use annapurna_contract::PaperId;
use tokio::sync::watch;

use crate::slots::{Slot, Slots};

/// The papers whose programs are being seen to; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<watch::Sender<HashSet<PaperId>>>);

/// A paper's turn. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    paper: PaperId,
}

impl Turns {
    /// The paper's turn, unless another program has it now.
    fn take(&self, paper: &PaperId) -> Option<Turn> {
        let is_free = |taken: &mut HashSet<PaperId>| taken.insert(paper.clone());
        self.0.send_if_modified(is_free).then(|| Turn {
            turns: self.clone(),
            paper: paper.clone(),
        })
    }

    /// The paper's turn, and a place; while another program has the turn, the place is given to others. `None` only when
    /// the agent is going down.
    pub(crate) async fn of(
        &self,
        paper: Option<&PaperId>,
        slot: Slot,
        slots: &Slots,
    ) -> Option<(Option<Turn>, Slot)> {
        let Some(paper) = paper else {
            return Some((None, slot));
        };
        if let Some(turn) = self.take(paper) {
            return Some((Some(turn), slot));
        }
        drop(slot);
        let turn = self.wait(paper).await;
        Some((Some(turn), slots.claim().place().await?))
    }

    /// Waits for the paper's turn.
    async fn wait(&self, paper: &PaperId) -> Turn {
        let mut taken = self.0.subscribe();
        loop {
            if let Some(turn) = self.take(paper) {
                return turn;
            }
            // An error would mean that the sender is gone, which `self` holds.
            let _ = taken.wait_for(|taken| !taken.contains(paper)).await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.0.send_modify(|taken| {
            taken.remove(&self.paper);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_paper_waits_for_itself_and_for_no_other() {
        let (turns, one) = (Turns::default(), PaperId::of("one", None));
        let first = turns.take(&one).unwrap();
        assert!(turns.take(&one).is_none());
        assert!(turns.take(&PaperId::of("other", None)).is_some());
        let waiting = turns.wait(&one);
        tokio::pin!(waiting);
        assert!(is_pending(&mut waiting).await);
        drop(first);
        let second = waiting.await;
        assert!(turns.take(&one).is_none());
        drop(second);
        assert!(turns.take(&one).is_some());
    }

    async fn is_pending<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
        tokio::select! {
            biased;
            _ = future => false,
            () = tokio::task::yield_now() => true,
        }
    }
}
