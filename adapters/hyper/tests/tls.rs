//! TLS: whom the transport trusts, which protocol both sides agree on, and handshakes that fail.
#![cfg(all(feature = "async-io", feature = "http2", feature = "rustls"))]
#![allow(clippy::unwrap_used)]

mod support;

use durable_streams_contract::{HttpTransport, SendOptions, Sent, TransportErrorKind};
use durable_streams_hyper::TlsOptions;
use futures_lite::future::block_on;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::h2_server::{Server, Then};
use support::tls_server::ServerTls;
use support::{Transport, builder, fetch, get, options, post};

fn trusting(tls: &ServerTls) -> Transport {
    let options = TlsOptions::new().with_root_certificates(tls.authority.as_bytes()).unwrap();
    builder().tls(options).build().unwrap()
}

fn url(port: u16) -> String {
    format!("https://localhost:{port}/")
}

/// A server of HTTP/1.1 that answers every request with "one"; the number of its connections.
fn http1_server(tls: &ServerTls) -> (u16, Arc<AtomicUsize>) {
    let config = tls.config();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            counted.fetch_add(1, Ordering::AcqRel);
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(rustls::StreamOwned::new(connection, stream));
                let mut line = String::new();
                // A client that refuses the certificate ends this.
                while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
                    if line == "\r\n" {
                        reader
                            .get_mut()
                            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none")
                            .unwrap();
                    }
                    line.clear();
                }
            });
        }
    });
    (port, connections)
}

#[test]
fn server_that_offers_http2_gets_http2() {
    let tls = ServerTls::new(&[b"h2", b"http/1.1"], false);
    let server = Server::start_with(100, Some(tls.clone()), |mut asked| async move {
        asked.ok("two");
        Then::Keep
    });
    let transport = trusting(&tls);
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let (transport, url) = (transport.clone(), url(server.port));
            smol::spawn(async move { fetch(&transport, post(&url, "record")).await })
        })
        .collect();
    for request in requests {
        assert_eq!(block_on(request).unwrap(), "two");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn server_that_offers_http1_alone_gets_http1() {
    for protocols in [&[b"http/1.1".as_slice()] as &[&[u8]], &[]] {
        let tls = ServerTls::new(protocols, false);
        let (port, connections) = http1_server(&tls);
        let transport = trusting(&tls);
        for _ in 0..5 {
            assert_eq!(block_on(fetch(&transport, get(&url(port)))).unwrap(), "one");
        }
        assert_eq!(connections.load(Ordering::Acquire), 1);
    }
}

#[test]
fn unknown_authority_is_not_retryable() {
    let tls = ServerTls::new(&[b"http/1.1"], false);
    let (port, _) = http1_server(&tls);
    let transport = builder().build().unwrap();
    let error = block_on(fetch(&transport, get(&url(port)))).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Tls, Sent::No), "{error:?}");
    assert!(!error.is_retryable());
}

#[test]
fn wrong_name_is_not_retryable() {
    let tls = ServerTls::new(&[b"http/1.1"], false);
    let (port, _) = http1_server(&tls);
    let error = block_on(fetch(&trusting(&tls), get(&format!("https://127.0.0.1:{port}/")))).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Tls, Sent::No), "{error:?}");
}

#[test]
fn client_certificate_is_shown_where_the_server_asks() {
    let tls = ServerTls::new(&[b"http/1.1"], true);
    let (port, _) = http1_server(&tls);
    let options = TlsOptions::new()
        .with_root_certificates(tls.authority.as_bytes())
        .and_then(|options| options.with_client_certificate(tls.client.as_bytes()))
        .unwrap();
    let transport = builder().tls(options).build().unwrap();
    assert_eq!(block_on(fetch(&transport, get(&url(port)))).unwrap(), "one");
}

#[test]
fn missing_client_certificate_is_an_error() {
    let tls = ServerTls::new(&[b"http/1.1"], true);
    let (port, _) = http1_server(&tls);
    assert!(block_on(fetch(&trusting(&tls), get(&url(port)))).is_err());
}

#[test]
fn pem_without_a_certificate_is_refused() {
    let error = TlsOptions::new().with_root_certificates(b"nothing").unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Tls);
    let tls = ServerTls::new(&[], false);
    // A certificate without its key.
    assert!(TlsOptions::new().with_client_certificate(tls.authority.as_bytes()).is_err());
}

#[test]
fn port_without_tls_is_reported_as_that() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut plain, _) = listener.accept().unwrap();
        plain.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").unwrap();
        // Open until the client has read it and gone: a reset could overtake the answer.
        std::io::copy(&mut plain, &mut std::io::sink()).unwrap_or_default();
    });
    let error = block_on(fetch(&builder().build().unwrap(), get(&url(port)))).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Tls, Sent::No), "{error:?}");
    assert!(error.to_string().contains("without TLS"), "{error}");
}

#[test]
fn connect_timeout_covers_an_endless_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let transport = builder().options(&options(Duration::from_millis(200))).build().unwrap();
    let start = Instant::now();
    let error = block_on(transport.send(get(&url(port)), SendOptions::new())).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Timeout, Sent::No), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn connection_lost_in_the_handshake_is_retryable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || drop(listener.accept()));
    let error = block_on(fetch(&builder().build().unwrap(), get(&url(port)))).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Connect, Sent::No), "{error:?}");
    assert!(error.is_retryable());
}

#[test]
fn alerts_that_may_pass_are_retryable_and_others_are_not() {
    // RFC 8446, section 6: internal_error, user_canceled, close_notify; bad_certificate, unknown_ca, unrecognized_name.
    for (alert, is_retryable) in [(80, true), (90, true), (0, true), (42, false), (48, false), (112, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            use std::io::Read;
            let (mut stream, _) = listener.accept().unwrap();
            let mut record = [0; 5];
            stream.read_exact(&mut record).unwrap();
            let length = usize::from(record[3]) << 8 | usize::from(record[4]);
            stream.read_exact(&mut vec![0; length]).unwrap();
            let level = if matches!(alert, 0 | 90) { 1 } else { 2 };
            stream.write_all(&[21, 3, 3, 0, 2, level, alert]).unwrap();
        });
        let error = block_on(fetch(&builder().build().unwrap(), get(&url(port)))).unwrap_err();
        assert_eq!((error.is_retryable(), error.sent()), (is_retryable, Sent::No), "{alert}: {error:?}");
    }
}
