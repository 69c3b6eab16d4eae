//! The client's builder.

use super::handle::Client;
use crate::error::{Error, StreamError};
use crate::exchange::headers::{HeaderProvider, header};
use crate::exchange::http_client::{HttpClient, RequestDefaults};
use crate::exchange::target::{Base, allowed_origin, base_url, shown_url};
use crate::retry::RetryConfig;
use durable_streams_contract::{
    AnyRuntime, AnyTransport, DefaultRuntime, DefaultTransport, HttpTransport, Runtime, RuntimeError,
    TransportError, TransportOptions,
};
use http::HeaderMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

type MakeTransport<T> = Box<dyn FnOnce(&TransportOptions) -> Result<T, TransportError> + Send + Sync>;
type FindRuntime<R> = Box<dyn FnOnce() -> Result<R, RuntimeError> + Send + Sync>;

/// A part of the stack: given by the application, or made by the stack when the client is built.
enum Source<S, F> {
    Given(S),
    Default(F),
}

/// Builds a [`Client`]. Nothing is checked or sent before [`build`](Self::build).
///
/// Start from `Client::builder()` of a stack, `durable_streams::tokio::Client` for instance, or from
/// [`ClientBuilder::new`] with a transport and a runtime of your own.
///
#[cfg_attr(feature = "tokio", doc = "```no_run")]
#[cfg_attr(not(feature = "tokio"), doc = "```ignore")]
/// # fn fresh_token() -> String { "…".into() }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use durable_streams::tokio::Client;
/// use durable_streams::{HeaderMap, RetryConfig};
/// use std::time::Duration;
///
/// let client = Client::builder()
///     .base_url("https://streams.example.com/v1")
///     .header_provider(|| {
///         let mut headers = HeaderMap::new();
///         if let Ok(token) = format!("Bearer {}", fresh_token()).parse() {
///             headers.insert("authorization", token);
///         }
///         headers
///     })
///     .header_timeout(Duration::from_secs(10))
///     .retry_config(RetryConfig { max_retries: Some(5), ..RetryConfig::default() })
///     .build()?;
/// # let _ = client; Ok(()) }
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct ClientBuilder<T = AnyTransport, R = AnyRuntime> {
    transport: Source<T, MakeTransport<T>>,
    runtime: Source<R, FindRuntime<R>>,
    transport_options: TransportOptions,
    base_url: Option<String>,
    allowed_origins: Vec<String>,
    headers: Vec<(String, String)>,
    /// `headers` here is empty until `build` has checked `self.headers`.
    defaults: RequestDefaults,
}

impl<T: DefaultTransport, R: DefaultRuntime> Client<T, R> {
    /// A builder of a client on a stack, for instance `durable_streams::tokio::Client::builder()`.
    pub fn builder() -> ClientBuilder<T, R> {
        ClientBuilder::with_sources(
            Source::Default(Box::new(T::from_options)),
            Source::Default(Box::new(R::current)),
        )
    }
}

impl<T: HttpTransport, R: Runtime> ClientBuilder<T, R> {
    /// A builder of a client on a transport and a runtime of your own.
    pub fn new(transport: T, runtime: R) -> Self {
        Self::with_sources(Source::Given(transport), Source::Given(runtime))
    }

    /// Sends requests through `transport` instead of the stack's.
    pub fn transport<T2: HttpTransport>(self, transport: T2) -> ClientBuilder<T2, R> {
        ClientBuilder {
            transport: Source::Given(transport),
            runtime: self.runtime,
            transport_options: self.transport_options,
            base_url: self.base_url,
            allowed_origins: self.allowed_origins,
            headers: self.headers,
            defaults: self.defaults,
        }
    }

    /// Runs tasks and timers on `runtime` instead of the stack's.
    pub fn runtime<R2: Runtime>(self, runtime: R2) -> ClientBuilder<T, R2> {
        ClientBuilder {
            transport: self.transport,
            runtime: Source::Given(runtime),
            transport_options: self.transport_options,
            base_url: self.base_url,
            allowed_origins: self.allowed_origins,
            headers: self.headers,
            defaults: self.defaults,
        }
    }

    /// The same builder with the default type parameters, for a [`Client`] that is independent of the stack.
    ///
    /// See [`Client::to_any`].
    pub fn to_any(self) -> ClientBuilder {
        ClientBuilder {
            transport: match self.transport {
                Source::Given(transport) => Source::Given(AnyTransport::new(transport)),
                Source::Default(make) => {
                    Source::Default(Box::new(move |options| make(options).map(AnyTransport::new)))
                }
            },
            runtime: match self.runtime {
                Source::Given(runtime) => Source::Given(AnyRuntime::new(runtime)),
                Source::Default(find) => Source::Default(Box::new(move || find().map(AnyRuntime::new))),
            },
            transport_options: self.transport_options,
            base_url: self.base_url,
            allowed_origins: self.allowed_origins,
            headers: self.headers,
            defaults: self.defaults,
        }
    }

