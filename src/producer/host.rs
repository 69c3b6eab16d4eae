//! What all handles of a producer share, and what they need of the stack.

use super::shared::Shared;
use durable_streams_contract::Sleep;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// What a handle needs of the stack, independent of the stack's type.
pub(super) trait Host: Send + Sync {
    fn now(&self) -> Instant;
    fn sleep(&self, duration: Duration) -> Sleep;
    /// Spawns the driver.
    fn start(&self, shared: Arc<Shared>);
}

/// What all handles of a producer share. Dropping the last handle detaches the producer.
pub(super) struct Handles {
    pub(super) shared: Arc<Shared>,
    pub(super) host: Box<dyn Host>,
}

impl Handles {
    /// Accepts no more records, and bounds how long the rest is delivered.
    pub(super) fn detach(&self) {
        let waker = {
            let mut state = self.shared.lock();
            // Not set by a plain `close`, which a caller waits for: only without a caller is the delivery bounded.
            state.is_detached = true;
            state.close();
            state.driver.take()
        };
        if let Some(waker) = waker {
            Waker::wake(waker);
        }
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        self.detach();
    }
}
