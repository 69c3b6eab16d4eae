//! Batches: records encoded once into the body that is sent, with what it takes to tell them apart again.

use super::delivery::{Ack, Receipt};
use super::{ProducerError, UnsentRecord};
use crate::error::StreamError;
use crate::protocol::content_type;
use crate::protocol::json::batch as json;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use std::task::Waker;

/// What a record costs in the queue beyond its bytes: where it ends.
pub(super) const RECORD_COST: usize = size_of::<u32>();

/// How records stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// One after the other.
    Bytes,
    /// As the elements of one JSON array.
    Array,
}

impl Framing {
    /// How records stand in a stream of this type.
    pub(super) fn of(content_type: &str) -> Self {
        if content_type::is_json(content_type) { Self::Array } else { Self::Bytes }
    }
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes as they came from the application.
    Bytes,
    /// One JSON value, known to be valid.
    Json,
}

/// A request's body, which stays as it is until its records are settled.
#[derive(Debug)]
pub(super) struct Batch {
    /// Its place among the batches of this producer. The parts of a batch that was split share it.
    pub(super) id: u64,
    pub(super) body: Bytes,
    /// The last batch of the stream.
    pub(super) closing: bool,
    framing: Framing,
    /// Where each record ends in the body.
    ends: Vec<u32>,
    receipt: Arc<Receipt>,
    /// The first record's place in the receipt.
    first: u32,
}

impl Batch {
    /// The end of the stream, without a record.
    pub(super) fn end(id: u64, receipt: Arc<Receipt>) -> Self {
        let body = Bytes::new();
        Self { id, body, closing: true, framing: Framing::Bytes, ends: Vec::new(), receipt, first: 0 }
    }

    /// The end of the stream, without a record.
    pub(super) fn is_bare_end(&self) -> bool {
        self.closing && self.ends.is_empty()
    }

    pub(super) fn records(&self) -> usize {
        self.ends.len()
    }

    /// What it occupies in the queue.
    pub(super) fn cost(&self) -> usize {
        let content = self.ends.last().map_or(0, |end| *end as usize);
        content + self.ends.len() * RECORD_COST
    }

    /// Settles its records, and returns who waits for that.
    #[must_use]
    pub(super) fn settle(&self, outcome: Result<Ack, ProducerError>) -> Vec<Waker> {
        // The end of a stream has no record, but somebody who waits for it.
        let slots = self.ends.len().max(1) as u32;
        self.receipt.settle(self.first, self.first + slots, outcome)
    }

    fn span(&self, index: usize) -> Range<usize> {
        let end = self.ends[index] as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        start..end
    }

    /// The records, as they were handed in.
    pub(super) fn unsent(&self, may_be_stored: bool) -> impl Iterator<Item = UnsentRecord> {
        (0..self.ends.len()).map(move |index| {
            let Range { start, end } = self.span(index);
            let data = match self.framing {
                Framing::Bytes => self.body.slice(start..end),
                Framing::Array => json::message(&self.body, start, end),
            };
            UnsentRecord { data, may_be_stored }
        })
    }

    /// Two batches of about half the size, in order. Only for more than one record.
    pub(super) fn split(mut self) -> (Self, Self) {
        let half = self.ends.last().map_or(0, |end| end / 2);
        let head_records = self.ends.partition_point(|end| *end <= half).clamp(1, self.ends.len() - 1);
        let tail_ends = self.ends.split_off(head_records);
        let cut = self.ends[head_records - 1];
        let (head, tail) = match self.framing {
            Framing::Bytes => (self.body.slice(..cut as usize), self.body.slice(cut as usize..)),
            Framing::Array => json::split_closed(&self.body, cut as usize),
        };
        let tail = Self {
            id: self.id,
            body: tail,
            closing: self.closing,
            framing: self.framing,
            ends: tail_ends.into_iter().map(|end| end - cut).collect(),
            receipt: self.receipt.clone(),
            first: self.first + head_records as u32,
        };
        self.body = head;
        self.closing = false;
        (self, tail)
    }
}

/// A batch that still takes records.
#[derive(Debug, Default)]
pub(super) struct Open {
    buffer: Vec<u8>,
    ends: Vec<u32>,
    /// What each record is, as long as the framing is not known.
    kinds: Vec<Kind>,
    pub(super) receipt: Arc<Receipt>,
}

impl Open {
    pub(super) fn with_capacity(bytes: usize, records: usize) -> Self {
        Self {
            buffer: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(records),
            kinds: Vec::new(),
            receipt: Arc::default(),
        }
    }

    #[inline]
    pub(super) fn records(&self) -> usize {
        self.ends.len()
    }