    /// The URL that relative stream URLs are resolved below. Default: none, and streams need absolute URLs.
    ///
    /// It binds the client to its origin: see [`allow_origin`](Self::allow_origin).
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Allows streams at another origin than the [base URL](Self::base_url)'s, `https://other.example.com` for instance. Default:
    /// none, and a stream URL of another origin is a configuration error. Without a base URL every origin is allowed.
    ///
    /// The default headers, the header provider and the query provider are for the base URL's origin, and are not sent to
    /// the allowed one: credentials for it are set with [`DurableStream::with_headers`](crate::DurableStream::with_headers).
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.allowed_origins.push(origin.into());
        self
    }

    /// A header for every request, the producers' included. With a [base URL](Self::base_url), for its origin only. A name
    /// given twice is sent twice.
    ///
    /// The headers that the protocol defines win over it. The transport sets `content-length` and
    /// `transfer-encoding`: these are refused, here and wherever else headers are given.
    pub fn default_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// A function that is called for the headers of each attempt of each request, for a fresh token for instance.
    /// Its headers win over [`default_header`](Self::default_header). Replaces an earlier provider of either kind.
    pub fn header_provider<F>(mut self, provider: F) -> Self
    where
        F: Fn() -> HeaderMap + Send + Sync + 'static,
    {
        self.defaults.header_provider = Some(HeaderProvider::Sync(Arc::new(provider)));
        self
    }

    /// Like [`header_provider`](Self::header_provider), with an async function. A provider that fails counts as an
    /// attempt that was not sent, and is retried by the retry policy.
    ///
    /// The time it takes counts towards the [header timeout](Self::header_timeout).
    pub fn async_header_provider<F, Fut, E>(mut self, provider: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<HeaderMap, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.defaults.header_provider = Some(HeaderProvider::from_async(provider));
        self
    }

    /// A function that is called for query parameters of each attempt of each request. The protocol's
    /// parameters (`offset`, `live`, `cursor`) are refused.
    pub fn query_provider<F>(mut self, provider: F) -> Self
    where
        F: Fn() -> Vec<(String, String)> + Send + Sync + 'static,
    {
        self.defaults.query_provider = Some(Arc::new(provider));
        self
    }

    /// How failed requests are retried. Default: [`RetryConfig::default`].
    pub fn retry_config(mut self, config: RetryConfig) -> Self {
        self.defaults.retry = config;
        self
    }

    /// Longest time for DNS, connect and TLS together. It applies to the transport that `build` makes.
    /// Default: 10 s. Not zero.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.transport_options.connect_timeout = timeout;
        self
    }

    /// Longest wait for a response's head, connecting included. Default: 30 s. Not zero.
    ///
    /// A body has to be sent before the server can respond: each whole 64 KiB of it adds a sixteenth. With the default, a
    /// producer's batch of 1,000,000 bytes times out after 58 s, which an uplink of 18 kB per second meets.
    ///
    /// A long-poll, to which a server responds late on purpose, is bounded by the
    /// [idle timeout](Self::idle_timeout) instead.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.defaults.header_timeout = timeout;
        self
    }

    /// The same as [`header_timeout`](Self::header_timeout). There is no total timeout: a live read has no end.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.header_timeout(timeout)
    }

    /// Longest silence within a response, and longest wait for the response to a long-poll. Default: 90 s. Not zero.
    ///
    /// After it the connection counts as dead, and a reader opens another one at the same position. Servers respond to
    /// a long-poll, and end an event stream, within about 60 s, so this does not cut a healthy connection.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.defaults.idle_timeout = timeout;
        self
    }

    /// Whether to use the proxy of the environment (`HTTPS_PROXY` and similar), if the stack's library supports it.
    /// It applies to the transport that `build` makes. Default: false.
    pub fn environment_proxy(mut self, enabled: bool) -> Self {
        self.transport_options.environment_proxy = enabled;
        self
    }

    /// Builds the client on the runtime of the current context, unless another was given. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`StreamError::Config`] with the option, its value and the reason, also if the stack's runtime
    /// is missing; [`StreamError::Network`] if the transport cannot be set up.
    pub fn build(self) -> Result<Client<T, R>, Error> {
        let base = Base {
            url: self.base_url.as_deref().map(base_url).transpose()?,
            allowed: self
                .allowed_origins
                .iter()
                .map(|origin| allowed_origin(origin))
                .collect::<Result<_, _>>()?,
        };
        let mut defaults = self.defaults;
        for (name, value) in &self.headers {
            let (name, value) = header(name, value)?;
            defaults.headers.append(name, value);
        }
        defaults.retry.validate()?;
        for (option, timeout) in [
            ("connect_timeout", self.transport_options.connect_timeout),
            ("header_timeout", defaults.header_timeout),
            ("idle_timeout", defaults.idle_timeout),
        ] {
            if timeout.is_zero() {
                return Err(StreamError::config(option, "0s", "it must be above zero").into());
            }
        }
        // The runtime first: some transports need one to be built.
        let runtime = match self.runtime {
            Source::Given(runtime) => runtime,
            Source::Default(find) => find().map_err(StreamError::from)?,
        };
        let transport = match self.transport {
            Source::Given(transport) => transport,
            Source::Default(make) => make(&self.transport_options)?,
        };
        Ok(Client { http: HttpClient::new(transport, runtime, defaults), base: Arc::new(base) })
    }
}

impl<T, R> ClientBuilder<T, R> {
    fn with_sources(transport: Source<T, MakeTransport<T>>, runtime: Source<R, FindRuntime<R>>) -> Self {
        Self {
            transport,
            runtime,
            transport_options: TransportOptions::default(),
            base_url: None,
            allowed_origins: Vec::new(),
            headers: Vec::new(),
            defaults: RequestDefaults {
                headers: HeaderMap::new(),
                header_provider: None,
                query_provider: None,
                retry: RetryConfig::default(),
                header_timeout: Duration::from_secs(30),
                idle_timeout: Duration::from_secs(90),
            },
        }
    }
}

impl<T, R> fmt::Debug for ClientBuilder<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Header values may be secrets.
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("ClientBuilder")
            .field("base_url", &self.base_url.as_deref().map(shown_url))
            .field("headers", &names)
            .field("retry", &self.defaults.retry)
            .finish_non_exhaustive()
    }
}
