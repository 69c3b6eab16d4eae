//! Explores the client's behaviour under simulated faults, by seed.
//!
//! A seed is a [`Scenario`]: streams, writers, readers, the behaviour of a server and a network, and all failures. Two of
//! three scenarios have a [`Theme`], because combinations of rare events hardly happen at random. [`play`] runs a scenario
//! in a simulated world and checks that
//!
//! - every acknowledged record is stored, none twice, each writer's in order and without holes;
//! - nothing is stored that was reported as not stored;
//! - a reader, whatever its mode and wherever it crashed, has consumed each byte once;
//! - the queue, bodies, batches in flight and request rates stay within their bounds;
//! - everything ends: no deadlock, no endless wait, no task left behind.

mod check;
mod checkpoint_disk;
mod consumed;
mod context;
mod prepare;
mod reading;
mod record_log;
mod run;
mod scenario;
mod sync;
mod wire;
mod writing;

pub use run::{Played, play, shrunk};
pub use scenario::{
    Content, Expiry, Failure, Finish, InitialState, Live, ProcessId, Reader, Scenario, Theme, WriteMode,
    Writer,
};
