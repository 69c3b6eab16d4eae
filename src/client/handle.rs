//! The client's handle.

use crate::exchange::http_client::HttpClient;
use crate::exchange::target::Base;
use durable_streams_contract::{AnyRuntime, AnyTransport, HttpTransport, Runtime};
use std::fmt;
use std::sync::Arc;
use url::Url;

/// A transport, a runtime, and the options that all streams of the client share: base URL, headers, retries, timeouts.
///
/// Cheap to clone; clones share the transport's connections. `Client` without parameters is independent of the
/// stack, which suits the fields of an application's types; [`to_any`](Self::to_any) converts any other client to it.
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
    pub(super) http: HttpClient<T, R>,
    pub(super) base: Arc<Base>,
}

impl<T, R> Clone for Client<T, R> {
    fn clone(&self) -> Self {
        Self { http: self.http.clone(), base: self.base.clone() }
    }
}

impl<T, R> fmt::Debug for Client<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base_url = self.base.url.as_ref().map(Url::as_str);
        f.debug_struct("Client").field("base_url", &base_url).finish_non_exhaustive()
    }
}

impl<T, R> Client<T, R> {
    /// Where the client's streams are.
    pub(crate) fn base(&self) -> &Base {
        &self.base
    }

    pub(crate) fn http(&self) -> &HttpClient<T, R> {
        &self.http
    }
}

impl<T: HttpTransport, R: Runtime> Client<T, R> {
    /// The same client with the default type parameters, [`AnyTransport`] and [`AnyRuntime`].
    ///
    /// It shares the transport's connections. It allocates once for each request: the transport is called through a
    /// trait object.
    ///
    #[cfg_attr(feature = "tokio", doc = "```no_run")]
    #[cfg_attr(not(feature = "tokio"), doc = "```ignore")]
    /// struct App {
    ///     client: durable_streams::Client,
    /// }
    ///
    /// # fn main() -> Result<(), durable_streams::Error> {
    /// let client = durable_streams::tokio::Client::builder().build()?;
    /// let app = App { client: client.to_any() };
    /// # let _ = app.client; Ok(()) }
    /// ```
    #[must_use]
    pub fn to_any(&self) -> Client
    where
        T: Clone,
        R: Clone,
    {
        Client { http: self.http.to_any(), base: self.base.clone() }
    }

    /// The runtime that the client's tasks and timers run on.
    #[must_use]
    pub fn runtime(&self) -> &R {
        self.http.runtime()
    }

    /// The transport that sends the client's requests.
    #[must_use]
    pub fn transport(&self) -> &T {
        self.http.transport()
    }
}
