//! The producer's task: connects the [machine](super::machine) to the queue, the network and the clock.
//!
//! # One round
//!
//! The task repeats rounds until one makes no progress. A round, in this order:
//!
//! 1. Polls the HEAD requests: the metadata probe and the tail check. Each has a field of its own in the driver, so that
//!    the result of one is never taken for the other's.
//! 2. Polls the attempts, and gives their results to the machine. The application's error handler may turn a failure that
//!    would halt the producer into a retry.
//! 3. Publishes settled batches to the handles. Ends the task if the producer has halted and all batches are settled.
//! 4. Starts a tail check if the machine asks for one.
//! 5. Takes batches from the queue as long as the machine wants them. Before the first batch with records it starts the
//!    metadata probe, unless the content type is known and there is no epoch to claim.
//! 6. Polls the HEAD requests again: one that has just started must be polled once to be woken later.
//! 7. Sends the machine's attempts, and publishes again.
//! 8. If none of this made progress: sleeps until the next deadline.
//!
//! The task ends when the producer is closed and everything is settled, or when it has halted.

mod batches;
mod probe;
pub(super) mod task;
#[cfg(test)]
mod tests;
pub(super) mod wire;
