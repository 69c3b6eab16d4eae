//! HTTP/2: shared connections, and the errors that only it has.
#![cfg(all(feature = "async-io", feature = "http2"))]
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use durable_streams_contract::{HttpTransport, SendOptions, Sent, TransportErrorKind, UploadProgress};
use futures_lite::future::{block_on, poll_once, zip};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::h2_server::{Server, Then};
use support::{Transport, builder, fetch, fetch_as, fresh, get, options, post, read, until};

fn transport() -> Transport {
    builder().http2_prior_knowledge(true).build().unwrap()
}

/// A server that answers `/live` with a head alone, and everything else with the number of the connection.
fn server(max_streams: u32) -> Server {
    Server::start(max_streams, |mut asked| async move {
        if asked.path() == "/live" {
            let stream = asked.respond.send_response(http::Response::new(()), false).unwrap();
            // Open until the client resets it.
            let mut stream = stream;
            std::future::poll_fn(|cx| stream.poll_reset(cx)).await.unwrap();
            return Then::Keep;
        }
        asked.drain().await;
        let number = asked.connection.to_string();
        asked.ok(number);
        Then::Keep
    })
}

#[test]
fn concurrent_requests_share_one_connection() {
    let server = server(200);
    let transport = transport();
    let requests: Vec<_> = (0..100)
        .map(|_| {
            let (transport, url) = (transport.clone(), server.url("/"));
            smol::spawn(async move { fetch(&transport, post(&url, "record")).await })
        })
        .collect();
    for request in requests {
        assert_eq!(block_on(request).unwrap(), "0");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn request_beyond_the_servers_streams_opens_a_second_connection() {
    let server = server(3);
    let transport = transport();
    let live: Vec<_> = (0..3)
        .map(|_| block_on(transport.send(get(&server.url("/live")), SendOptions::new())).unwrap())
        .collect();
    assert_eq!(server.connections(), 1);
    assert_eq!(block_on(fetch(&transport, post(&server.url("/"), "record"))).unwrap(), "1");
    drop(live);
    assert_eq!(server.connections(), 2);
}

#[test]
fn live_reads_have_a_connection_of_their_own() {
    let server = server(100);
    let transport = transport();
    let live = SendOptions::new().with_live(true);
    let tails: Vec<_> =
        (0..3).map(|_| block_on(transport.send(get(&server.url("/live")), live.clone())).unwrap()).collect();
    assert_eq!(block_on(fetch(&transport, post(&server.url("/"), "record"))).unwrap(), "1");
    assert_eq!(server.connections(), 2);
    drop(tails);
}

#[test]
fn concurrent_requests_beyond_the_streams_of_a_new_connection_do_not_wait() {
    let server = server(3);
    let transport = transport();
    let live: Vec<_> = (0..10)
        .map(|_| {
            let (transport, url) = (transport.clone(), server.url("/live"));
            smol::spawn(async move { transport.send(get(&url), SendOptions::new()).await })
        })
        .collect();
    let live: Vec<_> = live.into_iter().map(|live| block_on(live).unwrap()).collect();
    assert_eq!((live.len(), server.connections()), (10, 4));
}

#[test]
fn dropped_tails_reset_their_streams_and_keep_the_connection() {
    let resets = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&resets);
    let server = Server::start(300, move |mut asked| {
        let counted = Arc::clone(&counted);
        async move {
            if asked.path() == "/live" {
                let mut stream = asked.respond.send_response(http::Response::new(()), false).unwrap();
                std::future::poll_fn(|cx| stream.poll_reset(cx)).await.unwrap();
                counted.fetch_add(1, Ordering::AcqRel);
                return Then::Keep;
            }
            asked.ok("alive");
            Then::Keep
        }
    });
    let transport = transport();
    let tails: Vec<_> = (0..200)
        .map(|_| block_on(transport.send(get(&server.url("/live")), SendOptions::new())).unwrap())
        .collect();
    drop(tails);
    until("the streams are reset", || resets.load(Ordering::Acquire) == 200);
    assert_eq!(block_on(fetch(&transport, get(&server.url("/")))).unwrap(), "alive");
    assert_eq!(server.connections(), 1);
}

#[test]
fn refused_stream_is_reported_as_not_sent() {
    let server = Server::start(10, |mut asked| async move {
        asked.respond.send_reset(h2::Reason::REFUSED_STREAM);
        Then::Keep
    });
    let error = block_on(fetch(&transport(), post(&server.url("/"), "record"))).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Closed, Sent::No), "{error:?}");
    assert!(error.is_retryable());
}

#[test]
fn stream_that_is_reset_for_another_reason_may_have_been_processed() {
    let server = Server::start(10, |mut asked| async move {
        asked.respond.send_reset(h2::Reason::INTERNAL_ERROR);
        Then::Keep
    });
    let error = block_on(fetch(&transport(), post(&server.url("/"), "record"))).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Closed, Sent::Maybe), "{error:?}");
}

