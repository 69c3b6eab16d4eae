use crate::connect::Connect;
use crate::dial::Dialer;
use crate::exchange::Exchanges;
use crate::pool::{Pool, PoolLimits};
use crate::proxy::Proxies;
#[cfg(feature = "rustls")]
use crate::tls::{Tls, TlsOptions};
use bytes::Bytes;
use durable_streams_contract::{
    AnyRuntime, Body, HttpTransport, Runtime, SendOptions, TransportError, TransportOptions, async_trait,
};
use http::{Request, Response};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
#[cfg(feature = "http2")]
use std::time::Duration;

/// hyper as [`HttpTransport`], over the connections of `C`, on the runtime `R`.
///
/// Cloning is cheap and shares the connections.
///
/// # Connections
///
/// With HTTP/1.1, an exchange has its connection for itself until its response was read to the end; dropping it before
/// closes the connection. There is no limit to their number, and no task. With HTTP/2, exchanges share a connection as
/// long as the server allows more streams; then a second one is opened. Live reads share connections of their own, so that they
/// take no streams and no window from other requests. [`PoolLimits`] says how long connections are kept.
///
/// A request with [`with_fresh_connection`](SendOptions::with_fresh_connection) gets a new connection, and no connection
/// that was open before takes another request to this origin.
///
/// # Requests are sent once
///
/// A request is sent again only if its connection ended before a byte of it was written, or if an HTTP/2 server said that
/// it did not process it. [`TransportError::sent`] is exact as far as a client can know.
pub struct HyperTransport<C, R> {
    exchanges: Arc<Exchanges>,
    stack: PhantomData<fn() -> (C, R)>,
}

impl<C: Connect, R: Runtime> HyperTransport<C, R> {
    /// A transport: no redirects, no decompression, no timeout but that of connecting.
    ///
    /// # Errors
    ///
    /// [`Tls`](durable_streams_contract::TransportErrorKind::Tls) where the system's trusted authorities cannot be loaded.
    pub fn new(connect: C, runtime: R, options: &TransportOptions) -> Result<Self, TransportError> {
        Self::builder(connect, runtime).options(options).build()
    }

    /// A transport with more options.
    ///
    /// ```
    /// # #[cfg(feature = "async-io")] {
    /// # use durable_streams_contract::{Executor, Sleep, Task, Timer};
    /// # #[derive(Clone)]
    /// # struct MyRuntime;
    /// # impl Executor for MyRuntime {
    /// #     fn spawn(&self, _: Task) {}
    /// # }
    /// # impl Timer for MyRuntime {
    /// #     fn sleep(&self, _: std::time::Duration) -> Sleep {
    /// #         Sleep::new(std::future::pending())
    /// #     }
    /// # }
    /// use durable_streams_hyper::{AsyncIoConnect, HyperTransport, PoolLimits};
    /// use std::time::Duration;
    ///
    /// let transport = HyperTransport::builder(AsyncIoConnect::new(), MyRuntime)
    ///     .pool_limits(PoolLimits::default().with_idle_time(Duration::from_secs(20)))
    ///     .build()?;
    /// # }
    /// # Ok::<(), durable_streams_contract::TransportError>(())
    /// ```
    pub fn builder(connect: C, runtime: R) -> HyperTransportBuilder<C, R> {
        HyperTransportBuilder {
            connect,
            runtime,
            options: TransportOptions::default(),
            pool_limits: PoolLimits::default(),
            #[cfg(feature = "rustls")]
            tls: TlsOptions::default(),
            #[cfg(feature = "http2")]
            http2_prior_knowledge: false,
            #[cfg(feature = "http2")]
            keep_alive: crate::http2::KeepAlive::default(),
        }
    }
}

impl<C, R> HyperTransport<C, R> {
    /// Whether this build speaks TLS: the feature `rustls` is enabled.
    #[must_use]
    pub const fn supports_tls() -> bool {
        cfg!(feature = "rustls")
    }
}

impl<C, R> Clone for HyperTransport<C, R> {
    fn clone(&self) -> Self {
        Self { exchanges: Arc::clone(&self.exchanges), stack: PhantomData }
    }
}

impl<C, R> fmt::Debug for HyperTransport<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HyperTransport")
    }
}

/// Sets up a [`HyperTransport`]; from [`HyperTransport::builder`].
#[must_use = "a builder does nothing until it is built"]
pub struct HyperTransportBuilder<C, R> {
    connect: C,
    runtime: R,
    options: TransportOptions,
    pool_limits: PoolLimits,
    #[cfg(feature = "rustls")]
    tls: TlsOptions,
    #[cfg(feature = "http2")]
    http2_prior_knowledge: bool,
    #[cfg(feature = "http2")]
    keep_alive: crate::http2::KeepAlive,
}

impl<C: Connect, R: Runtime> HyperTransportBuilder<C, R> {
    /// The connect timeout, and whether to use the environment's proxies. Default: [`TransportOptions::default`].
    pub fn options(mut self, options: &TransportOptions) -> Self {
        self.options = options.clone();
        self
    }

    /// How many connections are kept, and how long. Default: [`PoolLimits::default`].
    pub fn pool_limits(mut self, limits: PoolLimits) -> Self {
        self.pool_limits = limits;
        self
    }

    /// Whom to trust, and a client certificate. Default: the operating system's authorities, no certificate.
    #[cfg(feature = "rustls")]
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// Whether servers without TLS are known to speak HTTP/2 (RFC 9113, section 3.3). With TLS both sides agree on the
    /// version; a proxy is spoken to in HTTP/1.1. Default: false.
    #[cfg(feature = "http2")]
    pub fn http2_prior_knowledge(mut self, http2: bool) -> Self {
        self.http2_prior_knowledge = http2;
        self
    }

    /// When a ping asks whether a connection of HTTP/2 lives: after `interval` without a frame while a response is open.
    /// Without an answer within `timeout` the connection counts as lost. Default: 20 s and 10 s.
    #[cfg(feature = "http2")]
    pub fn http2_keep_alive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.keep_alive = crate::http2::KeepAlive { interval, timeout };
        self
    }

    /// Builds the transport.
    ///
    /// # Errors
    ///
    /// [`Tls`](durable_streams_contract::TransportErrorKind::Tls) where the trusted authorities cannot be loaded or the client certificate cannot
    /// be used.
    pub fn build(self) -> Result<HyperTransport<C, R>, TransportError> {
        let dialer = Dialer {
            connect: Arc::new(self.connect),
            runtime: AnyRuntime::new(self.runtime),
            connect_timeout: self.options.connect_timeout,
            proxies: self.options.environment_proxy.then(Proxies::of_environment),
            #[cfg(feature = "rustls")]
            tls: Tls::new(self.tls)?,
            #[cfg(feature = "http2")]
            http2_prior_knowledge: self.http2_prior_knowledge,
            #[cfg(feature = "http2")]
            keep_alive: self.keep_alive,
        };
        let exchanges = Exchanges::new(dialer, Pool::new(self.pool_limits));
        Ok(HyperTransport { exchanges: Arc::new(exchanges), stack: PhantomData })
    }
}

impl<C, R> fmt::Debug for HyperTransportBuilder<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HyperTransportBuilder")
            .field("options", &self.options)
            .field("pool_limits", &self.pool_limits)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<C: Connect, R: Runtime> HttpTransport for HyperTransport<C, R> {
    async fn send(
        &self,
        request: Request<Bytes>,
        options: SendOptions,
    ) -> Result<Response<Body>, TransportError> {
        self.exchanges.send(request, &options).await
    }
}
