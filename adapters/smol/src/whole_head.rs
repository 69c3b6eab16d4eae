//! Whether the head of an empty response was whole: its connection shows it, if it serves another request.

use crate::clients::Lease;
use crate::exchange::{Arrived, exchange, may_be_cut, with_doubt};
use bytes::Bytes;
use durable_streams_contract::{Body, TransportError};
use http::{HeaderMap, Method, Request, Response, Uri};
use isahc::ResponseExt;
use std::net::SocketAddr;

/// Sends a GET or a HEAD again, through a client of its own that keeps one connection.
///
/// The head of a response that has content was whole. An empty one is followed by a HEAD: libcurl uses the same connection for
/// it only if the end of the response before has arrived.
///
/// # Errors
///
/// The response is empty again, and its connection has ended with it.
pub(crate) async fn repeat(
    lease: Lease,
    method: &Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response<Body>, TransportError> {
    let request = |method: &Method| {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers.clone();
        request
    };
    let (response, lease) = match exchange(lease, request(method), None).await? {
        Arrived::WithContent(response) => return Ok(response),
        Arrived::Empty { response, is_doubtful: false, .. } => return Ok(with_doubt(response)),
        Arrived::Empty { response, lease, .. } => (response, lease),
    };
    let first = local_address(&response);
    let second = match exchange(lease, request(&Method::HEAD), None).await? {
        Arrived::WithContent(response) | Arrived::Empty { response, .. } => local_address(&response),
    };
    if first.is_some() && first == second { Ok(response) } else { Err(may_be_cut()) }
}

/// The client's end of the connection that the response came on.
fn local_address(response: &Response<Body>) -> Option<SocketAddr> {
    response.local_addr()
}
