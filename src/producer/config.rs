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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outage::ConnectionStatus;
    use crate::retry::RetryConfig;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// What is decided about `error` with a handler that retries everything, and how often the handler was called.
    fn decide(error: StreamError) -> (Decision, usize) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let config = Config {
            machine: Settings {
                max_batch_bytes: usize::MAX,
                connection_status: ConnectionStatus::new(),
                epoch: 0,
                auto_claim: false,
                accept_duplicates: false,
                max_in_flight: 1,
                retry: RetryConfig::default(),
            },
            drain_timeout: Duration::ZERO,
            on_error: Some(Box::new(move |_| {
                counted.fetch_add(1, Ordering::Relaxed);
                ErrorAction::Retry { headers: None }
            })),
        };
        let decision = config.decide(&Error::from(error));
        (decision, calls.load(Ordering::Relaxed))
    }

    #[test]
    fn error_of_the_server_is_decided_by_the_handler() {
        assert!(matches!(decide(StreamError::Unauthorized), (Decision::Retry { headers: None }, 1)));
    }

    #[test]
    fn configuration_error_does_not_reach_the_handler() {
        let error = StreamError::config("linger", "-1", "it is negative");
        assert!(!error.is_retryable());
        assert!(matches!(decide(error), (Decision::Stop, 0)));
    }

    #[test]
    fn retryable_error_does_not_reach_the_handler() {
        assert!(matches!(decide(StreamError::Timeout), (Decision::Stop, 0)));
    }
}
