use crate::connections::{Connections, classify};
use crate::wire::Exchange;
use async_trait::async_trait;
use bytes::Bytes;
use durable_streams_contract::{
    Body, DefaultTransport, HttpTransport, SendOptions, TransportError, TransportErrorKind, TransportOptions,
};
use futures_lite::io::Cursor;
use futures_lite::{AsyncRead, Stream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use surf::Url;
use surf::http::{Method, Request, Response};

/// surf as [`HttpTransport`].
///
/// Cloning is cheap and shares the connections. An exchange has its connection for itself until its response was read
/// to the end; dropping it before closes the connection. There is no limit to their number, and up to 64
/// idle ones are kept for an origin, for 60 s.
#[derive(Clone, Debug)]
pub struct SurfTransport {
    client: surf::Client,
}

impl SurfTransport {
    /// A transport: HTTP/1.1, no redirects, no decompression, no timeout but that of connecting,
    /// `TCP_NODELAY`, no proxy.
    #[must_use]
    pub fn new(options: &TransportOptions) -> Self {
        Self { client: surf::Client::with_http_client(Connections::new(options.connect_timeout)) }
    }

    /// Whether this build speaks TLS: the feature `native-tls` is enabled.
    #[must_use]
    pub const fn supports_tls() -> bool {
        cfg!(feature = "native-tls")
    }
}

impl DefaultTransport for SurfTransport {
    fn from_options(options: &TransportOptions) -> Result<Self, TransportError> {
        Ok(Self::new(options))
    }
}

/// The same request as surf takes it.
fn translate(
    request: http::Request<Bytes>,
    exchange: &Arc<Exchange>,
) -> Result<surf::Request, TransportError> {
    let invalid =
        |message: String| TransportError::new(TransportErrorKind::InvalidRequest).with_message(message);
    let (parts, body) = request.into_parts();
    let method: Method =
        parts.method.as_str().parse().map_err(|_| invalid(format!("surf has no method {}", parts.method)))?;
    let url = Url::parse(&parts.uri.to_string()).map_err(|error| invalid(error.to_string()))?;
    let mut request = Request::new(method, url);
    request.ext_mut().insert(Arc::clone(exchange));
    if !body.is_empty() {
        let length = body.len();
        request.set_body(surf::Body::from_reader(Cursor::new(body), Some(length)));
        // Made up by `set_body`.
        request.remove_header("content-type");
    }
    for (name, value) in &parts.headers {
        // surf panics on others.
        let value = value
            .to_str()
            .map_err(|_| invalid(format!("surf sends ASCII headers only, and `{name}` is not ASCII")))?;
        request.append_header(name.as_str(), value);
    }
    Ok(request.into())
}

#[async_trait]
impl HttpTransport for SurfTransport {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _options: SendOptions,
    ) -> Result<http::Response<Body>, TransportError> {
        let exchange = Arc::new(Exchange::new(request.method() == http::Method::HEAD));
        let request = translate(request, &exchange)?;
        let mut response: Response = match self.client.send(request).await {
            Ok(response) => response.into(),
            Err(error) => {
                return Err(error.downcast::<TransportError>().unwrap_or_else(|error| {
                    TransportError::new(TransportErrorKind::Other).with_message(error.to_string())
                }));
            }
        };
        let head = exchange.take_head().ok_or_else(|| TransportError::new(TransportErrorKind::Malformed))?;
        let body = if head.framing == crate::head::Framing::Length(0) {
            exchange.finish();
            Body::empty()
        } else {
            Body::from_stream(Chunks { body: Some(response.take_body()), exchange })
        };
        let mut answer = http::Response::new(body);
        *answer.status_mut() = head.status;
        *answer.headers_mut() = head.headers;
        Ok(answer)
    }
}

/// How much is read at once.
const PIECE: usize = 32 * 1024;

struct Chunks {
    body: Option<surf::Body>,
    exchange: Arc<Exchange>,
}

impl Stream for Chunks {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        // On the stack, so that a quiet tail holds no buffer.
        let mut piece = [0; PIECE];
        match ready!(Pin::new(body).poll_read(cx, &mut piece)) {
            Ok(0) => {
                self.exchange.finish();
                self.body = None;
                Poll::Ready(None)
            }
            Ok(count) => Poll::Ready(Some(Ok(Bytes::copy_from_slice(&piece[..count])))),
            Err(error) => {
                self.body = None;
                Poll::Ready(Some(Err(classify(error, TransportErrorKind::Truncated))))
            }
        }
    }
}
