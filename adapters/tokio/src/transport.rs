use crate::classify::{Phase, classify};
use crate::clients::Clients;
use crate::context::Context;
use crate::inside::Inside;
use crate::resolve;
use crate::sync::lock;
use async_trait::async_trait;
use bytes::Bytes;
use durable_streams_contract::{
    Body, DefaultTransport, HttpTransport, SendOptions, Sent, TransportError, TransportErrorKind,
    TransportOptions,
};
use futures_lite::Stream;
use http::Uri;
use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http_body::Body as _;
use reqwest::Url;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll, ready};
use tokio::runtime::Handle;

/// reqwest as [`HttpTransport`].
///
/// It holds a handle to a tokio runtime and works wherever it is polled. Cloning is cheap and shares the
/// connections.
#[derive(Clone, Debug)]
pub struct ReqwestTransport {
    clients: Clients,
    context: Context,
    last_url: LastUrl,
    /// Whether the client can do TLS by what this crate was built with; one that was passed in is taken as it is.
    tls: bool,
}

impl ReqwestTransport {
    /// A transport in the runtime of `handle`: HTTP/1.1 (and HTTP/2 with the feature `http2`), no redirects,
    /// no retries, no timeout but that of connecting, `TCP_NODELAY`, idle connections kept for 90 s.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::Other`] where TLS cannot be set up.
    pub fn new(handle: Handle, options: &TransportOptions) -> Result<Self, TransportError> {
        Self::build(Context::new(handle), options)
    }

    /// A transport over a client of your own: for a private certificate authority, a client certificate,
    /// a proxy, a resolver.
    ///
    /// Its settings hold as they are. The Durable Streams client needs these; with others it is not told of
    /// redirects, or loses its tails:
    ///
    /// ```
    /// # let runtime = tokio::runtime::Runtime::new().unwrap();
    /// let client = reqwest::Client::builder()
    ///     .redirect(reqwest::redirect::Policy::none()) // the client judges them itself
    ///     .retry(reqwest::retry::never()) // so that nothing is sent twice unseen
    ///     .tcp_nodelay(true)
    ///     .connect_timeout(std::time::Duration::from_secs(10))
    ///     // no `timeout` and no `read_timeout`: a quiet tail is not a dead one
    ///     .build()?;
    /// let transport = durable_streams_tokio::ReqwestTransport::from_client(client, runtime.handle().clone());
    /// # Ok::<(), reqwest::Error>(())
    /// ```
    ///
    /// reqwest cannot close idle connections, and a client that was given cannot be replaced. So this transport ignores
    /// [`with_fresh_connection`](SendOptions::with_fresh_connection): a retry may stay on a connection to the server that caused the
    /// failure, and each dead connection of the pool costs one request that times out. A short
    /// [`pool_idle_timeout`](reqwest::ClientBuilder::pool_idle_timeout) makes that less likely; [`from_builder`](Self::from_builder) does not
    /// have this limit.
    #[must_use]
    pub fn from_client(client: reqwest::Client, handle: Handle) -> Self {
        Self::with_clients(Clients::given(client), Context::new(handle), true)
    }

    /// A transport over clients of your own: `build` is called now, and whenever a request asks for a fresh connection after a
    /// failure. What [`from_client`](Self::from_client) says of the settings holds here too.
    ///
    /// ```
    /// # let runtime = tokio::runtime::Runtime::new().unwrap();
    /// use durable_streams_tokio::ReqwestTransport;
    ///
    /// let build = || {
    ///     reqwest::Client::builder()
    ///         .redirect(reqwest::redirect::Policy::none())
    ///         .retry(reqwest::retry::never())
    ///         .tcp_nodelay(true)
    ///         .connect_timeout(std::time::Duration::from_secs(10))
    /// };
    /// let transport = ReqwestTransport::from_builder(build, runtime.handle().clone())?;
    /// # Ok::<(), durable_streams_contract::TransportError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::Other`] where a client cannot be built.
    pub fn from_builder(
        build: impl Fn() -> reqwest::ClientBuilder + Send + Sync + 'static,
        handle: Handle,
    ) -> Result<Self, TransportError> {
        Ok(Self::with_clients(Clients::built(build)?, Context::new(handle), true))
    }

    fn with_clients(clients: Clients, context: Context, tls: bool) -> Self {
        Self { clients, context, last_url: LastUrl::default(), tls }
    }

    /// Whether this build speaks TLS: the feature `rustls` or `native-tls` is enabled.
    #[must_use]
    pub const fn supports_tls() -> bool {
        cfg!(any(feature = "rustls", feature = "native-tls"))
    }

    /// Whether this build asks for compressed responses and decodes them: the feature `compression` is enabled.
    #[must_use]
    pub const fn asks_for_compression() -> bool {
        cfg!(feature = "compression")
    }

