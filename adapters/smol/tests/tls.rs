//! TLS with a server whose authority is unknown.
#![cfg(all(feature = "isahc", feature = "rustls"))]
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use durable_streams_contract::{HttpTransport, SendOptions, Sent, TransportErrorKind, TransportOptions};
use durable_streams_smol::IsahcTransport;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};
use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;

/// The port of a server with a certificate for this name.
fn server(name: &str) -> u16 {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        // Until the client refuses the certificate.
        let refused = Stream::new(&mut connection, &mut stream).read(&mut [0]).is_err();
        assert!(refused, "the client sent something");
    });
    port
}

#[test]
fn unknown_authority_is_not_retryable() {
    let url = format!("https://localhost:{}/", server("localhost"));
    let request = http::Request::post(url).body(Bytes::from_static(b"record")).unwrap();
    let transport = IsahcTransport::new(&TransportOptions::default()).unwrap();
    let error = smol::block_on(transport.send(request, SendOptions::new())).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Tls, Sent::No), "{error:?}");
    assert!(!error.is_retryable());
}
