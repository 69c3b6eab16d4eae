use crate::{Body, TransportError, UploadProgress};
use async_trait::async_trait;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Sends one HTTP request and hands back the response as it arrives.
///
/// Implemented by an adapter over an HTTP library; used by the client, which decides on its own about
/// redirects, retries, deadlines and what a status means.
///
/// # What an implementation must do
///
/// - Any status is `Ok`, 4xx and 5xx too. The future resolves when the response's head is there; it
///   does not wait for the body.
/// - Redirects are not followed: a 3xx is handed back.
/// - The body is handed on chunk by chunk as it arrives, not decompressed unless the adapter was asked
///   to ask for compression. HEAD, 204 and 304 have an empty body, whatever their headers say.
/// - A body that ends before its length, or before its last chunk, is an error
///   ([`Truncated`](crate::TransportErrorKind::Truncated)), never an end.
/// - No total timeout, and no idle timeout: a tail may be quiet for minutes. A connect timeout is the
///   transport's own ([`TransportOptions::connect_timeout`]).
/// - Dropping the future or the body cancels the request, and what is left of it never reaches another.
/// - A request of which a byte may have been sent is not sent again. [`TransportError::sent`] tells
///   whether it can have reached the server.
/// - Header values are passed on byte for byte, both ways. What the library cannot send is an error,
///   never a panic.
/// - Connections are reused for sequential requests where the library does that safely. A request with
///   [`with_fresh_connection`](SendOptions::with_fresh_connection) gets a new one, and the idle ones to its origin are
///   discarded. Dropping a future alone discards no connection but its own.
/// - It works wherever it is polled: a library that needs its reactor brings a handle along.
///
/// `examples/custom_transport.rs` of `durable-streams-client` is one over an HTTP library. One may also stand before
/// another, whichever that is:
///
/// ```
/// use durable_streams_contract::{Body, HttpTransport, SendOptions, TransportError, async_trait};
///
/// struct Logged<T>(T);
///
/// #[async_trait]
/// impl<T: HttpTransport> HttpTransport for Logged<T> {
///     async fn send(
///         &self,
///         request: http::Request<bytes::Bytes>,
///         options: SendOptions,
///     ) -> Result<http::Response<Body>, TransportError> {
///         println!("{} {}", request.method(), request.uri().path());
///         self.0.send(request, options).await
///     }
/// }
/// ```
#[async_trait]
pub trait HttpTransport: Send + Sync + 'static {
    /// Sends `request`; its URI is absolute, its body complete.
    ///
    /// # Errors
    ///
    /// [`TransportError`] when no response's head arrived.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the request, which may have reached the server.
    async fn send(
        &self,
        request: http::Request<Bytes>,
        options: SendOptions,
    ) -> Result<http::Response<Body>, TransportError>;

    /// Whether the transport offers compression to servers by itself, and decodes what it offered. Default: false, and the
    /// client sends `accept-encoding: identity`, as it does with every request for an event stream: what compresses on the way
    /// also buffers.
    fn offers_compression(&self) -> bool {
        false
    }
}

/// Hints for one request. Most transports need few of them.
///
/// ```
/// use durable_streams_contract::SendOptions;
/// use std::time::Duration;
///
/// let options = SendOptions::new().with_live(true).with_backstop(Duration::from_secs(90));
/// assert!(options.is_live());
/// ```
#[derive(Clone, Debug, Default)]
pub struct SendOptions {
    live: bool,
    backstop: Option<Duration>,
    fresh_connection: bool,
    upload: Option<UploadProgress>,
}

impl SendOptions {
    /// No hints.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the response may stay open for long and be dropped before its end. A library that cannot cancel on a shared
    /// connection should give it one of its own. Default: false.
    #[must_use]
    pub fn with_live(mut self, live: bool) -> Self {
        self.live = live;
        self
    }

    /// A deadline for the whole exchange, for libraries in which dropping the future does not cancel the request.
    /// The client's own deadlines are shorter; it keeps them by dropping the future. Default: none.
    #[must_use]
    pub fn with_backstop(mut self, backstop: Duration) -> Self {
        self.backstop = Some(backstop);
        self
    }

