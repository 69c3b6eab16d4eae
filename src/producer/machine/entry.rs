use super::super::batch::Batch;
use crate::error::Error;
use crate::offset::Offset;
use crate::retry::Backoff;
use std::time::Instant;

/// A batch with its sequence number.
#[derive(Debug)]
pub(super) struct Entry {
    /// Names it between machine and driver, also when it is renumbered.
    pub(super) key: u64,
    pub(super) batch: Batch,
    pub(super) seq: u64,
    /// An attempt is under way.
    pub(super) in_flight: bool,
    /// Nothing before it was unsettled when that attempt was sent.
    pub(super) sent_first: bool,
    /// An attempt under this number went without an answer that tells whether it was applied.
    pub(super) maybe_applied: bool,
    /// The furthest tail that was known before anything of it can have been stored.
    pub(super) not_before: Option<Offset>,
    /// An attempt under this number failed somewhere on the way: that the server calls the next one a duplicate
    /// is no wonder.
    pub(super) may_echo: bool,
    /// An attempt failed: the next one waits until all before it are settled, and until this moment.
    pub(super) again_at: Option<Instant>,
    /// It was ever sent, under whatever number.
    pub(super) was_sent: bool,
    /// The server refused its size.
    pub(super) too_large: Option<Error>,
    pub(super) backoff: Backoff,
}

impl Entry {
    pub(super) fn new(key: u64, seq: u64, batch: Batch, backoff: Backoff) -> Self {
        Self {
            key,
            batch,
            seq,
            in_flight: false,
            sent_first: false,
            maybe_applied: false,
            not_before: None,
            may_echo: false,
            again_at: None,
            was_sent: false,
            too_large: None,
            backoff,
        }
    }

    /// Under a new number, to which nothing has happened yet.
    pub(super) fn renumber(&mut self, seq: u64) {
        self.seq = seq;
        self.maybe_applied = false;
        self.may_echo = false;
        self.again_at = None;
        self.sent_first = false;
    }
}
