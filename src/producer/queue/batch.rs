//! Batches: records encoded once, into the body that is sent, with the position of each.

use crate::error::StreamError;
use crate::producer::error::ProducerError;
use crate::producer::receipt::{Ack, Receipt};
use crate::producer::unacked::UnackedRecord;
use crate::protocol::content_type;
use crate::protocol::json::batch as json;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use std::task::Waker;

/// What a record occupies in the queue besides its bytes: the position of its end.
pub(in crate::producer) const RECORD_COST: usize = size_of::<u32>();

/// How a body contains its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::producer) enum BatchFraming {
    /// One after another.
    Bytes,
    /// As the elements of one JSON array.
    Array,
}

impl BatchFraming {
    /// The framing of a stream of this content type.
    pub(in crate::producer) fn of(content_type: &str) -> Self {
        if content_type::is_json(content_type) { Self::Array } else { Self::Bytes }
    }
}

/// The form in which a record was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::producer) enum RecordKind {
    /// Bytes from the application.
    Bytes,
    /// One JSON value, known to be valid.
    Json,
}

/// A request's body. It does not change until its records are settled.
#[derive(Debug)]
pub(in crate::producer) struct Batch {
    /// Its number among the batches of this producer. The halves of a split batch share it.
    pub(in crate::producer) id: u64,
    pub(in crate::producer) body: Bytes,
    /// Closes the stream.
    pub(in crate::producer) closing: bool,
    framing: BatchFraming,
    /// The end of each record in the body.
    ends: Vec<u32>,
    receipt: Arc<Receipt>,
    /// The index of the first record in the receipt.
    first: u32,
}

impl Batch {
    /// A close of the stream without a record.
    pub(in crate::producer) fn close_only(id: u64, receipt: Arc<Receipt>) -> Self {
        let body = Bytes::new();
        Self { id, body, closing: true, framing: BatchFraming::Bytes, ends: Vec::new(), receipt, first: 0 }
    }

    /// Whether this closes the stream without a record.
    pub(in crate::producer) fn is_close_only(&self) -> bool {
        self.closing && self.ends.is_empty()
    }

    pub(in crate::producer) fn records(&self) -> usize {
        self.ends.len()
    }

    /// What it occupies in the queue, in bytes.
    pub(in crate::producer) fn cost(&self) -> usize {
        let content = self.ends.last().map_or(0, |end| *end as usize);
        content + self.ends.len() * RECORD_COST
    }

    /// Settles its records. Returns the wakers of the tasks that wait for them.
    #[must_use]
    pub(in crate::producer) fn settle(&self, result: Result<Ack, ProducerError>) -> Vec<Waker> {
        // A close has no record, but its receipt has one slot.
        let slots = self.ends.len().max(1) as u32;
        self.receipt.settle(self.first, self.first + slots, result)
    }

    fn span(&self, index: usize) -> Range<usize> {
        let end = self.ends[index] as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        start..end
    }

    /// The records, as they were appended.
    pub(in crate::producer) fn unacked(&self, may_be_stored: bool) -> impl Iterator<Item = UnackedRecord> {
        (0..self.ends.len()).map(move |index| {
            let Range { start, end } = self.span(index);
            let data = match self.framing {
                BatchFraming::Bytes => self.body.slice(start..end),
                BatchFraming::Array => json::message(&self.body, start, end),
            };
            UnackedRecord { data, may_be_stored }
        })
    }