#[test]
fn body_of_a_reset_stream_is_truncated() {
    let server = Server::start(10, |mut asked| async move {
        let mut stream = asked.respond.send_response(http::Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(b"half"), false).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.send_reset(h2::Reason::CANCEL);
        Then::Keep
    });
    let response = block_on(transport().send(get(&server.url("/")), SendOptions::new())).unwrap();
    let error = block_on(read(response.into_body())).unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Truncated, "{error:?}");
}

#[test]
fn lost_connection_may_have_processed_the_request() {
    let server = Server::start(10, |_asked| async move { Then::Close });
    let error = block_on(fetch(&transport(), post(&server.url("/"), "record"))).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Closed, Sent::Maybe), "{error:?}");
}

#[test]
fn request_behind_a_graceful_goaway_is_sent_on_another_connection() {
    let server = Server::start(100, |mut asked| async move {
        let number = asked.connection.to_string();
        asked.ok(number);
        Then::GoAway
    });
    let transport = transport();
    for turn in 0..50 {
        // Right behind the GOAWAY, which may arrive before, during or after the request is sent.
        if turn % 2 == 0 {
            std::thread::sleep(Duration::from_millis(turn % 5));
        }
        block_on(fetch(&transport, post(&server.url("/"), "record"))).unwrap();
    }
    assert!(server.connections() > 1);
}

const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// GOAWAY: no error, and no stream was processed.
const GOAWAY_NONE_PROCESSED: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Response on stream 1: HEADERS with `:status 200`, end of headers and of the stream.
const RESPONSE: &[u8] = &[0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88];

/// A server on plain frames: sends its settings, reads until a HEADERS frame, and answers with the frames for this connection.
fn raw_server(answers: Vec<&'static [u8]>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            counted.fetch_add(1, Ordering::AcqRel);
            std::thread::spawn(move || {
                let mut preface = [0; 24];
                stream.read_exact(&mut preface).unwrap();
                stream.write_all(SETTINGS).unwrap();
                loop {
                    let mut head = [0; 9];
                    if stream.read_exact(&mut head).is_err() {
                        return;
                    }
                    let length = usize::from(head[1]) << 8 | usize::from(head[2]);
                    stream.read_exact(&mut vec![0; length]).unwrap();
                    const HEADERS: u8 = 1;
                    if head[3] == HEADERS {
                        stream.write_all(answer).unwrap();
                    }
                }
            });
        }
    });
    (url, connections)
}

#[test]
fn request_that_a_goaway_excludes_is_sent_again_on_another_connection() {
    let (url, connections) = raw_server(vec![GOAWAY_NONE_PROCESSED, RESPONSE]);
    assert_eq!(block_on(fetch(&transport(), post(&url, "record"))).unwrap(), "");
    assert_eq!(connections.load(Ordering::Acquire), 2);
}

#[test]
fn request_that_every_connection_excludes_is_reported_as_not_sent() {
    let (url, _) = raw_server(vec![GOAWAY_NONE_PROCESSED; 5]);
    let error = block_on(fetch(&transport(), post(&url, "record"))).unwrap_err();
    assert_eq!(error.sent(), Sent::No, "{error:?}");
    assert!(error.is_retryable());
}

#[test]
fn silent_connection_is_lost_after_the_ping_timeout() {
    let (url, _) = raw_server(vec![b""]);
    let transport = builder()
        .http2_prior_knowledge(true)
        .http2_keep_alive(Duration::from_millis(50), Duration::from_millis(50))
        .build()
        .unwrap();
    let error = block_on(fetch(&transport, get(&url))).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Timeout, Sent::Maybe), "{error:?}");
}

#[test]
fn server_that_closes_before_its_settings_reports_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            stream.read_exact(&mut [0; 24]).unwrap();
        }
    });
    let error = block_on(fetch(&transport(), get(&url))).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Connect, Sent::No), "{error:?}");
}

#[test]
fn server_that_never_sends_its_settings_ends_with_the_connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let transport =
        builder().options(&options(Duration::from_millis(200))).http2_prior_knowledge(true).build().unwrap();
    let start = Instant::now();
    let error = block_on(fetch(&transport, get(&url))).unwrap_err();
    assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Timeout, Sent::No), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn requests_that_wait_for_one_connection_share_its_connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let closed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&closed);
    let accepted = Arc::new(AtomicUsize::new(0));
    let opened = Arc::clone(&accepted);
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            opened.fetch_add(1, Ordering::AcqRel);
            let counted = Arc::clone(&counted);
            std::thread::spawn(move || {
                // It never sends its settings.
                std::io::copy(&mut stream, &mut std::io::sink()).unwrap_or_default();
                counted.fetch_add(1, Ordering::AcqRel);
            });
        }
    });
    let options = options(Duration::from_millis(300));
    let transport = builder().options(&options).http2_prior_knowledge(true).build().unwrap();
    let start = Instant::now();
    let requests: Vec<_> = (0..8)
        .map(|_| {
            let (transport, url) = (transport.clone(), url.clone());
            smol::spawn(async move { fetch(&transport, post(&url, "record")).await })
        })
        .collect();
    for request in requests {
        let error = block_on(request).unwrap_err();
        assert_eq!((error.kind(), error.sent()), (TransportErrorKind::Timeout, Sent::No), "{error:?}");
    }
    assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
    until("the connections that were given up are closed", || {
        closed.load(Ordering::Acquire) == accepted.load(Ordering::Acquire)
    });
}

