use crate::body::{Chunks, End};
use crate::classify::{Phase, classify};
use crate::clients::{Clients, Recipe};
use async_trait::async_trait;
use bytes::Bytes;
use durable_streams_contract::{
    Body, DefaultTransport, HttpTransport, SendOptions, Sent, TransportError, TransportErrorKind,
    TransportOptions,
};
use futures_lite::io::Cursor;
use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode};
use isahc::config::Configurable;
use isahc::{AsyncBody, HttpClientBuilder};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
/// framing is an error here, except for 204, 304 and HEAD; and so is a body with fewer bytes than its `content-length`. What
/// cannot be told is listed on the [crate's page](crate).
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

/// The same request as isahc takes it.
fn translate(
    request: http::Request<Bytes>,
    backstop: Option<Duration>,
) -> Result<http::Request<AsyncBody>, TransportError> {
    let (mut parts, body) = request.into_parts();
    let body = if body.is_empty() {
        if matches!(parts.method, Method::POST | Method::PUT | Method::PATCH) {
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        AsyncBody::empty()
    } else {
        let length = body.len() as u64;
        // A reader and not a buffer: libcurl cannot rewind it, so it cannot send it twice unseen.
        AsyncBody::from_reader_sized(Cursor::new(body), length)
    };
    let mut builder = http::Request::builder().method(parts.method).uri(parts.uri);
    if let Some(headers) = builder.headers_mut() {
        *headers = parts.headers;
    }
    if let Some(backstop) = backstop {
        builder = builder.timeout(backstop);
    }
    builder
        .body(body)
        .map_err(|error| TransportError::new(TransportErrorKind::InvalidRequest).with_source(error))
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
        // Dropped after the exchange below: the last to hold a client joins its thread.
        let mut lease = if bare {
            self.clients.common()?
        } else if options.is_live() {
            self.clients.lease_live()?
        } else {
            self.clients.reusing(options.is_fresh_connection())?
        };
        // Where dropping cancels, nothing else is needed.
        let backstop = options.backstop().filter(|_| !lease.is_live());
        let head = *request.method() == Method::HEAD;
        let asked = concrete_offset(request.uri());
        let request = translate(request, backstop)?;
        let start = Instant::now();
        let Some(sending) = lease.client().map(|client| client.send_async(request)) else {
            return Err(TransportError::new(TransportErrorKind::Other).with_sent(Sent::No));
        };
        let response = match sending.await {
            Ok(response) => response,
            Err(error) => {
                lease.finish();
                let late = backstop.is_some_and(|backstop| start.elapsed() >= backstop);
                return Err(classify(error, Phase::Head { late }));
            }
        };
        let (parts, body) = response.into_parts();
        let empty = head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let body = if empty {
            lease.finish();
            Body::empty()
        } else {
            let end = match body_length(&parts.headers)? {
                Some(missing) => End::Length { missing },
                None => End::Chunks { must_have_content: moves_on(&parts.headers, asked.as_deref()) },
            };
            Body::from_stream(Chunks::new(body, lease, end))
        };
        Ok(http::Response::from_parts(parts, body))
    }
}

/// The offset that a read asks for, if it is one of the server's.
fn concrete_offset(uri: &http::Uri) -> Option<String> {
    let parameters = uri.query()?.split('&');
    let offset = parameters.filter_map(|parameter| parameter.strip_prefix("offset=")).next()?;
    (!matches!(offset, "-1" | "now")).then(|| offset.to_owned())
}

/// Whether the response leads behind the offset that was asked for, so that there must be content between.
///
/// A chunked response whose head was cut behind that header looks like an empty one, and would lose that content.
fn moves_on(headers: &HeaderMap, asked: Option<&str>) -> bool {
    match (headers.get("stream-next-offset"), asked) {
        (Some(next), Some(asked)) => next.as_bytes() != asked.as_bytes(),
        _ => false,
    }
}

/// How long the body is; `None` for a chunked one, which says itself where it ends.
///
/// A response without either ends with its connection, and so does one whose head was cut: they look the same here.
fn body_length(headers: &HeaderMap) -> Result<Option<u64>, TransportError> {
    let malformed =
        |message: &str| TransportError::new(TransportErrorKind::Malformed).with_message(message.to_owned());
    let is_chunked = headers
        .get_all(TRANSFER_ENCODING)
        .iter()
        .any(|value| value.as_bytes().to_ascii_lowercase().ends_with(b"chunked"));
    if is_chunked {
        return Ok(None);
    }
    let length = headers.get(CONTENT_LENGTH).ok_or_else(|| {
        malformed("the response has neither a length nor chunks, so that it may have been cut; see `IsahcTransport`")
    })?;
    let length = length.to_str().ok().and_then(|length| length.trim().parse().ok());
    length.map(Some).ok_or_else(|| malformed("the response's content-length is not a number"))
}
