//! Producers and single appends against misbehaving servers and callbacks.

use crate::support::{Stack, StackStream, unique};
use durable_streams::{CreateOptions, ErrorAction, HeaderMap, ProducerError, RetryConfig, StreamError};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use test_servers::{Exchange, Flag, RustServer, Script, direct, stream_headers, wait_until};

fn quick() -> RetryConfig {
    RetryConfig {
        initial_backoff: Duration::from_millis(10),
        max_backoff: Duration::from_millis(50),
        max_retries: Some(3),
        ..RetryConfig::default()
    }
}

/// The stream `s` at `url`, with three short retries.
fn at<S: Stack>(url: &str) -> StackStream<S> {
    S::builder()
        .base_url(url)
        .retry_config(quick())
        .build()
        .unwrap()
        .stream("s")
        .with_content_type("text/plain")
}

/// Acknowledges an append as a server of the protocol does. The offset contains the seq.
fn acknowledge(exchange: &mut Exchange) {
    let header = |name| exchange.headers.get(name).unwrap_or_default().to_owned();
    let (seq, closed) = (header("producer-seq"), header("stream-closed"));
    let mut headers =
        stream_headers(&format!("a{seq:0>9}"), &[]).with("producer-epoch", header("producer-epoch"));
    if !seq.is_empty() {
        headers = headers.with("producer-seq", &seq);
    }
    if !closed.is_empty() {
        headers = headers.with("stream-closed", "true");
    }
    exchange.respond(200, headers, "");
}

/// Responds to a HEAD with the content type. False for other requests, which it leaves alone.
fn respond_to_head(exchange: &mut Exchange, content_type: &'static str) -> bool {
    let is_head = exchange.method == "HEAD";
    if is_head {
        let headers = stream_headers("a000000000", &[Flag::ContentType(content_type)]);
        exchange.respond(200, headers, "");
    }
    is_head
}

/// Each status that refuses a batch, with and without auto-claim.
pub async fn refused_batch_error_has_url_status_and_server_message<S: Stack>() {
    for status in [201, 202, 400, 401, 402, 403, 404, 405, 409, 410, 415, 421, 422, 426, 431, 451, 501] {
        for auto_claim in [false, true] {
            let script = Script::start(move |exchange| {
                if respond_to_head(exchange, "text/plain") {
                    return;
                }
                let header = |name| exchange.headers.get(name).unwrap_or_default();
                match (header("producer-epoch"), header("producer-seq")) {
                    ("0", "0") => acknowledge(exchange),
                    _ => exchange.respond(status, (), "details of the refusal"),
                }
            })
            .unwrap();
            let producer = at::<S>(script.url()).producer("p").auto_claim(auto_claim).linger(Duration::ZERO);
            let producer = producer.max_batch_items(1).build();
            producer.append("0").unwrap().await.unwrap();
            script.forget_requests();
            // The producer may halt before the last append.
            let receipts: Vec<_> = (1..9).map_while(|n| producer.append(n.to_string()).ok()).collect();
            let accepted = receipts.len() as u8;
            let error = producer.flush().await.unwrap_err();
            let text = error.to_string();
            assert!(text.contains(script.url()), "{status}: {text}");
            if status >= 400 {
                assert!(text.contains("details of the refusal"), "{status}: {text}");
                assert!(text.contains(&status.to_string()), "{status}: {text}");
            }
            for receipt in receipts {
                assert_eq!(receipt.await.unwrap_err().to_string(), text);
            }
            let unsent = producer.take_unacked();
            let numbers: Vec<_> = unsent.iter().map(|record| record.data[0] - b'0').collect();
            assert!(accepted > 0 && numbers.iter().copied().eq(1..=accepted), "{status}: {numbers:?}");
            // A refusal means that the batch is not stored; an invalid success leaves that open.
            assert_eq!(unsent[0].may_be_stored, status < 400, "{status}");
            let posts = script.requests().iter().filter(|request| request.method == "POST").count();
            assert!(posts <= if status == 400 { 6 } else { 5 }, "{status}: {posts} requests");
            // Only a 400 may mean that the server lost its producer state; auto-claim then raises the epoch once.
            assert_eq!(producer.epoch(), u64::from(status == 400 && auto_claim), "{status}");
        }
    }
}

