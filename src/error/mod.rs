use crate::Offset;
use durable_streams_contract::{RuntimeError, TransportError, TransportErrorKind};
use http::StatusCode;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error as ThisError;

/// A server's token as it can stand in a message: what is longer than any sensible one is cut.
pub(crate) fn shown(token: &str) -> Cow<'_, str> {
    const LONGEST: usize = 256;
    if token.len() <= LONGEST {
        return Cow::Borrowed(token);
    }
    let end = (0..=LONGEST).rev().find(|&end| token.is_char_boundary(end)).unwrap_or(0);
    Cow::Owned(format!("{}… ({} bytes)", &token[..end], token.len()))
}

/// What went wrong, as a kind to match on.
///
/// Operations return [`Error`], which holds this and where it happened.
#[derive(Clone, Debug, ThisError)]
#[non_exhaustive]
pub enum StreamError {
    /// 404: no stream is there, or none any more.
    #[error("stream not found: {url}; create it first, or check the URL")]
    NotFound {
        /// The stream's URL.
        url: String,
    },

    /// 409 on create: a stream is there, with another content type, lifetime, fork or closure.
    #[error("stream already exists with different configuration")]
    Conflict,

    /// 409 on append: the record's content type is not the stream's.
    #[error("content type mismatch: expected {expected}, got {actual}")]
    ContentTypeMismatch {
        /// The stream's content type.
        expected: String,
        /// What was sent, or what came back.
        actual: String,
    },

    /// 409 on append: a sequence number that is not above the last one, or that leaves a gap.
    #[error("sequence conflict: {0}")]
    SeqConflict(String),

    /// 410 on a read: the data at this offset is no longer kept.
    #[error("offset gone (retention/compaction): {offset}; start from a later one, or from the beginning")]
    OffsetGone {
        /// The offset asked for.
        offset: String,
    },

    /// 410: the stream was deleted, and kept only for its forks.
    #[error("stream deleted: {url}")]
    Gone {
        /// The stream's URL.
        url: String,
    },

    /// The stream at this URL is not the one that was read so far: it was deleted and created again.
    #[error("stream was deleted and created again under the reader: {evidence}")]
    Recreated {
        /// What the server said that shows it.
        evidence: String,
    },

    /// 409 with `Stream-Closed`: the stream takes no more records.
    #[error("stream is closed")]
    StreamClosed {
        /// The stream's last offset, where the server says it.
        final_offset: Option<Offset>,
    },

    /// 401: no credentials, or ones that are not valid (any more).
    #[error("unauthorized")]
    Unauthorized,

    /// 403: these credentials may not do this; or, where [`Error::server_epoch`] says one, a producer's epoch is stale.
    #[error("forbidden")]
    Forbidden,

    /// 429: too many requests, or too many live readers.
    #[error("rate limited")]
    RateLimited {
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },

    /// 413: the body is larger than the server takes.
    #[error("payload too large: {size} bytes are more than the server takes")]
    PayloadTooLarge {
        /// The size of the body that was refused, in bytes.
        size: usize,
    },

    /// 400, or another 4xx without a kind of its own.
    #[error("invalid request: {message}")]
    BadRequest {
        /// What the server said.
        message: String,
    },

    /// 405 or 501: the server does not do this on this stream.
    #[error("not supported by the server")]
    NotSupported,

    /// 304: nothing changed since the entity tag that was given.
    #[error("not modified since the entity tag that was given")]
    NotModified,

    /// 5xx: the server failed.
    #[error("server error: {status} - {message}")]
    ServerError {
        /// The status.
        status: u16,
        /// What the server said.
        message: String,
    },

    /// A redirect that is not followed: a loop, a downgrade, or one that would change the method.
    #[error("redirect not followed: {reason}")]
    Redirect {
        /// Why not.
        reason: String,
    },

    /// No answer: the connection failed, was refused or broke.
    #[error("network error: {0}")]
    Network(TransportError),

    /// A deadline passed. The [`Error`] around it says which.
    #[error("timeout")]
    Timeout,

    /// A value that is no JSON, or not of the type asked for.
    #[error("json error: {0}")]
    Json(JsonError),

    /// A text that is no valid UTF-8.
    #[error("text is not valid UTF-8: {reason}")]
    Utf8 {
        /// Which byte is wrong.
        reason: String,
    },

