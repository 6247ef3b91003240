//! The one signal that ends everything: set once by SIGTERM or SIGINT, seen by tasks and by threads.

use std::net;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::watch;

/// Sockets that are closed when the signal is set.
type Sockets = Arc<Mutex<Vec<Weak<UnixStream>>>>;

/// Sets the signal. Dropping it sets it too, so a panicking owner cannot leave programs running.
#[derive(Debug)]
pub struct ShutdownTrigger {
    sender: watch::Sender<bool>,
    sockets: Sockets,
}

impl ShutdownTrigger {
    /// Asks every holder of a [`Shutdown`] to stop.
    pub fn fire(&self) {
        self.sender.send_replace(true);
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        for socket in sockets.drain(..).filter_map(|socket| socket.upgrade()) {
            // One that is closed already is what we want.
            let _ = socket.shutdown(net::Shutdown::Both);
        }
    }
}

impl Drop for ShutdownTrigger {
    fn drop(&mut self) {
        self.fire();
    }
}

/// Sees the signal; every clone sees the same one.
#[derive(Debug, Clone)]
pub struct Shutdown {
    receiver: watch::Receiver<bool>,
    sockets: Sockets,
}

impl Shutdown {
    /// A signal that is not set, and what sets it.
    pub fn new() -> (ShutdownTrigger, Self) {
        let (sender, receiver) = watch::channel(false);
        let sockets = Sockets::default();
        let trigger = ShutdownTrigger {
            sender,
            sockets: Arc::clone(&sockets),
        };
        (trigger, Self { receiver, sockets })
    }

    /// Whether the agent is stopping.
    pub(crate) fn is_requested(&self) -> bool {
        *self.receiver.borrow() || self.receiver.has_changed().is_err()
    }

    /// Waits until the agent is stopping.
    pub(crate) async fn requested(&self) {
        let mut receiver = self.receiver.clone();
        // An error means that the trigger is gone, which is a request as well.
        let _ = receiver.wait_for(|requested| *requested).await;
    }

    /// Has the socket closed when the agent stops, which wakes a thread that waits at it. At once, if it stops already.
    pub(crate) fn closes(&self, socket: &Arc<UnixStream>) {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_requested() {
            let _ = socket.shutdown(net::Shutdown::Both);
            return;
        }
        sockets.retain(|socket| socket.strong_count() > 0);
        sockets.push(Arc::downgrade(socket));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[tokio::test]
    async fn threads_and_tasks_see_the_request() {
        let (trigger, shutdown) = Shutdown::new();
        let (before, mut other) = UnixStream::pair().unwrap();
        let before = Arc::new(before);
        shutdown.closes(&before);
        assert!(!shutdown.is_requested());
        trigger.fire();
        assert!(shutdown.is_requested());
        shutdown.requested().await;
        assert_eq!(other.read(&mut [0]).unwrap(), 0, "it was closed");
        let (after, mut other) = UnixStream::pair().unwrap();
        shutdown.closes(&Arc::new(after));
        assert_eq!(
            other.read(&mut [0]).unwrap(),
            0,
            "it is too late for this one"
        );
    }

    #[tokio::test]
    async fn a_lost_trigger_is_a_request() {
        let (trigger, shutdown) = Shutdown::new();
        drop(trigger);
        assert!(shutdown.is_requested());
        shutdown.requested().await;
    }
}
