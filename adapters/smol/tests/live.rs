//! Live reads have clients of their own: how many, and when they end.
#![cfg(feature = "isahc")]
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use durable_streams_contract::{Body, HttpTransport, SendOptions, TransportOptions};
use durable_streams_smol::IsahcTransport;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Answers `/tail` with a body that does not end, and anything else at once.
fn serve(stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    let mut line = String::new();
    let mut tail = false;
    while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
        tail |= line.starts_with("GET /tail");
        if line == "\r\n" {
            let answer: &[u8] = if tail {
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n:\n\r\n"
            } else {
                b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone"
            };
            if stream.write_all(answer).is_err() {
                return;
            }
        }
        line.clear();
    }
}

fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            std::thread::spawn(move || serve(stream));
        }
    });
    url
}

async fn open(transport: &IsahcTransport, url: String) -> Body {
    let request = http::Request::get(url).body(Bytes::new()).unwrap();
    let mut body = transport.send(request, SendOptions::new().with_live(true)).await.unwrap().into_body();
    body.next_chunk().await.unwrap().unwrap();
    body
}

#[test]
fn live_clients_are_counted_and_bounded() {
    let url = server();
    smol::block_on(async {
        let transport =
            IsahcTransport::new(&TransportOptions::default()).unwrap().max_live_clients(2).unwrap();
        let mut tails = Vec::new();
        for expected in [1, 2, 2, 2] {
            tails.push(open(&transport, format!("{url}/tail")).await);
            assert_eq!(transport.live_clients(), expected);
        }
        drop(tails);
        assert_eq!(transport.live_clients(), 0);
        let mut whole = open(&transport, format!("{url}/done")).await;
        assert_eq!(transport.live_clients(), 1);
        assert!(whole.next_chunk().await.is_none());
        assert_eq!(transport.live_clients(), 0);
    });
}

#[test]
fn dropping_a_tail_does_not_block() {
    let url = server();
    smol::block_on(async {
        let transport = IsahcTransport::new(&TransportOptions::default()).unwrap();
        let mut tails = Vec::new();
        for _ in 0..50 {
            tails.push(open(&transport, format!("{url}/tail")).await);
        }
        let start = Instant::now();
        drop(tails);
        assert!(start.elapsed() < Duration::from_millis(250), "{:?}", start.elapsed());
        drop(transport);
    });
}
