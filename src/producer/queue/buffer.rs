//! The queue: one open batch, the sealed batches, and the accounts of what is not settled.

use super::batch::{Batch, BatchFraming, Open, RECORD_COST, RecordKind, Sealed, frame_cost};
use crate::producer::receipt::Receipt;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The limits of batches and of the queue.
#[derive(Clone, Copy, Debug)]
pub(in crate::producer) struct Limits {
    pub(in crate::producer) batch_bytes: usize,
    pub(in crate::producer) batch_items: usize,
    pub(in crate::producer) buffered_bytes: usize,
    pub(in crate::producer) buffered_records: usize,
    pub(in crate::producer) linger: Duration,
}

/// The largest record. The position of its end in a batch is kept in 32 bits.
pub(in crate::producer) const MAX_RECORD: usize = u32::MAX as usize - 8;

/// Whether the queue has room for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::producer) enum Room {
    Yes,
    /// Not now, but later.
    Full,
    /// Not even if the queue were empty.
    Never,
}

#[derive(Debug)]
pub(in crate::producer) struct Queue {
    limits: Limits,
    framing: Option<BatchFraming>,
    open: Open,
    /// When the first record of the open batch was appended.
    since: Option<Instant>,
    /// The open batch is due now: it does not wait for the linger time.
    flushed: bool,
    sealed: VecDeque<Sealed>,
    /// How many records of each batch are not settled. The first element is of the batch with the id `first_unsettled`.
    unsettled: VecDeque<usize>,
    first_unsettled: u64,
    records: usize,
    bytes: usize,
    /// The bytes and records of the last batch, as a guess for the next one.
    expected: (usize, usize),
}