#[test]
fn fresh_connection_leaves_exchanges_in_progress_alone() {
    let server = Server::start(100, |mut asked| async move {
        if asked.path() == "/slow" {
            let mut stream = asked.respond.send_response(http::Response::new(()), false).unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
            stream.send_data(Bytes::from_static(b"slow"), true).unwrap();
        } else {
            let number = asked.connection.to_string();
            asked.ok(number);
        }
        Then::Keep
    });
    let transport = transport();
    let slow = block_on(transport.send(get(&server.url("/slow")), SendOptions::new())).unwrap();
    assert_eq!(block_on(fetch_as(&transport, get(&server.url("/")), fresh())).unwrap(), "1");
    assert_eq!(block_on(fetch(&transport, get(&server.url("/")))).unwrap(), "1");
    assert_eq!(block_on(read(slow.into_body())).unwrap(), b"slow");
    // The first one has no exchange any more, and takes none.
    until("the first connection is closed", || server.open() == 1);
}

#[test]
fn large_bodies_arrive_complete_in_both_directions() {
    const SIZE: usize = 20 * 1024 * 1024;
    let server = Server::start(100, |mut asked| async move {
        let size = asked.drain().await;
        assert!(size == 0 || size == SIZE);
        let mut stream = asked.respond.send_response(http::Response::new(()), false).unwrap();
        let mut left = SIZE;
        while left > 0 {
            stream.reserve_capacity(left.min(64 * 1024));
            let Some(Ok(capacity)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { break };
            let piece = capacity.min(left);
            left -= piece;
            stream.send_data(Bytes::from(vec![7; piece]), left == 0).unwrap();
        }
        Then::Keep
    });
    let transport = transport();
    let progress = UploadProgress::new();
    let upload = SendOptions::new().with_upload(progress.clone());
    let response = block_on(transport.send(post(&server.url("/"), vec![1; SIZE]), upload)).unwrap();
    assert_eq!(block_on(read(response.into_body())).unwrap().len(), SIZE);
    assert_eq!(progress.sent(), Some(SIZE as u64));
}

#[test]
fn unread_body_does_not_hold_up_other_requests() {
    const SIZE: usize = 64 * 1024 * 1024;
    let server = Server::start(100, |mut asked| async move {
        if asked.path() == "/large" {
            let mut stream = asked.respond.send_response(http::Response::new(()), false).unwrap();
            stream.send_data(Bytes::from(vec![7; SIZE]), true).unwrap();
        } else {
            asked.ok("small");
        }
        Then::Keep
    });
    let transport = transport();
    let unread = block_on(transport.send(get(&server.url("/large")), SendOptions::new())).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let both = zip(fetch(&transport, get(&server.url("/a"))), fetch(&transport, get(&server.url("/b"))));
    let (a, b) = block_on(both);
    assert_eq!((a.unwrap(), b.unwrap()), ("small".to_owned(), "small".to_owned()));
    drop(unread);
}

#[test]
fn request_headers_of_a_connection_are_not_sent() {
    let seen = Arc::new(Mutex::new(None));
    let shared = Arc::clone(&seen);
    let server = Server::start(100, move |mut asked| {
        *shared.lock().unwrap() = Some(asked.request.headers().clone());
        asked.ok("");
        async { Then::Keep }
    });
    let mut request = post(&server.url("/"), "");
    request.headers_mut().insert("host", "elsewhere".parse().unwrap());
    block_on(fetch(&transport(), request)).unwrap();
    let headers = seen.lock().unwrap().take().unwrap();
    assert!(!headers.contains_key("host"));
    assert_eq!(headers["content-length"], "0");
}

#[test]
fn dropped_request_does_not_hold_its_stream() {
    let server = server(1);
    let transport = transport();
    for _ in 0..20 {
        let mut request = transport.send(get(&server.url("/live")), SendOptions::new());
        let _ = block_on(poll_once(&mut request));
        std::thread::sleep(Duration::from_millis(2));
        drop(request);
    }
    assert!(block_on(fetch(&transport, get(&server.url("/")))).is_ok());
}