/// The request is not sent before the provider has returned, so its outcome is known.
pub async fn hanging_header_provider_times_out_before_sending<S: Stack>() {
    let script = Script::start(acknowledge).unwrap();
    let client = S::builder()
        .base_url(script.url())
        .header_timeout(Duration::from_millis(200))
        .async_header_provider(std::future::pending::<Result<HeaderMap, std::io::Error>>)
        .retry_config(RetryConfig { max_retries: Some(1), ..quick() })
        .build()
        .unwrap();
    let stream = client.stream("s").with_content_type("text/plain");
    let error = stream.append("x").await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::Timeout), "{error}");
    assert!(error.to_string().contains("header provider") && error.to_string().contains("200ms"), "{error}");
    let producer = stream.producer("p").build();
    let error = producer.append("x").unwrap().await.unwrap_err();
    assert!(error.to_string().contains("header provider"), "{error}");
    assert!(!producer.take_unacked()[0].may_be_stored);
    assert!(script.requests().is_empty());
}

/// A last record and the close succeed or fail together; after a failure the stream can still be closed.
pub async fn failed_last_record_leaves_stream_open<S: Stack>() {
    // The content type is not known yet, so the invalid record is accepted and fails later.
    let script = Script::start(|exchange| {
        if !respond_to_head(exchange, "application/json") {
            acknowledge(exchange);
        }
    })
    .unwrap();
    let stream = S::client(script.url()).stream("s");
    let producer = stream.producer("p").build();
    let first = producer.append("1").unwrap();
    let error = producer.close_stream_with("{\"half").await.unwrap_err();
    assert!(matches!(error.stream_error(), Some(StreamError::Json(_))), "{error}");
    first.await.unwrap();
    producer.append("2").unwrap().await.unwrap();
    assert_eq!(producer.close_stream().await.unwrap().seq, 2);
    assert_eq!(producer.close_stream().await.unwrap().seq, 2);
    assert!(matches!(producer.append("3"), Err(ProducerError::Closed)));
    let ends = script.requests().iter().filter(|request| request.header("stream-closed").is_some()).count();
    assert_eq!(ends, 1);

    // The server refuses the last record for its size.
    let script = Script::start(|exchange| match exchange.body.len() {
        100.. => exchange.respond(413, (), "at most 99"),
        _ => acknowledge(exchange),
    })
    .unwrap();
    let producer = at::<S>(script.url()).producer("p").max_buffered_bytes(1000).build();
    let error = producer.close_stream_with("x".repeat(100)).await.unwrap_err();
    assert!(matches!(error.stream_error(), Some(StreamError::PayloadTooLarge { .. })), "{error}");
    let error = producer.close_stream_with("x".repeat(1001)).await.unwrap_err();
    assert!(
        matches!(&error, ProducerError::RecordTooLarge { record, .. } if record.len() == 1001),
        "{error}"
    );
    assert_eq!(producer.close_stream_with("x".repeat(99)).await.unwrap().seq, 0);

    // `close` and `detach` while the last record is in flight: neither waits for another attempt.
    for detach in [false, true] {
        let script = Script::start(|exchange| {
            exchange.pause(Duration::from_millis(200));
            exchange.respond(413, (), "");
        })
        .unwrap();
        let producer = at::<S>(script.url()).producer("p").build();
        let (ending, closing) = futures_lite::future::zip(producer.close_stream_with("x"), async {
            if detach {
                producer.detach();
            }
            producer.close().await
        })
        .await;
        assert!(ending.is_err() && closing.is_err());
        assert!(matches!(producer.append("x"), Err(ProducerError::Closed)));
        assert!(matches!(producer.close_stream().await, Err(ProducerError::Closed)));
    }
}

/// The error of an append with a producer identity reports what the server expects.
pub async fn append_conflict_reports_server_epoch_and_expected_seq<S: Stack>() {
    let script = Script::start(|exchange| match exchange.headers.get("producer-epoch") {
        Some("3") => exchange.respond(403, [("producer-epoch", "7")], "stale"),
        Some("4") => exchange.respond(403, (), "not allowed"),
        _ => exchange.respond(409, [("producer-expected-seq", "2"), ("producer-received-seq", "5")], "gap"),
    })
    .unwrap();
    let stream = at::<S>(script.url());
    let error = stream.append("x").producer("p", 3, 0).await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::Forbidden), "{error}");
    assert_eq!((error.status_code(), error.server_epoch()), (Some(403), Some(7)));
    assert!(error.to_string().contains("epoch 7"), "{error}");
    let error = stream.append("x").producer("p", 4, 0).await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::Forbidden) && error.server_epoch().is_none(), "{error}");
    let error = stream.append("x").producer("p", 8, 5).await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::SeqConflict(_)), "{error}");
    assert!(error.to_string().contains("expects the producer's seq 2, and received 5"), "{error}");
}

