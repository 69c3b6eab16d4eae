//! A batch that is not settled.

use super::attempt::Fate;
use crate::error::Error;
use crate::offset::Offset;
use crate::producer::queue::batch::Batch;
use crate::retry::Backoff;
use std::time::Instant;

/// A batch with its sequence number, from [`Machine::push_batch`](super::Machine::push_batch) until it is settled.
#[derive(Debug)]
pub(super) struct Entry {
    /// Identifies the batch to the driver, also after it was renumbered.
    pub(super) key: u64,
    pub(super) batch: Batch,
    pub(super) seq: u64,
    /// The current attempt.
    pub(super) in_flight: Option<InFlight>,
    /// The worst fate of the attempts under this number that have failed.
    pub(super) worst_fate: Option<Fate>,
    /// When the last attempt in doubt ended.
    pub(super) in_doubt_since: Option<Instant>,
    /// The earliest time of the next attempt, once an attempt under this number has failed. It stays set while the retry
    /// is in flight: a gap behind this batch is then explained.
    pub(super) retry_at: Option<Instant>,
    /// The furthest tail that was known before any attempt whose fate is unknown. If the batch is stored, it is stored
    /// after this offset.
    pub(super) stored_after: Option<Offset>,
    /// It was sent before, under any number.
    pub(super) was_sent: bool,
    /// Its size is why it failed, and it is split.
    pub(super) too_large: Option<Error>,
    /// Larger bodies that were sent under this number and may have been applied. Each contained this batch, and so many
    /// batches behind it.
    pub(super) larger_bodies: Vec<usize>,
    /// A larger body of the batch before it contained this one, and may have been applied.
    pub(super) is_covered: bool,
    /// The number of an attempt that may be applied yet, if the batch has another number now.
    pub(super) earlier_seq: Option<u64>,
    /// How many attempts in a row have failed as they do on a path that does not carry this size.
    pub(super) size_failures: u32,
    /// How many times the usual time the response to the next attempt may take.
    pub(super) patience: u32,
    pub(super) backoff: Backoff,
}

/// An attempt that has no result yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    /// All batches before it were settled when it was sent.
    pub(super) was_oldest: bool,
    /// When it was sent.
    pub(super) began: Instant,
}

impl Entry {
    pub(super) fn new(key: u64, seq: u64, batch: Batch, backoff: Backoff) -> Self {
        Self {
            key,
            batch,
            seq,
            in_flight: None,
            worst_fate: None,
            in_doubt_since: None,
            retry_at: None,
            stored_after: None,
            was_sent: false,
            too_large: None,
            larger_bodies: Vec::new(),
            is_covered: false,
            earlier_seq: None,
            size_failures: 0,
            patience: 1,
            backoff,
        }
    }

    /// Gives it a number under which none of its attempts was made, unless it is that of an earlier one.
    pub(super) fn renumber(&mut self, seq: u64) {
        self.seq = seq;
        // No attempt of it was made under the new number, so nothing is in doubt. `stored_after` is set by the next attempt.
        self.worst_fate = None;
        self.retry_at = None;
        if self.earlier_seq == Some(seq) {
            // It has the number of its earlier attempt again.
            (self.earlier_seq, self.worst_fate) = (None, Some(Fate::Unknown));
        }
        self.larger_bodies.clear();
        self.is_covered = false;
    }

    /// It may be stored: by an attempt of its own, under this number or an earlier one, or as a part of a larger body.
    pub(super) fn may_be_stored(&self) -> bool {
        self.is_in_doubt() || self.earlier_seq.is_some() || self.is_covered
    }

    /// An attempt under this number may have been applied.
    pub(super) fn is_in_doubt(&self) -> bool {
        // `Unknown` is the worst fate: one attempt in doubt is enough.
        self.worst_fate == Some(Fate::Unknown)
    }

    /// A duplicate response to the next attempt would be no surprise.
    pub(super) fn expects_duplicate(&self) -> bool {
        self.worst_fate >= Some(Fate::Refused)
    }

    /// In doubt under any number, and a second copy would do harm. A second close without a record does none.
    pub(super) fn is_data_in_doubt(&self) -> bool {
        (self.is_in_doubt() || self.earlier_seq.is_some()) && !self.batch.is_close_only()
    }

    pub(super) fn record_fate(&mut self, fate: Fate) {
        self.worst_fate = self.worst_fate.max(Some(fate));
    }
}
