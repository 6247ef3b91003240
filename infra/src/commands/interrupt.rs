//! Ctrl-C: the program ends at once, except while a command holds something that must be put right first.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::error::CommandError;

/// Whether Ctrl-C was pressed, and whether something is held open meanwhile. Clones are of the same program.
#[derive(Debug, Clone)]
pub(super) struct Interrupt {
    pressed: watch::Sender<bool>,
    n_held: Arc<AtomicUsize>,
}

/// Something that must be put right before the program ends; it is when this is dropped.
#[derive(Debug)]
pub(super) struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Interrupt {
    pub(super) fn new() -> Self {
        Self {
            pressed: watch::Sender::new(false),
            n_held: Arc::default(),
        }
    }

    /// Begins to hold something open: the program ends when the command does, or at a second Ctrl-C.
    pub(super) fn hold(&self) -> Held {
        self.n_held.fetch_add(1, Ordering::SeqCst);
        Held(Arc::clone(&self.n_held))
    }

    pub(super) fn is_held(&self) -> bool {
        self.n_held.load(Ordering::SeqCst) > 0
    }

    pub(super) fn is_pressed(&self) -> bool {
        *self.pressed.borrow()
    }

    pub(super) fn press(&self) {
        self.pressed.send_replace(true);
    }

    /// Does `work` to its end or until Ctrl-C, whichever comes first.
    ///
    /// # Errors
    ///
    /// Those of `work`, and [`CommandError::Interrupted`].
    pub(super) async fn or<T>(
        &self,
        work: impl Future<Output = Result<T, CommandError>>,
    ) -> Result<T, CommandError> {
        let mut pressed = self.pressed.subscribe();
        tokio::select! {
            biased;
            done = work => done,
            // The sender lives as long as this value.
            _ = pressed.wait_for(|it| *it) => Err(CommandError::Interrupted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_with_ctrl_c_also_when_it_was_pressed_before() {
        let interrupt = Interrupt::new();
        assert_eq!(interrupt.or(async { Ok(1) }).await.unwrap(), 1);
        let held = interrupt.hold();
        assert!(interrupt.is_held());
        assert!(!interrupt.is_pressed());
        interrupt.clone().press();
        assert!(interrupt.is_pressed());
        let ended = interrupt.or(std::future::pending::<Result<(), _>>()).await;
        assert!(matches!(ended, Err(CommandError::Interrupted)));
        drop(held);
        assert!(!interrupt.is_held());
    }
}