/// The header timeout is for the response; the time for sending a large body is added to it.
pub async fn header_timeout_grows_with_request_body<S: Stack>() {
    let script = Script::start(|exchange| {
        if exchange.pause(Duration::from_millis(800)) {
            acknowledge(exchange);
        }
    })
    .unwrap();
    let client = S::builder().base_url(script.url()).header_timeout(Duration::from_millis(300));
    let client = client.retry_config(RetryConfig::none()).build().unwrap();
    let stream = client.stream("s").with_content_type("text/plain");
    let error = stream.append("x").producer("p", 0, 0).await.unwrap_err();
    assert!(matches!(error.kind(), StreamError::Timeout), "{error}");
    stream.append("x".repeat(6_000_000)).producer("p", 0, 0).await.unwrap();
}

/// A panic in an error handler or a header provider ends that producer, and no other on the same client.
pub async fn panicking_callback_ends_only_its_producer<S: Stack>() {
    let script = Script::start(|exchange| match exchange.path() {
        "/bad" => exchange.respond(401, (), ""),
        _ => acknowledge(exchange),
    })
    .unwrap();
    let client = S::client(script.url());
    let stream = client.stream("bad").with_content_type("text/plain");
    let producer = stream
        .producer("p")
        .on_error(|_: &StreamError| -> ErrorAction { panic!("a panic on purpose, in on_error") })
        .build();
    let other = at::<S>(script.url()).producer("q").build();
    other.append("x").unwrap().await.unwrap();
    let error = producer.append("x").unwrap().await.unwrap_err();
    assert!(matches!(error, ProducerError::RuntimeGone) && error.to_string().contains("panicked"), "{error}");
    assert!(producer.flush().await.is_err() && producer.close().await.is_err());
    assert!(producer.append("y").is_err());
    assert_eq!(producer.take_unacked().len(), 1);
    for _ in 0..20 {
        other.append("x").unwrap().await.unwrap();
    }
    other.close().await.unwrap();

    let client = S::builder()
        .base_url(script.url())
        .header_provider(|| -> HeaderMap { panic!("a panic on purpose, in a provider") })
        .build()
        .unwrap();
    let producer = client.stream("s").with_content_type("text/plain").producer("p").build();
    assert!(matches!(producer.append("x").unwrap().await, Err(ProducerError::RuntimeGone)));
    assert_eq!(producer.take_unacked().len(), 1);
}

/// A server on plain sockets.
///
/// `Script` reads each request whole before it responds. This one can respond, and close, before that.
struct SocketServer {
    url: String,
    stopped: Arc<AtomicBool>,
}

impl SocketServer {
    fn start(serve: impl Fn(TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stopped = Arc::new(AtomicBool::new(false));
        let (serve, is_stopped) = (Arc::new(serve), stopped.clone());
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                if is_stopped.load(Ordering::Relaxed) {
                    return;
                }
                let serve = serve.clone();
                let connection = connection.unwrap();
                // An I/O error means that the client closed the connection, which it may.
                std::thread::spawn(move || serve(connection).unwrap_or_default());
            }
        });
        Self { url, stopped }
    }
}

impl Drop for SocketServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // The accept loop blocks until one more connection arrives.
        drop(TcpStream::connect(self.url.trim_start_matches("http://")));
    }
}

/// Reads a request's head, and returns it with the part of the body that arrived with it. `None` at the end.
fn read_head(connection: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok(Some((String::from_utf8_lossy(&bytes).to_ascii_lowercase(), rest)));
        }
        let count = connection.read(&mut piece)?;
        if count == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece[..count]);
    }
}

/// The number in this header.
fn field(head: &str, name: &str) -> Option<u64> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.trim().parse().ok())
}

