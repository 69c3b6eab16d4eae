//! The exactly-once producer.
//!
//! Handles encode records into the open batch of a [`queue`], behind one short lock. One task, the [`driver`], takes
//! batches out of it, and does what the [`machine`] says: it alone knows the rules, and nothing of time or network.

mod append;
mod batch;
mod builder;
mod delivery;
mod driver;
mod error;
mod handle;
mod machine;
mod place;
mod probe;
mod queue;
mod request;
mod shared;
mod stats;
mod waiters;

pub use builder::ProducerBuilder;
pub use delivery::{Ack, Delivery};
pub use error::ProducerError;
pub use handle::IdempotentProducer;
pub use stats::ProducerStats;

use bytes::Bytes;
use durable_streams_contract::Sleep;
use shared::Shared;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

/// A record that was not stored when its producer halted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnsentRecord {
    /// The record as it was appended; of an `append_json`, its JSON text.
    pub data: Bytes,
    /// Whether the server may have stored it nevertheless: it was sent, and no answer told what became of it. Where
    /// this is false, appending it again makes no second copy.
    pub may_be_stored: bool,
}

/// What a handle needs of the stack, whatever its type.
trait Host: Send + Sync {
    fn now(&self) -> Instant;
    fn sleep(&self, duration: Duration) -> Sleep;
    /// Spawns the driver.
    fn start(&self, shared: Arc<Shared>);
}

/// What all handles of a producer share. When the last one goes, the producer is on its own.
struct Handles {
    shared: Arc<Shared>,
    host: Box<dyn Host>,
}

impl Drop for Handles {
    fn drop(&mut self) {
        detach(&self.shared);
    }
}

/// Nobody waits for the rest any more.
fn detach(shared: &Shared) {
    let waker = {
        let mut state = shared.lock();
        state.detached = true;
        state.close();
        state.driver.take()
    };
    if let Some(waker) = waker {
        Waker::wake(waker);
    }
}

/// Locks, whatever became of a thread that held it: no state is left half changed.
fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