impl Queue {
    pub(in crate::producer) fn new(limits: Limits, framing: Option<BatchFraming>) -> Self {
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

    pub(in crate::producer) fn framing(&self) -> Option<BatchFraming> {
        self.framing
    }

    /// Records that are appended from now on are encoded at once. Earlier ones are framed when they are taken.
    pub(in crate::producer) fn set_framing(&mut self, framing: BatchFraming) {
        if self.framing.is_none() {
            if self.open.records() > 0 {
                self.seal(false);
            }
            self.framing = Some(framing);
        }
    }

    /// The largest record that fits into an empty queue, except for a few bytes of framing.
    pub(in crate::producer) fn max_record(&self) -> usize {
        self.limits.buffered_bytes.min(MAX_RECORD)
    }

    /// The number of records that are not settled.
    pub(in crate::producer) fn records(&self) -> usize {
        self.records
    }

    /// What the records that are not settled occupy, in bytes.
    pub(in crate::producer) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What a record of this length occupies, in bytes.
    #[inline]
    pub(in crate::producer) fn cost(&self, kind: RecordKind, length: usize) -> usize {
        length + frame_cost(self.framing, kind) + RECORD_COST
    }

    #[inline]
    pub(in crate::producer) fn room(&self, kind: RecordKind, length: usize) -> Room {
        // `Never` first: a caller that waits for room would wait without end.
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

    /// The bytes and records that there is room for.
    pub(in crate::producer) fn free(&self) -> (usize, usize) {
        (
            self.limits.buffered_bytes.saturating_sub(self.bytes),
            self.limits.buffered_records.saturating_sub(self.records),
        )
    }

    /// Takes a record. Returns its index in the open batch's receipt, and whether the driver must be woken for it.
    #[inline]
    pub(in crate::producer) fn push(
        &mut self,
        kind: RecordKind,
        record: &[u8],
        now: impl FnOnce() -> Instant,
    ) -> (u32, bool) {
        let mut wake = false;
        if self.open.records() > 0
            && self.open.len_with(self.framing, kind, record.len()) > self.limits.batch_bytes
        {
            self.seal(false);
            wake = true;
        }
        if self.open.records() == 0 {
            self.begin(now(), record.len());
            wake = true;
        }
        // The batch has room for it now, or has this record only.
        let index = self.open.push(self.framing, kind, record);
        self.records += 1;
        // The accounts include batches in flight, so that a slow server cannot make the memory grow.
        self.bytes += self.cost(kind, record.len());
        (index, wake)
    }

    /// The receipt of the open batch, which has the last record.
    #[inline]
    pub(in crate::producer) fn receipt(&self) -> &Arc<Receipt> {
        &self.open.receipt
    }

    /// Seals the open batch if no record fits into it. Returns whether it was full.
    #[inline]
    pub(in crate::producer) fn seal_if_full(&mut self) -> bool {
        // A batch without room for one more byte is sealed now: to wait for the linger time would gain nothing.
        let full = self.open.records() >= self.limits.batch_items
            || self.open.len_with(self.framing, RecordKind::Bytes, 1) > self.limits.batch_bytes;
        if full && self.open.records() > 0 {
            self.seal(false);
        }
        full
    }

    fn begin(&mut self, now: Instant, length: usize) {
        let (bytes, records) = self.expected;
        // An eighth more than the last batch: cheaper than to grow the buffer by doubling.
        let bytes = (bytes + bytes / 8).min(self.limits.batch_bytes).max(length + 2);
        let records = (records + records / 8).min(self.limits.batch_items).max(1);
        // A new receipt with it: each batch has its own.
        self.open = Open::with_capacity(bytes, records);
        self.since = Some(now);
        self.flushed = false;
    }

    fn seal(&mut self, closing: bool) {
        let open = std::mem::take(&mut self.open);
        let records = open.records();
        let sealed = open.seal(self.next_id(), self.framing, closing);
        // Load rarely changes from one batch to the next.
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

    /// Queues a close of the stream behind everything else, with a last record if there is one. Returns its receipt.
    pub(in crate::producer) fn push_close(
        &mut self,
        last: Option<(RecordKind, &[u8])>,
        now: impl FnOnce() -> Instant,
    ) -> Arc<Receipt> {
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
                self.sealed.push_back(Sealed::Ready(Batch::close_only(self.next_id(), receipt.clone())));
                // A close has no record, and counts as one, so that a flush waits for it.
                self.unsettled.push_back(1);
                receipt
            }
        }
    }

    /// Makes the open batch due. Returns the id of the batch before which all must be settled for the flush to be done.
    pub(in crate::producer) fn flush(&mut self) -> u64 {
        if self.open.records() == 0 {
            return self.next_id();
        }
        self.flushed = true;
        // The open batch will get `next_id`, so all before the one after it must be settled.
        self.next_id() + 1
    }

    /// Makes the open batch due if nothing is in flight. Called when the queue is full: only the open batch can make room
    /// then. Returns whether the driver must be woken.
    pub(in crate::producer) fn flush_if_idle(&mut self) -> bool {
        // With a batch in flight, its acknowledgement makes room and wakes the waiting appends.
        let alone = self.open.records() > 0 && self.unsettled.is_empty();
        alone && !std::mem::replace(&mut self.flushed, true)
    }

    /// Whether all batches before `target` are settled.
    pub(in crate::producer) fn is_settled_before(&self, target: u64) -> bool {
        self.first_unsettled >= target
    }

    /// Whether nothing is queued or in flight.
    pub(in crate::producer) fn is_settled(&self) -> bool {
        self.open.records() == 0 && self.unsettled.is_empty()
    }

    /// Whether a batch is due.
    pub(in crate::producer) fn is_due(&self, now: Instant) -> bool {
        !self.sealed.is_empty() || self.flushed || self.due_at().is_some_and(|at| at <= now)
    }

    /// When the linger time of the open batch ends.
    pub(in crate::producer) fn due_at(&self) -> Option<Instant> {
        // A linger time beyond what an `Instant` can hold never ends.
        self.since.and_then(|since| since.checked_add(self.limits.linger))
    }

    /// Takes the next batch that is due.
    pub(in crate::producer) fn pop(&mut self, now: Instant) -> Option<Sealed> {
        if self.sealed.is_empty() && self.open.records() > 0 && self.is_due(now) {
            self.seal(false);
        }
        self.sealed.pop_front()
    }

    /// Whether something is queued that was not taken.
    pub(in crate::producer) fn has_unsent(&self) -> bool {
        self.open.records() > 0 || !self.sealed.is_empty()
    }

    /// Whether the next batch is a close of the stream without a record.
    pub(in crate::producer) fn is_close_only_next(&self) -> bool {
        matches!(self.sealed.front(), Some(Sealed::Ready(batch)) if batch.is_close_only())
    }

    /// Takes everything that was not taken.
    pub(in crate::producer) fn take_all(&mut self) -> VecDeque<Sealed> {
        if self.open.records() > 0 {
            self.seal(false);
        }
        std::mem::take(&mut self.sealed)
    }

    /// Removes settled records of a batch, and the bytes that they occupied, from the accounts.
    pub(in crate::producer) fn settle(&mut self, id: u64, records: usize, cost: usize) {
        self.bytes -= cost;
        self.records -= records;
        let index = (id - self.first_unsettled) as usize;
        // A close without a record counts as one.
        self.unsettled[index] -= records.max(1);
        // Batches may be settled out of order. A flush waits for a prefix, so the front advances only over settled
        // ones.
        while self.unsettled.front() == Some(&0) {
            self.unsettled.pop_front();
            self.first_unsettled += 1;
        }
    }

    /// Removes bytes that a batch, once framed, does not occupy.
    pub(in crate::producer) fn shrink(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }
}
