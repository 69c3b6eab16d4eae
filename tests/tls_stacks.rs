//! TLS of all stacks in one process.
//!
//! A process may hold several providers of cryptography. A library that looks one up by default panics then, so each stack
//! has to name its own.
#![cfg(all(
    feature = "tokio",
    feature = "tokio-hyper",
    feature = "async-std",
    feature = "smol",
    feature = "smol-hyper",
    feature = "rustls"
))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use durable_streams::contract::{DefaultRuntime, DefaultTransport, TransportErrorKind};
use durable_streams::{Client, ClientBuilder, RetryConfig, StreamError};
use futures_lite::future::block_on;
use std::io::Write;
use std::net::TcpListener;

/// A port that answers every handshake with plain HTTP.
fn port_without_tls() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut plain, _)) = listener.accept() {
            // The client may have gone.
            let _ = plain.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
            let _ = std::io::copy(&mut plain, &mut std::io::sink());
        }
    });
    port
}

fn client<T, R>(builder: ClientBuilder<T, R>, port: u16) -> Client
where
    T: DefaultTransport + Clone,
    R: DefaultRuntime + Clone,
{
    let builder = builder.base_url(format!("https://localhost:{port}")).retry_config(RetryConfig::none());
    builder.build().unwrap().to_any()
}

#[test]
fn tls_clients_of_all_stacks_work_in_one_process() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let port = port_without_tls();
    let inside = runtime.enter();
    let clients = [
        ("tokio", client(durable_streams::tokio::Client::builder(), port)),
        ("tokio-hyper", client(durable_streams::tokio_hyper::Client::builder(), port)),
        ("async-std", client(durable_streams::async_std::Client::builder(), port)),
        ("smol", client(durable_streams::smol::Client::builder(), port)),
        ("smol-hyper", client(durable_streams::smol_hyper::Client::builder(), port)),
    ];
    drop(inside);
    // Twice: the first handshake of one stack must not change the next of another.
    for (name, client) in clients.iter().chain(&clients) {
        let error = block_on(client.stream("s").head()).unwrap_err();
        match error.kind() {
            StreamError::Network(transport) => {
                let kind = transport.kind();
                let is_handshake = matches!(kind, TransportErrorKind::Tls | TransportErrorKind::Connect);
                assert!(is_handshake, "{name}: {error}");
            }
            kind => panic!("{name}: {kind:?}"),
        }
    }
}
