//! TLS with a server whose authority is known, and with one whose authority is not.
#![cfg(any(feature = "rustls", feature = "native-tls"))]
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use durable_streams_contract::{HttpTransport, SendOptions, Sent, TransportErrorKind, TransportOptions};
use durable_streams_tokio::ReqwestTransport;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// A server that answers every GET, and its certificate.
fn server() -> (String, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(StreamOwned::new(connection, stream));
                let mut line = String::new();
                // A client that refuses the certificate ends this.
                while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
                    if line == "\r\n" {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nsafe";
                        reader.get_mut().write_all(answer).unwrap();
                    }
                    line.clear();
                }
            });
        }
    });
    (url, cert.pem())
}

#[test]
fn unknown_authority_is_not_retryable() {
    let (url, _) = server();
    let tokio = Runtime::new().unwrap();
    let transport = ReqwestTransport::new(tokio.handle().clone(), &TransportOptions::default()).unwrap();
    let request = http::Request::get(url).body(Bytes::new()).unwrap();
    let error = tokio.block_on(transport.send(request, SendOptions::new())).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Tls, Sent::No), "{error:?}");
    assert!(!error.is_retryable());
}

#[test]
fn port_without_tls_is_reported_as_that() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut plain, _) = listener.accept().unwrap();
        plain.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").unwrap();
        // Open until the client has read it and gone: a reset could overtake the answer.
        std::io::copy(&mut plain, &mut std::io::sink()).unwrap_or_default();
    });
    let tokio = Runtime::new().unwrap();
    let transport = ReqwestTransport::new(tokio.handle().clone(), &TransportOptions::default()).unwrap();
    let request = http::Request::get(url).body(Bytes::new()).unwrap();
    let error = tokio.block_on(transport.send(request, SendOptions::new())).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Tls, Sent::No), "{error:?}");
    assert!(error.to_string().contains("without TLS"), "{error}");
}

#[test]
fn given_client_uses_its_own_authority() {
    let (url, certificate) = server();
    let tokio = Runtime::new().unwrap();
    let certificate = reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .tls_certs_only([certificate])
        .build()
        .unwrap();
    let transport = ReqwestTransport::from_client(client, tokio.handle().clone());
    let request = http::Request::get(url).body(Bytes::new()).unwrap();
    // Polled outside of the runtime, to be sure.
    let mut response = futures_lite::future::block_on(transport.send(request, SendOptions::new())).unwrap();
    let body = futures_lite::future::block_on(response.body_mut().next_chunk()).unwrap().unwrap();
    assert_eq!(body, "safe");
}
