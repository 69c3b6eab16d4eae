//! What is known about the current epoch. A new epoch replaces it whole.

use crate::offset::Offset;
use std::ops::RangeInclusive;

/// The current epoch and what happened in it.
#[derive(Debug, Default)]
pub(super) struct Epoch {
    pub(super) number: u64,
    /// The sequence number of the next new batch.
    pub(super) next_seq: u64,
    /// The highest number that the server is known to have stored. `None` until the first acknowledgement.
    pub(super) stored_to: Option<u64>,
    /// The highest number that was sent.
    pub(super) sent_to: Option<u64>,
    /// Attempts of batches that have other numbers now may be applied yet, under these numbers.
    pub(super) in_doubt: Option<RangeInclusive<u64>>,
    /// Another producer has used numbers of this epoch. That one of our numbers is stored then does not imply that the
    /// earlier ones are.
    pub(super) is_shared: bool,
    /// The epoch was claimed from a server that had lost the previous one, and may lose this one as well.
    pub(super) is_after_state_loss: bool,
    /// The stream's tail before anything was sent. Known in the first epoch only, and only if the driver asked for it:
    /// later the tail may have moved by our own appends.
    pub(super) tail_before: Option<Offset>,
}

impl Epoch {
    pub(super) fn new(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    /// A batch of this epoch was acknowledged.
    pub(super) fn is_established(&self) -> bool {
        self.stored_to.is_some()
    }

    /// Whether the server is known to have stored this number, even if its own response was lost.
    pub(super) fn is_stored(&self, seq: u64) -> bool {
        self.stored_to.is_some_and(|to| seq <= to)
    }

    /// Attempts under these numbers may be applied yet, and their batches get other numbers.
    pub(super) fn doubt(&mut self, seqs: RangeInclusive<u64>) {
        let (mut from, mut to) = seqs.into_inner();
        if let Some(before) = &self.in_doubt {
            (from, to) = (from.min(*before.start()), to.max(*before.end()));
        }
        self.in_doubt = Some(from..=to);
    }

    /// Whether the attempt of another batch may be applied under this number.
    pub(super) fn is_in_doubt(&self, seq: u64) -> bool {
        self.in_doubt.as_ref().is_some_and(|seqs| seqs.contains(&seq))
    }

    /// The stream has lost data: that a batch was acknowledged does not prove any more that it, or one before it, is stored.
    pub(super) fn forget_stored(&mut self) {
        self.stored_to = None;
    }

    /// Whether a duplicate response has to be compared with the tail before the first batch. After the first
    /// acknowledgement it need not be: the server knows this run.
    pub(super) fn compares_tails(&self) -> bool {
        self.tail_before.is_some() && !self.is_established()
    }

    /// Whether nothing was stored since before the first attempt: the tail has not moved.
    pub(super) fn is_tail_unmoved(&self, tail: Option<&Offset>) -> bool {
        self.compares_tails() && tail.is_some() && tail == self.tail_before.as_ref()
    }
}
