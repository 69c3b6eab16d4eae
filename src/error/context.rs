//! A kind of failure with the circumstances in which it happened.

use super::config::ConfigError;
use super::kind::StreamError;
use crate::offset::{InvalidOffset, Offset};
use durable_streams_contract::{TransportError, TransportErrorKind};
use http::StatusCode;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Why an operation failed: the [kind](StreamError), and where it happened.
///
/// `Display` writes all of it on one line. Cloning is cheap.
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

/// The circumstances of an error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// The operation that failed, `append` for instance.
    pub(crate) operation: Option<&'static str>,
    pub(crate) url: Option<String>,
    pub(crate) status: Option<StatusCode>,
    /// The server's message, cut to [`Context::MAX_MESSAGE`] bytes.
    pub(crate) server_message: Option<String>,
    pub(crate) offset: Option<Offset>,
    pub(crate) retry_after: Option<Duration>,
    /// A detail for which the kind has no field.
    pub(crate) detail: Option<String>,
    /// The server's epoch for the producer's id, if the server refused the append because of its epoch.
    pub(crate) server_epoch: Option<u64>,
    /// The number of attempts. 0 and 1 are not shown.
    pub(crate) attempts: u32,
}

impl Context {
    /// How much of an error response's body is kept, in bytes.
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

    /// The same error, of this operation on this URL.
    pub(crate) fn with_request(self, operation: &'static str, url: &str) -> Self {
        self.edit(|context| {
            context.operation = Some(operation);
            context.url = Some(url.to_owned());
        })
    }

    /// The same error, of this operation.
    pub(crate) fn with_operation(self, operation: &'static str) -> Self {
        self.edit(|context| context.operation = Some(operation))
    }

    pub(crate) fn with_status(self, status: Option<StatusCode>) -> Self {
        self.edit(|context| context.status = status)
    }

    pub(crate) fn with_detail(self, detail: String) -> Self {
        self.edit(|context| context.detail = Some(detail))
    }

    pub(crate) fn with_attempts(self, attempts: u32) -> Self {
        self.edit(|context| context.attempts = attempts)
    }

    /// Another kind in the same circumstances.
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

    /// The server's message, cut to 1024 bytes.
    #[must_use]
    pub fn server_message(&self) -> Option<&str> {
        self.0.context.server_message.as_deref()
    }

    /// The offset that was asked for, or the last one that was reached.
    #[must_use]
    pub fn offset(&self) -> Option<&Offset> {
        self.0.context.offset.as_ref()
    }

    /// How long the server asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.context.retry_after
    }

    /// The HTTP status of the response, if there was one.
    #[must_use]
    pub fn status_code(&self) -> Option<u16> {
        self.0.context.status.map(|status| status.as_u16()).or_else(|| self.0.kind.status_code())
    }

    /// The server's epoch for the producer's id, if the server refused an append because of its epoch
    /// ([`Append::producer`](crate::Append::producer)). Continue with a higher epoch, from seq 0.
    #[must_use]
    pub fn server_epoch(&self) -> Option<u64> {
        self.0.context.server_epoch
    }

    /// Whether the same request may succeed later. The library has already made the retries that its policy allows.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }
}

impl From<StreamError> for Error {
    fn from(kind: StreamError) -> Self {
        // Also readable from the error, like the one of any other status.
        let retry_after = match &kind {
            StreamError::RateLimited { retry_after } => *retry_after,
            _ => None,
        };
        Self::with_context(kind, Context { retry_after, ..Context::default() })
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        // The kind `Timeout` has no field for the transport's text, which says which deadline passed.
        let detail = (error.kind() == TransportErrorKind::Timeout).then(|| error.to_string());
        Self::with_context(error.into(), Context { detail, ..Context::default() })
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        StreamError::Config(error).into()
    }
}

impl From<InvalidOffset> for Error {
    fn from(error: InvalidOffset) -> Self {
        StreamError::from(error).into()
    }
}

impl From<Error> for StreamError {
    fn from(error: Error) -> Self {
        error.into_kind()
    }
}

/// What [`Offset::parse`] returns, if the protocol allows it as an offset (protocol §8).
impl FromStr for Offset {
    type Err = Error;

    /// # Errors
    ///
    /// [`StreamError::Config`] for an empty text, one of the characters `, & = ? /`, a control character, or more than
    /// 4,096 bytes.
    fn from_str(text: &str) -> Result<Self, Error> {
        let offset = Self::parse(text);
        offset.validate()?;
        Ok(offset)
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
                ": the server has epoch {epoch} for this producer id; continue with a higher one, from seq 0"
            )?;
        }
        let kind_has_url = matches!(kind, StreamError::NotFound { .. } | StreamError::Gone { .. });
        if let (Some(url), false) = (&context.url, kind_has_url) {
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
        let kind_has_message = matches!(
            kind,
            StreamError::BadRequest { .. }
                | StreamError::ClientError { .. }
                | StreamError::ServerError { .. }
        );
        if let (Some(message), false) = (&context.server_message, kind_has_message) {
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
        // A `main` that returns the error prints this. Unknown fields are left out.
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
    /// The source of the kind: its text is a part of this error's own.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.kind.source()
    }
}
