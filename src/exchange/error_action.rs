//! The decision of the application's error handler.

use crate::error::StreamError;
use http::HeaderMap;

/// What a reader or a producer does after a failure: the result of the handler that the application gave to
/// [`ReaderBuilder::on_error`](crate::ReaderBuilder::on_error) or
/// [`ProducerBuilder::on_error`](crate::ProducerBuilder::on_error).
///
/// ```
/// use durable_streams::{ErrorAction, StreamError};
///
/// fn on_error(error: &StreamError) -> ErrorAction {
///     match error {
///         StreamError::NotFound { .. } => ErrorAction::Stop,
///         _ => ErrorAction::Retry { headers: None },
///     }
/// }
/// # let _ = on_error;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ErrorAction {
    /// Try again, as far as the retry policy allows.
    Retry {
        /// Headers for this and all later requests of the reader or producer, until others replace them; a new token
        /// for instance. They win over all other headers of the application.
        headers: Option<HeaderMap>,
    },
    /// Stop: the reader ends, or the producer halts, with this error.
    Stop,
}

/// The application's error handler.
pub(crate) type ErrorHandler = dyn Fn(&StreamError) -> ErrorAction + Send + Sync;