    /// Parts with bodies of at most `limit` bytes, in order. A part of one record may be larger.
    pub(in crate::producer) fn split_to(self, limit: usize) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut rest = self;
        while rest.body.len() > limit && rest.records() > 1 {
            let (head, tail) = rest.split(limit);
            parts.push(head);
            rest = tail;
        }
        parts.push(rest);
        parts
    }

    /// Two batches, in order: one of at most `limit` bytes, or of one record, and the rest. For batches with more than one
    /// record only.
    fn split(mut self, limit: usize) -> (Self, Self) {
        // The closing bracket of an array.
        let room = match self.framing {
            BatchFraming::Bytes => limit,
            BatchFraming::Array => limit.saturating_sub(1),
        };
        // At least one record on each side.
        let fits = |end: &u32| *end as usize <= room;
        let head_records = self.ends.partition_point(fits).clamp(1, self.ends.len() - 1);
        // The ends of the tail are relative to the cut. In an array, the bracket replaces the comma, so the lengths
        // match.
        let tail_ends = self.ends.split_off(head_records);
        let cut = self.ends[head_records - 1];
        let (head, tail) = match self.framing {
            BatchFraming::Bytes => (self.body.slice(..cut as usize), self.body.slice(cut as usize..)),
            BatchFraming::Array => json::split_closed(&self.body, cut as usize),
        };
        let tail = Self {
            id: self.id,
            body: tail,
            closing: self.closing,
            framing: self.framing,
            ends: tail_ends.into_iter().map(|end| end - cut).collect(),
            receipt: self.receipt.clone(),
            // Both settle parts of the same receipt.
            first: self.first + head_records as u32,
        };
        self.body = head;
        // The last part closes the stream.
        self.closing = false;
        (self, tail)
    }
}

/// A batch that still accepts records.
#[derive(Debug, Default)]
pub(in crate::producer) struct Open {
    buffer: Vec<u8>,
    ends: Vec<u32>,
    /// The kind of each record, while the framing is not known.
    kinds: Vec<RecordKind>,
    pub(in crate::producer) receipt: Arc<Receipt>,
}

impl Open {
    pub(in crate::producer) fn with_capacity(bytes: usize, records: usize) -> Self {
        Self {
            buffer: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(records),
            kinds: Vec::new(),
            receipt: Arc::default(),
        }
    }

    #[inline]
    pub(in crate::producer) fn records(&self) -> usize {
        self.ends.len()
    }

    /// The length of the body with another record of this length, at most.
    #[inline]
    pub(in crate::producer) fn len_with(
        &self,
        framing: Option<BatchFraming>,
        kind: RecordKind,
        length: usize,
    ) -> usize {
        let frame = match framing {
            Some(framing) => frame_cost(Some(framing), kind),
            // Records that are there may still get a byte each.
            None => self.ends.len() + 1,
        };
        // The closing bracket of an array.
        let close = if framing == Some(BatchFraming::Bytes) { 0 } else { 1 };
        self.buffer.len() + length + frame + close
    }

    /// Adds a record. Returns its index in the receipt.
    #[inline]
    pub(in crate::producer) fn push(
        &mut self,
        framing: Option<BatchFraming>,
        kind: RecordKind,
        record: &[u8],
    ) -> u32 {
        let end = match (framing, kind) {
            (Some(BatchFraming::Array), _) => json::push_validated(&mut self.buffer, record),
            (Some(BatchFraming::Bytes), RecordKind::Json) => {
                json::push_validated_line(&mut self.buffer, record)
            }
            (Some(BatchFraming::Bytes), RecordKind::Bytes) | (None, _) => {
                self.buffer.extend_from_slice(record);
                self.buffer.len()
            }
        };
        // Framing needs the kind later: JSON values get a line feed on other streams, and bytes are validated on JSON
        // streams.
        if framing.is_none() {
            self.kinds.push(kind);
        }
        let index = self.ends.len() as u32;
        self.ends.push(end as u32);
        index
    }

    /// Ends the batch.
    pub(in crate::producer) fn seal(
        mut self,
        id: u64,
        framing: Option<BatchFraming>,
        closing: bool,
    ) -> Sealed {
        let Some(framing) = framing else { return Sealed::Unframed(Unframed { id, closing, open: self }) };
        if framing == BatchFraming::Array {
            json::close(&mut self.buffer);
        }
        // The spare capacity of many small batches could exceed the queue's limit.
        if self.buffer.len() < self.buffer.capacity() / 2 {
            self.buffer.shrink_to_fit();
            self.ends.shrink_to_fit();
        }
        let Self { buffer, ends, receipt, .. } = self;
        Sealed::Ready(Batch { id, body: buffer.into(), closing, framing, ends, receipt, first: 0 })
    }
}

/// How many bytes framing adds to a record.
#[inline]
pub(in crate::producer) fn frame_cost(framing: Option<BatchFraming>, kind: RecordKind) -> usize {
    match (framing, kind) {
        (Some(BatchFraming::Bytes), RecordKind::Bytes) => 0,
        _ => 1,
    }
}

