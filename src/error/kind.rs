//! The kinds of failure.

use super::config::ConfigError;
use super::json::JsonError;
use crate::offset::{InvalidOffset, Offset};
use durable_streams_contract::{RuntimeError, TransportError, TransportErrorKind};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What went wrong, as a kind to match on.
///
/// Operations return [`Error`](crate::Error), which holds this and where it happened.
///
/// ```
/// use durable_streams::StreamError;
///
/// fn describe(kind: &StreamError) -> &'static str {
///     match kind {
///         StreamError::NotFound { .. } => "create the stream first",
///         StreamError::StreamClosed { .. } => "the stream takes no more records",
///         kind if kind.is_retryable() => "try again later",
///         _ => "look at the error",
///     }
/// }
/// # let _ = describe;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StreamError {
    /// 404: there is no stream at this URL.
    NotFound {
        /// The stream's URL.
        url: String,
    },

    /// 409 on create: a stream with another content type, lifetime, fork or closure exists.
    Conflict,

    /// 409 on append: the record's content type is not the stream's.
    ContentTypeMismatch {
        /// The stream's content type.
        expected: String,
        /// The content type that was sent, or that the response has.
        actual: String,
    },

    /// 409 on append: a sequence number that is not above the last one, or that leaves a gap.
    SeqConflict(String),

    /// 410 on a read: the server no longer keeps the data at this offset.
    OffsetGone {
        /// The offset that was asked for.
        offset: String,
    },

    /// 410: the stream was deleted, and is kept for its forks only.
    Gone {
        /// The stream's URL.
        url: String,
    },

    /// The stream at this URL is not the one that was read so far: it was deleted and created again.
    Recreated {
        /// The part of the server's responses that shows it.
        evidence: String,
    },

    /// 409 with `Stream-Closed`: the stream takes no more records.
    StreamClosed {
        /// The stream's last offset, if the server sent it.
        final_offset: Option<Offset>,
    },

    /// 401: the credentials are missing, wrong or expired.
    Unauthorized,

    /// 403: the credentials do not allow this. If [`Error::server_epoch`](crate::Error::server_epoch) is set, a
    /// producer's epoch is stale instead.
    Forbidden,

    /// 429: too many requests, or too many live readers.
    RateLimited {
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },

    /// 413: the server does not accept a body of this size.
    PayloadTooLarge {
        /// The size of the body that was refused, in bytes.
        size: usize,
    },

    /// 400: the server found the request invalid.
    BadRequest {
        /// The server's message.
        message: String,
    },

    /// A 4xx status without a kind of its own.
    ClientError {
        /// The status.
        status: u16,
        /// The server's message.
        message: String,
    },

    /// 405 or 501: the server does not support this operation on this stream.
    NotSupported,

    /// 304: the stream has not changed since the given entity tag.
    NotModified,

    /// 5xx, 408, 421 or 425: the server failed, or another connection leads to one that does not, and a later attempt may
    /// succeed.
    ServerError {
        /// The status.
        status: u16,
        /// The server's message.
        message: String,
    },

    /// A redirect that is not followed: a loop, a change from https to http, or one that may change the method.
    Redirect {
        /// Why it is not followed.
        reason: String,
    },

    /// No response: the connection failed, was refused or broke. `source()` is the error below the transport's.
    Network(TransportError),

    /// A deadline passed. The [`Error`](crate::Error) around this kind says which.
    Timeout,

    /// A value that is not valid JSON, or not of the requested type.
    Json(JsonError),

    /// A text that is not valid UTF-8.
    Utf8 {
        /// Which byte is not valid.
        reason: String,
    },

    /// The server does not serve this stream as server-sent events.
    SseNotSupported {
        /// The stream's content type, if known.
        content_type: String,
    },

    /// One event or one JSON message is larger than the limit that bounds the reader's memory.
    TooLarge {
        /// What is too large.
        what: String,
        /// The option that sets the limit.
        option: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },

    /// A body in an encoding that was not asked for.
    UnexpectedEncoding {
        /// The encoding's name.
        encoding: String,
    },

    /// A response that breaks the protocol: the server is not a Durable Streams server, or a proxy changes its
    /// responses.
    Protocol {
        /// What is wrong with the response.
        message: String,
    },

    /// A success, or a redirect, without any header of the protocol, at an origin where a Durable Streams server has responded
    /// before: a captive portal or the page of a gateway. A later attempt may reach the server.
    Intercepted {
        /// The content type of the response, if it has one.
        content_type: Option<String>,
    },

    /// A write that may have been applied, or not.
    ///
    /// Repeat it only if a second copy does no harm. With a producer identity it is stored once however often it is
    /// sent.
    OutcomeUnknown {
        /// Why the outcome is not known.
        reason: String,
    },

    /// A checkpoint could not be loaded or saved.
    CheckpointStore(Arc<std::io::Error>),

    /// A producer halted, or did not accept a record: a [`ProducerError`](crate::ProducerError) that has no kind of its
    /// own here. `downcast_ref` gives it.
    Producer(Arc<dyn std::error::Error + Send + Sync>),

    /// An option that is not valid. Nothing was sent.
    Config(ConfigError),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { url } => write!(f, "stream not found: {url}; create it first, or check the URL"),
            Self::Conflict => write!(f, "stream already exists with different configuration"),
            Self::ContentTypeMismatch { expected, actual } => {
                write!(f, "content type mismatch: expected {expected}, got {actual}")
            }
            Self::SeqConflict(message) => write!(f, "sequence conflict: {message}"),
            Self::OffsetGone { offset } => write!(
                f,
                "offset gone (retention/compaction): {offset}; start from a later one, or from the beginning"
            ),
            Self::Gone { url } => write!(f, "stream deleted: {url}"),
            Self::Recreated { evidence } => {
                write!(f, "stream was deleted and created again while it was read: {evidence}")
            }
            Self::StreamClosed { .. } => write!(f, "stream is closed"),
            Self::Unauthorized => write!(f, "unauthorized"),
            Self::Forbidden => write!(f, "forbidden"),
            Self::RateLimited { .. } => write!(f, "rate limited"),
            Self::PayloadTooLarge { size } => {
                write!(f, "payload too large: the server does not accept {size} bytes")
            }
            Self::BadRequest { message } => write!(f, "invalid request: {message}"),
            Self::ClientError { status, message } => write!(f, "request refused: {status} - {message}"),
            Self::NotSupported => write!(f, "not supported by the server"),
            Self::NotModified => write!(f, "not modified since the given entity tag"),
            Self::ServerError { status, message } => write!(f, "server error: {status} - {message}"),
            Self::Redirect { reason } => write!(f, "redirect not followed: {reason}"),
            Self::Network(error) => write!(f, "network error: {error}"),
            Self::Timeout => write!(f, "timeout"),
            Self::Json(error) => write!(f, "json error: {error}"),
            Self::Utf8 { reason } => write!(f, "text is not valid UTF-8: {reason}"),
            Self::SseNotSupported { content_type } => write!(
                f,
                "sse not supported for content type: {content_type}; read it with LiveMode::LongPoll or LiveMode::Auto"
            ),
            Self::TooLarge { what, option, limit } => {
                write!(f, "too large: {what} exceeds {option} ({limit} bytes); raise that option to read it")
            }
            Self::UnexpectedEncoding { encoding } => write!(
                f,
                "the server sent Content-Encoding {encoding}, which was not asked for; turn it off at the server, or \
                 use tokio with the feature `compression`, which decodes gzip and brotli"
            ),
            Self::Protocol { message } => write!(f, "protocol error: {message}"),
            Self::Intercepted { content_type } => write!(
                f,
                "intercepted: a response ({}) without any header of the protocol, where a Durable Streams server responded \
                 before; look for a captive portal or a gateway on the way",
                content_type.as_deref().unwrap_or("without a content type")
            ),
            Self::OutcomeUnknown { reason } => write!(
                f,
                "outcome unknown: {reason}; it may have been stored. Give the write a producer identity to make it \
                 safe to repeat"
            ),
            Self::CheckpointStore(error) => write!(f, "checkpoint store failed: {error}"),
            Self::Producer(error) => write!(f, "{error}"),
            Self::Config(error) => write!(f, "{error}"),
        }
    }
}

