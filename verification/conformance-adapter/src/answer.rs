//! Answers, and errors in the runner's terms.

use durable_streams::{Error, ProducerError, StreamError};
use serde_json::{Value, json};

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: &'static str,
    pub(crate) status: Option<u16>,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, status: None, message: message.into() }
    }

    pub(crate) fn into_answer(self, command: &str) -> Value {
        let mut answer = json!({
            "type": "error",
            "success": false,
            "commandType": command,
            "errorCode": self.code,
            "message": self.message,
        });
        // The runner distinguishes a missing status from an empty one.
        if let Some(status) = self.status {
            answer["status"] = status.into();
        }
        answer
    }
}

/// What an operation was, as far as a code depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum During {
    Read,
    Other,
}

impl Failure {
    pub(crate) fn of(error: &Error, during: During) -> Self {
        let status = error.status_code();
        let code = match error.kind() {
            StreamError::NotFound { .. } => "NOT_FOUND",
            StreamError::Conflict => "CONFLICT",
            StreamError::SeqConflict(_) | StreamError::ContentTypeMismatch { .. } if status == Some(409) => {
                "SEQUENCE_CONFLICT"
            }
            StreamError::StreamClosed { .. } => "STREAM_CLOSED",
            StreamError::BadRequest { .. } if during == During::Read => "INVALID_OFFSET",
            StreamError::Json(_) | StreamError::Protocol { .. } | StreamError::Utf8 { .. } => "PARSE_ERROR",
            StreamError::Network(_) => "NETWORK_ERROR",
            StreamError::Timeout => "TIMEOUT",
            StreamError::Unauthorized => "UNAUTHORIZED",
            StreamError::Forbidden => "FORBIDDEN",
            StreamError::NotSupported | StreamError::SseNotSupported { .. } => "NOT_SUPPORTED",
            StreamError::Config(_) => "INVALID_ARGUMENT",
            _ if status.is_some() => "UNEXPECTED_STATUS",
            _ => "INTERNAL_ERROR",
        };
        Self { code, status, message: error.to_string() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::of(&error, During::Other)
    }
}

impl From<ProducerError> for Failure {
    fn from(error: ProducerError) -> Self {
        match error {
            ProducerError::Stream(error) => error.into(),
            ProducerError::StaleEpoch { .. } => {
                Self { code: "FORBIDDEN", status: Some(403), message: error.to_string() }
            }
            ProducerError::SequenceGap { .. } => {
                Self { code: "SEQUENCE_CONFLICT", status: Some(409), message: error.to_string() }
            }
            other => Self::new("INTERNAL_ERROR", other.to_string()),
        }
    }
}
