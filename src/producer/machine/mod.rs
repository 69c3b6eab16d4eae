//! The producer's rules, as a state machine without I/O and without a clock.
//!
//! The machine numbers batches, limits how many are in flight, decides what a response means, and says what to send
//! next. The [driver](super::driver) connects it to the queue, the network and the clock.
//!
//! # Contract
//!
//! Inputs, each called by the driver when it happens:
//!
//! | input | when |
//! |---|---|
//! | [`on_metadata`](Machine::on_metadata) | the HEAD before the first batch has returned the stream's tail |
//! | [`push_batch`](Machine::push_batch) | a batch is due, and [`wants_batch`](Machine::wants_batch) is true |
//! | [`on_result`](Machine::on_result) | an attempt has ended |
//! | [`on_tail`](Machine::on_tail) | the tail check after a state loss has ended |
//! | [`halt`](Machine::halt), [`abort`](Machine::abort) | the driver itself has to stop |
//!
//! Outputs, taken after any number of inputs, in this order:
//!
//! 1. [`take_settled`](Machine::take_settled): batches whose result is final.
//! 2. [`begin_tail_check`](Machine::begin_tail_check): true once for each tail check that the driver has to make.
//! 3. [`next_attempt`](Machine::next_attempt): the attempts to send now. Called until it returns `None`.
//! 4. [`deadline`](Machine::deadline): when to call again if nothing else happens.
//! 5. [`halted`](Machine::halted): why nothing is sent any more. Once [`is_idle`](Machine::is_idle) as well,
//!    [`unacked_from`](Machine::unacked_from) is set.
//!
//! # States
//!
//! ```text
//!              403 with a higher epoch, or a duplicate that proves an earlier run; with auto_claim
//!   Running ────────────────────────────────────────────────────────────────────────► Claiming
//!      │  ▲                                                                               │
//!      │  │ new epoch, renumbered from 0          nothing in flight, nothing in doubt     │
//!      │  └───────────────────────────────────────────────────────────────────────────────┤
//!      │  ▲                                                                               │
//!      │  │ new epoch: the tail shows that nothing in doubt was stored                     │
//!      │  │                                                                               │
//!      ├──┴──── gap for the oldest batch, or 400 after an acknowledgement; auto_claim ──► StateLost
//!      │                                                                                  │
//!      └── any other failure ──► Halting ◄── data lost, or a batch in doubt ──────────────┘
//!                                   │
//!                                   └── nothing in flight: all remaining batches fail ──► Halted
//! ```
//!
//! A batch that fails again and again as on a path that does not carry its size leads from Running to SizeInDoubt. The driver's
//! tail check shows that the server is there; then the batch is split, and Running goes on.
//!
//! Two transitions are not drawn: Running ──► StateLost by a first batch without a response in an epoch that was claimed after
//! a state loss, and StateLost ──► Claiming by 403 with a higher epoch for a batch that was still in flight.
//!
//! A change of epoch, a split, and the end happen only while nothing is in flight (`advance` in `recovery`).
//!
//! # Invariants
//!
//! - The sequence numbers of `entries` increase from the front. A batch that was acknowledged before an earlier one leaves a
//!   gap.
//! - Until the first acknowledgement of an epoch one batch at most is in flight: the server refuses a later one that
//!   arrives first.
//! - A batch that is not the oldest is retried only once all before it are settled.
//! - A part of a split batch that has the number of a later batch in doubt is sent alone: that the next number is stored would
//!   not prove that the part is.
//! - A batch that may have been applied and is split keeps its number for its first part, and nothing else is sent until that
//!   part is settled: a success that is no duplicate shows that the whole was not applied and never will be; a duplicate
//!   shows that the whole is stored.
//! - Any other batch keeps its number and its bytes until it is settled or the epoch changes. A new epoch starts only if no
//!   batch that may have been applied is left, except a close without a record, which has no effect a second time.
//! - Every batch is settled exactly once.

mod attempt;
mod body_size;
mod claims;
mod duplicate;
mod entry;
mod epoch;
mod recovery;
mod results;
mod split;
mod state;
#[cfg(test)]
mod tests;
mod window;

pub(super) use attempt::{Attempt, AttemptResult, Fate, Settled};
pub(super) use state::{Machine, Settings};
