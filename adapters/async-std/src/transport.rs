use crate::AsyncStdRuntime;
use crate::backend::{Backend, Exchange};
use async_trait::async_trait;
use bytes::Bytes;
use durable_streams_contract::{
    Body, DefaultTransport, HttpTransport, SendOptions, TransportError, TransportErrorKind, TransportOptions,
};
use durable_streams_hyper::{AsyncIoConnect, HyperTransport};
use std::sync::Arc;
use surf::Url;
use surf::http::{Method, Request};

/// surf as [`HttpTransport`], over hyper.
///
/// Cloning is cheap and shares the connections, for which the rules of [`HyperTransport`] hold.
#[derive(Clone, Debug)]
pub struct SurfTransport {
    client: surf::Client,
}

impl SurfTransport {
    /// A transport: no redirects, no decompression, no timeout but that of connecting.
    ///
    /// # Errors
    ///
    /// [`Tls`](TransportErrorKind::Tls) where the system's trusted authorities cannot be loaded.
    pub fn new(options: &TransportOptions) -> Result<Self, TransportError> {
        HyperTransport::new(AsyncIoConnect::new(), AsyncStdRuntime::new(), options).map(Self::from_hyper)
    }

    /// A transport over a given one: for a private certificate authority, a client certificate, other limits of the pool.
    ///
    /// ```
    /// use durable_streams_async_std::{AsyncStdRuntime, SurfTransport};
    /// use durable_streams_hyper::{AsyncIoConnect, HyperTransport, PoolLimits};
    ///
    /// let hyper = HyperTransport::builder(AsyncIoConnect::new(), AsyncStdRuntime::new())
    ///     .pool_limits(PoolLimits::default().with_max_idle(4))
    ///     .build()?;
    /// let transport = SurfTransport::from_hyper(hyper);
    /// # Ok::<(), durable_streams_contract::TransportError>(())
    /// ```
    #[must_use]
    pub fn from_hyper(transport: HyperTransport<AsyncIoConnect, AsyncStdRuntime>) -> Self {
        Self { client: surf::Client::with_http_client(Backend(transport)) }
    }

    /// Whether this build speaks TLS: the feature `rustls` is enabled.
    #[must_use]
    pub const fn supports_tls() -> bool {
        cfg!(feature = "rustls")
    }
}

impl DefaultTransport for SurfTransport {
    fn from_options(options: &TransportOptions) -> Result<Self, TransportError> {
        Self::new(options)
    }
}

/// The same request as surf takes it. Its headers and its body stay in the extension.
fn surf_request(
    request: http::Request<Bytes>,
    options: SendOptions,
) -> Result<(Request, Arc<Exchange>), TransportError> {
    let invalid =
        |message: String| TransportError::new(TransportErrorKind::InvalidRequest).with_message(message);
    let method: Method = request
        .method()
        .as_str()
        .parse()
        .map_err(|_| invalid(format!("surf has no method {}", request.method())))?;
    let url = Url::parse(&request.uri().to_string()).map_err(|error| invalid(error.to_string()))?;
    let exchange = Arc::new(Exchange::new(request, options));
    let mut request = Request::new(method, url);
    request.ext_mut().insert(Arc::clone(&exchange));
    Ok((request, exchange))
}

#[async_trait]
impl HttpTransport for SurfTransport {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        options: SendOptions,
    ) -> Result<http::Response<Body>, TransportError> {
        let (request, exchange) = surf_request(request, options)?;
        self.client.send(request).await.map_err(|error| {
            error.downcast::<TransportError>().unwrap_or_else(|error| {
                TransportError::new(TransportErrorKind::Other).with_message(error.to_string())
            })
        })?;
        exchange.take_response().ok_or_else(|| {
            TransportError::new(TransportErrorKind::Other).with_message("surf gave no response")
        })
    }
}
