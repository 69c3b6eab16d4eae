use crate::error::{Error, StreamError};
use bytes::Bytes;
use std::time::Duration;

/// What went wrong with a producer, or with one of its records.
///
/// Most of these end the producer: it *halts*. Every record that is not stored gets the same error, later
/// operations return it too, nothing more is sent, and
/// [`take_unsent`](crate::IdempotentProducer::take_unsent) hands the records back. Those that concern one
/// record alone say so.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProducerError {
    /// It was closed, detached or used to close the stream, and takes no more records.
    #[error("producer is closed")]
    Closed,

    /// Another producer took over this id with a higher epoch. Halts.
    #[error(
        "stale epoch: server has epoch {server_epoch}, we have {our_epoch}; another producer uses this id, and only one at a time may: stop one of them, and start with a higher epoch, or with auto_claim"
    )]
    StaleEpoch {
        /// The epoch that the server has for this id.
        server_epoch: u64,
        /// The producer's own.
        our_epoch: u64,
    },

    /// The server misses a batch that it had acknowledged, or has forgotten this producer. Halts.
    #[error(
        "sequence gap: expected {expected}, received {received}; the server forgot what it acknowledged. Look what the stream has, and append what take_unsent hands back with a producer of a higher epoch; auto_claim does that where it is safe"
    )]
    SequenceGap {
        /// The sequence number that the server waits for.
        expected: u64,
        /// The one that was sent.
        received: u64,
    },

    /// The server calls a batch a duplicate that was sent for the first time: it was not stored. Halts.
    #[error(
        "unexpected duplicate: the server already has epoch {epoch}, seq {seq}, which was sent for the first time. Either this producer id was used before with the same epoch (give each run a higher epoch, or use auto_claim), or something between here and the server repeats requests. Append what take_unsent hands back with a producer of a higher epoch; for a deliberate replay set accept_duplicates"
    )]
    UnexpectedDuplicate {
        /// The producer's epoch.
        epoch: u64,
        /// The batch's sequence number.
        seq: u64,
    },

    /// An attempt went unanswered, and now nobody can tell whether the record was stored. Halts.
    /// [`take_unsent`](crate::IdempotentProducer::take_unsent) says how to find out, and to go on.
    #[error(
        "outcome unknown: {reason}; the record may have been stored. take_unsent tells of which records that is so, and unsent_from where in the stream to look for them"
    )]
    OutcomeUnknown {
        /// Why nobody can tell.
        reason: String,
    },

    /// The queue has no room for this record, which is handed back. Only this append failed.
    #[error("the producer's queue is full; wait for room with append_wait, or raise max_buffered_bytes")]
    QueueFull {
        /// The record; of an `append_json`, its JSON text.
        record: Bytes,
    },

    /// The record is larger than the whole queue. It is handed back; only this append failed.
    #[error("a record of {} bytes, and up to five more to keep it, does not fit into {option} ({limit} bytes); raise that option", .record.len())]
    RecordTooLarge {
        /// The record; of an `append_json`, its JSON text.
        record: Bytes,
        /// The option that sets the limit.
        option: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },

    /// A deadline passed with records still on their way. [`flush_timeout`](crate::IdempotentProducer::flush_timeout)
    /// only stops waiting; a producer that was dropped or detached gives up.
    #[error("{records} records ({bytes} bytes) were not yet acknowledged after {after:?}")]
    Timeout {
        /// How many records are not acknowledged.
        records: usize,
        /// Their size in the queue, in bytes.
        bytes: usize,
        /// How long was waited.
        after: Duration,
    },

    /// The task that delivers the records ended before its time: its async runtime has shut down, or a function of the
    /// application that it called, a header provider for instance, has panicked. Halts.
    #[error(
        "the task that delivers the records is gone: its runtime has shut down, or a function that it called (a header provider, on_error) has panicked"
    )]
    RuntimeGone,

    /// The server refused, or could not be reached within the retry policy. Halts, but for a single record that is
    /// no JSON ([`StreamError::Json`]) or too large for the server ([`StreamError::PayloadTooLarge`]).
    #[error(transparent)]
    Stream(Error),
}

impl ProducerError {
    /// The record that was not taken.
    #[must_use]
    pub fn into_record(self) -> Option<Bytes> {
        match self {
            Self::QueueFull { record } | Self::RecordTooLarge { record, .. } => Some(record),
            _ => None,
        }
    }

    /// The kind of the stream's error, if it is one.
    #[must_use]
    pub fn stream_error(&self) -> Option<&StreamError> {
        match self {
            Self::Stream(error) => Some(error.kind()),
            _ => None,
        }
    }
}

impl From<Error> for ProducerError {
    fn from(error: Error) -> Self {
        Self::Stream(error)
    }
}

impl From<StreamError> for ProducerError {
    fn from(kind: StreamError) -> Self {
        Self::Stream(kind.into())
    }
}