    /// Discards the idle connections to this origin, and sends the request on a new one. Default: false.
    ///
    /// The client sets it after a timeout, a lost connection, a 5xx or a 421: the next attempt may reach another
    /// address, or another server behind a load balancer. Only the client knows that an attempt timed out; a transport sees
    /// a dropped future, which says nothing about the connection.
    #[must_use]
    pub fn with_fresh_connection(mut self, fresh_connection: bool) -> Self {
        self.fresh_connection = fresh_connection;
        self
    }

    /// Where the transport counts the bytes of the request's body that it handed to the socket. Default: nowhere.
    ///
    /// A transport that cannot count leaves it untouched.
    #[must_use]
    pub fn with_upload(mut self, upload: UploadProgress) -> Self {
        self.upload = Some(upload);
        self
    }

    /// See [`with_live`](Self::with_live).
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// See [`with_backstop`](Self::with_backstop).
    #[must_use]
    pub fn backstop(&self) -> Option<Duration> {
        self.backstop
    }

    /// See [`with_fresh_connection`](Self::with_fresh_connection).
    #[must_use]
    pub fn is_fresh_connection(&self) -> bool {
        self.fresh_connection
    }

    /// See [`with_upload`](Self::with_upload).
    #[must_use]
    pub fn upload(&self) -> Option<&UploadProgress> {
        self.upload.as_ref()
    }
}

/// Put into the extensions of a response whose head may have been cut, by a transport whose library cannot tell.
///
/// Such a response has an empty body. If it lacks a header that the protocol demands, the client takes it for a lost
/// connection, and not for the server's answer.
///
/// ```
/// use durable_streams_contract::{Body, HeadMayBeCut};
///
/// let mut response = http::Response::new(Body::empty());
/// response.extensions_mut().insert(HeadMayBeCut);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HeadMayBeCut;

/// Options of a transport that a client builds itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportOptions {
    /// Longest time for DNS, connect and TLS together. Default: 10 s.
    pub connect_timeout: Duration,
    /// Whether to use the proxy of the environment (`HTTPS_PROXY` and similar), if the library supports it.
    /// Default: false.
    pub environment_proxy: bool,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(10), environment_proxy: false }
    }
}

/// A transport that can be built from options alone, as `Client::builder()` does.
#[diagnostic::on_unimplemented(
    message = "a client cannot build `{Self}` by itself",
    note = "name a stack: `durable_streams::tokio::Client::builder()`, or the one of `async_std` or `smol`, with its feature enabled",
    note = "or bring your own transport and runtime: `ClientBuilder::new(transport, runtime)`"
)]
pub trait DefaultTransport: HttpTransport + Sized {
    /// Builds the transport.
    ///
    /// # Errors
    ///
    /// [`TransportError`] if the library cannot be set up, or its runtime is missing.
    fn from_options(options: &TransportOptions) -> Result<Self, TransportError>;
}

/// Any transport, as a trait object: the default type parameter of the client's types.
#[derive(Clone)]
pub struct AnyTransport(Arc<dyn HttpTransport>);

impl AnyTransport {
    /// Erases the type of `transport`.
    pub fn new(transport: impl HttpTransport) -> Self {
        Self(Arc::new(transport))
    }
}

impl fmt::Debug for AnyTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyTransport")
    }
}

#[async_trait]
impl HttpTransport for AnyTransport {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        options: SendOptions,
    ) -> Result<http::Response<Body>, TransportError> {
        self.0.send(request, options).await
    }

    fn offers_compression(&self) -> bool {
        self.0.offers_compression()
    }
}

#[async_trait]
impl<T: HttpTransport + ?Sized> HttpTransport for Arc<T> {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        options: SendOptions,
    ) -> Result<http::Response<Body>, TransportError> {
        (**self).send(request, options).await
    }

    fn offers_compression(&self) -> bool {
        (**self).offers_compression()
    }
}
