//! What the contract's suite cannot ask: runtimes that are missing or gone, TLS that never answers.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use durable_streams_contract::{
    DefaultTransport, HttpTransport, SendOptions, Sent, TransportErrorKind, TransportOptions,
};
use durable_streams_tokio::ReqwestTransport;
use futures_lite::future::{block_on, poll_once, zip};
use std::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

fn get(url: &str) -> http::Request<Bytes> {
    http::Request::get(url).body(Bytes::new()).unwrap()
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn built_outside_of_a_runtime_it_is_an_error_that_says_what_to_do() {
    let error = ReqwestTransport::from_options(&TransportOptions::default()).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Runtime, Sent::No));
    assert!(error.to_string().contains("#[tokio::main]"), "{error}");
}

#[test]
fn dropped_runtime_is_an_error() {
    let (_listener, url) = listener();
    let tokio = Runtime::new().unwrap();
    let transport = ReqwestTransport::new(tokio.handle().clone(), &TransportOptions::default()).unwrap();
    drop(tokio);
    let error = block_on(transport.send(get(&url), SendOptions::new())).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Runtime, Sent::No), "{error}");
    assert!(!error.is_retryable());
}

#[test]
fn runtime_dropped_during_a_request_is_an_error() {
    let (listener, url) = listener();
    let tokio = Runtime::new().unwrap();
    let transport = ReqwestTransport::new(tokio.handle().clone(), &TransportOptions::default()).unwrap();
    let error = block_on(async {
        let mut send = transport.send(get(&url), SendOptions::new());
        assert!(poll_once(&mut send).await.is_none());
        let end = async {
            // The request is in flight: its connection exists.
            let _connection = listener.accept().unwrap();
            drop(tokio);
        };
        zip(send, end).await.0.unwrap_err()
    });
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Runtime, Sent::Maybe), "{error}");
}

#[test]
fn runtime_without_drivers_is_an_error() {
    let (_listener, url) = listener();
    let tokio = Builder::new_current_thread().build().unwrap();
    let transport = ReqwestTransport::new(tokio.handle().clone(), &TransportOptions::default()).unwrap();
    let error = tokio.block_on(transport.send(get(&url), SendOptions::new())).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Runtime, "{error}");
    assert!(error.to_string().contains("enable_all"), "{error}");
}

#[cfg(not(any(feature = "rustls", feature = "native-tls")))]
#[test]
fn https_on_a_given_client_without_tls_is_unsupported() {
    let tokio = Runtime::new().unwrap();
    let transport = ReqwestTransport::from_client(reqwest::Client::new(), tokio.handle().clone());
    let error = block_on(transport.send(get("https://127.0.0.1:1/"), SendOptions::new())).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Unsupported, Sent::No), "{error:?}");
}

#[test]
fn error_does_not_show_the_query() {
    let (listener, url) = listener();
    drop(listener);
    let tokio = Runtime::new().unwrap();
    let transport = ReqwestTransport::new(tokio.handle().clone(), &TransportOptions::default()).unwrap();
    let error =
        block_on(transport.send(get(&format!("{url}?token=secret")), SendOptions::new())).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("secret"), "{error:?}");
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
mod tls {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn connect_timeout_covers_an_endless_handshake() {
        let (_listener, url) = listener();
        let tokio = Runtime::new().unwrap();
        let mut options = TransportOptions::default();
        options.connect_timeout = Duration::from_millis(200);
        let transport = ReqwestTransport::new(tokio.handle().clone(), &options).unwrap();
        let start = Instant::now();
        let error =
            block_on(transport.send(get(&url.replace("http:", "https:")), SendOptions::new())).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Timeout, Sent::No), "{error}");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }

    #[test]
    fn connection_lost_in_the_handshake_is_retryable() {
        let (listener, url) = listener();
        std::thread::spawn(move || drop(listener.accept()));
        let tokio = Runtime::new().unwrap();
        let transport = ReqwestTransport::new(tokio.handle().clone(), &TransportOptions::default()).unwrap();
        let error =
            block_on(transport.send(get(&url.replace("http:", "https:")), SendOptions::new())).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Connect, Sent::No), "{error:?}");
        assert!(error.is_retryable());
    }
}

/// A server that answers every request with the number of the connection that it came on.
fn counting_server() -> String {
    use std::io::{BufRead, BufReader, Write};
    let (listener, url) = listener();
    std::thread::spawn(move || {
        for connection in 0.. {
            let Ok((stream, _)) = listener.accept() else { return };
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
                    if line == "\r\n" {
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\nconnection-number: {connection}\r\ncontent-length: 0\r\n\r\n"
                        );
                        reader.get_mut().write_all(answer.as_bytes()).unwrap();
                    }
                    line.clear();
                }
            });
        }
    });
    url
}

/// A pool gets a connection back a moment after its response, so a request may find none to reuse.
const ATTEMPTS: usize = 200;

#[test]
fn transport_from_a_builder_opens_a_fresh_connection_and_one_from_a_client_cannot() {
    let tokio = Runtime::new().unwrap();
    let handle = || tokio.handle().clone();
    let connection = |transport: &ReqwestTransport, url: &str, options: SendOptions| -> u32 {
        let mut response = tokio.block_on(transport.send(get(url), options)).unwrap();
        assert!(tokio.block_on(response.body_mut().next_chunk()).is_none());
        response.headers()["connection-number"].to_str().unwrap().parse().unwrap()
    };
    // Whether a request uses a connection that an earlier one has used.
    let reuses = |transport: &ReqwestTransport, options: &SendOptions| {
        let url = counting_server();
        let last = connection(transport, &url, SendOptions::new());
        connection(transport, &url, options.clone()) <= last
    };
    let fresh = SendOptions::new().with_fresh_connection(true);
    let built = ReqwestTransport::from_builder(|| reqwest::Client::builder().no_proxy(), handle()).unwrap();
    assert!((0..ATTEMPTS).any(|_| reuses(&built, &SendOptions::new())));
    assert!((0..ATTEMPTS / 10).all(|_| !reuses(&built, &fresh)));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let client = ReqwestTransport::from_client(client, handle());
    assert!((0..ATTEMPTS).any(|_| reuses(&client, &fresh)));
}