    fn build(context: Context, options: &TransportOptions) -> Result<Self, TransportError> {
        let options = options.clone();
        let turn = AtomicUsize::new(0);
        let clients =
            Clients::built(move || Self::client_builder(&options, turn.fetch_add(1, Ordering::Relaxed)))?;
        Ok(Self::with_clients(clients, context, Self::supports_tls()))
    }

    /// `turn`: how many clients this transport had before.
    fn client_builder(options: &TransportOptions, turn: usize) -> reqwest::ClientBuilder {
        // Another crate in the build may enable reqwest's features; ours decide.
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(options.connect_timeout)
            .dns_resolver(resolve::system(turn))
            .no_deflate()
            .no_zstd();
        if !Self::asks_for_compression() {
            builder = builder.no_gzip().no_brotli();
        }
        if !options.environment_proxy {
            builder = builder.no_proxy();
        }
        if !cfg!(feature = "http2") {
            builder = builder.http1_only();
        }
        #[cfg(feature = "rustls")]
        {
            builder = builder.tls_backend_rustls();
        }
        builder
    }

    fn prepare(&self, request: http::Request<Bytes>) -> Result<reqwest::Request, TransportError> {
        if !self.tls && request.uri().scheme() == Some(&http::uri::Scheme::HTTPS) {
            return Err(TransportError::new(TransportErrorKind::Unsupported)
                .with_message("https needs the feature `rustls` or `native-tls` of durable-streams-client or durable-streams-tokio"));
        }
        // reqwest leaves it out for an empty body, and some servers then wait for one, or refuse.
        let bare = request.body().is_empty()
            && matches!(*request.method(), http::Method::POST | http::Method::PUT | http::Method::PATCH)
            && !request.headers().contains_key(TRANSFER_ENCODING);
        let (head, body) = request.into_parts();
        let mut request = reqwest::Request::new(head.method, self.last_url.parse(&head.uri)?);
        *request.version_mut() = head.version;
        *request.headers_mut() = head.headers;
        *request.body_mut() = Some(body.into());
        if bare {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(request)
    }
}

/// reqwest wants its own kind of URL, and parsing one takes longer than all else here. Requests to one stream have
/// the same again and again.
#[derive(Clone, Debug, Default)]
struct LastUrl(Arc<Mutex<Option<(Uri, Url)>>>);

impl LastUrl {
    fn parse(&self, uri: &Uri) -> Result<Url, TransportError> {
        let mut last = lock(&self.0);
        if let Some((known, url)) = &*last
            && known == uri
        {
            return Ok(url.clone());
        }
        let url = Url::parse(&uri.to_string()).map_err(|error| {
            TransportError::new(TransportErrorKind::InvalidRequest).with_message(error.to_string())
        })?;
        *last = Some((uri.clone(), url.clone()));
        Ok(url)
    }
}

impl DefaultTransport for ReqwestTransport {
    fn from_options(options: &TransportOptions) -> Result<Self, TransportError> {
        let context = Context::current().map_err(|error| {
            TransportError::new(TransportErrorKind::Runtime)
                .with_sent(Sent::No)
                .with_message(error.to_string())
        })?;
        Self::build(context, options)
    }
}

#[async_trait]
impl HttpTransport for ReqwestTransport {
    fn offers_compression(&self) -> bool {
        Self::asks_for_compression()
    }

    async fn send(
        &self,
        request: http::Request<Bytes>,
        options: SendOptions,
    ) -> Result<http::Response<Body>, TransportError> {
        let request = self.prepare(request)?;
        let client = if options.is_fresh_connection() { self.clients.fresh()? } else { self.clients.get() };
        let pending = self
            .context
            .run(|| Box::pin(client.execute(request)))
            .ok_or_else(|| self.context.error().with_sent(Sent::No))?;
        let response = Inside::new(self.context.clone(), pending).run().await?;
        let response = match response {
            Ok(response) => http::Response::<reqwest::Body>::from(response),
            // A shutdown of the runtime looks like a lost connection.
            Err(_) if self.context.is_lost() => return Err(self.context.error()),
            Err(error) => return Err(classify(error, Phase::Head)),
        };
        Ok(response.map(|body| Body::from_stream(Chunks(Inside::new(self.context.clone(), body)))))
    }
}

/// The data frames of a body, each polled in the runtime's context.
struct Chunks(Inside<reqwest::Body>);

impl Stream for Chunks {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let poll = match self.0.with(|body| Pin::new(body).poll_frame(cx)) {
                Ok(poll) => poll,
                Err(error) => return Poll::Ready(Some(Err(error))),
            };
            match ready!(poll) {
                Some(Ok(frame)) => {
                    // Anything else is trailers, which the protocol does not use.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(classify(error, Phase::Body)))),
                None => return Poll::Ready(None),
            }
        }
    }
}
