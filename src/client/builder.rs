use super::{Client, Inner};
use crate::error::{Error, StreamError};
use crate::exchange::target;
use crate::exchange::timers::Alarms;
use crate::retry::RetryConfig;
use durable_streams_contract::{
    AnyRuntime, AnyTransport, DefaultRuntime, DefaultTransport, HttpTransport, Runtime, RuntimeError,
    TransportError, TransportOptions,
};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type QueryProvider = Arc<dyn Fn() -> Vec<(String, String)> + Send + Sync>;
type MakeTransport<T> = fn(&TransportOptions) -> Result<T, TransportError>;
type FindRuntime<R> = fn() -> Result<R, RuntimeError>;
type HeadersFuture = Pin<Box<dyn Future<Output = Result<HeaderMap, BoxError>> + Send>>;

/// What is asked anew for each attempt of a request.
#[derive(Clone, Default)]
pub(crate) struct Providers {
    pub(crate) headers: Option<HeaderProvider>,
    pub(crate) query: Option<QueryProvider>,
}

#[derive(Clone)]
pub(crate) enum HeaderProvider {
    Sync(Arc<dyn Fn() -> HeaderMap + Send + Sync>),
    Async(Arc<dyn Fn() -> HeadersFuture + Send + Sync>),
}

enum Source<S, F> {
    Given(S),
    Default(F),
}

/// Builds a [`Client`]. Nothing is checked or sent before [`build`](Self::build).
///
/// Start from `Client::builder()` of a stack (`durable_streams::tokio::Client` and its kin), or from
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
    headers: Vec<(String, String)>,
    providers: Providers,
    retry: RetryConfig,
    header_timeout: Duration,
    idle_timeout: Duration,
}

impl<T: DefaultTransport, R: DefaultRuntime> Client<T, R> {
    /// Starts to build a client on a stack: `durable_streams::tokio::Client::builder()`, with the stack's name.
    pub fn builder() -> ClientBuilder<T, R> {
        ClientBuilder::with_sources(Source::Default(T::from_options), Source::Default(R::current))
    }
}

impl<T: HttpTransport, R: Runtime> ClientBuilder<T, R> {
    /// Starts to build a client on a transport and a runtime of your own.
    pub fn new(transport: T, runtime: R) -> Self {
        Self::with_sources(Source::Given(transport), Source::Given(runtime))
    }

    /// Sends requests through `transport` instead.
    pub fn transport<T2: HttpTransport>(self, transport: T2) -> ClientBuilder<T2, R> {
        ClientBuilder {
            transport: Source::Given(transport),
            runtime: self.runtime,
            transport_options: self.transport_options,
            base_url: self.base_url,
            headers: self.headers,
            providers: self.providers,
            retry: self.retry,
            header_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
        }
    }

    /// Runs tasks and timers on `runtime` instead.
    pub fn runtime<R2: Runtime>(self, runtime: R2) -> ClientBuilder<T, R2> {
        ClientBuilder {
            transport: self.transport,
            runtime: Source::Given(runtime),
            transport_options: self.transport_options,
            base_url: self.base_url,
            headers: self.headers,
            providers: self.providers,
            retry: self.retry,
            header_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
        }
    }

    /// The URL below which [`Client::stream`] finds paths. Default: none, and streams need absolute URLs.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// A header for every request, the producers' included. A name given twice is sent twice.
    ///
    /// The protocol's own headers, where a request has them, win over it. How long a request is the transport says:
    /// `content-length` and `transfer-encoding` are refused, here and wherever else headers are given.
    pub fn default_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Headers that are asked for anew for each attempt of each request, a fresh token for instance.
    /// They win over [`default_header`](Self::default_header). Replaces an earlier provider of either kind.
    pub fn header_provider<F>(mut self, provider: F) -> Self
    where
        F: Fn() -> HeaderMap + Send + Sync + 'static,
    {
        self.providers.headers = Some(HeaderProvider::Sync(Arc::new(provider)));
        self
    }

    /// Like [`header_provider`](Self::header_provider), for headers that have to be waited for. A provider
    /// that fails is a failed attempt that was never sent: it is retried by the retry policy.
    ///
    /// The wait counts towards the [header timeout](Self::header_timeout).
    pub fn async_header_provider<F, Fut, E>(mut self, provider: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<HeaderMap, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let provider = move || -> HeadersFuture {
            let headers = provider();
            Box::pin(async move { headers.await.map_err(Into::into) })
        };
        self.providers.headers = Some(HeaderProvider::Async(Arc::new(provider)));
        self
    }

    /// Query parameters that are asked for anew for each attempt of each request. The protocol's own
    /// (`offset`, `live`, `cursor`) are refused.
    pub fn query_provider<F>(mut self, provider: F) -> Self
    where
        F: Fn() -> Vec<(String, String)> + Send + Sync + 'static,
    {
        self.providers.query = Some(Arc::new(provider));
        self
    }

    /// How failed requests are tried again. Default: [`RetryConfig::default`].
    pub fn retry_config(mut self, config: RetryConfig) -> Self {
        self.retry = config;
        self
    }