    /// The server does not serve this stream as server-sent events.
    #[error(
        "sse not supported for content type: {content_type}; read it with LiveMode::LongPoll or LiveMode::Auto"
    )]
    SseNotSupported {
        /// The stream's content type, where known.
        content_type: String,
    },

    /// One event, or one JSON message, is larger than the limit that bounds the reader's memory.
    #[error("too large: {what} exceeds {option} ({limit} bytes); raise that option to read it")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The option that sets the limit.
        option: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },

    /// A body in an encoding that was not asked for.
    #[error(
        "the server sent Content-Encoding {encoding}, which was not asked for; have it send the stream as it is, or use \
         tokio with the feature `compression`, which decodes gzip and brotli"
    )]
    UnexpectedEncoding {
        /// The encoding's name.
        encoding: String,
    },

    /// An answer that breaks the protocol: not a Durable Streams server, or something between.
    #[error("protocol error: {message}")]
    Protocol {
        /// What is wrong with it.
        message: String,
    },

    /// A write may or may not have been carried out.
    ///
    /// Send it again only if a second copy does no harm, or give it a producer identity: then it is
    /// stored once however often it is sent.
    #[error(
        "outcome unknown: {reason}; it may have been stored. Give the write a producer identity to make it safe to repeat"
    )]
    OutcomeUnknown {
        /// Why nobody can tell.
        reason: String,
    },

    /// A checkpoint could not be loaded or saved.
    #[error("checkpoint store failed: {0}")]
    CheckpointStore(Arc<std::io::Error>),

    /// An option that cannot work. Nothing was sent.
    #[error("{0}")]
    Config(ConfigError),
}

/// An option, a URL, a header or an offset that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("invalid {option}: {value}: {reason}")]
#[non_exhaustive]
pub struct ConfigError {
    /// The option's name.
    pub option: String,
    /// The value that was given.
    pub value: String,
    /// Why it cannot work.
    pub reason: String,
}

/// A value that is no JSON, or not of the type asked for.
#[derive(Clone, Debug)]
pub struct JsonError {
    message: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl JsonError {
    #[cfg(feature = "json")]
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// The error of the JSON library, where it was the one to object.
    #[must_use]
    pub fn get_ref(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.source.as_deref()
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for JsonError {}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        Self { message: error.to_string(), source: Some(Arc::new(error)) }
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
            Self::RateLimited { .. } | Self::Timeout => true,
            Self::ServerError { status, .. } => *status >= 500 || matches!(status, 408 | 425),
            Self::Network(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// The HTTP status behind this kind, if it has exactly one.
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
            Self::ServerError { status, .. } => *status,
            _ => return None,
        })
    }
}

/// Why an operation failed: the [kind](StreamError), and where it happened.
///
/// `Display` says all of it in one line. Cloning is cheap.
///
/// ```
/// use durable_streams::{Error, StreamError};
///
/// fn give_up(error: &Error) -> bool {
///     match error.kind() {
///         StreamError::NotFound { .. } | StreamError::Unauthorized => true,
///         _ => !error.is_retryable(),
///     }
/// }
/// # let _ = give_up;
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: StreamError,
    context: Context,
}

/// Where an error happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// What was being done: `append`, `read`.
    pub(crate) operation: Option<&'static str>,
    pub(crate) url: Option<String>,
    pub(crate) status: Option<StatusCode>,
    /// The server's words, cut to [`Context::MAX_MESSAGE`] bytes.
    pub(crate) server_message: Option<String>,
    pub(crate) offset: Option<Offset>,
    pub(crate) retry_after: Option<Duration>,
    /// What the kind has no room for.
    pub(crate) detail: Option<String>,
    /// By a higher epoch of the producer's id the server refused the append.
    pub(crate) server_epoch: Option<u64>,
    /// How many attempts were made, if more than one.
    pub(crate) attempts: u32,
}

impl Context {
    /// As much of an error's body as is kept.
    pub(crate) const MAX_MESSAGE: usize = 1024;
}

impl Error {
    pub(crate) fn with_context(kind: StreamError, context: Context) -> Self {
        Self(Arc::new(Inner { kind, context }))
    }

    pub(crate) fn edit(mut self, edit: impl FnOnce(&mut Context)) -> Self {
        edit(&mut Arc::make_mut(&mut self.0).context);
        self
    }

    /// The same place and circumstances, under another kind.
    pub(crate) fn with_kind(mut self, kind: StreamError) -> Self {
        Arc::make_mut(&mut self.0).kind = kind;
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> &StreamError {
        &self.0.kind
    }

    /// What went wrong, by value.
    #[must_use]
    pub fn into_kind(self) -> StreamError {
        Arc::unwrap_or_clone(self.0).kind
    }

    /// The URL of the request.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.0.context.url.as_deref()
    }

