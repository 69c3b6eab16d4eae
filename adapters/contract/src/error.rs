use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Whether the request can have reached the server.
///
/// A write that is not idempotent is sent again only after [`Sent::No`]. A transport that
/// does not know reports [`Sent::Maybe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// No byte of it was sent: any request may be sent again.
    No,
    /// Some of it may have arrived, and may have been applied.
    Maybe,
}

/// What kind of failure a [`TransportError`] is. Each kind states its retry rule, which
/// [`is_retryable`](Self::is_retryable) implements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The host's name did not resolve. Never sent. Retried: resolvers fail temporarily.
    Dns,
    /// No connection: refused, unreachable, or reset before it was up. Never sent. Retried.
    Connect,
    /// The TLS handshake was refused: an unknown authority, a wrong name, no common version.
    /// Never sent. Not retried: the peer would respond the same way.
    Tls,
    /// A deadline passed. Retried.
    Timeout,
    /// The connection was closed or reset during the exchange. Retried.
    Closed,
    /// The response's body ended before it was complete. Retried.
    Truncated,
    /// The response is not HTTP, or not HTTP that the library supports. Retried.
    Malformed,
    /// The request cannot be sent as it is: a header value or URL that the library refuses.
    /// Never sent. Not retried.
    InvalidRequest,
    /// The stack lacks what the request needs, TLS for instance. Never sent. Not retried.
    Unsupported,
    /// The runtime that the stack needs is missing, or has shut down. Not retried.
    Runtime,
    /// Anything else. Retried.
    Other,
}

impl TransportErrorKind {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        !matches!(self, Self::Tls | Self::InvalidRequest | Self::Unsupported | Self::Runtime)
    }

    /// The value that follows from the kind alone. An adapter that knows more replaces it.
    fn sent(self) -> Sent {
        match self {
            Self::Dns | Self::Connect | Self::Tls | Self::InvalidRequest | Self::Unsupported => Sent::No,
            _ => Sent::Maybe,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Dns => "the host name did not resolve",
            Self::Connect => "could not connect",
            Self::Tls => "the TLS handshake failed",
            Self::Timeout => "timed out",
            Self::Closed => "the connection was closed",
            Self::Truncated => "the response's body was cut short",
            Self::Malformed => "the response is not valid HTTP",
            Self::InvalidRequest => "the request cannot be sent",
            Self::Unsupported => "not supported by this stack",
            Self::Runtime => "no runtime",
            Self::Other => "the request failed",
        }
    }
}

impl fmt::Display for TransportErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe())
    }
}

/// Why a request got no response, or a body no end.
///
/// A status that is not 2xx is a response, not a transport error.
///
/// ```
/// use durable_streams_contract::{Sent, TransportError, TransportErrorKind};
///
/// let error = TransportError::new(TransportErrorKind::Connect).with_message("127.0.0.1:4437");
/// assert_eq!(error.sent(), Sent::No);
/// assert!(error.is_retryable());
/// assert_eq!(error.to_string(), "could not connect: 127.0.0.1:4437");
/// ```
#[derive(Clone, Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    sent: Sent,
    message: Option<Box<str>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl TransportError {
    /// An error of this kind, with the kind's own answer to [`sent`](Self::sent).
    #[must_use]
    pub fn new(kind: TransportErrorKind) -> Self {
        Self { kind, sent: kind.sent(), message: None, source: None }
    }

    /// Overrides whether the request can have reached the server.
    #[must_use]
    pub fn with_sent(mut self, sent: Sent) -> Self {
        self.sent = sent;
        self
    }

    /// Adds what a person needs to know beyond the kind: an address, a limit, a setting.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into().into_boxed_str());
        self
    }

    /// Adds the error underneath. `Display` does not repeat it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    /// Whether the request can have reached the server.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// Whether the same request may succeed later: the kind's rule.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.describe())?;
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
