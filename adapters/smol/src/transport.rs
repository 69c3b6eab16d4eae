use crate::clients::{Clients, Recipe};
use crate::exchange::{Arrived, exchange, may_be_cut, with_doubt};
use crate::whole_head;
use async_trait::async_trait;
use bytes::Bytes;
use durable_streams_contract::{
    Body, DefaultTransport, HttpTransport, SendOptions, TransportError, TransportErrorKind, TransportOptions,
};
use http::{HeaderMap, Method};
use isahc::HttpClientBuilder;
use std::sync::Arc;

/// isahc as [`HttpTransport`].
///
/// Cloning is cheap and shares the clients.
///
/// # Connections
///
/// Each request has a connection of its own, which is closed after it. libcurl takes a response that waits on an idle
/// connection for the answer to the next request, so a reused connection can attribute a response to the wrong request.
/// [`reuse_connections`](Self::reuse_connections) allows it nevertheless.
///
/// # Live reads
///
/// A request that is [`live`](SendOptions::live) is sent through an isahc client of its own, so that dropping
/// its response closes the connection, within milliseconds. Each such client is a thread, 8 file descriptors and
/// about 50 KB. There are at most [`max_live_clients`](Self::max_live_clients) of them; beyond that, live
/// reads share a client with all other requests. A client whose response has ended serves the next live read.
///
/// # Abandoned requests
///
/// libcurl notices only at the next byte that a request was dropped. A shared client with a dropped request takes no more
/// requests, and ends with the last of those that it has, which closes their connections.
///
/// # Responses that were cut
///
/// libcurl takes a response head that was cut for a whole one. So a response without `content-length` and without chunked
/// framing is an error here, except for 204, 304 and HEAD; and so is a body with fewer bytes than its `content-length`. An empty
/// chunked response to a read is requested again, on a connection that must serve one request more to show that the
/// response was whole. What cannot be told is listed on the [crate's page](crate).
///
/// # 1024 file descriptors
///
/// The libcurl that comes with the crate `curl-sys` (0.4.91) is built to wait with `select`, which cannot connect once
/// the process has more than 1024 file descriptors open: a
/// [`Connect`](TransportErrorKind::Connect) error that says so. Built with `CFLAGS=-DHAVE_POLL=1` in the environment it
/// waits with `poll`, has no such limit, and 1000 live clients work.
#[derive(Clone, Debug)]
pub struct IsahcTransport {
    clients: Clients,
}

/// Half of the 1024 file descriptors that libcurl may be limited to, at 8 each.
const MAX_LIVE: usize = 64;

impl IsahcTransport {
    /// A transport: HTTP/1.1, no redirects, no decompression, no timeout but that of connecting,
    /// `TCP_NODELAY`.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::Other`] where isahc cannot start its threads.
    pub fn new(options: &TransportOptions) -> Result<Self, TransportError> {
        Self::configured(options, |builder| builder)
    }

    /// The same, with a hand in how each of its clients is built: for a private certificate authority, a
    /// client certificate, a proxy, a resolver.
    ///
    /// The Durable Streams client needs the settings that the builder comes with: redirects off, decompression off,
    /// `Expect: 100-continue` off, and no timeout.
    ///
    /// ```
    /// use durable_streams_contract::TransportOptions;
    /// use durable_streams_smol::IsahcTransport;
    /// use isahc::config::Configurable;
    ///
    /// let proxy = http::Uri::from_static("http://proxy.internal:3128");
    /// let transport = IsahcTransport::configured(&TransportOptions::default(), move |builder| {
    ///     builder.proxy(proxy.clone())
    /// })?;
    /// # Ok::<(), durable_streams_contract::TransportError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::Other`] where isahc refuses the settings, or cannot start its threads.
    pub fn configured(
        options: &TransportOptions,
        configure: impl Fn(HttpClientBuilder) -> HttpClientBuilder + Send + Sync + 'static,
    ) -> Result<Self, TransportError> {
        let recipe = Recipe { options: options.clone(), configure: Arc::new(configure) };
        Ok(Self { clients: Clients::new(recipe, MAX_LIVE, false)? })
    }