    /// What the server said, cut to 1024 bytes.
    #[must_use]
    pub fn server_message(&self) -> Option<&str> {
        self.0.context.server_message.as_deref()
    }

    /// The offset that was asked for, or the last one reached.
    #[must_use]
    pub fn offset(&self) -> Option<&Offset> {
        self.0.context.offset.as_ref()
    }

    /// How long the server asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.context.retry_after
    }

    /// The HTTP status of the answer, if there was one.
    #[must_use]
    pub fn status_code(&self) -> Option<u16> {
        self.0.context.status.map(|status| status.as_u16()).or_else(|| self.0.kind.status_code())
    }

    /// The epoch that the server has for the producer's id, where it refused an append for its epoch
    /// ([`Append::producer`](crate::Append::producer)). Go on with a higher one, from seq 0.
    #[must_use]
    pub fn server_epoch(&self) -> Option<u64> {
        self.0.context.server_epoch
    }

    /// Whether the same request may succeed later. The library has already retried what it may.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }
}

impl From<StreamError> for Error {
    fn from(kind: StreamError) -> Self {
        let retry_after = match &kind {
            StreamError::RateLimited { retry_after } => *retry_after,
            _ => None,
        };
        Self::with_context(kind, Context { retry_after, ..Context::default() })
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        let detail = (error.kind() == TransportErrorKind::Timeout).then(|| error.to_string());
        Self::with_context(error.into(), Context { detail, ..Context::default() })
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        StreamError::Config(error).into()
    }
}

impl From<Error> for StreamError {
    fn from(error: Error) -> Self {
        error.into_kind()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, context } = &*self.0;
        if let Some(operation) = context.operation {
            write!(f, "{operation} failed: ")?;
        }
        write!(f, "{kind}")?;
        if let Some(detail) = &context.detail {
            write!(f, ": {detail}")?;
        }
        if let Some(epoch) = context.server_epoch {
            write!(
                f,
                ": the server has epoch {epoch} for this producer id; go on with a higher one, from seq 0"
            )?;
        }
        let says_url = matches!(kind, StreamError::NotFound { .. } | StreamError::Gone { .. });
        if let (Some(url), false) = (&context.url, says_url) {
            write!(f, "; url {url}")?;
        }
        if let Some(offset) = &context.offset {
            write!(f, "; offset {offset}")?;
        }
        if let Some(status) = context.status {
            write!(f, "; status {}", status.as_u16())?;
        }
        if let Some(retry_after) = context.retry_after {
            write!(f, "; the server asks to wait {retry_after:?}")?;
        }
        let says_message = matches!(kind, StreamError::BadRequest { .. } | StreamError::ServerError { .. });
        if let (Some(message), false) = (&context.server_message, says_message) {
            write!(f, "; the server said: {message}")?;
        }
        if context.attempts > 1 {
            write!(f, "; {} attempts", context.attempts)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, context } = &*self.0;
        // A `main` that returns the error prints this: what is not known would only hide what is.
        let mut debug = f.debug_struct("Error");
        debug.field("kind", kind);
        let fields: [(&str, Option<&dyn fmt::Debug>); 7] = [
            ("operation", context.operation.as_ref().map(|field| field as _)),
            ("url", context.url.as_ref().map(|field| field as _)),
            ("status", context.status.as_ref().map(|field| field as _)),
            ("server_message", context.server_message.as_ref().map(|field| field as _)),
            ("offset", context.offset.as_ref().map(|field| field as _)),
            ("retry_after", context.retry_after.as_ref().map(|field| field as _)),
            ("detail", context.detail.as_ref().map(|field| field as _)),
        ];
        for (name, field) in fields {
            if let Some(field) = field {
                debug.field(name, field);
            }
        }
        if context.attempts > 1 {
            debug.field("attempts", &context.attempts);
        }
        debug.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.kind {
            // Its own text is part of ours: the chain goes on below it.
            StreamError::Network(error) => std::error::Error::source(error),
            StreamError::Json(error) => error.get_ref().and_then(std::error::Error::source),
            StreamError::CheckpointStore(error) => std::error::Error::source(&**error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_leaves_out_what_is_not_known() {
        let error = Error::from(StreamError::Unauthorized);
        assert_eq!(format!("{error:?}"), "Error { kind: Unauthorized }");
        let error = error.edit(|context| {
            context.operation = Some("append");
            context.attempts = 3;
        });
        assert_eq!(format!("{error:?}"), r#"Error { kind: Unauthorized, operation: "append", attempts: 3 }"#);
    }
}
