//! Failed TLS handshakes.
#![cfg(feature = "native-tls")]
#![allow(clippy::unwrap_used)]

use async_std::task::block_on;
use bytes::Bytes;
use durable_streams_async_std::SurfTransport;
use durable_streams_contract::{
    HttpTransport, SendOptions, Sent, TransportError, TransportErrorKind, TransportOptions,
};
use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

fn send(listener: &TcpListener, connect_timeout: Duration) -> TransportError {
    let mut options = TransportOptions::default();
    options.connect_timeout = connect_timeout;
    let url = format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    let request = http::Request::get(url).body(Bytes::new()).unwrap();
    block_on(SurfTransport::new(&options).send(request, SendOptions::new())).unwrap_err()
}

#[test]
fn connect_timeout_covers_an_endless_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let start = Instant::now();
    let error = send(&listener, Duration::from_millis(200));
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Timeout, Sent::No), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn connection_lost_in_the_handshake_is_retryable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.try_clone().unwrap();
    std::thread::spawn(move || drop(server.accept()));
    let error = send(&listener, Duration::from_secs(10));
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Connect, Sent::No), "{error:?}");
}

#[test]
fn peer_without_tls_is_not_retryable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.try_clone().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        stream.write_all(b"220 mail.example.com ESMTP\r\n").unwrap();
        std::thread::sleep(Duration::from_secs(1));
    });
    let error = send(&listener, Duration::from_secs(10));
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Tls, Sent::No), "{error:?}");
}