/// A batch that accepts no more records.
#[derive(Debug)]
pub(in crate::producer) enum Sealed {
    Ready(Batch),
    Unframed(Unframed),
}

/// A batch of records that were appended before the content type was known.
#[derive(Debug)]
pub(in crate::producer) struct Unframed {
    pub(in crate::producer) id: u64,
    /// Closes the stream.
    pub(in crate::producer) closing: bool,
    open: Open,
}

/// The result of framing an [`Unframed`] batch.
#[derive(Debug, Default)]
pub(in crate::producer) struct Framed {
    pub(in crate::producer) batches: Vec<Batch>,
    /// The number of records that are not valid in this stream.
    pub(in crate::producer) refused: usize,
    /// The error of the first of them.
    pub(in crate::producer) error: Option<ProducerError>,
    /// The wakers of the tasks that wait for the refused records.
    pub(in crate::producer) wakers: Vec<Waker>,
}

impl Unframed {
    pub(in crate::producer) fn records(&self) -> usize {
        self.open.ends.len()
    }

    pub(in crate::producer) fn cost(&self) -> usize {
        self.open.buffer.len() + self.records() * (RECORD_COST + 1)
    }

    fn record(&self, index: usize) -> Range<usize> {
        let start = if index == 0 { 0 } else { self.open.ends[index - 1] as usize };
        start..self.open.ends[index] as usize
    }

    /// Settles its records. Returns the wakers of the tasks that wait for them.
    #[must_use]
    pub(in crate::producer) fn settle(&self, result: Result<Ack, ProducerError>) -> Vec<Waker> {
        self.open.receipt.settle(0, self.records() as u32, result)
    }

    pub(in crate::producer) fn unacked(self) -> impl Iterator<Item = UnackedRecord> {
        let ranges: Vec<_> = (0..self.records()).map(|index| self.record(index)).collect();
        let buffer = Bytes::from(self.open.buffer);
        ranges.into_iter().map(move |range| UnackedRecord { data: buffer.slice(range), may_be_stored: false })
    }

    /// Encodes the records for the stream. On a JSON stream, records of bytes are validated here. One that is not JSON
    /// fails on its own, and the records on both sides of it become separate batches.
    pub(in crate::producer) fn frame(self, framing: BatchFraming) -> Framed {
        let mut framed = Framed::default();
        let receipt = self.open.receipt.clone();
        let mut next = Open::with_capacity(self.open.buffer.len() + self.records() + 1, self.records());
        // The index in the receipt of the first record of `next`.
        let mut first = 0;
        let mut refused = Vec::new();
        let seal = |open: Open, first: u32, batches: &mut Vec<Batch>| {
            if let (true, Sealed::Ready(mut batch)) =
                (open.records() > 0, open.seal(self.id, Some(framing), false))
            {
                batch.receipt = receipt.clone();
                batch.first = first;
                batches.push(batch);
            }
        };
        for (index, kind) in self.open.kinds.iter().enumerate() {
            let record = &self.open.buffer[self.record(index)];
            let checked = match (framing, kind) {
                (BatchFraming::Array, RecordKind::Bytes) => json::validate(record),
                _ => Ok(record),
            };
            match checked {
                Ok(record) => {
                    next.push(Some(framing), *kind, record);
                }
                Err(error) => {
                    let error = ProducerError::from(StreamError::from(error));
                    let index = index as u32;
                    framed.error.get_or_insert_with(|| error.clone());
                    // The receipts of the refused records are settled together below, with one pass over the waiting
                    // tasks.
                    refused.push((index..index + 1, Err(error)));
                    seal(std::mem::take(&mut next), first, &mut framed.batches);
                    first = index + 1;
                }
            }
        }
        seal(next, first, &mut framed.batches);
        framed.refused = refused.len();
        framed.wakers = receipt.settle_all(refused);
        // If every record was refused there is no batch to close with: the caller reopens the producer.
        if let (true, Some(last)) = (self.closing, framed.batches.last_mut()) {
            last.closing = true;
        }
        framed
    }
}