    /// Longest time for DNS, connect and TLS together, kept by the transport that `build` makes.
    /// Default: 10 s. Not zero.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.transport_options.connect_timeout = timeout;
        self
    }

    /// Longest wait for a response's head, connecting included. Default: 30 s. Not zero.
    ///
    /// A body has to leave before it can be answered: each whole 64 KiB of it adds a sixteenth. With the default a producer's
    /// batch of 1,000,000 bytes is given up after 58 s, so that an uplink of 18 kB a second gets it through.
    ///
    /// A long-poll, which a server answers late on purpose, is bounded by the
    /// [idle timeout](Self::idle_timeout) instead.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout;
        self
    }

    /// The same as [`header_timeout`](Self::header_timeout): there is no total timeout, since a tail has no end.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.header_timeout(timeout)
    }

    /// Longest silence within a response, and longest wait for the answer to a long-poll. Default: 90 s. Not zero.
    ///
    /// After it the connection is taken for dead, and a reader opens another where it was. Servers answer
    /// a long-poll, and renew a stream of events, within about 60 s, so a healthy tail is never cut.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Use the proxy that the environment names (`HTTPS_PROXY` and its kin), where the stack's library
    /// can; for the transport that `build` makes. Default: false.
    pub fn environment_proxy(mut self, enabled: bool) -> Self {
        self.transport_options.environment_proxy = enabled;
        self
    }

    /// Builds the client, on the runtime that it finds itself in unless another was given. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`StreamError::Config`] with the option, its value and the reason, also where the stack's runtime
    /// is missing; [`StreamError::Network`] when the transport cannot be set up.
    pub fn build(self) -> Result<Client<T, R>, Error> {
        let base_url = self.base_url.as_deref().map(target::base_url).transpose()?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let (name, value) = header(name, value)?;
            headers.append(name, value);
        }
        self.retry.validate()?;
        for (option, timeout) in [
            ("connect_timeout", self.transport_options.connect_timeout),
            ("header_timeout", self.header_timeout),
            ("idle_timeout", self.idle_timeout),
        ] {
            if timeout.is_zero() {
                return Err(StreamError::config(option, "0s", "it must be above zero").into());
            }
        }
        let runtime = match self.runtime {
            Source::Given(runtime) => runtime,
            Source::Default(find) => find().map_err(StreamError::from)?,
        };
        let transport = match self.transport {
            Source::Given(transport) => transport,
            Source::Default(make) => make(&self.transport_options)?,
        };
        Ok(Client {
            inner: Arc::new(Inner {
                transport,
                runtime,
                base_url,
                headers,
                providers: self.providers,
                retry: self.retry,
                header_timeout: self.header_timeout,
                alarms: Alarms::default(),
                idle_timeout: self.idle_timeout,
            }),
        })
    }
}

impl<T, R> ClientBuilder<T, R> {
    fn with_sources(transport: Source<T, MakeTransport<T>>, runtime: Source<R, FindRuntime<R>>) -> Self {
        Self {
            transport,
            runtime,
            transport_options: TransportOptions::default(),
            base_url: None,
            headers: Vec::new(),
            providers: Providers::default(),
            retry: RetryConfig::default(),
            header_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(90),
        }
    }
}

impl<T, R> fmt::Debug for ClientBuilder<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Header values are secrets more often than not.
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("ClientBuilder")
            .field("base_url", &self.base_url)
            .field("headers", &names)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

/// A header from text.
pub(crate) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let parsed = HeaderName::try_from(name)
        .map_err(|_| StreamError::config("header", format!("{name:?}"), "this is no header name"))?;
    let value = HeaderValue::try_from(value).map_err(|_| {
        let reason = "a header's value has no control characters, a line feed for instance";
        // An error ends up in logs, where a secret must not.
        let shown = if may_be_secret(name) { "(not shown)".to_owned() } else { format!("{value:?}") };
        StreamError::config("header", format!("{name}: {shown}"), reason)
    })?;
    check_framing(&parsed)?;
    Ok((parsed, value))
}

/// Refuses the headers by which a message is cut out of its connection: with one of the application's, passed on from
/// another request for instance, a record would be stored in part.
pub(crate) fn check_framing(name: &HeaderName) -> Result<(), Error> {
    if matches!(*name, CONTENT_LENGTH | TRANSFER_ENCODING) {
        let reason = "the transport itself says how long a request is";
        return Err(StreamError::config("header", name.as_str(), reason).into());
    }
    Ok(())
}

fn may_be_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["auth", "cookie", "token", "key", "secret", "password"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::header;

    #[test]
    fn a_requests_length_is_not_the_applications() {
        for name in ["content-length", "Transfer-Encoding"] {
            let error = header(name, "3").unwrap_err().to_string();
            assert!(error.contains(&name.to_ascii_lowercase()) && error.contains("transport"), "{error}");
        }
        assert!(header("content-language", "de").is_ok());
    }

    #[test]
    fn a_refused_header_is_shown_unless_it_may_be_a_secret() {
        let error = header("x-trace", "a\nb").unwrap_err();
        assert!(error.to_string().contains(r#"x-trace: "a\nb""#), "{error}");
        let error = header("Authorization", "Bearer secret\n").unwrap_err();
        assert!(error.to_string().contains("Authorization"), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}
