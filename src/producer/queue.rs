//! The queue between the handles and the driver: one open batch, those that are full, and what is not settled yet.
//! No clock and no waiting; time is passed in.

use super::batch::{Batch, Framing, Kind, Open, RECORD_COST, Sealed, frame_cost};
use super::delivery::Receipt;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The bounds of batches and of the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) batch_bytes: usize,
    pub(super) batch_items: usize,
    pub(super) buffered_bytes: usize,
    pub(super) buffered_records: usize,
    pub(super) linger: Duration,
}

/// Where a record ends is kept in 32 bits.
pub(super) const MAX_RECORD: usize = u32::MAX as usize - 8;

/// Whether a record can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Yes,
    /// Not now.
    Full,
    /// Not even by an empty queue.
    Never,
}

#[derive(Debug)]
pub(super) struct Queue {
    limits: Limits,
    framing: Option<Framing>,
    open: Open,
    /// When the open batch's first record came.
    since: Option<Instant>,
    /// The open batch is to be sent without lingering.
    flushed: bool,
    sealed: VecDeque<Sealed>,
    /// How many records of each batch are not settled, from the batch `first_unsettled` on.
    unsettled: VecDeque<usize>,
    first_unsettled: u64,
    records: usize,
    bytes: usize,
    /// The sizes of the last batch: the next will be much the same.
    expected: (usize, usize),
}

impl Queue {
    pub(super) fn new(limits: Limits, framing: Option<Framing>) -> Self {
        Self {
            limits,
            framing,
            open: Open::default(),
            since: None,
            flushed: false,
            sealed: VecDeque::new(),
            unsettled: VecDeque::new(),
            first_unsettled: 0,
            records: 0,
            bytes: 0,
            expected: (0, 0),
        }
    }

    pub(super) fn framing(&self) -> Option<Framing> {
        self.framing
    }

    /// From here on records are encoded as they come. What came before is marked to be framed.
    pub(super) fn set_framing(&mut self, framing: Framing) {
        if self.framing.is_none() {
            if self.open.records() > 0 {
                self.seal(false);
            }
            self.framing = Some(framing);
        }
    }

    /// The largest record that an empty queue takes, but for a few bytes of framing.
    pub(super) fn max_record(&self) -> usize {
        self.limits.buffered_bytes.min(MAX_RECORD)
    }

    /// How many records are not settled.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// What they occupy, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What a record of this length occupies.
    #[inline]
    pub(super) fn cost(&self, kind: Kind, length: usize) -> usize {
        length + frame_cost(self.framing, kind) + RECORD_COST
    }

    #[inline]
    pub(super) fn room(&self, kind: Kind, length: usize) -> Room {
        let cost = self.cost(kind, length);
        if cost > self.limits.buffered_bytes || length > MAX_RECORD {
            Room::Never
        } else if cost > self.limits.buffered_bytes - self.bytes.min(self.limits.buffered_bytes)
            || self.records >= self.limits.buffered_records
        {
            Room::Full
        } else {
            Room::Yes
        }
    }

    /// How many bytes and records there is room for.
    pub(super) fn free(&self) -> (usize, usize) {
        (
            self.limits.buffered_bytes.saturating_sub(self.bytes),
            self.limits.buffered_records.saturating_sub(self.records),
        )
    }

    /// Takes a record: its place in the open batch's receipt, and whether the driver should hear of it.
    #[inline]
    pub(super) fn push(&mut self, kind: Kind, record: &[u8], now: impl FnOnce() -> Instant) -> (u32, bool) {
        let mut news = false;
        if self.open.records() > 0
            && self.open.len_with(self.framing, kind, record.len()) > self.limits.batch_bytes
        {
            self.seal(false);
            news = true;
        }
        if self.open.records() == 0 {
            self.begin(now(), record.len());
            news = true;
        }
        let index = self.open.push(self.framing, kind, record);
        self.records += 1;
        self.bytes += self.cost(kind, record.len());
        (index, news)
    }

    /// The receipt of the batch that the last record went into.
    #[inline]
    pub(super) fn receipt(&self) -> &Arc<Receipt> {
        &self.open.receipt
    }

    /// Seals the open batch if it may take no more records; whether it was.
    #[inline]
    pub(super) fn seal_if_full(&mut self) -> bool {
        let full = self.open.records() >= self.limits.batch_items
            || self.open.len_with(self.framing, Kind::Bytes, 1) > self.limits.batch_bytes;
        if full && self.open.records() > 0 {
            self.seal(false);
        }
        full
    }

