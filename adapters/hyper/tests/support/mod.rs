//! What the tests share: a client, and servers that do what a test says.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part")]

pub(crate) mod h2_server;
pub(crate) mod tls_server;

use bytes::Bytes;
use durable_streams_contract::{
    Body, HttpTransport, SendOptions, TransportError, TransportErrorKind, TransportOptions,
};
use durable_streams_hyper::{AsyncIoConnect, HyperTransport, HyperTransportBuilder};
use durable_streams_smol::SmolRuntime;
use std::time::{Duration, Instant};

pub(crate) type Transport = HyperTransport<AsyncIoConnect, SmolRuntime>;
pub(crate) type Builder = HyperTransportBuilder<AsyncIoConnect, SmolRuntime>;

pub(crate) fn builder() -> Builder {
    HyperTransport::builder(AsyncIoConnect::new(), SmolRuntime::new())
}

pub(crate) fn options(connect_timeout: Duration) -> TransportOptions {
    let mut options = TransportOptions::default();
    options.connect_timeout = connect_timeout;
    options
}

pub(crate) fn get(url: &str) -> http::Request<Bytes> {
    http::Request::get(url).body(Bytes::new()).unwrap()
}

pub(crate) fn post(url: &str, body: impl Into<Bytes>) -> http::Request<Bytes> {
    http::Request::post(url).body(body.into()).unwrap()
}

pub(crate) fn fresh() -> SendOptions {
    SendOptions::new().with_fresh_connection(true)
}

/// The whole body.
pub(crate) async fn read(mut body: Body) -> Result<Vec<u8>, TransportError> {
    let mut whole = Vec::new();
    while let Some(chunk) = body.next_chunk().await {
        whole.extend_from_slice(&chunk?);
    }
    Ok(whole)
}

/// The body of a response, as text.
pub(crate) async fn fetch(
    transport: &impl HttpTransport,
    request: http::Request<Bytes>,
) -> Result<String, TransportError> {
    fetch_as(transport, request, SendOptions::new()).await
}

pub(crate) async fn fetch_as(
    transport: &impl HttpTransport,
    request: http::Request<Bytes>,
    options: SendOptions,
) -> Result<String, TransportError> {
    let response = transport.send(request, options).await?;
    let body = read(response.into_body()).await?;
    String::from_utf8(body)
        .map_err(|_| TransportError::new(TransportErrorKind::Malformed).with_message("not text"))
}

/// Waits until `condition` holds.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
