//! What the machine and the driver exchange: attempts, their results, and settled batches.

use crate::error::Error;
use crate::offset::Offset;
use crate::producer::error::ProducerError;
use crate::producer::queue::batch::Batch;
use crate::producer::receipt::Ack;
use bytes::Bytes;

/// An attempt to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::producer) struct Attempt {
    /// Identifies the batch in [`Machine::on_result`](super::Machine::on_result), also after it was renumbered.
    pub(in crate::producer) key: u64,
    pub(in crate::producer) epoch: u64,
    pub(in crate::producer) seq: u64,
    pub(in crate::producer) body: Bytes,
    /// Closes the stream.
    pub(in crate::producer) closing: bool,
    /// How many times the usual time the response may take.
    pub(in crate::producer) patience: u32,
}

/// The result of an attempt.
#[derive(Clone, Debug)]
pub(in crate::producer) enum AttemptResult {
    /// 200, or 204 for a duplicate.
    Stored {
        offset: Option<Offset>,
        duplicate: bool,
        /// The highest sequence number that the server has in this epoch.
        highest: Option<u64>,
    },
    /// 204 for a closing batch, of a stream that is open: what is stored under the number is another append, which did not close it.
    NumberTaken,
    /// 403 with the server's epoch.
    Stale { server_epoch: u64 },
    /// 409 with the sequence number that the server expects.
    Gap { expected: u64, received: u64 },
    /// 409 with `Stream-Closed`.
    Closed { error: Error, final_offset: Option<Offset> },
    /// 413.
    TooLarge(Error),
    /// The upload was cut off, or came to a halt: the server has a part of the body at most.
    CutOff(Error),
    /// Any other failure.
    Failed {
        error: Error,
        fate: Fate,
        /// Whether another attempt may succeed.
        retry: bool,
    },
}

/// What a failed attempt may have done, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::producer) enum Fate {
    /// Nothing. The request was not sent, or it was a duplicate whose follow-up failed. A duplicate response to the
    /// next attempt is as unexpected as to a first one.
    NoEffect,
    /// Nothing: the server, or a proxy before it, refused the request. It may have been repeated on the way, so a
    /// duplicate response to the next attempt is expected.
    Refused,
    /// Not known: there was no response, or the server failed while it processed the request.
    Unknown,
}

/// A batch whose result is final.
#[derive(Debug)]
pub(in crate::producer) struct Settled {
    pub(in crate::producer) batch: Batch,
    pub(in crate::producer) result: Result<Ack, ProducerError>,
    /// For a failure: whether the batch may be stored nevertheless.
    pub(in crate::producer) may_be_stored: bool,
}