// By hand: the text of a wrapped error is a part of ours, so the chain of sources continues below it.
impl std::error::Error for StreamError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Network(error) => error.source(),
            Self::Json(error) => error.get_ref().and_then(std::error::Error::source),
            Self::CheckpointStore(error) => error.source(),
            Self::Producer(error) => error.source(),
            _ => None,
        }
    }
}

impl From<serde_json::Error> for StreamError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error.into())
    }
}

impl From<TransportError> for StreamError {
    fn from(error: TransportError) -> Self {
        match error.kind() {
            TransportErrorKind::Timeout => Self::Timeout,
            _ => Self::Network(error),
        }
    }
}

impl From<RuntimeError> for StreamError {
    fn from(error: RuntimeError) -> Self {
        Self::config("runtime", "none", error.to_string())
    }
}

impl From<ConfigError> for StreamError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<InvalidOffset> for StreamError {
    fn from(error: InvalidOffset) -> Self {
        Self::config("offset", error.token, error.reason)
    }
}

impl StreamError {
    pub(crate) fn config(
        option: impl Into<String>,
        value: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self::Config(ConfigError { option: option.into(), value: value.into(), reason: reason.into() })
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self::Protocol { message: message.into() }
    }

    pub(crate) fn store(error: std::io::Error) -> Self {
        Self::CheckpointStore(Arc::new(error))
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Timeout | Self::Intercepted { .. } => true,
            Self::ServerError { status, .. } => *status >= 500 || matches!(status, 408 | 421 | 425),
            Self::Network(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// The HTTP status of this kind, if it has exactly one.
    #[must_use]
    pub fn status_code(&self) -> Option<u16> {
        Some(match self {
            Self::NotModified => 304,
            Self::BadRequest { .. } => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound { .. } => 404,
            Self::Conflict
            | Self::ContentTypeMismatch { .. }
            | Self::SeqConflict(_)
            | Self::StreamClosed { .. } => 409,
            Self::OffsetGone { .. } | Self::Gone { .. } => 410,
            Self::PayloadTooLarge { .. } => 413,
            Self::RateLimited { .. } => 429,
            Self::ClientError { status, .. } | Self::ServerError { status, .. } => *status,
            _ => return None,
        })
    }
}
