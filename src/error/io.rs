//! The library's error as a `std::io::Error`, for functions that return one.

use super::context::Error;
use super::kind::StreamError;
use durable_streams_contract::TransportErrorKind;
use std::io::{self, ErrorKind};

impl From<Error> for io::Error {
    /// Keeps the whole error as the inner error, under the closest [`io::ErrorKind`].
    ///
    /// ```
    /// use durable_streams::{Error, StreamError};
    ///
    /// let error = std::io::Error::from(Error::from(StreamError::Timeout));
    /// assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    /// assert!(error.get_ref().is_some_and(|inner| inner.is::<Error>()));
    /// ```
    fn from(error: Error) -> Self {
        let kind = io_kind(error.kind());
        Self::new(kind, error)
    }
}

fn io_kind(kind: &StreamError) -> ErrorKind {
    match kind {
        StreamError::NotFound { .. } | StreamError::Gone { .. } | StreamError::OffsetGone { .. } => {
            ErrorKind::NotFound
        }
        StreamError::Conflict => ErrorKind::AlreadyExists,
        StreamError::Unauthorized | StreamError::Forbidden => ErrorKind::PermissionDenied,
        StreamError::StreamClosed { .. } => ErrorKind::BrokenPipe,
        StreamError::Timeout => ErrorKind::TimedOut,
        StreamError::NotSupported | StreamError::SseNotSupported { .. } => ErrorKind::Unsupported,
        StreamError::BadRequest { .. }
        | StreamError::Config(_)
        | StreamError::ContentTypeMismatch { .. }
        | StreamError::PayloadTooLarge { .. } => ErrorKind::InvalidInput,
        StreamError::Json(_)
        | StreamError::Utf8 { .. }
        | StreamError::TooLarge { .. }
        | StreamError::UnexpectedEncoding { .. }
        | StreamError::Protocol { .. } => ErrorKind::InvalidData,
        StreamError::CheckpointStore(error) => error.kind(),
        StreamError::Network(error) => match error.kind() {
            TransportErrorKind::Connect => ErrorKind::ConnectionRefused,
            TransportErrorKind::Closed => ErrorKind::ConnectionReset,
            TransportErrorKind::Truncated => ErrorKind::UnexpectedEof,
            TransportErrorKind::Malformed => ErrorKind::InvalidData,
            TransportErrorKind::InvalidRequest => ErrorKind::InvalidInput,
            TransportErrorKind::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::Other,
        },
        _ => ErrorKind::Other,
    }
}