    /// Sets how many live reads may have a client and a thread of their own at once. Default: 64.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new): this makes new clients.
    pub fn max_live_clients(self, max: usize) -> Result<Self, TransportError> {
        Ok(Self { clients: self.clients.with_max_live(max)? })
    }

    /// Lets a request other than a live read or a write without a body use the connection of an earlier one. Default: no.
    ///
    /// This is faster, and unsafe where a server or a proxy between may send a response that was not asked for: libcurl then
    /// takes it for the answer to the next request, and an append is acknowledged that was not stored.
    /// A write on a connection that the server has closed before is an error that does not say that it was not sent.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new): this makes new clients.
    pub fn reuse_connections(self) -> Result<Self, TransportError> {
        Ok(Self { clients: self.clients.with_reuse()? })
    }

    /// Whether this build speaks TLS: the feature `rustls` is enabled.
    #[must_use]
    pub const fn supports_tls() -> bool {
        cfg!(feature = "rustls")
    }

    /// How many live reads have a client of their own right now.
    #[must_use]
    pub fn live_clients(&self) -> usize {
        self.clients.live()
    }
}

impl DefaultTransport for IsahcTransport {
    fn from_options(options: &TransportOptions) -> Result<Self, TransportError> {
        Self::new(options)
    }
}

/// What libcurl and isahc would choke on, or send in plain text.
fn check(request: &http::Request<Bytes>) -> Result<(), TransportError> {
    match request.uri().scheme_str() {
        Some("http") => {}
        Some("https") if IsahcTransport::supports_tls() => {}
        Some("https") => {
            return Err(TransportError::new(TransportErrorKind::Unsupported).with_message(
                "https needs the feature `rustls` of durable-streams-client or durable-streams-smol",
            ));
        }
        scheme => {
            return Err(TransportError::new(TransportErrorKind::InvalidRequest)
                .with_message(format!("the scheme is {}, not http or https", scheme.unwrap_or("missing"))));
        }
    }
    // isahc panics on these.
    match request.headers().iter().find(|(_, value)| value.to_str().is_err()) {
        Some((name, _)) => Err(TransportError::new(TransportErrorKind::InvalidRequest)
            .with_message(format!("isahc sends ASCII headers only, and `{name}` is not ASCII"))),
        None => Ok(()),
    }
}

#[async_trait]
impl HttpTransport for IsahcTransport {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        options: SendOptions,
    ) -> Result<http::Response<Body>, TransportError> {
        check(&request)?;
        let writes = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
        let bare = request.body().is_empty() && (writes || *request.method() == Method::DELETE);
        let lease = if bare {
            self.clients.common()?
        } else if options.is_live() {
            self.clients.lease_live()?
        } else {
            self.clients.reusing(options.is_fresh_connection())?
        };
        // Where dropping cancels, nothing else is needed.
        let backstop = options.backstop().filter(|_| !lease.is_live());
        let asks = matches!(*request.method(), Method::GET | Method::HEAD);
        let again =
            asks.then(|| (request.method().clone(), request.uri().clone(), request.headers().clone()));
        match (exchange(lease, request, backstop).await?, again) {
            (Arrived::WithContent(response), _) => Ok(response),
            (Arrived::Empty { response, is_doubtful: true, .. }, Some((method, uri, headers))) => {
                if !options.is_live() {
                    return whole_head::repeat(self.clients.single_connection()?, &method, uri, headers)
                        .await;
                }
                // A live read goes on from where it is, and asks again.
                if stays(response.headers(), &uri) { Ok(with_doubt(response)) } else { Err(may_be_cut()) }
            }
            (Arrived::Empty { response, .. }, _) => Ok(with_doubt(response)),
        }
    }
}

/// Whether a read ends at the offset that it asks for, so that an empty response loses nothing.
fn stays(headers: &HeaderMap, uri: &http::Uri) -> bool {
    let mut parameters = uri.query().unwrap_or_default().split('&');
    let asked = parameters.find_map(|parameter| parameter.strip_prefix("offset="));
    let next = headers.get("stream-next-offset");
    matches!((next, asked), (Some(next), Some(asked)) if next.as_bytes() == asked.as_bytes())
}