    fn begin(&mut self, now: Instant, length: usize) {
        let (bytes, records) = self.expected;
        // The last record may go over what was expected; half as much again is cheaper than growing by doubling.
        let bytes = (bytes + bytes / 8).min(self.limits.batch_bytes).max(length + 2);
        let records = (records + records / 8).min(self.limits.batch_items).max(1);
        self.open = Open::with_capacity(bytes, records);
        self.since = Some(now);
        self.flushed = false;
    }

    fn seal(&mut self, closing: bool) {
        let open = std::mem::take(&mut self.open);
        let records = open.records();
        let sealed = open.seal(self.next_id(), self.framing, closing);
        self.expected = match &sealed {
            Sealed::Ready(batch) => (batch.body.len(), records),
            Sealed::Unframed(unframed) => (unframed.cost(), records),
        };
        self.unsettled.push_back(records);
        self.sealed.push_back(sealed);
        self.since = None;
        self.flushed = false;
    }

    fn next_id(&self) -> u64 {
        self.first_unsettled + self.unsettled.len() as u64
    }

    /// Ends the stream after all that is queued, with a last record if one is given. Returns its receipt.
    pub(super) fn end(&mut self, last: Option<(Kind, &[u8])>, now: impl FnOnce() -> Instant) -> Arc<Receipt> {
        if self.open.records() > 0 {
            self.seal(false);
        }
        match last {
            Some((kind, record)) => {
                self.push(kind, record, now);
                let receipt = self.open.receipt.clone();
                self.seal(true);
                receipt
            }
            None => {
                let receipt = Arc::<Receipt>::default();
                self.sealed.push_back(Sealed::Ready(Batch::end(self.next_id(), receipt.clone())));
                self.unsettled.push_back(1);
                receipt
            }
        }
    }

    /// Sends what is open without lingering. Returns the batch before which all must be settled for that to be done.
    pub(super) fn flush(&mut self) -> u64 {
        if self.open.records() == 0 {
            return self.next_id();
        }
        self.flushed = true;
        self.next_id() + 1
    }

    /// There is no room for more: where nothing is on its way that would make some, what lingers is to be sent. Returns
    /// whether that is news.
    pub(super) fn hurry(&mut self) -> bool {
        let alone = self.open.records() > 0 && self.unsettled.is_empty();
        alone && !std::mem::replace(&mut self.flushed, true)
    }

    /// Whether all batches before `target` are settled.
    pub(super) fn is_settled_before(&self, target: u64) -> bool {
        self.first_unsettled >= target
    }

    /// Whether nothing is left to deliver.
    pub(super) fn is_settled(&self) -> bool {
        self.open.records() == 0 && self.unsettled.is_empty()
    }

    /// Whether a batch may be taken.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.sealed.is_empty() || self.flushed || self.due_at().is_some_and(|at| at <= now)
    }

    /// When the open batch has lingered long enough.
    pub(super) fn due_at(&self) -> Option<Instant> {
        // A linger too long to count never ends.
        self.since.and_then(|since| since.checked_add(self.limits.linger))
    }

    /// The next batch that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Sealed> {
        if self.sealed.is_empty() && self.open.records() > 0 && self.is_due(now) {
            self.seal(false);
        }
        self.sealed.pop_front()
    }

    /// Whether the next thing to send is the end of the stream without a record, for which nothing needs to be known.
    pub(super) fn is_bare_end(&self) -> bool {
        matches!(self.sealed.front(), Some(Sealed::Ready(batch)) if batch.is_bare_end())
    }

    /// Everything that was not taken.
    pub(super) fn take_all(&mut self) -> VecDeque<Sealed> {
        if self.open.records() > 0 {
            self.seal(false);
        }
        std::mem::take(&mut self.sealed)
    }

    /// So many of a batch's records are settled, which occupied so many bytes.
    pub(super) fn settle(&mut self, id: u64, records: usize, cost: usize) {
        self.bytes -= cost;
        self.records -= records;
        let index = (id - self.first_unsettled) as usize;
        // The end of a stream counts for one, though it has no record.
        self.unsettled[index] -= records.max(1);
        while self.unsettled.front() == Some(&0) {
            self.unsettled.pop_front();
            self.first_unsettled += 1;
        }
    }

    /// Framing found that a batch occupies less than was thought.
    pub(super) fn shrink(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }
}

#[cfg(test)]
mod tests;
