//! The client: what all streams share.

pub(crate) mod builder;

pub use builder::ClientBuilder;
pub(crate) use builder::header;

use crate::error::Error;
use crate::exchange::Target;
use crate::exchange::timers::Alarms;
use crate::retry::RetryConfig;
use crate::stream::DurableStream;
use builder::Providers;
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use http::HeaderMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How long a single operation, or a catch-up read, is tried for without any progress.
pub(crate) const OPERATION_BUDGET: Duration = Duration::from_secs(60);

/// What all streams share: a transport, a runtime, headers, retries.
///
/// Cheap to clone; clones share the transport's connections. `Client` without parameters names no
/// stack, which suits the fields of an application's types; [`erase`](Self::erase) makes one of any other.
///
#[cfg_attr(feature = "tokio", doc = "```no_run")]
#[cfg_attr(not(feature = "tokio"), doc = "```ignore")]
/// use durable_streams::tokio::Client;
///
/// # fn main() -> Result<(), durable_streams::Error> {
/// let client = Client::builder()
///     .base_url("https://streams.example.com/v1")
///     .default_header("Authorization", "Bearer token")
///     .build()?;
/// let orders = client.stream("orders");
/// # let _ = orders; Ok(()) }
/// ```
pub struct Client<T = AnyTransport, R = AnyRuntime> {
    pub(crate) inner: Arc<Inner<T, R>>,
}

pub(crate) struct Inner<T, R> {
    pub(crate) transport: T,
    pub(crate) runtime: R,
    pub(crate) base_url: Option<Url>,
    pub(crate) headers: HeaderMap,
    pub(crate) providers: Providers,
    pub(crate) retry: RetryConfig,
    pub(crate) header_timeout: Duration,
    pub(crate) alarms: Alarms,
    pub(crate) idle_timeout: Duration,
}

impl<T, R> Clone for Client<T, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T, R> fmt::Debug for Client<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base_url = self.inner.base_url.as_ref().map(Url::as_str);
        f.debug_struct("Client").field("base_url", &base_url).finish_non_exhaustive()
    }
}

impl<T: HttpTransport, R: Runtime> Client<T, R> {
    /// A handle to the stream at `url`: an absolute URL, or a path below the client's base URL. Nothing is sent.
    ///
    /// A URL that cannot work gives a handle whose every operation returns that error and sends
    /// nothing; [`try_stream`](Self::try_stream) returns it at once.
    pub fn stream(&self, url: impl AsRef<str>) -> DurableStream<T, R> {
        DurableStream::new(self.clone(), Target::resolve(self.inner.base_url.as_ref(), url.as_ref()))
    }

    /// A handle to the stream at `url`: an absolute URL, or a path below the client's base URL. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`StreamError::Config`](crate::StreamError::Config) with the URL and what is wrong with it.
    pub fn try_stream(&self, url: impl AsRef<str>) -> Result<DurableStream<T, R>, Error> {
        let target = Target::resolve(self.inner.base_url.as_ref(), url.as_ref());
        target.url()?;
        Ok(DurableStream::new(self.clone(), target))
    }

    /// The same client with its stack's type erased.
    ///
    /// It works as before and shares the transport; only the compiler no longer knows which it is.
    #[must_use]
    pub fn erase(&self) -> Client
    where
        T: Clone,
        R: Clone,
    {
        let inner = &*self.inner;
        Client {
            inner: Arc::new(Inner {
                transport: AnyTransport::new(inner.transport.clone()),
                runtime: AnyRuntime::new(inner.runtime.clone()),
                base_url: inner.base_url.clone(),
                headers: inner.headers.clone(),
                providers: inner.providers.clone(),
                retry: inner.retry.clone(),
                header_timeout: inner.header_timeout,
                alarms: Alarms::default(),
                idle_timeout: inner.idle_timeout,
            }),
        }
    }

    /// The runtime that the client's tasks and timers run on.
    #[must_use]
    pub fn runtime(&self) -> &R {
        &self.inner.runtime
    }

    /// The transport that the client's requests go through.
    #[must_use]
    pub fn transport(&self) -> &T {
        &self.inner.transport
    }

    pub(crate) fn retry(&self) -> &RetryConfig {
        &self.inner.retry
    }

    /// The longest silence within a response that is not taken for a dead connection.
    pub(crate) fn idle_timeout(&self) -> Duration {
        self.inner.idle_timeout
    }
}
