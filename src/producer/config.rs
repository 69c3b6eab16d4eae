//! A producer's options, checked.

use super::machine::Settings;
use crate::error::{Error, StreamError};
use crate::exchange::error_action::{ErrorAction, ErrorHandler};
use http::HeaderMap;
use std::time::Duration;

/// What the driver needs to know.
pub(super) struct Config {
    pub(super) machine: Settings,
    /// How long a producer without handles continues to deliver its records.
    pub(super) drain_timeout: Duration,
    pub(super) on_error: Option<Box<ErrorHandler>>,
}

/// The application's decision about an error that would halt the producer.
#[derive(Debug)]
pub(super) enum Decision {
    /// Try again, with these headers from now on if there are any.
    Retry {
        headers: Option<HeaderMap>,
    },
    Stop,
}

impl Config {
    /// Calls the error handler. Errors that are retried anyway, and the client's own, are not its business.
    pub(super) fn decide(&self, error: &Error) -> Decision {
        if matches!(error.kind(), StreamError::Config(_)) || error.is_retryable() {
            return Decision::Stop;
        }
        match self.on_error.as_ref().map(|on_error| on_error(error.kind())) {
            Some(ErrorAction::Retry { headers }) => Decision::Retry { headers },
            Some(ErrorAction::Stop) | None => Decision::Stop,
        }
    }
}
