//! HTTP/2: what a server says that it has not processed.
#![cfg(all(feature = "reqwest", feature = "http2"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use durable_streams_contract::{HttpTransport, SendOptions, Sent, TransportErrorKind};
use durable_streams_tokio::ReqwestTransport;
use futures_lite::future::block_on;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// An HTTP/2 server that answers each request with `frame`, for the request's stream if the frame is about one. Returns its URL.
fn server(frame: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        // reqwest itself tries again what was refused: on the same connection, or on a new one.
        for connection in listener.incoming() {
            std::thread::spawn(move || serve(connection.unwrap(), frame));
        }
    });
    url
}

/// Serves one connection, until the client closes it.
fn serve(mut connection: TcpStream, frame: &[u8]) -> Option<()> {
    connection.read_exact(&mut [0; 24]).ok()?;
    // An empty SETTINGS frame.
    connection.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).ok()?;
    loop {
        let (kind, stream) = read_frame(&mut connection)?;
        if kind == HEADERS {
            let mut frame = frame.to_vec();
            if frame[3] == RST_STREAM {
                frame[5..9].copy_from_slice(&stream);
            }
            connection.write_all(&frame).ok()?;
        }
    }
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;

/// Reads a frame. Returns its type and its stream.
fn read_frame(connection: &mut TcpStream) -> Option<(u8, [u8; 4])> {
    let mut head = [0; 9];
    connection.read_exact(&mut head).ok()?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    connection.read_exact(&mut vec![0; length]).ok()?;
    Some((head[3], head[5..9].try_into().unwrap()))
}

#[test]
fn request_that_the_server_has_not_processed_is_known_to_have_no_effect() {
    const REFUSED_STREAM: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7];
    // The last stream that it took is 0.
    const GO_AWAY: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const CANCEL: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8];
    let tokio = tokio::runtime::Runtime::new().unwrap();
    for (name, frame, sent) in [
        ("refused", REFUSED_STREAM, Sent::No),
        ("go away", GO_AWAY, Sent::No),
        ("cancelled", CANCEL, Sent::Maybe),
    ] {
        let transport = ReqwestTransport::from_builder(
            || reqwest::Client::builder().http2_prior_knowledge().timeout(Duration::from_secs(30)),
            tokio.handle().clone(),
        )
        .unwrap();
        let request = http::Request::post(server(frame)).body(Bytes::from_static(b"record")).unwrap();
        let error = block_on(transport.send(request, SendOptions::new())).unwrap_err();
        assert_eq!(error.sent(), sent, "{name}: {error:?}");
        if sent == Sent::No {
            assert_eq!(error.kind(), TransportErrorKind::Closed, "{name}: {error:?}");
            assert!(error.is_retryable(), "{name}");
        }
    }
}
