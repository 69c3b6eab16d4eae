//! Errors of a producer.

use crate::error::{Error, StreamError};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// What went wrong with a producer, or with one of its records.
///
/// Most of these *halt* the producer: every record that is not stored gets the same error, later
/// operations return it too, nothing more is sent, and
/// [`take_unacked`](crate::IdempotentProducer::take_unacked) returns the records. The others concern one record, and say
/// so.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProducerError {
    /// The producer was closed or detached, or has closed the stream. It accepts no more records.
    #[error("producer is closed")]
    Closed,

    /// Another producer took over this id with a higher epoch. Halts.
    #[error(
        "stale epoch: server has epoch {server_epoch}, we have {our_epoch}; another producer uses this id: stop one of them, and start with a higher epoch or with auto_claim"
    )]
    StaleEpoch {
        /// The epoch that the server has for this id.
        server_epoch: u64,
        /// The producer's own epoch.
        our_epoch: u64,
    },

    /// The server does not have a batch that it acknowledged, or has lost this producer's state. Halts.
    #[error(
        "sequence gap: expected {expected}, received {received}; the server lost what it acknowledged. Read the end of the stream, and append what take_unacked returns with a producer of a higher epoch; auto_claim does so where it is safe"
    )]
    SequenceGap {
        /// The sequence number that the server expects.
        expected: u64,
        /// The sequence number that was sent.
        received: u64,
    },

    /// The server reported a batch as a duplicate that was sent for the first time: it was not stored. Halts.
    #[error(
        "unexpected duplicate: the server already has epoch {epoch}, seq {seq}, which was sent for the first time. This producer id was used with the same epoch before (give each run a higher epoch, or use auto_claim), or a proxy repeats requests. Append what take_unacked returns with a producer of a higher epoch; for a deliberate replay set accept_duplicates"
    )]
    UnexpectedDuplicate {
        /// The producer's epoch.
        epoch: u64,
        /// The batch's sequence number.
        seq: u64,
    },

    /// An attempt had no response, and it is not known whether the record was stored. Halts.
    /// [`take_unacked`](crate::IdempotentProducer::take_unacked) describes how to find out and how to continue.
    #[error(
        "outcome unknown: {reason}; the record may have been stored. take_unacked returns the records of which this is so, and unacked_from the offset from which to look for them"
    )]
    OutcomeUnknown {
        /// Why the outcome is not known.
        reason: String,
    },

    /// The queue has no room for this record, which is returned. Only this append failed.
    #[error("the producer's queue is full; wait for room with append_wait, or raise max_buffered_bytes")]
    QueueFull {
        /// The record. For an `append_json`, its JSON text.
        record: Bytes,
    },

    /// The record is larger than the whole queue. It is returned; only this append failed.
    #[error("a record of {} bytes, and up to five more for its framing, does not fit into {option} ({limit} bytes); raise that option", .record.len())]
    RecordTooLarge {
        /// The record. For an `append_json`, its JSON text.
        record: Bytes,
        /// The option that sets the limit.
        option: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },

    /// A deadline passed before all records were acknowledged. [`flush_timeout`](crate::IdempotentProducer::flush_timeout)
    /// only stops waiting. A producer that was dropped or detached halts.
    #[error("{records} records ({bytes} bytes) were not yet acknowledged after {after:?}")]
    Timeout {
        /// The number of records that are not acknowledged.
        records: usize,
        /// Their size in the queue, in bytes.
        bytes: usize,
        /// How long the wait was.
        after: Duration,
    },

    /// The task that delivers the records was dropped: its async runtime has shut down, or a function of the
    /// application that it called, a header provider for instance, has panicked. Halts.
    #[error(
        "the task that delivers the records was dropped: its runtime has shut down, or a function that it called (a header provider, on_error) has panicked"
    )]
    RuntimeGone,

    /// The server refused a request, or could not be reached within the retry policy. Halts, except for a single record
    /// that is not JSON ([`StreamError::Json`]) or too large for the server ([`StreamError::PayloadTooLarge`]).
    #[error(transparent)]
    Stream(Error),
}

impl ProducerError {
    /// The record that was not accepted.
    #[must_use]
    pub fn into_record(self) -> Option<Bytes> {
        match self {
            Self::QueueFull { record } | Self::RecordTooLarge { record, .. } => Some(record),
            _ => None,
        }
    }

    /// The kind of the error, if it is one of the stream.
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

impl From<ProducerError> for Error {
    /// [`ProducerError::Stream`] gives the error that it wraps, `OutcomeUnknown` and `Timeout` the kinds of the same name,
    /// and all others [`StreamError::Producer`] with the producer's error inside.
    fn from(error: ProducerError) -> Self {
        match error {
            ProducerError::Stream(error) => error,
            ProducerError::OutcomeUnknown { reason } => StreamError::OutcomeUnknown { reason }.into(),
            ProducerError::Timeout { .. } => {
                let detail = error.to_string();
                Self::from(StreamError::Timeout).with_detail(detail)
            }
            error => StreamError::Producer(Arc::new(error)).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producer_error_converts_to_the_matching_kind() {
        let stream = Error::from(StreamError::Unauthorized).with_operation("append");
        let text = stream.to_string();
        let converted = Error::from(ProducerError::Stream(stream));
        assert!(matches!(converted.kind(), StreamError::Unauthorized) && converted.to_string() == text);

        let unknown = Error::from(ProducerError::OutcomeUnknown { reason: "no response".into() });
        assert!(matches!(unknown.kind(), StreamError::OutcomeUnknown { reason } if reason == "no response"));

        let after = Duration::from_secs(3);
        let timeout = Error::from(ProducerError::Timeout { records: 7, bytes: 9, after });
        assert!(matches!(timeout.kind(), StreamError::Timeout));
        assert!(timeout.to_string().contains("7 records"), "{timeout}");
    }

    #[test]
    fn other_producer_error_is_kept_inside_with_its_text() {
        let error = Error::from(ProducerError::StaleEpoch { server_epoch: 4, our_epoch: 3 });
        let StreamError::Producer(inner) = error.kind() else { panic!("{error}") };
        assert!(matches!(
            inner.downcast_ref::<ProducerError>(),
            Some(ProducerError::StaleEpoch { server_epoch: 4, our_epoch: 3 })
        ));
        assert_eq!(error.to_string(), inner.to_string());
        assert!(!error.is_retryable() && error.status_code().is_none());
    }
}
