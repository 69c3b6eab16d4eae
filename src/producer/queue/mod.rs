//! The queue between the handles and the driver: the open batch, the sealed ones, and what is not settled.
//!
//! No clock and no waiting: time is passed in. `buffer` is the queue itself, `batch` the form of its records, and
//! `waiters` the tasks that wait for room or for a flush.

pub(super) mod batch;
pub(super) mod buffer;
#[cfg(test)]
mod tests;
pub(super) mod waiters;