    /// The length of the body with another record of this length, at most.
    #[inline]
    pub(super) fn len_with(&self, framing: Option<Framing>, kind: Kind, length: usize) -> usize {
        let frame = match framing {
            Some(framing) => frame_cost(Some(framing), kind),
            // Records that are there may still get a byte each.
            None => self.ends.len() + 1,
        };
        let close = if framing == Some(Framing::Bytes) { 0 } else { 1 };
        self.buffer.len() + length + frame + close
    }

    /// Adds a record, and returns its place in the receipt.
    #[inline]
    pub(super) fn push(&mut self, framing: Option<Framing>, kind: Kind, record: &[u8]) -> u32 {
        let end = match (framing, kind) {
            (Some(Framing::Array), _) => json::push_validated(&mut self.buffer, record),
            (Some(Framing::Bytes), Kind::Json) => json::push_validated_line(&mut self.buffer, record),
            (Some(Framing::Bytes), Kind::Bytes) | (None, _) => {
                self.buffer.extend_from_slice(record);
                self.buffer.len()
            }
        };
        if framing.is_none() {
            self.kinds.push(kind);
        }
        let index = self.ends.len() as u32;
        self.ends.push(end as u32);
        index
    }

    /// The batch is complete.
    pub(super) fn seal(mut self, id: u64, framing: Option<Framing>, closing: bool) -> Sealed {
        let Some(framing) = framing else { return Sealed::Unframed(Unframed { id, closing, open: self }) };
        if framing == Framing::Array {
            json::close(&mut self.buffer);
        }
        // What many small batches reserve must not outgrow the queue's limit.
        if self.buffer.len() < self.buffer.capacity() / 2 {
            self.buffer.shrink_to_fit();
            self.ends.shrink_to_fit();
        }
        let Self { buffer, ends, receipt, .. } = self;
        Sealed::Ready(Batch { id, body: buffer.into(), closing, framing, ends, receipt, first: 0 })
    }
}

/// What framing adds to a record's length.
#[inline]
pub(super) fn frame_cost(framing: Option<Framing>, kind: Kind) -> usize {
    match (framing, kind) {
        (Some(Framing::Bytes), Kind::Bytes) => 0,
        _ => 1,
    }
}

/// A batch that takes no more records.
#[derive(Debug)]
pub(super) enum Sealed {
    Ready(Batch),
    Unframed(Unframed),
}

/// A batch from before the stream's content type was known.
#[derive(Debug)]
pub(super) struct Unframed {
    pub(super) id: u64,
    /// The last batch of the stream.
    pub(super) closing: bool,
    open: Open,
}

/// What framing made of an [`Unframed`] batch.
#[derive(Debug, Default)]
pub(super) struct Framed {
    pub(super) batches: Vec<Batch>,
    /// How many records cannot stand in this stream, and the first one's error.
    pub(super) refused: usize,
    pub(super) error: Option<ProducerError>,
    /// Who waits for the refused ones.
    pub(super) wakers: Vec<Waker>,
}

impl Unframed {
    pub(super) fn records(&self) -> usize {
        self.open.ends.len()
    }

    pub(super) fn cost(&self) -> usize {
        self.open.buffer.len() + self.records() * (RECORD_COST + 1)
    }

    fn record(&self, index: usize) -> Range<usize> {
        let start = if index == 0 { 0 } else { self.open.ends[index - 1] as usize };
        start..self.open.ends[index] as usize
    }

    /// Settles its records, and returns who waits for that.
    #[must_use]
    pub(super) fn settle(&self, outcome: Result<Ack, ProducerError>) -> Vec<Waker> {
        self.open.receipt.settle(0, self.records() as u32, outcome)
    }

    pub(super) fn unsent(self) -> impl Iterator<Item = UnsentRecord> {
        let ranges: Vec<_> = (0..self.records()).map(|index| self.record(index)).collect();
        let buffer = Bytes::from(self.open.buffer);
        ranges.into_iter().map(move |range| UnsentRecord { data: buffer.slice(range), may_be_stored: false })
    }

    /// Encodes the records for the stream. Raw records of a JSON stream are checked here; one that is no JSON fails
    /// alone, and the records on either side of it become batches of their own.
    pub(super) fn frame(self, framing: Framing) -> Framed {
        let mut framed = Framed::default();
        let receipt = self.open.receipt.clone();
        let mut next = Open::with_capacity(self.open.buffer.len() + self.records() + 1, self.records());
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
                (Framing::Array, Kind::Bytes) => json::validate(record),
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
                    refused.push((index..index + 1, Err(error)));
                    seal(std::mem::take(&mut next), first, &mut framed.batches);
                    first = index + 1;
                }
            }
        }
        seal(next, first, &mut framed.batches);
        framed.refused = refused.len();
        framed.wakers = receipt.settle_all(refused);
        if let (true, Some(last)) = (self.closing, framed.batches.last_mut()) {
            last.closing = true;
        }
        framed
    }
}
