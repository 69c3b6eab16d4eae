//! A request as each version of HTTP takes it.

use crate::origin::{Origin, host_header};
use crate::proxy::Proxy;
use crate::upload::Upload;
use bytes::Bytes;
#[cfg(feature = "http2")]
use durable_streams_contract::SendOptions;
use http::header::{CONTENT_LENGTH, HOST, HeaderValue, PROXY_AUTHORIZATION};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Uri};

/// Its target is a path, or the whole URI where it goes to a proxy (RFC 9112, section 3.2).
pub(crate) fn http1(request: Request<Bytes>, origin: &Origin, proxy: Option<&Proxy>) -> Request<Upload> {
    let (mut head, body) = request.into_parts();
    if !head.headers.contains_key(HOST)
        && let Some(host) = host_header(&head.uri, origin.tls)
    {
        head.headers.insert(HOST, host);
    }
    add_content_length(&mut head.headers, &head.method, &body);
    match proxy.filter(|_| !origin.tls) {
        Some(proxy) => {
            if let Some(authorization) = &proxy.authorization {
                head.headers.insert(PROXY_AUTHORIZATION, authorization.clone());
            }
        }
        None => {
            let target = head.uri.path_and_query().cloned();
            head.uri = Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
        }
    }
    Request::from_parts(head, Upload::whole(body))
}

/// Its target is the whole URI, which holds the host too.
#[cfg(feature = "http2")]
pub(crate) fn http2(request: Request<Bytes>, options: &SendOptions) -> Request<Upload> {
    let (mut head, body) = request.into_parts();
    head.headers.remove(HOST);
    add_content_length(&mut head.headers, &head.method, &body);
    let upload = match options.upload() {
        Some(progress) => Upload::counted(body, progress.clone()),
        None => Upload::whole(body),
    };
    Request::from_parts(head, upload)
}

/// A write without a body has a length all the same. hyper adds the others.
fn add_content_length(headers: &mut HeaderMap, method: &Method, body: &Bytes) {
    if body.is_empty() && matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}
