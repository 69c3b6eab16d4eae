//! The exactly-once producer (protocol §5.2.1).
//!
//! A handle copies a record into the open batch of the [`queue`], behind one short lock. One task, the [`driver`], takes
//! batches out of the queue and does what the [`machine`] says. The machine has the rules of the protocol, and neither
//! I/O nor a clock.
//!
//! ```text
//! handle, append ──► shared { queue, waiters, receipts } ◄── driver { machine, wire, probe }
//! ```
//!
//! - [`builder`] checks the options, [`config`] holds them, [`host`] starts the driver.
//! - [`handle`] has the public operations, [`append`] the path of each record, [`completion`] the waits.
//! - [`receipt`] is the result of a record, [`unacked`] what a halted producer returns.

mod append;
mod builder;
mod completion;
mod config;
mod driver;
mod error;
mod handle;
mod host;
mod machine;
mod queue;
mod receipt;
mod shared;
mod stats;
mod unacked;
mod wait_guard;

pub use builder::ProducerBuilder;
pub use error::ProducerError;
pub use handle::IdempotentProducer;
pub use receipt::{Ack, Delivery};
pub use stats::ProducerStats;
pub use unacked::UnackedRecord;