/// Refuses bodies above 50,000 bytes as soon as their head has arrived; stores the others.
///
/// After a refusal it closes the connection. With `drains` it closes only its own side and discards what still
/// arrives.
fn serve_early(mut connection: TcpStream, drains: bool, stored: &Mutex<Vec<u8>>) -> std::io::Result<()> {
    while let Some((head, mut body)) = read_head(&mut connection)? {
        let length = field(&head, "content-length").unwrap_or_default() as usize;
        if length > 50_000 {
            connection.write_all(
                b"HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            )?;
            if drains {
                // As nginx does (lingering close): the client can finish sending and then read the response.
                connection.shutdown(Shutdown::Write)?;
                std::io::copy(&mut connection, &mut std::io::sink())?;
            }
            return Ok(());
        }
        let missing = length - body.len();
        (&connection).take(missing as u64).read_to_end(&mut body)?;
        let seq = field(&head, "producer-seq").unwrap_or_default();
        let mut stored = stored.lock().unwrap();
        stored.extend_from_slice(&body);
        let tail = stored.len();
        write!(
            connection,
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nstream-next-offset: a{tail:09}\r\nproducer-epoch: 0\r\nproducer-seq: {seq}\r\n\r\n"
        )?;
    }
    Ok(())
}

/// A 413 that the server sends before it has read the body. Guarantee 36.
pub async fn early_413_is_read_before_body_is_sent<S: Stack>() {
    for drains in [true, false] {
        let stored = Arc::new(Mutex::new(Vec::new()));
        let records = stored.clone();
        let server = SocketServer::start(move |connection| serve_early(connection, drains, &records));
        let stream = S::client(&server.url).stream("s").with_content_type("text/plain");
        let producer = stream.producer("p").max_batch_bytes(4_000_000).max_in_flight(1).build();
        let mut expected = String::new();
        for number in 0..8000 {
            let line = format!("{number:>499}\n");
            expected.push_str(&line);
            producer.append(line).unwrap();
        }
        let outcome = producer.flush_timeout(Duration::from_secs(30)).await;
        let stored = stored.lock().unwrap().clone();
        match outcome {
            Ok(()) => assert!(stored == expected.as_bytes(), "drains: {drains}"),
            // Some HTTP libraries do not read a response after a failed write. Then several attempts may be needed to
            // get the 413, and the outcome of the first one is not known.
            Err(ProducerError::OutcomeUnknown { .. }) if !drains => {
                let unsent = producer.take_unacked();
                let rest: Vec<u8> = unsent.iter().flat_map(|record| record.data.to_vec()).collect();
                assert!([stored, rest].concat() == expected.as_bytes());
                assert!(unsent[0].may_be_stored);
            }
            Err(error) => panic!("drains: {drains}: {error}, {:?}", producer.stats()),
        }
    }
}

/// The head acknowledges the batch: the producer does not wait for a body that never ends.
pub async fn acknowledgement_needs_no_complete_response_body<S: Stack>() {
    let script = Script::start(|exchange| {
        let seq = exchange.headers.get("producer-seq").unwrap_or_default().to_owned();
        exchange.raw(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSTREAM-NEXT-OFFSET: a{seq}\r\nProducer-Epoch:0\r\nproducer-SEQ: {seq} \r\n\r\nx"
        ));
        exchange.hang();
    })
    .unwrap();
    let producer = at::<S>(script.url()).producer("p").build();
    let began = Instant::now();
    for seq in 0..2 {
        let ack = producer.append("x").unwrap().await.unwrap();
        assert_eq!((ack.seq, ack.offset.unwrap().to_string()), (seq, format!("a{seq}")));
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    producer.close().await.unwrap();
}

/// A server that loses its producer state again and again is not mistaken for another producer: claims are bounded.
pub async fn repeated_state_loss_ends_with_sequence_gap<S: Stack>() {
    let script = Script::start(|exchange| {
        if respond_to_head(exchange, "text/plain") {
            return;
        }
        match exchange.headers.get("producer-seq") {
            Some("0") => acknowledge(exchange),
            _ => exchange.respond(409, [("producer-expected-seq", "0"), ("producer-received-seq", "1")], ""),
        }
    })
    .unwrap();
    let producer = at::<S>(script.url()).producer("p").auto_claim(true).build();
    let error = loop {
        match producer.append("x") {
            Ok(receipt) => {
                if let Err(error) = receipt.await {
                    break error;
                }
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ProducerError::SequenceGap { .. }), "{error}");
    assert_eq!(producer.epoch(), 5);
    assert!(script.requests().len() < 30, "{}", script.requests().len());
}

/// Six tasks append, flush, close, close the stream and detach at the same time, and drop their handles at any point.
/// Guarantee 44.
pub async fn concurrent_handles_settle_every_receipt<S: Stack>() {
    let server = RustServer::start().unwrap();
    for round in 0..12_usize {
        let path = unique("handles");
        let stream = S::client(server.url()).stream(&path);
        stream.create(CreateOptions::new().content_type("text/plain")).await.unwrap();
        let producer = stream.producer("p").max_batch_items(3).max_buffered_records(16).build();
        let settled = Arc::new(Mutex::new(Vec::<(String, Result<(), ProducerError>)>::new()));
        let threads: Vec<_> = (0..6)
            .map(|task| {
                let (producer, settled) = (producer.clone(), settled.clone());
                std::thread::spawn(move || {
                    futures_lite::future::block_on(async move {
                        for number in 0..40_usize {
                            let record = format!("{task}:{number}\n");
                            let Ok(receipt) = producer.append_wait(record.clone()).await else { return };
                            let last = number == 39 - round;
                            match (task + round + number) % 8 {
                                0 => drop(producer.flush().await),
                                1 if last && round % 4 == 1 => drop(producer.close().await),
                                2 if last && round % 4 == 2 => drop(producer.close_stream().await),
                                3 if last && round % 4 == 3 => producer.detach(),
                                4 => drop(futures_lite::future::poll_once(producer.flush()).await),
                                _ => {}
                            }
                            let outcome = receipt.await.map(drop);
                            settled.lock().unwrap().push((record, outcome));
                        }
                    });
                })
            })
            .collect();
        if round % 2 == 0 {
            drop(producer);
        } else {
            producer.flush().await.unwrap();
        }
        assert!(wait_until(Duration::from_secs(60), || threads.iter().all(|thread| thread.is_finished())));
        for thread in threads {
            thread.join().unwrap();
        }
        let stored = direct("GET", &format!("{}/{path}", server.url()), (), "").unwrap().text();
        let settled = settled.lock().unwrap();
        for (record, outcome) in &*settled {
            assert!(outcome.is_ok(), "{record}: {outcome:?}");
            assert_eq!(stored.lines().filter(|line| *line == record.trim_end()).count(), 1, "{record}");
        }
        assert_eq!(stored.lines().count(), settled.len());
        for task in 0..6 {
            let prefix = format!("{task}:");
            let own: Vec<usize> =
                stored.lines().filter_map(|line| line.strip_prefix(&prefix)?.parse().ok()).collect();
            assert!(own.iter().copied().eq(0..own.len()), "{task}: {own:?}");
        }
    }
}

/// The error handler renews a token that expires while batches are in flight.
pub async fn expired_token_is_renewed_without_loss<S: Stack>() {
    let uses = AtomicUsize::new(0);
    let script = Script::start(move |exchange| {
        // Each token is valid for three requests.
        let token: usize = exchange.headers.get("authorization").unwrap_or_default().parse().unwrap_or(0);
        match uses.fetch_add(1, Ordering::Relaxed) / 3 <= token {
            true => acknowledge(exchange),
            false => exchange.respond(401, (), "expired"),
        }
    })
    .unwrap();
    let stream = at::<S>(script.url());
    let token = AtomicUsize::new(0);
    let producer = stream
        .producer("p")
        .max_batch_items(1)
        .on_error(move |error: &StreamError| match error {
            StreamError::Unauthorized => {
                let mut headers = HeaderMap::new();
                headers.insert("authorization", (token.fetch_add(1, Ordering::Relaxed) as u64 + 1).into());
                ErrorAction::Retry { headers: Some(headers) }
            }
            _ => ErrorAction::Stop,
        })
        .build();
    let receipts: Vec<_> = (0..30).map(|number| producer.append(number.to_string()).unwrap()).collect();
    for receipt in receipts {
        receipt.await.unwrap();
    }
    producer.close().await.unwrap();
}

/// A framing header that an application copies from another request would cut the record short, so it is refused.
pub async fn framing_header_from_application_is_refused<S: Stack>() {
    let script = Script::start(acknowledge).unwrap();
    for (name, value) in [("content-length", "3"), ("transfer-encoding", "chunked")] {
        let built = S::builder().base_url(script.url()).default_header(name, value).build();
        assert!(built.unwrap_err().to_string().contains(name));
        let mut copied = HeaderMap::new();
        copied.insert(name, value.parse().unwrap());
        let provided = copied.clone();
        let client = S::builder().base_url(script.url()).header_provider(move || provided.clone());
        let client = client.build().unwrap();
        for stream in [client.stream("s"), at::<S>(script.url()).with_headers(copied)] {
            let stream = stream.with_content_type("text/plain");
            let error = stream.append("hello").await.unwrap_err();
            assert!(matches!(error.kind(), StreamError::Config(_)), "{error}");
            assert!(error.to_string().contains(name), "{error}");
            let producer = stream.producer("p").build();
            let error = producer.append("hello").unwrap().await.unwrap_err();
            assert!(matches!(error.stream_error(), Some(StreamError::Config(_))), "{error}");
            assert!(!producer.take_unacked()[0].may_be_stored);
        }
        let error = at::<S>(script.url()).append("x").header(name, value).await.unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    assert!(script.requests().is_empty());
}
