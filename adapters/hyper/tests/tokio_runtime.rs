//! tokio runtimes that are missing, gone, or without drivers.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use durable_streams_contract::{
    DefaultTransport, HttpTransport, SendOptions, Sent, TransportErrorKind, TransportOptions,
};
use durable_streams_hyper::{HyperTransport, TokioConnect};
use durable_streams_tokio::TokioRuntime;
use futures_lite::future::{block_on, poll_once, zip};
use std::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

type Transport = HyperTransport<TokioConnect, TokioRuntime>;

fn get(url: &str) -> http::Request<Bytes> {
    http::Request::get(url).body(Bytes::new()).unwrap()
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    (listener, url)
}

fn transport(tokio: &Runtime) -> Transport {
    let handle = tokio.handle();
    let runtime = TokioRuntime::new(handle.clone());
    HyperTransport::new(TokioConnect::new(handle.clone()), runtime, &TransportOptions::default()).unwrap()
}

#[test]
fn built_outside_of_a_runtime_it_is_an_error_that_says_what_to_do() {
    let error = Transport::from_options(&TransportOptions::default()).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Runtime, Sent::No));
    assert!(error.to_string().contains("#[tokio::main]"), "{error}");
}

#[test]
fn dropped_runtime_is_an_error() {
    let (_listener, url) = listener();
    let tokio = Runtime::new().unwrap();
    let transport = transport(&tokio);
    drop(tokio);
    let error = block_on(transport.send(get(&url), SendOptions::new())).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Runtime, Sent::No), "{error}");
    assert!(!error.is_retryable());
}

#[test]
fn runtime_dropped_during_a_request_is_an_error() {
    let (listener, url) = listener();
    let tokio = Runtime::new().unwrap();
    let transport = transport(&tokio);
    let error = block_on(async {
        let mut send = transport.send(get(&url), SendOptions::new());
        // Until the request is in flight.
        let (_connection, _) = loop {
            assert!(poll_once(&mut send).await.is_none());
            listener.set_nonblocking(true).unwrap();
            if let Ok(accepted) = listener.accept() {
                break accepted;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        };
        for _ in 0..10 {
            assert!(poll_once(&mut send).await.is_none());
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        zip(send, async { drop(tokio) }).await.0.unwrap_err()
    });
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Runtime, Sent::Maybe), "{error}");
}

#[test]
fn runtime_without_drivers_is_an_error() {
    let (_listener, url) = listener();
    let tokio = Builder::new_current_thread().build().unwrap();
    let transport = transport(&tokio);
    let error = tokio.block_on(transport.send(get(&url), SendOptions::new())).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Runtime, "{error}");
    assert!(error.to_string().contains("enable_all"), "{error}");
}
