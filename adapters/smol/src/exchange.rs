//! One exchange through an isahc client, and what is known of its response.

use crate::body::{Chunks, next_piece, truncated};
use crate::classify::{Phase, classify};
use crate::clients::Lease;
use bytes::Bytes;
use durable_streams_contract::{Body, HeadMayBeCut, Sent, TransportError, TransportErrorKind};
use futures_lite::io::Cursor;
use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode};
use isahc::AsyncBody;
use isahc::config::Configurable;
use std::time::{Duration, Instant};

/// A response. libcurl takes a head that was cut for a whole one, and then gives an empty body.
pub(crate) enum Arrived {
    /// Its head was whole, since content follows it.
    WithContent(http::Response<Body>),
    /// Its exchange has ended.
    Empty {
        response: http::Response<Body>,
        lease: Lease,
        /// A cut could have hidden content, or a part of the offset: the body is chunked, or the offset is the last field.
        is_doubtful: bool,
    },
}

/// Sends the request through the client of `lease`.
pub(crate) async fn exchange(
    mut lease: Lease,
    request: http::Request<Bytes>,
    backstop: Option<Duration>,
) -> Result<Arrived, TransportError> {
    let is_head = *request.method() == Method::HEAD;
    let request = translate(request, backstop)?;
    let start = Instant::now();
    // `lease` is dropped after the exchange: the last to hold a client joins its thread.
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
    let (parts, mut body) = response.into_parts();
    let has_no_body = is_head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length = if has_no_body { Some(0) } else { body_length(&parts.headers)? };
    let empty = |parts: http::response::Parts, mut lease: Lease, is_chunked: bool| {
        lease.finish();
        let is_doubtful = parts.status.is_success() && (is_chunked || ends_with_offset(&parts.headers));
        Arrived::Empty { response: http::Response::from_parts(parts, Body::empty()), lease, is_doubtful }
    };
    if length == Some(0) {
        return Ok(empty(parts, lease, false));
    }
    // libcurl returns the head together with this piece, so that waiting for it delays nothing.
    let Some(first) = next_piece(&mut body).await? else {
        return match length {
            Some(missing) => {
                lease.finish();
                Err(truncated(missing))
            }
            None => Ok(empty(parts, lease, true)),
        };
    };
    let body = Body::from_stream(Chunks::new(body, lease, first, length));
    Ok(Arrived::WithContent(http::Response::from_parts(parts, body)))
}

/// Whether the offset is the last field that arrived, so that its value may have been cut.
///
/// `HeaderMap` promises no order. It yields the names as they were inserted as long as none is removed, and isahc removes none.
fn ends_with_offset(headers: &HeaderMap) -> bool {
    headers.keys().last().is_some_and(|name| name == "stream-next-offset")
}

/// The response, marked as one whose head may have been cut.
pub(crate) fn with_doubt(mut response: http::Response<Body>) -> http::Response<Body> {
    response.extensions_mut().insert(HeadMayBeCut);
    response
}

/// The error of a response that may have lost its content with the rest of its head.
pub(crate) fn may_be_cut() -> TransportError {
    TransportError::new(TransportErrorKind::Truncated).with_message(
        "the response is empty, and may have been cut before the end of its head; see `IsahcTransport`",
    )
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
